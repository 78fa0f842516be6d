#include "dataplane/core/affinity.hpp"

#include <algorithm>
#include <bit>

namespace fairlead::core {

namespace {

uint64_t pack(uint32_t backend, uint32_t now_seconds) {
  return uint64_t{now_seconds} << 32 | backend;
}

}  // namespace

AffinityTable::AffinityTable(uint32_t clients, const flow_secret& secret)
    : secret_(secret),
      mask_(std::bit_ceil(std::max(clients / (kWays / 2), 1u)) - 1),
      region_(MappedRegion::reserve((size_t{mask_} + 1) * sizeof(Bucket))) {}

uint32_t AffinityTable::find(uint64_t key, uint32_t timeout_seconds, uint32_t now_seconds) const {
  const Bucket& in = bucket(key);
  for (unsigned i = 0; i < kWays; ++i) {
    if (in.keys[i].load(std::memory_order_acquire) != key) continue;
    const uint64_t value = in.values[i].load(std::memory_order_acquire);
    // A place that changes hands has its value taken away first, and the new one put in last: with the key
    // still ours afterwards, so was the value.
    if (in.keys[i].load(std::memory_order_relaxed) != key) continue;
    if (is_live(value, timeout_seconds, now_seconds)) return static_cast<uint32_t>(value);
  }
  return 0;
}

uint32_t AffinityTable::hold(uint64_t key, uint32_t found, uint32_t backend, uint32_t timeout_seconds,
                             uint32_t now_seconds) {
  Bucket& in = bucket(key);
  if (found == backend) {
    for (unsigned i = 0; i < kWays; ++i) {
      if (in.keys[i].load(std::memory_order_acquire) != key) continue;
      uint64_t value = in.values[i].load(std::memory_order_acquire);
      if (static_cast<uint32_t>(value) != backend) break;
      // Losing against a replacement is fine: the next connection chooses again.
      if (static_cast<uint32_t>(value >> 32) != now_seconds) {
        in.values[i].compare_exchange_strong(value, pack(backend, now_seconds), std::memory_order_release,
                                             std::memory_order_relaxed);
      }
      return backend;
    }
  }

  std::atomic_flag& lock = locks_[((key >> 1) & mask_) % kStripes];
  while (lock.test_and_set(std::memory_order_acquire)) {
  }
  // The client's own place; else the one longest unused, free ones first.
  unsigned place = 0;
  uint32_t oldest = 0;
  for (unsigned i = 0; i < kWays; ++i) {
    const uint64_t holder = in.keys[i].load(std::memory_order_relaxed);
    if (holder == key) {
      place = i;
      break;
    }
    const uint64_t value = in.values[i].load(std::memory_order_relaxed);
    const uint32_t age = holder == 0 ? UINT32_MAX : unused_for(value, now_seconds);
    if (age >= oldest) {
      oldest = age;
      place = i;
    }
  }
  uint32_t stands = backend;
  const uint64_t value = in.values[place].load(std::memory_order_relaxed);
  if (in.keys[place].load(std::memory_order_relaxed) == key && static_cast<uint32_t>(value) != found &&
      is_live(value, timeout_seconds, now_seconds)) {
    stands = static_cast<uint32_t>(value);
  } else {
    in.values[place].store(0, std::memory_order_release);
    in.keys[place].store(key, std::memory_order_release);
    in.values[place].store(pack(backend, now_seconds), std::memory_order_release);
  }
  lock.clear(std::memory_order_release);
  return stands;
}

}  // namespace fairlead::core
