#pragma once

#include "bench/replay/pace.hpp"
#include "bench/replay/verify.hpp"

#include <array>
#include <atomic>
#include <cstdint>

namespace fairlead::replay {

// One queue's counters. Written by the thread that uses the queue, plainly, once a burst; whoever reads them
// meanwhile sees every counter as it was at some moment.
struct alignas(128) QueueCounters {
  uint64_t rx_packets = 0;
  uint64_t rx_bytes = 0;
  uint64_t starved = 0;  // calls that found no buffer free: all are with the application
  uint64_t refused = 0;  // calls while paused: what was handed out before is counted by then
  uint64_t missed = 0;   // frames that were due at a pace and found no descriptor free
  alignas(64) uint64_t tx_packets = 0;
  uint64_t tx_bytes = 0;
  uint64_t verified = 0;  // frames read
  uint64_t foreign = 0;   // mbufs sent that are not ours
  std::array<uint64_t, static_cast<size_t>(Wrong::kCount)> wrong{};
};

// What a device shares with whoever measures: in the file named by `page=`, or in its own memory. The
// counters cost nothing beyond those that any driver keeps.
struct Page {
  static constexpr uint64_t kMagic = 0x79616c706572;  // "replay"
  static constexpr unsigned kQueues = 16;

  uint64_t magic = kMagic;
  std::atomic<uint32_t> paused{0};  // not 0: nothing is handed out
  std::atomic<uint32_t> started{0};
  uint32_t rx_queues = 0;    // that frames are handed out by
  uint32_t first_wrong = 0;  // Wrong of `sample`
  uint32_t sample_length = 0;
  std::array<uint8_t, 128> sample{};  // the first frame found wrong
  // Obeyed by every queue of a device with `paced` since `turn` became another number; 0: frames are there as
  // fast as they are taken.
  Pace pace;
  alignas(64) std::atomic<uint32_t> turn{0};
  std::array<QueueCounters, kQueues> queues{};
};

// The queues together, or the difference between two readings.
struct Totals {
  uint64_t rx_packets = 0, rx_bytes = 0, starved = 0, missed = 0;
  uint64_t tx_packets = 0, tx_bytes = 0, verified = 0, foreign = 0;
  std::array<uint64_t, static_cast<size_t>(Wrong::kCount)> wrong_by{};

  [[nodiscard]] uint64_t wrong() const {
    uint64_t sum = 0;
    for (const uint64_t count : wrong_by) sum += count;
    return sum;
  }
  Totals& operator-=(const Totals& before) {
    rx_packets -= before.rx_packets, rx_bytes -= before.rx_bytes, starved -= before.starved;
    tx_packets -= before.tx_packets, tx_bytes -= before.tx_bytes, verified -= before.verified;
    foreign -= before.foreign, missed -= before.missed;
    for (size_t i = 0; i < wrong_by.size(); ++i) wrong_by[i] -= before.wrong_by[i];
    return *this;
  }
};

[[nodiscard]] inline Totals totals(const Page& page) {
  Totals sum;
  const auto read = [](const uint64_t& counter) { return __atomic_load_n(&counter, __ATOMIC_RELAXED); };
  for (const QueueCounters& queue : page.queues) {
    sum.rx_packets += read(queue.rx_packets);
    sum.rx_bytes += read(queue.rx_bytes);
    sum.starved += read(queue.starved);
    sum.missed += read(queue.missed);
    sum.tx_packets += read(queue.tx_packets);
    sum.tx_bytes += read(queue.tx_bytes);
    sum.verified += read(queue.verified);
    sum.foreign += read(queue.foreign);
    for (size_t i = 0; i < queue.wrong.size(); ++i) sum.wrong_by[i] += read(queue.wrong[i]);
  }
  return sum;
}

}  // namespace fairlead::replay
