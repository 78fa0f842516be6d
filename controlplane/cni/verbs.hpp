#pragma once

#include "controlplane/cni/environment.hpp"

#include <string>

namespace fairlead::control {

// What the process leaves behind: at most one JSON document on standard output, words for people on standard
// error, an exit status.
struct Outcome {
  int status = 0;
  std::string output;
  std::string log;
};

// One call of the plugin, as CNI 1.1.0 orders it: environment, configuration, version, verb.
//
// `standard_input` answers the whole of it, or FL4005; it is not asked for VERSION without configuration.
[[nodiscard]] Outcome run_plugin(const CniEnvironment::Get& environment,
                                 const std::function<Result<std::string>()>& standard_input);

}  // namespace fairlead::control
