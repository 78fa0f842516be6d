// The structures snapshots share, and what the builder makes of ECMP, weights and layers of routes.
#include "dataplane/core/snapshot_builder.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace fairlead::core {
namespace {

TEST(RadixArray, OlderCopiesKeepWhatTheyHad) {
  RadixArray<int, 3> array;
  EXPECT_EQ(array.find(5), nullptr);
  array.set(5, 50);
  array.set(200000, 2);
  const RadixArray<int, 3> older = array;
  array.set(5, 51);
  array.reset(200000);
  EXPECT_EQ(*older.find(5), 50);
  EXPECT_EQ(*older.find(200000), 2);
  EXPECT_EQ(*array.find(5), 51);
  EXPECT_EQ(*array.find(200000), 0);
  EXPECT_EQ(array.find(1u << 18), nullptr);
}

struct PoorHash {  // few values: long paths and buckets
  uint32_t operator()(int key) const { return static_cast<uint32_t>(key) % 7 * 0x41041041u; }
};

template <typename Hash>
void compare_with_map(int keys) {
  std::mt19937 random(7);
  HashTrie<int, int, Hash> trie;
  std::map<int, int> map;
  std::vector<std::pair<HashTrie<int, int, Hash>, std::map<int, int>>> versions;
  for (int step = 0; step < 3000; ++step) {
    const int key = static_cast<int>(random() % static_cast<unsigned>(keys));
    if (random() % 3 == 0) {
      trie.erase(key);
      map.erase(key);
    } else {
      trie.set(key, step);
      map[key] = step;
    }
    if (step % 500 == 0) versions.emplace_back(trie, map);
  }
  versions.emplace_back(trie, map);
  for (const auto& [old_trie, old_map] : versions) {
    for (int key = 0; key < keys; ++key) {
      const auto wanted = old_map.find(key);
      const int* found = old_trie.find(key);
      ASSERT_EQ(found != nullptr, wanted != old_map.end());
      if (found != nullptr) {
        ASSERT_EQ(*found, wanted->second);
      }
    }
  }
}

struct GoodHash {
  uint32_t operator()(int key) const { return static_cast<uint32_t>(key) * 0x9e3779b1u; }
};

TEST(HashTrie, IsAMapWhoseOldVersionsStay) {
  compare_with_map<GoodHash>(1000);
  compare_with_map<PoorHash>(100);
}

class BuilderTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const PortFacts ports[] = {{.id = 1, .kind = PortKind::kUplink},
                               {.id = 2, .kind = PortKind::kTrunk},
                               {.id = 3, .kind = PortKind::kHost},
                               {.id = 4, .kind = PortKind::kUplink}};
    ASSERT_TRUE(builder_.set_ports(ports).ok());
    for (PortId port : {1, 4})
      underlay_.links[port] = {{{2, 0, 0, 0, 0, static_cast<uint8_t>(port)}}, 1500, true};
  }
  std::unique_ptr<const Snapshot> sealed() { return builder_.seal(); }
  const NextHop& hop_to(const Snapshot& snapshot, const char* address) {
    ip_address wire;
    std::memcpy(&wire, IpAddress::parse(address)->bytes.data(), sizeof(wire));
    return snapshot.next_hop(snapshot.route(wire, IpAddress::parse(address)->is_ipv4() ? 4 : 6));
  }
  static UnderlayNextHop via(const char* gateway, PortId port, uint16_t weight = 1) {
    return {*IpAddress::parse(gateway), port, weight};
  }
  std::map<PortId, int> shares(const Snapshot& snapshot, const NextHop& hop) {
    std::map<PortId, int> all;
    for (unsigned i = 0; i < hop.path_count; ++i)
      ++all[snapshot.template_of(hop.paths[i].template_id).tx_port];
    return all;
  }

  SnapshotBuilder builder_;
  Underlay underlay_;
};

TEST_F(BuilderTest, EcmpHonoursWeightsAndDeadLinks) {
  underlay_.routes[*Prefix::parse("0.0.0.0/0")].next_hops = {via("192.0.2.1", 1, 3),
                                                             via("198.51.100.1", 4, 1)};
  underlay_.routes[*Prefix::parse("203.0.113.0/24")].next_hops = {via("192.0.2.1", 1, 100),
                                                                  via("198.51.100.1", 4, 300)};
  ASSERT_TRUE(builder_.set_underlay(underlay_).ok());
  auto snapshot = sealed();
  EXPECT_EQ(shares(*snapshot, hop_to(*snapshot, "8.8.8.8")), (std::map<PortId, int>{{1, 3}, {4, 1}}));
  EXPECT_EQ(shares(*snapshot, hop_to(*snapshot, "203.0.113.1")), (std::map<PortId, int>{{1, 4}, {4, 12}}));
  underlay_.links[4].up = false;
  ASSERT_TRUE(builder_.set_underlay(underlay_).ok());
  snapshot = sealed();
  EXPECT_EQ(shares(*snapshot, hop_to(*snapshot, "203.0.113.1")), (std::map<PortId, int>{{1, 16}}));
}

