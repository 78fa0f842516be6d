#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <memory>

namespace fairlead::core {

// An IPv6 address as two numbers, most significant first: what the trie computes with.
struct Ipv6Words {
  uint64_t high = 0;
  uint64_t low = 0;

  bool operator==(const Ipv6Words&) const = default;
  [[nodiscard]] static Ipv6Words load(const uint8_t* sixteen_wire_bytes) {
    Ipv6Words words;
    std::memcpy(&words.high, sixteen_wire_bytes, 8);
    std::memcpy(&words.low, sixteen_wire_bytes + 8, 8);
    return {__builtin_bswap64(words.high), __builtin_bswap64(words.low)};
  }
  [[nodiscard]] uint8_t byte(unsigned index) const {
    return static_cast<uint8_t>((index < 8 ? high : low) >> (56 - 8 * (index & 7)));
  }
};

// IPv6 longest-prefix match: one writer, any number of lock-free readers, versions that share structure.
//
// A path-compressed trie of 8-bit strides (at most 16 nodes deep, usually 3 or 4). A node is one header line
// (which address byte it branches on, the bytes above it, a 256-bit map of where runs of equal slots begin)
// and the packed runs, each with the best value inside this stride and a child. A subtree with one prefix is
// a leaf that holds it whole. The writer changes nodes created since the last seal() in place and copies
// others: O(depth) small copies a change.
//
// Values are 1..kMaxValue; 0 is "no route". Threads and lifetimes as with Lpm4.
class Lpm6 {
 public:
  static constexpr uint32_t kMaxValue = (1u << 26) - 1;

  struct Limits {
    size_t node_bytes = size_t{2} << 30;  // address space; memory is taken only as it is used
  };

  class View {
   public:
    // The value of the longest prefix that contains `address`, or 0.
    [[nodiscard]] uint32_t lookup(const Ipv6Words& address) const;
    // The same for 16 bytes as they stand on the wire.
    [[nodiscard]] uint32_t lookup(const uint8_t* sixteen_wire_bytes) const {
      return lookup(Ipv6Words::load(sixteen_wire_bytes));
    }
    // lookup() of `count` addresses, memory accesses overlapped.
    void lookup_burst(const Ipv6Words* addresses, uint32_t count, uint32_t* values) const;
    // Grows by one with each seal(); reclaim() takes it.
    [[nodiscard]] uint64_t version() const { return version_; }

   private:
    friend class Lpm6;
    const uint8_t* base_ = nullptr;
    uint32_t root_ = 0;
    uint32_t default_value_ = 0;  // of ::/0
    uint64_t version_ = 0;
  };

  Lpm6();
  explicit Lpm6(const Limits& limits);  // throws std::bad_alloc when the address space cannot be reserved
  ~Lpm6();
  Lpm6(const Lpm6&) = delete;
  Lpm6& operator=(const Lpm6&) = delete;

  // Adds prefix/length -> value or replaces the value; no bits may be set beyond `length`.
  // False when the limits are reached: nothing has changed then.
  [[nodiscard]] bool set(const Ipv6Words& prefix, uint8_t length, uint32_t value);
  // Removes prefix/length; what it covered falls back to the next shorter prefix. False when it was not
  // there, or when the limits leave no room to copy (then nothing has changed).
  bool clear(const Ipv6Words& prefix, uint8_t length);
  // The exact prefix's value, or 0.
  [[nodiscard]] uint32_t get(const Ipv6Words& prefix, uint8_t length) const;
  [[nodiscard]] size_t size() const;
  // Every prefix once, in no particular order, as (prefix, length, value).
  void each(const std::function<void(const Ipv6Words&, uint8_t, uint32_t)>& visit) const;

  [[nodiscard]] View seal();
  void reclaim(uint64_t version);
  // Bytes of nodes in use (also by versions not yet reclaimed) and of the writer's prefix set.
  [[nodiscard]] size_t memory_bytes() const;

 private:
  struct Writer;
  std::unique_ptr<Writer> writer_;
};

}  // namespace fairlead::core
