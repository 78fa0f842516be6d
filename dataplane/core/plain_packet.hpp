#pragma once

#include "dataplane/core/flow_table.hpp"
#include "dataplane/core/packet.hpp"
#include "dataplane/core/plain_port.hpp"
#include "dataplane/core/worker_counters.hpp"
#include "dataplane/packet/encap.h"

#include <array>
#include <bit>
#include <cstdint>
#include <cstring>

namespace fairlead::core {

// The ordinary packet, read with a few wide loads: TCP or UDP, IPv4 without options and fragments or IPv6
// without extension headers, whole, checksum right; in plain or in an IPv4 tunnel of one of our peers.
struct PlainPacket {
  uint8_t* l3 = nullptr;  // of the packet to be forwarded; null: has walked to the lookup already
  Packet* packet = nullptr;
  uint32_t l3_length = 0;  // as parsed::l3_length
  uint32_t side = 0;       // Side::raw()
  bool swapped = false;    // as Walk::swapped
  uint8_t tcp_flags = 0;   // UDP: 0

  // Side of a packet that walks. No entry accepts it: no Side::Kind, and not what erasing leaves behind (~0).
  static constexpr uint32_t kNoSide = 0xfe000000;
};

// One packet whose connection is looked up.
template <typename Table>
struct alignas(64) Lookup {
  typename Table::Key key;
  uint64_t hash;
  // How far the lookup is: first the bucket, then the entry (FlowTable::begin, choose).
  union {
    const FlowBucket* bucket;
    typename Table::EntryType* entry;
  };
  PlainPacket plain;
};
static_assert(sizeof(Lookup<FlowTable4>) == 64);

// One burst's working memory: too much for a stack frame, and warm.
template <typename Table>
struct Lookups {
  uint32_t count = 0;
  std::array<Lookup<Table>, kBurst> all;
  std::array<uint8_t, kBurst> second;  // those without a candidate in their first bucket
};

namespace detail {

[[nodiscard]] FL_INLINE uint32_t load_be16(const uint8_t* at) {
  return FL_SWAP16(load<uint16_t>(at));
}

// TCP or UDP, whole? `available`, at least 8: bytes the L3 length leaves for it.
[[nodiscard]] FL_INLINE bool read_plain_l4(const uint8_t* l4, uint8_t protocol, uint32_t available,
                                           PlainPacket* out) {
  if (protocol == FL_PROTOCOL_UDP) {
    out->tcp_flags = 0;
    return load_be16(l4 + 4) - 8 <= available - 8;
  }
  if (available < 20) return false;
  const auto word = load<uint16_t>(l4 + 12);
  const uint32_t header = (word & 0xf0u) >> 2;
  out->tcp_flags = static_cast<uint8_t>(word >> 8);
  return protocol == FL_PROTOCOL_TCP && header >= 20 && header <= available;
}

// The sum, in one's complement, of a header with a right checksum is divisible by 2^16 - 1. `begin`: its
// first eight bytes.
[[nodiscard]] FL_INLINE bool is_checksum_right(const uint8_t* l3, uint64_t begin) {
  uint64_t sum = begin;
  bool carry = __builtin_add_overflow(sum, load<uint64_t>(l3 + 8), &sum);
  carry = __builtin_add_overflow(sum, uint64_t{load<uint32_t>(l3 + 16)} + (carry ? 1 : 0), &sum);
  sum += carry ? 1 : 0;
  // So is a number whose product with the divisor's inverse modulo 2^64 is no more than 2^64 / (2^16 - 1).
  constexpr uint64_t kMost = 0x0001000100010001, kInverse = 0 - kMost;
  static_assert(0xffff * kInverse == 1 && ~uint64_t{0} / 0xffff == kMost);
  return sum * kInverse <= kMost;
}

}  // namespace detail

// Reads the IPv4 packet at `l3`, a header without options, of which the frame has `room` >= 28 bytes.
[[nodiscard]] FL_INLINE bool read_plain4(uint8_t* l3, uint32_t room, PlainPacket* out) {
  const auto begin = load<uint64_t>(l3);  // version, length of header, tos, total length, id, fragment
  const uint32_t length = detail::load_be16(l3 + 2);
  constexpr uint64_t kFragment = uint64_t{to_be16(FL_IPV4_MORE_FRAGMENTS | FL_IPV4_OFFSET_MASK).raw} << 48;
  if ((begin & kFragment) != 0 || length - 28 > room - 28 || !detail::is_checksum_right(l3, begin) ||
      !detail::read_plain_l4(l3 + 20, l3[9], length - 20, out)) [[unlikely]] {
    return false;
  }
  out->l3 = l3;
  out->l3_length = length;
  return true;
}

// The same for IPv6; the frame has `room` bytes.
[[nodiscard]] FL_INLINE bool read_plain6(uint8_t* l3, uint32_t room, PlainPacket* out) {
  if (room < 48) [[unlikely]]
    return false;
  const uint32_t available = detail::load_be16(l3 + 4);
  if (available - 8 > room - 48 || !detail::read_plain_l4(l3 + 40, l3[6], available, out)) [[unlikely]]
    return false;
  out->l3 = l3;
  out->l3_length = 40 + available;
  return true;
}

// Does the plain packet at `l4` go to `port` (as it stands on the wire) by UDP?
[[nodiscard]] FL_INLINE bool is_to_udp_port(const uint8_t* l4, uint8_t protocol, uint32_t port) {
  return load<uint16_t>(l4 + 2) == port && protocol == FL_PROTOCOL_UDP;
}

// TTL or hop limit, and tos or traffic class, of what was read as plain.
template <uint8_t kVersion>
[[nodiscard]] FL_INLINE uint8_t plain_ttl(const uint8_t* l3) {
  return kVersion == 4 ? l3[8] : l3[7];
}
template <uint8_t kVersion>
[[nodiscard]] FL_INLINE uint8_t plain_tos(const uint8_t* l3) {
  return kVersion == 4 ? l3[1] : static_cast<uint8_t>(detail::load_be16(l3) >> 4);
}

// Reads plain packets of a burst into its lookups.
//
// What read() takes reads exactly as steps::parse, steps::decap and steps::find_tuple would say; it says no
// to everything else, and to whatever needs a word: those steps are the only place where unusual packets mean
// something. tests/core/plain_packet_test.cpp compares the two on random packets.
class PlainReader {
 public:
  PlainReader(const Snapshot& snapshot, const FlowTable4& table4, const FlowTable6& table6,
              Lookups<FlowTable4>& lookups4, Lookups<FlowTable6>& lookups6)
      : snapshot_(snapshot),
        table4_(table4),
        table6_(table6),
        lookups4_(lookups4),
        lookups6_(lookups6),
        next4_(lookups4.all.data() + lookups4.count),
        next6_(lookups6.all.data() + lookups6.count) {}

