#pragma once

#include "dataplane/base/netlink.hpp"
#include "dataplane/base/result.hpp"
#include "dataplane/core/address.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace fairlead::control {

// The number our routes carry in the kernel (`ip route show proto 76`): so that we find them again after a
// restart and never touch anybody else's. Not in use by any daemon of /etc/iproute2/rt_protos.
inline constexpr uint8_t kRouteProtocol = 76;

// A unicast route of the main table.
struct KernelRoute {
  core::Prefix destination;
  uint32_t link = 0;             // interface index
  core::IpAddress gateway = {};  // kNone: on-link
  core::IpAddress source = {};   // preferred source address; kNone: the kernel chooses
  uint32_t mtu = 0;              // 0: the link's
  uint8_t protocol = kRouteProtocol;

  bool operator==(const KernelRoute&) const = default;
};

// Every single-path unicast route of the main table, of any protocol. Errors: FL4301.
[[nodiscard]] Result<std::vector<KernelRoute>> list_routes(NetlinkSocket& socket);

// Adds the route or replaces the one to the same destination. Errors: FL4301.
[[nodiscard]] Result<void> put_route(NetlinkSocket& socket, const KernelRoute& route);

// Fine when it is gone already. Errors: FL4301.
[[nodiscard]] Result<void> remove_route(NetlinkSocket& socket, const KernelRoute& route);

struct RouteChanges {
  size_t put = 0, removed = 0;
};

// Makes `wanted` the only routes of our protocol: adds, changes and removes what differs, nothing else.
//
// A destination that has a route of another protocol is left alone and named in the error (FL4304) after all
// the others were done.
[[nodiscard]] Result<RouteChanges> sync_routes(NetlinkSocket& socket, const std::vector<KernelRoute>& wanted);

}  // namespace fairlead::control
