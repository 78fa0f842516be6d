#pragma once

#include "bench/pps/contestant.hpp"
#include "bench/pps/path.hpp"
#include "dataplane/base/result.hpp"

#include <string>

namespace fairlead::bench {

// OVS-DPDK of the distribution between two replay ports. A load of routed packets has one OpenFlow rule: the
// destination's prefix, TTL, both MACs, out of the other port. One to services has connection tracking with
// translation, and for each service the rule that commits a new connection to its backend. It has a database
// and sockets of its own in `folder`, which lies in a stage; the database server ends with the contestant,
// the bridge's TAP device too.
//
// `prefix` has usr/lib/openvswitch-switch-dpdk and the others' programs: / when they are installed.
// Errors: FL6104 a program is not there, or the database cannot be made.
[[nodiscard]] Result<Contestant::Command> ovs_command(const std::string& prefix, const std::string& folder,
                                                      const std::string& plugin, const Load& load);

}  // namespace fairlead::bench