  // False: the packet walks the steps, and nothing has been changed.
  [[nodiscard]] FL_INLINE bool read(PlainPort& port, Packet& packet) {
    if (packet.length < port.length_least || packet.offload.segment_size != 0) [[unlikely]]
      return false;
    uint8_t* const l2 = packet.data;
    uint8_t* const l3 = l2 + 14;
    const uint32_t room = packet.length - 14;
    const uint32_t side = port.side | (FL_SWAP32(load<uint32_t>(l2 + 8)) & port.id_mask);
    const Bytes16 begin = Bytes16::at(l2);
    if (!(begin ^ Bytes16::at(port.value4.data())).is_zero_under(Bytes16::at(port.mask4.data())))
        [[unlikely]] {
      return (begin ^ Bytes16::at(port.value6.data())).is_zero_under(Bytes16::at(port.mask6.data())) &&
             take6(packet, l3, room, side, port.tunnel_port);
    }
    if (!read_plain4(l3, room, &next4_->plain)) [[unlikely]]
      return false;
    if (is_to_udp_port(l3 + 20, l3[9], port.tunnel_port)) [[unlikely]]
      return !packet.offload.checksum_partial && read_tunnelled(port, packet, l3);
    return take4(packet, l3, side);
  }

  // Around whatever else adds to the lookups.
  void pause() {
    lookups4_.count = static_cast<uint32_t>(next4_ - lookups4_.all.data());
    lookups6_.count = static_cast<uint32_t>(next6_ - lookups6_.all.data());
  }
  void resume() {
    next4_ = lookups4_.all.data() + lookups4_.count;
    next6_ = lookups6_.all.data() + lookups6_.count;
  }

  // Of tunnel packets, which are counted when they are read.
  [[nodiscard]] uint64_t decapsulated() const { return decapsulated_; }

