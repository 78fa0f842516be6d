#pragma once

#include "controlplane/intent/intent.hpp"
#include "dataplane/base/netlink.hpp"
#include "dataplane/base/result.hpp"

#include <string>
#include <vector>

namespace fairlead::control {

// The device that leads to the other nodes: the one that carries an address of `internal_ips`; among several,
// and when there is none, the one of the default route. `patterns` ("ens1f*", shell style; empty: any)
// narrows the choice.
//
// Errors: FL4306 none, or several, with their names; FL4301.
[[nodiscard]] Result<std::string> find_uplink(NetlinkSocket& socket,
                                              const std::vector<core::IpAddress>& internal_ips,
                                              const std::vector<std::string>& patterns = {});

// What compile() wants to know of this host. Addresses are all of the node's but loopback and link-local;
// on_link are the uplink's prefixes. Sorted, so that equal hosts give equal facts. Errors: FL4306 no such
// device; FL4301.
[[nodiscard]] Result<HostFacts> read_host_facts(NetlinkSocket& socket, const std::string& uplink);

}  // namespace fairlead::control
