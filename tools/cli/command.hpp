#pragma once

#include "tools/cli/session.hpp"

#include <string>
#include <vector>

namespace fairlead::cli {

// The whole command: finds the verb, parses, runs it. `arguments` without the program's name. Returns the
// exit code.
int run_command(const std::vector<std::string>& arguments, Terminal& terminal);

}  // namespace fairlead::cli
