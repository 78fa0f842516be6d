#pragma once

#include "dataplane/core/walk.hpp"

namespace fairlead::core::steps {

// Is this UDP to a node's tunnel end, or would it be once it is translated? Pods that could send that would
// speak as nodes.
[[nodiscard]] inline bool is_to_tunnel_end(const Walk& walk, const Snapshot& snapshot) {
  const parsed& p = walk.p;
  if (p.protocol != FL_PROTOCOL_UDP || p.has_ports == 0) return false;
  if (from_be16(walk.destination_port()) != snapshot.tunnel_port) return false;
  return snapshot.vteps.find(address_of(walk.destination(), p.ip_version)) != nullptr ||
         snapshot.next_hop(snapshot.route(walk.destination(), p.ip_version)).kind == NextHopKind::kHost;
}

}  // namespace fairlead::core::steps
