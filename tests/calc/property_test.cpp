#include "tests/calc/fixture.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

// Random clusters, seeds printed: what must hold for every one of them.

namespace fairlead::control {
namespace {

class Cluster {
 public:
  explicit Cluster(uint32_t seed) : random_(seed) {}

  unsigned pick(unsigned below) { return std::uniform_int_distribution<unsigned>(0, below - 1)(random_); }

  // Small numbers on purpose: ranges and addresses collide often.
  NodeObject random_node(unsigned index) {
    NodeObject object = node("n" + std::to_string(index), {}, {});
    if (pick(8) != 0)
      object.internal_ips.push_back(ip((pick(2) != 0 ? "192.0.2." : "198.51.100.") + std::to_string(index)));
    if (pick(2) != 0)
      object.internal_ips.push_back(
          ip((pick(2) != 0 ? "2001:db8::" : "2001:db8:1::") + std::to_string(index)));
    for (unsigned i = pick(3); i > 0; --i) {
      const auto address = ip("10." + std::to_string(pick(3)) + "." + std::to_string(pick(8)) + "." +
                              std::to_string(pick(256)));
      object.pod_cidrs.push_back(core::Prefix::enclosing(address, static_cast<uint8_t>(20 + pick(12))));
    }
    if (pick(3) == 0) {
      const auto address = ip("fd00:" + std::to_string(pick(9)) + "::");
      object.pod_cidrs.push_back(core::Prefix::enclosing(address, 64));
    }
    if (pick(5) == 0) object.vtep_mac = core::MacAddress{{2, 0, 0, 0, 0, static_cast<uint8_t>(index)}};
    return object;
  }

  core::Endpoint random_endpoint(unsigned id) {
    return endpoint(id, {"10." + std::to_string(pick(3)) + "." + std::to_string(pick(8)) + "." +
                         std::to_string(pick(256))});
  }

  std::vector<Event> events() {
    std::vector<Event> all;
    ClusterNetwork network;
    network.mode = std::array{Mode::kOverlay, Mode::kRouted, Mode::kAuto}[pick(3)];
    if (pick(2) != 0) network.pods = {prefix("10.0.0.0/14")};
    if (pick(2) != 0) network.services = {prefix("10.0.4.0/24")};
    if (pick(3) == 0) network.mtu = static_cast<uint16_t>(1280 + pick(300));
    all.emplace_back(NetworkChanged{network});
    Intent seedling = base();
    if (pick(4) != 0) seedling.host.local_addresses.push_back(ip("10.1.1." + std::to_string(pick(256))));
    all.emplace_back(HostChanged{seedling.host});
    for (unsigned i = 1; i <= 12; ++i) all.emplace_back(NodeUpserted{random_node(i)});
    for (unsigned i = 1; i <= 12; ++i) all.emplace_back(EndpointAttached{random_endpoint(i)});
    for (unsigned i = 1; i <= 3; ++i)
      all.emplace_back(PodUpserted{{"default", "pod-" + std::to_string(i), "n1", ""}});
    return all;
  }

  Intent fold(const std::vector<Event>& all) {
    Intent intent;
    intent.self = "n1";
    for (const Event& event : all) apply(intent, event);
    return intent;
  }

  void shuffle(std::vector<Event>& all) { std::shuffle(all.begin(), all.end(), random_); }

 private:
  std::mt19937 random_;
};

void expect_sound(const core::NodeState& state) {
  EXPECT_EQ(core::validate(state), "");
  std::vector<core::Prefix> ranges = state.settings.local_pods;
  for (const auto& [id, p] : state.peers) {
    ranges.insert(ranges.end(), p.pod_cidrs.begin(), p.pod_cidrs.end());
    EXPECT_NE(p.node, state.settings.node);
    EXPECT_TRUE(static_cast<bool>(p.vtep));
  }
  for (size_t i = 0; i < ranges.size(); ++i) {
    for (size_t j = 0; j < i; ++j)
      EXPECT_FALSE(ranges[i].overlaps(ranges[j])) << ranges[i].text() << " " << ranges[j].text();
  }
  EXPECT_LE(state.settings.pod_mtu, state.settings.uplink_mtu);
}

TEST(CompileProperty, OrderNeverMattersAndResultsAreSound) {
  for (uint32_t seed = 1; seed <= 400; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Cluster cluster(seed);
    std::vector<Event> events = cluster.events();
    const core::NodeState before = compile(cluster.fold(cluster.events()), {}).state;
    const Compiled first = compile(cluster.fold(events), before);
    expect_sound(first.state);
    for (int turn = 0; turn < 3; ++turn) {
      cluster.shuffle(events);
      const Compiled again = compile(cluster.fold(events), before);
      ASSERT_EQ(again.state, first.state);
      ASSERT_EQ(text(again.refusals), text(first.refusals));
    }
    ASSERT_EQ(compile(cluster.fold(events), first.state).state, first.state)
        << "a second compile changes nothing";
  }
}

TEST(CompileProperty, EveryStepOfAHistoryDiffsAndApplies) {
  for (uint32_t seed = 1; seed <= 60; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    Cluster cluster(seed);
    Intent intent;
    intent.self = "n1";
    core::NodeState programmed;
    std::vector<Event> events = cluster.events();
    for (const Event& event : cluster.events()) events.push_back(event);
    for (unsigned i = 1; i <= 12; ++i) {
      events.emplace_back(NodeDeleted{"n" + std::to_string(i)});
      events.emplace_back(EndpointDetached{i});
    }
    cluster.shuffle(events);
    for (const Event& event : events) {
      if (!apply(intent, event)) continue;
      core::NodeState wanted = compile(intent, programmed).state;
      expect_sound(wanted);
      wanted.generation = programmed.generation + 1;
      ASSERT_EQ(core::apply(programmed, core::diff(programmed, wanted)), "");
      ASSERT_EQ(programmed, wanted);
    }
  }
}

}  // namespace
}  // namespace fairlead::control
