#include "dataplane/base/diagnostic.hpp"
#include "dataplane/base/log.hpp"
#include "dataplane/base/version.hpp"
#include "dataplane/daemon/options.hpp"
#include "dataplane/daemon/run.hpp"

#include <csignal>
#include <cstdio>
#include <exception>
#include <string>
#include <vector>

namespace {

constexpr int kFailed = 1, kUsage = 2;

int fairlead_dataplane(int argc, char** argv) {
  using namespace fairlead;
  const Result<daemon::Options> options =
      daemon::parse_options(std::vector<std::string>(argv + 1, argv + argc));
  if (!options) {
    std::fputs(render(options.error()).c_str(), stderr);
    return kUsage;
  }
  if (options->show_version) {
    std::printf("fairlead-dataplane %s\n", std::string(kVersion).c_str());
    return 0;
  }
  if (options->show_help) {
    std::printf(
        "fairlead-dataplane: forwards the packets of this node's pods.\n\nusage: fairlead-dataplane --uplink "
        "DEV "
        "[options]\n\n%s",
        options_help(daemon::option_table()).c_str());
    return 0;
  }
  start_log("fairlead-dataplane", options->log_format, options->verbose);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGHUP, SIG_IGN);
  const Result<void> ended = daemon::run(*options);
  if (ended) return 0;
  std::fputs(render(ended.error()).c_str(), stderr);
  return kFailed;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return fairlead_dataplane(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: fairlead-dataplane ended: %s\n", error.what());
    return kFailed;
  }
}
