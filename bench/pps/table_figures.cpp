#include "bench/pps/figures.hpp"
#include "dataplane/core/flow_table.hpp"
#include "dataplane/core/lpm4.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <pthread.h>
#include <random>
#include <sched.h>
#include <thread>
#include <x86intrin.h>

// What writing does to reading: one thread looks up in bursts of 64 on CPU 0, the runner writes on CPU 1.
// The longest time a burst took is compared with that of the same thread in a slice without writing; what the
// machine itself takes (ticks, the hypervisor) is in both.

namespace fairlead::bench {
namespace {

constexpr uint32_t kBurst = 64;
constexpr unsigned kReaderCpu = 0;
constexpr double kAimStallUs = 20, kAimPerSecond = 2e6, kAimLoadSeconds = 1;

void pin(unsigned cpu) {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(cpu, &cpus);
  static_cast<void>(pthread_setaffinity_np(pthread_self(), sizeof cpus, &cpus));
}

double seconds_of(uint64_t cycles) {
  return static_cast<double>(cycles) / (tsc_ghz() * 1e9);
}

// How long bursts took, in microseconds.
struct Stalls {
  double longest = 0;
  double p9999 = 0;
};

// Reads in bursts, in a thread of its own, until told to stop.
template <typename Burst>
class Reader {
 public:
  explicit Reader(Burst burst) : thread_([this, burst] { run(burst); }) {
    while (!runs_.load()) std::this_thread::yield();
  }
  Stalls stop() {
    stops_.store(true);
    thread_.join();
    return stalls_;
  }

 private:
  void run(Burst burst) {
    pin(kReaderCpu);
    std::vector<uint32_t> cycles(4u << 20);  // all of its pages are there before it begins
    size_t count = 0;
    for (int i = 0; i < 1000; ++i) burst();
    runs_.store(true);
    uint64_t last = __rdtsc();
    while (!stops_.load(std::memory_order_relaxed) && count < cycles.size()) {
      burst();
      const uint64_t now = __rdtsc();
      cycles[count++] = static_cast<uint32_t>(std::min<uint64_t>(now - last, UINT32_MAX));
      last = now;
    }
    cycles.resize(count);
    if (cycles.empty()) return;
    const auto rank =
        cycles.begin() + static_cast<ptrdiff_t>(static_cast<double>(cycles.size() - 1) * 0.9999);
    std::nth_element(cycles.begin(), rank, cycles.end());
    stalls_ = {seconds_of(*std::max_element(rank, cycles.end())) * 1e6, seconds_of(*rank) * 1e6};
  }

