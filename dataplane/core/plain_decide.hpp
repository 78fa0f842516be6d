#pragma once

#include "dataplane/core/flow_table.hpp"
#include "dataplane/core/plain_packet.hpp"
#include "dataplane/core/plain_translate.hpp"
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
    auto word = load<uint32_t>(l3 + 8);  // TTL, protocol, checksum
    static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__);
    // TTL is the upper byte of its 16 bits: the checksum rises by 0x0100, carry around.
    word += 0x10000u - 1u + (word >= 0xfffe0000u ? 0x10000u : 0u);
    std::memcpy(l3 + 8, &word, sizeof(word));
  } else {
    --l3[7];
  }
}

// Decides plain packets of one burst by their flow entries: what steps::still_decides and steps::apply do for
// a Walk. The state of the connection, its time-stamp and its tally move as in the walking case.
//
// Everything it reads again and again is a value of its own, so that stores to packets and entries do not
// make the compiler load it anew.
template <typename Table>
class PlainDecider {
 public:
  PlainDecider(Table& table, PlainWays& ways, const Snapshot& snapshot, uint32_t now_seconds)
      : table_(table), ways_(ways, snapshot, now_seconds), now_seconds_(now_seconds) {}

  // False: the steps must say, and nothing has been changed.
  [[nodiscard]] FL_INLINE bool decide(const Lookup<Table>& lookup) {
    if (!has_key(*lookup.entry, &lookup.key)) [[unlikely]]
      return !table_.is_nobodys(*lookup.entry) && decide_translated(lookup, 1);
    const uint32_t state = lookup.entry->body.state.load(std::memory_order_relaxed);
    if ((state & FlowWord::kTranslated) != 0) [[unlikely]]
      return decide_translated(lookup, 0);
    return decide_in<true, false>(lookup, state, FlowWord::is_reply(state, lookup.plain.swapped));
  }

  void add_counts(CounterBurst& counts) const {
    const auto count = [this](unsigned shift) { return counts_ >> shift & 0xffff; };
    counts.add(Counter::flow_hits, count(PlainWay::kHits));
    counts.add(Counter::forwarded, count(PlainWay::kHits) - count(PlainWay::kPunted));
    counts.add(Counter::punted, count(PlainWay::kPunted));
    counts.add(Counter::encapsulated, count(PlainWay::kEncapsulated));
  }

 private:
  static constexpr uint8_t kVersion = std::is_same_v<Table, FlowTable4> ? 4 : 6;

  // A packet found by the first tuple (0) of a translated connection, or not by a first tuple (1): then it
  // may be a reply, or the entry is another connection's.
  [[nodiscard, gnu::noinline]] bool decide_translated(const Lookup<Table>& lookup, unsigned direction) {
    const typename Table::EntryType& entry = *lookup.entry;
    if (direction != 0 && !has_reply_tuple(entry, words_of(lookup.key))) return false;
    // Acquire: until both tuples are in the table the entry is being built.
    const uint32_t state = entry.body.state.load(std::memory_order_acquire);
    constexpr uint32_t kLiveTranslated = FlowWord::kTranslated | FlowWord::kLive;
    if ((state & (FlowWord::kTranslated | 3)) != kLiveTranslated ||
        FlowWord::is_swapped(state, direction) != static_cast<unsigned>(lookup.plain.swapped)) {
      return false;
    }
    return decide_in<true, true>(lookup, state, direction);
  }

  // The first packet of its direction in this second, or the first one that takes its way in this snapshot.
  template <bool kTranslated>
  [[nodiscard, gnu::noinline]] bool decide_late(const Lookup<Table>& lookup, uint32_t state,
                                                unsigned direction) {
    return decide_in<false, kTranslated>(lookup, state, direction);
  }

