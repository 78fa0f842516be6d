#pragma once

#include <atomic>
#include <cstdint>

namespace fairlead::core {

// Packet and byte counters of one direction in two words: a small one in the flow entry's own cache line, and
// one elsewhere that takes over in large units every thousand packets or million bytes. Exact; good for 2^37
// packets and 2^50 bytes.
//
// Threads: add() from the workers that see the direction's packets; two in the same instant may lose one of
// the two.
struct FlowTally {
  static constexpr unsigned kPacketShift = 21;  // small word: packets above, bytes below
  static constexpr uint32_t kBytes = (1u << kPacketShift) - 1;
  // The upper bit of either half, never set in a word that is stored: one test tells whether one more packet
  // fits.
  static constexpr uint32_t kFull = 1u << 31 | 1u << (kPacketShift - 1);
  static constexpr uint32_t kPacketsStored = (1u << (31 - kPacketShift)) - 1;
  static constexpr uint32_t kBytesStored = (1u << (kPacketShift - 1)) - 1;
  static constexpr unsigned kPacketUnit = 7;  // spilled packets count in units of 128
  static constexpr unsigned kByteUnit = 16;   // spilled bytes in units of 64 KiB
  static constexpr unsigned kSpillPacketShift = 34;
  static constexpr uint64_t kSpillBytes = (uint64_t{1} << kSpillPacketShift) - 1;

  static void add(std::atomic<uint32_t>& small, std::atomic<uint64_t>& spill, uint32_t packets,
                  uint32_t bytes) {
    const uint32_t old = small.load(std::memory_order_relaxed);
    uint64_t packet_sum = uint64_t{old >> kPacketShift} + packets;
    uint64_t byte_sum = uint64_t{old & kBytes} + bytes;
    if (packet_sum > kPacketsStored || byte_sum > kBytesStored) [[unlikely]] {
      spill.fetch_add(((packet_sum >> kPacketUnit) << kSpillPacketShift) | (byte_sum >> kByteUnit),
                      std::memory_order_relaxed);
      packet_sum &= (1u << kPacketUnit) - 1;
      byte_sum &= (1u << kByteUnit) - 1;
    }
    small.store(static_cast<uint32_t>(packet_sum << kPacketShift | byte_sum), std::memory_order_relaxed);
  }

  // One packet more, of at most kBytesStored bytes. False: nothing has been changed, add() must.
  [[nodiscard]] static bool add_small(std::atomic<uint32_t>& small, uint32_t bytes) {
    const uint32_t sum = small.load(std::memory_order_relaxed) + (1u << kPacketShift) + bytes;
    if ((sum & kFull) != 0) [[unlikely]]
      return false;
    small.store(sum, std::memory_order_relaxed);
    return true;
  }

  [[nodiscard]] static uint64_t packets(uint32_t small, uint64_t spill) {
    return ((spill >> kSpillPacketShift) << kPacketUnit) + (small >> kPacketShift);
  }
  [[nodiscard]] static uint64_t bytes(uint32_t small, uint64_t spill) {
    return ((spill & kSpillBytes) << kByteUnit) + (small & kBytes);
  }
};

}  // namespace fairlead::core
