// What a client hears when a Service takes nothing: a TCP reset from the Service's address, a port
// unreachable for everything else, at once and within its limit; and what is counted and told about Services.
#include "tests/core/node_fixture.hpp"
#include "tests/core/service_fixture.hpp"

namespace fairlead::core {
namespace {

class ServiceRefusalTest : public NodeFixture {
 protected:
  void start_with(const Service& service, const std::string& world = "routed", uint32_t errors = 100) {
    start(world, {.flow_capacity = 1024, .seed = 11, .icmp_errors_per_second = errors});
    NodeState state = forwarder_->node_state();
    state.settings.cluster_services = {*Prefix::parse("10.96.0.0/16"), *Prefix::parse("fd00:96::/112")};
    state.settings.node_port_addresses = {ip("192.0.2.1")};
    state.services[service.id] = share(service);
    publish(state);
  }
};

TEST_F(ServiceRefusalTest, ASynIsResetFromTheServicesAddress) {
  start_with(sample_service(5, 0));
  const Sent sent =
      forward(2, "eth(ep1>gw) ip4(10.244.1.2>10.96.0.5 ttl=64) tcp(40000>80 flags=S seq=4294967295)");
  EXPECT_EQ(sent.packet.fate, Fate::kAnswer);
  EXPECT_EQ(sent.packet.reason, DropReason::NO_BACKEND);
  EXPECT_EQ(
      difference(
          sent,
          "eth(gw>ep1) ip4(10.96.0.5>10.244.1.2 ttl=64 df id=0) tcp(80>40000 flags=RA seq=0 ack=0 win=0)"),
      "");
  EXPECT_EQ(counters().answers[static_cast<size_t>(DropReason::NO_BACKEND)], 1u);
  EXPECT_EQ(forwarder_->service_counts(5), (ServiceCounts{0, 1}));
}

// RFC 9293 section 3.10.7.1: with an acknowledgement its number is the reset's; without one, everything that
// came is acknowledged, SYN and FIN included.
TEST_F(ServiceRefusalTest, NumbersOfAReset) {
  start_with(sample_service(5, 0));
  const auto reset = [&](const std::string& segment, const std::string& wanted) {
    const Sent sent = forward(2, "eth(ep1>gw) ip4(10.244.1.2>10.96.0.5 ttl=64) " + segment);
    return difference(sent, "eth(gw>ep1) ip4(10.96.0.5>10.244.1.2 ttl=64 df id=0) " + wanted);
  };
  EXPECT_EQ(reset("tcp(1>80 flags=A seq=7 ack=99) \"data\"", "tcp(80>1 flags=R seq=99 ack=0 win=0)"), "");
  EXPECT_EQ(reset("tcp(1>80 flags=SA seq=7 ack=99)", "tcp(80>1 flags=R seq=99 ack=0 win=0)"), "");
  EXPECT_EQ(reset("tcp(1>80 flags=S seq=7) \"data\"", "tcp(80>1 flags=RA seq=0 ack=12 win=0)"), "");
  EXPECT_EQ(reset("tcp(1>80 flags=F seq=7) \"abc\"", "tcp(80>1 flags=RA seq=0 ack=11 win=0)"), "");
  EXPECT_EQ(
      reset("tcp(1>80 flags=P seq=7 doff=8) zeros(12) \"abc\"", "tcp(80>1 flags=RA seq=0 ack=10 win=0)"), "");
}

TEST_F(ServiceRefusalTest, AResetIsNotAnswered) {
  start_with(sample_service(5, 0));
  const Sent sent = forward(2, "eth(ep1>gw) ip4(10.244.1.2>10.96.0.5 ttl=64) tcp(40000>80 flags=RA ack=5)");
  EXPECT_EQ(sent.packet.fate, Fate::kDrop);
  EXPECT_EQ(sent.packet.reason, DropReason::NO_BACKEND);
  EXPECT_EQ(count(Counter::answered), 0u);
}

TEST_F(ServiceRefusalTest, Ipv6AndThroughTheTunnel) {
  start_with(sample_service(5, 0, 6, true), "overlay");
  const Sent pods =
      forward(2, "eth(ep1>gw) ip6(fd00:10:244:1::2>fd00:96::5 hl=64) tcp(40000>80 flags=S seq=1)");
  EXPECT_EQ(
      difference(
          pods,
          "eth(gw>ep1) ip6(fd00:96::5>fd00:10:244:1::2 hl=64) tcp(80>40000 flags=RA seq=0 ack=2 win=0)"),
      "");
  // A pod of node-2: back through the tunnel, whether or not the buffer has headroom.
  for (const uint16_t headroom : {256, 0}) {
    const Sent far =
        forward(1,
                frame("eth(peer2>self) ip4(192.0.2.2>192.0.2.1 ttl=64) udp(50000>4789) vxlan(100) "
                      "eth(vtep2>any) ip6(fd00:10:244:2::2>fd00:96::5 hl=64) tcp(40000>80 flags=S seq=1)"),
                {}, headroom, 128);
    EXPECT_EQ(far.packet.fate, Fate::kAnswer);
    EXPECT_EQ(far.packet.encap_length, 50u);
    EXPECT_EQ(
        difference(far,
                   "eth(self>peer2) ip4(192.0.2.1>192.0.2.2 ttl=64 df id=*) udp(*>4789 csum=0) vxlan(100) "
                   "eth(02:46:c0:00:02:01>vtep2) ip6(fd00:96::5>fd00:10:244:2::2 hl=64) tcp(80>40000 "
                   "flags=RA seq=0 ack=2 win=0)"),
        "");
  }
}

TEST_F(ServiceRefusalTest, EverythingElseHearsPortUnreachable) {
  start_with(sample_service(5, 0, 17));
  const auto answer = [&](const std::string& packet) {
    const Sent sent = forward(2, "eth(ep1>gw) ip4(10.244.1.2>10.96.0.5 ttl=64 id=7) " + packet);
    return difference(sent,
                      "eth(gw>ep1) ip4(192.0.2.1>10.244.1.2 ttl=64 id=7 tos=0xc0) icmp(3 3) "
                      "ip4(10.244.1.2>10.96.0.5 ttl=64 id=7) " +
                          packet);
  };
  EXPECT_EQ(answer("udp(40000>80) \"query\""), "");
  EXPECT_EQ(answer("udp(40000>53) \"query\""), "");
  EXPECT_EQ(answer("sctp(40000>80)"), "");
  EXPECT_EQ(answer("icmp(8 0 id=5 seq=1)"), "");
  EXPECT_EQ(counters().answers[static_cast<size_t>(DropReason::NO_BACKEND)], 1u);
  EXPECT_EQ(counters().answers[static_cast<size_t>(DropReason::NO_SERVICE)], 3u);
}

TEST_F(ServiceRefusalTest, ErrorsAndLaterFragmentsGetNone) {
  start_with(sample_service(5, 0, 17));
  for (const char* packet : {"icmp(3 1)", "icmp(11 0)"}) {
    const Sent sent = forward(2, std::string("eth(ep1>gw) ip4(10.244.1.2>10.96.0.5 ttl=64) ") + packet);
    EXPECT_EQ(sent.packet.fate, Fate::kDrop) << packet;
  }
  const Sent sent = forward(2, "eth(ep1>gw) ip4(10.244.1.2>10.96.0.5 ttl=64 off=64 proto=17) zeros(64)");
  EXPECT_EQ(sent.packet.fate, Fate::kDrop);
}

TEST_F(ServiceRefusalTest, ClientsOutsideHearOfANodePortWithoutBackends) {
  Service service = sample_service(5, 0);
  service.frontends = {{FrontendKind::kNodePort, {}, 30080}};
  start_with(service);
  const Sent sent =
      forward(1, "eth(router>self) ip4(203.0.113.9>192.0.2.1 ttl=60) tcp(1234>30080 flags=S seq=5)");
  EXPECT_EQ(sent.packet.fate, Fate::kAnswer);
  EXPECT_EQ(difference(sent,
                       "eth(self>router) ip4(192.0.2.1>203.0.113.9 ttl=64 df id=0) tcp(30080>1234 flags=RA "
                       "seq=0 ack=6 win=0)"),
            "");
  // S4: another port of the node is the host's, with or without Services.
  EXPECT_EQ(
      forward(1, "eth(router>self) ip4(203.0.113.9>192.0.2.1 ttl=60) tcp(1234>30081 flags=S)").packet.fate,
      Fate::kPunt);
}

TEST_F(ServiceRefusalTest, TheHostHearsThroughItsPort) {
  start_with(sample_service(5, 0));
  const Sent sent = forward(3, "eth(host>self) ip4(192.0.2.1>10.96.0.5 ttl=64) tcp(40000>80 flags=S seq=1)");
  EXPECT_EQ(sent.packet.fate, Fate::kAnswer);
  EXPECT_EQ(sent.packet.tx_port, 3);
}

TEST_F(ServiceRefusalTest, ASourceHearsOnlySoOften) {
  start_with(sample_service(5, 0), "routed", 10);
  for (int i = 0; i < 50; ++i)
    forward(2, "eth(ep1>gw) ip4(10.244.1.2>10.96.0.5 ttl=64) tcp(40000>80 flags=S)");
  EXPECT_EQ(count(Counter::answered), 10u);
  EXPECT_EQ(counters()[DropReason::NO_BACKEND], 40u);
  EXPECT_EQ(forwarder_->service_counts(5), (ServiceCounts{0, 50}));
}

TEST_F(ServiceRefusalTest, CountsBeginAnewWithAnotherServiceUnderTheId) {
  start_with(sample_service(5, 0));
  forward(2, "eth(ep1>gw) ip4(10.244.1.2>10.96.0.5 ttl=64) tcp(40000>80 flags=S)");
  EXPECT_EQ(forwarder_->service_counts(5).refusals, 1u);
  NodeState state = forwarder_->node_state();
  Service service = sample_service(5, 0);
  service.affinity_seconds = 7;
  state.services[5] = share(service);
  publish(state);
  EXPECT_EQ(forwarder_->service_counts(5).refusals, 1u);
  service.name = "another";
  state.services[5] = share(service);
  publish(state);
  EXPECT_EQ(forwarder_->service_counts(5).refusals, 0u);
  forward(2, "eth(ep1>gw) ip4(10.244.1.2>10.96.0.5 ttl=64) tcp(40000>80 flags=S)");
  EXPECT_EQ(forwarder_->service_counts(5).refusals, 1u);
}

TEST_F(ServiceRefusalTest, ATraceNamesServiceFrontendListAndEndpoint) {
  Service service = sample_service(5, 3);
  service.port_name = "http";
  service.local_backends = {1};
  service.backends[1].local = true;
  service.internal_local = true;
  start_with(service);
  const auto tell = [&](const std::string& to, uint8_t protocol = 6) {
    TraceRequest request;
    request.from_endpoint = 1;
    request.source = ip("10.244.1.2");
    request.destination = ip(to);
    request.protocol = protocol;
    const Result<Trace> trace = forwarder_->trace(request);
    EXPECT_TRUE(trace.ok());
    for (const TraceStep& step : trace->steps) {
      if (step.step == "service") return step.object + ": " + step.text;
    }
    return std::string("not walked");
  };
  EXPECT_EQ(tell("10.96.0.5"),
            "service default/web-5:http: cluster IP, 1 of 1 endpoint on this node, as "
            "internalTrafficPolicy Local asks: 10.244.2.2:8080 pod/default/web-2 on node-2");
  EXPECT_EQ(tell("10.244.2.2"), ": no Service is addressed");
  EXPECT_EQ(tell("10.96.0.5", 17), ": NO_SERVICE: a Service's address, but no Service on that port");
}

}  // namespace
}  // namespace fairlead::core
