#pragma once

#include "bench/pps/figures.hpp"
#include "bench/pps/path.hpp"
#include "bench/pps/rounds.hpp"
#include "dataplane/base/result.hpp"

#include <string>

namespace fairlead::bench {

struct Suite {
  bool quick = false;
  bool as_json = false;
  Rounds rounds;
  Peers peers;
};

// All figures; the first error ends it.
[[nodiscard]] Result<void> run_suite(const Suite& suite);
// One load beside the floor.
[[nodiscard]] Result<void> run_one(const Suite& suite, const Load& load);

}  // namespace fairlead::bench
