#include "tests/calc/service_fixture.hpp"

#include <gtest/gtest.h>

#include <array>
#include <random>

// Random histories of Services, slices and what surrounds them: keeping up with events gives what one run
// over the whole intent gives, and every step is a delta that applies.

namespace fairlead::control {
namespace {

class History {
 public:
  explicit History(uint32_t seed) : random_(seed) {}

  unsigned pick(unsigned below) { return std::uniform_int_distribution<unsigned>(0, below - 1)(random_); }

  // Few names, addresses and ports on purpose: they collide all the time.
  ServiceObject random_service() {
    ServiceObject s = service("s" + std::to_string(pick(6)), {}, {});
    s.created = pick(4) == 0 ? kUnknownTime : pick(3);
    s.type = std::array{ServiceType::kClusterIp, ServiceType::kNodePort, ServiceType::kLoadBalancer,
                        ServiceType::kExternalName}[pick(8) == 0 ? 3 : pick(3)];
    s.is_headless = pick(10) == 0;
    s.is_foreign = pick(10) == 0;
    if (pick(8) != 0)
      s.cluster_ips.push_back(ip((pick(6) == 0 ? "203.0.113." : "10.96.0.") + std::to_string(1 + pick(5))));
    if (pick(3) == 0) s.cluster_ips.push_back(ip("fd00:96::" + std::to_string(1 + pick(3))));
    for (unsigned i = pick(4); i > 0; --i) {
      const ServicePort port{"p" + std::to_string(pick(4)), std::array<uint8_t, 3>{6, 17, 132}[pick(3)],
                             static_cast<uint16_t>(80 + pick(3)), static_cast<uint16_t>(pick(3) * 30000)};
      const bool is_twin = std::any_of(s.ports.begin(), s.ports.end(), [&](const ServicePort& earlier) {
        return earlier.protocol == port.protocol && (earlier.port == port.port || earlier.name == port.name);
      });
      if (!is_twin) s.ports.push_back(port);
    }
    for (unsigned i = pick(3); i > 0; --i) s.external_ips.push_back(random_outside());
    for (unsigned i = pick(3); i > 0; --i)
      s.ingress.push_back({random_outside(), pick(3) != 0, pick(3) == 0, {{6, 80}}});
    s.external_local = pick(2) != 0;
    s.internal_local = pick(4) == 0;
    if (pick(2) != 0) s.health_check_node_port = static_cast<uint16_t>(30000 + 2000 * pick(2));
    if (pick(3) == 0) s.reply_path = std::array{core::ReplyPath::kGeneve, core::ReplyPath::kIpInIp}[pick(2)];
    if (pick(6) == 0) s.problems.push_back({"FL1035", "spec.x", "is wrong"});
    return s;
  }
  core::IpAddress random_outside() {
    return ip((pick(4) == 0   ? "192.0.2."
               : pick(4) == 0 ? "10.96.0."
                              : "203.0.113.") +
              std::to_string(1 + pick(4)));
  }
  EndpointSliceObject random_slice() {
    const bool is_ipv6 = pick(4) == 0;
    EndpointSliceObject s =
        slice(pick(8) == 0 ? "" : "s" + std::to_string(pick(6)), "e" + std::to_string(pick(10)),
              is_ipv6 ? core::Family::kIpv6 : core::Family::kIpv4, {}, {});
    s.is_foreign = pick(8) == 0;
    for (unsigned i = pick(4); i > 0; --i)
      s.ports.push_back({"p" + std::to_string(pick(4)), std::array<uint8_t, 3>{6, 17, 132}[pick(3)],
                         static_cast<uint16_t>(8080 + pick(2))});
    for (unsigned i = pick(5); i > 0; --i) {
      SliceEndpoint e = at((is_ipv6        ? "fd00:10:244::"
                            : pick(9) == 0 ? "10.96.0."
                                           : "10.244.1.") +
                               std::to_string(1 + pick(6)),
                           pick(5) == 0 ? "" : "n" + std::to_string(1 + pick(2)), pick(3) != 0);
      e.terminating = pick(3) == 0;
      e.serving = e.ready || pick(2) != 0;
      if (pick(3) != 0) e.for_zones = {"z" + std::to_string(pick(2))};
      if (pick(3) == 0) e.for_nodes = {"n" + std::to_string(1 + pick(2))};
      s.endpoints.push_back(e);
    }
    return s;
  }
  Event random_event() {
    switch (pick(12)) {
      case 0:
        return ServiceDeleted{"default/s" + std::to_string(pick(6))};
      case 1:
        return EndpointSliceDeleted{"default/e" + std::to_string(pick(10))};
      case 2: {
        // Ranges of their own: who wins a disputed one is compile_test's matter.
        const std::string number = std::to_string(1 + pick(3));
        NodeObject n =
            node("n" + number, {"192.0.2." + std::to_string(1 + pick(4))}, {"10.244." + number + ".0/24"});
        n.zone = pick(2) != 0 ? "z0" : "";
        return NodeUpserted{n};
      }
      case 3:
        return NodeDeleted{"n" + std::to_string(1 + pick(3))};
      case 4: {
        ClusterNetwork network;
        if (pick(2) != 0) network.services = {prefix("10.96.0.0/24"), prefix("fd00:96::/112")};
        if (pick(4) != 0) network.external_ip_ranges = {prefix("203.0.113.0/24")};
        if (pick(4) == 0) network.reply_path = core::ReplyPath::kGeneve;
        if (pick(4) == 0) network.mode = Mode::kOverlay;
        return NetworkChanged{network};
      }
      case 5:
      case 6:
      case 7:
      case 8:
        return ServiceUpserted{random_service()};
      default:
        return EndpointSliceUpserted{random_slice()};
    }
  }

