#include "bench/forward_world.hpp"

#include <benchmark/benchmark.h>

#include <memory>
#include <vector>
#include <x86intrin.h>

// What one packet costs in forward(), everything included but rx and tx: bursts of 64 small UDP packets over
// `flows` connections. The frames are copied into place before every burst, as a NIC would leave them; that
// copy is measured alone in BM_Copy and stands in every other line, too.

namespace fairlead::core {
namespace {

using namespace bench;

constexpr uint32_t kTable = 1u << 21;

void report(benchmark::State& state, uint64_t cycles) {
  const auto packets = static_cast<double>(state.iterations() * kBurst);
  state.SetItemsProcessed(static_cast<int64_t>(packets));
  state.counters["cycles/packet"] = static_cast<double>(cycles) / packets;
}

void run_hits(benchmark::State& state, World& world, Source source, uint32_t flows) {
  Forwarder::Worker& worker = world.forwarder.worker(0);
  worker.online();
  uint64_t now = 1'000'000'000;
  for (uint32_t done = 0; done < flows + kBurst; done += kBurst) worker.forward(source.next(), now);
  const Counters before = world.forwarder.counters();
  uint64_t cycles = 0;
  for (auto _ : state) {
    const std::span<Packet> burst = source.next();
    const uint64_t start = __rdtsc();
    worker.forward(burst, now += 1000);
    cycles += __rdtsc() - start;
    worker.quiescent();
  }
  worker.offline();
  const Counters after = world.forwarder.counters();
  if (after[Counter::flow_misses] != before[Counter::flow_misses] ||
      after.drops_total() != before.drops_total()) {
    state.SkipWithError("not every packet was a hit");
  }
  report(state, cycles);
}

void BM_Copy(benchmark::State& state) {
  const auto flows = static_cast<uint32_t>(state.range(0));
  Source source(frames(flows, false), kTrunk);
  for (auto _ : state) benchmark::DoNotOptimize(source.next());
  report(state, 0);
}

void BM_RoutedHit(benchmark::State& state) {
  const auto flows = static_cast<uint32_t>(state.range(0));
  World world(Transport::kRouted, kTable);
  run_hits(state, world, Source(frames(flows, false), kTrunk), flows);
}

void BM_Routed6Hit(benchmark::State& state) {
  const auto flows = static_cast<uint32_t>(state.range(0));
  World world(Transport::kRouted, kTable);
  run_hits(state, world, Source(frames(flows, false, 6), kTrunk), flows);
}

// The same hits, but every packet walks the steps: what fragments, ICMP and super-packets cost.
void BM_RoutedWalk(benchmark::State& state) {
  const auto flows = static_cast<uint32_t>(state.range(0));
  World world(Transport::kRouted, kTable, Encapsulation::kVxlan, false);
  run_hits(state, world, Source(frames(flows, false), kTrunk), flows);
}

template <Encapsulation kEncapsulation>
void BM_EncapHit(benchmark::State& state) {
  const auto flows = static_cast<uint32_t>(state.range(0));
  World world(Transport::kOverlay, kTable, kEncapsulation);
  run_hits(state, world, Source(frames(flows, false), kTrunk), flows);
}

template <Encapsulation kEncapsulation>
void BM_DecapHit(benchmark::State& state) {
  const auto flows = static_cast<uint32_t>(state.range(0));
  World world(Transport::kOverlay, kTable, kEncapsulation);
  const fl_tunnel_kind kind = kEncapsulation == Encapsulation::kVxlan ? FL_TUNNEL_VXLAN : FL_TUNNEL_GENEVE;
  run_hits(state, world, Source(tunnelled(frames(flows, true), kind), kUplink), flows);
}

// Every packet begins a connection: slow path and commit. The table is large enough for all of a round.
template <bool kReadsPlain>
void BM_NewFlow(benchmark::State& state) {
  constexpr uint32_t kRound = 1u << 18;
  Source source(frames(kRound, false), kTrunk);
  std::unique_ptr<World> world;
  uint64_t cycles = 0, left = 0;
  for (auto _ : state) {
    if (left == 0) {
      state.PauseTiming();
      world = std::make_unique<World>(Transport::kOverlay, 1u << 20, Encapsulation::kVxlan, kReadsPlain);
      left = kRound / kBurst;
      state.ResumeTiming();
    }
    --left;
    const std::span<Packet> burst = source.next();
    const uint64_t start = __rdtsc();
    world->forwarder.worker(0).forward(burst, 1'000'000'000);
    cycles += __rdtsc() - start;
  }
  if (world->forwarder.counters()[Counter::flow_hits] != 0) state.SkipWithError("not every packet was new");
  report(state, cycles);
}

BENCHMARK(BM_Copy)->Arg(1000)->Arg(100000);
BENCHMARK(BM_RoutedHit)->Arg(1)->Arg(1000)->Arg(16384)->Arg(100000)->Arg(1000000);
BENCHMARK(BM_RoutedWalk)->Arg(1000)->Arg(100000);
BENCHMARK(BM_Routed6Hit)->Arg(1000)->Arg(100000);
BENCHMARK(BM_EncapHit<Encapsulation::kVxlan>)->Arg(1)->Arg(1000)->Arg(100000);
BENCHMARK(BM_EncapHit<Encapsulation::kGeneve>)->Arg(1000);
BENCHMARK(BM_DecapHit<Encapsulation::kVxlan>)->Arg(1)->Arg(1000)->Arg(100000);
BENCHMARK(BM_DecapHit<Encapsulation::kGeneve>)->Arg(1000);
BENCHMARK(BM_NewFlow<true>);
BENCHMARK(BM_NewFlow<false>);

}  // namespace
}  // namespace fairlead::core
