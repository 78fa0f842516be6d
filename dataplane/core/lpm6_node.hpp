#pragma once

#include "dataplane/core/lpm6.hpp"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>

namespace fairlead::core::lpm6 {

// The nodes of the IPv6 trie and how readers walk them. Private to lpm6.cpp and lpm6_lookup.cpp.

// Where a node or leaf is: its offset in granules of 32 bytes, with the top bit for leaves. 0: nowhere.
using Ref = uint32_t;
inline constexpr Ref kLeafFlag = 1u << 31;
inline constexpr size_t kGranule = 32;

// An entry of a run: how long its prefix is within the stride, 1..8 (bits 26..29), and its value (bits
// 0..25); 0: none.
constexpr uint32_t make_entry(unsigned code, uint32_t value) {
  return (code << 26) | value;
}
constexpr unsigned code_of(uint32_t entry) {
  return entry >> 26;
}

constexpr Ipv6Words mask_of(unsigned length) {
  const uint64_t high = length == 0 ? 0 : length >= 64 ? ~uint64_t{0} : ~uint64_t{0} << (64 - length);
  const uint64_t low = length <= 64 ? 0 : ~uint64_t{0} << (128 - length);
  return {high, low};
}

inline constexpr std::array<Ipv6Words, 129> kMasks = [] {
  std::array<Ipv6Words, 129> masks{};
  for (unsigned length = 0; length <= 128; ++length) masks[length] = mask_of(length);
  return masks;
}();

[[nodiscard]] constexpr Ipv6Words masked(const Ipv6Words& address, unsigned length) {
  return {address.high & kMasks[length].high, address.low & kMasks[length].low};
}

// Are the first `length` bits equal?
[[nodiscard]] constexpr bool same_bits(const Ipv6Words& a, const Ipv6Words& b, unsigned length) {
  return (((a.high ^ b.high) & kMasks[length].high) | ((a.low ^ b.low) & kMasks[length].low)) == 0;
}

// A subtree of one prefix.
struct Leaf {
  Ipv6Words address;
  uint32_t value;
  uint32_t length;
  uint64_t owner;  // written and read: writer
};
static_assert(sizeof(Leaf) == kGranule);

// Slots first..next run's first - 1, all alike. A run with a child is one slot wide.
struct Run {
  uint32_t entry;
  Ref child;
  bool operator==(const Run&) const = default;
};

// Branches on address byte `depth`. One cache line; the runs follow it.
struct alignas(64) Node {
  std::array<uint64_t, 4> first;  // bit s: a run begins at slot s; bit 0 is always set
  Ipv6Words path;                 // bytes 0 .. depth-1 of every address below; the rest is zero
  uint64_t owner;                 // written and read: writer
  uint8_t depth;
  uint8_t lines;  // of 64 bytes, with this one; written and read: writer
  uint16_t run_count;
  std::array<uint8_t, 4> before;  // runs that begin in the words below

  [[nodiscard]] Run* runs() { return reinterpret_cast<Run*>(this + 1); }
  [[nodiscard]] const Run* runs() const { return reinterpret_cast<const Run*>(this + 1); }
  // The run that slot `slot` is in.
  [[nodiscard]] unsigned index_of(unsigned slot) const {
    const uint64_t up_to_slot = first[slot >> 6] & (~uint64_t{0} >> (63 - (slot & 63)));
    return before[slot >> 6] + static_cast<unsigned>(std::popcount(up_to_slot)) - 1;
  }
  [[nodiscard]] bool begins(unsigned slot) const { return ((first[slot >> 6] >> (slot & 63)) & 1) != 0; }
  [[nodiscard]] unsigned capacity() const { return (lines - 1u) * (64 / sizeof(Run)); }
};
static_assert(sizeof(Node) == 64);

[[nodiscard]] inline const Leaf& leaf_at(const uint8_t* base, Ref ref) {
  return *reinterpret_cast<const Leaf*>(base + (ref & ~kLeafFlag) * kGranule);
}
[[nodiscard]] inline const Node& node_at(const uint8_t* base, Ref ref) {
  return *reinterpret_cast<const Node*>(base + ref * kGranule);
}

}  // namespace fairlead::core::lpm6
