#pragma once

#include "dataplane/packet/checksum.h"
#include "dataplane/packet/ethernet.h"
#include "dataplane/packet/geneve.h"
#include "dataplane/packet/ipv4.h"
#include "dataplane/packet/ipv6.h"
#include "dataplane/packet/parsed.h"
#include "dataplane/packet/rewrite.h"
#include "dataplane/packet/types.h"
#include "dataplane/packet/udp.h"
#include "dataplane/packet/vxlan.h"

// Header templates: everything that stands in front of an L3 header when it leaves, built once per next hop.
// Pushing one is a few wide stores and five patched fields.
//
// RFC 7348 and RFC 8926 (layout, source port, DF), RFC 6040 (ECN), RFC 6935 (UDP checksum zero over IPv6),
// RFC 6864 (identification of a datagram that is never fragmented), RFC 6438 (flow label as entropy).

FL_BEGIN

enum {
  FL_ENCAP_PLAIN = 14,    // Ethernet
  FL_ENCAP_TUNNEL4 = 64,  // Ethernet 14, IPv4 20, UDP 8, VXLAN or Geneve 8, inner Ethernet 14
  FL_ENCAP_TUNNEL6 = 84,  // the same over IPv6
  FL_ENCAP_MAX = FL_ENCAP_TUNNEL6,
  FL_ENCAP_TTL = 64,
  FL_ENCAP_PORT_BASE = 49152,  // source ports 49152..65535, RFC 7348 section 5
  FL_ENCAP_PORT_MASK = 16383,
};

// The bytes of a tunnel header, in their order. Only the outer L3 header differs.
struct encap_tunnel_tail {
  struct udp_header udp;
  __u8 tunnel[8];  // vxlan_header or geneve_header
  struct ethernet_header inner;
};
FL_SIZE(encap_tunnel_tail, 30);

// The header stands last, so that the whole plain one and the first half of a tunnel's share the line that
// says what it is.
struct encap_template {
  __u32 ip_sum;  // IPv4: sum of the outer header without its first two words (tos, total length) and checksum
  __u8 length;   // FL_ENCAP_PLAIN, FL_ENCAP_TUNNEL4 or FL_ENCAP_TUNNEL6
  __u8 overhead;      // bytes the L3 packet grows by: 0, 50 or 70
  __u8 ip_version;    // of the outer header; 0: plain
  __u8 udp_checksum;  // IPv6: compute the outer UDP checksum; otherwise it is zero (RFC 6935)
  __u8 header[88];    // `length` bytes, ready but for ethertype, lengths, tos, entropy and checksums
};
FL_SIZE(encap_template, 96);
FL_OFFSET(encap_template, length, 4);
FL_OFFSET(encap_template, header, 8);

// What a tunnel template is built from. IPv4 addresses stand in word[0].
struct encap_spec {
  struct ip_address source;       // our tunnel end
  struct ip_address destination;  // the peer's
  struct mac_address outer_source;
  struct mac_address outer_destination;  // the underlay next hop
  struct mac_address inner_source;
  struct mac_address inner_destination;  // the peer's tunnel end (Peer::vtep_mac)
  __u32 vni;                             // 24 bits
  be16 port;                             // UDP destination
  __u8 ip_version;                       // of the addresses: 4 or 6
  __u8 kind;                             // fl_tunnel_kind
  __u8 udp_checksum;                     // IPv6 only
};

// The 14-byte case: a next hop on the link, or a local endpoint.
FL_FUNCTION void encap_build_plain(struct encap_template* t, const struct mac_address* destination,
                                   const struct mac_address* source) {
  __builtin_memset(t, 0, sizeof(*t));
  rewrite_macs(t->header, destination, source);
  t->length = FL_ENCAP_PLAIN;
}

