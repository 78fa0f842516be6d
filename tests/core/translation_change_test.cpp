// Translated connections while Services, ways and endpoints change: kept where they may be, ended where not.
#include "tests/core/translation_fixture.hpp"

namespace fairlead::core {
namespace {

class TranslationChangeTest : public TranslationFixture {
 protected:
  // Tells the forwarder that Services have changed, as a control plane does that has changed one.
  void publish_services() {
    services_.put(17, "10.96.9.9", 9, {"10.244.1.2"}, static_cast<uint16_t>(++changes_));
  }
  void move_peer() {
    NodeState state = forwarder_->node_state();
    state.peers[2].vtep_mac = MacAddress{{2, 0, 0, 0, 9, static_cast<uint8_t>(++changes_)}};
    publish(state);
  }

  uint32_t changes_ = 0;
};

TEST_F(TranslationChangeTest, AnotherWayKeepsTheBackend) {
  services_.put(6, "10.96.0.10", 80, {"10.244.2.2", "10.244.2.3", "10.244.2.4"}, 8080);
  start_translating("routed");
  const std::string out = "eth(ep1>gw) ip4(10.244.1.2>10.96.0.10 ttl=64) tcp(40000>80 flags=";
  (void)forward(2, out + "S)");
  const IpAddress backend = flows().at(0).reply_source;
  for (int change = 0; change < 6; ++change) {
    NodeState state = forwarder_->node_state();
    state.peers[2].transport = change % 2 == 0 ? Transport::kOverlay : Transport::kRouted;
    publish(state);
    const uint64_t misses = count(Counter::flow_misses);
    EXPECT_EQ(dropped(2, out + "A)"), DropReason::NONE);
    EXPECT_EQ(count(Counter::flow_misses), misses + 1) << "judged anew, once";
    (void)forward(2, out + "A)");
    EXPECT_EQ(count(Counter::flow_misses), misses + 1);
    ASSERT_EQ(flows().size(), 1u);
    EXPECT_EQ(flows()[0].reply_source, backend);
  }
  // Services change, this one does not: the same.
  publish_services();
  (void)forward(2, out + "A)");
  ASSERT_EQ(flows().size(), 1u);
  EXPECT_EQ(flows()[0].reply_source, backend);
  EXPECT_EQ(count(Counter::flows_created), 1u);
}

// reliability N6: a datagram client that never changes its port moves on with the very next packet.
TEST_F(TranslationChangeTest, DatagramsLeaveABackendThatIsGoneAtOnce) {
  services_.put(17, "10.96.0.10", 53, {"10.244.1.3"}, 5353);
  start_translating("overlay");
  const std::string out = "eth(ep1>gw) ip4(10.244.1.2>10.96.0.10 ttl=64) udp(4000>53)";
  (void)forward(2, out);
  (void)forward(2, "eth(ep2>gw) ip4(10.244.1.3>10.244.1.2 ttl=64) udp(5353>4000)");
  services_.put(17, "10.96.0.10", 53, {"10.244.2.2"}, 5454);
  publish_services();
  EXPECT_EQ(dropped(2, "eth(ep2>gw) ip4(10.244.1.3>10.244.1.2 ttl=64) udp(5353>4000)"),
            DropReason::BACKEND_GONE);
  EXPECT_EQ(leaves(2, out, 1,
                   "eth(self>peer2) ip4(192.0.2.1>192.0.2.2 ttl=64 df id=*) udp(*>4789 csum=0) vxlan(100) "
                   "eth(02:46:c0:00:02:01>vtep2) ip4(10.244.1.2>10.244.2.2 ttl=63) udp(4000>5454)"),
            "");
  ASSERT_EQ(flows().size(), 1u);
  EXPECT_EQ(flows()[0].reply_source, *IpAddress::parse("10.244.2.2"));
  // No backend left, then the Service gone: nothing goes to the old one.
  services_.put(17, "10.96.0.10", 53, {}, 0);
  publish_services();
  EXPECT_EQ(forward(2, out).packet.reason, DropReason::NO_BACKEND);
  services_.clear();
  publish_services();
  const Sent after = forward(2, out);
  EXPECT_EQ(golden::hex({after.packet.data + 30, after.packet.data + 34}), golden::hex({10, 96, 0, 10}))
      << "an address like any other";
}

// A flow that went past a Service that was not there yet.
TEST_F(TranslationChangeTest, DatagramsFindAServiceThatCameLater) {
  start_translating("overlay");
  const std::string out = "eth(ep1>gw) ip4(10.244.1.2>198.51.100.7 ttl=64) udp(4000>53)";
  EXPECT_EQ(leaves(2, out, 1, "eth(self>router) ip4(10.244.1.2>198.51.100.7 ttl=63) udp(4000>53)"), "");
  services_.put(17, "198.51.100.7", 53, {"10.244.1.3"}, 5353);
  publish_services();
  EXPECT_EQ(leaves(2, out, 2, "eth(gw>ep2) ip4(10.244.1.2>10.244.1.3 ttl=63) udp(4000>5353)"), "");
}

TEST_F(TranslationChangeTest, StreamsAreRefusedWhenTheirBackendIsGone) {
  services_.put(6, "10.96.0.10", 80, {"10.244.1.3"}, 8080);
  start_translating("overlay");
  const std::string out = "eth(ep1>gw) ip4(10.244.1.2>10.96.0.10 ttl=64) tcp(40000>80 flags=";
  (void)forward(2, out + "S)");
  (void)forward(2, "eth(ep2>gw) ip4(10.244.1.3>10.244.1.2 ttl=64) tcp(8080>40000 flags=SA)");
  (void)forward(2, out + "A)");
  services_.put(6, "10.96.0.10", 80, {"10.244.2.2"}, 8081);
  publish_services();
  last_ = forward(2, out + "PA)");
  EXPECT_EQ(last_.packet.reason, DropReason::BACKEND_GONE);
  EXPECT_EQ(last_.packet.fate, Fate::kAnswer) << "its sender hears of it";
  EXPECT_EQ(dropped(2, "eth(ep2>gw) ip4(10.244.1.3>10.244.1.2 ttl=64) tcp(8080>40000 flags=PA)"),
            DropReason::BACKEND_GONE);
  // And whoever does not own the address hears nothing.
  EXPECT_EQ(dropped(2, "eth(ep2>gw) ip4(10.244.1.2>10.96.0.10 ttl=64) tcp(40000>80 flags=PA)"),
            DropReason::SPOOFED_SOURCE);
}

// reliability N12: a pod with the address of one that is gone inherits none of its connections.
TEST_F(TranslationChangeTest, AnAddressInOtherHandsInheritsNothing) {
  services_.put(6, "10.96.0.10", 80, {"10.244.2.2"}, 8080);
  start_translating("overlay");
  const std::string out = " ip4(10.244.1.2>10.96.0.10 ttl=64) tcp(40000>80 flags=";
  const std::string tunnel =
      "eth(peer2>self) ip4(192.0.2.2>192.0.2.1 ttl=64 df) udp(50000>4789 csum=0) vxlan(100) eth(vtep2>any) ";
  const std::string back = tunnel + "ip4(10.244.2.2>10.244.1.2 ttl=63) tcp(8080>40000 flags=";
  (void)forward(2, "eth(ep1>gw)" + out + "S)");
  (void)forward(1, back + "SA)");
  (void)forward(2, "eth(ep1>gw)" + out + "A)");
  const auto replace = [&](EndpointId old, EndpointId next) {
    NodeState state = forwarder_->node_state();
    Endpoint endpoint = state.endpoints.at(old);
    state.endpoints.erase(old);
    endpoint.id = next;
    endpoint.host_interface = "fl" + std::to_string(next);
    endpoint.host_ifindex = next;
    for (const IpAddress& address : endpoint.addresses) {
      state.routes[Prefix::host(address)] = {RouteKind::kEndpoint, next};
    }
    state.endpoints[next] = endpoint;
    publish(state);
  };
  replace(1, 9);
  services_.put(6, "10.96.0.10", 80, {"10.244.2.2", "10.244.2.3"}, 8080);
  EXPECT_EQ(dropped(1, back + "A)"), DropReason::NO_FLOW)
      << "what the old pod was sent is not for the new one";
  const uint64_t created = count(Counter::flows_created);
  (void)forward(2, "eth(02:46:4c:00:00:09>gw)" + out + "S)");
  EXPECT_EQ(count(Counter::flows_created), created + 1) << "its first packet begins a connection of its own";
  replace(9, 10);
  (void)forward(2, "eth(02:46:4c:00:00:0a>gw)" + out + "A)");
  EXPECT_EQ(count(Counter::flows_created), created + 2);
}

}  // namespace
}  // namespace fairlead::core
