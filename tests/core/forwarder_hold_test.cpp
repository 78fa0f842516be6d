// Next hops whose MAC nobody knows: packets wait, are counted as held, and leave or are dropped.
#include "tests/core/node_fixture.hpp"

#include <algorithm>

namespace fairlead::core {
namespace {

class ForwarderHoldTest : public NodeFixture {
 protected:
  bool is_wanted(const char* address, uint32_t next_hop) {
    for (const UnresolvedNextHop& wanted : forwarder_->unresolved_next_hops()) {
      if (wanted.address == *IpAddress::parse(address))
        return wanted.port == 1 && wanted.next_hop == next_hop;
    }
    return false;
  }
  void resolve(const char* address) {
    underlay_.neighbours[{1, *IpAddress::parse(address)}] = {{2, 0, 0, 0, 0, 0x33}};
    ASSERT_TRUE(forwarder_->set_underlay(underlay_).ok());
  }
};

const char* const kToPeer3 = "eth(ep1>gw) ip4(10.244.1.2>10.244.3.2 ttl=64) udp(1>2)";
const char* const kToLink = "eth(ep1>gw) ip4(10.244.1.2>192.0.2.20 ttl=64) udp(1>2)";

TEST_F(ForwarderHoldTest, PeersAreWantedBeforeTraffic) {
  start("routed");
  std::vector<std::string> wanted;
  for (const UnresolvedNextHop& one : forwarder_->unresolved_next_hops())
    wanted.push_back(one.address.text());
  std::sort(wanted.begin(), wanted.end());
  EXPECT_EQ(wanted, (std::vector<std::string>{"192.0.2.3", "2001:db8::3"}));
}

TEST_F(ForwarderHoldTest, HeldPacketIsUntouchedAndLeavesWhenResolved) {
  for (const char* world : {"routed", "overlay"}) {
    start(world);
    Sent sent = forward(2, kToPeer3);
    ASSERT_EQ(sent.packet.fate, Fate::kHold);
    EXPECT_EQ(sent.packet.tx_port, 1);
    EXPECT_EQ(sent.bytes(), frame(kToPeer3));
    EXPECT_TRUE(is_wanted("192.0.2.3", sent.packet.next_hop));
    EXPECT_EQ(count(Counter::held), 1u);
    EXPECT_EQ(count(Counter::flows_created), 0u);

    worker().release_held({&sent.packet, 1}, now_ns_);  // nothing new: it goes on waiting
    EXPECT_EQ(sent.packet.fate, Fate::kHold);
    EXPECT_EQ(count(Counter::held), 1u);

    resolve("192.0.2.3");
    worker().release_held({&sent.packet, 1}, now_ns_);
    EXPECT_EQ(sent.packet.fate, Fate::kForward);
    EXPECT_EQ(count(Counter::held), 0u);
    EXPECT_EQ(count(Counter::forwarded), 1u);
    EXPECT_EQ(count(Counter::in), 1u);
    EXPECT_EQ(count(Counter::flows_created), 1u);
    EXPECT_TRUE(counters().conserved());
    EXPECT_FALSE(is_wanted("192.0.2.3", sent.packet.next_hop));
  }
}

TEST_F(ForwarderHoldTest, GivenUpIsADrop) {
  start("routed");
  ASSERT_EQ(forward(2, kToPeer3).packet.fate, Fate::kHold);
  worker().undo(Fate::kHold, DropReason::NEIGHBOUR_UNRESOLVED, 1);
  EXPECT_EQ(count(Counter::held), 0u);
  EXPECT_EQ(counters()[DropReason::NEIGHBOUR_UNRESOLVED], 1u);
  EXPECT_TRUE(counters().conserved());
}

TEST_F(ForwarderHoldTest, OnLinkDestinationIsWantedOnceAPacketAsks) {
  start("routed");
  forwarder_->age(now_ns_, 1);
  EXPECT_FALSE(is_wanted("192.0.2.20", 0));
  Sent sent = forward(2, kToLink);
  ASSERT_EQ(sent.packet.fate, Fate::kHold);
  EXPECT_TRUE(is_wanted("192.0.2.20", sent.packet.next_hop));
  EXPECT_EQ(forward(2, kToLink).packet.next_hop, sent.packet.next_hop);
  resolve("192.0.2.20");
  worker().release_held({&sent.packet, 1}, now_ns_);
  EXPECT_EQ(difference(sent, "eth(self>02:00:00:00:00:33) ip4(10.244.1.2>192.0.2.20 ttl=63) udp(1>2)"), "");
  EXPECT_FALSE(is_wanted("192.0.2.20", sent.packet.next_hop));
  worker().undo(Fate::kHold, DropReason::NEIGHBOUR_UNRESOLVED, 1);
  EXPECT_TRUE(counters().conserved());
}

TEST_F(ForwarderHoldTest, NobodyAsksForLongWithoutPackets) {
  start("routed");
  const Sent sent = forward(2, kToLink);
  forwarder_->age(now_ns_ + 10'000'000'000, 1);
  EXPECT_FALSE(is_wanted("192.0.2.20", sent.packet.next_hop));
}

TEST_F(ForwarderHoldTest, ScanOfALinkIsBounded) {
  start("routed");
  underlay_.routes[*Prefix::parse("198.18.0.0/15")].next_hops = {{{}, 1, 1}};
  ASSERT_TRUE(forwarder_->set_underlay(underlay_).ok());
  for (int host = 0; host < 2000; ++host) {
    forward(2, "eth(ep1>gw) ip4(10.244.1.2>198.18." + std::to_string(host / 250) + "." +
                   std::to_string(host % 250) + " ttl=64) udp(1>2)");
  }
  EXPECT_LE(forwarder_->unresolved_next_hops().size(), 300u);
  EXPECT_GT(counters()[DropReason::NEIGHBOUR_UNRESOLVED], 1000u);
}

TEST_F(ForwarderHoldTest, LostNeighbourMakesItsFlowsWait) {
  start("routed");
  const std::string packet = "eth(ep1>gw) ip4(10.244.1.2>10.244.2.2 ttl=64) udp(1>2)";
  ASSERT_EQ(forward(2, packet).packet.fate, Fate::kForward);
  underlay_.neighbours.erase({1, *IpAddress::parse("192.0.2.2")});
  ASSERT_TRUE(forwarder_->set_underlay(underlay_).ok());
  EXPECT_EQ(forward(2, packet).packet.fate, Fate::kHold);
}

TEST_F(ForwarderHoldTest, DownLinkIsNoUplink) {
  start("routed");
  underlay_.links[1].up = false;
  ASSERT_TRUE(forwarder_->set_underlay(underlay_).ok());
  EXPECT_EQ(forward(2, kToPeer3).packet.reason, DropReason::NO_UPLINK);
  EXPECT_TRUE(forwarder_->unresolved_next_hops().empty());
}

}  // namespace
}  // namespace fairlead::core
