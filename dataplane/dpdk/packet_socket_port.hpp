#pragma once

#include "dataplane/dpdk/vnet_port.hpp"

#include <memory>
#include <vector>

namespace fairlead::dpdk {

// A kernel NIC shared with the node through a packet socket (AF_PACKET with PACKET_VNET_HDR): the fall-back
// for uplinks on which AF_XDP cannot run. Super-packets and pending checksums of the NIC's own receive
// offloads are understood.
//
// The kernel keeps serving the node on this NIC, so it sees a copy of the forwarder's packets too. Three
// things keep that copy harmless; all follow the published settings and go with the port:
//   - the socket's filter takes only tunnel packets to our tunnel ends and packets to local pods
//   (uplink_filter);
//   - a policy rule blackholes what the kernel would forward from the NIC to local pods;
//   - an idle UDP socket holds the tunnel port, so that the kernel does not answer tunnel packets with ICMP
//   unreachable.
class PacketSocketPort final : public VnetPort {
 public:
  // Errors: FL2001 no permission, FL2011 no such device, FL2031 refused.
  [[nodiscard]] static Result<std::unique_ptr<PacketSocketPort>> open(const PortSpec& spec,
                                                                      rte_mempool* big_pool,
                                                                      rte_mempool* small_pool,
                                                                      unsigned workers);
  ~PacketSocketPort() override;

  // FL2032: the tunnel port is taken, by a kernel VXLAN device for one; FL3003 the rule was refused.
  Result<void> follow(const core::NodeSettings& settings) override;
  [[nodiscard]] uint64_t missed() const override;

 private:
  using VnetPort::VnetPort;
  Result<void> hold_tunnel_port(const core::NodeSettings& settings);
  Result<void> block_pods(const std::vector<core::Prefix>& pods);

  std::vector<core::Prefix> blocked_;
  std::vector<int> holders_;
  uint16_t held_port_ = 0;
  mutable uint64_t dropped_by_kernel_ = 0;
};

}  // namespace fairlead::dpdk
