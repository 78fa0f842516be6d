#pragma once

#include "bench/pps/report.hpp"
#include "bench/pps/run.hpp"
#include "bench/pps/stage.hpp"
#include "dataplane/base/result.hpp"

#include <string>

// The figures of a run, by what is measured. Each adds to the report; the first error ends it.
namespace fairlead::bench {

// Programs to compare with beyond testpmd.
struct Peers {
  std::string l3fwd;  // the program; empty: left out
  std::string ovs;    // the folder that has usr/lib/openvswitch-switch-dpdk; empty: left out
};

// All main paths at 16 k flows beside testpmd and the other peers in one run, so that every ratio between
// them is one of rounds.
[[nodiscard]] Result<void> path_figures(Stage& stage, Report& report, const Rounds& rounds,
                                        const Peers& peers);
// One load beside the floor.
[[nodiscard]] Result<void> beside_floor(Stage& stage, Report& report, const Rounds& rounds, const Load& load,
                                        const std::string& id, const std::string& title);
// Plain hits at 1 M and 10 M flows.
[[nodiscard]] Result<void> flow_count_figures(Stage& stage, Report& report, const Rounds& rounds);
// Two workers, and what the second one adds.
[[nodiscard]] Result<void> worker_figures(Stage& stage, Report& report, const Rounds& rounds);
// Every packet begins a flow of the load's, of whose number it has its own: between slices all flows are aged
// away, so that the table's memory has been in use.
[[nodiscard]] Result<void> new_flow_figures(Stage& stage, Report& report, const Rounds& rounds, Load load,
                                            const std::string& id);
// Established connections to services by flows, services and backends, and new ones by services.
[[nodiscard]] Result<void> service_figures(Stage& stage, Report& report, const Rounds& rounds, bool quick);
// What a connection and a route take.
[[nodiscard]] Result<void> memory_figures(Stage& stage, Report& report);
// Flows and routes written while they are looked up, and the time that a million routes take.
[[nodiscard]] Result<void> table_figures(Report& report, const Rounds& rounds);
// Sizes, bursts, routes and flows.
[[nodiscard]] Result<void> sweep_figures(Stage& stage, Report& report, const Rounds& rounds);

}  // namespace fairlead::bench
