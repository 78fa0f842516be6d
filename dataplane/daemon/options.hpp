#pragma once

#include "dataplane/base/command_line.hpp"
#include "dataplane/base/log.hpp"
#include "dataplane/base/result.hpp"
#include "dataplane/engine.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace fairlead::daemon {

// How fairlead-dataplane was asked to run, checked.
struct Options {
  std::string engine;                // dpdk | memory
  std::vector<PortSpec> uplinks;     // ids 1, 4..15; mtu still to be read from the kernel
  std::string trunk, host;           // names of the TAP devices
  std::vector<PortSpec> fast_ports;  // ids from 16
  std::string run_dir, state_dir, bpf_dir;
  unsigned workers = 1;
  bool busy_polling = false;
  uint32_t flow_capacity = 0;
  bool remove_on_exit = false;
  bool verbose = false;
  LogFormat log_format = LogFormat::kText;
  bool show_help = false, show_version = false;
};

[[nodiscard]] std::span<const OptionSpec> option_table();

// Errors: FL6001.
[[nodiscard]] Result<Options> parse_options(const std::vector<std::string>& arguments);

}  // namespace fairlead::daemon
