#pragma once

#include "dataplane/core/flow_entry.hpp"
#include "dataplane/core/wide.hpp"

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <thread>

namespace fairlead::core {

// What a slot of the index says: an entry, and by which of its two tuples it is found here.
struct FlowSlot {
  static constexpr uint32_t kReplyTuple = 1u << 31;
  uint32_t raw = 0;  // 0: empty

  [[nodiscard]] FlowId id() const { return raw & ~kReplyTuple; }
  [[nodiscard]] bool by_reply_tuple() const { return (raw & kReplyTuple) != 0; }
};

// Eight slots in one cache line. Readers: signatures, then ids of those that match. Writers hold `lock`.
struct alignas(64) FlowBucket {
  static constexpr unsigned kSlots = 8;

  std::atomic<uint64_t> signatures[2];  // 16 bits a slot, slot 0 lowest
  std::atomic<uint32_t> slots[kSlots];  // FlowSlot; published (release) after the entry is written
  std::atomic<uint32_t> lock;
  uint32_t pad[3];

  // Bit s: slot s has this signature (and perhaps nothing in it). The signatures may be of two moments, and
  // stale: a slot is believed only when its entry has the key.
  [[nodiscard]] FL_INLINE unsigned match(uint16_t signature) const {
#if defined(__SSE4_1__)
    const __m128i equal =
        _mm_cmpeq_epi16(Bytes16::relaxed(signatures).raw, _mm_set1_epi16(static_cast<short>(signature)));
    return static_cast<unsigned>(_mm_movemask_epi8(_mm_packs_epi16(equal, _mm_setzero_si128())));
#else
    unsigned found = 0;
    for (unsigned slot = 0; slot < kSlots; ++slot) {
      found |= static_cast<unsigned>(this->signature(slot) == signature) << slot;
    }
    return found;
#endif
  }

  [[nodiscard]] FL_INLINE FlowSlot at(size_t slot) const {
    return {slots[slot].load(std::memory_order_acquire)};
  }

  [[nodiscard]] uint16_t signature(unsigned slot) const {
    return static_cast<uint16_t>(signatures[slot / 4].load(std::memory_order_relaxed) >> (16 * (slot % 4)));
  }

  // Under the lock. Bit s: slot s is empty.
  [[nodiscard]] unsigned empty() const {
    return match(0);
  }
  [[nodiscard]] unsigned used() const {
    return kSlots - static_cast<unsigned>(std::popcount(empty()));
  }

  // Under the lock.
  void write(unsigned slot, uint16_t signature, FlowSlot content) {
    slots[slot].store(content.raw, std::memory_order_release);
    std::atomic<uint64_t>& word = signatures[slot / 4];
    const unsigned shift = 16 * (slot % 4);
    const uint64_t others = word.load(std::memory_order_relaxed) & ~(uint64_t{0xffff} << shift);
    word.store(others | (uint64_t{signature} << shift), std::memory_order_release);
  }
};
static_assert(sizeof(FlowBucket) == 64);

// From tuples to entries: two candidate buckets a tuple. When both are full, one of their slots moves to its
// own other bucket (one step, tried on at most 16 slots): so the index takes 85 % before it refuses anything.
// A reader can miss a slot in the instant it moves; it then inserts, and under the locks finds the entry
// where it is.
//
// Does not own its memory. Readers take no lock; a writer takes a Guard of its tuple's two buckets around
// find and link.
class FlowIndex {
 public:
  struct Place {
    uint32_t first = 0;
    uint32_t second = 0;
    uint16_t signature = 0;
  };

  // Locks both buckets of a place; the lower first, so that two writers cannot wait for each other.
  class Guard {
   public:
    Guard(const FlowIndex& index, const Place& place)
        : low_(index.buckets_[place.first < place.second ? place.first : place.second].lock),
          high_(index.buckets_[place.first < place.second ? place.second : place.first].lock) {
      take(low_);
      take(high_);
    }
    ~Guard() {
      high_.store(0, std::memory_order_release);
      low_.store(0, std::memory_order_release);
    }
    Guard(const Guard&) = delete;
    Guard& operator=(const Guard&) = delete;

   private:
    std::atomic<uint32_t>& low_;
    std::atomic<uint32_t>& high_;
  };

  // The same for two places, whose buckets may be the same ones.
  class PairGuard {
   public:
    PairGuard(const FlowIndex& index, const Place& one, const Place& other) : buckets_(index.buckets_) {
      const uint32_t low1 = std::min(one.first, one.second), high1 = std::max(one.first, one.second);
      const uint32_t low2 = std::min(other.first, other.second), high2 = std::max(other.first, other.second);
      const uint32_t inner1 = std::max(low1, low2), inner2 = std::min(high1, high2);
      numbers_ = {std::min(low1, low2), std::min(inner1, inner2), std::max(inner1, inner2),
                  std::max(high1, high2)};
      for (unsigned i = 0; i < 4; ++i) {
        if (is_first(i)) take(buckets_[numbers_[i]].lock);
      }
    }
    ~PairGuard() {
      for (unsigned i = 4; i-- > 0;) {
        if (is_first(i)) buckets_[numbers_[i]].lock.store(0, std::memory_order_release);
      }
    }
    PairGuard(const PairGuard&) = delete;
    PairGuard& operator=(const PairGuard&) = delete;

