#pragma once

#include "dataplane/dpdk/vnet_port.hpp"

#include <memory>

namespace fairlead::dpdk {

// The trunk (all kernel-socket pods of the node) or the host port (the node's own stack), as a TAP of ours.
//
// The device lives as long as the port: it is not persistent and goes with the process. A persistent one made
// by the administrator is used and left.
class TapPort final : public VnetPort {
 public:
  // Errors: FL2001 no /dev/net/tun or no permission, FL2021 in use by another process, FL2022 refused,
  // FL2012.
  [[nodiscard]] static Result<std::unique_ptr<TapPort>> open(const PortSpec& spec, rte_mempool* big_pool,
                                                             rte_mempool* small_pool, unsigned workers);

  // Host port beside an exclusive uplink: it stands for the NIC, with its MAC, and speaks ARP and ND for the
  // node.
  Result<void> stand_for(const core::MacAddress& uplink_mac);

 private:
  using VnetPort::VnetPort;
  Result<void> open_queue(bool several);
  Result<void> configure();
};

}  // namespace fairlead::dpdk
