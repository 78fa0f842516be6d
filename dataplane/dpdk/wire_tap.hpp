#pragma once

#include "dataplane/dpdk/vnet_port.hpp"

#include <memory>

namespace fairlead::dpdk {

// A way onto the wire that takes super-packets whole: a TAP of ours whose every frame a four-instruction tc
// program redirects to the uplink. The kernel, or a NIC with TSO, cuts them to MTU size there, without
// another copy of ours and with all frames of a super-packet going down the stack at once.
//
// Used for transmission only; nothing is ever received. The kernel chooses the name (flwire0, ...); the
// device goes with the port. Frames that the uplink's own queue refuses are in its statistics, not in ours.
class WireTap final : public VnetPort {
 public:
  // In the uplink's namespace. Errors: FL2001, FL2012, FL2022, FL2046 the redirecting program was refused.
  [[nodiscard]] static Result<std::unique_ptr<WireTap>> open(const PortSpec& uplink, rte_mempool* big_pool,
                                                             rte_mempool* small_pool, unsigned workers);

  // The kernel cuts inside of VXLAN and Geneve, too (Linux 6.17); otherwise such packets must not come here.
  [[nodiscard]] bool cuts_tunnels() const { return cuts_tunnels_; }
  [[nodiscard]] const std::string& device() const { return device_; }

 private:
  using VnetPort::VnetPort;
  Result<void> create();
  Result<void> redirect_to(unsigned uplink_ifindex);

  std::string device_;
};

}  // namespace fairlead::dpdk
