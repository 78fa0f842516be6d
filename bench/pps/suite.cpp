#include "bench/pps/suite.hpp"

#include "bench/pps/report.hpp"
#include "bench/pps/stage.hpp"
#include "bench/replay/frames.hpp"
#include "dataplane/core/lpm4.hpp"

#include <algorithm>
#include <cstdlib>
#include <deque>
#include <filesystem>
#include <map>
#include <random>
#include <sched.h>
#include <unistd.h>

namespace fairlead::bench {
namespace {

constexpr uint32_t kMillion = 1u << 20;

Load load_of(std::string_view path, uint32_t flows = 16384) {
  Load load;
  load.path = find_path(path);
  load.flows = flows;
  return load;
}

nlohmann::json parameters_of(const Load& load) {
  return {{"flows", load.flows}, {"size_bytes", load.size == "imix" ? 0 : std::stoi(load.size)},
          {"size", load.size},   {"workers", load.workers},
          {"burst", load.burst}, {"routes", load.routes}};
}

// Cycles above the floor that the project aims at.
double aim_of(const Load& load) {
  if (load.size != "64" || load.workers != 1 || load.burst != 64) return 0;
  const unsigned scale = load.flows <= 16384 ? 0 : load.flows <= kMillion ? 1 : 2;
  const auto is = [&](std::string_view name) { return load.path->name == name; };
  if (is("routed4")) return scale == 0 ? 28 : scale == 1 ? 45 : 0;
  if (is("encap4") || is("geneve4")) return scale == 0 ? 42 : scale == 1 ? 61 : 0;
  if (is("decap4")) return scale == 0 ? 40 : 0;
  if (is("new4")) return 450;
  return 0;
}

// A figure about hits that were misses, or new flows that were known, would be another figure.
Result<void> check_flows(const Contestant& contestant, const Contestant::FlowCounts& before,
                         const Contestant::FlowCounts& after, bool is_new) {
  const uint64_t hits = after.hits - before.hits, misses = after.misses - before.misses;
  constexpr uint64_t kOneOf = 1000;
  if ((is_new ? hits : misses) <= (hits + misses) / kOneOf) return {};
  return Error{"FL6105",
               contestant.name() + ": " + std::to_string(hits) + " packets found their flow and " +
                   std::to_string(misses) + " did not",
               is_new ? "every packet should have begun a flow" : "every packet should have found its flow"};
}

// One run: a stage, contestants that are measured together, a report.
class Run {
 public:
  Run(Stage& stage, Report& report, const Rounds& rounds) : stage_(stage), report_(report), rounds_(rounds) {}

  // Starts the contestant and lets it see every flow. Returns its number.
  Result<size_t> ours(const Load& load) {
    auto started = enter(stage_.ours(load), load);
    if (!started) return started;
    auto counts = contestants_.back().flow_counts();
    if (!counts) return counts.error();
    before_[*started] = *counts;
    return started;
  }
  Result<size_t> peer(Contestant::Command command, const Load& load) {
    return enter(std::move(command), load);
  }

  Result<void> measure_all() {
    std::vector<Contestant*> all;
    for (Contestant& contestant : contestants_) all.push_back(&contestant);
    auto measured = measure(all, rounds_);
    if (!measured) return measured.error();
    measured_ = std::move(*measured);
    for (const auto& [which, before] : before_) {
      auto after = contestants_.at(which).flow_counts();
      if (!after) return after.error();
      if (auto right = check_flows(contestants_.at(which), before, *after, false); !right) return right;
    }
    return {};
  }
  [[nodiscard]] const Measured& measured() const { return measured_; }

