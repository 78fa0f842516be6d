#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>

namespace fairlead::core {

// IPv4 longest-prefix match: one writer, any number of lock-free readers, versions that share structure.
//
// A trie of strides 12-12-8. The writer changes nodes it has created since the last seal() in place and
// copies others, so a bulk load costs no copies and a single change copies at most the root (32 KiB), one
// middle node (16 KiB) and the leaves (1 KiB each) in the prefix's range. Prefixes up to /12 touch the root
// only; a /13../24 also touches those of its /24s that hold longer prefixes. seal() returns the finished
// version as a View; what it replaced stays readable through older Views until reclaim().
//
// Values are 1..kMaxValue (an endpoint id with two bits to spare); 0 is "no route".
// Threads: a View may be used by any thread the caller hands it to (through a release/acquire pointer); all
// of Lpm4 itself belongs to one writer. Views die with the Lpm4 that made them.
class Lpm4 {
 public:
  static constexpr uint32_t kMaxValue = (1u << 26) - 1;

  // How much address space to reserve; memory is taken only as it is used.
  struct Limits {
    uint32_t middle_nodes = 1u << 14;  // 16 KiB each
    uint32_t leaves = 1u << 21;        // 1 KiB each
  };

  class View {
   public:
    // The value of the longest prefix that contains `address` (host byte order), or 0.
    [[nodiscard]] uint32_t lookup(uint32_t address) const {
      const RootSlot slot = root_[address >> 20];
      uint32_t found = slot.entry;
      if (slot.child != 0) {
        uint32_t entry = middle_[(static_cast<size_t>(slot.child) << 12) + ((address >> 8) & 0xfff)];
        if ((entry & kChildFlag) != 0) {
          entry = leaves_[(static_cast<size_t>(entry & ~kChildFlag) << 8) + (address & 0xff)];
        }
        found = entry != 0 ? entry : found;
      }
      return found & kMaxValue;
    }

    // lookup() of `count` addresses (host byte order), memory accesses overlapped; any count, 16..64 is best.
    void lookup_burst(const uint32_t* addresses, uint32_t count, uint32_t* values) const;

    // Grows by one with each seal(); reclaim() takes it.
    [[nodiscard]] uint64_t version() const { return version_; }

   private:
    friend class Lpm4;
    struct RootSlot {
      uint32_t entry = 0;
      uint32_t child = 0;  // middle node, 0: none
    };
    static constexpr uint32_t kChildFlag = 1u << 31;

    const RootSlot* root_ = nullptr;
    const uint32_t* middle_ = nullptr;
    const uint32_t* leaves_ = nullptr;
    uint64_t version_ = 0;
  };

  Lpm4();
  explicit Lpm4(const Limits& limits);  // throws std::bad_alloc when the address space cannot be reserved
  ~Lpm4();
  Lpm4(const Lpm4&) = delete;
  Lpm4& operator=(const Lpm4&) = delete;

  // Adds prefix/length -> value or replaces the value. `prefix` in host byte order without bits beyond
  // `length`. False when the limits are reached: nothing has changed then.
  [[nodiscard]] bool set(uint32_t prefix, uint8_t length, uint32_t value);
  // Removes prefix/length; what it covered falls back to the next shorter prefix. False when it was not
  // there, or when the limits leave no room to copy (then nothing has changed).
  bool clear(uint32_t prefix, uint8_t length);
  // The exact prefix's value, or 0.
  [[nodiscard]] uint32_t get(uint32_t prefix, uint8_t length) const;
  [[nodiscard]] size_t size() const;
  // Every prefix once, in no particular order, as (prefix, length, value).
  void each(const std::function<void(uint32_t, uint8_t, uint32_t)>& visit) const;

  // Finishes the current version; later changes copy what it uses. O(1).
  [[nodiscard]] View seal();
  // Frees what only versions before `version` use; the caller knows that no reader holds such a View any
  // more.
  void reclaim(uint64_t version);

  // Bytes of nodes in use (also by versions not yet reclaimed) and of the writer's prefix set.
  [[nodiscard]] size_t memory_bytes() const;

 private:
  struct Writer;
  std::unique_ptr<Writer> writer_;
};

}  // namespace fairlead::core
