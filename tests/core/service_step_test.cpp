// The step `service`: who may address what, from which list a backend is chosen, and what becomes of a
// connection whose backend changes. Frontends, choice and affinity have tests of their own.
#include "dataplane/core/choice_hash.hpp"
#include "dataplane/core/snapshot_builder.hpp"
#include "dataplane/core/steps/service.hpp"
#include "dataplane/core/steps/source_check.hpp"
#include "dataplane/core/steps/still_choosable.hpp"
#include "tests/core/service_fixture.hpp"

#include <set>

namespace fairlead::core {
namespace {

constexpr const char* kPod = "10.244.1.2";          // endpoint 1, of this node
constexpr const char* kPeersPod = "10.244.3.7";     // of node-2
constexpr const char* kPeersHost = "192.0.2.2";     // node-2 itself
constexpr const char* kOutsider = "198.51.100.77";  // no node's, no pod's
constexpr const char* kHostItself = "192.0.2.1";    // this node

struct ServiceStepTest : ::testing::Test {
  SnapshotBuilder builder;
  NodeState state;
  std::unique_ptr<const Snapshot> snapshot;
  AffinityTable affinity{1024, [] {
                           flow_secret secret;
                           flow_secret_init(&secret, 4);
                           return secret;
                         }()};
  uint32_t now_seconds = 100;
  Service service = sample_service(5, 4);
  Walk walk;
  Packet packet;

  ServiceStepTest() {
    state.settings.cluster_pods = {net("10.244.0.0/16"), net("fd00:10:244::/48")};
    state.settings.cluster_services = {net("10.96.0.0/16"), net("fd00:96::/112")};
    state.settings.node_port_addresses = {ip(kHostItself)};
    Endpoint pod;
    pod.id = 1;
    pod.addresses = {ip(kPod), ip("fd00:10:244:1::2")};
    state.endpoints[1] = pod;
    Peer peer;
    peer.id = 2;
    peer.node = "node-2";
    peer.vtep = ip(kPeersHost);
    peer.pod_cidrs = {net("10.244.3.0/24")};
    state.peers[2] = peer;
    state.routes[net("10.244.3.0/24")] = {RouteKind::kPeer, 2};
    state.routes[net("10.244.1.2/32")] = {RouteKind::kEndpoint, 1};
    // On this node: backends 2 and 3 (10.244.2.3 and .4).
    service.backends[2].local = service.backends[3].local = true;
    service.local_backends = {2, 3};
    service.frontends.push_back({FrontendKind::kLoadBalancer, ip("203.0.113.5"), 80});
    service.frontends.push_back({FrontendKind::kExternalIp, ip("203.0.113.6"), 80});
    service.frontends.push_back({FrontendKind::kNodePort, {}, 30080});
  }

  void publish() {
    state.services[service.id] = share(service);
    NodeState next = state;
    next.generation = builder.node_state().generation + 1;
    const Result<void> done = builder.publish(diff(builder.node_state(), next));
    ASSERT_TRUE(done.ok()) << (done.ok() ? "" : done.error().text());
    snapshot = builder.seal();
  }

