// Services in snapshots: whatever way of deltas led to a state, packets find what a builder finds that was
// given the state at once; and flows to a backend that left ask again, nobody else's.
#include "dataplane/core/choice_hash.hpp"
#include "dataplane/core/snapshot_builder.hpp"
#include "tests/core/service_fixture.hpp"

#include <random>

namespace fairlead::core {
namespace {

using List = ServiceView::List;

NodeState services_world() {
  NodeState state;
  state.generation = 1;
  state.settings.cluster_pods = {net("10.244.0.0/16")};
  state.settings.cluster_services = {net("10.96.0.0/16")};
  state.settings.node_port_addresses = {ip("192.0.2.1")};
  for (EndpointId id = 1; id <= 4; ++id) {
    Endpoint pod;
    pod.id = id;
    pod.addresses = {ip("10.244.2." + std::to_string(id))};
    state.endpoints[id] = pod;
    state.routes[Prefix::host(pod.addresses[0])] = {RouteKind::kEndpoint, id};
  }
  return state;
}

void step_to(SnapshotBuilder& builder, NodeState& state) {
  if (builder.node_state().generation != 0) state.generation = builder.node_state().generation + 1;
  const Result<void> done = builder.publish(diff(builder.node_state(), state));
  ASSERT_TRUE(done.ok()) << (done.ok() ? "" : done.error().text());
}

// What every address and port of the test leads to.
std::string answers(const Snapshot& snapshot) {
  std::string text;
  const auto ask = [&](const IpAddress& at, uint16_t port) {
    const bool concerns = snapshot.frontends.may_concern(wire(at), 4);
    const Frontends::Found found = snapshot.frontends.find(wire(at), port, 6, 4);
    EXPECT_TRUE(concerns || (found.entry == nullptr && !found.is_service_address)) << at.text();
    text += " " + at.text() + ":" + std::to_string(port) + "=";
    if (found.entry == nullptr) {
      text += found.is_service_address ? "refused" : "-";
      return;
    }
    const ServiceView& view = *found.entry->view;
    text += std::to_string(view.service_id()) + "/" + std::to_string(static_cast<int>(found.entry->kind));
    for (const List list : {List::kCluster, List::kLocal}) {
      for (uint64_t i = 1; i < 5 && !view.is_empty(list); ++i) {
        text += "," + view.service().backends[view.choose(list, choice_mix(i))].address.text();
      }
    }
  };
  for (uint32_t i = 1; i <= 9; ++i) ask(ip("10.96.0." + std::to_string(i)), 80);
  for (uint32_t i = 1; i <= 4; ++i) ask(ip("203.0.113." + std::to_string(i)), 443);
  for (uint16_t port = 30000; port < 30004; ++port) {
    ask(ip("192.0.2.1"), port);
    ask(ip("192.0.2.2"), port);
  }
  return text;
}

void change_randomly(NodeState& state, std::mt19937& random) {
  for (uint32_t changes = 1 + static_cast<uint32_t>(random()) % 3; changes > 0; --changes) {
    const ServiceId id = 1 + static_cast<uint32_t>(random()) % 8;
    if (random() % 3 == 0) {
      state.services.erase(id);
      continue;
    }
    Service service = sample_service(id, static_cast<uint32_t>(random()) % 5 * (random() % 8 == 0 ? 20 : 1));
    if (random() % 2 == 0 && !service.cluster_backends.empty()) service.cluster_backends.pop_back();
    for (const uint32_t backend : service.cluster_backends) {
      if (random() % 3 == 0) service.local_backends.push_back(backend);
    }
    const auto last = std::to_string(1 + random() % 4);
    if (random() % 2 == 0)
      service.frontends.push_back({FrontendKind::kExternalIp, ip("203.0.113." + last), 443});
    if (random() % 2 == 0) {
      service.frontends.push_back({FrontendKind::kNodePort, {}, static_cast<uint16_t>(30000 + random() % 4)});
    }
    state.services[id] = share(service);
  }
  if (random() % 12 == 0) {
    state.settings.cluster_services = {net(random() % 2 == 0 ? "10.96.0.0/16" : "10.96.0.0/29")};
    state.settings.node_port_addresses = {ip(random() % 2 == 0 ? "192.0.2.1" : "192.0.2.2")};
  }
}

TEST(SnapshotServices, EveryWayToAStateAnswersAlike) {
  for (uint32_t seed = 1; seed <= 8; ++seed) {
    std::mt19937 random(seed);
    NodeState state = services_world();
    SnapshotBuilder stepwise;
    for (int step = 0; step < 150; ++step) {
      step_to(stepwise, state);
      SnapshotBuilder at_once;
      step_to(at_once, state);
      ASSERT_EQ(answers(*stepwise.seal()), answers(*at_once.seal())) << "seed " << seed << " step " << step;
      change_randomly(state, random);
    }
  }
}

struct GenerationsTest : ::testing::Test {
  SnapshotBuilder builder;
  NodeState state = services_world();
  std::shared_ptr<const Snapshot> before;

  void start(const Service& service) {
    state.services[service.id] = share(service);
    step_to(builder, state);
    before = builder.seal();
  }
  // Endpoints whose flows ask again after `service` was put; 9 stands for the host's.
  std::string asks(const Service* service, ServiceId id = 5) {
    if (service != nullptr) {
      state.services[id] = share(*service);
    } else {
      state.services.erase(id);
    }
    step_to(builder, state);
    const std::shared_ptr<const Snapshot> now = builder.seal();
    std::string moved;
    const auto look = [&](uint32_t next_hop, char name) {
      const uint32_t id_of = now->next_hop(next_hop).paths[0].template_id;
      if (now->template_of(id_of).generation != before->template_of(id_of).generation) moved += name;
    };
    for (EndpointId pod = 1; pod <= 4; ++pod) {
      look(now->route(wire("10.244.2." + std::to_string(pod)), 4), static_cast<char>('0' + pod));
    }
    look(kHostNextHop, '9');
    before = now;
    return moved;
  }
};

// Endpoint churn costs no flow anything: those it concerns are found by reconciliation.
TEST_F(GenerationsTest, NoFlowAsksAgainBecauseAServiceChanged) {
  Service service = sample_service(5, 4);
  start(service);
  service.backends[1].serving = false;
  EXPECT_EQ(asks(&service), "");
  service.backends.pop_back();
  service.cluster_backends = {0, 2};
  EXPECT_EQ(asks(&service), "");
  service.frontends[0].port = 81;
  service.frontends.push_back({FrontendKind::kNodePort, {}, 30080});
  EXPECT_EQ(asks(&service), "");
  EXPECT_EQ(asks(nullptr, 5), "");
}

}  // namespace
}  // namespace fairlead::core
