#include "dataplane/core/flow_table.hpp"

#include "tests/core/flow_keys.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstring>
#include <fstream>
#include <map>
#include <random>
#include <set>
#include <string>
#include <unistd.h>
#include <vector>

namespace fairlead::core {
namespace {

template <typename Entry>
class FlowTableTest : public ::testing::Test {
 protected:
  using Table = FlowTable<Entry>;
  using EntryKey = typename Entry::Key;

  static std::unique_ptr<Table> open(const FlowTableConfig& config, Epoch& epoch, FlowQuota& quota) {
    Result<std::unique_ptr<Table>> table = Table::open(config, epoch, quota);
    EXPECT_TRUE(table.ok()) << (table.ok() ? "" : table.error().text());
    return table.ok() ? std::move(*table) : nullptr;
  }

  std::unique_ptr<Table> open(uint32_t capacity) {
    FlowTableConfig config;
    config.capacity = capacity;
    config.seed = 42;
    config.reply_tuples = true;
    return open(config, epoch_, quota_);
  }

  static InsertResult insert(Table& table, const EntryKey& key, FlowInit init = {}) {
    return table.insert(key, table.hash(key), init);
  }
  static InsertResult insert_translated(Table& table, const EntryKey& key, const EntryKey& reply,
                                        bool swapped, FlowInit init = {}) {
    return table.insert(key, table.hash(key), init, {reply, table.hash(reply), swapped});
  }
  static FlowHit find(const Table& table, const EntryKey& key, bool swapped = false) {
    return table.lookup(key, table.hash(key), swapped);
  }
  // Everything erased becomes usable: its readers (worker 0) are gone.
  void settle(Table& table) {
    for (int i = 0; i < 200; ++i) {
      epoch_.quiescent(0);
      table.reclaim();
    }
  }

