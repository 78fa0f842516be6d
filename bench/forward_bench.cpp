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
  Source source(frames(flows, Way::kOut), kTrunk);
  for (auto _ : state) benchmark::DoNotOptimize(source.next());
  report(state, 0);
}

void BM_RoutedHit(benchmark::State& state) {
  const auto flows = static_cast<uint32_t>(state.range(0));
  World world(Transport::kRouted, kTable);
  run_hits(state, world, Source(frames(flows, Way::kOut), kTrunk), flows);
}

void BM_Routed6Hit(benchmark::State& state) {
  const auto flows = static_cast<uint32_t>(state.range(0));
  World world(Transport::kRouted, kTable);
  run_hits(state, world, Source(frames(flows, Way::kOut, 6), kTrunk), flows);
}

// The same hits, but every packet walks the steps: what fragments, ICMP and super-packets cost.
void BM_RoutedWalk(benchmark::State& state) {
  const auto flows = static_cast<uint32_t>(state.range(0));
  World world(Transport::kRouted, kTable, Encapsulation::kVxlan, false);
  run_hits(state, world, Source(frames(flows, Way::kOut), kTrunk), flows);
}

template <Encapsulation kEncapsulation>
void BM_EncapHit(benchmark::State& state) {
  const auto flows = static_cast<uint32_t>(state.range(0));
  World world(Transport::kOverlay, kTable, kEncapsulation);
  run_hits(state, world, Source(frames(flows, Way::kOut), kTrunk), flows);
}

template <Encapsulation kEncapsulation>
void BM_DecapHit(benchmark::State& state) {
  const auto flows = static_cast<uint32_t>(state.range(0));
  World world(Transport::kOverlay, kTable, kEncapsulation);
  const fl_tunnel_kind kind = kEncapsulation == Encapsulation::kVxlan ? FL_TUNNEL_VXLAN : FL_TUNNEL_GENEVE;
  run_hits(state, world, Source(tunnelled(frames(flows, Way::kBack), kind), kUplink), flows);
}

// A Service's packets, either way, where node-2 is reached as `kTransport` says. Replies come in plain: what
// decapsulation costs is another line's.
template <Transport kTransport, uint8_t kVersion>
void BM_ServiceHit(benchmark::State& state) {
  const auto flows = static_cast<uint32_t>(state.range(0));
  World world(kTransport, kTable);
  run_hits(state, world, Source(frames(flows, Way::kToService, kVersion), kTrunk), flows);
}

template <uint8_t kVersion>
void BM_ServiceReplyHit(benchmark::State& state) {
  const auto flows = static_cast<uint32_t>(state.range(0));
  World world(Transport::kRouted, kTable);
  Source asked(frames(flows, Way::kToService, kVersion), kTrunk);
  for (uint32_t done = 0; done < flows + kBurst; done += kBurst) {
    world.forwarder.worker(0).forward(asked.next(), 1'000'000'000);
  }
  run_hits(state, world, Source(frames(flows, Way::kFromService, kVersion), kUplink), flows);
}

// The same replies where nothing is translated.
void BM_ReplyHit(benchmark::State& state) {
  const auto flows = static_cast<uint32_t>(state.range(0));
  World world(Transport::kRouted, kTable);
  run_hits(state, world, Source(frames(flows, Way::kBack), kUplink), flows);
}

// Every packet begins a connection: slow path and commit. The table is large enough for all of a round.
template <Way kWay, bool kReadsPlain>
void BM_NewFlow(benchmark::State& state) {
  constexpr uint32_t kRound = 1u << 18;
  Source source(frames(kRound, kWay), kTrunk);
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

// What the control thread needs to hold a flow against the Services, all of them translated; cycles a flow.
void BM_Reconcile(benchmark::State& state) {
  const auto flows = static_cast<uint32_t>(state.range(0));
  World world(Transport::kRouted, kTable);
  Source source(frames(flows, Way::kToService), kTrunk);
  for (uint32_t done = 0; done < flows; done += kBurst) {
    world.forwarder.worker(0).forward(source.next(), 1'000'000'000);
  }
  uint64_t cycles = 0, now_ns = 2'000'000'000;
  for (auto _ : state) {
    now_ns += 31'000'000'000;  // time for the next one; no flow ages, as nothing is looked at for that
    const uint64_t start = __rdtsc();
    world.forwarder.age(now_ns, 0);
    cycles += __rdtsc() - start;
  }
  state.counters["cycles/flow"] =
      static_cast<double>(cycles) / static_cast<double>(state.iterations() * std::min(flows, 1u << 18));
}

BENCHMARK(BM_Copy)->Arg(1000)->Arg(100000);
BENCHMARK(BM_RoutedHit)->Arg(1)->Arg(1000)->Arg(16384)->Arg(100000)->Arg(1000000);
BENCHMARK(BM_RoutedWalk)->Arg(1000)->Arg(100000);
BENCHMARK(BM_Routed6Hit)->Arg(1000)->Arg(100000);
BENCHMARK(BM_EncapHit<Encapsulation::kVxlan>)->Arg(1)->Arg(1000)->Arg(100000);
BENCHMARK(BM_EncapHit<Encapsulation::kGeneve>)->Arg(1000);
BENCHMARK(BM_DecapHit<Encapsulation::kVxlan>)->Arg(1)->Arg(1000)->Arg(100000);
BENCHMARK(BM_DecapHit<Encapsulation::kGeneve>)->Arg(1000);
BENCHMARK(BM_ReplyHit)->Arg(1000)->Arg(16384)->Arg(1000000);
BENCHMARK(BM_ServiceHit<Transport::kRouted, 4>)->Arg(1000)->Arg(16384)->Arg(1000000);
BENCHMARK(BM_ServiceHit<Transport::kOverlay, 4>)->Arg(1000)->Arg(16384)->Arg(1000000);
BENCHMARK(BM_ServiceHit<Transport::kRouted, 6>)->Arg(1000)->Arg(100000);
BENCHMARK(BM_ServiceReplyHit<4>)->Arg(1000)->Arg(16384)->Arg(1000000);
BENCHMARK(BM_ServiceReplyHit<6>)->Arg(1000)->Arg(100000);
BENCHMARK(BM_Reconcile)->Arg(100000)->Arg(200000);
BENCHMARK(BM_NewFlow<Way::kOut, true>);
BENCHMARK(BM_NewFlow<Way::kOut, false>);
BENCHMARK(BM_NewFlow<Way::kToService, true>);

}  // namespace
}  // namespace fairlead::core