TEST_F(BuilderTest, PodRoutesHideUnderlayRoutesAndShowThemAgain) {
  underlay_.routes[*Prefix::parse("10.244.2.128/25")].next_hops = {via("192.0.2.1", 1)};
  underlay_.routes[*Prefix::parse("10.244.2.200/32")].kind = UnderlayRouteKind::kLocal;
  ASSERT_TRUE(builder_.set_underlay(underlay_).ok());
  auto snapshot = sealed();
  EXPECT_EQ(hop_to(*snapshot, "10.244.2.129").kind, NextHopKind::kGateway);
  NodeState state;
  state.generation = 1;
  state.peers[2].id = 2;
  state.peers[2].node = "node-2";
  state.peers[2].vtep = *IpAddress::parse("192.0.2.2");
  state.routes[*Prefix::parse("10.244.2.0/24")] = {RouteKind::kPeer, 2};
  ASSERT_TRUE(builder_.publish(diff({}, state)).ok());
  snapshot = sealed();
  EXPECT_EQ(hop_to(*snapshot, "10.244.2.129").kind, NextHopKind::kPeer);
  EXPECT_EQ(hop_to(*snapshot, "10.244.2.200").kind, NextHopKind::kHost);
  NodeState without;
  without.generation = 2;
  ASSERT_TRUE(builder_.publish(diff(state, without)).ok());
  snapshot = sealed();
  EXPECT_EQ(hop_to(*snapshot, "10.244.2.129").kind, NextHopKind::kGateway);
  EXPECT_EQ(hop_to(*snapshot, "10.244.2.1").kind, NextHopKind::kNone);
}

TEST_F(BuilderTest, PodAddressesOfNobodyNeverGoToTheWire) {
  underlay_.routes[*Prefix::parse("0.0.0.0/0")].next_hops = {via("192.0.2.1", 1)};
  ASSERT_TRUE(builder_.set_underlay(underlay_).ok());
  NodeState state;
  state.generation = 1;
  state.settings.cluster_pods = {*Prefix::parse("10.244.0.0/16")};
  state.settings.local_pods = {*Prefix::parse("10.244.1.0/24")};
  ASSERT_TRUE(builder_.publish(diff({}, state)).ok());
  const auto snapshot = sealed();
  EXPECT_EQ(hop_to(*snapshot, "10.244.9.9").kind, NextHopKind::kUnreachable);
  EXPECT_EQ(hop_to(*snapshot, "10.244.1.9").kind, NextHopKind::kBlackhole);
  EXPECT_EQ(hop_to(*snapshot, "10.245.1.9").kind, NextHopKind::kGateway);
}

TEST_F(BuilderTest, AnOldSnapshotStaysWhatItWas) {
  NodeState state;
  state.generation = 1;
  state.endpoints[1].id = 1;
  state.endpoints[1].host_interface = "fla";
  state.endpoints[1].host_ifindex = 1;
  state.endpoints[1].addresses = {*IpAddress::parse("10.244.1.2")};
  state.routes[*Prefix::parse("10.244.1.2/32")] = {RouteKind::kEndpoint, 1};
  ASSERT_TRUE(builder_.publish(diff({}, state)).ok());
  const auto before = sealed();
  NodeState gone;
  gone.generation = 2;
  ASSERT_TRUE(builder_.publish(diff(state, gone)).ok());
  const auto after = sealed();
  EXPECT_EQ(hop_to(*before, "10.244.1.2").kind, NextHopKind::kEndpoint);
  EXPECT_NE(before->endpoint(1), nullptr);
  EXPECT_EQ(hop_to(*after, "10.244.1.2").kind, NextHopKind::kNone);
  EXPECT_EQ(after->endpoint(1), nullptr);
  builder_.reclaim(*after);
}

TEST_F(BuilderTest, NumbersAreUsedAgainButGenerationsGoOn) {
  std::set<uint32_t> ids;
  std::set<uint16_t> generations;
  NodeState empty;
  for (uint64_t round = 0; round < 20; ++round) {
    NodeState state;
    state.generation = round * 2 + 1;
    state.endpoints[5].id = 5;
    state.endpoints[5].host_interface = "fla";
    state.endpoints[5].host_ifindex = 1;
    state.endpoints[5].addresses = {*IpAddress::parse("10.244.1.2")};
    state.routes[*Prefix::parse("10.244.1.2/32")] = {RouteKind::kEndpoint, 5};
    ASSERT_TRUE(builder_.publish(diff(empty, state)).ok());
    const auto snapshot = sealed();
    const uint32_t id = hop_to(*snapshot, "10.244.1.2").paths[0].template_id;
    ids.insert(id);
    generations.insert(snapshot->template_of(id).generation);
    empty.generation = round * 2 + 2;
    ASSERT_TRUE(builder_.publish(diff(state, empty)).ok());
  }
  EXPECT_EQ(ids.size(), 1u);
  EXPECT_EQ(generations.size(), 20u);
}

TEST_F(BuilderTest, PortOutOfRangeIsRefusedWhole) {
  const PortFacts ports[] = {{.id = 1}, {.id = 5000}};
  EXPECT_EQ(builder_.set_ports(ports).error().code, "FL2202");
  EXPECT_NE(sealed()->port(2), nullptr);
}

}  // namespace
}  // namespace fairlead::core
