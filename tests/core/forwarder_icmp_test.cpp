// ICMP answers: who gets none, how many anybody gets, and where they are written. Their bytes are in the
// packet rows.
#include "dataplane/core/icmp_limiter.hpp"
#include "tests/core/node_fixture.hpp"

namespace fairlead::core {
namespace {

class ForwarderIcmpTest : public NodeFixture {};

const char* const kUsedUp = "eth(ep1>gw) ip4(10.244.1.2>10.244.2.2 ttl=1) udp(1>2)";

TEST_F(ForwarderIcmpTest, ErrorsLaterFragmentsAndStrangersGetNone) {
  start("routed");
  for (const char* packet :
       {"ip4(10.244.1.2>10.244.2.2 ttl=1) icmp(3 1)", "ip4(10.244.1.2>10.244.2.2 ttl=1) icmp(11 0)",
        "ip4(10.244.1.2>10.244.2.2 ttl=1 off=64 proto=17) zeros(64)"}) {
    EXPECT_EQ(forward(2, std::string("eth(ep1>gw) ") + packet).packet.fate, Fate::kDrop) << packet;
  }
  EXPECT_EQ(forward(2, "eth(ep1>gw) ip6(fd00:10:244:1::2>fd00:10:244:2::2 hl=1) icmp6(2 0)").packet.fate,
            Fate::kDrop);
  EXPECT_EQ(forward(1, "eth(peer2>self) ip4(203.0.113.1>198.51.100.1 ttl=9) udp(1>2)").packet.reason,
            DropReason::NO_ROUTE);
  EXPECT_EQ(count(Counter::answered), 0u);
}

TEST_F(ForwarderIcmpTest, EverySourceHasItsOwnLimit) {
  start("routed", {.flow_capacity = 64, .seed = 5, .icmp_errors_per_second = 10});
  const auto answered = [&](const std::string& packet, int sent) {
    const uint64_t before = count(Counter::answered);
    for (int i = 0; i < sent; ++i) forward(2, packet);
    return count(Counter::answered) - before;
  };
  EXPECT_EQ(answered(kUsedUp, 100), 10u);
  EXPECT_EQ(counters()[DropReason::TTL_EXCEEDED], 90u);
  EXPECT_EQ(answered("eth(ep2>gw) ip4(10.244.1.3>10.244.2.2 ttl=1) udp(1>2)", 5), 5u);
  now_ns_ += 500'000'000;
  const uint64_t later = answered(kUsedUp, 100);
  EXPECT_GE(later, 3u);  // five earned, up to a quarter less
  EXPECT_LE(later, 5u);
}

TEST(IcmpLimiter, EarnsByTimeAndHowMuchIsNotToBePredicted) {
  std::set<int> earned;
  for (uint64_t seed = 1; seed <= 50; ++seed) {
    IcmpLimiter limiter(seed * 0x9e3779b97f4a7c15ull, 100);
    int burst = 0;
    while (limiter.admit(7, 1'000'000'000)) ++burst;
    EXPECT_EQ(burst, 100);
    int later = 0;
    while (limiter.admit(7, 1'400'000'000)) ++later;
    EXPECT_GE(later, 29);
    EXPECT_LE(later, 40);
    earned.insert(later);
  }
  EXPECT_GT(earned.size(), 3u);
}

TEST_F(ForwarderIcmpTest, WrittenInTheHeadroomOrElseInTheTail) {
  start("routed");
  const std::string answer =
      "eth(gw>ep1) ip4(192.0.2.1>10.244.1.2 ttl=* tos=* id=*) icmp(11 0) ip4(10.244.1.2>10.244.2.2 ttl=1) "
      "udp(1>2)";
  for (uint16_t headroom : {0, 10, 27, 28, 256}) {
    const Sent sent = forward(2, frame(kUsedUp), {}, headroom, 28);
    EXPECT_EQ(sent.packet.fate, Fate::kAnswer) << headroom;
    EXPECT_EQ(difference(sent, answer), "") << headroom;
  }
  // Neither in front nor behind: the packet is dropped, untouched.
  const Sent sent = forward(2, frame(kUsedUp), {}, 10, 17);
  EXPECT_EQ(sent.packet.fate, Fate::kDrop);
  EXPECT_EQ(sent.packet.reason, DropReason::TTL_EXCEEDED);
  EXPECT_EQ(sent.bytes(), frame(kUsedUp));
}

TEST_F(ForwarderIcmpTest, QuotesAsMuchAsTheRfcsAllow) {
  start("overlay");
  const Sent v4 = forward(2, "eth(ep1>gw) ip4(10.244.1.2>10.244.2.2 ttl=64 df) udp(1>2 csum=0) zeros(3000)");
  EXPECT_EQ(v4.packet.fate, Fate::kAnswer);
  EXPECT_EQ(v4.packet.length, 14u + 576u);
  const Sent v6 = forward(2, "eth(ep1>gw) ip6(fd00:10:244:1::2>fd00:10:244:2::2 hl=64) udp(1>2) zeros(3000)");
  EXPECT_EQ(v6.packet.fate, Fate::kAnswer);
  EXPECT_EQ(v6.packet.length, 14u + 1280u);
}

TEST_F(ForwarderIcmpTest, HostIsAnsweredThroughItsPort) {
  start("overlay");
  const Sent sent = forward(3, "eth(host>host) ip4(192.0.2.1>10.244.2.2 ttl=1) udp(1>2)");
  EXPECT_EQ(sent.packet.fate, Fate::kAnswer);
  EXPECT_EQ(sent.packet.tx_port, 3);
}

}  // namespace
}  // namespace fairlead::core
