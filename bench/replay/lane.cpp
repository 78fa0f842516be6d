#include "bench/replay/lane.hpp"

#include <rte_mempool.h>

#include <algorithm>
#include <array>
#include <bit>
#include <random>

namespace fairlead::replay {

Lane::Lane(rte_mempool* pool, const uint8_t* base, uint32_t count, uint32_t seed)
    : pool_(pool),
      base_(reinterpret_cast<uintptr_t>(base)),
      mask_(std::bit_ceil(count) - 1),
      slots_(std::make_unique<uint32_t[]>(mask_ + 1)) {
  void* object = nullptr;
  while (tail_ < count && rte_mempool_get(pool_, &object) == 0)
    slots_[tail_++] = slot(static_cast<rte_mbuf*>(object));
  std::shuffle(slots_.get(), slots_.get() + tail_, std::mt19937(seed));
}

uint32_t Lane::refill(uint32_t wanted) {
  void* object = nullptr;
  while (tail_ - head_ < wanted + kAhead && tail_ - head_ <= mask_ && rte_mempool_get(pool_, &object) == 0) {
    slots_[tail_++ & mask_] = slot(static_cast<rte_mbuf*>(object));
  }
  const uint32_t ready = tail_ - head_;
  return ready > kAhead ? std::min(wanted, ready - kAhead) : 0;
}

}  // namespace fairlead::replay
