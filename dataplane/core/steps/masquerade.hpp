#pragma once

#include "dataplane/core/walk.hpp"

#include <algorithm>

namespace fairlead::core::steps {

// Translates the source of this packet to `address`; commit finds the port.
[[nodiscard]] inline Verdict translate_source(Walk& walk, const ip_address& address) {
  if (walk.p.has_ports == 0) return Verdict::drop(DropReason::UNTRANSLATABLE);
  walk.translation.translates_source = true;
  walk.translation.source = address;
  walk.translation.source_port = be16{0};
  return Verdict::go_on();
}

// Is the destination reached with the pod's own address: pods, nodes, and what settings name?
[[nodiscard]] inline bool keeps_source(const Walk& walk, const Snapshot& snapshot) {
  const IpAddress to = address_of(walk.destination(), walk.p.ip_version);
  if (snapshot.vteps.find(to) != nullptr) return true;
  const std::vector<Prefix>* known = snapshot.unmasqueraded.get();
  return known != nullptr &&
         std::any_of(known->begin(), known->end(), [&](const Prefix& prefix) { return prefix.contains(to); });
}

// Is this a packet to a port that only translated connections use on this node's address?
[[nodiscard]] inline bool is_to_snat_port(const Walk& walk, const Snapshot& snapshot) {
  const parsed& p = walk.p;
  const IpAddress& own = p.ip_version == 4 ? snapshot.masquerade4 : snapshot.masquerade6;
  const uint16_t port = from_be16(p.destination_port);
  const bool has_owner = p.protocol == FL_PROTOCOL_TCP || p.protocol == FL_PROTOCOL_UDP ||
                         p.protocol == FL_PROTOCOL_SCTP;  // echo ids are the node's own, too
  return has_owner && p.has_ports != 0 && own && port >= snapshot.snat_port_first &&
         port <= snapshot.snat_port_last &&
         std::memcmp(&p.destination, own.bytes.data(), sizeof(p.destination)) == 0;
}

// Whose source address must become one of this node's, so that replies come back through here?
//
// - A pod's that leaves the cluster: through an uplink's gateway, to an address that is no pod's, no node's
// and
//   not excepted.
// - A client's for whom the service step says so: from outside to a backend elsewhere; and when the backend
// is
//   the client itself (hairpin), as kube-proxy has it, because a pod takes no packet from its own address.
// - This node's own, when its process addressed a Service and the backend is this node: the source becomes
// the
//   address of the Service that was addressed, which the node's routes lead back to us. (The stack refuses
//   its own address from outside.)
//
// What comes to a port of ours without a connection belongs to one that is gone. The node's stack knows
// nothing of it and would answer with a reset: dropped instead.
//
// Reads:  snapshot.masquerade4/6, unmasqueraded, vteps, snat ports; walk.choice, walk.next_hop,
// walk.template_id Writes: walk.translation Drops:  UNTRANSLATABLE (no ports to tell connections apart by; no
// address of ours in this family), NO_FLOW RFC:    4787 (REQ-1 to REQ-4 are for NATs with an outside world of
// peers: here a port is per destination),
//         5382, 5508
[[nodiscard]] inline Verdict masquerade(Walk& walk, const Snapshot& snapshot) {
  const parsed& p = walk.p;
  if (!snapshot.translates) return Verdict::go_on();
  const IpAddress& own = p.ip_version == 4 ? snapshot.masquerade4 : snapshot.masquerade6;
  ip_address ours;
  std::memcpy(&ours, own.bytes.data(), sizeof(ours));
  if (snapshot.template_of(walk.template_id).kind == TemplateKind::kPunt) {
    if (walk.side == Side::host() && walk.translation.translates_destination) {
      return translate_source(walk, p.destination);
    }
    if (!walk.translation.any() && is_to_snat_port(walk, snapshot)) return Verdict::drop(DropReason::NO_FLOW);
  }
  if (walk.choice.needs_return) {
    return own ? translate_source(walk, ours) : Verdict::drop(DropReason::UNTRANSLATABLE);
  }
  const bool leaves =
      walk.side.kind() == Side::kEndpoint && snapshot.next_hop(walk.next_hop).kind == NextHopKind::kGateway;
  if (!leaves || !own || keeps_source(walk, snapshot)) return Verdict::go_on();
  return translate_source(walk, ours);
}

}  // namespace fairlead::core::steps
