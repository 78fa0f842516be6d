#include "bench/forward_world.hpp"

#include <cstdio>
#include <string_view>
#include <valgrind/callgrind.h>

// A fixed number of packets of one kind through forward(), for counting instructions: run by
// tools/checks/instructions.py under callgrind, which counts inside of forward() only.
//
// usage: forward_instructions CASE. Everything that could differ between runs is fixed: seed, order, time.

namespace {

using namespace fairlead::core;
using namespace fairlead::core::bench;

constexpr uint32_t kFlows = 4096;
constexpr uint32_t kBursts = 64;  // all flows once

// All flows `rounds` times, of which the last is counted: the first makes the entries.
int run(Transport transport, std::vector<Frame> all, PortId port, unsigned rounds) {
  World world(transport, 1u << 15);
  Source source(std::move(all), port);
  Forwarder::Worker& worker = world.forwarder.worker(0);
  worker.online();
  for (unsigned round = 0; round < rounds; ++round) {
    for (uint32_t burst = 0; burst < kBursts; ++burst) {
      const std::span<Packet> packets = source.next();
      if (round + 1 == rounds) CALLGRIND_TOGGLE_COLLECT;
      worker.forward(packets, 1'000'000'000);
      if (round + 1 == rounds) CALLGRIND_TOGGLE_COLLECT;
    }
  }
  worker.offline();
  const Counters counters = world.forwarder.counters();
  const bool all_forwarded = counters[Counter::forwarded] == uint64_t{rounds} * kFlows;
  const bool all_hits = counters[Counter::flow_hits] == uint64_t{rounds - 1} * kFlows;
  if (!all_forwarded || !all_hits) std::fprintf(stderr, "not the packets this case is about\n");
  return all_forwarded && all_hits ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view name = argc == 2 ? argv[1] : "";
  if (name == "new") return run(Transport::kRouted, frames(kFlows, false), kTrunk, 1);
  if (name == "routed") return run(Transport::kRouted, frames(kFlows, false), kTrunk, 2);
  if (name == "encap") return run(Transport::kOverlay, frames(kFlows, false), kTrunk, 2);
  if (name == "decap") return run(Transport::kOverlay, tunnelled(frames(kFlows, true)), kUplink, 2);
  if (name == "routed6") return run(Transport::kRouted, frames(kFlows, false, 6), kTrunk, 2);
  std::fprintf(stderr, "usage: forward_instructions new | routed | encap | decap | routed6\n");
  return 2;
}
