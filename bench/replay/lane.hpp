#pragma once

#include <rte_mbuf.h>

#include <cstdint>
#include <memory>
#include <vector>

namespace fairlead::replay {

// The buffers of one pool that go round in one thread: handed out in a random order fixed at the start, put
// back behind the others when they are sent. A buffer is four bytes here: its distance from the pool's first,
// in lines.
class Lane {
 public:
  // At most `count` buffers of `pool`, whose memory begins at `base`.
  Lane(rte_mempool* pool, const uint8_t* base, uint32_t count, uint32_t seed);

  // How many of `wanted` can be handed out; brings back what the application freed instead of sending it.
  [[nodiscard]] uint32_t available(uint32_t wanted) {
    const uint32_t ready = tail_ - head_;
    return ready >= wanted + kAhead ? wanted : refill(wanted);
  }
  [[nodiscard]] rte_mbuf* at(uint32_t ahead) const { return mbuf(slots_[(head_ + ahead) & mask_]); }
  void take(uint32_t count) { head_ += count; }

  // False: there is no room, the buffers stay the caller's.
  [[nodiscard]] bool put(rte_mbuf* const* mbufs, uint32_t count) {
    if (tail_ - head_ + count > mask_ + 1) return false;
    for (uint32_t i = 0; i < count; ++i) slots_[(tail_ + i) & mask_] = slot(mbufs[i]);
    tail_ += count;
    return true;
  }

  // Slots that may be looked at beyond those handed out: prefetching needs no check for the end.
  static constexpr uint32_t kAhead = 16;

 private:
  static constexpr unsigned kLineBits = 6;

  [[nodiscard]] rte_mbuf* mbuf(uint32_t slot) const {
    return reinterpret_cast<rte_mbuf*>(base_ + (uint64_t{slot} << kLineBits));
  }
  [[nodiscard]] uint32_t slot(const rte_mbuf* mbuf) const {
    return static_cast<uint32_t>((reinterpret_cast<uintptr_t>(mbuf) - base_) >> kLineBits);
  }
  uint32_t refill(uint32_t wanted);

  rte_mempool* pool_;
  uintptr_t base_;
  uint32_t head_ = 0;
  uint32_t tail_ = 0;
  uint32_t mask_;
  std::unique_ptr<uint32_t[]> slots_;
};

}  // namespace fairlead::replay