  template <bool kUsual, bool kTranslated>
  [[nodiscard]] FL_INLINE bool decide_in(const Lookup<Table>& lookup, uint32_t state, unsigned direction) {
    typename Table::EntryType& entry = *lookup.entry;
    FlowBody& body = entry.body;
    const PlainPacket& plain = lookup.plain;
    const uint64_t word = body.way[direction].load(std::memory_order_acquire);
    const uint64_t back_word = body.way[direction ^ 1].load(std::memory_order_acquire);
    const PlainWay& out = ways_.at(word);
    if constexpr (kUsual) {
      if (out.key != word || !ways_.is_same(ways_.at(back_word), back_word)) [[unlikely]]
        return decide_late<kTranslated>(lookup, state, direction);
    } else {
      // The way out last: two templates may share a place.
      if (!ways_.bring(back_word) || !ways_.bring(word)) return false;
    }
    const uint32_t from = body.ingress[direction].load(std::memory_order_acquire);
    if (from != plain.side && !Side::from_raw(from).accepts(Side::from_raw(plain.side))) [[unlikely]]
      return false;
    uint8_t* const l3 = plain.l3;
    Packet& packet = *plain.packet;
    const uint32_t length = plain.l3_length;
    uint8_t* const frame = l3 - out.header_length;
    const auto headroom = static_cast<int32_t>(packet.headroom - (packet.data - frame));
    if (plain_ttl<kVersion>(l3) < out.ttl_least || length > out.l3_limit || headroom < 0) [[unlikely]]
      return false;
    if (!FlowWord::is_settled(state, direction) || (plain.tcp_flags & (kTcpSyn | kTcpFin | kTcpRst)) != 0)
        [[unlikely]] {
      if (!step(lookup, state, direction)) return false;
    }
    if constexpr (!kUsual) body.touch(static_cast<Direction>(direction), now_seconds_);
    table_.count_packet(entry, direction, length);

    counts_ += out.counts;
    packet.data = frame;
    packet.length = out.header_length + length;
    packet.headroom = static_cast<uint16_t>(headroom);
    packet.next_hop = 0;
    std::memcpy(&packet.tx_port, &out.outcome, sizeof(out.outcome));
    if constexpr (kTranslated) {
      translate_plain(entry, state, direction, l3, lookup.key.protocol, packet.offload.checksum_partial);
    }
    apply(lookup, out, l3, length, frame);
    return true;
  }

  // steps::apply(): TTL, then the template's header so that the frame begins at `frame`. The EtherType in
  // front of the L3 header is there already.
  static FL_INLINE void apply(const Lookup<Table>& lookup, const PlainWay& out, uint8_t* l3, uint32_t length,
                              uint8_t* frame) {
    if (out.ttl_step != 0) [[likely]]
      decrement_plain_ttl<kVersion>(l3);
    if (out.overhead == 0) {
      std::memcpy(frame, out.macs, sizeof(out.macs));
      return;
    }
    constexpr uint16_t kEtherType = kVersion == 4 ? FL_ETHERTYPE_IPV4 : FL_ETHERTYPE_IPV6;
    Offload& offload = lookup.plain.packet->offload;
    offload.checksum_start = static_cast<uint16_t>(offload.checksum_start + out.overhead);
    encap_push(out.header, l3, length, to_be16(kEtherType), plain_tos<kVersion>(l3),
               static_cast<uint32_t>(lookup.hash));
  }

  [[nodiscard, gnu::noinline]] bool step(const Lookup<Table>& lookup, uint32_t state, unsigned direction) {
    const FlowWord::Life life = FlowWord::unpack(state).life;
    if (life != FlowWord::kLive && life != FlowWord::kBuilding) return false;
    return table_.step(table_.id_of(*lookup.entry), static_cast<Direction>(direction), lookup.plain.tcp_flags,
                       lookup.key.protocol);
  }

  Table& table_;
  const PlainWays::View ways_;
  const uint32_t now_seconds_;
  uint64_t counts_ = 0;
};

}  // namespace fairlead::core
