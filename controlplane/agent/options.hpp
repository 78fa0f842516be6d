#pragma once

#include "dataplane/base/command_line.hpp"
#include "dataplane/base/log.hpp"
#include "dataplane/base/result.hpp"

#include <span>
#include <string>
#include <vector>

namespace fairlead::control {

struct AgentOptions {
  std::string node;
  std::string manifests;
  std::string run_dir, state_dir, bpf_dir;
  std::string dataplane_socket;
  std::string uplink;     // empty: found out
  std::string host_port;  // the device kernel routes point to
  LogFormat log_format = LogFormat::kText;
  bool verbose = false;
  bool show_help = false, show_version = false;
};

[[nodiscard]] std::span<const OptionSpec> agent_option_table();

// Errors: FL6001.
[[nodiscard]] Result<AgentOptions> parse_agent_options(const std::vector<std::string>& arguments);

}  // namespace fairlead::control
