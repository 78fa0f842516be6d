// The LPM tries against rte_lpm, rte_fib, rte_lpm6 and rte_fib6, on the same routes and addresses.
//
// cycles = processor time an operation in cycles of the time-stamp counter. Lookups in bursts of 64 of random
// addresses, each inside a random route. rte_lpm finds rules by walking a list, so that it is asked for few
// routes only.

#include "bench/bench_main.hpp"
#include "dataplane/core/lpm4.hpp"
#include "dataplane/core/lpm6.hpp"

#include <rte_fib.h>
#include <rte_fib6.h>
#include <rte_lpm.h>

#include <algorithm>
#include <array>
#include <random>
#include <unordered_set>

namespace {

using namespace fairlead::core;
using fairlead::bench::CycleMeter;

constexpr uint32_t kBurst = 64;
constexpr uint32_t kLookups = 1 << 20;

struct Route4 {
  uint32_t prefix;
  uint8_t length;
  uint32_t value;
};

// Lengths about as in the Internet's table: most are /24, few are longer (pods), some short.
std::vector<Route4> routes4(uint32_t count) {
  std::mt19937 random(1);
  std::unordered_set<uint64_t> seen;
  std::vector<Route4> routes;
  while (routes.size() < count) {
    const uint32_t dice = random() % 100;
    const auto length = static_cast<uint8_t>(dice < 60   ? 24
                                             : dice < 95 ? 16 + random() % 8
                                             : dice < 98 ? 25 + random() % 8
                                                         : 8 + random() % 8);
    const uint32_t prefix =
        (0x01000000 + static_cast<uint32_t>(random()) % 0xde000000) & (~uint32_t{0} << (32 - length));
    if (!seen.insert(uint64_t{prefix} << 8 | length).second) continue;
    routes.push_back({prefix, length, static_cast<uint32_t>(1 + routes.size() % 1000)});
  }
  return routes;
}

std::vector<uint32_t> addresses4(const std::vector<Route4>& routes) {
  std::mt19937 random(2);
  std::vector<uint32_t> addresses;
  for (uint32_t i = 0; i < kLookups; ++i) {
    const Route4& route = routes[random() % routes.size()];
    addresses.push_back(route.prefix |
                        (static_cast<uint32_t>(random()) & ~(~uint32_t{0} << (32 - route.length))));
  }
  return addresses;
}

void lpm4_lookup(benchmark::State& state) {
  const std::vector<Route4> routes = routes4(static_cast<uint32_t>(state.range(0)));
  const std::vector<uint32_t> addresses = addresses4(routes);
  Lpm4 table;
  for (const Route4& route : routes) (void)table.set(route.prefix, route.length, route.value);
  const Lpm4::View view = table.seal();
  uint32_t values[kBurst];
  uint64_t missed = 0;
  CycleMeter meter;
  for (auto _ : state) {
    meter.start();
    for (size_t at = 0; at < addresses.size(); at += kBurst) {
      view.lookup_burst(&addresses[at], kBurst, values);
      for (const uint32_t value : values) missed += static_cast<uint64_t>(value == 0);
    }
    meter.stop(addresses.size());
  }
  if (missed != 0) state.SkipWithError("an address inside a route was not found");
  meter.report(state, "cycles");
  state.counters["bytes_per_route"] =
      static_cast<double>(table.memory_bytes()) / static_cast<double>(routes.size());
}

void lpm4_load(benchmark::State& state) {
  const std::vector<Route4> routes = routes4(static_cast<uint32_t>(state.range(0)));
  CycleMeter meter;
  for (auto _ : state) {
    auto table = std::make_unique<Lpm4>();
    meter.start();
    for (const Route4& route : routes) (void)table->set(route.prefix, route.length, route.value);
    benchmark::DoNotOptimize(table->seal());
    meter.stop(routes.size());
    state.PauseTiming();
    table.reset();
    state.ResumeTiming();
  }
  meter.report(state, "cycles");
}

// One route changed, sealed and reclaimed at a time, as a live node does it.
void lpm4_change(benchmark::State& state) {
  const std::vector<Route4> routes = routes4(static_cast<uint32_t>(state.range(0)));
  Lpm4 table;
  for (const Route4& route : routes) (void)table.set(route.prefix, route.length, route.value);
  table.reclaim(table.seal().version());
  std::mt19937 random(3);
  CycleMeter meter;
  for (auto _ : state) {
    const Route4& route = routes[random() % routes.size()];
    meter.start();
    table.clear(route.prefix, route.length);
    table.reclaim(table.seal().version());
    (void)table.set(route.prefix, route.length, route.value);
    table.reclaim(table.seal().version());
    meter.stop(2);
  }
  meter.report(state, "cycles");
}

void rte_lpm_lookup4(benchmark::State& state) {
  const std::vector<Route4> routes = routes4(static_cast<uint32_t>(state.range(0)));
  const std::vector<uint32_t> addresses = addresses4(routes);
  rte_lpm_config config = {};
  config.max_rules = static_cast<uint32_t>(routes.size()) + 16;
  config.number_tbl8s = 1 << 15;
  rte_lpm* peer = rte_lpm_create("peer", SOCKET_ID_ANY, &config);
  if (peer == nullptr) return state.SkipWithError("rte_lpm_create failed");
  for (const Route4& route : routes) rte_lpm_add(peer, route.prefix, route.length, route.value);
  uint32_t values[kBurst];
  uint64_t missed = 0;
  CycleMeter meter;
  for (auto _ : state) {
    meter.start();
    for (size_t at = 0; at < addresses.size(); at += kBurst) {
      rte_lpm_lookup_bulk(peer, &addresses[at], values, kBurst);
      for (const uint32_t value : values)
        missed += static_cast<uint64_t>((value & RTE_LPM_LOOKUP_SUCCESS) == 0);
    }
    meter.stop(addresses.size());
  }
  if (missed != 0) state.SkipWithError("an address inside a route was not found");
  meter.report(state, "cycles");
  rte_lpm_free(peer);
}

rte_fib* make_fib(const std::vector<Route4>& routes) {
  rte_fib_conf config = {};
  config.type = RTE_FIB_DIR24_8;
  config.max_routes = static_cast<int>(2 * routes.size() + 16);
  config.dir24_8.nh_sz = RTE_FIB_DIR24_8_4B;
  config.dir24_8.num_tbl8 = 1 << 16;
  rte_fib* peer = rte_fib_create("peer", SOCKET_ID_ANY, &config);
  return peer;
}

void rte_fib_lookup4(benchmark::State& state) {
  const std::vector<Route4> routes = routes4(static_cast<uint32_t>(state.range(0)));
  std::vector<uint32_t> addresses = addresses4(routes);
  rte_fib* peer = make_fib(routes);
  if (peer == nullptr) return state.SkipWithError("rte_fib_create failed");
  for (const Route4& route : routes) rte_fib_add(peer, route.prefix, route.length, route.value);
  uint64_t values[kBurst];
  uint64_t missed = 0;
  CycleMeter meter;
  for (auto _ : state) {
    meter.start();
    for (size_t at = 0; at < addresses.size(); at += kBurst) {
      rte_fib_lookup_bulk(peer, &addresses[at], values, kBurst);
      for (const uint64_t value : values) missed += static_cast<uint64_t>(value == 0);
    }
    meter.stop(addresses.size());
  }
  if (missed != 0) state.SkipWithError("an address inside a route was not found");
  meter.report(state, "cycles");
  rte_fib_free(peer);
}

void rte_fib_load4(benchmark::State& state) {
  const std::vector<Route4> routes = routes4(static_cast<uint32_t>(state.range(0)));
  CycleMeter meter;
  for (auto _ : state) {
    state.PauseTiming();
    rte_fib* peer = make_fib(routes);
    if (peer == nullptr) return state.SkipWithError("rte_fib_create failed");
    state.ResumeTiming();
    meter.start();
    for (const Route4& route : routes) rte_fib_add(peer, route.prefix, route.length, route.value);
    meter.stop(routes.size());
    state.PauseTiming();
    rte_fib_free(peer);
    state.ResumeTiming();
  }
  meter.report(state, "cycles");
}

struct Route6 {
  std::array<uint8_t, 16> prefix;
  uint8_t length;
  uint32_t value;
};

// 2000::/3, lengths about as in the Internet's table: /48 and /32 mostly, some in between, some /64.
std::vector<Route6> routes6(uint32_t count) {
  std::mt19937 random(1);
  std::vector<Route6> routes;
  while (routes.size() < count) {
    const uint32_t dice = random() % 100;
    const auto length = static_cast<uint8_t>(dice < 50   ? 48
                                             : dice < 70 ? 32
                                             : dice < 95 ? 33 + random() % 15
                                                         : 64);
    Route6 route{{}, length, static_cast<uint32_t>(1 + routes.size() % 1000)};
    for (uint8_t& byte : route.prefix) byte = static_cast<uint8_t>(random());
    route.prefix[0] = static_cast<uint8_t>(0x20 | (route.prefix[0] & 0x1f));
    for (unsigned bit = length; bit < 128; ++bit)
      route.prefix[bit / 8] &= static_cast<uint8_t>(~(0x80u >> (bit % 8)));
    routes.push_back(route);
  }
  return routes;
}

std::vector<std::array<uint8_t, 16>> addresses6(const std::vector<Route6>& routes) {
  std::mt19937 random(2);
  std::vector<std::array<uint8_t, 16>> addresses;
  for (uint32_t i = 0; i < kLookups; ++i) {
    const Route6& route = routes[random() % routes.size()];
    std::array<uint8_t, 16> address = route.prefix;
    for (unsigned byte = 8; byte < 16; ++byte) address[byte] ^= static_cast<uint8_t>(random());
    addresses.push_back(address);
  }
  return addresses;
}

void lpm6_lookup(benchmark::State& state) {
  const std::vector<Route6> routes = routes6(static_cast<uint32_t>(state.range(0)));
  const std::vector<std::array<uint8_t, 16>> addresses = addresses6(routes);
  Lpm6 table;
  for (const Route6& route : routes)
    (void)table.set(Ipv6Words::load(route.prefix.data()), route.length, route.value);
  const Lpm6::View view = table.seal();
  Ipv6Words words[kBurst];
  uint32_t values[kBurst];
  uint64_t missed = 0;
  CycleMeter meter;
  for (auto _ : state) {
    meter.start();
    for (size_t at = 0; at < addresses.size(); at += kBurst) {
      for (uint32_t i = 0; i < kBurst; ++i) words[i] = Ipv6Words::load(addresses[at + i].data());
      view.lookup_burst(words, kBurst, values);
      for (const uint32_t value : values) missed += static_cast<uint64_t>(value == 0);
    }
    meter.stop(addresses.size());
  }
  if (missed != 0) state.SkipWithError("an address inside a route was not found");
  meter.report(state, "cycles");
  state.counters["bytes_per_route"] =
      static_cast<double>(table.memory_bytes()) / static_cast<double>(table.size());
}

void lpm6_load(benchmark::State& state) {
  const std::vector<Route6> routes = routes6(static_cast<uint32_t>(state.range(0)));
  CycleMeter meter;
  for (auto _ : state) {
    auto table = std::make_unique<Lpm6>();
    meter.start();
    for (const Route6& route : routes)
      (void)table->set(Ipv6Words::load(route.prefix.data()), route.length, route.value);
    benchmark::DoNotOptimize(table->seal());
    meter.stop(routes.size());
    state.PauseTiming();
    table.reset();
    state.ResumeTiming();
  }
  meter.report(state, "cycles");
}

void rte_fib6_lookup(benchmark::State& state) {
  const std::vector<Route6> routes = routes6(static_cast<uint32_t>(state.range(0)));
  std::vector<std::array<uint8_t, 16>> addresses = addresses6(routes);
  rte_fib6_conf config = {};
  config.type = RTE_FIB6_TRIE;
  config.max_routes = static_cast<int>(2 * routes.size() + 16);
  config.trie.nh_sz = RTE_FIB6_TRIE_4B;
  config.trie.num_tbl8 = static_cast<uint32_t>(std::min<size_t>(4 * routes.size(), 1 << 19));
  rte_fib6* peer = rte_fib6_create("peer", SOCKET_ID_ANY, &config);
  if (peer == nullptr) return state.SkipWithError("rte_fib6_create failed (more memory needed)");
  int refused = 0;
  for (const Route6& route : routes)
    refused += rte_fib6_add(peer, route.prefix.data(), route.length, route.value) != 0;
  uint64_t values[kBurst];
  CycleMeter meter;
  for (auto _ : state) {
    meter.start();
    for (size_t at = 0; at < addresses.size(); at += kBurst) {
      rte_fib6_lookup_bulk(peer, reinterpret_cast<uint8_t(*)[RTE_FIB6_IPV6_ADDR_SIZE]>(&addresses[at]),
                           values, kBurst);
      benchmark::DoNotOptimize(values);
    }
    meter.stop(addresses.size());
  }
  if (refused != 0) state.SkipWithError("rte_fib6 refused routes (its tbl8s are used up)");
  meter.report(state, "cycles");
  rte_fib6_free(peer);
}

}  // namespace

