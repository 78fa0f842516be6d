// Flow entries: what they decide, when they stop deciding, and what churn costs them.
#include "tests/core/node_fixture.hpp"

namespace fairlead::core {
namespace {

class ForwarderFlowTest : public NodeFixture {
 protected:
  // Forwards and says whether an entry decided.
  bool hit(PortId port, const std::string& text) {
    const uint64_t before = count(Counter::flow_hits);
    last_ = forward(port, text);
    return count(Counter::flow_hits) != before;
  }

  std::vector<FlowRecord> flows() const {
    std::vector<FlowRecord> all;
    forwarder_->each_flow({}, [&](const FlowRecord& flow) {
      all.push_back(flow);
      return true;
    });
    return all;
  }

  Sent last_;
};

const char* const kOut = "eth(ep1>gw) ip4(10.244.1.2>10.244.2.2 ttl=64) udp(1>2)";
const char* const kBack = "eth(peer2>self) ip4(10.244.2.2>10.244.1.2 ttl=63) udp(2>1)";
const char* const kLocal = "eth(ep1>gw) ip4(10.244.1.2>10.244.1.3 ttl=64) udp(1>2)";

TEST_F(ForwarderFlowTest, BothDirectionsUseOneEntry) {
  start("routed");
  EXPECT_FALSE(hit(2, kOut));
  EXPECT_TRUE(hit(2, kOut));
  EXPECT_TRUE(hit(1, kBack));
  ASSERT_EQ(flows().size(), 1u);
  const FlowRecord flow = flows()[0];
  EXPECT_EQ(flow.source, *IpAddress::parse("10.244.1.2"));
  EXPECT_EQ(flow.destination_port, 2);
  EXPECT_EQ(flow.packets_original, 2u);
  EXPECT_EQ(flow.packets_reply, 1u);
  EXPECT_EQ(flow.original_out, "peer node-2 routed");
  EXPECT_EQ(flow.reply_out, "endpoint default/a");
  EXPECT_EQ(flow.state, "two-way");
}

TEST_F(ForwarderFlowTest, ChurnElsewhereCostsNothing) {
  start("overlay");
  hit(2, kOut);
  NodeState state = forwarder_->node_state();
  Endpoint& other = state.endpoints[9];
  other.id = 9;
  other.host_interface = "fl9";
  other.host_ifindex = 9;
  other.addresses = {*IpAddress::parse("10.244.1.9")};
  state.routes[Prefix::host(other.addresses[0])] = {RouteKind::kEndpoint, 9};
  publish(state);
  EXPECT_TRUE(hit(2, kOut));
  state.routes.erase(Prefix::host(other.addresses[0]));
  state.endpoints.erase(9);
  state.endpoints.erase(2);  // pod b goes, too
  for (const char* address : {"10.244.1.3", "fd00:10:244:1::3"}) {
    state.routes.erase(Prefix::host(*IpAddress::parse(address)));
  }
  publish(state);
  EXPECT_TRUE(hit(2, kOut));
  ASSERT_TRUE(forwarder_->set_underlay(underlay_).ok());
  EXPECT_TRUE(hit(2, kOut));
}

TEST_F(ForwarderFlowTest, NeighbourWithAnotherMacRefreshesItsFlowsOnce) {
  start("routed");
  hit(2, kOut);
  underlay_.neighbours[{1, *IpAddress::parse("192.0.2.2")}] = {{2, 0, 0, 0, 0, 0x77}};
  ASSERT_TRUE(forwarder_->set_underlay(underlay_).ok());
  EXPECT_FALSE(hit(2, kOut));
  EXPECT_EQ(difference(last_, "eth(self>02:00:00:00:00:77) ip4(10.244.1.2>10.244.2.2 ttl=63) udp(1>2)"), "");
  EXPECT_TRUE(hit(2, kOut));
  EXPECT_EQ(count(Counter::flows_created), 1u);
}

TEST_F(ForwarderFlowTest, MovedPodIsFollowed) {
  start("routed");
  EXPECT_FALSE(hit(2, kLocal));
  EXPECT_TRUE(hit(2, kLocal));
  NodeState state = forwarder_->node_state();
  // 10.244.1.3 now lives behind node-2: a longer prefix than our range.
  state.routes[*Prefix::parse("10.244.1.3/32")] = {RouteKind::kPeer, 2};
  publish(state);
  EXPECT_FALSE(hit(2, kLocal));
  EXPECT_EQ(last_.packet.tx_port, 1);
}

TEST_F(ForwarderFlowTest, NewPrefixTakesFlowsFromTheOneThatCoveredIt) {
  start("routed");
  const std::string out = "eth(ep1>gw) ip4(10.244.1.2>203.0.113.5 ttl=64) udp(1>2)";
  EXPECT_FALSE(hit(2, out));
  EXPECT_TRUE(hit(2, out));
  underlay_.routes[*Prefix::parse("203.0.113.0/24")].next_hops = {{*IpAddress::parse("192.0.2.2"), 1, 1}};
  ASSERT_TRUE(forwarder_->set_underlay(underlay_).ok());
  EXPECT_FALSE(hit(2, out));
  EXPECT_EQ(difference(last_, "eth(self>peer2) ip4(10.244.1.2>203.0.113.5 ttl=63) udp(1>2)"), "");
  EXPECT_TRUE(hit(2, out));
  underlay_.routes.erase(*Prefix::parse("203.0.113.0/24"));
  ASSERT_TRUE(forwarder_->set_underlay(underlay_).ok());
  EXPECT_FALSE(hit(2, out));
  EXPECT_EQ(difference(last_, "eth(self>router) ip4(10.244.1.2>203.0.113.5 ttl=63) udp(1>2)"), "");
}

TEST_F(ForwarderFlowTest, RemovedEndpointIsGoneForItsFlows) {
  start("overlay");
  hit(2, kLocal);
  NodeState state = forwarder_->node_state();
  state.endpoints.erase(2);
  for (const char* address : {"10.244.1.3", "fd00:10:244:1::3"}) {
    state.routes.erase(Prefix::host(*IpAddress::parse(address)));
  }
  publish(state);
  EXPECT_FALSE(hit(2, kLocal));
  EXPECT_EQ(last_.packet.reason, DropReason::NO_ENDPOINT);
  EXPECT_FALSE(hit(2, "eth(ep2>gw) ip4(10.244.1.3>10.244.1.2 ttl=64) udp(2>1)"));
  EXPECT_EQ(last_.packet.reason, DropReason::UNKNOWN_ENDPOINT);
}

TEST_F(ForwarderFlowTest, EndpointWithOtherAddressesMustProveItsSourceAgain) {
  start("overlay");
  EXPECT_FALSE(hit(2, kLocal));
  EXPECT_TRUE(hit(2, kLocal));
  NodeState state = forwarder_->node_state();
  state.routes.erase(*Prefix::parse("10.244.1.2/32"));
  state.endpoints[1].addresses = {*IpAddress::parse("fd00:10:244:1::2")};
  publish(state);
  // The entry leads to b, whose fate is the same; the sender's is not.
  EXPECT_EQ(forward(2, "eth(ep2>gw) ip4(10.244.1.3>10.244.1.2 ttl=64) udp(2>1)").packet.reason,
            DropReason::NO_ENDPOINT);
  hit(2, kLocal);
  EXPECT_EQ(last_.packet.reason, DropReason::SPOOFED_SOURCE);
}

TEST_F(ForwarderFlowTest, EntryBindsWhereItsPacketsComeFrom) {
  start("overlay");
  hit(2, kOut);
  // The reply direction from another pod, from the host, from another peer: the slow path judges, and
  // refuses.
  EXPECT_FALSE(hit(2, "eth(ep2>gw) ip4(10.244.2.2>10.244.1.2 ttl=64) udp(2>1)"));
  EXPECT_EQ(last_.packet.reason, DropReason::SPOOFED_SOURCE);
  EXPECT_TRUE(hit(1, kBack));
}

TEST_F(ForwarderFlowTest, WrongSenderDoesNotMoveTheState) {
  start("overlay");
  const std::string syn = "eth(ep1>gw) ip4(10.244.1.2>10.244.2.2 ttl=64) tcp(1>2 flags=S)";
  hit(2, syn);
  hit(1, "eth(peer2>self) ip4(10.244.2.2>10.244.1.2 ttl=64) tcp(2>1 flags=SA)");
  hit(2, "eth(ep1>gw) ip4(10.244.1.2>10.244.2.2 ttl=64) tcp(1>2 flags=A)");
  ASSERT_EQ(flows().at(0).state, "established");
  hit(2, "eth(ep2>gw) ip4(10.244.1.2>10.244.2.2 ttl=64) tcp(1>2 flags=R)");
  EXPECT_EQ(last_.packet.reason, DropReason::SPOOFED_SOURCE);
  EXPECT_EQ(flows().at(0).state, "established");
  hit(2, "eth(ep1>gw) ip4(10.244.1.2>10.244.2.2 ttl=64) tcp(1>2 flags=R)");
  EXPECT_NE(flows().at(0).state, "established");
  // The port is used again: a new connection begins in its place.
  hit(2, syn);
  EXPECT_EQ(count(Counter::flows_created), 2u);
  EXPECT_EQ(flows().size(), 1u);
  EXPECT_EQ(flows().at(0).state, "new");
}

TEST_F(ForwarderFlowTest, ModeSwitchKeepsTheFlow) {
  start("overlay");
  hit(2, kOut);
  EXPECT_EQ(last_.packet.encap_length, 50);
  NodeState state = forwarder_->node_state();
  state.peers[2].transport = Transport::kRouted;
  publish(state);
  hit(2, kOut);
  EXPECT_EQ(last_.packet.encap_length, 0);
  EXPECT_TRUE(hit(2, kOut));
  EXPECT_TRUE(hit(1, kBack));
  EXPECT_EQ(count(Counter::flows_created), 1u);
  EXPECT_EQ(counters().drops_total(), 0u);
}

TEST_F(ForwarderFlowTest, IdleEntriesAgeOut) {
  start("overlay");
  hit(2, kLocal);
  forwarder_->age(now_ns_ + 3'600'000'000'000, 4096);
  EXPECT_EQ(count(Counter::flows_expired), 1u);
  EXPECT_TRUE(flows().empty());
}

TEST_F(ForwarderFlowTest, FullTableForwardsWithoutEntries) {
  start("routed", {.flow_capacity = 64, .seed = 3});
  for (int port = 1; port <= 2000; ++port) {
    const std::string packet =
        "eth(ep1>gw) ip4(10.244.1.2>10.244.2.2 ttl=64) tcp(" + std::to_string(port) + ">80 flags=S)";
    ASSERT_EQ(forward(2, packet).packet.fate, Fate::kForward);
  }
  EXPECT_EQ(count(Counter::forwarded), 2000u);
}

TEST_F(ForwarderFlowTest, RefusedDeltaLeavesEverythingAsItWas) {
  start("overlay");
  hit(2, kOut);
  NodeStateDelta delta;
  delta.from_generation = forwarder_->node_state().generation;
  delta.to_generation = delta.from_generation + 1;
  delta.upsert_routes = {{*Prefix::parse("10.9.0.0/16"), {RouteKind::kPeer, 77}}};
  const NodeState before = forwarder_->node_state();
  const Result<void> done = forwarder_->publish(delta);
  ASSERT_FALSE(done.ok());
  EXPECT_EQ(done.error().code, "FL2110");
  EXPECT_EQ(forwarder_->node_state(), before);
  EXPECT_TRUE(hit(2, kOut));
}

TEST_F(ForwarderFlowTest, FullStateReplacesWhatWasThere) {
  start("overlay");
  hit(2, kLocal);
  NodeState state = forwarder_->node_state();
  state.endpoints.erase(1);
  for (const char* address : {"10.244.1.2", "fd00:10:244:1::2"}) {
    state.routes.erase(Prefix::host(*IpAddress::parse(address)));
  }
  state.generation = 40;
  NodeStateDelta delta = diff(NodeState{}, state);
  ASSERT_EQ(delta.from_generation, 0u);
  ASSERT_TRUE(forwarder_->publish(delta).ok());
  EXPECT_EQ(forwarder_->node_state(), state);
  hit(2, kLocal);
  EXPECT_EQ(last_.packet.reason, DropReason::UNKNOWN_ENDPOINT);
}

}  // namespace
}  // namespace fairlead::core
