#pragma once

#include "dataplane/packet/types.h"

// ICMP (RFC 792, next-hop MTU RFC 1191) and ICMPv6 (RFC 4443): the 8 bytes every message we know begins with.

FL_BEGIN

struct icmp_header {
  __u8 type;
  __u8 code;
  be16 checksum;  // ICMPv6: covers a pseudo-header too
  be16 id;        // echo: identifier; ICMPv6 packet too big: high half of the MTU
  be16 sequence;  // echo: sequence number; ICMPv4 fragmentation needed: next-hop MTU
};
FL_SIZE(icmp_header, 8);
FL_OFFSET(icmp_header, checksum, 2);
FL_OFFSET(icmp_header, id, 4);
FL_OFFSET(icmp_header, sequence, 6);

enum {
  FL_ICMP_ECHO_REPLY = 0,
  FL_ICMP_UNREACHABLE = 3,
  FL_ICMP_SOURCE_QUENCH = 4,
  FL_ICMP_REDIRECT = 5,
  FL_ICMP_ECHO_REQUEST = 8,
  FL_ICMP_ROUTER_ADVERT = 9,  // RFC 1256
  FL_ICMP_ROUTER_SOLICIT = 10,
  FL_ICMP_TIME_EXCEEDED = 11,
  FL_ICMP_PARAMETER_PROBLEM = 12,
  FL_ICMP_TIMESTAMP = 13,
  FL_ICMP_MASK_REPLY = 18,  // RFC 950
};

// Codes of FL_ICMP_UNREACHABLE, RFC 792 and RFC 1812 section 5.2.7.1.
enum {
  FL_ICMP_NET_UNREACHABLE = 0,
  FL_ICMP_HOST_UNREACHABLE = 1,
  FL_ICMP_PORT_UNREACHABLE = 3,
  FL_ICMP_FRAGMENTATION_NEEDED = 4,
  FL_ICMP_ADMIN_PROHIBITED = 13,
};

// ICMPv6: messages below 128 are errors.
enum {
  FL_ICMPV6_UNREACHABLE = 1,
  FL_ICMPV6_PACKET_TOO_BIG = 2,
  FL_ICMPV6_TIME_EXCEEDED = 3,
  FL_ICMPV6_PARAMETER_PROBLEM = 4,
  FL_ICMPV6_INFORMATIONAL = 128,
  FL_ICMPV6_ECHO_REQUEST = 128,
  FL_ICMPV6_ECHO_REPLY = 129,
  FL_ICMPV6_ROUTER_SOLICIT = 133,
  FL_ICMPV6_ROUTER_ADVERT = 134,
  FL_ICMPV6_NEIGHBOUR_SOLICIT = 135,
  FL_ICMPV6_NEIGHBOUR_ADVERT = 136,
  FL_ICMPV6_REDIRECT = 137,
};

// Codes of FL_ICMPV6_UNREACHABLE, RFC 4443 section 3.1.
enum {
  FL_ICMPV6_NO_ROUTE = 0,
  FL_ICMPV6_ADMIN_PROHIBITED = 1,
  FL_ICMPV6_ADDRESS_UNREACHABLE = 3,
  FL_ICMPV6_PORT_UNREACHABLE = 4,
};

// RFC 1122 section 3.2.2: never answer an error with another. Every type that is not known to be a query or
// its reply counts as one: silence does no harm.
FL_INLINE int icmp_is_error(__u8 type) {
  return type != FL_ICMP_ECHO_REPLY && type != FL_ICMP_ECHO_REQUEST && type != FL_ICMP_ROUTER_ADVERT &&
         type != FL_ICMP_ROUTER_SOLICIT && (type < FL_ICMP_TIMESTAMP || type > FL_ICMP_MASK_REPLY);
}

// RFC 4443 section 2.4 (e): errors, and redirects, are never answered by an error.
FL_INLINE int icmpv6_is_error(__u8 type) {
  return type < FL_ICMPV6_INFORMATIONAL || type == FL_ICMPV6_REDIRECT;
}

FL_INLINE int icmp_is_echo_request(__u8 type, int v6) {
  return v6 ? type == FL_ICMPV6_ECHO_REQUEST : type == FL_ICMP_ECHO_REQUEST;
}

FL_INLINE int icmp_is_echo_reply(__u8 type, int v6) {
  return v6 ? type == FL_ICMPV6_ECHO_REPLY : type == FL_ICMP_ECHO_REPLY;
}

FL_END
