#pragma once

#include "dataplane/core/flow_entry.hpp"
#include "dataplane/core/wide.hpp"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/udp.h"

#include <bit>
#include <cstdint>
#include <cstring>

namespace fairlead::core {

namespace detail {

// Sums in one's complement, 64 bits wide: congruent to the sum of their 16-bit words (RFC 1071 section 2).
[[nodiscard]] FL_INLINE uint64_t add_ones(uint64_t a, uint64_t b) {
  const bool carry = __builtin_add_overflow(a, b, &a);
  return a + (carry ? 1 : 0);
}
// Below 2^33, so that others can be added.
[[nodiscard]] FL_INLINE uint64_t half_folded(uint64_t sum) {
  return (sum & 0xffffffff) + (sum >> 32);
}

// The L4 checksum of a TCP or UDP header after a change of `pseudo` in the pseudo-header and of `ports`.
FL_INLINE void change_l4_checksum(uint8_t* l4, uint8_t protocol, uint64_t pseudo, uint64_t ports,
                                  bool partial) {
  const bool is_udp = protocol == FL_PROTOCOL_UDP;
  uint8_t* const at = l4 + (is_udp ? 6 : 16);
  be16 field = load<be16>(at);
  if (partial) [[unlikely]] {
    field = checksum_apply_partial(field, pseudo);
  } else {
    if (is_udp && field.raw == 0) return;  // nobody computed one
    field = checksum_apply(field, pseudo + ports);
    if (is_udp && field.raw == 0) field.raw = 0xffff;
  }
  std::memcpy(at, &field, sizeof(field));
}

}  // namespace detail

// steps::translate() for a plain packet whose L4 header stands right behind the L3 header at `l3`: it becomes
// the reverse of its connection's other tuple. `state`: the entry's, translated; `direction`: the packet's.
FL_INLINE void translate_plain(const FlowEntry4& entry, uint32_t state, unsigned direction, uint8_t* l3,
                               uint8_t protocol, bool partial) {
  uint64_t to = direction != 0 ? entry.key[0].load(std::memory_order_relaxed)
                               : entry.reply_addresses[0].load(std::memory_order_relaxed);
  uint32_t to_ports = direction != 0 ? FlowLastWord::of(entry.key[1].load(std::memory_order_relaxed)).ports
                                     : entry.body.reply_ports.load(std::memory_order_relaxed);
  // The reverse: the source is the lower side of a tuple whose own packet comes from the higher.
  const int turn = FlowWord::is_swapped(state, direction ^ 1) != 0 ? 0 : 1;
  to = std::rotl(to, 32 * turn);
  to_ports = std::rotl(to_ports, 16 * turn);
  uint8_t* const l4 = l3 + 20;
  const uint64_t delta = detail::half_folded(detail::add_ones(~load<uint64_t>(l3 + 12), to));
  const uint64_t port_delta = uint64_t{~load<uint32_t>(l4)} + to_ports;
  const be16 checksum = checksum_apply(load<be16>(l3 + 10), delta);
  std::memcpy(l3 + 10, &checksum, sizeof(checksum));
  std::memcpy(l3 + 12, &to, sizeof(to));
  detail::change_l4_checksum(l4, protocol, delta, port_delta, partial);
  std::memcpy(l4, &to_ports, sizeof(to_ports));
}

FL_INLINE void translate_plain(const FlowEntry6& entry, uint32_t state, unsigned direction, uint8_t* l3,
                               uint8_t protocol, bool partial) {
  const std::atomic<uint64_t>* const from = direction != 0 ? entry.key : entry.reply_addresses;
  uint32_t to_ports = direction != 0 ? FlowLastWord::of(entry.key[4].load(std::memory_order_relaxed)).ports
                                     : entry.body.reply_ports.load(std::memory_order_relaxed);
  const unsigned turn = FlowWord::is_swapped(state, direction ^ 1) != 0 ? 0 : 2;
  to_ports = std::rotl(to_ports, static_cast<int>(8 * turn));
  uint64_t to[4], delta = 0;
  for (unsigned i = 0; i < 4; ++i) {
    to[i] = from[i ^ turn].load(std::memory_order_relaxed);
    delta = detail::add_ones(delta, to[i]);
    delta = detail::add_ones(delta, ~load<uint64_t>(l3 + 8 + 8 * i));
  }
  uint8_t* const l4 = l3 + 40;
  const uint64_t port_delta = uint64_t{~load<uint32_t>(l4)} + to_ports;
  std::memcpy(l3 + 8, to, sizeof(to));
  detail::change_l4_checksum(l4, protocol, detail::half_folded(delta), port_delta, partial);
  std::memcpy(l4, &to_ports, sizeof(to_ports));
}

}  // namespace fairlead::core
