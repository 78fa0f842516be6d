#pragma once

#include <atomic>
#include <cstdint>

namespace fairlead::core {

// Packet and byte counters of one direction in two words: a small one in the flow entry's own cache line, and
// one elsewhere that takes over in large units every some hundred packets. Exact; good for 2^37 packets and
// 2^50 bytes.
//
// Threads: add() from the workers that see the direction's packets; two in the same instant may lose one of
// the two.
struct FlowTally {
  static constexpr unsigned kPacketShift = 24;  // small word: packets above, bytes below
  static constexpr uint32_t kBytes = (1u << kPacketShift) - 1;
  static constexpr uint32_t kPackets = 255;
  static constexpr unsigned kPacketUnit = 7;  // spilled packets count in units of 128
  static constexpr unsigned kByteUnit = 16;   // spilled bytes in units of 64 KiB
  static constexpr unsigned kSpillPacketShift = 34;
  static constexpr uint64_t kSpillBytes = (uint64_t{1} << kSpillPacketShift) - 1;

  static void add(std::atomic<uint32_t>& small, std::atomic<uint64_t>& spill, uint32_t packets,
                  uint32_t bytes) {
    const uint32_t old = small.load(std::memory_order_relaxed);
    // Mostly neither half overflows, and one addition does for both.
    const uint64_t sum = uint64_t{old} + (uint64_t{packets} << kPacketShift) + bytes;
    if (uint64_t{old & kBytes} + bytes <= kBytes && sum >> 32 == 0) [[likely]] {
      small.store(static_cast<uint32_t>(sum), std::memory_order_relaxed);
      return;
    }
    uint64_t packet_sum = uint64_t{old >> kPacketShift} + packets;
    uint64_t byte_sum = uint64_t{old & kBytes} + bytes;
    if (packet_sum > kPackets || byte_sum > kBytes) [[unlikely]] {
      spill.fetch_add(((packet_sum >> kPacketUnit) << kSpillPacketShift) | (byte_sum >> kByteUnit),
                      std::memory_order_relaxed);
      packet_sum &= (1u << kPacketUnit) - 1;
      byte_sum &= (1u << kByteUnit) - 1;
    }
    small.store(static_cast<uint32_t>(packet_sum << kPacketShift | byte_sum), std::memory_order_relaxed);
  }

  [[nodiscard]] static uint64_t packets(uint32_t small, uint64_t spill) {
    return ((spill >> kSpillPacketShift) << kPacketUnit) + (small >> kPacketShift);
  }
  [[nodiscard]] static uint64_t bytes(uint32_t small, uint64_t spill) {
    return ((spill & kSpillBytes) << kByteUnit) + (small & kBytes);
  }
};

}  // namespace fairlead::core
