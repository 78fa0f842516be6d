#pragma once

#include "dataplane/base/result.hpp"
#include "tools/cli/json.hpp"

#include <string>

namespace fairlead::cli {

// Searches the loads at which `path` loses nothing (NDR) and at most 0.5 % (PDR) with trials of `program`
// (fairlead-bench-pps; bench/README.md says what it is asked and answers). The object of a benchmark, or
// FL6030 / FL6031 when a trial could not be run.
[[nodiscard]] Result<Json> search_throughput(const std::string& program, const std::string& path, bool quick);

}  // namespace fairlead::cli