  // The whole cost and the cost above the floor of contestant `which`; `id` is pps.<this>.
  void figures(size_t which, size_t floor, const std::string& id, const std::string& title,
               const std::vector<size_t>& peers = {}) {
    const Load& load = loads_.at(which);
    Report::Figure whole{.id = "pps." + id + ".cycles",
                         .title = title,
                         .unit = "cycles/packet",
                         .value = measured_.of(which),
                         .parameters = parameters_of(load)};
    for (const size_t peer : peers) whole.peer = {as_peer(peer, which)};
    if (which == floor) {
      whole.at_most = load.size == "64" ? 18 : 0;
      whole.limits =
          "16 k buffers of three lines each do not fit the L2 cache: the port's own accesses to L3";
    }
    report_.add(whole);
    std::vector<double> mpps;
    for (const double cycles : measured_.cycles.at(which)) mpps.push_back(measured_.tsc_ghz * 1e3 / cycles);
    report_.add({.id = "pps." + id + ".mpps",
                 .title = title,
                 .unit = "Mpps",
                 .better = "higher",
                 .value = spread(mpps),
                 .parameters = parameters_of(load)});
    if (which == floor) return;
    report_.add({.id = "pps." + id + ".above_floor",
                 .title = title + ", above the port's floor",
                 .unit = "cycles/packet",
                 .value = measured_.difference(which, floor),
                 .parameters = parameters_of(load),
                 .at_most = aim_of(load)});
  }

  void ratio(const std::string& id, const std::string& title, size_t above, size_t below, double at_least) {
    report_.add({.id = id,
                 .title = title,
                 .unit = "ratio",
                 .better = "higher",
                 .value = measured_.ratio(above, below),
                 .at_least = at_least});
  }

  void note_rounds() {
    if (measured_.discarded + measured_.disturbed_slices != 0) {
      report_.note(std::to_string(measured_.disturbed_slices) + " disturbed slices run again, " +
                   std::to_string(measured_.discarded) + " rounds left out");
    }
  }
  [[nodiscard]] Contestant& contestant(size_t which) { return contestants_.at(which); }

