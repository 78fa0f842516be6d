#pragma once

#include "dataplane/base/result.hpp"

namespace fairlead::cli {

// What a script may rely on.
enum Exit : int {
  kOk = 0,
  kFailed = 1,
  kUsage = 2,
  kInvalid = 3,      // invalid configuration
  kPreflight = 4,    // something that is needed is not there
  kUnreachable = 5,  // agent or dataplane
  kTimedOut = 6,
  kProblems = 7,  // drift or problems found
};

[[nodiscard]] Exit exit_for(const Error& error);

}  // namespace fairlead::cli
