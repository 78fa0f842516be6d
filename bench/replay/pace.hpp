#pragma once

#include <algorithm>
#include <cstdint>

namespace fairlead::replay {

// Frames that fall due evenly between two moments, as from a generator on the other end of the wire: what one
// queue is handed at a rate, whether anybody takes it or not. Times are of the TSC, which all cores share.
struct Pace {
  uint64_t start = 0;
  uint64_t end = 0;
  double per_cycle = 0;  // packets, of one queue

  [[nodiscard]] uint64_t due(uint64_t now) const {
    if (now <= start) return 0;
    return static_cast<uint64_t>(static_cast<double>(std::min(now, end) - start) * per_cycle);
  }
  [[nodiscard]] uint64_t due_in_all() const { return due(end); }
};

// One queue's ring as a NIC has it: frames that are due wait in as many descriptors as the application asked
// for, and those that find none free are missed.
struct PacedRing {
  uint32_t descriptors = 512;
  uint64_t gone = 0;  // frames of this pace that were taken or missed

  // How many frames wait at `now`; adds to `missed` those that found no room.
  [[nodiscard]] uint32_t waiting(const Pace& pace, uint64_t now, uint64_t& missed) {
    const uint64_t due = pace.due(now) - gone;
    if (due <= descriptors) return static_cast<uint32_t>(due);
    missed += due - descriptors;
    gone += due - descriptors;
    return descriptors;
  }
  void take(uint32_t count) { gone += count; }
};

}  // namespace fairlead::replay
