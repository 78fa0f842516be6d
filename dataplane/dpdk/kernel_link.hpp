#pragma once

#include "dataplane/base/netlink.hpp"
#include "dataplane/base/result.hpp"
#include "dataplane/core/address.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace fairlead::dpdk {

// What we need from the kernel's network devices, by name, in the current network namespace. Control thread
// only.

struct LinkFacts {
  unsigned ifindex = 0;
  core::MacAddress mac;
  uint16_t mtu = 0;
  bool up = false;  // administratively up and with carrier
};

// FL2011: there is no such interface.
[[nodiscard]] Result<LinkFacts> read_link(const std::string& device);

// An interface of the namespace in which it was opened, whatever its name and the caller's namespace are
// later.
class KernelLink {
 public:
  // FL2011: there is no such interface.
  [[nodiscard]] static Result<KernelLink> open(const std::string& device);
  [[nodiscard]] bool is_up() const;  // false also when it is gone

 private:
  mutable NetlinkSocket socket_;
  unsigned ifindex_ = 0;
};

struct LinkWishes {
  uint32_t mtu = 0;           // 0: leave
  uint32_t gso_max_size = 0;  // 0: leave
  uint32_t queue_frames = 0;  // txqueuelen; 0: leave
  bool no_ipv6 = false;       // disable_ipv6 and no link-local address: the device carries frames, not a host
  bool no_link_local = false;  // addr_gen_mode none only
  bool no_arp = false;
  core::MacAddress mac;  // zero: leave
  bool up = false;
};

// Applies the wishes in the order a device needs them (quiet first, then up). FL2012 with the kernel's words.
[[nodiscard]] Result<void> configure_link(const std::string& device, const LinkWishes& wishes);

// Receive channels of a NIC (ethtool -l); 1 when the driver does not say.
[[nodiscard]] unsigned receive_channels(const std::string& device);

// Blackholes what the kernel would forward from `device` into `destination`: a packet socket's port owns
// those packets, the kernel's copy must go nowhere. `add` false removes; a missing rule is no error then.
[[nodiscard]] Result<void> block_forwarding(const std::string& device, const core::Prefix& destination,
                                            bool add);

// Descriptors of this process that are sockets of `domain` (AF_XDP, AF_PACKET). Drivers keep theirs to
// themselves; the difference before and after opening a port is its sockets.
[[nodiscard]] std::vector<int> sockets_of_domain(int domain);

}  // namespace fairlead::dpdk
