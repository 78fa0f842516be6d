#pragma once

#include "dataplane/core/address.hpp"
#include "dataplane/core/forwarder.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <cstring>

namespace fairlead::core {

// On-link destinations that packets asked for and whose MAC nobody knows: the one table the packet path
// writes for the control thread. Bounded, so a scan of an on-link subnet costs at most kSlots resolutions at
// a time.
//
// Threads: want() from workers, each() and forget() from the control thread. No slot is ever waited for.
class WantedNeighbours {
 public:
  static constexpr uint32_t kSlots = 256;
  static constexpr uint32_t kNone = ~0u;

  // The slot of (port, address), taken now if it is new; kNone when the table is full.
  [[nodiscard]] uint32_t want(PortId port, const IpAddress& address, uint32_t hash, uint64_t now_ns) {
    const Words words = pack(port, address);
    for (uint32_t i = 0; i < kProbes; ++i) {
      const uint32_t at = (hash + i) % kSlots;
      Slot& slot = slots_[at];
      uint32_t state = slot.state.load(std::memory_order_acquire);
      if (state == kFree && slot.state.compare_exchange_strong(state, kWriting, std::memory_order_acquire)) {
        for (size_t w = 0; w < words.size(); ++w) slot.words[w].store(words[w], std::memory_order_relaxed);
        slot.asked_ns.store(now_ns, std::memory_order_relaxed);
        slot.state.store(kTaken, std::memory_order_release);
        return at;
      }
      if (state == kTaken && read(slot) == words) {
        slot.asked_ns.store(now_ns, std::memory_order_relaxed);
        return at;
      }
    }
    return kNone;
  }

  // visit(slot, port, address, asked_ns); true: forget it.
  template <typename Visit>
  void each(Visit visit) {
    for (uint32_t at = 0; at < kSlots; ++at) {
      Slot& slot = slots_[at];
      if (slot.state.load(std::memory_order_acquire) != kTaken) continue;
      const Words words = read(slot);
      IpAddress address;
      std::memcpy(address.bytes.data(), words.data(), 16);
      address.family = static_cast<Family>(words[2] >> 16);
      if (visit(at, static_cast<PortId>(words[2] & 0xffff), address,
                slot.asked_ns.load(std::memory_order_relaxed))) {
        slot.state.store(kFree, std::memory_order_release);
      }
    }
  }

 private:
  static constexpr uint32_t kProbes = 8;
  enum State : uint32_t { kFree, kWriting, kTaken };
  using Words = std::array<uint64_t, 3>;
  struct Slot {
    std::atomic<uint32_t> state{kFree};
    std::array<std::atomic<uint64_t>, 3> words{};
    std::atomic<uint64_t> asked_ns{0};
  };

  static Words pack(PortId port, const IpAddress& address) {
    Words words{};
    std::memcpy(words.data(), address.bytes.data(), 16);
    words[2] = port | uint64_t{static_cast<uint8_t>(address.family)} << 16;
    return words;
  }
  static Words read(const Slot& slot) {
    Words words;
    for (size_t w = 0; w < words.size(); ++w) words[w] = slot.words[w].load(std::memory_order_relaxed);
    return words;
  }

  std::array<Slot, kSlots> slots_;
};

}  // namespace fairlead::core
