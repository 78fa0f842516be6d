// Path MTU of tunnels: what routers in the underlay say is learned, believed within reason, and forgotten.
#include "tests/core/node_fixture.hpp"

namespace fairlead::core {
namespace {

constexpr uint64_t kSecond = 1'000'000'000;

class PathMtuTest : public NodeFixture {
 protected:
  // A router's answer to a tunnel packet of ours; `quoted` is what it quotes.
  static std::string too_big4(unsigned mtu, const std::string& quoted = kOurs4,
                              const std::string& extra = "") {
    return "eth(peer2>self) ip4(192.0.2.30>192.0.2.1 ttl=64) icmp(3 4 mtu=" + std::to_string(mtu) + extra +
           ") " + quoted;
  }
  static std::string too_big6(unsigned mtu) {
    return "eth(peer2>self) ip6(2001:db8::ff>2001:db8::1 hl=64) icmp6(2 0 mtu=" + std::to_string(mtu) +
           ") ip6(2001:db8::1>2001:db8::2 hl=63 len=1460) udp(50000>4789 len=1460 csum=0x1234) zeros(500)";
  }
  void tick(uint64_t later_ns = 0) {
    now_ns_ += later_ns;
    forwarder_->age(now_ns_, 64);
  }
  // The fate of a packet of `bytes` IP bytes with DF from pod a to peer 2.
  Fate send(unsigned bytes) {
    return forward(2, "eth(ep1>gw) ip4(10.244.1.2>10.244.2.2 ttl=64 df) udp(1>2 csum=0) zeros(" +
                          std::to_string(bytes - 28) + ")")
        .packet.fate;
  }
  // The largest packet that gets through to peer 2.
  void expect_mtu(unsigned bytes) {
    EXPECT_EQ(send(bytes), Fate::kForward) << bytes;
    EXPECT_EQ(send(bytes + 1), Fate::kAnswer) << bytes + 1;
  }

