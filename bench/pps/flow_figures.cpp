#include "bench/pps/figures.hpp"
#include "bench/replay/frames.hpp"
#include "dataplane/core/lpm4.hpp"

#include <cstdlib>
#include <random>
#include <unistd.h>

namespace fairlead::bench {
namespace {

// The measuring thread wakes up on the second worker's CPU.
Rounds rounds_for(const Load& load, Rounds rounds) {
  constexpr unsigned kSharedSwitches = 50;
  if (load.workers > 1) rounds.tolerated_switches = kSharedSwitches;
  return rounds;
}

// Resident bytes of our process once it has seen `flows` flows. The port's own list of them is taken off.
Result<double> resident_bytes(Stage& stage, uint32_t flows) {
  auto started = Contestant::start(stage.ours(load_of("routed4", flows)));
  if (!started) return started.error();
  while (started->is_alive() && started->totals().rx_packets < 2 * uint64_t{flows}) usleep(10'000);
  started->pause();
  const double bytes = std::strtod(started->ask("rss").c_str(), nullptr);
  if (bytes <= 0) return Error{"FL6101", started->name() + ": it does not say how much memory it uses", ""};
  return bytes - static_cast<double>(flows) * sizeof(replay::FlowRecord);
}

Result<void> flow_memory(Stage& stage, Report& report) {
  constexpr uint32_t kFew = 1u << 16, kMany = 4 * kMillion;
  auto few = resident_bytes(stage, kFew);
  if (!few) return few.error();
  auto many = resident_bytes(stage, kMany);
  if (!many) return many.error();
  const double bytes = (*many - *few) / (kMany - kFew);
  report.add({.id = "memory.flow4.bytes",
              .title = "resident memory an IPv4 connection adds, up to 4 M",
              .unit = "bytes",
              .value = {bytes, bytes, bytes, 1},
              .parameters = {{"flows", kMany}},
              .at_most = 96,
              .limits = "the table has an eighth more room than flows"});
  return {};
}

void route_memory(Report& report) {
  constexpr uint32_t kRoutes = 1'000'000;
  core::Lpm4 table;
  std::mt19937 random(1);
  for (uint32_t i = 0; i < kRoutes; ++i) {
    const uint32_t prefix = (0x01000000 + static_cast<uint32_t>(random()) % 0xde000000) & ~uint32_t{255};
    static_cast<void>(table.set(prefix, 24, 1 + i % 1000));
  }
  const double bytes = static_cast<double>(table.memory_bytes()) / kRoutes;
  report.add({.id = "memory.route4.bytes",
              .title = "memory of an IPv4 route, 1 M random /24",
              .unit = "bytes",
              .value = {bytes, bytes, bytes, 1},
              .parameters = {{"routes", kRoutes}}});
}

}  // namespace

Result<void> beside_floor(Stage& stage, Report& report, const Rounds& rounds, const Load& load,
                          const std::string& id, const std::string& title) {
  Run run(stage, report, rounds_for(load, rounds));
  Load port = load;
  port.path = find_path("floor");
  auto floor = run.ours(port);
  if (!floor) return floor.error();
  auto ours = run.ours(load);
  if (!ours) return ours.error();
  if (auto done = run.measure_all(); !done) return done;
  run.figures(*ours, *floor, id, title);
  run.note_rounds();
  return {};
}

Result<void> flow_count_figures(Stage& stage, Report& report, const Rounds& rounds) {
  for (const uint32_t flows : {kMillion, 10'000'000u}) {
    auto done =
        beside_floor(stage, report, rounds, load_of("routed4", flows), "flow4." + std::to_string(flows),
                     "plain flow hit, " + std::to_string(flows) + " flows");
    if (!done) return done;
  }
  return {};
}

Result<void> worker_figures(Stage& stage, Report& report, const Rounds& rounds) {
  constexpr double kAim = 1.9;
  Load one = load_of("routed4", 32768);
  Load two = one;
  two.workers = 2;
  Run run(stage, report, rounds_for(two, rounds));
  auto alone = run.ours(one);
  if (!alone) return alone.error();
  auto both = run.ours(two);
  if (!both) return both.error();
  if (auto done = run.measure_all(); !done) return done;
  run.figures(*both, *both, "routed4.workers_2", "routed, two workers, both together");
  run.rate_of("pps.routed4.workers_2.of_one", "routed, two workers, of the rate of one", *both, *alone, kAim,
              "two cores in all: the second worker shares its own with the thread that measures");
  run.note_rounds();
  return {};
}

Result<void> new_flow_figures(Stage& stage, Report& report, const Rounds& rounds, Load load,
                              const std::string& id) {
  constexpr uint32_t kFlows = 4 * kMillion;
  load.flows = kFlows;
  auto started = Contestant::start(stage.ours(load));
  if (!started) return started.error();
  Contestant contestant = std::move(*started);
  while (contestant.is_alive() && contestant.totals().rx_packets < 2 * uint64_t{kFlows}) usleep(10'000);
  contestant.pause();
  std::vector<double> cycles;
  uint64_t since_empty = kFlows;
  Contestant::FlowCounts before_all;
  for (unsigned tries = 0; cycles.size() < rounds.count && tries < 3 * rounds.count; ++tries) {
    if (since_empty > kFlows / 2) {
      if (contestant.ask("flush") != "flushed")
        return Error{"FL6101", contestant.name() + ": it does not answer", ""};
      since_empty = 0;
    }
    if (tries == 0) {
      auto counts = contestant.flow_counts();
      if (!counts) return counts.error();
      before_all = *counts;
    }
    const uint64_t before = contestant.totals().rx_packets;
    auto slice = run_slice(contestant, rounds);
    if (!slice) return slice.error();
    since_empty += contestant.totals().rx_packets - before;
    if (!slice->disturbed) cycles.push_back(slice->cycles_per_packet);
  }
  auto after_all = contestant.flow_counts();
  if (!after_all) return after_all.error();
  if (auto right = check_flows(contestant, before_all, *after_all, true); !right) return right;
  if (cycles.size() < rounds.count) {
    return Error{"FL6103", "most slices of new flows were disturbed", "run it when the machine is quiet"};
  }
  report.add({.id = "pps." + id + ".cycles",
              .title = std::string(load.path->title) + ", whole path",
              .unit = "cycles/packet",
              .value = spread(cycles),
              .parameters = parameters_of(load),
              .at_most = aim_of(load)});
  return {};
}

Result<void> memory_figures(Stage& stage, Report& report) {
  if (auto done = flow_memory(stage, report); !done) return done;
  route_memory(report);
  return {};
}

}  // namespace fairlead::bench
