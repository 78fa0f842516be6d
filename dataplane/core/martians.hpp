#pragma once

#include "dataplane/packet/parsed.h"

namespace fairlead::core {

// Addresses that may not stand in a forwarded packet. IPv4: RFC 1812 section 5.3.7, RFC 6890; IPv6: RFC 4291,
// RFC 6890.

[[nodiscard]] inline bool is_ipv6_prefix(const ip_address& address, uint32_t mask, uint32_t value) {
  return (from_be32(address.word[0]) & mask) == value;
}

// ::, ::1, ::a.b.c.d (deprecated) and ::ffff:a.b.c.d (never on a wire).
[[nodiscard]] inline bool is_ipv6_special(const ip_address& address) {
  const uint32_t third = from_be32(address.word[2]);
  return address.word[0].raw == 0 && address.word[1].raw == 0 && (third == 0 || third == 0xffff);
}

[[nodiscard]] inline bool is_link_local(const ip_address& address, uint8_t ip_version) {
  if (ip_version == 4) return from_be32(address.word[0]) >> 16 == 0xa9fe;  // 169.254/16, RFC 3927
  return is_ipv6_prefix(address, 0xffc00000, 0xfe800000);
}

// Multicast, and IPv4's limited broadcast.
[[nodiscard]] inline bool is_multicast(const ip_address& address, uint8_t ip_version) {
  if (ip_version == 4) {
    const uint32_t host = from_be32(address.word[0]);
    return host >> 28 == 0xe || host == 0xffffffff;
  }
  return is_ipv6_prefix(address, 0xff000000, 0xff000000);
}

// "This network", loopback, reserved; unspecified, loopback, IPv4-mapped.
[[nodiscard]] inline bool is_martian(const ip_address& address, uint8_t ip_version) {
  if (ip_version == 4) {
    const uint32_t first = from_be32(address.word[0]) >> 24;
    return first == 0 || first == 127 || first >= 240;
  }
  return is_ipv6_special(address);
}

}  // namespace fairlead::core