  Epoch epoch_{1};
  FlowQuota quota_{0};
};

using Families = ::testing::Types<FlowEntry4, FlowEntry6>;
TYPED_TEST_SUITE(FlowTableTest, Families);

TYPED_TEST(FlowTableTest, RandomChangesMatchAMap) {
  using Key = typename TypeParam::Key;
  constexpr uint32_t kKeys = 3000;
  const auto table = this->open(4096);
  this->epoch_.online(0);
  std::mt19937 random(1);
  std::map<uint32_t, FlowId> model;
  for (int i = 0; i < 60000; ++i) {
    const uint32_t n = random() % kKeys;
    const Key key = make_key<Key>(n);
    const auto found = model.find(n);
    switch (random() % 4) {
      case 0:
      case 1: {
        const InsertResult result = this->insert(*table, key);
        ASSERT_EQ(result.outcome, found == model.end() ? InsertOutcome::kInserted : InsertOutcome::kExists);
        if (found != model.end()) {
          ASSERT_EQ(result.hit.id, found->second);
        }
        model[n] = result.hit.id;
        break;
      }
      case 2:
        if (found == model.end()) break;
        ASSERT_TRUE(table->erase(found->second));
        ASSERT_FALSE(table->erase(found->second));
        model.erase(found);
        break;
      default:
        ASSERT_EQ(this->find(*table, key).id, found == model.end() ? 0 : found->second);
    }
    if (i % 64 == 0) {
      this->epoch_.quiescent(0);
      table->reclaim();
    }
    ASSERT_EQ(table->size(), model.size());
  }
  std::set<FlowId> ids;
  for (const auto& [n, id] : model) EXPECT_TRUE(ids.insert(id).second) << "two connections in one entry";
  // The burst says the same as the single lookup, for hits and misses mixed.
  std::vector<Key> keys;
  std::vector<uint64_t> hashes;
  bool swapped[64] = {};
  FlowHit hits[64];
  for (uint32_t start = 0; start + 64 <= kKeys; start += 64) {
    keys.clear();
    hashes.clear();
    for (uint32_t n = start; n < start + 64; ++n) {
      keys.push_back(make_key<Key>(n));
      hashes.push_back(table->hash(keys.back()));
    }
    table->lookup_burst(keys.data(), hashes.data(), swapped, 64, hits);
    for (uint32_t i = 0; i < 64; ++i) {
      const auto found = model.find(start + i);
      ASSERT_EQ(hits[i].id, found == model.end() ? 0 : found->second);
    }
  }
}

TYPED_TEST(FlowTableTest, DirectionFollowsTheOriginalPacket) {
  using Key = typename TypeParam::Key;
  const auto table = this->open(64);
  for (const bool swapped : {false, true}) {
    const Key key = make_key<Key>(swapped ? 1 : 2);
    FlowInit init;
    init.swapped = swapped;
    ASSERT_EQ(this->insert(*table, key, init).outcome, InsertOutcome::kInserted);
    EXPECT_EQ(this->find(*table, key, swapped).direction, Direction::kOriginal);
    EXPECT_EQ(this->find(*table, key, !swapped).direction, Direction::kReply);
    EXPECT_EQ(this->insert(*table, key, {.swapped = !swapped}).hit.direction, Direction::kReply);
  }
}

TYPED_TEST(FlowTableTest, ReplyTupleFindsTheSameEntry) {
  using Key = typename TypeParam::Key;
  const auto table = this->open(64);
  this->epoch_.online(0);
  const Key original = make_key<Key>(1);
  const Key reply = make_key<Key>(70000);
  const FlowId id = this->insert_translated(*table, original, reply, true).hit.id;
  ASSERT_NE(id, 0u);
  EXPECT_EQ(this->find(*table, reply, true).id, id);
  EXPECT_EQ(this->find(*table, reply, true).direction, Direction::kReply);
  EXPECT_TRUE(this->find(*table, reply, true).translated);
  EXPECT_EQ(this->find(*table, original).direction, Direction::kOriginal);
  const Key target = table->target_of(id, Direction::kOriginal);
  EXPECT_EQ(std::memcmp(&reply, &target, sizeof(Key)), 0);
  EXPECT_TRUE(table->is_target_swapped(id, Direction::kOriginal));
  EXPECT_FALSE(table->is_target_swapped(id, Direction::kReply));
  // The same tuple of another protocol is another connection's.
  EXPECT_EQ(this->find(*table, make_key<Key>(70000, kTcp), true).id, 0u);
  // A tuple means one direction.
  EXPECT_EQ(this->find(*table, reply, false).id, 0u);
  EXPECT_EQ(this->find(*table, original, true).id, 0u);

  // Neither a new connection nor another's reply may take it.
  EXPECT_EQ(this->insert(*table, reply, {.swapped = true}).outcome, InsertOutcome::kExists);
  EXPECT_EQ(this->insert(*table, reply, {.swapped = false}).outcome, InsertOutcome::kTaken);
  EXPECT_EQ(this->insert(*table, reply, {.swapped = false}).hit.id, id);
  const InsertResult other = this->insert_translated(*table, make_key<Key>(2), reply, true);
  EXPECT_EQ(other.outcome, InsertOutcome::kTaken);
  EXPECT_EQ(other.hit.id, id);
  EXPECT_EQ(this->find(*table, make_key<Key>(2)).id, 0u) << "both tuples or neither";
  EXPECT_EQ(table->size(), 1u);
  // The other direction of the tuple may be another translated connection's.
  const InsertResult across = this->insert_translated(*table, reply, make_key<Key>(70001), true);
  EXPECT_EQ(across.outcome, InsertOutcome::kInserted);
  EXPECT_EQ(this->find(*table, reply, false).id, across.hit.id);
  EXPECT_EQ(this->find(*table, reply, true).id, id);

  ASSERT_TRUE(table->erase(id));
  EXPECT_EQ(this->find(*table, original).id, 0u);
  EXPECT_EQ(this->find(*table, reply, true).id, 0u);
  EXPECT_EQ(this->insert_translated(*table, make_key<Key>(2), reply, true).outcome, InsertOutcome::kInserted);
}

TYPED_TEST(FlowTableTest, TranslatedInsertTakesWhatItNeedsOrNothing) {
  using Key = typename TypeParam::Key;
  const auto table = this->open(300);
  this->epoch_.online(0);
  uint32_t inserted = 0;
  for (uint32_t n = 0; n < 1000; ++n) {
    FlowInit init;
    init.state = FlowState::kTwoWay;  // nothing to evict
    const Key reply = make_key<Key>(70000 + n);
    const InsertResult result = table->insert(make_key<Key>(n), table->hash(make_key<Key>(n)), init,
                                              {reply, table->hash(reply), false});
    const bool is_in = result.outcome == InsertOutcome::kInserted;
    inserted += is_in ? 1 : 0;
    ASSERT_EQ(this->find(*table, make_key<Key>(n)).id, result.hit.id);
    ASSERT_EQ(this->find(*table, reply).id, result.hit.id);
    if (!is_in) {
      ASSERT_EQ(result.outcome, InsertOutcome::kFull);
    }
  }
  EXPECT_EQ(inserted, 300u) << "the index has room for both tuples of every connection";
  EXPECT_EQ(table->size(), 300u);
}

TYPED_TEST(FlowTableTest, ErasedEntryIsNotReusedWhileAWorkerMayLookAtIt) {
  using Key = typename TypeParam::Key;
  const auto table = this->open(8);
  this->epoch_.online(0);
  const FlowId id = this->insert(*table, make_key<Key>(1)).hit.id;
  ASSERT_TRUE(table->erase(id));
  for (int i = 0; i < 10; ++i) table->reclaim();
  // The worker has not been quiescent: its id must not become another connection's.
  std::set<FlowId> taken;
  for (uint32_t n = 2; n < 10; ++n) taken.insert(this->insert(*table, make_key<Key>(n)).hit.id);
  EXPECT_EQ(taken.count(id), 0u);
  EXPECT_EQ(taken.size(), 8u);
  for (const FlowId other : taken) ASSERT_TRUE(table->erase(other));
  this->settle(*table);
  taken.clear();
  for (uint32_t n = 2; n < 10; ++n) taken.insert(this->insert(*table, make_key<Key>(n)).hit.id);
  EXPECT_EQ(taken.size(), 8u);
  EXPECT_LE(*taken.rbegin(), 9u) << "new entries were touched although erased ones are free";
}

TYPED_TEST(FlowTableTest, FullTableEvictsOldestUnestablishedAndKeepsEstablished) {
  using Key = typename TypeParam::Key;
  constexpr uint32_t kCapacity = 32;
  const auto table = this->open(kCapacity);
  this->epoch_.online(0);
  FlowInit init;
  init.state = FlowState::kTcpEstablished;
  for (uint32_t n = 0; n < kCapacity - 2; ++n) {
    ASSERT_EQ(this->insert(*table, make_key<Key>(n, kTcp), init).outcome, InsertOutcome::kInserted);
  }
  init.state = FlowState::kTcpSynSent;
  for (const uint32_t n : {100u, 101u}) {
    init.now_seconds = n;  // 100 is older
    ASSERT_EQ(this->insert(*table, make_key<Key>(n, kTcp), init).outcome, InsertOutcome::kInserted);
  }
  init.now_seconds = 110;
  ASSERT_EQ(this->insert(*table, make_key<Key>(102, kTcp), init).outcome, InsertOutcome::kInserted);
  EXPECT_EQ(this->find(*table, make_key<Key>(100, kTcp)).id, 0u);
  EXPECT_NE(this->find(*table, make_key<Key>(101, kTcp)).id, 0u);
  EXPECT_EQ(table->size(), kCapacity);
  // A flood replaces only itself.
  for (uint32_t n = 200; n < 2200; ++n) {
    this->epoch_.quiescent(0);
    (void)this->insert(*table, make_key<Key>(n, kTcp), init);
    ASSERT_LE(table->size(), kCapacity);
  }
  for (uint32_t n = 0; n < kCapacity - 2; ++n)
    EXPECT_NE(this->find(*table, make_key<Key>(n, kTcp)).id, 0u) << n;
}

TYPED_TEST(FlowTableTest, FullOfEstablishedConnectionsRefuses) {
  using Key = typename TypeParam::Key;
  const auto table = this->open(16);
  for (uint32_t n = 0; n < 16; ++n) {
    ASSERT_EQ(this->insert(*table, make_key<Key>(n, kTcp), {.state = FlowState::kTcpEstablished}).outcome,
              InsertOutcome::kInserted);
  }
  EXPECT_EQ(this->insert(*table, make_key<Key>(99, kTcp)).outcome, InsertOutcome::kFull);
  EXPECT_EQ(table->size(), 16u);
  EXPECT_EQ(this->insert(*table, make_key<Key>(3, kTcp)).outcome, InsertOutcome::kExists);
  EXPECT_NE(this->find(*table, make_key<Key>(3, kTcp)).id, 0u);
}

TYPED_TEST(FlowTableTest, FillsToItsCapacity) {
  using Key = typename TypeParam::Key;
  constexpr uint32_t kCapacity = 52000;  // index 79 % full: as full as it gets
  FlowTableConfig config;
  config.capacity = kCapacity;
  config.seed = 7;
  const auto table = this->open(config, this->epoch_, this->quota_);
  for (uint32_t n = 0; n < kCapacity; ++n) {
    ASSERT_EQ(this->insert(*table, make_key<Key>(n), {.state = FlowState::kTwoWay}).outcome,
              InsertOutcome::kInserted)
        << n;
  }
  for (uint32_t n = 0; n < kCapacity; ++n) ASSERT_NE(this->find(*table, make_key<Key>(n)).id, 0u) << n;
}

TYPED_TEST(FlowTableTest, AgeingFollowsStateAndDirection) {
  using Key = typename TypeParam::Key;
  const auto table = this->open(64);
  const FlowTimeouts timeouts;
  const auto add = [&](uint32_t n, uint8_t protocol, FlowState state) {
    return this->insert(*table, make_key<Key>(n, protocol), {.state = state, .now_seconds = 1000}).hit.id;
  };
  const FlowId syn = add(1, kTcp, FlowState::kTcpSynSent);
  const FlowId established = add(2, kTcp, FlowState::kTcpEstablished);
  const FlowId udp = add(3, kUdp, FlowState::kOneWay);
  const FlowId udp_kept = add(4, kUdp, FlowState::kOneWay);
  const auto alive = [&](FlowId id) {
    FlowCopy<Key> copy;
    return table->read(id, 1000, copy);
  };
  EXPECT_EQ(table->age(1000 + timeouts.tcp_syn_seconds - 1, 100), 0u);
  EXPECT_EQ(table->age(1000 + timeouts.tcp_syn_seconds, 100), 1u);
  EXPECT_FALSE(alive(syn));
  table->body(udp_kept).touch(Direction::kReply,
                              1000 + timeouts.udp_one_way_seconds);  // one direction is enough
  EXPECT_EQ(table->age(1000 + timeouts.udp_one_way_seconds, 100), 1u);
  EXPECT_FALSE(alive(udp));
  EXPECT_TRUE(alive(udp_kept));
  EXPECT_EQ(table->age(1000 + timeouts.tcp_established_seconds - 1, 100), 1u);
  EXPECT_TRUE(alive(established));
  EXPECT_EQ(table->age(1000 + timeouts.tcp_established_seconds, 100), 1u);
  EXPECT_EQ(table->size(), 0u);
}

TYPED_TEST(FlowTableTest, AgeingCrossesTheTimeStampsWrap) {
  using Key = typename TypeParam::Key;
  const auto table = this->open(64);
  const uint32_t start = 65536 - 5;
  (void)this->insert(*table, make_key<Key>(1), {.now_seconds = start});
  EXPECT_EQ(table->age(start + 29, 100), 0u);
  EXPECT_EQ(table->age(start + 30, 100), 1u);
}

TYPED_TEST(FlowTableTest, AgeingVisitsASliceAtATime) {
  using Key = typename TypeParam::Key;
  const auto table = this->open(1000);
  for (uint32_t n = 0; n < 1000; ++n) (void)this->insert(*table, make_key<Key>(n));
  uint32_t expired = 0;
  for (int slice = 0; slice < 10; ++slice) {
    const uint32_t now = table->age(5000, 100);
    EXPECT_LE(now, 100u);
    expired += now;
  }
  EXPECT_EQ(expired, 1000u);
}

TYPED_TEST(FlowTableTest, TcpStepsAndRestart) {
  using Key = typename TypeParam::Key;
  const auto table = this->open(64);
  const Key key = make_key<Key>(1, kTcp);
  const FlowId id = this->insert(*table, key, {.state = FlowState::kTcpSynSent}).hit.id;
  const auto state = [&] {
    FlowCopy<Key> copy;
    EXPECT_TRUE(table->read(id, 0, copy));
    return copy.state;
  };
  EXPECT_FALSE(table->step_tcp(id, Direction::kReply, kTcpSyn | kTcpAck));
  EXPECT_EQ(state(), FlowState::kTcpSynReceived);
  EXPECT_FALSE(table->step_tcp(id, Direction::kOriginal, kTcpAck));
  EXPECT_EQ(state(), FlowState::kTcpEstablished);
  EXPECT_FALSE(table->step_tcp(id, Direction::kOriginal, kTcpSyn));
  EXPECT_EQ(state(), FlowState::kTcpEstablished);
  EXPECT_FALSE(table->step_tcp(id, Direction::kOriginal, kTcpFin | kTcpAck));
  EXPECT_FALSE(table->step_tcp(id, Direction::kReply, kTcpFin | kTcpAck));
  EXPECT_EQ(state(), FlowState::kTcpClosed);
  EXPECT_TRUE(table->step_tcp(id, Direction::kReply, kTcpSyn));
  ASSERT_TRUE(table->erase(id));
  const InsertResult again = this->insert(*table, key, {.swapped = true, .state = FlowState::kTcpSynSent});
  EXPECT_EQ(again.outcome, InsertOutcome::kInserted);
  EXPECT_NE(again.hit.id, id);
}

TYPED_TEST(FlowTableTest, VerdictsBelongToTheirDirection) {
  using Key = typename TypeParam::Key;
  const auto table = this->open(64);
  const FlowInit init{.original = {11, 1, FlowIngress::make(FlowIngress::kEndpoint, 7)},
                      .reply = {22, 2, FlowIngress::make(FlowIngress::kPeer, 3)},
                      .now_seconds = 100};
  const FlowId id = this->insert(*table, make_key<Key>(1), init).hit.id;
  EXPECT_EQ(table->body(id).verdict(Direction::kOriginal).template_id, 11u);
  EXPECT_EQ(table->body(id).verdict(Direction::kReply).generation, 2u);
  EXPECT_EQ(table->body(id).verdict(Direction::kReply).ingress.kind(), FlowIngress::kPeer);
  table->body(id).touch(Direction::kReply, 105);
  EXPECT_EQ(table->body(id).verdict(Direction::kReply).template_id, 22u) << "a time-stamp keeps the verdict";
  table->set_verdict(id, Direction::kReply, {33, 0xffff, FlowIngress::make(FlowIngress::kPeer, 4)}, 106);
  EXPECT_EQ(table->body(id).verdict(Direction::kReply).template_id, 33u);
  EXPECT_EQ(table->body(id).verdict(Direction::kReply).generation, 0xffff);
  EXPECT_EQ(table->body(id).verdict(Direction::kReply).ingress.id(), 4u);
  EXPECT_EQ(table->body(id).verdict(Direction::kOriginal).template_id, 11u);
  EXPECT_EQ(table->body(id).idle_seconds(110), 4u);
}

TYPED_TEST(FlowTableTest, CountersAddUpOverSpills) {
  using Key = typename TypeParam::Key;
  const auto table = this->open(64);
  const Key key = make_key<Key>(1);
  const FlowId id = this->insert(*table, key).hit.id;
  std::mt19937 random(3);
  uint64_t packets[2] = {0, 0};
  uint64_t bytes[2] = {0, 0};
  for (int i = 0; i < 20000; ++i) {
    const size_t way = random() % 2;
    const uint32_t more = 1 + random() % 64;
    const uint32_t length = more * (random() % 3 == 0 ? 65000 : 60);
    table->count(id, static_cast<Direction>(way), more, length);
    packets[way] += more;
    bytes[way] += length;
  }
  FlowCopy<Key> copy;
  ASSERT_TRUE(table->read(id, 0, copy));
  for (size_t way = 0; way < 2; ++way) {
    EXPECT_EQ(copy.packets[way], packets[way]);
    EXPECT_EQ(copy.bytes[way], bytes[way]);
  }
  EXPECT_EQ(std::memcmp(&copy.key, &key, sizeof(key)), 0);
  // The next connection in this entry starts at zero.
  ASSERT_TRUE(table->erase(id));
  this->settle(*table);
  ASSERT_EQ(this->insert(*table, make_key<Key>(2)).hit.id, id);
  ASSERT_TRUE(table->read(id, 0, copy));
  EXPECT_EQ(copy.packets[0] + copy.packets[1] + copy.bytes[0] + copy.bytes[1], 0u);
}

TYPED_TEST(FlowTableTest, QuotaIsExactThroughEveryWayOut) {
  using Key = typename TypeParam::Key;
  FlowQuota quota(3);
  FlowTableConfig config;
  config.capacity = 64;
  const auto table = this->open(config, this->epoch_, quota);
  const auto owned = [](EndpointId endpoint) {
    return FlowInit{.original = {1, 0, FlowIngress::make(FlowIngress::kEndpoint, endpoint)},
                    .owner = FlowOwner::kOriginalIngress};
  };
  std::vector<FlowId> ids;
  for (uint32_t n = 0; n < 3; ++n) ids.push_back(this->insert(*table, make_key<Key>(n), owned(9)).hit.id);
  EXPECT_EQ(quota.used(9), 3u);
  EXPECT_EQ(this->insert(*table, make_key<Key>(3), owned(9)).outcome, InsertOutcome::kQuota);
  EXPECT_EQ(this->insert(*table, make_key<Key>(4), owned(8)).outcome, InsertOutcome::kInserted);
  EXPECT_EQ(this->insert(*table, make_key<Key>(5), {}).outcome, InsertOutcome::kInserted)
      << "owned by nobody";
  // Another endpoint takes one over; an insert that finds the entry there gives its allowance back.
  table->set_verdict(ids[0], Direction::kOriginal, {2, 0, FlowIngress::make(FlowIngress::kEndpoint, 8)}, 0);
  EXPECT_EQ(quota.used(9), 2u);
  EXPECT_EQ(quota.used(8), 2u);
  EXPECT_EQ(this->insert(*table, make_key<Key>(1), owned(9)).outcome, InsertOutcome::kExists);
  EXPECT_EQ(quota.used(9), 2u);
  // The other direction's ingress owns nothing.
  table->set_verdict(ids[1], Direction::kReply, {2, 0, FlowIngress::make(FlowIngress::kEndpoint, 8)}, 0);
  EXPECT_EQ(quota.used(8), 2u);
  ASSERT_TRUE(table->erase(ids[1]));
  table->set_verdict(ids[1], Direction::kOriginal, {3, 0, FlowIngress::make(FlowIngress::kEndpoint, 7)}, 0);
  EXPECT_EQ(quota.used(7), 0u) << "an erased entry counts nowhere";
  EXPECT_EQ(table->age(50000, 100), 4u);
  for (const EndpointId endpoint : {7u, 8u, 9u}) EXPECT_EQ(quota.used(endpoint), 0u) << endpoint;
}

TYPED_TEST(FlowTableTest, RefusesImpossibleCapacities) {
  FlowTableConfig config;
  for (const uint32_t capacity : {0u, 0xffffffffu}) {
    config.capacity = capacity;
    const auto table = FlowTable<TypeParam>::open(config, this->epoch_, this->quota_);
    ASSERT_FALSE(table.ok());
    EXPECT_EQ(table.error().code, "FL2206");
  }
}

// Files.

template <typename Entry>
class FlowTableFileTest : public FlowTableTest<Entry> {
 protected:
  FlowTableFileTest() {
    path_ = ::testing::TempDir() + "flows." + std::to_string(::getpid());
    ::unlink(path_.c_str());
    config_.capacity = 500;
    config_.reply_tuples = true;
    config_.path = path_;
  }
  ~FlowTableFileTest() override { ::unlink(path_.c_str()); }

