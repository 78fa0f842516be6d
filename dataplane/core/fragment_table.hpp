#pragma once

#include "dataplane/packet/flow_hash.h"
#include "dataplane/packet/parsed.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>

namespace fairlead::core {

// The datagrams that come in fragments, and the ports that only their first fragments show: with these every
// later fragment is a packet of its connection. Nothing is put together and nothing is kept waiting.
//
// A fragment whose first has not been seen (or was too long ago) is unknown. One that overlaps what came
// before is refused, and after it the whole datagram (RFC 5722, RFC 8200 section 4.5); one that repeats it is
// refused alone.
//
// Bounded: kSets sets of kWays datagrams. A sender's datagrams lie in kSpread sets chosen by its address
// under a secret, so that one that sends ever more first fragments pushes out its own and those of few
// others.
//
// Threads: any worker. A set's lock is held for some tens of nanoseconds; packets that are no fragments do
// not come here.
class FragmentTable {
 public:
  static constexpr uint32_t kSets = 1024, kWays = 4, kSpread = 16;
  static constexpr uint32_t kTimeout_seconds = 30;  // RFC 1122 section 3.3.2 and RFC 8200 allow 60

  enum class Outcome : uint8_t { kFollow, kUnknown, kOverlap };

  explicit FragmentTable(const flow_secret& secret) : secret_(secret) {}

  // Notes fragment `p`. kFollow: a later one now has its datagram's ports (has_ports, source_port,
  // destination_port).
  [[nodiscard]] Outcome follow(parsed& p, uint32_t now_seconds) {
    const Key key = key_of(p);
    Set& set = sets_[set_of(p)];
    const Lock lock(set.lock);
    Datagram* datagram = find(set, key, now_seconds);
    if (p.is_first_fragment != 0) {
      if (datagram == nullptr) {
        datagram = &oldest(set, now_seconds);
        *datagram = Datagram{};
        datagram->key = key;
        datagram->ports =
            static_cast<uint32_t>(p.source_port.raw) | static_cast<uint32_t>(p.destination_port.raw) << 16;
        datagram->has_ports = p.has_ports;
        datagram->protocol = p.protocol;
        datagram->seen_seconds = now_seconds;
        datagram->is_used = true;
      }
    } else if (datagram == nullptr) {
      return Outcome::kUnknown;
    }
    const uint32_t end = p.fragment_offset + (p.l3_offset + p.l3_length - p.l4_offset);
    if (!datagram->take(p.fragment_offset, end)) return Outcome::kOverlap;
    p.has_ports = datagram->has_ports;
    p.protocol = datagram->protocol;
    p.source_port.raw = static_cast<uint16_t>(datagram->ports);
    p.destination_port.raw = static_cast<uint16_t>(datagram->ports >> 16);
    return Outcome::kFollow;
  }

 private:
  using Key = std::array<uint64_t, 5>;  // source, destination, then id, version and (IPv4) protocol

  struct Range {
    uint32_t begin = 0, end = 0;  // bytes; empty: unused
  };

  struct Datagram {
    Key key{};
    uint32_t ports = 0;
    uint32_t seen_seconds = 0;
    bool is_used = false;
    bool is_refused = false;
    uint8_t has_ports = 0;
    uint8_t protocol = 0;
    // What has come, in pieces that do not touch. In order that is one piece.
    std::array<Range, 4> pieces{};

    [[nodiscard]] bool take(uint32_t begin, uint32_t end) {
      if (is_refused) return false;
      Range merged{begin, end};
      for (const Range& piece : pieces) {
        if (piece.end <= begin || piece.begin >= end) continue;
        if (begin >= piece.begin && end <= piece.end) return false;  // a repetition
        is_refused = true;
        return false;
      }
      for (Range& piece : pieces) {
        if (piece.end == piece.begin || (piece.end != merged.begin && piece.begin != merged.end)) continue;
        merged = {piece.begin < merged.begin ? piece.begin : merged.begin,
                  piece.end > merged.end ? piece.end : merged.end};
        piece = {};
      }
      for (Range& piece : pieces) {
        if (piece.end != piece.begin) continue;
        piece = merged;
        return true;
      }
      return false;  // too much out of order
    }
  };

  struct alignas(64) Set {
    std::atomic<uint32_t> lock{0};
    std::array<Datagram, kWays> ways;
  };

  class Lock {
   public:
    explicit Lock(std::atomic<uint32_t>& word) : word_(word) {
      while (word_.exchange(1, std::memory_order_acquire) != 0) {
      }
    }
    ~Lock() { word_.store(0, std::memory_order_release); }
    Lock(const Lock&) = delete;
    Lock& operator=(const Lock&) = delete;

   private:
    std::atomic<uint32_t>& word_;
  };

  // IPv6 datagrams are told apart by addresses and id alone, and later fragments do not show the last
  // protocol.
  [[nodiscard]] static Key key_of(const parsed& p) {
    Key key{};
    std::memcpy(key.data(), &p.source, sizeof(p.source));
    std::memcpy(key.data() + 2, &p.destination, sizeof(p.destination));
    const uint64_t protocol = p.ip_version == 4 ? p.protocol : 0;
    key[4] = p.fragment_id.raw | protocol << 32 | uint64_t{p.ip_version} << 40;
    return key;
  }

  [[nodiscard]] uint32_t set_of(const parsed& p) const {
    flow_key6 source{};
    source.low_address = p.source;
    const auto id = static_cast<uint32_t>(p.fragment_id.raw * 0x9e3779b1u >> 16);
    return static_cast<uint32_t>((flow_hash6(&secret_, &source) + id % kSpread) % kSets);
  }

  [[nodiscard]] static Datagram* find(Set& set, const Key& key, uint32_t now_seconds) {
    for (Datagram& datagram : set.ways) {
      if (!datagram.is_used || datagram.key != key) continue;
      if (now_seconds - datagram.seen_seconds <= kTimeout_seconds) return &datagram;
      datagram.is_used = false;
    }
    return nullptr;
  }

  [[nodiscard]] static Datagram& oldest(Set& set, uint32_t now_seconds) {
    Datagram* oldest = set.ways.data();
    for (Datagram& datagram : set.ways) {
      if (!datagram.is_used) return datagram;
      if (now_seconds - datagram.seen_seconds > now_seconds - oldest->seen_seconds) oldest = &datagram;
    }
    return *oldest;
  }

  const flow_secret secret_;
  std::array<Set, kSets> sets_{};
};

}  // namespace fairlead::core
