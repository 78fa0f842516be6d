#pragma once

#include "dataplane/dpdk/dpdk_engine.hpp"
#include "dataplane/dpdk/port_set.hpp"

#include <atomic>
#include <cstdint>
#include <poll.h>
#include <vector>

namespace fairlead::dpdk {

// When a worker polls, pauses and sleeps.
//
// Work resets everything. Without work: poll for `spin` nanoseconds, then wait in ppoll() on every port that
// has a descriptor and on the wake descriptor. Ports without one bound the wait by a ramp of 50 us to 1 ms.
// Descriptors that say "ready" and then yield nothing (a device that went away) are paid with the same ramp,
// so that they cannot spin.
//
// Threads: the worker's, but for wake() and asleep_until_ns().
class Sleeper {
 public:
  static constexpr uint64_t kSleepNs = 100'000'000;  // a sleeping worker shows itself this often

  Sleeper(Polling polling, uint64_t spin_ns);
  ~Sleeper();
  Sleeper(const Sleeper&) = delete;
  Sleeper& operator=(const Sleeper&) = delete;

  // Ends the worker's sleep, now or the next one.
  void wake();
  // CLOCK_MONOTONIC until which the worker may be asleep; 0: it is awake.
  [[nodiscard]] uint64_t asleep_until_ns() const { return asleep_until_ns_.load(std::memory_order_acquire); }

  void follow(const PortSet& ports, unsigned worker);
  void worked() {
    idle_since_ns_ = 0;
    ramp_ns_ = kRampFirstNs;
    woke_for_nothing_ = false;
  }
  // Nothing was received. True: it is time to sleep (go offline, call sleep()).
  [[nodiscard]] bool idle(uint64_t now_ns);
  void sleep(uint64_t now_ns, uint64_t at_most_ns);

 private:
  static constexpr uint64_t kRampFirstNs = 50'000;
  static constexpr uint64_t kRampLastNs = 1'000'000;

  const Polling polling_;
  const uint64_t spin_ns_;
  int wake_fd_ = -1;
  std::vector<pollfd> descriptors_;  // [0]: wake_fd_
  bool has_blind_ports_ = false;     // some port has no descriptor
  bool woke_for_nothing_ = false;    // a descriptor said "ready" and nothing has been received since
  uint64_t idle_since_ns_ = 0;
  uint64_t ramp_ns_ = kRampFirstNs;
  std::atomic<uint64_t> asleep_until_ns_{0};
};

}  // namespace fairlead::dpdk
