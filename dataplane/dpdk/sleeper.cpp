#include "dataplane/dpdk/sleeper.hpp"

#include <rte_pause.h>

#include <algorithm>
#include <ctime>
#include <sched.h>
#include <sys/eventfd.h>
#include <unistd.h>

namespace fairlead::dpdk {

Sleeper::Sleeper(Polling polling, uint64_t longest_poll_ns)
    : polling_(polling), window_(longest_poll_ns), wake_fd_(eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) {}

Sleeper::~Sleeper() {
  if (wake_fd_ >= 0) close(wake_fd_);
}

void Sleeper::wake() {
  const uint64_t one = 1;
  // Full counter (EAGAIN) means that a wake-up is pending already.
  if (write(wake_fd_, &one, sizeof one) < 0) return;
}

void Sleeper::follow(const PortSet& ports, unsigned worker) {
  descriptors_.assign(1, pollfd{wake_fd_, POLLIN, 0});
  has_blind_ports_ = wake_fd_ < 0;
  for (const PortSet::ReceiveQueue& queue : ports.receive_queues[worker]) {
    const int fd = queue.port->poll_fd(queue.queue);
    if (fd < 0) {
      has_blind_ports_ = true;
    } else if (std::none_of(descriptors_.begin(), descriptors_.end(),
                            [&](const pollfd& d) { return d.fd == fd; })) {
      descriptors_.push_back({fd, POLLIN, 0});
    }
  }
}

// The CPU was given to others and took its time to come back.
void Sleeper::note_absence(uint64_t now_ns) {
  if (gave_way_ns_ != 0 && now_ns - gave_way_ns_ >= kCpuGoneNs) window_.close_until(now_ns + kNoPollingNs);
  gave_way_ns_ = 0;
}

void Sleeper::worked(uint64_t now_ns) {
  note_absence(now_ns);
  if (idle_since_ns_ != 0) window_.found(now_ns - idle_since_ns_);
  idle_since_ns_ = 0;
  ramp_ns_ = kRampFirstNs;
  woke_for_nothing_ = false;
}

bool Sleeper::idle(uint64_t now_ns) {
  if (polling_ == Polling::kBusy) {
    rte_pause();
    return false;
  }
  note_absence(now_ns);
  if (idle_since_ns_ == 0) idle_since_ns_ = now_ns;
  if (!window_.is_open(now_ns, now_ns - idle_since_ns_)) return true;
  gave_way_ns_ = now_ns;
  sched_yield();
  return false;
}

void Sleeper::sleep(uint64_t now_ns, uint64_t at_most_ns) {
  uint64_t wait_ns = std::min(kSleepNs, at_most_ns);
  const bool ramps = has_blind_ports_ || woke_for_nothing_;
  if (ramps) {
    wait_ns = std::min(wait_ns, ramp_ns_);
    ramp_ns_ = std::min(ramp_ns_ * 2, kRampLastNs);
  }
  asleep_until_ns_.store(now_ns + wait_ns, std::memory_order_release);
  const timespec wait{static_cast<time_t>(wait_ns / 1'000'000'000),
                      static_cast<long>(wait_ns % 1'000'000'000)};
  // A descriptor that lies is left out until the next round.
  const nfds_t count = woke_for_nothing_ ? 1 : descriptors_.size();
  const int ready = ppoll(descriptors_.data(), count, &wait, nullptr);
  asleep_until_ns_.store(0, std::memory_order_release);
  woke_for_nothing_ = false;
  if (ready <= 0) return;
  if ((descriptors_[0].revents & POLLIN) != 0) {
    uint64_t pending;
    if (read(wake_fd_, &pending, sizeof pending) < 0) return;
  }
  // Corrected by worked() if something is received now.
  woke_for_nothing_ = std::any_of(descriptors_.begin() + 1, descriptors_.begin() + static_cast<long>(count),
                                  [](const pollfd& d) { return d.revents != 0; });
}

}  // namespace fairlead::dpdk
