#pragma once

#include "dataplane/packet/types.h"

// What the parser reports: the offsets and the fields that deciding needs, or why there are none.

FL_BEGIN

// Every way a frame can be refused by the parser. The names are those of dataplane/tables/drop_reasons.def,
// which holds the sentences; dataplane/tables/drop_reasons.h maps one to the other and does not compile with
// a name missing.
#define FL_PARSE_ERRORS(X)  \
  X(MALFORMED_ETHERNET)     \
  X(UNKNOWN_ETHERTYPE)      \
  X(VLAN_FROM_POD)          \
  X(ARP_NOT_EXPECTED)       \
  X(MALFORMED_IPV4)         \
  X(BAD_IPV4_CHECKSUM)      \
  X(IPV4_OPTIONS)           \
  X(MALFORMED_IPV6)         \
  X(IPV6_EXTENSION_HEADERS) \
  X(MALFORMED_L4)           \
  X(FRAGMENT)               \
  X(MALFORMED_TUNNEL)

enum fl_parse_error {
  FL_PARSE_OK = 0,
#define FL_PARSE_NAME(name) FL_PARSE_##name,
  FL_PARSE_ERRORS(FL_PARSE_NAME)
#undef FL_PARSE_NAME
      FL_PARSE_ERROR_COUNT
};

// What the caller vouches for or allows.
enum fl_parse_flags {
  FL_PARSE_SKIP_IPV4_CHECKSUM = 1,  // the device verified it, or the packet never was on a wire
  FL_PARSE_ALLOW_ROUTER_ALERT = 2,  // RFC 2113: IGMP and RSVP carry it; every other option stays refused
};

// One packet, read. Offsets count from the frame's first byte. Filled only as far as parsing got: after an
// error every field not reached is zero.
struct parsed {
  struct ip_address source;
  struct ip_address destination;
  __u32 l3_length;   // bytes from l3_offset; what follows in the frame is padding
  be32 fragment_id;  // with is_fragment; IPv4: in the first two bytes
  be16 source_port;  // TCP, UDP, SCTP; ICMP echo: the id, as the port of the side that asks, 0 the other
  be16 destination_port;
  be16 ethertype;
  __u16 l3_offset;
  __u16 l4_offset;        // first byte after the IP header and its extension headers
  __u16 payload_offset;   // first byte after the L4 header; == l4_offset where there is none
  __u16 fragment_offset;  // bytes
  __u8 ip_version;        // 4 or 6
  __u8 protocol;          // of the header at l4_offset; a non-first fragment: what the fragment header says
  __u8 ttl;
  __u8 tos;  // IPv6: traffic class
  __u8 tcp_flags;
  __u8 icmp_type;
  __u8 icmp_code;
  __u8 is_fragment;        // part of a datagram; an IPv6 atomic fragment (RFC 6946) is whole, so not
  __u8 is_first_fragment;  // has the L4 header
  __u8 dont_fragment;      // IPv4: the DF bit; IPv6: always
  __u8 has_options;        // IPv4 options or IPv6 extension headers
  __u8 has_ports;          // the ports mean something (also set for ICMP echo)
  __u8 is_icmp_error;      // quotes another packet, and is not to be answered by an error
  __u8 pad[3];
};
FL_SIZE(parsed, 72);
FL_OFFSET(parsed, l3_length, 32);
FL_OFFSET(parsed, source_port, 40);
FL_OFFSET(parsed, l3_offset, 46);
FL_OFFSET(parsed, ip_version, 54);
FL_OFFSET(parsed, pad, 67);

// A tunnel header, read.
struct tunnel {
  __u32 vni;
  __u32 inner_offset;  // of the inner Ethernet header, from the outer frame's first byte
  __u32 inner_length;  // bytes the tunnel carries; the outer frame's padding is not among them
};

enum fl_tunnel_kind { FL_TUNNEL_VXLAN = 0, FL_TUNNEL_GENEVE = 1 };

// Bytes of L4 payload (after the L4 header) that the packet says it has.
FL_INLINE __u32 parsed_payload_length(const struct parsed* p) {
  return p->l3_offset + p->l3_length - p->payload_offset;
}

// True when a header we know stands at l4_offset: not in later fragments, nor for protocols we do not read.
FL_INLINE int parsed_has_l4_header(const struct parsed* p) {
  return p->payload_offset != p->l4_offset;
}

// True for a fragment that has no L4 header: it has no ports, and follows its first.
FL_INLINE int parsed_is_later_fragment(const struct parsed* p) {
  return p->is_fragment && !p->is_first_fragment;
}

FL_END