 private:
  // The same for what is in the tunnel packet at `outer`, which was read as plain.
  [[nodiscard]] FL_INLINE bool read_tunnelled(PlainPort& port, Packet& packet, uint8_t* outer) {
    constexpr uint32_t kHeaders = 8 + 8 + 14;
    const uint32_t length = detail::load_be16(outer + 24);
    if (length < kHeaders + 28) [[unlikely]]
      return false;
    const uint32_t side = plain_tunnel_side(port, snapshot_, outer);
    if (side == 0) [[unlikely]]
      return false;
    uint8_t* const l3 = outer + kPlainTunnelLength + 14;
    const uint32_t room = length - kHeaders;
    // EtherType, version and length of header at once.
    constexpr uint32_t kPlain4 = to_be16(FL_ETHERTYPE_IPV4).raw | 0x450000u;
    const uint32_t type = load<uint32_t>(l3 - 2);
    if ((type & 0xffffff) != kPlain4) [[unlikely]] {
      constexpr uint32_t kPlain6 = to_be16(FL_ETHERTYPE_IPV6).raw | 0x600000u;
      const bool taken = (type & 0xf0ffff) == kPlain6 && is_tos_kept(outer, plain_tos<6>(l3)) &&
                         take6(packet, l3, room, side, PlainPort::kNoTunnels);
      decapsulated_ += taken ? 1 : 0;
      return taken;
    }
    if (!read_plain4(l3, room, &next4_->plain) || !is_tos_kept(outer, l3[1]) || !take4(packet, l3, side))
        [[unlikely]]
      return false;
    ++decapsulated_;
    return true;
  }

  [[nodiscard]] static FL_INLINE bool is_tos_kept(const uint8_t* outer, uint8_t tos) {
    return (outer[1] & FL_ECN_MASK) == FL_ECN_NOT_ECT || decap_tos(outer[1], tos) == tos;
  }

  // Of the packet that read_plain4() has read into the next place.
  [[nodiscard]] FL_INLINE bool take4(Packet& packet, const uint8_t* l3, uint32_t side) {
    Lookup<FlowTable4>& lookup = *next4_;
    const auto addresses = load<uint64_t>(l3 + 12);  // the source is the lower half
    const uint64_t turned = addresses << 32 | addresses >> 32;
    // Ports would have to say which one is the lower.
    if (addresses == turned) [[unlikely]]
      return false;
    lookup.plain.swapped = turned > addresses;
    const Bytes16 key = key4_from(l3 + 8, lookup.plain.swapped);
    key.store(&lookup.key);
    lookup.plain.packet = &packet;
    lookup.plain.side = side;
    lookup.hash = hash4_of(table4_.secret(), key);
    lookup.bucket = table4_.begin(lookup.hash);
    ++next4_;
    return true;
  }

  [[nodiscard]] FL_INLINE bool take6(Packet& packet, uint8_t* l3, uint32_t room, uint32_t side,
                                     uint32_t tunnel_port) {
    Lookup<FlowTable6>& lookup = *next6_;
    if (!read_plain6(l3, room, &lookup.plain) || is_to_udp_port(l3 + 40, l3[6], tunnel_port)) [[unlikely]]
      return false;
    const uint8_t *const source = l3 + 8, *const destination = l3 + 24;
    // Ports would have to say which one is the lower.
    if ((Bytes16::at(source) ^ Bytes16::at(destination)).is_zero()) [[unlikely]]
      return false;
    const size_t from_high = is_above6(source, destination) ? 1 : 0;
    const Bytes16 low = Bytes16::at(source + 16 * from_high),
                  high = Bytes16::at(destination - 16 * from_high);
    const auto ports = load<uint32_t>(l3 + 40);
    static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
    const uint64_t last = std::rotl(ports, static_cast<int>(16 * from_high)) | uint64_t{l3[6]} << 32;
    low.store(&lookup.key.low_address);
    high.store(&lookup.key.high_address);
    std::memcpy(&lookup.key.low_port, &last, sizeof(last));
    lookup.hash = hash6_of(table6_.secret(), low, high, last);
    lookup.bucket = table6_.begin(lookup.hash);
    lookup.plain.swapped = from_high != 0;
    lookup.plain.packet = &packet;
    lookup.plain.side = side;
    ++next6_;
    return true;
  }

  const Snapshot& snapshot_;
  const FlowTable4& table4_;
  const FlowTable6& table6_;
  Lookups<FlowTable4>& lookups4_;
  Lookups<FlowTable6>& lookups6_;
  Lookup<FlowTable4>* next4_;
  Lookup<FlowTable6>* next6_;
  uint64_t decapsulated_ = 0;
};

}  // namespace fairlead::core
