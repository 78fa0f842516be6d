#pragma once

#include "dataplane/packet/checksum.h"
#include "dataplane/packet/cursor.h"
#include "dataplane/packet/ethernet.h"
#include "dataplane/packet/geneve.h"
#include "dataplane/packet/ipv4.h"
#include "dataplane/packet/ipv6.h"
#include "dataplane/packet/parse_l4.h"
#include "dataplane/packet/parsed.h"
#include "dataplane/packet/types.h"
#include "dataplane/packet/udp.h"
#include "dataplane/packet/vxlan.h"

// The one parser: Ethernet, IPv4 or IPv6, L4; and the tunnel header behind a parsed UDP header.
//
// Every length is checked here and nowhere else: after FL_PARSE_OK all bytes of [0, l3_offset + l3_length)
// are in the frame, and all headers up to payload_offset are whole. Source and destination are not judged.

FL_BEGIN

// Reads `length` bytes of options and adds them to `sum`. Accepted are only router alert (RFC 2113: type 148,
// length 4) and filling.
FL_FUNCTION int parse_ipv4_options(struct cursor* c, __u32 length, __u64* sum) {
  for (__u32 at = 0; at < 40 && at < length; at += 4) {
    const __u8* option = (const __u8*)cursor_take(c, 4);
    if (!option) return FL_PARSE_MALFORMED_IPV4;
    int router_alert = option[0] == FL_IPV4_OPTION_ROUTER_ALERT && option[1] == 4;
    int filling = option[0] <= FL_IPV4_OPTION_NOP && option[1] <= FL_IPV4_OPTION_NOP &&
                  option[2] <= FL_IPV4_OPTION_NOP && option[3] <= FL_IPV4_OPTION_NOP;
    if (!router_alert && !filling) return FL_PARSE_IPV4_OPTIONS;
    *sum = checksum_add(*sum, option, 4);
  }
  return FL_PARSE_OK;
}

// RFC 1812 section 5.2.2, in its order: lengths, version, checksum, total length.
FL_FUNCTION int parse_ipv4(struct cursor* c, __u32 flags, struct parsed* out) {
  const struct ipv4_header* ip = FL_TAKE(c, ipv4_header);
  if (FL_UNLIKELY(!ip)) return FL_PARSE_MALFORMED_IPV4;
  __u32 header_length = ipv4_header_length(ip);
  __u32 total_length = from_be16(ip->total_length);
  if (FL_UNLIKELY((ip->version_ihl >> 4) != 4 || header_length < sizeof(*ip) ||
                  total_length < header_length || total_length > c->length - out->l3_offset)) {
    return FL_PARSE_MALFORMED_IPV4;
  }
  __u64 sum = checksum_ipv4_header(ip);
  if (FL_UNLIKELY(header_length > sizeof(*ip))) {
    if (!(flags & FL_PARSE_ALLOW_ROUTER_ALERT)) return FL_PARSE_IPV4_OPTIONS;
    int error = parse_ipv4_options(c, header_length - (__u32)sizeof(*ip), &sum);
    if (error) return error;
    out->has_options = 1;
  }
  if (FL_UNLIKELY(!(flags & FL_PARSE_SKIP_IPV4_CHECKSUM) && checksum_fold(sum) != 0xffff)) {
    return FL_PARSE_BAD_IPV4_CHECKSUM;
  }

  __u32 fragment = from_be16(ip->fragment);
  __u32 fragment_offset = (fragment & FL_IPV4_OFFSET_MASK) * 8u;
  out->ip_version = 4;
  out->protocol = ip->protocol;
  out->ttl = ip->ttl;
  out->tos = ip->tos;
  out->l3_length = total_length;
  out->source.word[0] = ip->source;
  out->destination.word[0] = ip->destination;
  out->dont_fragment = (fragment & FL_IPV4_DONT_FRAGMENT) != 0;
  out->l4_offset = (__u16)c->offset;
  if (FL_UNLIKELY(fragment & (FL_IPV4_MORE_FRAGMENTS | FL_IPV4_OFFSET_MASK))) {
    __u32 data_length = total_length - header_length;
    // No reassembly may end beyond 65,535 bytes, and only the last piece may be odd.
    if (fragment_offset + total_length > 65535) return FL_PARSE_MALFORMED_IPV4;
    if ((fragment & FL_IPV4_MORE_FRAGMENTS) && (data_length == 0 || data_length % 8 != 0)) {
      return FL_PARSE_MALFORMED_IPV4;
    }
    out->is_fragment = 1;
    out->is_first_fragment = fragment_offset == 0;
    out->fragment_offset = (__u16)fragment_offset;
    out->fragment_id.raw = ip->id.raw;
  }
  return parse_l4(c, out);
}

