#pragma once

#include "dataplane/core/martians.hpp"
#include "dataplane/core/steps/tunnel_end.hpp"
#include "dataplane/core/walk.hpp"

#include <algorithm>

namespace fairlead::core::steps {

[[nodiscard]] inline bool owns(const Endpoint& endpoint, const IpAddress& source) {
  return std::find(endpoint.addresses.begin(), endpoint.addresses.end(), source) != endpoint.addresses.end();
}

// A peer speaks for its pods and, so that its host processes reach our pods, for itself.
[[nodiscard]] inline bool owns(const Peer& peer, const IpAddress& source) {
  if (source == peer.vtep || source == peer.alternate_vtep) return true;
  return std::any_of(peer.pod_cidrs.begin(), peer.pod_cidrs.end(),
                     [&](const Prefix& prefix) { return prefix.contains(source); });
}

// Our own pods and addresses do not arrive from outside, and neither do addresses that no host has. A source
// in a peer's range makes the packet that peer's, in plain.
//
// Writes: walk.origin
[[nodiscard]] inline Verdict check_outside_source(Walk& walk, const Snapshot& snapshot) {
  const parsed& p = walk.p;
  if (is_martian(p.source, p.ip_version) || is_multicast(p.source, p.ip_version)) {
    return Verdict::drop(DropReason::MARTIAN_SOURCE);
  }
  if (walk.side == Side::host()) return Verdict::go_on();
  const NextHop& back = snapshot.next_hop(snapshot.route(p.source, p.ip_version));
  if (back.kind == NextHopKind::kEndpoint || back.kind == NextHopKind::kBlackhole ||
      back.kind == NextHopKind::kHost) {
    return Verdict::drop(DropReason::MARTIAN_SOURCE);
  }
  if (back.kind == NextHopKind::kPeer) walk.origin = Side::peer(static_cast<PeerId>(back.id));
  return Verdict::go_on();
}

// Does the source address belong to where the packet came from, and may the destination be forwarded to at
// all?
//
// Judged in this order: does the sender exist, does it own the source, tunnel traffic from a pod, group
// destination, impossible destination. The host is trusted beyond martians: what its kernel routes to us is
// its own or was judged by it.
//
// Reads:  snapshot.endpoints, peers, vteps, FIB
// Writes: walk.origin
// Drops:  UNKNOWN_ENDPOINT, UNKNOWN_VTEP, SPOOFED_SOURCE, INNER_SOURCE_NOT_OWNED, MARTIAN_SOURCE,
// TUNNEL_FROM_POD, MULTICAST,
//         MARTIAN_DESTINATION
// RFC:    1812 sections 5.3.7 and 5.3.8, 2827, 3704
[[nodiscard]] inline Verdict source_check(Walk& walk, const Snapshot& snapshot) {
  const parsed& p = walk.p;
  walk.origin = walk.side;
  if (walk.side.kind() == Side::kEndpoint) {
    const Endpoint* endpoint = snapshot.endpoint(walk.side.id());
    if (endpoint == nullptr) return Verdict::drop(DropReason::UNKNOWN_ENDPOINT);
    if (!owns(*endpoint, address_of(p.source, p.ip_version)))
      return Verdict::drop(DropReason::SPOOFED_SOURCE);
    if (is_to_tunnel_end(walk, snapshot)) return Verdict::drop(DropReason::TUNNEL_FROM_POD);
  } else if (walk.side.kind() == Side::kPeer) {
    const Peer* peer = snapshot.peer(static_cast<PeerId>(walk.side.id()));
    if (peer == nullptr) return Verdict::drop(DropReason::UNKNOWN_VTEP);
    if (!owns(*peer, address_of(p.source, p.ip_version)))
      return Verdict::drop(DropReason::INNER_SOURCE_NOT_OWNED);
    if (is_to_tunnel_end(walk, snapshot)) return Verdict::drop(DropReason::TUNNEL_FROM_POD);
  } else if (const Verdict verdict = check_outside_source(walk, snapshot); !verdict.goes_on()) {
    return verdict;
  }
  if (is_multicast(p.destination, p.ip_version)) return Verdict::drop(DropReason::MULTICAST);
  if (is_martian(p.destination, p.ip_version)) return Verdict::drop(DropReason::MARTIAN_DESTINATION);
  return Verdict::go_on();
}

}  // namespace fairlead::core::steps
