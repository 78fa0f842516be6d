#pragma once

#include "dataplane/engine.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>

namespace fairlead::dpdk {

// Copies of frames on their way from one worker to the control thread: a single-producer, single-consumer
// ring of records of varying length. A frame that finds no room is counted as lost; the worker never waits.
class CaptureRing {
 public:
  static constexpr size_t kBytes = size_t{4} << 20;  // power of two

  CaptureRing() : bytes_(std::make_unique<uint8_t[]>(kBytes)) {}

  // Worker.
  void offer(CaptureStage stage, core::PortId port, core::DropReason reason, const uint8_t* frame,
             uint32_t length, uint32_t snap_length);

  // Control thread: visits at most `budget` records, returns how many.
  unsigned drain(const CaptureVisitor& visit, unsigned budget);
  void discard();
  [[nodiscard]] uint64_t lost() const { return lost_.load(std::memory_order_relaxed); }

 private:
  struct Record {
    uint64_t time_ns;
    uint32_t original_length;
    uint32_t captured_length;  // kPadding: nothing more before the end of the ring
    core::PortId port;
    CaptureStage stage;
    core::DropReason reason;
    uint32_t pad;
  };
  static constexpr uint32_t kPadding = UINT32_MAX;
  static constexpr size_t record_bytes(uint32_t captured) {
    return (sizeof(Record) + captured + 7) & ~size_t{7};
  }

  std::unique_ptr<uint8_t[]> bytes_;
  alignas(64) std::atomic<uint64_t> head_{0};  // written: worker
  alignas(64) std::atomic<uint64_t> tail_{0};  // written: control
  std::atomic<uint64_t> lost_{0};              // written: worker
};

}  // namespace fairlead::dpdk