FL_INLINE int parse_ipv6_fragment(const struct ipv6_fragment* fragment, __u32 data_length,
                                  struct parsed* out) {
  __u32 offset = from_be16(fragment->offset_more) & FL_IPV6_FRAGMENT_OFFSET_MASK;
  __u32 more = from_be16(fragment->offset_more) & FL_IPV6_FRAGMENT_MORE;
  if (offset == 0 && !more)
    return FL_PARSE_OK;  // atomic, RFC 6946: whole, treated without regard to its siblings
  // RFC 8200 section 4.5: only the last piece may be odd, and none may end beyond 65,535 bytes.
  if (more && (data_length == 0 || data_length % 8 != 0)) return FL_PARSE_MALFORMED_IPV6;
  if (offset + data_length > 65535) return FL_PARSE_MALFORMED_IPV6;
  out->is_fragment = 1;
  out->is_first_fragment = offset == 0;
  out->fragment_offset = (__u16)offset;
  out->fragment_id = fragment->id;
  return FL_PARSE_OK;
}

// Walks the extension headers, at most FL_IPV6_EXTENSIONS_MAX, up to a header that is none (ESP and "no next
// header" among them); leaves the cursor behind them and its number in out->protocol.
//
// Refused: hop-by-hop anywhere but first, a second fragment header, routing headers (RFC 5095 and no use for
// others here), and those whose meaning we do not know.
FL_FUNCTION int parse_ipv6_extensions(struct cursor* c, __u8 next, struct parsed* out) {
  __u32 limit = out->l3_offset + out->l3_length;
  int fragment_seen = 0;
  for (int i = 0; i <= FL_IPV6_EXTENSIONS_MAX; ++i) {
    int is_extension = next == FL_IPV6_HOP_BY_HOP || next == FL_IPV6_DESTINATION_OPTIONS ||
                       next == FL_IPV6_FRAGMENT || next == FL_IPV6_AH;
    if (next == FL_IPV6_ROUTING || next == FL_IPV6_MOBILITY || next == FL_IPV6_HIP || next == FL_IPV6_SHIM6 ||
        next == FL_IPV6_EXPERIMENT1 || next == FL_IPV6_EXPERIMENT2) {
      return FL_PARSE_IPV6_EXTENSION_HEADERS;
    }
    if (!is_extension || parsed_is_later_fragment(out)) {
      out->protocol = next;
      return FL_PARSE_OK;
    }
    if (i == FL_IPV6_EXTENSIONS_MAX) break;

    __u8 kind = next;
    __u32 at = c->offset;
    const struct ipv6_extension* extension = FL_TAKE(c, ipv6_extension);
    if (!extension || limit - at < sizeof(*extension)) return FL_PARSE_IPV6_EXTENSION_HEADERS;
    next = extension->next_header;
    out->has_options = 1;
    __u32 length = (extension->length + 1u) * 8u;
    if (kind == FL_IPV6_HOP_BY_HOP) {
      if (i != 0) return FL_PARSE_IPV6_EXTENSION_HEADERS;
    } else if (kind == FL_IPV6_AH) {
      length = (extension->length + 2u) * 4u;
      // RFC 4302 section 2.2: 12 bytes of its own, and a multiple of 8 in IPv6.
      if (length < 16 || length % 8 != 0) return FL_PARSE_IPV6_EXTENSION_HEADERS;
    } else if (kind == FL_IPV6_FRAGMENT) {
      if (fragment_seen++) return FL_PARSE_IPV6_EXTENSION_HEADERS;
      length = sizeof(struct ipv6_fragment);
      int error = parse_ipv6_fragment((const struct ipv6_fragment*)extension, limit - c->offset, out);
      if (error) return error;
    }
    if (length > limit - at || cursor_skip(c, length - sizeof(*extension)))
      return FL_PARSE_IPV6_EXTENSION_HEADERS;
  }
  return FL_PARSE_IPV6_EXTENSION_HEADERS;
}

