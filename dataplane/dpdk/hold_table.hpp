#pragma once

#include "dataplane/core/packet.hpp"

#include <array>
#include <cstdint>

namespace fairlead::dpdk {

// Packets of one worker that wait for the MAC address of their next hop: at most three per next hop (the
// oldest gives way), a bounded number in all, none longer than kWaitNs.
class HoldTable {
 public:
  static constexpr unsigned kPerNextHop = 3;
  static constexpr unsigned kCapacity = 192;
  static constexpr uint64_t kWaitNs = 3'000'000'000;

  [[nodiscard]] bool empty() const { return count_ == 0; }
  [[nodiscard]] unsigned size() const { return count_; }

  // Takes the packet; true when another one, or the packet itself when the table is full, had to go: it is in
  // `dropped`.
  [[nodiscard]] bool add(const core::Packet& packet, uint64_t since_ns, core::Packet& dropped);

  // Takes out a packet that has waited too long.
  [[nodiscard]] bool expire(uint64_t now_ns, core::Packet& expired);

  // Takes out the oldest packet, to be judged again.
  [[nodiscard]] bool take(core::Packet& packet, uint64_t& since_ns);

 private:
  struct Held {
    core::Packet packet;
    uint64_t since_ns;
  };
  void remove(unsigned index);

  std::array<Held, kCapacity> held_;
  unsigned count_ = 0;
};

}  // namespace fairlead::dpdk
