#pragma once

#include "dataplane/base/result.hpp"

#include <string>
#include <vector>

namespace fairlead::cli {

struct ChildOutcome {
  int exit_code = 0;  // 128 + the signal's number when a signal ended it
  std::string out;    // its standard output; its standard error is this process's
  bool interrupted = false;
};

// Runs a program to its end. Ctrl-C and SIGTERM are handed on to it as one SIGTERM, and its end is awaited:
// it has things to clean up. Errors: FL6031 when it cannot be started.
[[nodiscard]] Result<ChildOutcome> run_child(const std::vector<std::string>& arguments);

// Where this program itself lies, and a program beside it or on PATH; "" when there is none.
[[nodiscard]] std::string self_directory();
[[nodiscard]] std::string find_program(const std::string& name);

}  // namespace fairlead::cli
