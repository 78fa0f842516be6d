#pragma once

#include "dataplane/packet/checksum.h"
#include "dataplane/packet/ethernet.h"
#include "dataplane/packet/icmp.h"
#include "dataplane/packet/ipv4.h"
#include "dataplane/packet/ipv6.h"
#include "dataplane/packet/parsed.h"
#include "dataplane/packet/tcp.h"
#include "dataplane/packet/types.h"
#include "dataplane/packet/udp.h"

// Changes to a parsed packet. Every function keeps every checksum right: a complete one complete, a partial
// one partial. Nothing here checks a length: the parser did.

FL_BEGIN

FL_INLINE void rewrite_macs(void* frame, const struct mac_address* destination,
                            const struct mac_address* source) {
  struct ethernet_header* ethernet = (struct ethernet_header*)frame;
  ethernet->destination = *destination;
  ethernet->source = *source;
}

// The caller has judged that the TTL is greater than 1. RFC 1624; the checksum of a header is never all ones.
FL_INLINE void rewrite_decrement_ttl4(struct ipv4_header* ip) {
  // TTL is the upper byte of its 16-bit word, so the word falls by 0x0100 and the checksum rises by it.
  __u32 sum = (__u32)ip->checksum.raw + to_be16(0x0100).raw;
  ip->checksum.raw = (__u16)(sum + (sum >= 0xffff));
  ip->ttl--;
}

FL_INLINE void rewrite_decrement_ttl6(struct ipv6_header* ip) {
  ip->hop_limit--;
}

FL_INLINE void rewrite_tos4(struct ipv4_header* ip, __u8 tos) {
  be16 from = to_be16(ip->tos), to = to_be16(tos);
  ip->checksum = checksum_update16(ip->checksum, from, to);
  ip->tos = tos;
}

FL_INLINE void rewrite_traffic_class6(struct ipv6_header* ip, __u8 traffic_class) {
  __u32 word = from_be32(ip->version_class_flow);
  ip->version_class_flow = to_be32((word & 0xf00fffffu) | (__u32)traffic_class << 20);
}

// Changes both addresses and the header checksum; returns the delta of the pseudo-header, for the L4
// checksum.
FL_INLINE __u64 rewrite_addresses4(struct ipv4_header* ip, be32 source, be32 destination) {
  __u64 delta = checksum_delta32(ip->source, source) + checksum_delta32(ip->destination, destination);
  ip->checksum = checksum_apply(ip->checksum, delta);
  ip->source = source;
  ip->destination = destination;
  return delta;
}

FL_INLINE __u64 rewrite_addresses6(struct ipv6_header* ip, const struct ip_address* source,
                                   const struct ip_address* destination) {
  __u64 delta = checksum_delta128(&ip->source, source) + checksum_delta128(&ip->destination, destination);
  ip->source = *source;
  ip->destination = *destination;
  return delta;
}

// A partial field holds the pseudo-header's sum: ports are not in it.
FL_INLINE be16 rewrite_checksum(be16 field, __u64 pseudo_delta, __u64 port_delta, int partial) {
  return partial ? checksum_apply_partial(field, pseudo_delta)
                 : checksum_apply(field, pseudo_delta + port_delta);
}

// Changes the ports of the whole L4 header at `l4` (ICMP echo: the id, of a request to `source_port`, of a
// reply to `destination_port`) and its checksum,
// given the delta of the pseudo-header. `partial`: the checksum field is partial (Offload::checksum_partial).
//
// Returns 0; or -1, with nothing changed, for SCTP whose ports would change: its CRC32c covers the whole
// packet.
FL_FUNCTION int rewrite_l4(void* l4, __u8 protocol, be16 source_port, be16 destination_port,
                           __u64 pseudo_delta, int partial) {
  if (protocol == FL_PROTOCOL_TCP) {
    struct tcp_header* tcp = (struct tcp_header*)l4;
    __u64 port_delta = checksum_delta16(tcp->source_port, source_port) +
                       checksum_delta16(tcp->destination_port, destination_port);
    tcp->checksum = rewrite_checksum(tcp->checksum, pseudo_delta, port_delta, partial);
    tcp->source_port = source_port;
    tcp->destination_port = destination_port;
    return 0;
  }
  if (protocol == FL_PROTOCOL_UDP) {
    struct udp_header* udp = (struct udp_header*)l4;
    __u64 port_delta = checksum_delta16(udp->source_port, source_port) +
                       checksum_delta16(udp->destination_port, destination_port);
    if (partial || udp->checksum.raw != 0) {  // zero stays zero: nobody computed one
      udp->checksum = rewrite_checksum(udp->checksum, pseudo_delta, port_delta, partial);
      if (!partial && udp->checksum.raw == 0) udp->checksum.raw = 0xffff;
    }
    udp->source_port = source_port;
    udp->destination_port = destination_port;
    return 0;
  }
  if (protocol == FL_PROTOCOL_ICMP || protocol == FL_PROTOCOL_ICMPV6) {
    struct icmp_header* icmp = (struct icmp_header*)l4;
    int v6 = protocol == FL_PROTOCOL_ICMPV6;
    int is_request = icmp_is_echo_request(icmp->type, v6);
    __u64 port_delta = 0;
    if (is_request || icmp_is_echo_reply(icmp->type, v6)) {
      be16 id = is_request ? source_port : destination_port;
      port_delta = checksum_delta16(icmp->id, id);
      icmp->id = id;
    }
    icmp->checksum = rewrite_checksum(icmp->checksum, v6 ? pseudo_delta : 0, port_delta, partial);
    return 0;
  }
  if (protocol == FL_PROTOCOL_SCTP) {
    const struct tcp_header* ports = (const struct tcp_header*)l4;  // SCTP's ports stand where TCP's do
    if (ports->source_port.raw != source_port.raw || ports->destination_port.raw != destination_port.raw)
      return -1;
  }
  return 0;
}

// New addresses and ports of a packet; what stays is filled in as it is.
struct rewrite4 {
  be32 source;
  be32 destination;
  be16 source_port;
  be16 destination_port;
};

struct rewrite6 {
  struct ip_address source;
  struct ip_address destination;
  be16 source_port;
  be16 destination_port;
};

// Rewrites the parsed frame. A later fragment has no L4 header: its ports and checksum travelled in the
// first. Returns as rewrite_l4(); the addresses are changed in any case.
FL_FUNCTION int rewrite_frame4(void* frame, const struct parsed* p, const struct rewrite4* to, int partial) {
  __u8* bytes = (__u8*)frame;
  __u64 delta =
      rewrite_addresses4((struct ipv4_header*)(void*)(bytes + p->l3_offset), to->source, to->destination);
  if (!parsed_has_l4_header(p)) return 0;
  return rewrite_l4(bytes + p->l4_offset, p->protocol, to->source_port, to->destination_port, delta, partial);
}

FL_FUNCTION int rewrite_frame6(void* frame, const struct parsed* p, const struct rewrite6* to, int partial) {
  __u8* bytes = (__u8*)frame;
  __u64 delta =
      rewrite_addresses6((struct ipv6_header*)(void*)(bytes + p->l3_offset), &to->source, &to->destination);
  if (!parsed_has_l4_header(p)) return 0;
  return rewrite_l4(bytes + p->l4_offset, p->protocol, to->source_port, to->destination_port, delta, partial);
}

FL_END
