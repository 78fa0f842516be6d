#pragma once

#include "dataplane/base/result.hpp"
#include "dataplane/core/address.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace fairlead::control {

// The largest TCP super-packet a pod may send: with tunnel headers it still fits the trunk's 64 KiB.
inline constexpr uint32_t kPodGsoMaxSize = 60'000;

inline constexpr const char* kGatewayIpv4 = "169.254.1.1";
inline constexpr const char* kGatewayIpv6 = "fe80::1";

// What a pod's attachment looks like in the kernel.
struct PodLinkSpec {
  std::string netns;           // path of the pod's namespace
  std::string interface;       // in there, e.g. eth0
  std::string host_interface;  // the other end of the veth pair, here
  std::string alias;           // of the host end: whose it is
  core::MacAddress mac;        // the pod's
  std::vector<core::IpAddress> addresses;
  uint16_t device_mtu = 1500;  // the uplink's: switching to routed needs no change of the device
  uint16_t route_mtu = 1450;   // what fits the transport in use
};

struct PodLink {
  uint32_t host_ifindex = 0;
  core::MacAddress host_mac;
};

// Makes it so. What is there already and is ours is brought into this form; a failure takes back everything
// this call made.
//
//   node                                 pod
//   fl0123456789a  <----- veth ----->  eth0   <addresses>/32 /128
//   no address, no ARP                   169.254.1.1 dev eth0 scope link; default via it, mtu <route_mtu>
//                                        default via fe80::1, mtu <route_mtu>
//                                        both gateways: permanent neighbours with kGatewayMac
//
// The host end keeps a MAC of its own choice on purpose: frames that no hook takes are for somebody else and
// the node's stack drops them. No end has a link-local IPv6 address: nothing of a pod's link is resolved.
//
// Errors: FL4008 the namespace; FL4101 the pod has such an interface, not ours; FL4302 the host name is
// somebody else's; FL4301 the kernel refused, in its own words; FL4305 a sysctl.
[[nodiscard]] Result<PodLink> make_pod_link(const PodLinkSpec& spec);

// Removes the veth pair. Fine when it is gone; a link of that name with somebody else's alias stays
// (FL4302).
[[nodiscard]] Result<void> remove_pod_link(const std::string& host_interface, const std::string& alias);

// Everything that make_pod_link() promises is there; what others added does not matter. Errors: FL4102 with
// the first thing that is missing.
[[nodiscard]] Result<PodLink> check_pod_link(const PodLinkSpec& spec);

// The host end by name and alias; its index may differ from the one before a restart. Errors: FL4303 it is
// gone.
[[nodiscard]] Result<PodLink> find_pod_link(const std::string& host_interface, const std::string& alias);

// Makes the pod's default routes carry `route_mtu` from now on. The device stays as it is. Errors: FL4008
// the namespace is gone; FL4301.
[[nodiscard]] Result<void> change_pod_mtu(const PodLinkSpec& spec, uint16_t route_mtu);

}  // namespace fairlead::control
