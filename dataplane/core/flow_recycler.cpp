#include "dataplane/core/flow_recycler.hpp"

namespace fairlead::core {

FlowId FlowRecycler::take(uint16_t& incarnation) {
  uint64_t top = free_.load(std::memory_order_acquire);
  for (;;) {
    const auto id = static_cast<FlowId>(top);
    if (id == 0) break;
    // Somebody may take this entry meanwhile and what we read be nonsense: then the count has moved and the
    // swap fails.
    const uint64_t rest = (((top >> 32) + 1) << 32) | next(id);
    if (free_.compare_exchange_weak(top, rest, std::memory_order_acq_rel, std::memory_order_acquire)) {
      incarnation = static_cast<uint16_t>(rest >> 32);
      return id;
    }
  }
  incarnation = 0;
  if (touched_end() == slots_) return 0;
  const FlowId id = fresh_.fetch_add(1, std::memory_order_relaxed);
  return id < slots_ ? id : 0;  // the last ones may be asked for by several at once
}

void FlowRecycler::push_free(FlowId first, FlowId last) {
  uint64_t top = free_.load(std::memory_order_relaxed);
  uint64_t with;
  do {
    set(last, FlowWord::kFree, static_cast<FlowId>(top));
    with = (((top >> 32) + 1) << 32) | first;
  } while (!free_.compare_exchange_weak(top, with, std::memory_order_release, std::memory_order_relaxed));
}

void FlowRecycler::retire(FlowId id) {
  FlowId top = limbo_.load(std::memory_order_relaxed);
  do {
    set(id, FlowWord::kDying, top);
  } while (!limbo_.compare_exchange_weak(top, id, std::memory_order_release, std::memory_order_relaxed));
}

void FlowRecycler::reclaim() {
  if (reclaiming_.test_and_set(std::memory_order_acquire)) return;  // somebody is at it
  if (waiting_ != 0 && epoch_.grace_passed(waiting_token_)) {
    const FlowId first = waiting_;
    FlowId last = first;
    for (unsigned count = 1;; ++count) {
      const FlowId following = next(last);
      set(last, FlowWord::kFree, following);
      if (following == 0 || count == kBatch) {
        waiting_ = following;
        break;
      }
      last = following;
    }
    push_free(first, last);
  }
  if (waiting_ == 0 && limbo_.load(std::memory_order_relaxed) != 0) {
    waiting_ = limbo_.exchange(0, std::memory_order_acquire);
    waiting_token_ = epoch_.advance();
  }
  reclaiming_.clear(std::memory_order_release);
}

}  // namespace fairlead::core