  Verdict send(Side side, const std::string& from, const std::string& to, uint16_t port,
               uint16_t client_port = 40000, uint8_t protocol = 6) {
    if (snapshot == nullptr) publish();
    packet = {};
    walk.start(packet);
    const IpAddress source = ip(from);
    walk.p.ip_version = source.is_ipv6() ? 6 : 4;
    walk.p.protocol = protocol;
    walk.p.source = wire(source);
    walk.p.destination = wire(to);
    walk.p.source_port = to_be16(client_port);
    walk.p.destination_port = to_be16(port);
    walk.p.has_ports = 1;
    walk.p.tcp_flags = 2;
    walk.side = side;
    const Verdict verdict = steps::source_check(walk, *snapshot);
    EXPECT_TRUE(verdict.goes_on()) << describe(verdict.reason).name;
    const steps::ServiceMemory memory{&affinity, now_seconds};
    const Verdict said = steps::service(walk, *snapshot, memory);
    EXPECT_TRUE(!said.goes_on() || steps::hold_affinity(walk, memory));
    return said;
  }
  // The name of the reason; empty: goes on. An answered one has an exclamation mark.
  std::string fate(Side side, const std::string& from, const std::string& to, uint16_t port) {
    const Verdict verdict = send(side, from, to, port);
    if (verdict.goes_on()) return {};
    return std::string(describe(verdict.reason).name) + (verdict.answerable ? "!" : "");
  }
  // The backends that 200 connections get.
  std::set<uint32_t> chosen(Side side, const std::string& from, const std::string& to, uint16_t port) {
    std::set<uint32_t> backends;
    for (uint16_t client_port = 40000; client_port < 40200; ++client_port) {
      const Verdict verdict = send(side, from, to, port, client_port);
      EXPECT_TRUE(verdict.goes_on()) << describe(verdict.reason).name;
      EXPECT_TRUE(walk.translation.translates_destination);
      EXPECT_EQ(walk.translation.destination, wire(service.backends[walk.choice.backend].address));
      EXPECT_EQ(from_be16(walk.translation.destination_port), 8080);
      EXPECT_EQ(walk.choice.service, service.id);
      backends.insert(walk.choice.backend);
    }
    return backends;
  }
};

const Side kFromPod = Side::endpoint(1);
const Side kTunnel = Side::peer(2);
const std::set<uint32_t> kAll = {0, 1, 2, 3}, kLocal = {2, 3};

TEST_F(ServiceStepTest, PacketsToNobodysServiceGoOnUntouched) {
  for (const auto& [to, port] : {std::pair{"10.244.3.9", 80},
                                 {"8.8.8.8", 80},
                                 {kHostItself, 30081},
                                 {kHostItself, 22},
                                 {"192.0.2.2", 30080},
                                 {"203.0.113.7", 80}}) {
    EXPECT_EQ(fate(kFromPod, kPod, to, static_cast<uint16_t>(port)), "") << to;
    EXPECT_FALSE(walk.translation.any()) << to;
    EXPECT_EQ(walk.choice.service, 0u);
  }
}

TEST_F(ServiceStepTest, EveryKindOfFrontendLeadsToTheBackends) {
  EXPECT_EQ(chosen(kFromPod, kPod, "10.96.0.5", 80), kAll);
  EXPECT_EQ(walk.choice.kind, FrontendKind::kClusterIp);
  EXPECT_EQ(chosen(kFromPod, kPod, "203.0.113.5", 80), kAll);
  EXPECT_EQ(walk.choice.kind, FrontendKind::kLoadBalancer);
  EXPECT_EQ(chosen(kFromPod, kPod, "203.0.113.6", 80), kAll);
  EXPECT_EQ(walk.choice.kind, FrontendKind::kExternalIp);
  EXPECT_EQ(chosen(kFromPod, kPod, kHostItself, 30080), kAll);
  EXPECT_EQ(walk.choice.kind, FrontendKind::kNodePort);
  EXPECT_EQ(chosen(Side::uplink(), kOutsider, kHostItself, 30080), kAll);
  EXPECT_EQ(chosen(Side::host(), kHostItself, "10.96.0.5", 80), kAll);
  EXPECT_EQ(chosen(kTunnel, kPeersPod, "10.96.0.5", 80), kAll);
  EXPECT_EQ(chosen(Side::uplink(), kPeersPod, "10.96.0.5", 80), kAll);  // the peer's pod, in plain
}

// S10, S4: nothing that is a Service's and no Service takes goes anywhere.
TEST_F(ServiceStepTest, WhatNoServiceTakesIsRefused) {
  EXPECT_EQ(fate(kFromPod, kPod, "10.96.0.5", 81), "NO_SERVICE!");
  EXPECT_EQ(fate(kFromPod, kPod, "10.96.9.9", 80), "NO_SERVICE!");
  EXPECT_EQ(fate(Side::uplink(), kOutsider, "10.96.9.9", 80), "CLUSTER_IP_FROM_OUTSIDE") << "told nothing";
  EXPECT_EQ(fate(Side::uplink(), kOutsider, "203.0.113.5", 22), "NO_SERVICE!") << "its own to know";
  EXPECT_EQ(fate(Side::host(), kHostItself, "203.0.113.5", 22), "NO_SERVICE!");
  EXPECT_FALSE(send(kFromPod, kPod, "10.96.0.5", 80, 40000, 17).goes_on());  // TCP only
  EXPECT_FALSE(send(kFromPod, kPod, "10.96.0.5", 80, 40000, 1).goes_on());   // an echo request
}

TEST_F(ServiceStepTest, AServiceWithoutBackendsRefusesAndWithoutLocalOnesDrops) {
  service.cluster_backends.clear();
  service.local_backends.clear();
  publish();
  for (const auto& [to, port] : {std::pair{"10.96.0.5", 80}, {"203.0.113.5", 80}, {kHostItself, 30080}}) {
    EXPECT_EQ(fate(kFromPod, kPod, to, static_cast<uint16_t>(port)), "NO_BACKEND!") << to;
    EXPECT_EQ(walk.choice.service, service.id);
  }
  service.external_local = service.internal_local = true;
  publish();
  EXPECT_EQ(fate(kFromPod, kPod, "10.96.0.5", 80), "NO_BACKEND!");
  service.cluster_backends = {0, 1};
  publish();
  EXPECT_EQ(fate(kFromPod, kPod, "10.96.0.5", 80), "NO_LOCAL_BACKEND");
  EXPECT_EQ(fate(Side::uplink(), kOutsider, "203.0.113.5", 80), "NO_LOCAL_BACKEND");
  EXPECT_EQ(fate(kFromPod, kPod, "203.0.113.5", 80), "");
}

TEST_F(ServiceStepTest, InternalTrafficPolicyLocalIsOfTheClusterIpOnly) {
  service.internal_local = true;
  EXPECT_EQ(chosen(kFromPod, kPod, "10.96.0.5", 80), kLocal);
  EXPECT_EQ(chosen(Side::host(), kHostItself, "10.96.0.5", 80), kLocal);
  EXPECT_EQ(chosen(kFromPod, kPod, kHostItself, 30080), kAll);
  EXPECT_EQ(chosen(Side::uplink(), kOutsider, "203.0.113.5", 80), kAll);
}

TEST_F(ServiceStepTest, ExternalTrafficPolicyLocalIsForWhoIsOutside) {
  service.external_local = true;
  EXPECT_EQ(chosen(Side::uplink(), kOutsider, "203.0.113.5", 80), kLocal);
  EXPECT_EQ(chosen(Side::uplink(), kOutsider, "203.0.113.6", 80), kLocal);
  EXPECT_EQ(chosen(Side::uplink(), kOutsider, kHostItself, 30080), kLocal);
  EXPECT_EQ(chosen(Side::uplink(), kPeersHost, kHostItself, 30080), kLocal);  // another node's host
  EXPECT_EQ(chosen(kTunnel, kPeersHost, kHostItself, 30080), kLocal);
  EXPECT_EQ(chosen(kTunnel, kPeersPod, "203.0.113.5", 80), kAll);
  EXPECT_EQ(chosen(kFromPod, kPod, "203.0.113.5", 80), kAll);
  EXPECT_EQ(chosen(Side::host(), kHostItself, kHostItself, 30080), kAll);
  EXPECT_EQ(chosen(kFromPod, kPod, "10.96.0.5", 80), kAll);
}

TEST_F(ServiceStepTest, AClusterIpIsNotForWhoIsOutside) {
  EXPECT_EQ(fate(Side::uplink(), kOutsider, "10.96.0.5", 80), "CLUSTER_IP_FROM_OUTSIDE");
  EXPECT_EQ(fate(kTunnel, kPeersHost, "10.96.0.5", 80), "CLUSTER_IP_FROM_OUTSIDE");
  EXPECT_FALSE(walk.translation.any());
}

TEST_F(ServiceStepTest, SourceRangesAreOfLoadBalancersAndForWhoIsOutside) {
  service.source_ranges = {net("198.51.100.0/26"), net("192.0.2.64/26")};
  EXPECT_EQ(fate(Side::uplink(), kOutsider, "203.0.113.5", 80), "SOURCE_RANGE");
  EXPECT_EQ(fate(Side::uplink(), "198.51.100.5", "203.0.113.5", 80), "");
  EXPECT_EQ(fate(Side::uplink(), "192.0.2.100", "203.0.113.5", 80), "");
  EXPECT_EQ(fate(Side::uplink(), kOutsider, "203.0.113.6", 80), "");
  EXPECT_EQ(fate(Side::uplink(), kOutsider, kHostItself, 30080), "");
  EXPECT_EQ(fate(kFromPod, kPod, "203.0.113.5", 80), "");
  EXPECT_EQ(fate(Side::host(), kHostItself, "203.0.113.5", 80), "");
  EXPECT_EQ(fate(kTunnel, kPeersPod, "203.0.113.5", 80), "");
}

TEST_F(ServiceStepTest, RepliesMustReturnWhereTheBackendWouldSendThemElsewhere) {
  service.cluster_backends = {0};  // elsewhere
  service.local_backends = {2};
  publish();
  const auto returns = [&](Side side, const std::string& from, const std::string& to, uint16_t port) {
    EXPECT_TRUE(send(side, from, to, port).goes_on());
    return walk.choice.needs_return;
  };
  EXPECT_TRUE(returns(Side::uplink(), kOutsider, "203.0.113.5", 80));
  EXPECT_TRUE(returns(Side::uplink(), kPeersHost, kHostItself, 30080));
  EXPECT_TRUE(returns(Side::host(), kHostItself, "10.96.0.5", 80));
  EXPECT_FALSE(returns(kFromPod, kPod, "10.96.0.5", 80));
  EXPECT_TRUE(returns(kTunnel, kPeersPod, "203.0.113.5", 80));
  service.reply_path = ReplyPath::kGeneve;
  publish();
  EXPECT_TRUE(returns(kTunnel, kPeersPod, "203.0.113.5", 80)) << "direct return is for who is outside";
  EXPECT_FALSE(returns(Side::uplink(), kOutsider, "203.0.113.5", 80));
  EXPECT_TRUE(returns(Side::host(), kHostItself, "10.96.0.5", 80));
  service.reply_path = ReplyPath::kThisNode;
  service.cluster_backends = {2};  // here
  publish();
  EXPECT_FALSE(returns(Side::uplink(), kOutsider, "203.0.113.5", 80));
  EXPECT_FALSE(returns(Side::host(), kHostItself, "10.96.0.5", 80));
  service.external_local = true;
  publish();
  EXPECT_FALSE(returns(Side::uplink(), kOutsider, "203.0.113.5", 80));
  service.backends[2].address = ip(kPod);  // its own backend
  std::swap(service.backends[0], service.backends[2]);
  service.cluster_backends = {0};
  service.local_backends = {0};
  publish();
  EXPECT_TRUE(returns(kFromPod, kPod, "10.96.0.5", 80));
  EXPECT_FALSE(returns(kTunnel, kPeersPod, "10.96.0.5", 80));
}

TEST_F(ServiceStepTest, PacketsWithoutPortsToAServiceAreRefusedAndToTheNodeGoOn) {
  publish();
  for (const auto& [to, verdict] :
       {std::pair{"10.96.0.5", false}, {"203.0.113.5", false}, {kHostItself, true}}) {
    (void)send(kFromPod, kPod, to, 80);
    walk.p.has_ports = 0;
    walk.p.is_fragment = 1;
    EXPECT_EQ(steps::service(walk, *snapshot, {}).goes_on(), verdict) << to;
  }
}

TEST_F(ServiceStepTest, Ipv6IsAnotherService) {
  Service other = sample_service(6, 3, 17, true);
  state.services[6] = share(other);
  publish();
  EXPECT_TRUE(send(kFromPod, "fd00:10:244:1::2", "fd00:96::6", 80, 40000, 17).goes_on());
  EXPECT_EQ(walk.choice.service, 6u);
  EXPECT_EQ(walk.translation.destination, wire(other.backends[walk.choice.backend].address));
  EXPECT_FALSE(send(kFromPod, "fd00:10:244:1::2", "fd00:96::7", 80, 40000, 17).goes_on());
}

TEST_F(ServiceStepTest, AClientKeepsItsBackendWithinTheTimeout) {
  service.affinity_seconds = 10;
  publish();
  const auto backend = [&](uint16_t client_port, const std::string& from = kPod) {
    EXPECT_TRUE(send(from == kPod ? kFromPod : kTunnel, from, "10.96.0.5", 80, client_port).goes_on());
    return walk.choice.backend;
  };
  const uint32_t first = backend(40000);
  EXPECT_FALSE(walk.choice.by_affinity);
  for (uint16_t port = 40001; port < 40050; ++port) {
    now_seconds += 5;
    EXPECT_EQ(backend(port), first);
    EXPECT_TRUE(walk.choice.by_affinity);
  }
  std::set<uint32_t> others;
  for (uint16_t client = 1; client < 30; ++client)
    others.insert(backend(40000, "10.244.3." + std::to_string(client)));
  EXPECT_GT(others.size(), 1u);
  std::set<uint32_t> later;
  for (uint16_t port = 50000; port < 50050; ++port) {
    now_seconds += 11;
    later.insert(backend(port));
    EXPECT_FALSE(walk.choice.by_affinity);
  }
  EXPECT_EQ(later, kAll);  // every time anew
}

TEST_F(ServiceStepTest, AnAffinityEndsWithItsEndpoint) {
  service.affinity_seconds = 1000;
  publish();
  ASSERT_TRUE(send(kFromPod, kPod, "10.96.0.5", 80).goes_on());
  const Backend gone = service.backends[walk.choice.backend];
  std::erase(service.cluster_backends, walk.choice.backend);  // listed, but takes nothing new
  publish();
  ASSERT_TRUE(send(kFromPod, kPod, "10.96.0.5", 80, 41000).goes_on());
  const Backend next = service.backends[walk.choice.backend];
  EXPECT_NE(next.address, gone.address);
  EXPECT_FALSE(walk.choice.by_affinity);
  ASSERT_TRUE(send(kFromPod, kPod, "10.96.0.5", 80, 42000).goes_on());
  EXPECT_EQ(service.backends[walk.choice.backend].address, next.address);
  EXPECT_TRUE(walk.choice.by_affinity);
}

TEST_F(ServiceStepTest, AnAffinityHoldsInTheListThatIsAskedFor) {
  service.affinity_seconds = 1000;
  service.internal_local = true;
  publish();
  ASSERT_TRUE(send(kFromPod, kPod, "10.96.0.5", 80).goes_on());
  EXPECT_TRUE(kLocal.count(walk.choice.backend));
  const uint32_t local = walk.choice.backend;
  ASSERT_TRUE(send(kFromPod, kPod, "203.0.113.5", 80, 41000).goes_on());
  EXPECT_EQ(walk.choice.backend, local);  // in the cluster's list, too
}

// A trace chooses as well, and so do packets that are refused later.
TEST_F(ServiceStepTest, ChoosingAloneLeavesNoAffinity) {
  service.affinity_seconds = 1000;
  publish();
  ASSERT_TRUE(send(kFromPod, kPod, "10.96.0.5", 80).goes_on());
  const uint64_t other = affinity.key(wire("10.244.3.1"), service.id);
  walk.p.source = wire("10.244.3.1");
  const steps::ServiceMemory memory{&affinity, now_seconds};
  ASSERT_TRUE(steps::service(walk, *snapshot, memory).goes_on());
  EXPECT_EQ(affinity.find(other, 1000, now_seconds), 0u);
  EXPECT_TRUE(steps::hold_affinity(walk, memory));
  EXPECT_EQ(affinity.find(other, 1000, now_seconds), walk.choice.affinity.backend);
}

TEST_F(ServiceStepTest, WhoWasSentElsewhereMeanwhileChoosesAgain) {
  service.affinity_seconds = 1000;
  publish();
  const uint64_t client = affinity.key(wire(kPod), service.id);
  walk = {};
  ASSERT_TRUE(send(kFromPod, "10.244.1.2", "10.96.0.5", 80).goes_on());
  const steps::ServiceMemory memory{&affinity, now_seconds};
  walk.choice.affinity.found = 0;  // chosen before anybody else had
  walk.choice.affinity.backend += 1;
  EXPECT_FALSE(steps::hold_affinity(walk, memory));
  EXPECT_NE(affinity.find(client, 1000, now_seconds), 0u);
}

steps::FlowEnds ends_of(const std::string& frontend, uint16_t port, const std::string& backend,
                        uint16_t backend_port, uint8_t protocol) {
  steps::FlowEnds ends;
  ends.protocol = protocol;
  ends.client = wire(kPod);
  ends.frontend = wire(frontend);
  ends.backend = wire(backend);
  ends.client_port = to_be16(40000);
  ends.frontend_port = to_be16(port);
  ends.backend_port = to_be16(backend_port);
  return ends;
}

TEST_F(ServiceStepTest, AConnectionMayStayWhileItsBackendIsListed) {
  Service datagrams = service;
  datagrams.id = 6;
  datagrams.protocol = 17;
  const auto stays = [&](uint8_t protocol, const std::string& backend, uint16_t port = 8080) {
    ServiceChoice choice;
    const bool may =
        steps::still_choosable(*snapshot, ends_of("10.96.0.5", 80, backend, port, protocol), &choice);
    if (!may) return false;
    EXPECT_EQ(choice.service, protocol == 6 ? 5u : 6u);
    EXPECT_EQ(service.backends[choice.backend].address, ip(backend));
    return true;
  };
  state.services[6] = share(datagrams);
  publish();
  EXPECT_TRUE(stays(6, "10.244.2.1"));
  EXPECT_TRUE(stays(17, "10.244.2.1"));
  EXPECT_FALSE(stays(6, "10.244.2.1", 8081));
  EXPECT_FALSE(stays(6, "10.244.2.9"));
  // Out of both lists, not serving any more, but still there: a stream ends in peace (N11), datagrams do not
  // stay (N6).
  for (Service* one : {&service, &datagrams}) {
    one->cluster_backends = {1, 2, 3};
    one->backends[0].serving = false;
  }
  state.services[6] = share(datagrams);
  publish();
  EXPECT_TRUE(stays(6, "10.244.2.1"));
  EXPECT_FALSE(stays(17, "10.244.2.1"));
  EXPECT_TRUE(stays(17, "10.244.2.2"));
  // Terminating and serving is no reason.
  for (Service* one : {&service, &datagrams}) one->backends[0].serving = true;
  state.services[6] = share(datagrams);
  publish();
  EXPECT_TRUE(stays(17, "10.244.2.1"));
  // Gone.
  for (Service* one : {&service, &datagrams}) {
    one->backends.erase(one->backends.begin());
    one->cluster_backends = {0, 1, 2};
    one->local_backends = {1, 2};
  }
  state.services[6] = share(datagrams);
  publish();
  EXPECT_FALSE(stays(6, "10.244.2.1"));
  EXPECT_FALSE(stays(17, "10.244.2.1"));
  EXPECT_TRUE(stays(6, "10.244.2.2"));
}

TEST_F(ServiceStepTest, ConnectionsPastServicesStayUnlessTheirAddressBecomesOne) {
  publish();
  const auto stays = [&](const steps::FlowEnds& ends) {
    ServiceChoice choice;
    return steps::still_choosable(*snapshot, ends, &choice);
  };
  EXPECT_TRUE(stays(ends_of("10.244.3.9", 80, "10.244.3.9", 80, 6)));
  EXPECT_TRUE(stays(ends_of(kHostItself, 22, kHostItself, 22, 6)));
  EXPECT_FALSE(stays(ends_of(kHostItself, 30080, kHostItself, 30080, 6)));  // a NodePort by now
  EXPECT_FALSE(stays(ends_of("203.0.113.5", 80, "203.0.113.5", 80, 6)));
  EXPECT_FALSE(stays(ends_of("203.0.113.5", 22, "203.0.113.5", 22, 6)));
  EXPECT_FALSE(stays(ends_of("203.0.113.9", 80, "10.244.2.1", 8080, 6)));  // its Service is gone
  EXPECT_FALSE(stays(ends_of("10.96.0.9", 80, "10.244.2.1", 8080, 6)));
}

}  // namespace
}  // namespace fairlead::core