  std::atomic<bool> runs_{false}, stops_{false};
  Stalls stalls_;
  std::thread thread_;
};

// The same reading for as long as the writing took.
template <typename Burst>
Stalls alone_for(const Burst& burst, double seconds) {
  Reader reads(burst);
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  return reads.stop();
}

// What a kind of writing came to, by round.
struct Written {
  std::vector<double> per_second, longest, longest_alone, p9999, p9999_alone;
  void add(double rate, const Stalls& with, const Stalls& alone) {
    per_second.push_back(rate);
    longest.push_back(with.longest), longest_alone.push_back(alone.longest);
    p9999.push_back(with.p9999), p9999_alone.push_back(alone.p9999);
  }
};

Report::Peer alone(const std::vector<double>& theirs, const std::vector<double>& ours) {
  std::vector<double> ratios;
  for (size_t i = 0; i < ours.size(); ++i) ratios.push_back(theirs[i] / ours[i]);
  return {"the same lookups, nothing written", spread(theirs), spread(ratios)};
}

void report_written(Report& report, const Written& written, const std::string& id, const std::string& what,
                    const nlohmann::json& parameters) {
  report.add({.id = "pps." + id + ".per_second",
              .title = what + " inserted while others are looked up",
              .unit = "1/s",
              .better = "higher",
              .value = spread(written.per_second),
              .parameters = parameters,
              .at_least = kAimPerSecond});
  report.add({.id = "pps." + id + ".stall_p9999_us",
              .title = "lookups of 64 while " + what + " are inserted, all but 1 of 10,000",
              .unit = "us",
              .value = spread(written.p9999),
              .parameters = parameters,
              .peer = {alone(written.p9999_alone, written.p9999)},
              .at_most = kAimStallUs});
  report.add({.id = "pps." + id + ".stall_us",
              .title = "lookups of 64 while " + what + " are inserted, the longest of a slice",
              .unit = "us",
              .value = spread(written.longest),
              .parameters = parameters,
              .peer = {alone(written.longest_alone, written.longest)},
              .at_most = kAimStallUs,
              .limits = "what the machine takes from the core is in it: see the peer"});
}

flow_key4 key_number(uint32_t n) {
  flow_key4 key;
  flow_key4_make(to_be32(0x0a000000 + (n >> 14)), to_be32(0x0af40000 + (n & 0xff)),
                 to_be16(static_cast<uint16_t>(1024 + (n & 0x3fff))), to_be16(443), 17, &key);
  return key;
}

// Keys first .. first + count - 1 in random order.
std::vector<flow_key4> shuffled_keys(uint32_t first, uint32_t count) {
  std::vector<flow_key4> keys;
  keys.reserve(count);
  for (uint32_t n = first; n < first + count; ++n) keys.push_back(key_number(n));
  std::shuffle(keys.begin(), keys.end(), std::mt19937(1));
  return keys;
}

Result<void> flow_inserts(Report& report, unsigned rounds) {
  constexpr unsigned kReaderWorker = 0, kWriterWorker = 1;
  core::Epoch epoch(2);
  core::FlowQuota quota(0);
  core::FlowTableConfig config;
  config.capacity = 3 * kMillion;
  config.seed = 1;
  auto opened = core::FlowTable4::open(config, epoch, quota);
  if (!opened) return opened.error();
  core::FlowTable4& table = **opened;
  const std::vector<flow_key4> known = shuffled_keys(0, kMillion), more = shuffled_keys(kMillion, kMillion);
  epoch.online(kWriterWorker);
  for (const flow_key4& key : known) static_cast<void>(table.insert(key, table.hash(key), {}));
  epoch.offline(kWriterWorker);

  const auto read = [&, at = size_t{0}]() mutable {
    uint64_t hashes[kBurst];
    core::FlowHit hits[kBurst];
    const bool swapped[kBurst] = {};
    for (uint32_t i = 0; i < kBurst; ++i) hashes[i] = table.hash(known[at + i]);
    table.lookup_burst(&known[at], hashes, swapped, kBurst, hits);
    __asm__ volatile("" : : "r"(hits) : "memory");
    epoch.quiescent(kReaderWorker);
    at = (at + kBurst) % known.size();
  };
  epoch.online(kReaderWorker);
  Written written;
  std::vector<core::FlowId> ids(more.size());
  for (unsigned round = 0; round < rounds; ++round) {
    Reader reads(read);
    epoch.online(kWriterWorker);
    size_t inserted = 0;
    const uint64_t begin = __rdtsc();
    for (; inserted < more.size(); ++inserted) {
      const auto result = table.insert(more[inserted], table.hash(more[inserted]), {});
      if (result.outcome != core::InsertOutcome::kInserted) break;
      ids[inserted] = result.hit.id;
      if (inserted % kBurst == 0) epoch.quiescent(kWriterWorker);
    }
    const uint64_t took = __rdtsc() - begin;
    epoch.offline(kWriterWorker);
    const Stalls stalls = reads.stop();
    if (inserted != more.size())
      return Error{"FL6105", "the flow table took " + std::to_string(inserted) + " flows only", ""};
    written.add(static_cast<double>(inserted) / seconds_of(took), stalls, alone_for(read, seconds_of(took)));
    epoch.quiescent(kReaderWorker);
    for (const core::FlowId id : ids) static_cast<void>(table.erase(id));
    for (size_t i = 0; i < more.size() / 64; ++i) {
      epoch.quiescent(kReaderWorker);
      table.reclaim();
    }
  }
  report_written(report, written, "insert4", "flows",
                 {{"flows", known.size()}, {"inserted", more.size()}, {"burst", kBurst}});
  return {};
}

struct Route {
  uint32_t prefix;
  uint8_t length;
};

// Random /24s, a tenth of them longer, as many as `count`, none twice.
std::vector<Route> random_routes(uint32_t count, uint32_t seed) {
  std::mt19937 random(seed);
  std::vector<Route> routes;
  routes.reserve(count);
  while (routes.size() < count) {
    for (uint32_t i = static_cast<uint32_t>(routes.size()); i < count; ++i) {
      const uint8_t length = random() % 10 == 0 ? 28 : 24;
      const uint32_t address = 0x01000000 + static_cast<uint32_t>(random()) % 0xde000000;
      routes.push_back({address & ~((1u << (32 - length)) - 1), length});
    }
    const auto less = [](const Route& a, const Route& b) {
      return a.prefix != b.prefix ? a.prefix < b.prefix : a.length < b.length;
    };
    const auto same = [](const Route& a, const Route& b) {
      return a.prefix == b.prefix && a.length == b.length;
    };
    std::sort(routes.begin(), routes.end(), less);
    routes.erase(std::unique(routes.begin(), routes.end(), same), routes.end());
  }
  std::shuffle(routes.begin(), routes.end(), random);
  return routes;
}

// Sets all of them; how long it took, or FL6105.
Result<double> load_routes(core::Lpm4& table, const std::vector<Route>& routes) {
  const uint64_t begin = __rdtsc();
  uint32_t refused = 0;
  for (size_t i = 0; i < routes.size(); ++i)
    refused += table.set(routes[i].prefix, routes[i].length, 1 + static_cast<uint32_t>(i % 1000)) ? 0 : 1;
  const double seconds = seconds_of(__rdtsc() - begin);
  if (refused != 0) return Error{"FL6105", std::to_string(refused) + " routes were refused", ""};
  return seconds;
}

Result<void> route_inserts(Report& report, unsigned rounds) {
  constexpr uint32_t kRoutes = 1'000'000, kKnown = 100'000;
  const std::vector<Route> all = random_routes(kRoutes + kKnown, 2);
  const std::vector<Route> known(all.begin(), all.begin() + kKnown), more(all.begin() + kKnown, all.end());
  std::vector<double> load_seconds;
  Written written;
  for (unsigned round = 0; round < rounds; ++round) {
    core::Lpm4 empty;
    auto loaded = load_routes(empty, more);
    if (!loaded) return loaded.error();
    load_seconds.push_back(*loaded);

    core::Lpm4 table;
    if (auto begun = load_routes(table, known); !begun) return begun.error();
    const core::Lpm4::View view = table.seal();
    const auto read = [&known, view, at = size_t{0}]() mutable {
      uint32_t addresses[kBurst], values[kBurst];
      for (uint32_t i = 0; i < kBurst; ++i) addresses[i] = known[(at + i) % known.size()].prefix + 1;
      view.lookup_burst(addresses, kBurst, values);
      __asm__ volatile("" : : "r"(values) : "memory");
      at = (at + kBurst) % known.size();
    };
    Reader reads(read);
    auto took = load_routes(table, more);
    const Stalls stalls = reads.stop();
    if (!took) return took.error();
    written.add(kRoutes / *took, stalls, alone_for(read, *took));
  }
  report.add({.id = "pps.routes4.load_s",
              .title = "1 M IPv4 routes into an empty table",
              .unit = "s",
              .value = spread(load_seconds),
              .parameters = {{"routes", kRoutes}},
              .at_most = kAimLoadSeconds});
  report_written(report, written, "route_insert4", "routes",
                 {{"routes", kKnown}, {"inserted", kRoutes}, {"burst", kBurst}});
  return {};
}

}  // namespace

Result<void> table_figures(Report& report, const Rounds& rounds) {
  constexpr unsigned kFlowRoundsMost = 10, kRouteRoundsMost = 5;
  if (auto done = flow_inserts(report, std::min(rounds.count, kFlowRoundsMost)); !done) return done;
  return route_inserts(report, std::min(rounds.count, kRouteRoundsMost));
}

}  // namespace fairlead::bench
