#include "dataplane/core/node_state.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace fairlead::core {
namespace {

Prefix prefix(const char* text) {
  return Prefix::parse(text).value();
}
IpAddress address(const char* text) {
  return IpAddress::parse(text).value();
}

Endpoint make_endpoint(EndpointId id) {
  Endpoint endpoint;
  endpoint.id = id;
  endpoint.pod_namespace = "default";
  endpoint.pod_name = "pod-" + std::to_string(id);
  endpoint.addresses = {IpAddress::ipv4(0x0000f40a + (id << 24)), address("fd00::7")};
  return endpoint;
}

Peer make_peer(PeerId id) {
  Peer peer;
  peer.id = id;
  peer.node = "node-" + std::to_string(id);
  peer.vtep = address("192.0.2.7");
  peer.pod_cidrs = {prefix("10.244.7.0/24")};
  return peer;
}

std::shared_ptr<const Service> make_service(ServiceId id, uint32_t backends) {
  Service service;
  service.id = id;
  service.service_namespace = "default";
  service.name = "web-" + std::to_string(id);
  service.port_name = "http";
  service.protocol = 6;
  service.frontends = {{FrontendKind::kClusterIp, IpAddress::ipv4(0x0000600a + (id << 24)), 80},
                       {FrontendKind::kNodePort, {}, static_cast<uint16_t>(30000 + id)}};
  for (uint32_t i = 0; i < backends; ++i) {
    Backend backend;
    backend.address = IpAddress::ipv4(0x0700f40a + ((i + 1) << 24));
    backend.port = 8080;
    service.backends.push_back(backend);
    service.cluster_backends.push_back(i);
  }
  return std::make_shared<const Service>(service);
}

NodeState sample() {
  NodeState state;
  state.generation = 1;
  state.settings.node = "node-1";
  state.endpoints[5] = make_endpoint(5);
  state.peers[2] = make_peer(2);
  state.routes[prefix("10.244.0.5/32")] = {RouteKind::kEndpoint, 5};
  state.routes[prefix("10.244.7.0/24")] = {RouteKind::kPeer, 2};
  state.routes[prefix("10.244.0.0/24")] = {RouteKind::kBlackhole, 0};
  state.services[3] = make_service(3, 2);
  return state;
}

// A random valid state; small id ranges, so that two of them share, change and lose things.
NodeState random_state(std::mt19937& random, uint64_t generation) {
  NodeState state;
  state.generation = generation;
  state.settings.node = "node-1";
  state.settings.vni = 100 + random() % 2;
  for (EndpointId id = 1; id <= 12; ++id) {
    if (random() % 2 != 0) continue;
    state.endpoints[id] = make_endpoint(id);
    state.endpoints[id].container_id = std::to_string(random() % 3);
  }
  for (PeerId id = 1; id <= 8; ++id) {
    if (random() % 2 != 0) continue;
    state.peers[id] = make_peer(id);
    state.peers[id].transport = random() % 2 != 0 ? Transport::kOverlay : Transport::kRouted;
  }
  for (ServiceId id = 1; id <= 8; ++id) {
    if (random() % 2 != 0) state.services[id] = make_service(id, random() % 3);
  }
  for (int i = 0; i < 40; ++i) {
    const Prefix where = Prefix::enclosing(IpAddress::ipv4(static_cast<uint32_t>(random() % 16) << 24 | 0x0a),
                                           static_cast<uint8_t>(24 + random() % 9));
    const uint32_t kind = random() % 4;
    if (kind == 0 && !state.endpoints.empty()) {
      state.routes[where] = {RouteKind::kEndpoint,
                             std::next(state.endpoints.begin(), random() % state.endpoints.size())->first};
    } else if (kind == 1 && !state.peers.empty()) {
      state.routes[where] = {RouteKind::kPeer,
                             std::next(state.peers.begin(), random() % state.peers.size())->first};
    } else {
      state.routes[where] = {kind == 2 ? RouteKind::kHost : RouteKind::kBlackhole, 0};
    }
  }
  return state;
}

bool every_route_resolves(const NodeState& state) {
  for (const auto& [where, target] : state.routes) {
    if (target.kind == RouteKind::kEndpoint && state.endpoints.count(target.target) == 0) return false;
    if (target.kind == RouteKind::kPeer && state.peers.count(static_cast<PeerId>(target.target)) == 0)
      return false;
  }
  return true;
}

// Calls `visit` after every single change of the delta, in the documented order.
void walk(NodeState state, const NodeStateDelta& delta, const std::function<void(const NodeState&)>& visit) {
  if (delta.has_settings) state.settings = delta.settings;
  visit(state);
  for (const Endpoint& endpoint : delta.upsert_endpoints)
    visit((state.endpoints[endpoint.id] = endpoint, state));
  for (const Peer& peer : delta.upsert_peers) visit((state.peers[peer.id] = peer, state));
  for (const auto& [where, target] : delta.upsert_routes) visit((state.routes[where] = target, state));
  for (const Prefix& where : delta.remove_routes) visit((state.routes.erase(where), state));
  for (const auto& service : delta.upsert_services) visit((state.services[service->id] = service, state));
  for (const ServiceId id : delta.remove_services) visit((state.services.erase(id), state));
  for (const PeerId id : delta.remove_peers) visit((state.peers.erase(id), state));
  for (const EndpointId id : delta.remove_endpoints) visit((state.endpoints.erase(id), state));
}

TEST(NodeState, DiffThenApplyGivesTheOther) {
  std::mt19937 random(1);
  for (int i = 0; i < 500; ++i) {
    const NodeState from = random_state(random, 1 + random() % 5);
    const NodeState to = random_state(random, from.generation + 1 + random() % 5);
    ASSERT_EQ(validate(from), "");
    const NodeStateDelta delta = diff(from, to);
    NodeState state = from;
    ASSERT_EQ(apply(state, delta), "");
    ASSERT_EQ(state, to);
    walk(from, delta, [](const NodeState& halfway) { ASSERT_TRUE(every_route_resolves(halfway)); });
  }
}

TEST(NodeState, DiffHoldsNothingThatDidNotChange) {
  std::mt19937 random(2);
  for (int i = 0; i < 200; ++i) {
    const NodeState from = random_state(random, 1);
    NodeState to = random_state(random, 2);
    const NodeStateDelta delta = diff(from, to);
    for (const Endpoint& endpoint : delta.upsert_endpoints) {
      const auto old = from.endpoints.find(endpoint.id);
      EXPECT_TRUE(old == from.endpoints.end() || !(old->second == endpoint));
    }
    for (const auto& [where, target] : delta.upsert_routes) {
      const auto old = from.routes.find(where);
      EXPECT_TRUE(old == from.routes.end() || !(old->second == target));
    }
    EXPECT_EQ(delta.has_settings, !(from.settings == to.settings));
    to = from;
    to.generation = 2;
    const NodeStateDelta nothing = diff(from, to);
    EXPECT_TRUE(nothing.upsert_endpoints.empty() && nothing.upsert_peers.empty() &&
                nothing.upsert_routes.empty() && nothing.remove_endpoints.empty() &&
                nothing.remove_peers.empty() && nothing.remove_routes.empty() && !nothing.has_settings);
  }
}

TEST(NodeState, FullStateReplacesWhateverWasThere) {
  std::mt19937 random(3);
  for (int i = 0; i < 100; ++i) {
    const NodeState to = random_state(random, 7);
    const NodeStateDelta full = diff(NodeState{}, to);
    EXPECT_EQ(full.from_generation, 0u);
    NodeState state = random_state(random, 9);  // whatever its generation
    ASSERT_EQ(apply(state, full), "");
    EXPECT_EQ(state, to);
  }
}

// What does not fit is named, and nothing of the delta is applied.
void expect_refused(const std::function<void(NodeStateDelta&)>& spoil, const std::string& why) {
  const NodeState before = sample();
  NodeState state = before;
  NodeStateDelta delta;
  delta.from_generation = 1;
  delta.to_generation = 2;
  delta.has_settings = true;
  delta.settings = before.settings;
  delta.settings.vni = 77;
  delta.upsert_endpoints.push_back(make_endpoint(6));
  delta.upsert_routes.emplace_back(prefix("10.244.0.6/32"), RouteTarget{RouteKind::kEndpoint, 6});
  spoil(delta);
  const std::string found = apply(state, delta);
  EXPECT_NE(found.find(why), std::string::npos) << "wanted: " << why << "\nfound: " << found;
  EXPECT_FALSE(found.empty());
  EXPECT_EQ(state, before);
}

TEST(NodeState, ApplySaysWhatDoesNotFitAndChangesNothing) {
  expect_refused([](auto& d) { d.from_generation = 3, d.to_generation = 4; },
                 "from generation 3, the state is generation 1");
  expect_refused([](auto& d) { d.to_generation = 1; }, "generation 1 does not follow 1");
  expect_refused(
      [](auto& d) {
        d.upsert_routes.emplace_back(prefix("10.0.0.0/8"), RouteTarget{RouteKind::kEndpoint, 9});
      },
      "route 10.0.0.0/8: no endpoint 9");
  expect_refused(
      [](auto& d) {
        d.upsert_routes.emplace_back(prefix("10.0.0.0/8"), RouteTarget{RouteKind::kPeer, 9});
      },
      "route 10.0.0.0/8: no peer 9");
  expect_refused(
      [](auto& d) {
        d.upsert_routes.emplace_back(prefix("10.0.0.0/8"), RouteTarget{RouteKind::kPeer, 0x10002});
      },
      "no peer 65538");
  expect_refused(
      [](auto& d) {
        d.upsert_routes.emplace_back(Prefix{address("10.0.0.1"), 8}, RouteTarget{});
      },
      "host bits");
  expect_refused(
      [](auto& d) {
        d.upsert_routes.emplace_back(Prefix{address("10.0.0.0"), 33}, RouteTarget{});
      },
      "longer than");
  expect_refused([](auto& d) { d.upsert_routes.emplace_back(Prefix{}, RouteTarget{}); },
                 "without an address family");
  expect_refused([](auto& d) { d.remove_endpoints.push_back(5); }, "route 10.244.0.5/32: no endpoint 5");
  expect_refused([](auto& d) { d.remove_peers.push_back(2); }, "route 10.244.7.0/24: no peer 2");
  expect_refused([](auto& d) { d.remove_endpoints.push_back(44); }, "endpoint 44 to remove does not exist");
  expect_refused([](auto& d) { d.remove_peers.push_back(44); }, "peer 44 to remove does not exist");
  expect_refused([](auto& d) { d.remove_endpoints.push_back(6); }, "endpoint 6 is both added and removed");
  expect_refused([](auto& d) { d.remove_routes.push_back(prefix("10.0.0.0/8")); },
                 "route 10.0.0.0/8 to remove does not exist");
  expect_refused([](auto& d) { d.remove_routes.push_back(prefix("10.244.0.6/32")); }, "also added");
  expect_refused([](auto& d) { d.upsert_endpoints[0].id = 0; }, "id is not in");
  expect_refused([](auto& d) { d.upsert_endpoints[0].id = 0xffffff; }, "id is not in");
  expect_refused([](auto& d) { d.upsert_endpoints[0].addresses.clear(); }, "no address");
  expect_refused([](auto& d) { d.upsert_peers.push_back({}); }, "peer 0");
  expect_refused([](auto& d) { d.upsert_peers.push_back(make_peer(3)), d.upsert_peers[0].vtep = {}; },
                 "without a VTEP");
  expect_refused(
      [](auto& d) { d.upsert_peers.push_back(make_peer(3)), d.upsert_peers[0].next_hop4 = address("::1"); },
      "not IPv4");
  expect_refused([](auto& d) { d.settings.vni = 1 << 24; }, "24 bits");
  expect_refused([](auto& d) { d.settings.tunnel_port = 0; }, "tunnel port");
  expect_refused([](auto& d) { d.settings.vtep4 = address("::1"); }, "not IPv4");
  expect_refused([](auto& d) { d.settings.pod_mtu = 100; }, "MTU");
  expect_refused([](auto& d) { d.settings.masquerade4 = address("::1"); }, "masquerade4 ::1 is not IPv4");
  expect_refused([](auto& d) { d.settings.snat_port_first = 5, d.settings.snat_port_last = 4; },
                 "SNAT ports 5-4 are no range");
  expect_refused([](auto& d) { d.remove_services.push_back(44); }, "service 44 to remove does not exist");
  expect_refused([](auto& d) { d.upsert_services.push_back(make_service(3, 1)), d.remove_services = {3}; },
                 "service 3 is removed twice or also added");
  expect_refused([](auto& d) { d.upsert_services.push_back(nullptr); }, "without content");
}

TEST(NodeState, ApplyRefusesAServiceThatNobodyCouldForward) {
  const auto refused = [](const std::function<void(Service&)>& spoil, const std::string& why) {
    Service service = *make_service(4, 2);
    spoil(service);
    expect_refused([&](auto& d) { d.upsert_services.push_back(std::make_shared<const Service>(service)); },
                   "service " + std::to_string(service.id) + " (default/web-4:http): " + why);
  };
  refused([](Service& s) { s.id = 0; }, "id is not in");
  refused([](Service& s) { s.protocol = 1; }, "protocol 1 is none of TCP, UDP, SCTP");
  refused([](Service& s) { s.frontends[0].port = 0; }, "a frontend has port 0");
  refused([](Service& s) { s.frontends[0].address = address("fd00::1"); }, "frontend fd00::1 is not");
  refused([](Service& s) { s.frontends[1].address = address("10.0.0.1"); }, "a node port has an address");
  refused([](Service& s) { s.backends[1].port = 0; }, "backend 10.244.0.9 port 0");
  refused([](Service& s) { s.cluster_backends = {1, 0}; }, "a list of backends is not ascending");
  refused([](Service& s) { s.local_backends = {2}; }, "a list of backends is not ascending or names one");
  refused([](Service& s) { s.affinity_seconds = 86401; }, "affinity");
  refused([](Service& s) { s.source_ranges = {prefix("fd00::/8")}; }, "source range fd00::/8");
}

TEST(NodeState, ServicesThatTwoStatesShareAreNoChange) {
  const NodeState from = sample();
  NodeState to = from;
  to.generation = 2;
  to.services[3] = std::make_shared<const Service>(*from.services.at(3));  // equal, another object
  EXPECT_TRUE(diff(from, to).upsert_services.empty());
  EXPECT_EQ(to.services, NodeState(to).services);
  to.services[4] = make_service(4, 1);
  to.services.erase(3);
  const NodeStateDelta delta = diff(from, to);
  ASSERT_EQ(delta.upsert_services.size(), 1u);
  EXPECT_EQ(delta.remove_services, std::vector<ServiceId>{3});
}

TEST(NodeState, RemovingATargetWithItsRoutesIsFine) {
  NodeState state = sample();
  NodeStateDelta delta;
  delta.from_generation = 1;
  delta.to_generation = 2;
  delta.remove_routes = {prefix("10.244.0.5/32")};
  delta.remove_endpoints = {5};
  // A route may also move to another target in the same step.
  delta.upsert_routes = {{prefix("10.244.7.0/24"), {RouteKind::kHost, 0}}};
  delta.remove_peers = {2};
  EXPECT_EQ(apply(state, delta), "");
  EXPECT_EQ(validate(state), "");
  EXPECT_TRUE(state.endpoints.empty() && state.peers.empty());
}

TEST(NodeState, ValidateNamesTheFirstThingThatIsWrong) {
  EXPECT_EQ(validate(NodeState{}), "");
  EXPECT_EQ(validate(sample()), "");
  NodeState state = sample();
  state.routes[prefix("10.9.0.0/16")] = {RouteKind::kEndpoint, 77};
  EXPECT_EQ(validate(state), "route 10.9.0.0/16: no endpoint 77");
  state = sample();
  state.endpoints[6] = make_endpoint(7);
  EXPECT_NE(validate(state).find("filed under id 6"), std::string::npos);
  state = sample();
  state.peers[3] = make_peer(4);
  EXPECT_NE(validate(state).find("filed under id 3"), std::string::npos);
}

TEST(NodeState, MacConventions) {
  EXPECT_EQ(default_vtep_mac(address("192.0.2.7")).text(), "02:46:c0:00:02:07");
  EXPECT_EQ(default_vtep_mac(address("2001:db8::1:2")).text(), "02:46:00:01:00:02");
  EXPECT_EQ(endpoint_mac(0x010203).text(), "02:46:4c:01:02:03");
  EXPECT_EQ(kGatewayMac.text(), "02:46:4c:ff:ff:ff");
  std::set<MacAddress> macs{kGatewayMac};
  for (EndpointId id = 1; id < 0xffffff; id += 4099) EXPECT_TRUE(macs.insert(endpoint_mac(id)).second);
}

}  // namespace
}  // namespace fairlead::core