  std::unique_ptr<FlowTable<Entry>> open_file() {
    return FlowTableTest<Entry>::open(config_, this->epoch_, this->quota_);
  }
  void overwrite(std::streamoff at, const std::string& bytes) {
    std::fstream file(path_, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(at);
    file << bytes;
  }

  FlowTableConfig config_;
  std::string path_;
};
TYPED_TEST_SUITE(FlowTableFileTest, Families);

TYPED_TEST(FlowTableFileTest, ANewProcessAdoptsTheConnections) {
  using Key = typename TypeParam::Key;
  uint64_t seed = 0;
  {
    const auto table = this->open_file();
    seed = table->seed();
    for (uint32_t n = 0; n < 300; ++n) {
      const FlowInit init{.swapped = n % 2 != 0,
                          .state = FlowState::kTwoWay,
                          .original = {7, 7, FlowIngress::make(FlowIngress::kEndpoint, 5)},
                          .owner = FlowOwner::kOriginalIngress,
                          .now_seconds = 77};
      const Key reply = make_key<Key>(n + 70000);
      const FlowId id = n % 3 == 0
                            ? this->insert_translated(*table, make_key<Key>(n), reply, true, init).hit.id
                            : this->insert(*table, make_key<Key>(n), init).hit.id;
      ASSERT_NE(id, 0u);
      table->count(id, Direction::kReply, 1000, 1000000);
    }
    for (uint32_t n = 0; n < 100; ++n) {
      ASSERT_TRUE(table->erase(this->find(*table, make_key<Key>(n), n % 2 != 0).id));
    }
  }
  FlowQuota quota(0);
  const auto table = FlowTableTest<TypeParam>::open(this->config_, this->epoch_, quota);
  EXPECT_EQ(table->note(), "adopted 200 connections");
  EXPECT_EQ(table->seed(), seed);
  EXPECT_EQ(table->size(), 200u);
  EXPECT_EQ(quota.used(5), 200u);
  for (uint32_t n = 0; n < 300; ++n) {
    const FlowHit hit = this->find(*table, make_key<Key>(n), n % 2 != 0);
    ASSERT_EQ(hit.id != 0, n >= 100) << n;
    ASSERT_EQ(this->find(*table, make_key<Key>(n + 70000), true).id, n % 3 == 0 ? hit.id : 0) << n;
    if (hit.id == 0) continue;
    EXPECT_EQ(hit.direction, Direction::kOriginal);
    EXPECT_EQ(table->body(hit.id).verdict(Direction::kOriginal).template_id, 0u)
        << "the slow path must be asked again";
    FlowCopy<Key> copy;
    ASSERT_TRUE(table->read(hit.id, 80, copy));
    EXPECT_EQ(copy.state, FlowState::kTwoWay);
    EXPECT_EQ(copy.packets[1], 1000u);
    EXPECT_EQ(copy.idle_seconds, 3u);
  }
  // What was free or erased is usable.
  for (uint32_t n = 1000; n < 1300; ++n) {
    ASSERT_EQ(this->insert(*table, make_key<Key>(n)).outcome, InsertOutcome::kInserted);
  }
}

TYPED_TEST(FlowTableFileTest, AFileThatDoesNotFitIsNotUsedAndSaysWhy) {
  using Key = typename TypeParam::Key;
  const auto fill = [&] {
    ::unlink(this->path_.c_str());
    const auto table = this->open_file();
    (void)this->insert(*table, make_key<Key>(1));
  };
  const auto expect_refused = [&](const std::string& why) {
    const auto table = this->open_file();
    ASSERT_NE(table, nullptr);
    EXPECT_NE(table->note().find("started empty"), std::string::npos) << table->note();
    EXPECT_NE(table->note().find(why), std::string::npos) << table->note();
    EXPECT_EQ(table->size(), 0u);
    EXPECT_EQ(this->find(*table, make_key<Key>(1)).id, 0u);
    EXPECT_EQ(this->insert(*table, make_key<Key>(1)).outcome, InsertOutcome::kInserted);
  };
  fill();
  this->overwrite(0, "NOTFLOWS");
  expect_refused("not a flow table");
  fill();
  this->overwrite(8, std::string("\x09\0\0\0", 4));
  expect_refused("layout version 9");
  fill();
  this->overwrite(16, std::string("\x01", 1));  // the capacity: not what the checksum was made of
  expect_refused("checksum");
  fill();
  this->config_.seed = 99;  // a seed of our own does not keep us from adopting
  EXPECT_EQ(this->open_file()->note(), "adopted 1 connections");
}

TYPED_TEST(FlowTableFileTest, OneProcessAtATime) {
  const auto table = this->open_file();
  const auto second = FlowTable<TypeParam>::open(this->config_, this->epoch_, this->quota_);
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, "FL2205");
}

TYPED_TEST(FlowTableFileTest, AnImpossiblePathIsAnErrorWithAFix) {
  this->config_.path = "/nonexistent/directory/flows";
  const auto table = FlowTable<TypeParam>::open(this->config_, this->epoch_, this->quota_);
  ASSERT_FALSE(table.ok());
  EXPECT_NE(table.error().what.find("/nonexistent/directory/flows"), std::string::npos);
  EXPECT_FALSE(table.error().fix.empty());
}

// Whatever a crash left in the entries, adoption gives a table that works.
TYPED_TEST(FlowTableFileTest, AdoptsWhateverACrashLeft) {
  using Key = typename TypeParam::Key;
  std::mt19937 random(11);
  for (int round = 0; round < 20; ++round) {
    ::unlink(this->path_.c_str());
    {
      const auto table = this->open_file();
      for (uint32_t n = 0; n < 400; ++n) (void)this->insert(*table, make_key<Key>(n));
    }
    for (int wounds = 0; wounds < 300; ++wounds) {
      std::string junk(1 + random() % 16, '\0');
      for (char& byte : junk) byte = static_cast<char>(random());
      this->overwrite(4096 + static_cast<std::streamoff>(random() % 60000), junk);
    }
    const auto table = this->open_file();
    ASSERT_NE(table->note().find("adopted"), std::string::npos);
    uint32_t live = 0;
    std::set<std::string> keys;
    for (FlowId id = 1; id <= table->last_id(); ++id) {
      FlowCopy<Key> copy;
      if (!table->read(id, 0, copy)) continue;
      ++live;
      EXPECT_TRUE(keys.insert(std::string(reinterpret_cast<const char*>(&copy.key), sizeof(Key))).second);
      EXPECT_EQ(this->find(*table, copy.key, copy.original_swapped).id, id);
    }
    EXPECT_EQ(live, table->size());
    for (FlowId id = 1; id <= table->last_id(); ++id) (void)table->erase(id);
    EXPECT_EQ(table->size(), 0u);
    this->settle(*table);
    for (uint32_t n = 0; n < 400; ++n)
      ASSERT_EQ(this->insert(*table, make_key<Key>(n)).outcome, InsertOutcome::kInserted);
  }
}

}  // namespace
}  // namespace fairlead::core
