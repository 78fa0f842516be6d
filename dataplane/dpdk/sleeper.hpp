#pragma once

#include "dataplane/dpdk/dpdk_engine.hpp"
#include "dataplane/dpdk/port_set.hpp"

#include <atomic>
#include <cstdint>
#include <poll.h>
#include <vector>

namespace fairlead::dpdk {

// How long a worker without work polls before it sleeps, learnt from how long packets kept it waiting.
//
// A sleep costs the next packet a wake-up: 3 us where the CPU is busy, 25 us and more where it has halted,
// most of all in virtual machines. So a worker polls for as long as a packet may come within `longest_ns`:
// one that did opens the window wide, each that did not halves it. Closed for a while when polling took the
// CPU from somebody who wanted it (see Sleeper).
//
// Threads: one.
class PollWindow {
 public:
  static constexpr uint64_t kNarrowestNs = 5'000;  // below, polling is pointless

  explicit PollWindow(uint64_t longest_ns) : longest_ns_(longest_ns), width_ns_(longest_ns) {}

  // A packet came after `waited_ns` without one.
  void found(uint64_t waited_ns) {
    width_ns_ = waited_ns <= longest_ns_ ? longest_ns_ : width_ns_ / 2;
    if (width_ns_ < kNarrowestNs) width_ns_ = 0;
  }
  void close_until(uint64_t until_ns) { closed_until_ns_ = until_ns; }
  // Is it worth polling on after `waited_ns`?
  [[nodiscard]] bool is_open(uint64_t now_ns, uint64_t waited_ns) const {
    return waited_ns < width_ns_ && now_ns >= closed_until_ns_;
  }

 private:
  const uint64_t longest_ns_;
  uint64_t width_ns_;
  uint64_t closed_until_ns_ = 0;
};

// When a worker polls, gives way and sleeps.
//
// Work resets everything. Without work: poll while the PollWindow is open, giving the CPU to whoever wants it
// after each look; then wait in ppoll() on every port that has a descriptor and on the wake descriptor. Who
// gives way is not called back by a packet as a sleeper is: when the CPU was gone for long, somebody
// computes there, and the worker sleeps instead of polling for a while. Ports without a descriptor bound the
// wait by a ramp of 50 us to 1 ms. Descriptors that say "ready" and then yield nothing (a device that went
// away) are paid with the same ramp, so that they cannot spin.
//
// Threads: the worker's, but for wake() and asleep_until_ns().
class Sleeper {
 public:
  static constexpr uint64_t kSleepNs = 100'000'000;      // a sleeping worker shows itself this often
  static constexpr uint64_t kCpuGoneNs = 500'000;        // longer than any packet's way through the others
  static constexpr uint64_t kNoPollingNs = 100'000'000;  // after the CPU was gone

  Sleeper(Polling polling, uint64_t longest_poll_ns);
  ~Sleeper();
  Sleeper(const Sleeper&) = delete;
  Sleeper& operator=(const Sleeper&) = delete;

  // Ends the worker's sleep, now or the next one.
  void wake();
  // CLOCK_MONOTONIC until which the worker may be asleep; 0: it is awake.
  [[nodiscard]] uint64_t asleep_until_ns() const { return asleep_until_ns_.load(std::memory_order_acquire); }

  void follow(const PortSet& ports, unsigned worker);
  // Something was received in the loop that began at `now_ns`.
  void worked(uint64_t now_ns);
  // Nothing was received. True: it is time to sleep (go offline, call sleep()).
  [[nodiscard]] bool idle(uint64_t now_ns);
  void sleep(uint64_t now_ns, uint64_t at_most_ns);

 private:
  static constexpr uint64_t kRampFirstNs = 50'000;
  static constexpr uint64_t kRampLastNs = 1'000'000;

  void note_absence(uint64_t now_ns);

  const Polling polling_;
  PollWindow window_;
  int wake_fd_ = -1;
  std::vector<pollfd> descriptors_;  // [0]: wake_fd_
  bool has_blind_ports_ = false;     // some port has no descriptor
  bool woke_for_nothing_ = false;    // a descriptor said "ready" and nothing has been received since
  uint64_t idle_since_ns_ = 0;       // 0: working
  uint64_t gave_way_ns_ = 0;         // 0: not since the last sleep or packet
  uint64_t ramp_ns_ = kRampFirstNs;
  std::atomic<uint64_t> asleep_until_ns_{0};
};

}  // namespace fairlead::dpdk
