#pragma once

#include "dataplane/core/martians.hpp"
#include "dataplane/core/steps/tunnel_end.hpp"
#include "dataplane/core/walk.hpp"

namespace fairlead::core::steps {

// The way a packet takes over a next hop.
struct Way {
  uint32_t template_id = 0;  // 0: there is none, or the neighbour is unknown
  PortId unknown_on = 0;     // not 0: the destination is itself the neighbour, on this port, unresolved
};

// Chooses among equal paths by `hash`; an on-link path leads to `destination` itself.
[[nodiscard]] inline Way choose_way(const Snapshot& snapshot, const NextHop& next_hop, uint64_t hash,
                                    const ip_address& destination, uint8_t ip_version) {
  if (next_hop.path_count == 0) return {};
  // The upper bits choose: the lower ones become the tunnel's source port, by which routers choose in turn.
  const Path& path = next_hop.paths[((hash >> 32) * next_hop.path_count) >> 32];
  if (path.on_link_port == 0) return {path.template_id, 0};
  const uint32_t* known = snapshot.neighbours.find({path.on_link_port, address_of(destination, ip_version)});
  return known != nullptr ? Way{*known, 0} : Way{0, path.on_link_port};
}

// May this packet go towards this kind of next hop? The fabric may only reach what is here: nothing is
// forwarded between uplinks, nothing tunnelled twice. A translated packet has addressed this node, or answers
// one that had: its other end may be anywhere, and be its sender.
[[nodiscard]] inline Verdict may_go(const Walk& walk, const NextHop& to) {
  const Side side = walk.side;
  const bool translated = walk.translation.any();
  switch (to.kind) {
    case NextHopKind::kEndpoint:
      return side == Side::endpoint(to.id) && !translated ? Verdict::drop(DropReason::HAIRPIN)
                                                          : Verdict::go_on();
    case NextHopKind::kHost:
      return side == Side::host() && !translated ? Verdict::drop(DropReason::HAIRPIN) : Verdict::go_on();
    case NextHopKind::kPeer:
    case NextHopKind::kGateway:
      if (side.kind() == Side::kEndpoint || side.kind() == Side::kHost || translated) return Verdict::go_on();
      break;
    case NextHopKind::kBlackhole:
      return Verdict::refuse(DropReason::NO_ENDPOINT);
    case NextHopKind::kNone:
    case NextHopKind::kUnreachable:
    case NextHopKind::kNeighbour:
      break;
  }
  // The fabric is not told: a router that sends us what is not here has its own troubles.
  const bool outside = side == Side::uplink() || side.kind() == Side::kPeer;
  return outside ? Verdict::drop(DropReason::NO_ROUTE) : Verdict::refuse(DropReason::NO_ROUTE);
}

// Longest prefix, next hop, path; then TTL and MTU.
//
// Reads:  FIB, next_hops, templates, neighbours
// Writes: walk.next_hop, walk.template_id, walk.hold_port
// Drops:  NO_ROUTE, NO_ENDPOINT, HAIRPIN, MARTIAN_SOURCE and MARTIAN_DESTINATION (link-local; a
//         backend that no host is), TTL_EXCEEDED,
//         TOO_BIG, NO_UPLINK, TUNNEL_FROM_POD (by way of a Service); holds for an unresolved next hop
// RFC:    1812 sections 5.2.1 and 5.3.1, 1191 section 3, 8201 section 3, 8200 section 4.5
[[nodiscard]] inline Verdict route(Walk& walk, const Snapshot& snapshot) {
  const parsed& p = walk.p;
  const ip_address& destination = walk.destination();
  // A Service may name whatever its owner wrote down.
  if (walk.translation.translates_destination &&
      (is_martian(destination, p.ip_version) || is_multicast(destination, p.ip_version))) {
    return Verdict::drop(DropReason::MARTIAN_DESTINATION);
  }
  walk.next_hop = snapshot.route(destination, p.ip_version);
  const NextHop& to = snapshot.next_hop(walk.next_hop);
  if (to.kind !=
      NextHopKind::kHost) {  // link-local addresses go no further than the link: RFC 3927, RFC 4291
    if (is_link_local(destination, p.ip_version)) return Verdict::drop(DropReason::MARTIAN_DESTINATION);
    if (is_link_local(p.source, p.ip_version)) return Verdict::drop(DropReason::MARTIAN_SOURCE);
  }
  if (const Verdict verdict = may_go(walk, to); !verdict.goes_on()) return verdict;
  if (walk.translation.translates_destination && walk.side != Side::host() &&
      is_to_tunnel_end(walk, snapshot)) {
    return Verdict::drop(DropReason::TUNNEL_FROM_POD);
  }

  const Way way = choose_way(snapshot, to, walk.hash, destination, p.ip_version);
  walk.template_id = way.template_id;
  walk.hold_port = way.unknown_on;
  if (way.template_id == 0 && way.unknown_on == 0) return Verdict::refuse(DropReason::NO_ROUTE);
  const Template& out = snapshot.template_of(way.template_id);
  if (out.kind == TemplateKind::kPunt) {
    return walk.side == Side::host() && !walk.translation.any() ? Verdict::drop(DropReason::HAIRPIN)
                                                                : Verdict::go_on();
  }
  if (p.ttl <= 1) return Verdict::refuse(DropReason::TTL_EXCEEDED);
  if (out.kind == TemplateKind::kUnresolved) walk.hold_port = out.tx_port;
  if (walk.hold_port != 0) return Verdict::as_it_stands(Fate::kHold);
  if (!usable(out)) return Verdict::drop(DropReason::NO_UPLINK);
  if (walk.l3_size() <= out.l3_mtu) return Verdict::go_on();
  if (p.dont_fragment != 0) return Verdict::refuse(DropReason::TOO_BIG);
  // Nobody after us fragments the datagrams of a UDP super-packet, and smaller ones are not what was sent.
  const Offload& offload = walk.packet->offload;
  const bool datagrams = offload.segment_size != 0 && offload.segment_kind == kSegmentUdp;
  return datagrams ? Verdict::drop(DropReason::TOO_BIG) : Verdict::go_on();
}

}  // namespace fairlead::core::steps