FL_FUNCTION int parse_ipv6(struct cursor* c, struct parsed* out) {
  const struct ipv6_header* ip = FL_TAKE(c, ipv6_header);
  if (FL_UNLIKELY(!ip)) return FL_PARSE_MALFORMED_IPV6;
  __u32 length = sizeof(*ip) + from_be16(ip->payload_length);
  if (FL_UNLIKELY((from_be32(ip->version_class_flow) >> 28) != 6 || length > c->length - out->l3_offset)) {
    return FL_PARSE_MALFORMED_IPV6;
  }
  out->ip_version = 6;
  out->ttl = ip->hop_limit;
  out->tos = ipv6_traffic_class(ip);
  out->l3_length = length;
  out->source = ip->source;
  out->destination = ip->destination;
  out->dont_fragment = 1;
  int error = parse_ipv6_extensions(c, ip->next_header, out);
  if (FL_UNLIKELY(error)) return error;
  out->l4_offset = (__u16)c->offset;
  return parse_l4(c, out);
}

// Reads the frame [data, data_end) into `out`. `flags`: fl_parse_flags. Returns 0 or an fl_parse_error.
FL_FUNCTION int parse_frame(const void* data, const void* data_end, __u32 flags, struct parsed* out) {
  struct cursor c = cursor_open(data, data_end);
  __builtin_memset(out, 0, sizeof(*out));
  const struct ethernet_header* ethernet = FL_TAKE(&c, ethernet_header);
  if (FL_UNLIKELY(!ethernet)) return FL_PARSE_MALFORMED_ETHERNET;
  out->ethertype = ethernet->ethertype;
  out->l3_offset = sizeof(*ethernet);
  switch (from_be16(ethernet->ethertype)) {
    case FL_ETHERTYPE_IPV4:
      return parse_ipv4(&c, flags, out);
    case FL_ETHERTYPE_IPV6:
      return parse_ipv6(&c, out);
    case FL_ETHERTYPE_ARP:
      return FL_PARSE_ARP_NOT_EXPECTED;
    case FL_ETHERTYPE_VLAN:
    case FL_ETHERTYPE_QINQ:
      return FL_PARSE_VLAN_FROM_POD;
    default:
      return FL_PARSE_UNKNOWN_ETHERTYPE;
  }
}

// Reads the tunnel header behind the UDP header of `outer`, which parse_frame() read from the same frame and
// found whole (not a fragment). `kind`: fl_tunnel_kind. Returns 0 or FL_PARSE_MALFORMED_TUNNEL.
//
// VXLAN: any flag but I and anything in a reserved field is refused, as the Linux kernel does: it would be an
// extension we do not speak (RFC 7348 says to ignore them). Geneve: version 0 and Ethernet payload only;
// options are skipped unless one is critical; control packets are refused (RFC 8926 section 3.4). The inner
// frame is not looked at.
FL_FUNCTION int parse_tunnel(const void* data, const void* data_end, const struct parsed* outer, __u32 kind,
                             struct tunnel* out) {
  struct cursor c = cursor_open(data, data_end);
  __u32 udp_offset = outer->l4_offset;
  if (outer->protocol != FL_PROTOCOL_UDP || outer->is_fragment || cursor_skip(&c, udp_offset)) {
    return FL_PARSE_MALFORMED_TUNNEL;
  }
  const struct udp_header* udp = FL_TAKE(&c, udp_header);
  if (!udp) return FL_PARSE_MALFORMED_TUNNEL;
  __u32 limit = udp_offset + from_be16(udp->length);  // within the packet: parse_frame() saw to it

  __u32 vni;
  if (kind == FL_TUNNEL_VXLAN) {
    const struct vxlan_header* vxlan = FL_TAKE(&c, vxlan_header);
    if (!vxlan || from_be32(vxlan->flags) != FL_VXLAN_VNI_VALID) return FL_PARSE_MALFORMED_TUNNEL;
    vni = from_be32(vxlan->vni);
    if (vni & 0xff) return FL_PARSE_MALFORMED_TUNNEL;
  } else {
    const struct geneve_header* geneve = FL_TAKE(&c, geneve_header);
    if (!geneve || (geneve->version_options >> 6) != 0 ||
        (geneve->flags & (FL_GENEVE_CONTROL | FL_GENEVE_CRITICAL)) ||
        from_be16(geneve->protocol) != FL_ETHERTYPE_TRANSPARENT_ETHERNET ||
        cursor_skip(&c, geneve_options_length(geneve))) {
      return FL_PARSE_MALFORMED_TUNNEL;
    }
    vni = from_be32(geneve->vni);
  }
  if (c.offset + sizeof(struct ethernet_header) > limit) return FL_PARSE_MALFORMED_TUNNEL;
  out->vni = vni >> 8;
  out->inner_offset = c.offset;
  out->inner_length = limit - c.offset;
  return FL_PARSE_OK;
}

FL_END
