#pragma once

#include "dataplane/core/steps/parse.hpp"
#include "dataplane/packet/encap.h"

namespace fairlead::core::steps {

// Does a packet from the uplink claim to be tunnel traffic?
[[nodiscard]] inline bool is_tunnel(const Walk& walk, const Snapshot& snapshot) {
  return walk.p.protocol == FL_PROTOCOL_UDP && walk.side == Side::uplink() && walk.p.has_ports != 0 &&
         from_be16(walk.p.destination_port) == snapshot.tunnel_port;
}

[[nodiscard]] inline bool is_own_vtep(const parsed& p, const Snapshot& snapshot) {
  const IpAddress& own = p.ip_version == 4 ? snapshot.vtep4 : snapshot.vtep6;
  return own && std::memcmp(&p.destination, own.bytes.data(), sizeof(p.destination)) == 0;
}

// Moves the frame's start to the inner Ethernet header; what is in front becomes headroom.
inline void pull(Packet& packet, const tunnel& header) {
  packet.data += header.inner_offset;
  packet.length = header.inner_length;
  packet.headroom = static_cast<uint16_t>(packet.headroom + header.inner_offset);
  Offload& offload = packet.offload;
  if (offload.checksum_partial && offload.checksum_start >= header.inner_offset) {
    offload.checksum_start = static_cast<uint16_t>(offload.checksum_start - header.inner_offset);
  } else {
    offload.checksum_partial = false;  // it was the outer header's, which is gone
  }
}

// Takes a packet out of its tunnel when it comes from a known peer; from then on the inner packet is the
// packet.
//
// Reads:  snapshot.vteps, vni, tunnel_port, own tunnel ends, FIB (is the destination this node at all?)
// Writes: walk.p, walk.side, walk.decapsulated, packet start and length, the inner ECN bits
// Drops:  NOT_TO_TUNNEL_END, FRAGMENT, UNKNOWN_VTEP, MALFORMED_TUNNEL, WRONG_VNI, CONGESTED_NOT_ECT, the
//         parser's
// RFC:    7348 section 4, 8926 section 3, 6040 section 4.2
[[nodiscard]] inline Verdict decap(Walk& walk, const Snapshot& snapshot) {
  if (!is_tunnel(walk, snapshot)) return Verdict::go_on();
  Packet& packet = *walk.packet;
  const parsed outer = walk.p;
  if (!is_own_vtep(outer, snapshot)) {
    // A pod may well serve this port: only what is for the node itself had to be for its tunnel end.
    const NextHop& to = snapshot.next_hop(snapshot.route(outer.destination, outer.ip_version));
    return to.kind == NextHopKind::kHost ? Verdict::drop(DropReason::NOT_TO_TUNNEL_END) : Verdict::go_on();
  }
  if (outer.is_fragment) return Verdict::drop(DropReason::FRAGMENT);  // tunnels set DF
  const PeerId* peer = snapshot.vteps.find(address_of(outer.source, outer.ip_version));
  if (peer == nullptr) return Verdict::drop(DropReason::UNKNOWN_VTEP);
  tunnel header;
  const int refused =
      parse_tunnel(packet.data, packet.data + packet.length, &outer, snapshot.tunnel_kind, &header);
  if (refused != FL_PARSE_OK) return Verdict::drop(reason_of(refused, false));
  if (header.vni != snapshot.vni) return Verdict::drop(DropReason::WRONG_VNI);

  pull(packet, header);
  walk.side = Side::peer(*peer);
  walk.decapsulated = true;
  const int error = parse_frame(packet.data, packet.data + packet.length, 0, &walk.p);
  if (error != FL_PARSE_OK) return Verdict::drop(reason_of(error, false));
  const int tos = decap_tos(outer.tos, walk.p.tos);
  if (tos < 0) return Verdict::drop(DropReason::CONGESTED_NOT_ECT);
  if (tos != walk.p.tos) {
    walk.p.tos = static_cast<uint8_t>(tos);
    if (walk.p.ip_version == 4) {
      rewrite_tos4(reinterpret_cast<ipv4_header*>(walk.l3()), walk.p.tos);
    } else {
      rewrite_traffic_class6(reinterpret_cast<ipv6_header*>(walk.l3()), walk.p.tos);
    }
  }
  return Verdict::go_on();
}

}  // namespace fairlead::core::steps
