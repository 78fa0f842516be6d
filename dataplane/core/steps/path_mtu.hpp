#pragma once

#include "dataplane/core/steps/decap.hpp"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/icmp.h"

namespace fairlead::core::steps {

// What a router says about the way to another node's tunnel end.
struct PathMtuReport {
  PeerId peer = 0;  // 0: the packet says nothing of that kind
  uint16_t mtu = 0;
};

// Nobody needs to believe in less: RFC 791 section 3.2 (what every IPv4 host takes), RFC 8200 section 5.
inline constexpr uint32_t kPathMtuLeast4 = 576;
inline constexpr uint32_t kPathMtuLeast6 = 1280;

// The peer whose tunnel end a quoted packet was sent to, if it is ours: from our tunnel end, UDP to the
// tunnel port.
[[nodiscard]] inline PeerId peer_of_quote(const parsed& p, const Snapshot& snapshot, const uint8_t* quote,
                                          uint32_t length) {
  const bool v4 = p.ip_version == 4;
  const uint32_t header = v4 ? sizeof(ipv4_header) : sizeof(ipv6_header);
  if (length < header + sizeof(udp_header)) return 0;
  ip_address source{}, destination{};
  uint8_t protocol = 0;
  if (v4) {
    const auto* ip = reinterpret_cast<const ipv4_header*>(quote);
    if (ip->version_ihl != 0x45 || (from_be16(ip->fragment) & FL_IPV4_OFFSET_MASK) != 0) return 0;
    source.word[0] = ip->source;
    destination.word[0] = ip->destination;
    protocol = ip->protocol;
  } else {
    const auto* ip = reinterpret_cast<const ipv6_header*>(quote);
    if (from_be32(ip->version_class_flow) >> 28 != 6) return 0;
    source = ip->source;
    destination = ip->destination;
    protocol = ip->next_header;
  }
  const auto* udp = reinterpret_cast<const udp_header*>(quote + header);
  if (protocol != FL_PROTOCOL_UDP || from_be16(udp->destination_port) != snapshot.tunnel_port) return 0;
  // It came to the address it quotes as the source, which the caller found to be our tunnel end.
  if (std::memcmp(&source, &p.destination, sizeof(source)) != 0) return 0;
  const IpAddress to = address_of(destination, p.ip_version);
  const PeerId* id = snapshot.vteps.find(to);
  const Peer* peer = id != nullptr ? snapshot.peer(*id) : nullptr;
  return peer != nullptr && peer->vtep == to ? *id : PeerId{0};
}

// Reads "fragmentation needed" and "packet too big" from the underlay about our own tunnel packets. The
// packet is not changed: it is the node's, whose stack keeps a path MTU too. Whether the report says anything
// new is the control thread's to find.
//
// Reads: snapshot.vteps, peers, tunnel_port, own tunnel ends
// RFC:   1191 section 4, 8201 section 4
[[nodiscard]] inline PathMtuReport path_mtu(const Walk& walk, const Snapshot& snapshot) {
  const parsed& p = walk.p;
  const bool v4 = p.ip_version == 4;
  const bool says_so = v4 ? p.protocol == FL_PROTOCOL_ICMP && p.icmp_type == FL_ICMP_UNREACHABLE &&
                                p.icmp_code == FL_ICMP_FRAGMENTATION_NEEDED
                          : p.protocol == FL_PROTOCOL_ICMPV6 && p.icmp_type == FL_ICMPV6_PACKET_TOO_BIG;
  if (!says_so || walk.side != Side::uplink() || p.is_fragment != 0 || !is_own_vtep(p, snapshot)) return {};
  const uint32_t length = p.l3_length - (p.l4_offset - p.l3_offset);
  if (length < sizeof(icmp_header)) return {};
  const uint8_t* message = walk.packet->data + p.l4_offset;
  const auto* icmp = reinterpret_cast<const icmp_header*>(message);
  const uint32_t low = from_be16(icmp->sequence);
  const uint32_t mtu = v4 ? low : uint32_t{from_be16(icmp->id)} << 16 | low;
  if (mtu < (v4 ? kPathMtuLeast4 : kPathMtuLeast6) || mtu > UINT16_MAX) return {};
  const uint64_t pseudo = v4 ? 0 : checksum_pseudo6(&p.source, &p.destination, p.protocol, length);
  if (checksum_finish(checksum_add(pseudo, message, length)).raw != 0) return {};
  const PeerId peer =
      peer_of_quote(p, snapshot, message + sizeof(icmp_header), length - uint32_t{sizeof(icmp_header)});
  return {peer, static_cast<uint16_t>(mtu)};
}

}  // namespace fairlead::core::steps