FL_FUNCTION void encap_build_tunnel(struct encap_template* t, const struct encap_spec* spec) {
  __builtin_memset(t, 0, sizeof(*t));
  t->ip_version = spec->ip_version;
  t->length = spec->ip_version == 4 ? FL_ENCAP_TUNNEL4 : FL_ENCAP_TUNNEL6;
  t->overhead = (__u8)(t->length - FL_ENCAP_PLAIN);

  struct ethernet_header* outer = (struct ethernet_header*)(void*)t->header;
  outer->destination = spec->outer_destination;
  outer->source = spec->outer_source;
  struct encap_tunnel_tail* tail;
  if (spec->ip_version == 4) {
    outer->ethertype = to_be16(FL_ETHERTYPE_IPV4);
    struct ipv4_header* ip = (struct ipv4_header*)(void*)(t->header + sizeof(*outer));
    ip->version_ihl = 0x45;
    ip->fragment = to_be16(FL_IPV4_DONT_FRAGMENT);
    ip->ttl = FL_ENCAP_TTL;
    ip->protocol = FL_PROTOCOL_UDP;
    ip->source = spec->source.word[0];
    ip->destination = spec->destination.word[0];
    t->ip_sum = checksum_fold(checksum_ipv4_header(ip) - to_be16(0x4500).raw);
    tail = (struct encap_tunnel_tail*)(void*)(t->header + sizeof(*outer) + sizeof(*ip));
  } else {
    outer->ethertype = to_be16(FL_ETHERTYPE_IPV6);
    struct ipv6_header* ip = (struct ipv6_header*)(void*)(t->header + sizeof(*outer));
    ip->next_header = FL_PROTOCOL_UDP;
    ip->hop_limit = FL_ENCAP_TTL;
    ip->source = spec->source;
    ip->destination = spec->destination;
    t->udp_checksum = spec->udp_checksum;
    tail = (struct encap_tunnel_tail*)(void*)(t->header + sizeof(*outer) + sizeof(*ip));
  }
  tail->udp.destination_port = spec->port;
  if (spec->kind == FL_TUNNEL_VXLAN) {
    struct vxlan_header vxlan = {to_be32(FL_VXLAN_VNI_VALID), to_be32(spec->vni << 8)};
    __builtin_memcpy(tail->tunnel, &vxlan, sizeof(vxlan));
  } else {
    struct geneve_header geneve = {0, 0, to_be16(FL_ETHERTYPE_TRANSPARENT_ETHERNET), to_be32(spec->vni << 8)};
    __builtin_memcpy(tail->tunnel, &geneve, sizeof(geneve));
  }
  tail->inner.destination = spec->inner_destination;
  tail->inner.source = spec->inner_source;
}

FL_INLINE void encap_patch_tail(struct encap_tunnel_tail* tail, __u32 l3_length, be16 ethertype, __u32 hash) {
  tail->udp.source_port = to_be16((__u16)(FL_ENCAP_PORT_BASE + (hash & FL_ENCAP_PORT_MASK)));
  tail->udp.length = to_be16((__u16)(sizeof(*tail) + l3_length));
  tail->inner.ethertype = ethertype;
}

