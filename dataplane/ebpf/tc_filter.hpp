#pragma once

#include "dataplane/base/result.hpp"

#include <cstdint>
#include <string>

namespace fairlead::ebpf {

// Runs the tc program `program_fd` on everything that enters by `ifindex`, in direct-action mode, first of
// all filters. Makes the clsact qdisc when there is none; replaces an earlier filter of ours in one step.
// FL3105.
Result<void> attach_ingress(uint32_t ifindex, const std::string& interface, int program_fd);

// Takes the filter away when it is a program called `program_name`; the qdisc stays, others may use it.
// Fine when the interface, the qdisc or the filter is gone, or the filter is somebody else's.
Result<void> detach_ingress(uint32_t ifindex, const char* program_name);

}  // namespace fairlead::ebpf
