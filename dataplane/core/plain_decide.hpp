#pragma once

#include "dataplane/core/flow_table.hpp"
#include "dataplane/core/plain_packet.hpp"
#include "dataplane/core/plain_ways.hpp"
#include "dataplane/core/worker_counters.hpp"
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
FL_INLINE void apply_plain(uint8_t* l3, uint32_t l3_length, uint32_t entropy, const PlainWay& out,
                           uint8_t* frame) {
  const uint8_t tos = plain_tos<kVersion>(l3);
  if (out.ttl_step != 0) [[likely]]
    decrement_plain_ttl<kVersion>(l3);
  if (out.overhead == 0) {
    std::memcpy(frame, out.macs, sizeof(out.macs));
    return;
  }
  constexpr uint16_t kEtherType = kVersion == 4 ? FL_ETHERTYPE_IPV4 : FL_ETHERTYPE_IPV6;
  encap_push(out.header, l3, l3_length, to_be16(kEtherType), tos, entropy);
}

// Decides plain packets of one burst by their flow entries: what steps::still_decides and steps::apply do for
// a Walk. The state of the connection, its time-stamp and its tally move as in the walking case.
//
// Everything it reads again and again is a value of its own, so that stores to packets and entries do not
// make the compiler load it anew.
template <typename Table>
class PlainDecider {
 public:
  PlainDecider(Table& table, PlainWays::View ways, Packet* packets, uint32_t now_seconds)
      : table_(table), ways_(ways), packets_(packets), now_seconds_(now_seconds) {}

  // False: the steps must say, and nothing has been changed.
  template <typename Lookup>
  [[nodiscard]] FL_INLINE bool decide(const Lookup& lookup) {
    const PlainPacket& plain = lookup.plain;
    uint8_t* const l3 = plain.l3;
    FlowFound<typename Table::EntryType> found;
    if (l3 == nullptr || !table_.confirm_entry(lookup.candidate, lookup.key, plain.swapped, &found))
        [[unlikely]]
      return false;
    FlowBody& body = found.entry->body;
    const unsigned direction = found.direction;
    const uint64_t word = body.way[direction].load(std::memory_order_acquire);
    const uint64_t back_word = body.way[direction ^ 1].load(std::memory_order_acquire);
    const PlainWay *out, *back;
    // The way out last: two templates may share a place.
    if (!ways_.find(back_word, &back) || !ways_.find(word, &out)) [[unlikely]]
      return false;
    Packet& packet = packets_[plain.which];
    const uint32_t length = plain.l3_length;
    const uint32_t header_length = out->header_length, overhead = out->overhead;
    uint8_t* const frame = l3 - header_length;
    const auto grown = packet.data - frame;
    const uint32_t from = body.ingress[direction].load(std::memory_order_acquire);
    if ((from != plain.side && !Side::from_raw(from).accepts(Side::from_raw(plain.side))) ||
        plain_ttl<kVersion>(l3) < out->ttl_least || length > out->l3_limit || grown > packet.headroom)
        [[unlikely]] {
      return false;
    }
    const auto way = static_cast<Direction>(direction);
    const FlowId id = lookup.candidate.id();
    if (!FlowWord::is_settled(found.state, direction) ||
        (plain.tcp_flags & (kTcpSyn | kTcpFin | kTcpRst)) != 0) [[unlikely]] {
      if (!step(found.state, id, way, plain.tcp_flags, lookup.key.protocol)) return false;
    }
    if (word >> 48 != static_cast<uint16_t>(now_seconds_)) [[unlikely]]
      body.touch(way, now_seconds_);
    table_.count(id, way, 1, length);

    apply_plain<kVersion>(l3, length, static_cast<uint32_t>(lookup.hash), *out, frame);
    packet.data = frame;
    packet.length = header_length + length;
    packet.headroom = static_cast<uint16_t>(packet.headroom - grown);
    packet.offload.checksum_start = static_cast<uint16_t>(packet.offload.checksum_start + overhead);
    packet.next_hop = 0;
    std::memcpy(&packet.tx_port, &out->outcome, sizeof(out->outcome));
    counts_ += out->counts + (uint64_t{plain.tunnelled} << PlainWay::kDecapsulated);
    return true;
  }

  void add_counts(CounterBurst& counts) const {
    const auto count = [this](unsigned shift) { return counts_ >> shift & 0xffff; };
    counts.add(Counter::flow_hits, count(PlainWay::kHits));
    counts.add(Counter::forwarded, count(PlainWay::kHits) - count(PlainWay::kPunted));
    counts.add(Counter::punted, count(PlainWay::kPunted));
    counts.add(Counter::encapsulated, count(PlainWay::kEncapsulated));
    counts.add(Counter::decapsulated, count(PlainWay::kDecapsulated));
  }

 private:
  static constexpr uint8_t kVersion = std::is_same_v<Table, FlowTable4> ? 4 : 6;

  [[nodiscard, gnu::noinline]] bool step(uint32_t state, FlowId id, Direction way, uint8_t tcp_flags,
                                         uint8_t protocol) {
    const FlowWord::Life life = FlowWord::unpack(state).life;
    if (life != FlowWord::kLive && life != FlowWord::kBuilding) return false;
    return table_.step(id, way, tcp_flags, protocol);
  }

  Table& table_;
  const PlainWays::View ways_;
  Packet* const packets_;
  const uint32_t now_seconds_;
  uint64_t counts_ = 0;
};

}  // namespace fairlead::core