// Writes the template's header in front of the L3 header at `l3` and returns the new frame's first byte,
// which is `t->length` bytes before it; the caller has made sure that they are there.
//
// `l3_length`, `tos`: of the packet (tos: its tos or traffic class, copied to the outer header, RFC 6040
// section 4.1); `ethertype`: its EtherType; `hash`: of its flow, for the outer source port and flow label.
// The lengths are those of one packet; segmenting gives each segment its own. With `t->udp_checksum` call
// encap_finish_udp6() afterwards.
FL_FUNCTION __u8* encap_push(const struct encap_template* t, void* l3, __u32 l3_length, be16 ethertype,
                             __u8 tos, __u32 hash) {
  if (t->ip_version == 0) {
    __u8* frame = (__u8*)l3 - FL_ENCAP_PLAIN;
    __builtin_memcpy(frame, t->header, FL_ENCAP_PLAIN - sizeof(ethertype));
    __builtin_memcpy(frame + FL_ENCAP_PLAIN - sizeof(ethertype), &ethertype, sizeof(ethertype));
    return frame;
  }
  if (t->ip_version == 4) {
    __u8* frame = (__u8*)l3 - FL_ENCAP_TUNNEL4;
    __builtin_memcpy(frame, t->header, FL_ENCAP_TUNNEL4);
    struct ipv4_header* ip = (struct ipv4_header*)(void*)(frame + sizeof(struct ethernet_header));
    struct encap_tunnel_tail* tail = (struct encap_tunnel_tail*)(void*)((__u8*)ip + sizeof(*ip));
    be16 total_length = to_be16((__u16)(sizeof(*ip) + sizeof(*tail) + l3_length));
    ip->tos = tos;
    ip->total_length = total_length;
    ip->checksum = checksum_finish((__u64)t->ip_sum + to_be16((__u16)(0x4500 | tos)).raw + total_length.raw);
    encap_patch_tail(tail, l3_length, ethertype, hash);
    return frame;
  }
  __u8* frame = (__u8*)l3 - FL_ENCAP_TUNNEL6;
  __builtin_memcpy(frame, t->header, FL_ENCAP_TUNNEL6);
  struct ipv6_header* ip = (struct ipv6_header*)(void*)(frame + sizeof(struct ethernet_header));
  struct encap_tunnel_tail* tail = (struct encap_tunnel_tail*)(void*)((__u8*)ip + sizeof(*ip));
  ip->version_class_flow = to_be32(0x60000000u | (__u32)tos << 20 | (hash & 0xfffff));
  ip->payload_length = to_be16((__u16)(sizeof(*tail) + l3_length));
  encap_patch_tail(tail, l3_length, ethertype, hash);
  return frame;
}

// Computes the outer UDP checksum of a frame that encap_push() made with an IPv6 tunnel template. The inner
// packet's own checksum may still be partial: `partial_start` is where its summing begins in the frame and
// `partial_field` where the field is (both 0: complete). Whoever completes it later leaves the outer sum
// right: what is summed up from partial_start will be the complement of the partial field. Not for BPF
// (variable length).
FL_FUNCTION void encap_finish_udp6(void* frame, __u32 frame_length, __u32 partial_start,
                                   __u32 partial_field) {
  __u8* bytes = (__u8*)frame;
  struct ipv6_header* ip = (struct ipv6_header*)(void*)(bytes + sizeof(struct ethernet_header));
  __u32 udp_offset = sizeof(struct ethernet_header) + sizeof(*ip);
  struct udp_header* udp = (struct udp_header*)(void*)(bytes + udp_offset);
  udp->checksum.raw = 0;
  __u64 sum = checksum_pseudo6(&ip->source, &ip->destination, FL_PROTOCOL_UDP, frame_length - udp_offset);
  if (partial_start) {
    be16 field;
    __builtin_memcpy(&field, bytes + partial_field, sizeof(field));
    sum = checksum_add(sum, udp, partial_start - udp_offset) + (__u16)~field.raw;
  } else {
    sum = checksum_add(sum, udp, frame_length - udp_offset);
  }
  udp->checksum = checksum_finish_udp(sum);
}

// The tos (or traffic class) an inner packet leaves the tunnel with: its own DSCP, and the ECN of RFC 6040
// figure 4. Returns -1 where that table says drop: congestion was marked on a packet whose ends cannot be
// told.
FL_INLINE int decap_tos(__u8 outer_tos, __u8 inner_tos) {
  __u32 outer = outer_tos & FL_ECN_MASK, inner = inner_tos & FL_ECN_MASK;
  if (inner == FL_ECN_NOT_ECT) return outer == FL_ECN_CE ? -1 : inner_tos;
  if (outer == FL_ECN_CE) return inner_tos | FL_ECN_CE;
  if (inner == FL_ECN_ECT0 && outer == FL_ECN_ECT1) return (inner_tos & ~FL_ECN_MASK) | FL_ECN_ECT1;
  return inner_tos;
}

FL_END
