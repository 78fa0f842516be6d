#pragma once

#include "dataplane/core/address.hpp"

#include <libmnl/libmnl.h>

#include <cstddef>
#include <cstring>
#include <span>
#include <sys/socket.h>

namespace fairlead::underlay {

// An address as rtnetlink carries it; kNone when the length does not fit the family.
[[nodiscard]] inline core::IpAddress address_from(const void* bytes, size_t length, uint8_t family) {
  core::IpAddress address;
  const size_t wanted = family == AF_INET ? 4 : family == AF_INET6 ? 16 : 0;
  if (wanted == 0 || length < wanted) return address;
  std::memcpy(address.bytes.data(), bytes, wanted);
  address.family = family == AF_INET ? core::Family::kIpv4 : core::Family::kIpv6;
  return address;
}

[[nodiscard]] inline core::IpAddress address_of(const nlattr* attribute, uint8_t family) {
  if (attribute == nullptr) return {};
  return address_from(mnl_attr_get_payload(attribute), mnl_attr_get_payload_len(attribute), family);
}

// collect_attributes() for attributes that stand in the middle of another one, as a multipath route's.
inline void collect_bytes(std::span<const std::byte> bytes, std::span<const nlattr*> table) {
  int left = static_cast<int>(bytes.size());
  for (const auto* attribute = reinterpret_cast<const nlattr*>(bytes.data()); mnl_attr_ok(attribute, left);
       attribute = mnl_attr_next(attribute)) {
    if (mnl_attr_get_type(attribute) < table.size()) table[mnl_attr_get_type(attribute)] = attribute;
    left -= static_cast<int>(MNL_ALIGN(attribute->nla_len));
  }
}

}  // namespace fairlead::underlay