 private:
  Result<size_t> enter(Contestant::Command command, const Load& load) {
    auto started = Contestant::start(std::move(command));
    if (!started) return started.error();
    contestants_.push_back(std::move(*started));
    loads_.push_back(load);
    Contestant& contestant = contestants_.back();
    // Twice round: what was lost before the state was published has begun its flow as well.
    const uint64_t first = contestant.totals().rx_packets;
    while (contestant.is_alive() && contestant.totals().rx_packets < first + 2 * uint64_t{load.flows})
      usleep(10'000);
    contestant.pause();
    return contestants_.size() - 1;
  }

  // Cycles: lower is better, so the ratio is theirs to ours.
  Report::Peer as_peer(size_t peer, size_t ours) {
    return {contestants_.at(peer).name(), measured_.of(peer), measured_.ratio(peer, ours)};
  }

  Stage& stage_;
  Report& report_;
  Rounds rounds_;
  std::deque<Contestant> contestants_;
  std::deque<Load> loads_;
  std::map<size_t, Contestant::FlowCounts> before_;  // of ours
  Measured measured_;
};

// All main paths at 16 k flows in one run, so that every ratio between them is one of rounds.
Result<void> main_paths(Stage& stage, Report& report, const Suite& suite) {
  Run run(stage, report, suite.rounds);
  const Load floor_load = load_of("floor");
  std::vector<size_t> ours;
  for (const char* name : {"floor", "routed4", "routed6", "encap4", "encap6", "decap4", "geneve4"}) {
    auto started = run.ours(load_of(name));
    if (!started) return started.error();
    ours.push_back(*started);
  }
  std::vector<size_t> peers;
  for (const char* mode : {"io", "macswap", "csum"}) {
    auto started = run.peer(stage.testpmd(mode, floor_load), floor_load);
    if (!started) return started.error();
    peers.push_back(*started);
  }
  if (!suite.l3fwd.empty()) {
    auto started = run.peer(stage.l3fwd(suite.l3fwd, floor_load), floor_load);
    if (!started) return started.error();
    peers.push_back(*started);
  }
  if (auto done = run.measure_all(); !done) return done;
  const size_t floor = ours[0];
  for (const size_t which : ours) {
    const Path& path = paths().at(which);
    std::vector<size_t> beside;
    if (path.name == "floor") beside = {peers[0]};
    if (path.name == "routed4") beside = {peers.back()};
    run.figures(which, floor, std::string(path.name), std::string(path.title) + ", 64 B, 16 k flows", beside);
  }
  for (const size_t peer : peers) {
    std::string id = run.contestant(peer).name();
    std::replace(id.begin(), id.end(), ' ', '_');
    report.add({.id = "pps.peer." + id + ".cycles",
                .title = run.contestant(peer).name() + " on the same port",
                .unit = "cycles/packet",
                .value = run.measured().of(peer)});
  }
  run.ratio("pps.encap4.of_routed4", "VXLAN encapsulation, of the routed path's rate", ours[1], ours[3], 0.8);
  run.note_rounds();
  return {};
}

Result<void> beside_floor(Stage& stage, Report& report, const Rounds& rounds, const Load& load,
                          const std::string& id, const std::string& title) {
  Rounds own = rounds;
  if (load.workers > 1) own.tolerated_switches = 50;  // the measuring thread wakes up on a worker's CPU
  Run run(stage, report, own);
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

// Every packet begins a flow: between slices all flows are aged away, so that the table's memory has been in
// use.
Result<void> new_flows(Stage& stage, Report& report, const Rounds& rounds, uint32_t routes,
                       const std::string& id) {
  constexpr uint32_t kFlows = 4 * kMillion;
  Load load = load_of("new4", kFlows);
  load.routes = routes;
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
              .title = "new UDP flow, VXLAN, whole path",
              .unit = "cycles/packet",
              .value = spread(cycles),
              .parameters = parameters_of(load),
              .at_most = aim_of(load)});
  return {};
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

Result<void> sweeps(Stage& stage, Report& report, const Suite& suite) {
  const auto sweep = [&](const Load& load, const std::string& value, const std::string& title) {
    return beside_floor(stage, report, suite.rounds, load, std::string(load.path->name) + "." + value, title);
  };
  for (const char* size : {"512", "1518", "imix"}) {
    for (const char* path : {"routed4", "encap4"}) {
      Load load = load_of(path);
      load.size = size;
      if (auto done = sweep(load, "size_" + load.size, std::string(path) + ", size " + size); !done)
        return done;
    }
  }
  for (const unsigned burst : {8u, 16u, 32u}) {
    Load load = load_of("routed4");
    load.burst = burst;
    if (auto done =
            sweep(load, "burst_" + std::to_string(burst), "routed, bursts of " + std::to_string(burst));
        !done) {
      return done;
    }
  }
  Load two = load_of("routed4", 32768);
  two.workers = 2;
  if (auto done = sweep(two, "workers_2", "routed, two workers, both together"); !done) return done;
  for (const uint32_t routes : {1024u, 65536u, kMillion}) {
    if (auto done = new_flows(stage, report, suite.rounds, routes, "new4.routes_" + std::to_string(routes));
        !done) {
      return done;
    }
  }
  return {};
}

Result<void> flow_counts(Stage& stage, Report& report, const Suite& suite) {
  std::vector<uint32_t> counts = {kMillion};
  if (!suite.quick) counts.push_back(10'000'000);
  for (const uint32_t flows : counts) {
    auto done =
        beside_floor(stage, report, suite.rounds, load_of("routed4", flows), "flow4." + std::to_string(flows),
                     "plain flow hit, " + std::to_string(flows) + " flows");
    if (!done) return done;
  }
  return {};
}

}  // namespace

Result<void> run_one(const Suite& suite, const Load& load) {
  stay_off_the_measured_cpu();
  Report report(suite.quick, suite.as_json);
  auto stage = Stage::open(own_program());
  if (!stage) return stage.error();
  const std::string name(load.path->name);
  auto done = load.path->is_new
                  ? new_flows(*stage, report, suite.rounds, load.routes, name)
                  : beside_floor(*stage, report, suite.rounds, load, name, std::string(load.path->title));
  if (done) report.finish();
  return done;
}

Result<void> run_suite(const Suite& suite) {
  stay_off_the_measured_cpu();
  Report report(suite.quick, suite.as_json);
  auto stage = Stage::open(own_program());
  if (!stage) return stage.error();
  if (auto done = main_paths(*stage, report, suite); !done) return done;
  if (auto done = flow_counts(*stage, report, suite); !done) return done;
  if (auto done = new_flows(*stage, report, suite.rounds, 1, "new4"); !done) return done;
  if (auto done = flow_memory(*stage, report); !done) return done;
  route_memory(report);
  if (!suite.quick) {
    if (auto done = sweeps(*stage, report, suite); !done) return done;
  }
  report.finish();
  return {};
}

}  // namespace fairlead::bench
