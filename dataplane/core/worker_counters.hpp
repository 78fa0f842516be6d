#pragma once

#include "dataplane/core/counters.hpp"

#include <array>
#include <atomic>
#include <cstdint>

namespace fairlead::core {

// What one burst adds; signed in effect (held shrinks), so sums are modulo 2^64.
//
// Most bursts drop and answer nothing: those arrays are cleared when the first one comes.
struct CounterBurst {
  template <size_t N>
  using Cells = std::array<uint64_t, N>;
  using Reasons = Cells<static_cast<size_t>(DropReason::kCount)>;

  Cells<static_cast<size_t>(Counter::kCount)> values{};
  bool has_reasons = false;
  Reasons drops, answers;  // with has_reasons

  CounterBurst() {}  // = default would clear drops and answers

  void add(Counter counter, uint64_t count = 1) { values[static_cast<size_t>(counter)] += count; }
  void drop(DropReason reason, uint64_t count = 1) {
    need_reasons();
    drops[static_cast<size_t>(reason)] += count;
  }
  void answer(DropReason reason, uint64_t count = 1) {
    add(Counter::answered, count);
    need_reasons();
    answers[static_cast<size_t>(reason)] += count;
  }

 private:
  void need_reasons() {
    if (has_reasons) return;
    has_reasons = true;
    drops.fill(0);
    answers.fill(0);
  }
};

// The counters of one writing thread, readable by any other as they stood between two bursts.
//
// A sequence lock without fences (thread sanitizers do not follow those): the writer makes the sequence odd,
// stores with release, makes it even; a reader that saw any of those stores therefore sees a moved sequence
// and reads again. The writer never waits.
class alignas(64) WorkerCounters {
 public:
  // The one writing thread. Everything in `burst` becomes visible at once.
  void add(const CounterBurst& burst) {
    const uint64_t sequence = sequence_.load(std::memory_order_relaxed);
    sequence_.store(sequence + 1, std::memory_order_relaxed);
    add_all(values_, burst.values);
    if (burst.has_reasons) {
      add_all(drops_, burst.drops);
      add_all(answers_, burst.answers);
    }
    sequence_.store(sequence + 2, std::memory_order_release);
  }

  // Any thread.
  [[nodiscard]] Counters read() const {
    for (;;) {
      const uint64_t before = sequence_.load(std::memory_order_acquire);
      if ((before & 1) != 0) continue;
      Counters counters;
      read_all(values_, counters.values);
      read_all(drops_, counters.drops);
      read_all(answers_, counters.answers);
      if (sequence_.load(std::memory_order_relaxed) == before) return counters;
    }
  }

 private:
  template <size_t N>
  using Cells = std::array<std::atomic<uint64_t>, N>;

  template <size_t N>
  static void add_all(Cells<N>& cells, const std::array<uint64_t, N>& deltas) {
    for (size_t i = 0; i < N; ++i) {
      if (deltas[i] == 0) continue;
      cells[i].store(cells[i].load(std::memory_order_relaxed) + deltas[i], std::memory_order_release);
    }
  }
  template <size_t N>
  static void read_all(const Cells<N>& cells, std::array<uint64_t, N>& out) {
    for (size_t i = 0; i < N; ++i) out[i] = cells[i].load(std::memory_order_acquire);
  }

  std::atomic<uint64_t> sequence_{0};  // written: the worker, read: any
  Cells<static_cast<size_t>(Counter::kCount)> values_{};
  Cells<static_cast<size_t>(DropReason::kCount)> drops_{};
  Cells<static_cast<size_t>(DropReason::kCount)> answers_{};
};

}  // namespace fairlead::core
