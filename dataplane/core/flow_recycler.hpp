#pragma once

#include "dataplane/core/epoch.hpp"
#include "dataplane/core/flow_entry.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace fairlead::core {

// The entries of a flow table that are not in use: free ones, and erased ones whose readers may not be gone
// yet.
//
// Both are lists through the entries' state words (FlowWord::life in the low bits, the next id above them),
// so that they take no memory of their own and an adopted table's can be rebuilt.
//
// Neighbouring entries go to one thread: it takes several at once into a stash. Processors fetch cache lines
// in pairs, so that of two neighbours that two threads write, each write waits for the other thread's core.
//
// Threads: all of it from any thread; nobody waits for anybody.
class FlowRecycler {
 public:
  // Entries 1 .. slots - 1, none touched yet. `first_state`: the state word of entry 0; the others follow at
  // `stride` bytes.
  FlowRecycler(Epoch& epoch, std::atomic<uint32_t>* first_state, size_t stride, uint32_t slots)
      : epoch_(epoch),
        first_state_(reinterpret_cast<std::byte*>(first_state)),
        stride_(stride),
        slots_(slots) {}

  // The caller has looked at every entry itself and gives back those that are free.
  void all_touched() { fresh_.store(slots_, std::memory_order_relaxed); }
  // Entries from here on have never been used: no connection there, and no memory either.
  // (A stash's part of them lies before it already, free.)
  [[nodiscard]] FlowId touched_end() const {
    const FlowId fresh = fresh_.load(std::memory_order_relaxed);
    return fresh < slots_ ? fresh : slots_;
  }

  // An entry to build in, or 0; `incarnation` tells it from the connections that had the entry before.
  [[nodiscard]] FlowId take(uint16_t& incarnation);
  // An entry that no reader has seen (or that has been through reclaim()).
  void give_back(FlowId id) { push_free(id, id); }
  // An entry just taken out of the index; its state is kDying and belongs to the caller.
  void retire(FlowId id);
  // Frees what was retired before a grace period that has passed, at most kBatch entries; starts the next
  // period.
  void reclaim();

 private:
  static constexpr unsigned kBatch = 256;
  static constexpr unsigned kLinkShift = 2;
  static constexpr unsigned kStashes = 32;
  static constexpr unsigned kFreshAtOnce = 64;
  static constexpr unsigned kFreeAtOnce = 8;  // each may be a cache miss, and the taker holds a bucket's lock

  // What one thread has taken and not used yet; threads that share a stash find it busy at times.
  struct alignas(128) Stash {
    std::atomic_flag busy = ATOMIC_FLAG_INIT;
    uint16_t incarnation = 0;            // of `first` and those behind it
    uint32_t count = 0;                  // of those
    FlowId first = 0;                    // linked as in the free list
    FlowId fresh_at = 0, fresh_end = 0;  // never used
  };

  [[nodiscard]] std::atomic<uint32_t>& state(FlowId id) const {
    return *reinterpret_cast<std::atomic<uint32_t>*>(first_state_ + id * stride_);
  }
  [[nodiscard]] FlowId next(FlowId id) const {
    return state(id).load(std::memory_order_relaxed) >> kLinkShift;
  }
  void set(FlowId id, FlowWord::Life life, FlowId next) const {
    state(id).store((next << kLinkShift) | life, std::memory_order_relaxed);
  }
  void push_free(FlowId first, FlowId last);
  [[nodiscard]] FlowId take_from(Stash& stash, bool may_fill, uint16_t& incarnation);
  [[nodiscard]] bool fill_with_free(Stash& stash);
  void fill_with_fresh(Stash& stash);

  Epoch& epoch_;
  std::byte* first_state_;
  size_t stride_;
  uint32_t slots_;
  std::array<Stash, kStashes> stashes_;
  alignas(64) std::atomic<FlowId> fresh_{1};
  alignas(64) std::atomic<uint64_t> free_{0};  // first id; above it a count of changes, against ABA
  std::atomic<FlowId> limbo_{0};               // retired since the last grace period began
  std::atomic_flag reclaiming_ = ATOMIC_FLAG_INIT;
  FlowId waiting_ = 0;              // retired before waiting_token_; guarded by reclaiming_
  Epoch::Token waiting_token_ = 0;  // likewise
};

}  // namespace fairlead::core
