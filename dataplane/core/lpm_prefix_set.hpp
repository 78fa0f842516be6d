#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace fairlead::core {

// The prefixes an LPM writer has been given, so that removing one finds what it had covered.
//
// Open addressing with linear probing and backward-shift deletion, at most 3/4 full. One owner, no threads.
// `Slot` packs one prefix: make(address, length, value), address(), length(), value() (0: a free slot),
// hash(address, length).
template <typename Slot>
class LpmPrefixSet {
 public:
  using Address = decltype(std::declval<Slot>().address());

  LpmPrefixSet() : slots_(kSmallest) {}

  // The prefix's value, or 0.
  [[nodiscard]] uint32_t get(const Address& address, unsigned length) const {
    if (counts_[length] == 0) return 0;
    return slots_[find(address, length)].value();
  }

  void set(const Address& address, unsigned length, uint32_t value) {
    size_t index = find(address, length);
    if (slots_[index].value() == 0) {
      if (4 * (size_ + 1) > 3 * slots_.size()) {
        grow();
        index = find(address, length);
      }
      ++size_;
      ++counts_[length];
    }
    slots_[index] = Slot::make(address, length, value);
  }

  bool erase(const Address& address, unsigned length) {
    size_t hole = find(address, length);
    if (slots_[hole].value() == 0) return false;
    --size_;
    --counts_[length];
    for (size_t next = (hole + 1) & mask(); slots_[next].value() != 0; next = (next + 1) & mask()) {
      // It may move back unless its home lies (cyclically) behind the hole.
      const size_t home = Slot::hash(slots_[next].address(), slots_[next].length()) & mask();
      if (((next - home) & mask()) >= ((next - hole) & mask())) {
        slots_[hole] = slots_[next];
        hole = next;
      }
    }
    slots_[hole] = {};
    return true;
  }

  [[nodiscard]] size_t size() const { return size_; }
  [[nodiscard]] size_t memory_bytes() const { return slots_.size() * sizeof(Slot); }

  template <typename Visit>
  void each(const Visit& visit) const {
    for (const Slot& slot : slots_) {
      if (slot.value() != 0) visit(slot.address(), static_cast<uint8_t>(slot.length()), slot.value());
    }
  }

 private:
  static constexpr size_t kSmallest = 64;
  static constexpr unsigned kLengths = 129;

  [[nodiscard]] size_t mask() const { return slots_.size() - 1; }

  // Where the prefix is, or the free slot where it would go.
  [[nodiscard]] size_t find(const Address& address, unsigned length) const {
    size_t index = Slot::hash(address, length) & mask();
    while (slots_[index].value() != 0 &&
           !(slots_[index].length() == length && slots_[index].address() == address)) {
      index = (index + 1) & mask();
    }
    return index;
  }

  void grow() {
    std::vector<Slot> old(slots_.size() * 2);
    old.swap(slots_);
    for (const Slot& slot : old) {
      if (slot.value() != 0) slots_[find(slot.address(), slot.length())] = slot;
    }
  }

  std::vector<Slot> slots_;
  size_t size_ = 0;
  std::array<uint32_t, kLengths>
      counts_{};  // per length, so that looking for a covering prefix skips unused ones
};

}  // namespace fairlead::core