  std::mt19937 random_;
};

TEST(ServiceProperty, KeepingUpEqualsOneRunOverEverything) {
  for (uint32_t seed = 1; seed <= 150; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    History history(seed);
    Intent intent = base();
    NodeCompiler kept;
    core::NodeState programmed;
    for (int step = 0; step < 60; ++step) {
      SCOPED_TRACE("step " + std::to_string(step));
      const Event event = history.random_event();
      if (!apply(intent, event)) continue;
      kept.changed(event);
      const NodeCompiler::Changes changes = kept.update(intent);
      const Compiled whole = compile(intent, kept.state());
      ASSERT_EQ(core::validate(kept.state()), "");
      ASSERT_EQ(kept.state(), whole.state);
      ASSERT_EQ(text(kept.refusals()), text(whole.refusals));
      ASSERT_EQ(kept.health_checks(), whole.health_checks);

      // What it says has changed is all that has.
      core::NodeState wanted = kept.state();
      wanted.generation = programmed.generation + 1;
      const core::NodeStateDelta delta = core::diff(programmed, wanted);
      ASSERT_EQ(delta.upsert_services.size(), changes.services.upserts.size());
      ASSERT_EQ(delta.remove_services.size(), changes.services.removals.size());
      ASSERT_EQ(core::apply(programmed, delta), "");
    }
  }
}

TEST(ServiceProperty, OrderNeverMatters) {
  for (uint32_t seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    History history(seed);
    // The last word about each object, in any order.
    std::map<std::string, Event> last;
    for (int i = 0; i < 40; ++i) {
      const ServiceObject s = history.random_service();
      last["s" + key_of(s)] = ServiceUpserted{s};
      const EndpointSliceObject e = history.random_slice();
      last["e" + key_of(e)] = EndpointSliceUpserted{e};
    }
    std::vector<Event> events;
    for (const auto& [key, event] : last) events.push_back(event);
    Intent first = base();
    for (const Event& event : events) apply(first, event);
    const Compiled wanted = compile(first, {});
    for (int turn = 0; turn < 3; ++turn) {
      std::shuffle(events.begin(), events.end(), history.random_);
      Intent intent = base();
      NodeCompiler kept;
      static_cast<void>(kept.update(intent));
      for (const Event& event : events) {
        apply(intent, event);
        kept.changed(event);
        if (history.pick(3) == 0) static_cast<void>(kept.update(intent));
      }
      static_cast<void>(kept.update(intent));
      ASSERT_EQ(kept.state(), compile(first, kept.state()).state) << "but for the ids, which came by order";
      ASSERT_EQ(text(kept.refusals()), text(wanted.refusals));
      ASSERT_EQ(kept.health_checks(), wanted.health_checks);
    }
  }
}

TEST(ServiceProperty, ARestartKeepsEveryId) {
  for (uint32_t seed = 1; seed <= 100; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    History history(seed);
    Intent intent = base();
    for (int i = 0; i < 30; ++i) {
      const Event event = history.random_event();
      apply(intent, event);
    }
    core::NodeState has = compile(intent, {}).state;
    has.generation = 7;
    NodeCompiler kept;
    kept.adopt(has);
    const NodeCompiler::Changes changes = kept.update(intent);
    EXPECT_TRUE(changes.services.empty());
    core::NodeState now = kept.state();
    now.generation = 7;
    ASSERT_EQ(now, has);
  }
}

}  // namespace
}  // namespace fairlead::control
