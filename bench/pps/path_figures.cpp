#include "bench/pps/figures.hpp"

#include <algorithm>
#include <map>

namespace fairlead::bench {
namespace {

constexpr double kAtLeastL3fwd = 1.0;
constexpr double kAtLeastOvs = 5.0;
constexpr double kServiceOfL3fwd = 0.7;  // with VXLAN
constexpr double kAtLeastCsum = 1.0;
constexpr double kEncapOfRouted = 0.8;
constexpr double kDecapOfRouted = 0.85;
constexpr double kGeneveOfVxlan = 0.98;
constexpr double kIpv6OfIpv4 = 0.8;

// testpmd and whatever else was named; numbers by name.
Result<std::map<std::string, size_t>> enter_peers(Run& run, Stage& stage, const Peers& wanted) {
  std::map<std::string, size_t> entered;
  const Load load = load_of("floor");
  const auto enter = [&](const std::string& name, Contestant::Command command) -> Result<void> {
    auto started = run.peer(std::move(command), load);
    if (!started) return started.error();
    entered[name] = *started;
    return {};
  };
  for (const std::string mode : {"io", "macswap", "csum"}) {
    if (auto done = enter(mode, stage.testpmd(mode, load)); !done) return done.error();
  }
  if (!wanted.l3fwd.empty()) {
    if (auto done = enter("l3fwd", stage.l3fwd(wanted.l3fwd, load)); !done) return done.error();
  }
  if (!wanted.ovs.empty()) {
    auto command = stage.ovs(wanted.ovs, load_of("routed4"));
    if (!command) return command.error();
    if (auto done = enter("ovs", std::move(*command)); !done) return done.error();
    auto translating = stage.ovs(wanted.ovs, load_of("service4"));
    if (!translating) return translating.error();
    if (auto done = enter("ovs_ct", std::move(*translating)); !done) return done.error();
  }
  return entered;
}

void ratios(Run& run, std::map<std::string, size_t>& ours, std::map<std::string, size_t>& peers) {
  const size_t routed = ours["routed4"];
  run.rate_of("pps.routed4.of_testpmd_csum", "routed, of the rate of testpmd csum", routed, peers["csum"],
              kAtLeastCsum);
  if (peers.contains("l3fwd"))
    run.rate_of("pps.routed4.of_l3fwd", "routed, of the rate of l3fwd LPM", routed, peers["l3fwd"],
                kAtLeastL3fwd);
  if (peers.contains("ovs"))
    run.rate_of("pps.routed4.of_ovs", "routed, of the rate of OVS-DPDK", routed, peers["ovs"], kAtLeastOvs);
  if (peers.contains("l3fwd"))
    run.rate_of("pps.service_encap4.of_l3fwd", "service and VXLAN, of the rate of l3fwd LPM",
                ours["service_encap4"], peers["l3fwd"], kServiceOfL3fwd);
  if (peers.contains("ovs_ct"))
    run.rate_of("pps.service4.of_ovs_ct", "service, of the rate of OVS-DPDK with ct and nat",
                ours["service4"], peers["ovs_ct"], kAtLeastOvs);
  run.rate_of("pps.service4.of_routed4", "service, of the routed path's rate", ours["service4"], routed);
  run.rate_of("pps.service_reply4.of_service4", "a service's answers, of the rate towards it",
              ours["service_reply4"], ours["service4"]);
  run.rate_of("pps.encap4.of_routed4", "VXLAN encapsulation, of the routed path's rate", ours["encap4"],
              routed, kEncapOfRouted);
  run.rate_of("pps.decap4.of_routed4", "VXLAN decapsulation, of the routed path's rate", ours["decap4"],
              routed, kDecapOfRouted);
  run.rate_of("pps.geneve4.of_encap4", "Geneve, of VXLAN's rate", ours["geneve4"], ours["encap4"],
              kGeneveOfVxlan);
  run.rate_of("pps.routed6.of_routed4", "routed, IPv6, of IPv4's rate", ours["routed6"], routed, kIpv6OfIpv4);
  run.rate_of("pps.encap6.of_encap4", "VXLAN encapsulation, IPv6, of IPv4's rate", ours["encap6"],
              ours["encap4"], kIpv6OfIpv4);
}

}  // namespace

Result<void> path_figures(Stage& stage, Report& report, const Rounds& rounds, const Peers& wanted) {
  Run run(stage, report, rounds);
  std::map<std::string, size_t> ours;
  for (const Path& path : paths()) {
    if (path.is_new) continue;
    auto started = run.ours(load_of(path.name));
    if (!started) return started.error();
    ours[std::string(path.name)] = *started;
  }
  auto peers = enter_peers(run, stage, wanted);
  if (!peers) return peers.error();
  if (auto done = run.measure_all(); !done) return done;
  for (const auto& [name, which] : ours) {
    std::optional<size_t> beside;
    if (name == "floor") beside = (*peers)["io"];
    if (name == "service4" && peers->contains("ovs_ct")) beside = (*peers)["ovs_ct"];
    if (name == "routed4") beside = peers->contains("l3fwd") ? (*peers)["l3fwd"] : (*peers)["csum"];
    run.figures(which, ours["floor"], name, std::string(find_path(name)->title) + ", 64 B, 16 k flows",
                beside);
  }
  for (const auto& [name, which] : *peers) run.peer_figure(which);
  ratios(run, ours, *peers);
  run.note_rounds();
  return {};
}

}  // namespace fairlead::bench
