#include "dataplane/core/flow_recycler.hpp"

#include <algorithm>

namespace fairlead::core {

namespace {

// Which stash the calling thread begins with.
unsigned number_of_this_thread() {
  static std::atomic<unsigned> next_number{0};
  static thread_local const unsigned number = next_number.fetch_add(1, std::memory_order_relaxed);
  return number;
}

}  // namespace

FlowId FlowRecycler::take(uint16_t& incarnation) {
  const unsigned own = number_of_this_thread();
  if (const FlowId id = take_from(stashes_[own % kStashes], true, incarnation); id != 0) return id;
  // The last ones are in others' stashes, or another thread is at this one.
  for (const bool may_fill : {false, true}) {
    for (unsigned i = 1; i < kStashes; ++i) {
      const FlowId id = take_from(stashes_[(own + i) % kStashes], may_fill, incarnation);
      if (id != 0) return id;
    }
  }
  return 0;
}

FlowId FlowRecycler::take_from(Stash& stash, bool may_fill, uint16_t& incarnation) {
  if (stash.busy.test_and_set(std::memory_order_acquire)) return 0;
  FlowId id = 0;
  // Used ones before new ones: their memory is there, perhaps even in a cache.
  if (stash.count == 0 && may_fill && !fill_with_free(stash) && stash.fresh_at == stash.fresh_end) {
    fill_with_fresh(stash);
  }
  if (stash.count != 0) {
    id = stash.first;
    incarnation = stash.incarnation;
    stash.first = next(id);
    --stash.count;
  } else if (stash.fresh_at != stash.fresh_end) {
    id = stash.fresh_at++;
    incarnation = 0;
  }
  stash.busy.clear(std::memory_order_release);
  return id;
}

bool FlowRecycler::fill_with_free(Stash& stash) {
  uint64_t top = free_.load(std::memory_order_acquire);
  for (;;) {
    const auto first = static_cast<FlowId>(top);
    if (first == 0) return false;
    // Somebody may take these entries meanwhile and what we read be nonsense: then the count has moved and
    // the swap fails.
    FlowId behind = next(first);
    uint32_t count = 1;
    for (; count < kFreeAtOnce && behind != 0 && behind < slots_; ++count) behind = next(behind);
    const uint64_t rest = (((top >> 32) + 1) << 32) | behind;
    if (!free_.compare_exchange_weak(top, rest, std::memory_order_acq_rel, std::memory_order_acquire))
      continue;
    stash.first = first;
    stash.count = count;
    stash.incarnation = static_cast<uint16_t>(rest >> 32);
    return true;
  }
}

void FlowRecycler::fill_with_fresh(Stash& stash) {
  if (touched_end() == slots_) return;
  const FlowId at = fresh_.fetch_add(kFreshAtOnce, std::memory_order_relaxed);
  if (at >= slots_) return;  // the last ones may be asked for by several at once
  stash.fresh_at = at;
  stash.fresh_end = std::min(at + kFreshAtOnce, slots_);
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
