#pragma once

#include "dataplane/core/steps/quote.hpp"
#include "dataplane/core/steps/translate.hpp"
#include "dataplane/core/walk.hpp"
#include "dataplane/packet/encap.h"

namespace fairlead::core::steps {

// A TCP super-packet that may be fragmented needs no fragments: smaller segments do, for a stream has no
// boundaries to keep. (With DF it was refused, and so was a UDP super-packet, whose datagrams are somebody's
// messages.)
inline void shrink_segments(const Walk& walk, const Template& out) {
  const uint8_t kind = walk.packet->offload.segment_kind;
  if (kind != kSegmentTcp4 && kind != kSegmentTcp6) return;
  const uint32_t headers = walk.p.payload_offset - walk.p.l3_offset;
  if (walk.packet->offload.segment_size != 0 && walk.l3_size() > out.l3_mtu && out.l3_mtu > headers) {
    walk.packet->offload.segment_size = static_cast<uint16_t>(out.l3_mtu - headers);
  }
}

// The outer UDP checksum over IPv6. Where the packet is yet to be cut, whoever cuts computes it for each
// piece, and a value that is not zero says that there shall be one.
inline void finish_outer_udp6(const Walk& walk, const Template& out) {
  Packet& packet = *walk.packet;
  if (packet.offload.segment_size != 0 || walk.p.l3_length > out.l3_mtu) {
    auto* udp = reinterpret_cast<udp_header*>(packet.data + sizeof(ethernet_header) + sizeof(ipv6_header));
    udp->checksum.raw = 0xffff;
    return;
  }
  const bool partial = packet.offload.checksum_partial;
  const uint32_t start = partial ? packet.offload.checksum_start : 0u;
  encap_finish_udp6(packet.data, packet.length, start, partial ? start + packet.offload.checksum_offset : 0u);
}

// Writes the template's header in front of the L3 header and tells the engine where the packet goes. Offload
// offsets move along; link padding is cut off.
//
// Drops: NO_HEADROOM (nothing is changed then)
[[nodiscard]] inline Verdict push(const Walk& walk, const Template& out) {
  Packet& packet = *walk.packet;
  const uint32_t header_length = out.encap.length;
  if (header_length > static_cast<uint32_t>(packet.headroom) + walk.p.l3_offset) [[unlikely]] {
    return Verdict::drop(DropReason::NO_HEADROOM);
  }
  uint8_t* const frame = encap_push(&out.encap, walk.l3(), walk.p.l3_length, walk.p.ethertype, walk.p.tos,
                                    static_cast<uint32_t>(walk.hash));
  const auto grown = static_cast<int>(packet.data - frame);
  packet.data = frame;
  packet.length = header_length + walk.p.l3_length;
  packet.headroom = static_cast<uint16_t>(packet.headroom - grown);
  packet.offload.checksum_start = static_cast<uint16_t>(packet.offload.checksum_start + grown);
  packet.encap_length = out.encap.overhead;
  packet.tx_port = out.tx_port;
  packet.tx_mtu = out.tx_mtu;
  if (out.encap.udp_checksum) finish_outer_udp6(walk, out);
  return Verdict::as_it_stands(out.kind == TemplateKind::kPunt ? Fate::kPunt : Fate::kForward);
}

// Rewrites the packet as its connection and its template say: addresses and ports, TTL, both MACs or the
// tunnel header. What the host's stack gets keeps its TTL.
//
// Writes: the packet's bytes, start, length, offload, encap_length, tx_port, tx_mtu
// Drops:  NO_HEADROOM, UNTRANSLATABLE
// RFC:    1812 section 5.3.1 (TTL), 1624 (checksum), 6040 section 4.1 (ECN on the outer header)
[[nodiscard]] inline Verdict apply(const Walk& walk, const Template& out) {
  if (walk.translation.any()) [[unlikely]] {
    if (walk.p.is_icmp_error != 0) {
      translate_error(walk);
    } else if (const Verdict verdict = translate(walk); !verdict.goes_on()) {
      return verdict;
    }
  }
  if (out.kind != TemplateKind::kPunt) {
    if (walk.p.ip_version == 4) {
      rewrite_decrement_ttl4(reinterpret_cast<ipv4_header*>(walk.l3()));
    } else {
      rewrite_decrement_ttl6(reinterpret_cast<ipv6_header*>(walk.l3()));
    }
    shrink_segments(walk, out);
  }
  return push(walk, out);
}

}  // namespace fairlead::core::steps
