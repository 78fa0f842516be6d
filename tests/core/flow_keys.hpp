#pragma once

#include "dataplane/packet/flow_key.h"
#include "dataplane/packet/types.h"

#include <cstdint>

namespace fairlead::core {

inline constexpr uint8_t kUdp = 17;
inline constexpr uint8_t kTcp = 6;

// Key number n of a family; all different, a few bits apart.
template <typename Key>
Key make_key(uint32_t n, uint8_t protocol = kUdp);

template <>
inline flow_key4 make_key<flow_key4>(uint32_t n, uint8_t protocol) {
  flow_key4 key;
  flow_key4_make(to_be32(0x0af40000 + (n >> 8)), to_be32(0x0af50000),
                 to_be16(static_cast<uint16_t>(1024 + (n & 0xff))), to_be16(80), protocol, &key);
  return key;
}

template <>
inline flow_key6 make_key<flow_key6>(uint32_t n, uint8_t protocol) {
  ip_address source{{to_be32(0xfd000000), to_be32(0), to_be32(0), to_be32(n >> 8)}};
  ip_address destination{{to_be32(0xfd000001), to_be32(0), to_be32(0), to_be32(1)}};
  flow_key6 key;
  flow_key6_make(&source, &destination, to_be16(static_cast<uint16_t>(1024 + (n & 0xff))), to_be16(80),
                 protocol, &key);
  return key;
}

}  // namespace fairlead::core
