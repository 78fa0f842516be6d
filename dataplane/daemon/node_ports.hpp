#pragma once

#include "dataplane/base/result.hpp"
#include "dataplane/daemon/options.hpp"
#include "dataplane/ebpf/hooks.hpp"
#include "dataplane/engine.hpp"
#include "dataplane/underlay/mirror.hpp"

#include <memory>
#include <vector>

namespace fairlead::daemon {

// The ports every node has; uplinks are 1 and 4..15, fast ports from 16.
inline constexpr core::PortId kTrunkPort = 2, kHostPort = 3;

// What a process needs before it touches devices: the capabilities, and as much locked memory as it may have.
// Errors: FL2101 names the capabilities that are missing.
[[nodiscard]] Result<void> check_privileges();

// A node's ports as they were opened.
struct NodePorts {
  std::vector<MirroredPort> mirrored;
  std::vector<uint32_t> filtered_uplinks;  // those that carry our XDP program
};

// Opens uplinks, trunk, host port and fast ports on `engine` and points the hooks at the trunk. Refuses an
// uplink whose XDP program is not ours: it would cut the node off. Errors: FL2102 a device is missing; what
// engine and hooks say.
[[nodiscard]] Result<NodePorts> open_ports(const Options& options, Engine& engine, ebpf::Hooks& hooks);

}  // namespace fairlead::daemon
