#pragma once

#include "dataplane/packet/types.h"

// IPv4 header, RFC 791 section 3.1; the type-of-service byte as DSCP and ECN, RFC 2474 and RFC 3168.

FL_BEGIN

struct ipv4_header {
  __u8 version_ihl;  // version 4 bits, header length in 4-byte words 4 bits
  __u8 tos;
  be16 total_length;
  be16 id;
  be16 fragment;  // FL_IPV4_* flags and the offset in 8-byte units
  __u8 ttl;
  __u8 protocol;
  be16 checksum;
  be32 source;
  be32 destination;
};
FL_SIZE(ipv4_header, 20);
FL_OFFSET(ipv4_header, total_length, 2);
FL_OFFSET(ipv4_header, fragment, 6);
FL_OFFSET(ipv4_header, ttl, 8);
FL_OFFSET(ipv4_header, protocol, 9);
FL_OFFSET(ipv4_header, checksum, 10);
FL_OFFSET(ipv4_header, source, 12);
FL_OFFSET(ipv4_header, destination, 16);

enum {
  FL_IPV4_DONT_FRAGMENT = 0x4000,
  FL_IPV4_MORE_FRAGMENTS = 0x2000,
  FL_IPV4_OFFSET_MASK = 0x1fff,
};

// Option types, RFC 791 section 3.1 and RFC 2113.
enum { FL_IPV4_OPTION_END = 0, FL_IPV4_OPTION_NOP = 1, FL_IPV4_OPTION_ROUTER_ALERT = 148 };

// Protocol numbers (IANA) of both IP versions that this room knows by name.
enum {
  FL_PROTOCOL_ICMP = 1,
  FL_PROTOCOL_IPV4 = 4,  // in IP: RFC 2003
  FL_PROTOCOL_TCP = 6,
  FL_PROTOCOL_UDP = 17,
  FL_PROTOCOL_IPV6 = 41,  // in IP: RFC 2473, RFC 4213
  FL_PROTOCOL_ICMPV6 = 58,
  FL_PROTOCOL_SCTP = 132,
};

// The two ECN bits of the type-of-service byte, RFC 3168 section 5.
enum { FL_ECN_NOT_ECT = 0, FL_ECN_ECT1 = 1, FL_ECN_ECT0 = 2, FL_ECN_CE = 3, FL_ECN_MASK = 3 };

FL_INLINE __u32 ipv4_header_length(const struct ipv4_header* ip) {
  return (ip->version_ihl & 15u) * 4u;
}

FL_END
