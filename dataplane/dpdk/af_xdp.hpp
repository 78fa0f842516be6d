#pragma once

#include "dataplane/dpdk/ethdev_port.hpp"

#include <memory>
#include <string>

namespace fairlead::dpdk {

// Opens a kernel NIC as a bifurcated uplink: net_af_xdp with our XDP program, which leaves to the kernel
// whatever is not the forwarder's.
//
// The driver's library silently loads a program of its own that takes *every* packet when it cannot load ours
// (without a mounted bpffs, for one), and the node is cut off. So the conditions are checked first, and what
// is attached afterwards is compared with what was asked for; on any failure the link is left without a
// program, as the kernel's.
//
// Errors: FL2011 no such interface, FL2041 no bpffs, FL2042 object unusable, FL2043 another program or
// process has the NIC, FL2044 MTU too large for AF_XDP, FL2045 the wrong program was attached, FL2013 the
// driver refused.
[[nodiscard]] Result<std::unique_ptr<EthdevPort>> open_af_xdp(const PortSpec& spec,
                                                              const std::string& xdp_object,
                                                              unsigned workers);

}  // namespace fairlead::dpdk
