#include "dataplane/dpdk/capture_ring.hpp"

#include <algorithm>
#include <cstring>
#include <ctime>

namespace fairlead::dpdk {

void CaptureRing::offer(CaptureStage stage, core::PortId port, core::DropReason reason, const uint8_t* frame,
                        uint32_t length, uint32_t snap_length) {
  const uint32_t captured = std::min(length, snap_length);
  const size_t wanted = record_bytes(captured);
  uint64_t head = head_.load(std::memory_order_relaxed);
  const uint64_t used = head - tail_.load(std::memory_order_acquire);
  const size_t at = head & (kBytes - 1);
  const size_t to_end = kBytes - at;
  const size_t skipped = to_end < wanted ? to_end : 0;  // a record never wraps
  if (used + skipped + wanted > kBytes) {
    lost_.store(lost_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    return;
  }
  if (skipped >= sizeof(Record)) {
    Record padding = {};
    padding.captured_length = kPadding;
    std::memcpy(&bytes_[at], &padding, sizeof padding);
  }
  head += skipped;
  timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  Record record = {};
  record.time_ns = static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
  record.original_length = length;
  record.captured_length = captured;
  record.port = port;
  record.stage = stage;
  record.reason = reason;
  uint8_t* place = &bytes_[head & (kBytes - 1)];
  std::memcpy(place, &record, sizeof record);
  std::memcpy(place + sizeof record, frame, captured);
  head_.store(head + wanted, std::memory_order_release);
}

unsigned CaptureRing::drain(const CaptureVisitor& visit, unsigned budget) {
  uint64_t tail = tail_.load(std::memory_order_relaxed);
  const uint64_t head = head_.load(std::memory_order_acquire);
  unsigned count = 0;
  while (tail != head && count < budget) {
    const size_t at = tail & (kBytes - 1);
    const size_t to_end = kBytes - at;
    Record record;
    if (to_end >= sizeof record) std::memcpy(&record, &bytes_[at], sizeof record);
    if (to_end < sizeof record || record.captured_length == kPadding) {
      tail += to_end;
      continue;
    }
    CapturedFrame frame;
    frame.time_ns = record.time_ns;
    frame.port = record.port;
    frame.stage = record.stage;
    frame.reason = record.reason;
    frame.original_length = record.original_length;
    frame.bytes = {&bytes_[at + sizeof record], record.captured_length};
    visit(frame);
    tail += record_bytes(record.captured_length);
    ++count;
  }
  tail_.store(tail, std::memory_order_release);
  return count;
}

void CaptureRing::discard() {
  tail_.store(head_.load(std::memory_order_acquire), std::memory_order_release);
}

}  // namespace fairlead::dpdk
