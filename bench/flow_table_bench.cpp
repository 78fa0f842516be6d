// The flow table against rte_hash, on the same keys in the same order: uniformly random hits, misses,
// inserts.
//
// cycles = processor time an operation in cycles of the time-stamp counter, hashing included on both sides.
// The peers' memory has no huge pages here (DPDK without them); run with --no_thp to take ours away, too.

#include "bench/bench_main.hpp"
#include "dataplane/core/flow_table.hpp"

#include <rte_hash.h>
#include <rte_hash_crc.h>

#include <algorithm>
#include <random>

namespace {

using namespace fairlead;
using namespace fairlead::core;
using fairlead::bench::CycleMeter;

constexpr uint32_t kBurst = 64;

template <typename Key>
Key key_number(uint32_t n);

template <>
flow_key4 key_number<flow_key4>(uint32_t n) {
  flow_key4 key;
  flow_key4_make(to_be32(0x0a000000 + (n >> 14)), to_be32(0x0af40000 + (n & 0xff)),
                 to_be16(static_cast<uint16_t>(1024 + (n & 0x3fff))), to_be16(443), 6, &key);
  return key;
}

template <>
flow_key6 key_number<flow_key6>(uint32_t n) {
  const ip_address source{{to_be32(0xfd000000), to_be32(0), to_be32(0), to_be32(n >> 14)}};
  const ip_address destination{{to_be32(0xfd000001), to_be32(0), to_be32(0), to_be32(n & 0xff)}};
  flow_key6 key;
  flow_key6_make(&source, &destination, to_be16(static_cast<uint16_t>(1024 + (n & 0x3fff))), to_be16(443), 6,
                 &key);
  return key;
}

// Keys 0 .. count-1 in random order; a multiple of the burst of them.
template <typename Key>
std::vector<Key> shuffled_keys(uint32_t first, uint32_t count) {
  std::vector<uint32_t> numbers(count);
  for (uint32_t i = 0; i < count; ++i) numbers[i] = first + i;
  std::shuffle(numbers.begin(), numbers.end(), std::mt19937(1));
  std::vector<Key> keys;
  keys.reserve(numbers.size() + kBurst);
  for (const uint32_t n : numbers) keys.push_back(key_number<Key>(n));
  while (keys.size() % kBurst != 0) keys.push_back(keys[keys.size() - kBurst]);
  return keys;
}

template <typename Entry>
struct Ours {
  explicit Ours(uint32_t capacity) {
    FlowTableConfig config;
    config.capacity = capacity;
    config.seed = 1;
    table = std::move(*FlowTable<Entry>::open(config, epoch, quota));
  }
  Epoch epoch{1};
  FlowQuota quota{0};
  std::unique_ptr<FlowTable<Entry>> table;
};

enum class Work { kHit, kHitAndApply, kMiss };

template <typename Entry, Work kWork>
void ours_lookup(benchmark::State& state) {
  using Key = typename Entry::Key;
  const auto count = static_cast<uint32_t>(state.range(0));
  Ours<Entry> ours(count);
  FlowTable<Entry>& table = *ours.table;
  for (const Key& key : shuffled_keys<Key>(0, count)) {
    (void)table.insert(key, table.hash(key), {.state = FlowState::kTcpEstablished, .original = {1, 0, {}}});
  }
  const std::vector<Key> keys = shuffled_keys<Key>(kWork == Work::kMiss ? count : 0, count);
  bool swapped[kBurst] = {};
  uint64_t hashes[kBurst];
  FlowHit hits[kBurst];
  uint64_t found = 0;
  uint64_t expected = 0;
  uint32_t now = 1;
  CycleMeter meter;
  for (auto _ : state) {
    meter.start();
    for (size_t at = 0; at < keys.size(); at += kBurst) {
      for (uint32_t i = 0; i < kBurst; ++i) hashes[i] = table.hash(keys[at + i]);
      table.lookup_burst(&keys[at], hashes, swapped, kBurst, hits);
      for (uint32_t i = 0; i < kBurst; ++i) found += static_cast<uint64_t>(hits[i].id != 0);
      if constexpr (kWork == Work::kHitAndApply) {
        for (uint32_t i = 0; i < kBurst; ++i) {
          FlowBody& body = table.body(hits[i].id);
          benchmark::DoNotOptimize(body.verdict(hits[i].direction));
          body.touch(hits[i].direction, now);
          (void)table.step_tcp(hits[i].id, hits[i].direction, kTcpAck);
          table.count(hits[i].id, hits[i].direction, 1, 64);
        }
      }
    }
    meter.stop(keys.size());
    expected += kWork == Work::kMiss ? 0 : keys.size();
    ++now;
  }
  if (found != expected) state.SkipWithError("lookups found the wrong number of connections");
  meter.report(state, "cycles");
  state.counters["bytes_per_flow"] = static_cast<double>(table.memory_bytes()) / count;
}

// Hits in calls of range(1) keys: as many entries are fetched ahead of the one that is compared.
template <typename Entry>
void ours_lookup_ahead(benchmark::State& state) {
  using Key = typename Entry::Key;
  const auto count = static_cast<uint32_t>(state.range(0));
  const auto ahead = static_cast<uint32_t>(state.range(1));
  Ours<Entry> ours(count);
  FlowTable<Entry>& table = *ours.table;
  const std::vector<Key> keys = shuffled_keys<Key>(0, count);
  for (const Key& key : keys)
    (void)table.insert(key, table.hash(key), {.state = FlowState::kTcpEstablished, .original = {1, 0, {}}});
  bool swapped[kBurst] = {};
  uint64_t hashes[kBurst];
  FlowHit hits[kBurst];
  uint64_t found = 0, expected = 0;
  CycleMeter meter;
  for (auto _ : state) {
    meter.start();
    for (size_t at = 0; at + ahead <= keys.size(); at += ahead) {
      for (uint32_t i = 0; i < ahead; ++i) hashes[i] = table.hash(keys[at + i]);
      table.lookup_burst(&keys[at], hashes, swapped, ahead, hits);
      for (uint32_t i = 0; i < ahead; ++i) found += static_cast<uint64_t>(hits[i].id != 0);
    }
    meter.stop(keys.size() / ahead * ahead);
    expected += keys.size() / ahead * ahead;
  }
  if (found != expected) state.SkipWithError("lookups found the wrong number of connections");
  meter.report(state, "cycles");
}

template <typename Entry>
void ours_insert(benchmark::State& state) {
  using Key = typename Entry::Key;
  const auto count = static_cast<uint32_t>(state.range(0));
  const std::vector<Key> keys = shuffled_keys<Key>(0, count);
  CycleMeter meter;
  for (auto _ : state) {
    state.PauseTiming();
    auto ours = std::make_unique<Ours<Entry>>(count + kBurst);
    FlowTable<Entry>& table = *ours->table;
    // Memory as in a table that has been in use: every page is there.
    std::vector<FlowId> ids;
    ids.reserve(keys.size());
    for (const Key& key : keys) ids.push_back(table.insert(key, table.hash(key), {}).hit.id);
    for (const FlowId id : ids) table.erase(id);
    for (uint32_t i = 0; i < count / 128; ++i) table.reclaim();
    state.ResumeTiming();
    uint64_t inserted = 0;
    meter.start();
    for (const Key& key : keys) {
      inserted +=
          static_cast<uint64_t>(table.insert(key, table.hash(key), {}).outcome == InsertOutcome::kInserted);
    }
    meter.stop(keys.size());
    if (inserted < count) state.SkipWithError("an insert failed");
    state.PauseTiming();
    ours.reset();
    state.ResumeTiming();
  }
  meter.report(state, "cycles");
}

template <typename Key>
rte_hash* make_peer(uint32_t count) {
  rte_hash_parameters parameters = {};
  parameters.name = "peer";
  parameters.entries = count + count / 8 + 64;
  parameters.key_len = sizeof(Key);
  parameters.hash_func = rte_hash_crc;
  parameters.extra_flag = RTE_HASH_EXTRA_FLAGS_RW_CONCURRENCY_LF;
  return rte_hash_create(&parameters);
}

template <typename Key, Work kWork>
void peer_lookup(benchmark::State& state) {
  const auto count = static_cast<uint32_t>(state.range(0));
  rte_hash* peer = make_peer<Key>(count);
  if (peer == nullptr) return state.SkipWithError("rte_hash_create failed");
  for (const Key& key : shuffled_keys<Key>(0, count)) rte_hash_add_key(peer, &key);
  const std::vector<Key> keys = shuffled_keys<Key>(kWork == Work::kMiss ? count : 0, count);
  const void* pointers[kBurst];
  int32_t positions[kBurst];
  uint64_t found = 0;
  CycleMeter meter;
  for (auto _ : state) {
    meter.start();
    for (size_t at = 0; at < keys.size(); at += kBurst) {
      for (uint32_t i = 0; i < kBurst; ++i) pointers[i] = &keys[at + i];
      rte_hash_lookup_bulk(peer, pointers, kBurst, positions);
      for (uint32_t i = 0; i < kBurst; ++i) found += static_cast<uint64_t>(positions[i] >= 0);
    }
    meter.stop(keys.size());
  }
  benchmark::DoNotOptimize(found);
  meter.report(state, "cycles");
  rte_hash_free(peer);
}

template <typename Key>
void peer_insert(benchmark::State& state) {
  const auto count = static_cast<uint32_t>(state.range(0));
  const std::vector<Key> keys = shuffled_keys<Key>(0, count);
  rte_hash* peer = make_peer<Key>(count);
  if (peer == nullptr) return state.SkipWithError("rte_hash_create failed");
  CycleMeter meter;
  for (auto _ : state) {
    state.PauseTiming();
    rte_hash_reset(peer);
    state.ResumeTiming();
    meter.start();
    for (const Key& key : keys) benchmark::DoNotOptimize(rte_hash_add_key(peer, &key));
    meter.stop(keys.size());
  }
  meter.report(state, "cycles");
  rte_hash_free(peer);
}

}  // namespace

