#include "dataplane/core/flow_table.hpp"
#include "tests/core/flow_keys.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <random>
#include <thread>
#include <vector>

// What holds while several threads use one table. The counts are fixed, not timed: every run does the same
// work.

namespace fairlead::core {
namespace {

constexpr unsigned kWorkers = 2;

struct Shared {
  explicit Shared(uint32_t capacity, bool reply_tuples = false) {
    FlowTableConfig config;
    config.capacity = capacity;
    config.reply_tuples = reply_tuples;
    config.seed = 5;
    table = std::move(*FlowTable4::open(config, epoch, quota));
  }

  // Runs `work(worker)` in as many threads as there are workers, which are online meanwhile.
  template <typename Work>
  void in_workers(const Work& work) {
    std::vector<std::thread> threads;
    for (unsigned worker = 0; worker < kWorkers; ++worker) {
      threads.emplace_back([&, worker] {
        epoch.online(worker);
        work(worker);
        epoch.offline(worker);
      });
    }
    for (std::thread& thread : threads) thread.join();
  }

  Epoch epoch{kWorkers};
  FlowQuota quota{0};
  std::unique_ptr<FlowTable4> table;
};

// Which worker made the entry of each id; kWorkers: nobody.
std::vector<unsigned> makers_of(Shared& shared, uint32_t keys, uint32_t first) {
  std::vector<FlowId> ids[kWorkers];
  std::atomic<uint32_t> arrived{0};
  shared.in_workers([&](unsigned worker) {
    arrived.fetch_add(1);
    while (arrived.load() < kWorkers) std::this_thread::yield();  // both at once
    for (uint32_t n = worker; n < keys; n += kWorkers) {
      const flow_key4 key = make_key<flow_key4>(first + n);
      const InsertResult result = shared.table->insert(key, shared.table->hash(key), {});
      if (result.outcome == InsertOutcome::kInserted) ids[worker].push_back(result.hit.id);
    }
  });
  std::vector<unsigned> makers(shared.table->last_id() + 2, kWorkers);
  for (unsigned worker = 0; worker < kWorkers; ++worker) {
    for (const FlowId id : ids[worker]) makers[id] = worker;
  }
  return makers;
}

uint32_t mixed_pairs(const std::vector<unsigned>& makers) {
  uint32_t mixed = 0;
  for (size_t id = 2; id + 1 < makers.size(); id += 2) {
    mixed += makers[id] != makers[id + 1] && makers[id] != kWorkers && makers[id + 1] != kWorkers ? 1 : 0;
  }
  return mixed;
}

// Two cache lines that a processor fetches together are two workers' only here and there.
TEST(FlowTableThreads, NeighbouringEntriesGoToOneWorker) {
  constexpr uint32_t kKeys = 20000;
  Shared shared(2 * kKeys);
  EXPECT_LT(mixed_pairs(makers_of(shared, kKeys, 0)), kKeys / 2 / 20) << "never used before";
  for (FlowId id = 1; id <= shared.table->last_id(); ++id) (void)shared.table->erase(id);
  for (uint32_t i = 0; i < kKeys; ++i) shared.table->reclaim();
  EXPECT_LT(mixed_pairs(makers_of(shared, kKeys, kKeys)), kKeys / 2 / 3) << "used again";
}

// What a worker has set aside is not lost to the others.
TEST(FlowTableThreads, TheLastEntryIsForWhoeverAsks) {
  constexpr uint32_t kKeys = 300;
  Shared shared(kKeys);
  shared.in_workers([&](unsigned worker) {
    const flow_key4 key = make_key<flow_key4>(worker);
    EXPECT_EQ(shared.table->insert(key, shared.table->hash(key), {}).outcome, InsertOutcome::kInserted);
  });
  for (uint32_t n = kWorkers; n < kKeys; ++n) {
    const flow_key4 key = make_key<flow_key4>(n);
    ASSERT_EQ(shared.table->insert(key, shared.table->hash(key), {}).outcome, InsertOutcome::kInserted) << n;
  }
  EXPECT_EQ(shared.table->size(), kKeys);
}

TEST(FlowTableThreads, ConcurrentInsertsOfOneTupleMakeOneEntry) {
  constexpr uint32_t kKeys = 20000;
  Shared shared(kKeys);
  std::vector<FlowId> ids[kWorkers];
  std::atomic<uint32_t> inserted{0};
  std::atomic<uint32_t> arrived{0};
  shared.in_workers([&](unsigned worker) {
    arrived.fetch_add(1);
    while (arrived.load() < kWorkers) std::this_thread::yield();  // both at once
    for (uint32_t n = 0; n < kKeys; ++n) {
      const flow_key4 key = make_key<flow_key4>(n);
      const InsertResult result = shared.table->insert(key, shared.table->hash(key), {});
      inserted.fetch_add(result.outcome == InsertOutcome::kInserted ? 1 : 0);
      ids[worker].push_back(result.hit.id);
      if (n % 64 == 0) shared.epoch.quiescent(worker);
    }
  });
  EXPECT_EQ(inserted.load(), kKeys);
  EXPECT_EQ(shared.table->size(), kKeys);
  EXPECT_EQ(ids[0], ids[1]);
}

// Every entry carries in its template ids the number of its key: a lookup that returned an entry of another
// key, or one reused under the reader's feet, would show another number.
TEST(FlowTableThreads, AHitIsAlwaysTheRightConnection) {
  constexpr uint32_t kKeys = 512;  // few and hot
  Shared shared(384);              // too small for all: eviction works, too
  std::atomic<uint64_t> wrong{0};
  std::atomic<uint64_t> hits_seen{0};
  std::atomic<bool> done{false};
  std::thread control([&] {
    while (!done.load(std::memory_order_relaxed)) {
      shared.table->age(3, 64);
      FlowCopy<flow_key4> copy;
      for (FlowId id = 1; id <= shared.table->last_id(); ++id) {
        if (!shared.table->read(id, 3, copy)) continue;
        const uint32_t n = copy.verdict[0].template_id - 1;
        const flow_key4 key = make_key<flow_key4>(n);
        if (std::memcmp(&key, &copy.key, sizeof(key)) != 0) wrong.fetch_add(1, std::memory_order_relaxed);
      }
    }
  });
  shared.in_workers([&](unsigned worker) {
    std::mt19937 random(worker + 1);
    flow_key4 keys[32];
    uint64_t hashes[32];
    uint32_t numbers[32];
    bool swapped[32] = {};
    FlowHit hits[32];
    for (int burst = 0; burst < 3000; ++burst) {
      for (int i = 0; i < 32; ++i) {
        numbers[i] = random() % kKeys;
        keys[i] = make_key<flow_key4>(numbers[i]);
        hashes[i] = shared.table->hash(keys[i]);
      }
      shared.table->lookup_burst(keys, hashes, swapped, 32, hits);
      for (int i = 0; i < 32; ++i) {
        if (hits[i].id == 0) {
          const FlowInit init{
              .original = {numbers[i] + 1, 0, {}}, .reply = {numbers[i] + 1, 0, {}}, .now_seconds = 3};
          hits[i] = shared.table->insert(keys[i], hashes[i], init).hit;
          if (hits[i].id == 0) continue;
        }
        hits_seen.fetch_add(1, std::memory_order_relaxed);
        FlowBody& body = shared.table->body(hits[i].id);
        if (body.verdict(Direction::kOriginal).template_id != numbers[i] + 1)
          wrong.fetch_add(1, std::memory_order_relaxed);
        body.touch(Direction::kReply, 3 + static_cast<uint32_t>(burst) % 2);
        shared.table->count(hits[i].id, Direction::kOriginal, 1, 100);
        shared.table->step_datagram(hits[i].id, random() % 8 == 0 ? Direction::kReply : Direction::kOriginal);
        if (random() % 4 == 0) shared.table->erase(hits[i].id);
        // Erased by us or by the other worker: still this connection's until we are quiescent.
        if (body.verdict(Direction::kReply).template_id != numbers[i] + 1)
          wrong.fetch_add(1, std::memory_order_relaxed);
      }
      shared.epoch.quiescent(worker);
    }
  });
  done.store(true, std::memory_order_relaxed);
  control.join();
  EXPECT_EQ(wrong.load(), 0u);
  EXPECT_GT(hits_seen.load(), 10000u);
  // Nothing is lost: what is live can be erased, and then everything is free again.
  for (FlowId id = 1; id <= shared.table->last_id(); ++id) (void)shared.table->erase(id);
  EXPECT_EQ(shared.table->size(), 0u);
  for (int i = 0; i < 10; ++i) shared.table->reclaim();
  for (uint32_t n = 0; n < 384; ++n) {
    const flow_key4 key = make_key<flow_key4>(n);
    EXPECT_EQ(shared.table->insert(key, shared.table->hash(key), {}).outcome, InsertOutcome::kInserted);
  }
}

// Connections that stay are found whatever happens around them (or, in the instant their slot moves, by
// insert()).
TEST(FlowTableThreads, StandingConnectionsAreFoundUnderChurn) {
  constexpr uint32_t kStanding = 1000;
  constexpr uint32_t kChurning = 600;
  Shared shared(2000);  // index of 4096 slots
  std::vector<FlowId> ids;
  for (uint32_t n = 0; n < kStanding; ++n) {
    const flow_key4 key = make_key<flow_key4>(n);
    ids.push_back(shared.table->insert(key, shared.table->hash(key), {.state = FlowState::kTwoWay}).hit.id);
  }
  std::atomic<uint64_t> lost{0};
  shared.in_workers([&](unsigned worker) {
    std::mt19937 random(worker + 7);
    for (int i = 0; i < 60000; ++i) {
      if (worker == 0) {
        const uint32_t n = random() % kStanding;
        const flow_key4 key = make_key<flow_key4>(n);
        const uint64_t hash = shared.table->hash(key);
        FlowHit hit = shared.table->lookup(key, hash, false);
        if (hit.id == 0) hit = shared.table->insert(key, hash, {}).hit;
        if (hit.id != ids[n]) lost.fetch_add(1, std::memory_order_relaxed);
      } else {
        const flow_key4 key = make_key<flow_key4>(kStanding + random() % kChurning);
        const InsertResult result = shared.table->insert(key, shared.table->hash(key), {});
        if (result.outcome == InsertOutcome::kExists) shared.table->erase(result.hit.id);
      }
      if (i % 32 == 0) {
        shared.epoch.quiescent(worker);
        shared.table->reclaim();
      }
    }
  });
  EXPECT_EQ(lost.load(), 0u);
}

TEST(FlowTableThreads, ReplyTuplesAndQuotaStayExact) {
  constexpr uint32_t kKeys = 64;
  constexpr EndpointId kEndpoint = 9;
  Shared shared(256, true);
  shared.in_workers([&](unsigned worker) {
    std::mt19937 random(worker + 3);
    for (int i = 0; i < 30000; ++i) {
      const uint32_t n = random() % kKeys;
      const flow_key4 key = make_key<flow_key4>(n);
      const FlowInit init{.original = {1, 0, FlowIngress::make(FlowIngress::kEndpoint, kEndpoint)},
                          .owner = FlowOwner::kOriginalIngress};
      const flow_key4 reply = make_key<flow_key4>(70000 + random() % kKeys);
      const InsertResult result =
          random() % 4 == 0 ? shared.table->insert(key, shared.table->hash(key), init)
                            : shared.table->insert(key, shared.table->hash(key), init,
                                                   {reply, shared.table->hash(reply), random() % 2 == 0});
      if (result.hit.id != 0) {
        shared.table->set_verdict(result.hit.id, Direction::kOriginal,
                                  {2, 0, FlowIngress::make(FlowIngress::kEndpoint, kEndpoint + random() % 3)},
                                  0);
        if (random() % 3 == 0) shared.table->erase(result.hit.id);
      }
      shared.epoch.quiescent(worker);
    }
  });
  EXPECT_EQ(
      shared.quota.used(kEndpoint) + shared.quota.used(kEndpoint + 1) + shared.quota.used(kEndpoint + 2),
      shared.table->size());
  for (FlowId id = 1; id <= shared.table->last_id(); ++id) (void)shared.table->erase(id);
  EXPECT_EQ(shared.table->size(), 0u);
  for (uint32_t i = 0; i < 3; ++i) EXPECT_EQ(shared.quota.used(kEndpoint + i), 0u);
  for (uint32_t n = 0; n < kKeys; ++n) {
    for (const uint32_t number : {n, n + 70000}) {
      const flow_key4 key = make_key<flow_key4>(number);
      EXPECT_EQ(shared.table->lookup(key, shared.table->hash(key), false).id, 0u);
      EXPECT_EQ(shared.table->lookup(key, shared.table->hash(key), true).id, 0u);
    }
  }
}

// Many workers want source ports for different connections to one destination (reliability N2): every reply
// tuple has one owner, and who sees a connection by one tuple can see it by the other.
TEST(FlowTableThreads, ConcurrentTranslatedInsertsNeverShareAReply) {
  constexpr uint32_t kPorts = 200, kFlowsEach = 5000;
  Shared shared(4096, true);
  std::atomic<uint32_t> owners[kPorts] = {};
  std::atomic<uint32_t> torn{0}, inserted{0};
  shared.in_workers([&](unsigned worker) {
    std::mt19937 random(worker + 77);
    for (uint32_t i = 0; i < kFlowsEach; ++i) {
      const flow_key4 key = make_key<flow_key4>(worker * kFlowsEach + i);
      const uint32_t start = static_cast<uint32_t>(random() % kPorts);
      for (uint32_t probe = 0; probe < kPorts; ++probe) {
        const uint32_t port = (start + probe) % kPorts;
        const flow_key4 reply = make_key<flow_key4>(100000 + port);
        const FlowInit init{.state = FlowState::kTwoWay};
        const InsertResult result = shared.table->insert(key, shared.table->hash(key), init,
                                                         {reply, shared.table->hash(reply), true});
        if (result.outcome != InsertOutcome::kInserted) continue;
        inserted.fetch_add(1, std::memory_order_relaxed);
        if (owners[port].fetch_add(1, std::memory_order_relaxed) != 0) torn.fetch_add(1);
        if (shared.table->lookup(reply, shared.table->hash(reply), true).id != result.hit.id)
          torn.fetch_add(1);
        if (shared.table->lookup(key, shared.table->hash(key), false).id != result.hit.id) torn.fetch_add(1);
        owners[port].fetch_sub(1, std::memory_order_relaxed);
        if (!shared.table->erase(result.hit.id)) torn.fetch_add(1);
        break;
      }
      shared.epoch.quiescent(worker);
    }
  });
  EXPECT_EQ(torn.load(), 0u);
  EXPECT_GT(inserted.load(), kFlowsEach);
  EXPECT_EQ(shared.table->size(), 0u);
}

}  // namespace
}  // namespace fairlead::core
