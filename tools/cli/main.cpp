#include "tools/cli/command.hpp"

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>
#include <unistd.h>
#include <vector>

namespace {

bool may_colour(int descriptor) {
  const char* no_colour = std::getenv("NO_COLOR");
  const char* terminal = std::getenv("TERM");
  return isatty(descriptor) == 1 && (no_colour == nullptr || *no_colour == '\0') &&
         !(terminal != nullptr && std::string(terminal) == "dumb");
}

}  // namespace

int main(int argc, char** argv) {
  using namespace fairlead::cli;
  try {
    Terminal terminal{std::cout, std::cerr, may_colour(STDOUT_FILENO), may_colour(STDERR_FILENO)};
    const int code = run_command(std::vector<std::string>(argv + 1, argv + argc), terminal);
    std::cout.flush();
    if (!std::cout) {
      std::cerr << "error[FL6003]: the output could not be written\n";
      return kFailed;
    }
    return code;
  } catch (const std::exception& error) {
    std::cerr << "error[FL6004]: fairlead ended: " << error.what() << "\n";
    return kFailed;
  }
}
