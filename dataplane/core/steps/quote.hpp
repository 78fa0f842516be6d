#pragma once

#include "dataplane/core/steps/flow_lookup.hpp"
#include "dataplane/core/steps/translate.hpp"
#include "dataplane/packet/icmp.h"

#include <algorithm>

namespace fairlead::core::steps {

// The packet that an ICMP error quotes, as far as it names a connection. Offsets count from the frame.
struct Quote {
  parsed packet{};  // ip_version, protocol, addresses and ports
  uint32_t l3_offset = 0;
  uint32_t l4_offset = 0;
  uint32_t l4_length = 0;  // bytes of L4 quoted, at least 8
};

// The source and destination port of the L4 header at `l4`, of which there are 8 bytes; ICMP echo: the id, as
// in struct parsed.
[[nodiscard]] inline bool read_quoted_ports(const uint8_t* l4, parsed& packet) {
  const bool v6 = packet.ip_version == 6;
  switch (packet.protocol) {
    case FL_PROTOCOL_TCP:
    case FL_PROTOCOL_UDP:
    case FL_PROTOCOL_SCTP:
      std::memcpy(&packet.source_port, l4, sizeof(packet.source_port));
      std::memcpy(&packet.destination_port, l4 + 2, sizeof(packet.destination_port));
      return true;
    case FL_PROTOCOL_ICMP:
    case FL_PROTOCOL_ICMPV6: {
      if (v6 != (packet.protocol == FL_PROTOCOL_ICMPV6)) return false;
      const bool is_request = icmp_is_echo_request(l4[0], v6) != 0;
      if (!is_request && icmp_is_echo_reply(l4[0], v6) == 0) return false;
      be16& id = is_request ? packet.source_port : packet.destination_port;
      std::memcpy(&id, l4 + 4, sizeof(id));
      return true;
    }
    default:
      return false;
  }
}

// False: it names no connection (too short, a later fragment, extension headers, a protocol without ports).
[[nodiscard]] inline bool read_quote(const Walk& walk, Quote* quote) {
  const parsed& p = walk.p;
  const uint32_t end = p.l3_offset + p.l3_length;
  quote->l3_offset = p.l4_offset + uint32_t{sizeof(icmp_header)};
  if (p.is_fragment != 0 || quote->l3_offset > end) return false;
  const uint8_t* const l3 = walk.packet->data + quote->l3_offset;
  const uint32_t length = end - quote->l3_offset;
  parsed& packet = quote->packet;
  packet.ip_version = p.ip_version;
  uint32_t header = sizeof(ipv6_header);
  if (p.ip_version == 4) {
    const auto* ip = reinterpret_cast<const ipv4_header*>(l3);
    if (length < sizeof(*ip) || ip->version_ihl >> 4 != 4) return false;
    header = ipv4_header_length(ip);
    if (header < sizeof(*ip) || (from_be16(ip->fragment) & FL_IPV4_OFFSET_MASK) != 0) return false;
    packet.protocol = ip->protocol;
    packet.source.word[0] = ip->source;
    packet.destination.word[0] = ip->destination;
  } else {
    const auto* ip = reinterpret_cast<const ipv6_header*>(l3);
    if (length < sizeof(*ip) || from_be32(ip->version_class_flow) >> 28 != 6) return false;
    packet.protocol = ip->next_header;
    packet.source = ip->source;
    packet.destination = ip->destination;
  }
  constexpr uint32_t kQuotedLeast = 8;  // RFC 792
  if (length < header + kQuotedLeast) return false;
  quote->l4_offset = quote->l3_offset + header;
  quote->l4_length = length - header;
  return read_quoted_ports(l3 + header, packet);
}

// Finds the translated connection that an ICMP error is about, by the packet it quotes: that one was on its
// way to where the error comes from, so the error goes the other way, and the reverse of what is quoted is a
// packet of that direction. The error is translated like it. Its own source is where it is the quoted
// destination itself, and where the connection's client shows itself with an address of ours: another node
// takes nothing else from us. Otherwise a router's stays the router's.
//
// Writes: walk.translation, walk.kept. An error about no translated connection is judged as any packet
// without ports.
// RFC:    5508 sections 4 and 7 (REQ-3, REQ-4)
template <typename Table, typename Key>
inline void follow_quote(Walk& walk, const Table& table, Key (*key_of)(const parsed&, bool*)) {
  Quote quote;
  if (!read_quote(walk, &quote) || !(quote.packet.source == walk.p.destination)) return;
  parsed reverse = quote.packet;
  std::swap(reverse.source, reverse.destination);
  std::swap(reverse.source_port, reverse.destination_port);
  bool swapped = false;
  const Key key = key_of(reverse, &swapped);
  const FlowHit hit = table.lookup(key, table.hash(key), swapped);
  if (!hit.translated) return;
  walk.kept = true;
  Translation& to = walk.translation;
  to = translation_of(table, hit);
  const ip_address& end = quote.packet.destination;
  const bool speaks_as_us = hit.direction == Direction::kOriginal && !(to.source == end);
  to.translates_source = walk.p.source == end || speaks_as_us;
}

// The quoted packet as its sender sent it; returns what that changes in a checksum over the quote.
[[nodiscard]] inline uint64_t translate_quoted(uint8_t* frame, const Quote& quote, const Translation& to) {
  uint8_t* const l3 = frame + quote.l3_offset;
  uint8_t* const l4 = frame + quote.l4_offset;
  constexpr uint32_t kL4Changed = 18;  // as far as TCP's checksum
  const uint32_t length = quote.l4_offset - quote.l3_offset + std::min(quote.l4_length, kL4Changed);
  const uint16_t before = checksum_fold(checksum_add(0, l3, length));
  uint64_t pseudo_delta = 0;
  if (quote.packet.ip_version == 4) {
    pseudo_delta =
        rewrite_addresses4(reinterpret_cast<ipv4_header*>(l3), to.destination.word[0], to.source.word[0]);
  } else {
    pseudo_delta = rewrite_addresses6(reinterpret_cast<ipv6_header*>(l3), &to.destination, &to.source);
  }
  const bool has_checksum = quote.packet.protocol == FL_PROTOCOL_TCP
                                ? quote.l4_length >= kL4Changed
                                : quote.packet.protocol != FL_PROTOCOL_SCTP;
  if (has_checksum) {
    (void)rewrite_l4(l4, quote.packet.protocol, to.destination_port, to.source_port, pseudo_delta, 0);
  } else {
    std::memcpy(l4, &to.destination_port, sizeof(to.destination_port));
    std::memcpy(l4 + 2, &to.source_port, sizeof(to.source_port));
  }
  return checksum_add(0, l3, length) + static_cast<uint16_t>(~before);
}

// translate() for an ICMP error that follow_quote() found the connection of: outer addresses, and the quote.
inline void translate_error(const Walk& walk) {
  Quote quote;
  if (!read_quote(walk, &quote)) return;  // it has been read once
  const parsed& p = walk.p;
  const Translation& to = walk.translation;
  uint8_t* const frame = walk.packet->data;
  const uint64_t quote_delta = translate_quoted(frame, quote, to);
  const ip_address& source = to.translates_source ? to.source : p.source;
  uint64_t pseudo_delta = 0;
  if (p.ip_version == 4) {
    (void)rewrite_addresses4(reinterpret_cast<ipv4_header*>(walk.l3()), source.word[0],
                             to.destination.word[0]);
  } else {
    pseudo_delta = rewrite_addresses6(reinterpret_cast<ipv6_header*>(walk.l3()), &source, &to.destination);
  }
  auto* icmp = reinterpret_cast<icmp_header*>(frame + p.l4_offset);
  icmp->checksum = rewrite_checksum(icmp->checksum, pseudo_delta, quote_delta,
                                    walk.packet->offload.checksum_partial ? 1 : 0);
}

}  // namespace fairlead::core::steps
