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

// One round of all flows.
void send(World& world, Source& source, bool counted) {
  for (uint32_t burst = 0; burst < kBursts; ++burst) {
    const std::span<Packet> packets = source.next();
    if (counted) CALLGRIND_TOGGLE_COLLECT;
    world.forwarder.worker(0).forward(packets, 1'000'000'000);
    if (counted) CALLGRIND_TOGGLE_COLLECT;
  }
}

struct Round {
  std::vector<Frame> frames;
  PortId port;
};

// Rounds one after the other, of which the last is counted; `hits`: how many of them find entries.
int run(Transport transport, std::vector<Round> rounds, uint64_t hits) {
  World world(transport, 1u << 15);
  Forwarder::Worker& worker = world.forwarder.worker(0);
  worker.online();
  for (Round& round : rounds) {
    Source source(std::move(round.frames), round.port);
    send(world, source, &round == &rounds.back());
  }
  worker.offline();
  const Counters counters = world.forwarder.counters();
  const bool all_forwarded = counters[Counter::forwarded] == rounds.size() * kFlows;
  const bool all_hits = counters[Counter::flow_hits] == hits * kFlows;
  if (!all_forwarded || !all_hits) std::fprintf(stderr, "not the packets this case is about\n");
  return all_forwarded && all_hits ? 0 : 1;
}

int run_new(const std::vector<Frame>& all) {
  return run(Transport::kRouted, {{all, kTrunk}}, 0);
}

int run_twice(Transport transport, const std::vector<Frame>& all, PortId port) {
  return run(transport, {{all, port}, {all, port}}, 1);
}

// The second round of replies: the first one moves the connections' state.
int run_replies(const std::vector<Frame>& asked, const std::vector<Frame>& replies) {
  return run(Transport::kRouted, {{asked, kTrunk}, {replies, kUplink}, {replies, kUplink}}, 2);
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view name = argc == 2 ? argv[1] : "";
  if (name == "new") return run_new(frames(kFlows, Way::kOut));
  if (name == "routed") return run_twice(Transport::kRouted, frames(kFlows, Way::kOut), kTrunk);
  if (name == "encap") return run_twice(Transport::kOverlay, frames(kFlows, Way::kOut), kTrunk);
  if (name == "decap") return run_twice(Transport::kOverlay, tunnelled(frames(kFlows, Way::kBack)), kUplink);
  if (name == "routed6") return run_twice(Transport::kRouted, frames(kFlows, Way::kOut, 6), kTrunk);
  const std::vector<Frame> asked = frames(kFlows, Way::kToService),
                           asked6 = frames(kFlows, Way::kToService, 6);
  if (name == "service_new") return run_new(asked);
  if (name == "service") return run_twice(Transport::kRouted, asked, kTrunk);
  if (name == "service_encap") return run_twice(Transport::kOverlay, asked, kTrunk);
  if (name == "service6") return run_twice(Transport::kRouted, asked6, kTrunk);
  if (name == "reply") return run_replies(frames(kFlows, Way::kOut), frames(kFlows, Way::kBack));
  if (name == "service_reply") return run_replies(asked, frames(kFlows, Way::kFromService));
  if (name == "service_reply6") return run_replies(asked6, frames(kFlows, Way::kFromService, 6));
  std::fprintf(stderr, "usage: forward_instructions CASE, one of those in tools/checks/instructions.py\n");
  return 2;
}
