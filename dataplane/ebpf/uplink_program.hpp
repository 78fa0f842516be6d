#pragma once

#include "dataplane/base/result.hpp"
#include "dataplane/core/address.hpp"
#include "dataplane/ebpf/file_descriptor.hpp"

#include <compare>
#include <cstdint>
#include <string>
#include <vector>

namespace fairlead::ebpf {

// A port of node addresses that a Service answers on.
struct NodePort {
  bool is_ipv6 = false;
  uint8_t protocol = 0;
  uint16_t port = 0;
  auto operator<=>(const NodePort&) const = default;
};

// What of the Services the uplink has to know.
struct UplinkServices {
  std::vector<core::IpAddress> addresses;  // answered for whole: load balancer's and external ones
  std::vector<NodePort> node_ports;        // on UplinkFilter::node_port_addresses
  bool ip_in_ip = false;                   // direct server return comes as IPIP
};

// Which packets that arrive at an uplink are the forwarder's.
struct UplinkFilter {
  std::vector<core::IpAddress> vteps;
  uint16_t tunnel_port = 4789;
  std::vector<core::Prefix> local_pods;
  UplinkServices services;
  std::vector<core::IpAddress> node_port_addresses;
  std::vector<core::IpAddress> snat_addresses;  // translated connections use the ports below of these
  uint16_t snat_port_first = 0, snat_port_last = 0;
};

// Our XDP program where it runs on an uplink, found through the kernel: a driver loaded it, not we.
struct UplinkProgram {
  FileDescriptor config;      // uplink_config
  FileDescriptor ipv4;        // uplink_ipv4
  FileDescriptor ipv6;        // uplink_ipv6
  FileDescriptor node_ports;  // uplink_ports
  FileDescriptor counters;    // hook_counters
  uint32_t program_id = 0;
};

// Finds uplink_xdp on `ifindex`, alone or behind libxdp's dispatcher. FL3109: nothing there, somebody else's,
// or ours with maps of another layout.
Result<UplinkProgram> find_uplink_program(uint32_t ifindex);

// Makes the program take exactly what `filter` says. New entries come before old ones go. FL3107: it does not
// fit, or would take every packet; nothing is changed then.
Result<void> fill_uplink_maps(const UplinkProgram& program, const UplinkFilter& filter);

// Takes our program off `ifindex`. Fine when there is none; FL3109 when it is somebody else's.
Result<void> release_uplink_program(uint32_t ifindex);

}  // namespace fairlead::ebpf