   private:
    [[nodiscard]] bool is_first(unsigned i) const { return i == 0 || numbers_[i] != numbers_[i - 1]; }

    FlowBucket* buckets_;
    std::array<uint32_t, 4> numbers_;  // ascending
  };

  FlowIndex() = default;
  FlowIndex(FlowBucket* buckets, uint32_t count)
      : buckets_(buckets), mask_(count - 1) {}  // a power of two >= 2

  // Never 0, which empty slots have.
  [[nodiscard]] static uint16_t signature(uint64_t hash) { return static_cast<uint16_t>(hash >> 48 | 1); }
  [[nodiscard]] uint32_t first(uint64_t hash) const { return static_cast<uint32_t>(hash) & mask_; }
  [[nodiscard]] Place place(uint64_t hash) const {
    Place place;
    place.signature = signature(hash);
    place.first = first(hash);
    place.second = other_bucket(place.first, place.signature);
    return place;
  }

  [[nodiscard]] const FlowBucket& bucket(uint32_t index) const { return buckets_[index]; }

  // The slot for which `is_it(FlowSlot)` holds; empty when there is none.
  template <typename IsIt>
  [[nodiscard]] FlowSlot find(const Place& place, const IsIt& is_it) const {
    for (const uint32_t index : {place.first, place.second}) {
      const FlowBucket& here = buckets_[index];
      for (unsigned matches = here.match(place.signature); matches != 0; matches &= matches - 1) {
        const FlowSlot slot = here.at(static_cast<unsigned>(std::countr_zero(matches)));
        if (slot.raw != 0 && is_it(slot)) return slot;
      }
    }
    return {};
  }

  // Under a Guard of `place`. False: both buckets are full and none of their slots can move.
  //
  // The first bucket is preferred while it has room to spare, so that most lookups read one line; then the
  // emptier one.
  [[nodiscard]] bool link(const Place& place, FlowSlot content) const {
    constexpr unsigned kRoomy = 5;
    FlowBucket* target = &buckets_[place.first];
    const unsigned used = target->used();
    if (used >= kRoomy && buckets_[place.second].used() < used) target = &buckets_[place.second];
    return put(*target, place.signature, content) || put_moving(place, content);
  }

  // Under a Guard of `place`.
  void unlink(const Place& place, FlowSlot content) const {
    for (const uint32_t index : {place.first, place.second}) {
      for (unsigned slot = 0; slot < FlowBucket::kSlots; ++slot) {
        if (buckets_[index].slots[slot].load(std::memory_order_relaxed) != content.raw) continue;
        return buckets_[index].write(slot, 0, {});
      }
    }
  }

 private:
  static void take(std::atomic<uint32_t>& lock) {
    constexpr unsigned kSpins = 2000;
    unsigned spins = 0;
    while (lock.exchange(1, std::memory_order_acquire) != 0) {
      while (lock.load(std::memory_order_relaxed) != 0) {
        // The holder needs some tens of nanoseconds, unless the kernel took its core: then it needs ours.
        if (++spins > kSpins) std::this_thread::yield();
        pause();
      }
    }
  }
  static void pause() {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#endif
  }

  [[nodiscard]] uint32_t other_bucket(uint32_t bucket, uint16_t signature) const {
    // Odd, hence another bucket; from the signature alone, hence the same way back.
    return bucket ^ (((signature * 0x9e3779b1u) | 1) & mask_);
  }

  [[nodiscard]] static bool put(FlowBucket& bucket, uint16_t signature, FlowSlot content) {
    const unsigned empty = bucket.empty();
    if (empty == 0) return false;
    bucket.write(static_cast<unsigned>(std::countr_zero(empty)), signature, content);
    return true;
  }

  // Both buckets are full and locked. A third one is only tried to be locked: waiting for it could be waiting
  // in a circle.
  [[nodiscard]] bool put_moving(const Place& place, FlowSlot content) const {
    for (const uint32_t from : {place.first, place.second}) {
      for (unsigned slot = 0; slot < FlowBucket::kSlots; ++slot) {
        FlowBucket& here = buckets_[from];
        const uint16_t signature = here.signature(slot);
        const uint32_t to = other_bucket(from, signature);
        if (to == place.first || to == place.second ||
            buckets_[to].lock.exchange(1, std::memory_order_acquire) != 0) {
          continue;
        }
        // There before it goes here: a reader that looks there last does not miss it.
        const bool moved = put(buckets_[to], signature, here.at(slot));
        if (moved) here.write(slot, place.signature, content);
        buckets_[to].lock.store(0, std::memory_order_release);
        if (moved) return true;
      }
    }
    return false;
  }

  FlowBucket* buckets_ = nullptr;
  uint32_t mask_ = 0;
};

}  // namespace fairlead::core