int main(int argc, char** argv) {
  const fairlead::bench::Options options = fairlead::bench::take_options(argc, argv);
  fairlead::bench::start_eal(argv[0], options.large ? "4096" : "1024");
  const auto with_sizes = [&](benchmark::internal::Benchmark* one) {
    one->Arg(16 << 10)->Arg(100000)->Arg(1 << 20)->Unit(benchmark::kMillisecond);
    if (options.large) one->Arg(10000000);
  };
  with_sizes(benchmark::RegisterBenchmark("flow4/hit", ours_lookup<FlowEntry4, Work::kHit>));
  with_sizes(benchmark::RegisterBenchmark("flow4/hit+apply", ours_lookup<FlowEntry4, Work::kHitAndApply>));
  for (const int64_t count : {int64_t{16 << 10}, int64_t{1 << 20}, int64_t{10'000'000}}) {
    if (count > 1 << 20 && !options.large) continue;
    for (const int64_t ahead : {1, 4, 8, 16, 32, 64}) {
      benchmark::RegisterBenchmark("flow4/ahead", ours_lookup_ahead<FlowEntry4>)
          ->Args({count, ahead})
          ->Unit(benchmark::kMillisecond);
    }
  }
  with_sizes(benchmark::RegisterBenchmark("flow4/miss", ours_lookup<FlowEntry4, Work::kMiss>));
  with_sizes(benchmark::RegisterBenchmark("flow4/insert", ours_insert<FlowEntry4>));
  with_sizes(benchmark::RegisterBenchmark("flow6/hit", ours_lookup<FlowEntry6, Work::kHit>));
  with_sizes(benchmark::RegisterBenchmark("flow6/insert", ours_insert<FlowEntry6>));
  with_sizes(benchmark::RegisterBenchmark("rte_hash16/hit", peer_lookup<flow_key4, Work::kHit>));
  with_sizes(benchmark::RegisterBenchmark("rte_hash16/miss", peer_lookup<flow_key4, Work::kMiss>));
  with_sizes(benchmark::RegisterBenchmark("rte_hash16/insert", peer_insert<flow_key4>));
  with_sizes(benchmark::RegisterBenchmark("rte_hash40/hit", peer_lookup<flow_key6, Work::kHit>));
  with_sizes(benchmark::RegisterBenchmark("rte_hash40/insert", peer_insert<flow_key6>));
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
