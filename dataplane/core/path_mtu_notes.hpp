#pragma once

#include "dataplane/core/node_state.hpp"

#include <array>
#include <atomic>
#include <cstdint>

namespace fairlead::core {

// What routers told one worker about the way to other nodes, until the control thread takes it. Small: a note
// that finds no room is lost, and the next packet that is too big brings another.
//
// Threads: put() from one worker, take() from the control thread; neither waits.
class PathMtuNotes {
 public:
  // "No packet of more than `mtu` bytes gets through to `peer`." The smallest of several stays.
  void put(PeerId peer, uint16_t mtu) {
    for (uint32_t i = 0; i < kProbes; ++i) {
      std::atomic<uint32_t>& slot = slots_[(peer + i) % kSlots];
      uint32_t there = slot.load(std::memory_order_relaxed);
      const bool smaller = there >> 16 == peer && mtu < (there & 0xffff);
      if ((there == 0 || smaller) &&
          slot.compare_exchange_strong(there, uint32_t{peer} << 16 | mtu, std::memory_order_relaxed)) {
        return;
      }
      if (there >> 16 == peer) return;
    }
  }

  // visit(peer, mtu) for each note, which is gone then.
  template <typename Visit>
  void take(Visit visit) {
    for (std::atomic<uint32_t>& slot : slots_) {
      if (slot.load(std::memory_order_relaxed) == 0) continue;
      const uint32_t note = slot.exchange(0, std::memory_order_relaxed);
      if (note != 0) visit(static_cast<PeerId>(note >> 16), static_cast<uint16_t>(note));
    }
  }

 private:
  static constexpr uint32_t kSlots = 64;
  static constexpr uint32_t kProbes = 4;

  std::array<std::atomic<uint32_t>, kSlots> slots_{};  // peer and MTU; 0: free (no peer has id 0)
};

}  // namespace fairlead::core
