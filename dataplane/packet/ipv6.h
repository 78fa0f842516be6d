#pragma once

#include "dataplane/packet/types.h"

// IPv6 header and extension headers, RFC 8200; authentication header, RFC 4302.

FL_BEGIN

struct ipv6_header {
  be32 version_class_flow;  // version 4 bits, traffic class 8, flow label 20
  be16 payload_length;
  __u8 next_header;
  __u8 hop_limit;
  struct ip_address source;
  struct ip_address destination;
};
FL_SIZE(ipv6_header, 40);
FL_OFFSET(ipv6_header, payload_length, 4);
FL_OFFSET(ipv6_header, next_header, 6);
FL_OFFSET(ipv6_header, hop_limit, 7);
FL_OFFSET(ipv6_header, source, 8);
FL_OFFSET(ipv6_header, destination, 24);

// The first 8 bytes of every extension header. `length` counts 8-byte units after the first, except in the
// authentication header, where it counts 4-byte units after the first two.
struct ipv6_extension {
  __u8 next_header;
  __u8 length;
  __u8 rest[6];
};
FL_SIZE(ipv6_extension, 8);

struct ipv6_fragment {
  __u8 next_header;
  __u8 reserved;
  be16 offset_more;  // offset in 8-byte units 13 bits, reserved 2, more 1: the offset in bytes once masked
  be32 id;
};
FL_SIZE(ipv6_fragment, 8);
FL_OFFSET(ipv6_fragment, offset_more, 2);
FL_OFFSET(ipv6_fragment, id, 4);

enum { FL_IPV6_FRAGMENT_MORE = 1, FL_IPV6_FRAGMENT_OFFSET_MASK = 0xfff8 };

// Next-header values that are extension headers, IANA "IPv6 Extension Header Types".
enum {
  FL_IPV6_HOP_BY_HOP = 0,
  FL_IPV6_ROUTING = 43,
  FL_IPV6_FRAGMENT = 44,
  FL_IPV6_ESP = 50,  // what follows is encrypted: the end of what anyone in between can read
  FL_IPV6_AH = 51,
  FL_IPV6_NO_NEXT = 59,
  FL_IPV6_DESTINATION_OPTIONS = 60,
  FL_IPV6_MOBILITY = 135,
  FL_IPV6_HIP = 139,
  FL_IPV6_SHIM6 = 140,
  FL_IPV6_EXPERIMENT1 = 253,
  FL_IPV6_EXPERIMENT2 = 254,
};

// Extension headers a packet may have; RFC 8200 sets no bound, RFC 8504 section 5.3 allows one.
enum { FL_IPV6_EXTENSIONS_MAX = 8 };

// The traffic class: DSCP and ECN, as IPv4's tos.
FL_INLINE __u8 ipv6_traffic_class(const struct ipv6_header* ip) {
  return (__u8)(from_be32(ip->version_class_flow) >> 20);
}

FL_END