int main(int argc, char** argv) {
  const fairlead::bench::Options options = fairlead::bench::take_options(argc, argv);
  fairlead::bench::start_eal(argv[0], options.large ? "4096" : "2048");
  const auto with_sizes = [&](benchmark::internal::Benchmark* one) {
    one->Arg(1)->Arg(1 << 10)->Arg(16 << 10)->Arg(100000)->Arg(1 << 20)->Unit(benchmark::kMillisecond);
    if (options.large) one->Arg(4000000);
  };
  with_sizes(benchmark::RegisterBenchmark("lpm4/lookup", lpm4_lookup));
  with_sizes(benchmark::RegisterBenchmark("lpm4/load", lpm4_load));
  with_sizes(benchmark::RegisterBenchmark("lpm4/change", lpm4_change));
  with_sizes(benchmark::RegisterBenchmark("lpm6/lookup", lpm6_lookup));
  with_sizes(benchmark::RegisterBenchmark("lpm6/load", lpm6_load));
  benchmark::RegisterBenchmark("rte_lpm/lookup", rte_lpm_lookup4)
      ->Arg(1)
      ->Arg(1 << 10)
      ->Arg(16 << 10)
      ->Unit(benchmark::kMillisecond);
  with_sizes(benchmark::RegisterBenchmark("rte_fib/lookup", rte_fib_lookup4));
  with_sizes(benchmark::RegisterBenchmark("rte_fib/load", rte_fib_load4));
  benchmark::RegisterBenchmark("rte_fib6/lookup", rte_fib6_lookup)
      ->Arg(16 << 10)
      ->Arg(100000)
      ->Unit(benchmark::kMillisecond);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 1;
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
