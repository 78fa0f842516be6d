#pragma once

#include "dataplane/base/result.hpp"
#include "dataplane/core/address.hpp"
#include "dataplane/ebpf/file_descriptor.hpp"

#include <cstdint>
#include <span>
#include <string>

namespace fairlead::ebpf {

// Our XDP program where it runs on an uplink, found through the kernel: a driver loaded it, not we.
struct UplinkProgram {
  FileDescriptor config;    // uplink_config
  FileDescriptor ipv4;      // uplink_ipv4
  FileDescriptor ipv6;      // uplink_ipv6
  FileDescriptor counters;  // hook_counters
  uint32_t program_id = 0;
};

// Finds uplink_xdp on `ifindex`, alone or behind libxdp's dispatcher. FL3109: nothing there, somebody else's,
// or ours with maps of another layout.
Result<UplinkProgram> find_uplink_program(uint32_t ifindex);

// Makes the program take exactly tunnel packets to `vteps` and packets to `local_pods`. New entries come
// before old ones go.
Result<void> fill_uplink_maps(const UplinkProgram& program, std::span<const core::IpAddress> vteps,
                              uint16_t tunnel_port, std::span<const core::Prefix> local_pods);

// Takes our program off `ifindex`. Fine when there is none; FL3109 when it is somebody else's.
Result<void> release_uplink_program(uint32_t ifindex);

}  // namespace fairlead::ebpf