  static constexpr const char* kOurs4 =
      "ip4(192.0.2.1>192.0.2.2 ttl=63 df len=1500) udp(50000>4789 len=1480 csum=0)";
};

TEST_F(PathMtuTest, IsLearnedAndStillTheHostsToKnow) {
  start("overlay");
  expect_mtu(1450);  // and there is a flow entry now
  const Sent icmp = forward(1, too_big4(1300));
  EXPECT_EQ(icmp.packet.fate, Fate::kPunt);
  EXPECT_EQ(icmp.packet.tx_port, 3);
  expect_mtu(1450);  // the control thread has not looked yet
  tick();
  expect_mtu(1250);
  const Sent answer = forward(2, "eth(ep1>gw) ip4(10.244.1.2>10.244.2.2 ttl=64 df) tcp(1>2) zeros(1300)");
  EXPECT_EQ(difference(answer,
                       "eth(gw>ep1) ip4(192.0.2.1>10.244.1.2 ttl=64 id=* tos=*) icmp(3 4 mtu=1250 csum=*) "
                       "ip4(10.244.1.2>10.244.2.2 ttl=64 df len=1340) tcp(1>2 csum=*) zeros(508)"),
            "");
  const Sent small = forward(2, "eth(ep1>gw) ip4(10.244.1.2>10.244.2.2 ttl=64) udp(1>2 csum=0) zeros(1300)");
  EXPECT_EQ(small.packet.tx_mtu, 1300) << "what the engine cuts fragments for";
}

TEST_F(PathMtuTest, IsLearnedOverIpv6) {
  start("overlay6");
  ASSERT_EQ(send(1430), Fate::kForward);
  EXPECT_EQ(forward(1, too_big6(1400)).packet.fate, Fate::kPunt);
  tick();
  expect_mtu(1330);
}

TEST_F(PathMtuTest, OnlyGetsSmallerAndIsForgottenAfterTenMinutes) {
  start("overlay");
  forward(1, too_big4(1300));
  tick();
  forward(1, too_big4(1400));
  tick(300 * kSecond);
  expect_mtu(1250);
  forward(1, too_big4(1200));
  forward(1, too_big4(1250));
  tick();
  expect_mtu(1150);
  tick(599 * kSecond);
  expect_mtu(1150);
  tick(kSecond);
  expect_mtu(1450);
}

TEST_F(PathMtuTest, IsNotBelievedFromForgersAndFools) {
  start("overlay");
  const std::string wrong[] = {
      too_big4(1500),
      too_big4(575),
      too_big4(0),
      too_big4(1300, kOurs4, " csum=0x1234"),
      too_big4(1300, "ip4(192.0.2.1>192.0.2.9 ttl=63 df len=1500) udp(50000>4789 len=1480 csum=0)"),
      too_big4(1300, "ip4(192.0.2.7>192.0.2.2 ttl=63 df len=1500) udp(50000>4789 len=1480 csum=0)"),
      too_big4(1300, "ip4(192.0.2.1>192.0.2.2 ttl=63 df len=1500) udp(50000>53 len=1480 csum=0)"),
      too_big4(1300, "ip4(192.0.2.1>192.0.2.2 ttl=63 df len=1500) tcp(50000>4789)"),
      too_big4(1300, "ip4(192.0.2.1>192.0.2.2 ttl=63 df len=1500 proto=17) zeros(7)"),
      "eth(peer2>self) ip4(192.0.2.30>192.0.2.1 ttl=64) icmp(3 1 mtu=1300) " + std::string(kOurs4),
      "eth(peer2>self) ip4(192.0.2.30>10.244.1.2 ttl=64) icmp(3 4 mtu=1300) " + std::string(kOurs4),
      too_big6(1400),  // to peer 2's other address, which is not the one we send to
  };
  for (const std::string& one : wrong) {
    forward(1, one);
    tick();
    EXPECT_EQ(send(1450), Fate::kForward) << one;
  }
  // Not from a pod either, whatever it claims.
  forward(2, "eth(ep1>gw) ip4(10.244.1.2>192.0.2.1 ttl=64) icmp(3 4 mtu=1300) " + std::string(kOurs4));
  tick();
  EXPECT_EQ(send(1450), Fate::kForward);

  start("overlay6");
  forward(1, too_big6(1279));
  tick();
  EXPECT_EQ(send(1430), Fate::kForward);
}

TEST_F(PathMtuTest, StaysOverChangesAndGoesWithThePeer) {
  start("overlay");
  forward(1, too_big4(1300));
  tick();
  NodeState state = forwarder_->node_state();
  state.settings.pod_mtu = 1400;
  state.peers.at(2).pod_cidrs.push_back(*Prefix::parse("10.244.9.0/24"));
  publish(state);
  ASSERT_TRUE(forwarder_->set_underlay(underlay_).ok());
  expect_mtu(1250);

  const NodeState with_peer = state;
  state.peers.erase(2);
  std::erase_if(state.routes, [](const auto& route) {
    return route.second.kind == RouteKind::kPeer && route.second.target == 2;
  });
  publish(state);
  publish(with_peer);
  expect_mtu(1450);

  forward(1, too_big4(1300));
  tick();
  state = with_peer;
  state.peers.at(2).vtep = *IpAddress::parse("192.0.2.30");
  publish(state);
  expect_mtu(1450);
}

TEST_F(PathMtuTest, TraceTellsWhatWasLearned) {
  start("overlay");
  forward(1, too_big4(1300));
  tick();
  TraceRequest request;
  request.from_endpoint = 1;
  request.source = *IpAddress::parse("10.244.1.2");
  request.destination = *IpAddress::parse("10.244.2.2");
  const Result<Trace> trace = forwarder_->trace(request);
  ASSERT_TRUE(trace.ok());
  std::string text;
  for (const auto& step : trace->steps) text += step.text + "\n";
  EXPECT_NE(text.find("MTU 1250 (path MTU 1300 learned from a router)"), std::string::npos) << text;
}

}  // namespace
}  // namespace fairlead::core
