#pragma once

#include "dataplane/core/plain_packet.hpp"
#include "dataplane/core/plain_ways.hpp"
#include "dataplane/packet/rewrite.h"

#include <cstdint>
#include <cstring>

namespace fairlead::core {

// TTL or hop limit less one; IPv4: with its checksum, in one word. RFC 1624 as rewrite_decrement_ttl4().
template <uint8_t kVersion>
FL_INLINE void decrement_plain_ttl(uint8_t* l3) {
  if constexpr (kVersion == 4) {
    auto word = detail::load<uint32_t>(l3 + 8);  // TTL, protocol, checksum
    static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
    // TTL is the upper byte of its 16 bits: the checksum rises by 0x0100, carry around.
    word += 0x10000u - 1u + (word >= 0xfffe0000u ? 0x10000u : 0u);
    std::memcpy(l3 + 8, &word, sizeof(word));
  } else {
    --l3[7];
  }
}

// steps::apply() for a plain packet: TTL, then the template's header so that the frame begins at `frame`. The
// EtherType in front of the L3 header is there already.
template <uint8_t kVersion>
FL_INLINE void apply_plain(const PlainPacket& plain, const PlainWay& out, uint8_t* frame) {
  if (out.ttl_step != 0) [[likely]]
    decrement_plain_ttl<kVersion>(plain.l3);
  if (out.overhead == 0) {
    std::memcpy(frame, out.header->header, 12);
    return;
  }
  constexpr uint16_t kEtherType = kVersion == 4 ? FL_ETHERTYPE_IPV4 : FL_ETHERTYPE_IPV6;
  encap_push(out.header, plain.l3, plain.l3_length, to_be16(kEtherType), plain.tos, plain.entropy);
}

}  // namespace fairlead::core
