#pragma once

#include "dataplane/packet/cursor.h"
#include "dataplane/packet/icmp.h"
#include "dataplane/packet/ipv4.h"
#include "dataplane/packet/parsed.h"
#include "dataplane/packet/sctp.h"
#include "dataplane/packet/tcp.h"
#include "dataplane/packet/types.h"
#include "dataplane/packet/udp.h"

// The L4 half of parse.h. `available` is what the L3 length leaves for L4; the cursor knows what the frame
// holds.

FL_BEGIN

FL_INLINE int parse_tcp(struct cursor* c, __u32 available, struct parsed* out) {
  const struct tcp_header* tcp = FL_TAKE(c, tcp_header);
  if (FL_UNLIKELY(!tcp || available < sizeof(*tcp))) return FL_PARSE_MALFORMED_L4;
  __u32 length = tcp_header_length(tcp);
  if (FL_UNLIKELY(length < sizeof(*tcp) || length > available)) return FL_PARSE_MALFORMED_L4;
  out->source_port = tcp->source_port;
  out->destination_port = tcp->destination_port;
  out->has_ports = 1;
  out->tcp_flags = tcp->flags;
  out->payload_offset = (__u16)(out->l4_offset + length);
  return FL_PARSE_OK;
}

FL_INLINE int parse_udp(struct cursor* c, __u32 available, struct parsed* out) {
  const struct udp_header* udp = FL_TAKE(c, udp_header);
  if (FL_UNLIKELY(!udp || available < sizeof(*udp))) return FL_PARSE_MALFORMED_L4;
  __u32 length = from_be16(udp->length);
  // A first fragment's UDP length is that of the whole datagram. Zero (RFC 2675) would be a jumbogram:
  // refused.
  if (FL_UNLIKELY(length < sizeof(*udp) || (length > available && !out->is_fragment)))
    return FL_PARSE_MALFORMED_L4;
  out->source_port = udp->source_port;
  out->destination_port = udp->destination_port;
  out->has_ports = 1;
  out->payload_offset = (__u16)(out->l4_offset + sizeof(*udp));
  return FL_PARSE_OK;
}

FL_INLINE int parse_sctp(struct cursor* c, __u32 available, struct parsed* out) {
  const struct sctp_header* sctp = FL_TAKE(c, sctp_header);
  if (FL_UNLIKELY(!sctp || available < sizeof(*sctp))) return FL_PARSE_MALFORMED_L4;
  out->source_port = sctp->source_port;
  out->destination_port = sctp->destination_port;
  out->has_ports = 1;
  out->payload_offset = (__u16)(out->l4_offset + sizeof(*sctp));
  return FL_PARSE_OK;
}

FL_INLINE int parse_icmp(struct cursor* c, __u32 available, int v6, struct parsed* out) {
  const struct icmp_header* icmp = FL_TAKE(c, icmp_header);
  if (FL_UNLIKELY(!icmp || available < sizeof(*icmp))) return FL_PARSE_MALFORMED_L4;
  out->icmp_type = icmp->type;
  out->icmp_code = icmp->code;
  out->payload_offset = (__u16)(out->l4_offset + sizeof(*icmp));
  // One side's requests are no answers to the other's, whose ids may be the same ones.
  if (icmp_is_echo_request(icmp->type, v6)) {
    out->source_port = icmp->id;
    out->has_ports = 1;
  } else if (icmp_is_echo_reply(icmp->type, v6)) {
    out->destination_port = icmp->id;
    out->has_ports = 1;
  } else {
    out->is_icmp_error = (__u8)(v6 ? icmpv6_is_error(icmp->type) : icmp_is_error(icmp->type));
  }
  return FL_PARSE_OK;
}

// Reads the header at the cursor; l4_offset, protocol and the fragment fields are set already.
//
// A protocol we do not know has no ports and no header: it is forwarded by its addresses. A first fragment
// must hold the whole L4 header (RFC 7112 for IPv6; RFC 1858 for IPv4, as does the refusal of offset 8, which
// would overwrite the TCP flags).
FL_FUNCTION int parse_l4(struct cursor* c, struct parsed* out) {
  __u32 available = out->l3_offset + out->l3_length - out->l4_offset;
  out->payload_offset = out->l4_offset;
  if (parsed_is_later_fragment(out)) {
    if (out->protocol == FL_PROTOCOL_TCP && out->fragment_offset == 8) return FL_PARSE_FRAGMENT;
    return FL_PARSE_OK;
  }
  switch (out->protocol) {
    case FL_PROTOCOL_TCP:
      return parse_tcp(c, available, out);
    case FL_PROTOCOL_UDP:
      return parse_udp(c, available, out);
    case FL_PROTOCOL_SCTP:
      return parse_sctp(c, available, out);
    case FL_PROTOCOL_ICMP:
    case FL_PROTOCOL_ICMPV6: {
      int v6 = out->protocol == FL_PROTOCOL_ICMPV6;
      if (v6 != (out->ip_version == 6)) return FL_PARSE_OK;  // the other family's: just a number
      return parse_icmp(c, available, v6, out);
    }
    default:
      return FL_PARSE_OK;
  }
}

FL_END
