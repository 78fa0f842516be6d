#pragma once

#include "dataplane/core/flow_state.hpp"
#include "dataplane/core/wide.hpp"
#include "dataplane/packet/flow_key.h"

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace fairlead::core {

// Names an entry of one flow table; 0 is none. An index, never a pointer: it means the same in every process
// that maps the table.
using FlowId = uint32_t;

// Where packets of one direction must come from: kind in the top byte, id below.
struct FlowIngress {
  enum Kind : uint8_t { kAny = 0, kEndpoint = 1, kPeer = 2, kUplink = 3, kHost = 4 };  // as core::Side

  uint32_t raw = 0;

  bool operator==(const FlowIngress&) const = default;
  [[nodiscard]] static constexpr FlowIngress make(Kind kind, uint32_t id) {
    return {(static_cast<uint32_t>(kind) << 24) | (id & 0xffffff)};
  }
  [[nodiscard]] constexpr Kind kind() const { return static_cast<Kind>(raw >> 24); }
  [[nodiscard]] constexpr uint32_t id() const { return raw & 0xffffff; }
};

// What one direction's packets need: decided by the slow path, read by every later packet.
struct FlowVerdict {
  uint32_t template_id = 0;  // 0: not decided yet, ask the slow path
  uint16_t generation = 0;   // of the template when it was decided; another one there now: ask again
  FlowIngress ingress = {};
};

// Whose quota an entry counts against: the endpoint that is the ingress of one of its directions.
enum class FlowOwner : uint8_t { kNone = 0, kOriginalIngress = 1, kReplyIngress = 2 };

// The part of an entry behind its keys; the same for IPv4 and IPv6. Every field is atomic: read and written
// by any worker (written: the worker that sees the packet; `state` also by control when ageing).
struct FlowBody {
  // First what a lookup and a verdict read: with an IPv6 key before it, that much is in the key's cache line.
  std::atomic<uint32_t> state;  // FlowWord
  // With the entry's reply_addresses: the reply's own tuple, under address translation.
  std::atomic<uint32_t> reply_ports;
  std::atomic<uint64_t> way[2];      // per direction: template id | generation << 32 | seen seconds << 48
  std::atomic<uint32_t> ingress[2];  // FlowIngress
  std::atomic<uint32_t> tally[2];    // FlowTally's small words

  // All of one verdict or all of another one: id and generation are one word; `ingress` is written before it.
  [[nodiscard]] FlowVerdict verdict(Direction direction) const {
    const auto index = static_cast<size_t>(direction);
    const uint64_t word = way[index].load(std::memory_order_acquire);
    return {static_cast<uint32_t>(word),
            static_cast<uint16_t>(word >> 32),
            {ingress[index].load(std::memory_order_acquire)}};
  }

  // Notes that a packet of `direction` was seen; writes at most once a second.
  void touch(Direction direction, uint32_t now_seconds) {
    std::atomic<uint64_t>& word = way[static_cast<size_t>(direction)];
    uint64_t old = word.load(std::memory_order_relaxed);
    const uint64_t stamp = static_cast<uint64_t>(static_cast<uint16_t>(now_seconds)) << 48;
    if ((old ^ stamp) >> 48 == 0) return;
    // Losing against a new verdict is fine: that one brought its own time-stamp.
    word.compare_exchange_strong(old, stamp | (old & 0x0000ffffffffffff), std::memory_order_relaxed);
  }

  // Seconds since a packet of either direction was seen.
  [[nodiscard]] uint16_t idle_seconds(uint32_t now_seconds) const {
    const auto now = static_cast<uint16_t>(now_seconds);
    const auto original = static_cast<uint16_t>(now - (way[0].load(std::memory_order_relaxed) >> 48));
    const auto reply = static_cast<uint16_t>(now - (way[1].load(std::memory_order_relaxed) >> 48));
    return original < reply ? original : reply;
  }
};

// The fields inside FlowBody::state. Changed as a whole by compare-and-swap, so that ageing, eviction and a
// packet that moves the TCP state cannot both win; `incarnation` makes sure that who looked at one connection
// does not change the next one.
//
// Dying and free entries keep the next one of their list in the upper 30 bits instead.
struct FlowWord {
  enum Life : uint8_t { kFree = 0, kBuilding = 1, kLive = 2, kDying = 3 };

  Life life = kFree;
  FlowState protocol_state = FlowState::kOneWay;
  FlowOwner owner = FlowOwner::kNone;
  bool original_swapped = false;  // the original packet goes FL_FLOW_FROM_HIGH
  bool reply_swapped = false;     // has_reply_tuple: so does the reply packet, in its own tuple
  bool has_reply_tuple = false;   // the reply has a tuple of its own (address translation)
  uint16_t incarnation = 0;

  // Of a packed word: has_reply_tuple, that is, the connection's packets are translated.
  static constexpr uint32_t kTranslated = 1u << 11;
  // Of a packed word: does the tuple's own packet go FL_FLOW_FROM_HIGH? 0: the original's, 1: the reply's.
  [[nodiscard]] static constexpr unsigned is_swapped(uint32_t word, unsigned reply) {
    return word >> (9 + reply) & 1;
  }
  // Of a packed word: 1 when a packet found by the first tuple is a reply.
  [[nodiscard]] static constexpr unsigned is_reply(uint32_t word, bool swapped) {
    return (word >> 9 & 1) ^ static_cast<unsigned>(swapped);
  }
  // Of a packed word: in the middle of a connection, where packets that neither begin nor end one change
  // nothing.
  [[nodiscard]] static constexpr bool is_settled(uint32_t word, unsigned is_reply) {
    // Life and protocol state stand together in the lowest seven bits; each good value is one bit of a mask.
    constexpr auto bit = [](FlowState state) { return uint64_t{1} << (4 * static_cast<unsigned>(state)); };
    constexpr uint64_t kBoth = bit(FlowState::kTcpEstablished) | bit(FlowState::kTwoWay);
    const uint64_t settled = kBoth | (is_reply ^ 1);
    static_assert(static_cast<unsigned>(FlowState::kOneWay) == 0 && FlowState::kCount <= FlowState{16});
    return (settled >> (((word & 0x7f) ^ kLive) & 63) & 1) != 0;
  }
  [[nodiscard]] constexpr uint32_t pack() const {
    return static_cast<uint32_t>(life) | (static_cast<uint32_t>(protocol_state) << 2) |
           (static_cast<uint32_t>(owner) << 7) | (static_cast<uint32_t>(original_swapped) << 9) |
           (static_cast<uint32_t>(reply_swapped) << 10) | (static_cast<uint32_t>(has_reply_tuple) << 11) |
           (static_cast<uint32_t>(incarnation) << 16);
  }
  [[nodiscard]] static constexpr FlowWord unpack(uint32_t word) {
    FlowWord fields;
    fields.life = static_cast<Life>(word & 3);
    fields.protocol_state = static_cast<FlowState>((word >> 2) & 0x1f);
    fields.owner = static_cast<FlowOwner>((word >> 7) & 3);
    fields.original_swapped = ((word >> 9) & 1) != 0;
    fields.reply_swapped = ((word >> 10) & 1) != 0;
    fields.has_reply_tuple = ((word >> 11) & 1) != 0;
    fields.incarnation = static_cast<uint16_t>(word >> 16);
    return fields;
  }
};

// One IPv4 connection: one cache line. The key's words are written once per incarnation, before the index
// points here.
struct alignas(64) FlowEntry4 {
  using Key = flow_key4;
  static constexpr size_t kKeyWords = sizeof(Key) / 8;
  static constexpr size_t kAddressWords = 1;  // both addresses of a tuple, in words of 64 bits

  std::atomic<uint64_t> key[kKeyWords];
  std::atomic<uint64_t> reply_addresses[kAddressWords];
  FlowBody body;
};
static_assert(sizeof(FlowBody) == 40);
static_assert(sizeof(FlowEntry4) == 64);

// One IPv6 connection: two cache lines, of which a lookup reads the first.
struct alignas(128) FlowEntry6 {
  using Key = flow_key6;
  static constexpr size_t kKeyWords = sizeof(Key) / 8;
  static constexpr size_t kAddressWords = 4;

  std::atomic<uint64_t> key[kKeyWords];
  FlowBody body;
  std::atomic<uint64_t> reply_addresses[kAddressWords];
  uint64_t pad[2];
};
static_assert(sizeof(FlowEntry6) == 128);
static_assert(offsetof(FlowEntry6, body) + offsetof(FlowBody, ingress) == 64);

// A key as the 64-bit words that entries hold and compare.
template <typename Key>
using FlowWords = std::array<uint64_t, sizeof(Key) / 8>;

template <typename Key>
[[nodiscard]] FL_INLINE FlowWords<Key> words_of(const Key& key) {
  FlowWords<Key> words;
  std::memcpy(words.data(), &key, sizeof(Key));
  return words;
}

// A key's last word: the ports, then protocol and padding.
struct FlowLastWord {
  uint32_t ports;
  uint32_t protocol;

  [[nodiscard]] static FlowLastWord of(uint64_t word) { return std::bit_cast<FlowLastWord>(word); }
};

// Is this the entry's first key? `key`: as Entry::Key or its words. Relaxed: whoever got here through the
// index synchronised with its writer there.
[[nodiscard]] FL_INLINE bool has_key(const FlowEntry4& entry, const void* key) {
  return (Bytes16::relaxed(entry.key) ^ Bytes16::at(key)).is_zero();
}
[[nodiscard]] FL_INLINE bool has_key(const FlowEntry6& entry, const void* key) {
  const auto* const bytes = static_cast<const uint8_t*>(key);
  return entry.key[4].load(std::memory_order_relaxed) == load<uint64_t>(bytes + 32) &&
         ((Bytes16::relaxed(entry.key) ^ Bytes16::at(bytes)) |
          (Bytes16::relaxed(entry.key + 2) ^ Bytes16::at(bytes + 16)))
             .is_zero();
}

// Is this the tuple of its replies? The protocol is the first key's.
template <typename Entry>
[[nodiscard]] FL_INLINE bool has_reply_tuple(const Entry& entry,
                                             const FlowWords<typename Entry::Key>& words) {
  uint64_t differ = 0;
  for (size_t i = 0; i < Entry::kAddressWords; ++i) {
    differ |= entry.reply_addresses[i].load(std::memory_order_relaxed) ^ words[i];
  }
  const FlowLastWord wanted = FlowLastWord::of(words[Entry::kAddressWords]);
  const FlowLastWord own = FlowLastWord::of(entry.key[Entry::kAddressWords].load(std::memory_order_relaxed));
  const uint32_t ports = entry.body.reply_ports.load(std::memory_order_relaxed);
  return (differ | (wanted.ports ^ ports) | (wanted.protocol ^ own.protocol)) == 0;
}

}  // namespace fairlead::core
