#include "bench/pps/suite.hpp"

#include "bench/pps/figures.hpp"

namespace fairlead::bench {

Result<void> run_one(const Suite& suite, const Load& load) {
  stay_off_the_measured_cpu();
  Report report(suite.quick, suite.as_json);
  auto stage = Stage::open(own_program());
  if (!stage) return stage.error();
  const std::string name(load.path->name);
  auto done = load.path->is_new
                  ? new_flow_figures(*stage, report, suite.rounds, load, name)
                  : beside_floor(*stage, report, suite.rounds, load, name, std::string(load.path->title));
  if (done) report.finish();
  return done;
}

Result<void> run_suite(const Suite& suite) {
  stay_off_the_measured_cpu();
  Report report(suite.quick, suite.as_json);
  auto stage = Stage::open(own_program());
  if (!stage) return stage.error();
  const Rounds& rounds = suite.rounds;
  if (auto done = path_figures(*stage, report, rounds, suite.peers); !done) return done;
  if (auto done = flow_count_figures(*stage, report, rounds); !done) return done;
  if (auto done = new_flow_figures(*stage, report, rounds, load_of("new4"), "new4"); !done) return done;
  if (auto done = service_figures(*stage, report, rounds, suite.quick); !done) return done;
  if (auto done = worker_figures(*stage, report, rounds); !done) return done;
  if (auto done = table_figures(report, rounds); !done) return done;
  if (auto done = memory_figures(*stage, report); !done) return done;
  if (!suite.quick) {
    if (auto done = sweep_figures(*stage, report, rounds); !done) return done;
  }
  report.finish();
  return {};
}

}  // namespace fairlead::bench
