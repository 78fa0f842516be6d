#pragma once

#include "controlplane/host/pod_link.hpp"
#include "dataplane/base/netlink.hpp"
#include "dataplane/base/result.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace fairlead::control {

// Layer 3 inside a pod: addresses, gateways, default routes. `socket` is of the pod's namespace, `link` the
// index of its interface there. All idempotent.

[[nodiscard]] Result<void> put_addresses(NetlinkSocket& socket, uint32_t link, const PodLinkSpec& spec);
[[nodiscard]] Result<void> put_gateways(NetlinkSocket& socket, uint32_t link, const PodLinkSpec& spec);
[[nodiscard]] Result<void> put_default_routes(NetlinkSocket& socket, uint32_t link, const PodLinkSpec& spec,
                                              uint16_t route_mtu);

// What is missing of the three, as a sentence; empty when all is there.
[[nodiscard]] Result<std::string> missing_routes(NetlinkSocket& socket, uint32_t link,
                                                 const PodLinkSpec& spec);

}  // namespace fairlead::control
