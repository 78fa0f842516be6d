#include "bench/pps/run.hpp"

#include <algorithm>
#include <unistd.h>
#include <utility>

namespace fairlead::bench {

Load load_of(std::string_view path, uint32_t flows) {
  Load load;
  load.path = find_path(path);
  load.flows = flows;
  return load;
}

nlohmann::json parameters_of(const Load& load) {
  nlohmann::json parameters = {{"flows", load.flows},
                               {"size", load.size},
                               {"workers", load.workers},
                               {"burst", load.burst},
                               {"routes", load.routes}};
  if (load.path->to_service) {
    parameters["services"] = load.services;
    parameters["backends"] = load.backends;
  }
  if (load.size != "imix") parameters["size_bytes"] = std::stoi(load.size);
  return parameters;
}

double aim_of(const Load& load) {
  if (load.size != "64" || load.workers != 1 || load.burst != 64 || load.routes != 1) return 0;
  if (load.services != kServices || load.backends != 1) return 0;
  const unsigned scale = load.flows <= 16384 ? 0 : load.flows <= kMillion ? 1 : 2;
  const auto is = [&](std::string_view name) { return load.path->name == name; };
  if (is("routed4")) return scale == 0 ? 28 : scale == 1 ? 45 : 0;
  if (is("encap4") || is("geneve4")) return scale == 0 ? 42 : scale == 1 ? 61 : 0;
  if (is("decap4")) return scale == 0 ? 40 : 0;
  if (is("new4") || is("service_new4")) return 450;
  if (is("service4") || is("service_reply4")) return scale == 0 ? 42 : scale == 1 ? 80 : 105;
  if (is("service_encap4")) return scale == 0 ? 65 : scale == 1 ? 100 : 130;
  return 0;
}

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

Result<size_t> Run::ours(const Load& load) {
  auto started = enter(stage_.ours(load), load);
  if (!started) return started;
  auto counts = contestants_.back().flow_counts();
  if (!counts) return counts.error();
  before_[*started] = *counts;
  return started;
}

Result<size_t> Run::peer(Contestant::Command command, const Load& load) {
  return enter(std::move(command), load);
}

Result<size_t> Run::enter(Contestant::Command command, const Load& load) {
  auto started = Contestant::start(std::move(command));
  if (!started) return started.error();
  contestants_.push_back(std::move(*started));
  loads_.push_back(load);
  Contestant& contestant = contestants_.back();
  // Twice round: every flow is known, and has been in every cache that it will be in.
  const uint64_t first = contestant.totals().rx_packets;
  while (contestant.is_alive() && contestant.totals().rx_packets < first + 2 * uint64_t{load.flows})
    usleep(10'000);
  contestant.pause();
  return contestants_.size() - 1;
}

Result<void> Run::measure_all() {
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

Report::Peer Run::as_peer(size_t peer, size_t ours) const {
  return {contestants_.at(peer).name(), measured_.of(peer), measured_.ratio(peer, ours)};
}

void Run::figures(size_t which, size_t floor, const std::string& id, const std::string& title,
                  std::optional<size_t> peer) {
  const Load& load = loads_.at(which);
  Report::Figure whole{.id = "pps." + id + ".cycles",
                       .title = title,
                       .unit = "cycles/packet",
                       .value = measured_.of(which),
                       .parameters = parameters_of(load)};
  if (peer) whole.peer = {as_peer(*peer, which)};
  if (which == floor) {
    whole.at_most = load.size == "64" && load.workers == 1 && load.flows <= 16384 ? 18 : 0;
    whole.limits = "16 k buffers of three lines each do not fit the L2 cache: the port's own accesses to L3";
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

void Run::peer_figure(size_t which) {
  std::string id = contestants_.at(which).name();
  std::replace(id.begin(), id.end(), ' ', '_');
  report_.add({.id = "pps.peer." + id + ".cycles",
               .title = contestants_.at(which).name() + " on the same port",
               .unit = "cycles/packet",
               .value = measured_.of(which),
               .parameters = parameters_of(loads_.at(which))});
}

void Run::rate_of(const std::string& id, const std::string& title, size_t ours, size_t other, double at_least,
                  const std::string& limits) {
  nlohmann::json parameters = parameters_of(loads_.at(ours));
  parameters["of"] = contestants_.at(other).name();
  report_.add({.id = id,
               .title = title,
               .unit = "ratio",
               .better = "higher",
               .value = measured_.ratio(other, ours),
               .parameters = parameters,
               .at_least = at_least,
               .limits = limits});
}

void Run::note_rounds() {
  if (measured_.discarded + measured_.disturbed_slices == 0) return;
  report_.note(std::to_string(measured_.disturbed_slices) + " disturbed slices run again, " +
               std::to_string(measured_.discarded) + " rounds left out");
}

}  // namespace fairlead::bench
