#pragma once

#include "dataplane/core/node_state.hpp"

#include <linux/filter.h>
#include <vector>

namespace fairlead::dpdk {

// Which of a NIC's packets are the forwarder's, as a classic BPF program for a packet socket: tunnel packets
// to this node's tunnel ends, routers' word that one of ours was too big, and packets to its pods. The same
// choice as uplink_xdp makes; all else is the kernel's alone. (The kernel sees the routers' word by itself,
// too.)
//
// Frames with a VLAN tag and fragments of tunnel packets are the kernel's. Returns at most BPF_MAXINSNS
// instructions; pod CIDRs beyond what fits are left out (a node has one or two per family).
[[nodiscard]] std::vector<sock_filter> uplink_filter(const core::NodeSettings& settings);

// Takes nothing: until the first state is published, and on sockets that only occupy a port.
[[nodiscard]] std::vector<sock_filter> reject_all_filter();

}  // namespace fairlead::dpdk
