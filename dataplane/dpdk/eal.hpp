#pragma once

#include "dataplane/base/result.hpp"
#include "dataplane/dpdk/dpdk_engine.hpp"

#include <string>
#include <vector>

namespace fairlead::dpdk {

struct EalStart {
  bool huge_pages = false;
  std::vector<std::string> notes;  // fall-backs taken, for EngineInfo
};

// Starts DPDK's environment in the calling thread, without pinning it anywhere. It stays for the life of the
// process: a second call returns what the first one did.
//
// Several dataplanes share a machine: nothing is left in the file system (--in-memory) and the file prefix
// carries the pid. Errors: FL2001 no permission, FL2002 not enough memory, FL2003 EAL refused, FL2004 already
// started.
[[nodiscard]] Result<EalStart> start_eal(const DpdkConfig& config);

// The last error DPDK logged, without its prefix; empty when there is none. Drivers say why they failed
// nowhere else.
[[nodiscard]] std::string first_dpdk_error();
void forget_dpdk_errors();

}  // namespace fairlead::dpdk
