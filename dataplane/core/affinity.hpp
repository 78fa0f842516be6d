#pragma once

#include "dataplane/base/mapped_region.hpp"
#include "dataplane/core/service.hpp"
#include "dataplane/packet/flow_hash.h"
#include "dataplane/packet/parsed.h"

#include <array>
#include <atomic>
#include <cstdint>

namespace fairlead::core {

// Which backend a client of a Service with sessionAffinity: ClientIP had last, and when.
//
// An entry is two words: a keyed 64-bit hash of client and Service, and the backend's number
// (ServiceView::id) with the second of its last use. Nothing is aged and nothing is told when a backend goes:
// whoever looks finds an entry too old, or its backend not in the list, and chooses anew. A bucket of eight
// is two cache lines; in a full one the longest unused goes. Two clients with one hash (at most one pair in
// 2^32; none can be found without the secret) would take each other's entry.
//
// Memory: 16 bytes an entry, two for each client it shall hold; pages are taken as they are touched. Threads:
// any. find() takes no lock; hold() locks one of 256 stripes for some tens of nanoseconds when it writes more
// than a time.
class AffinityTable {
 public:
  // Holds `clients` at the least fully loaded half; throws std::bad_alloc.
  AffinityTable(uint32_t clients, const flow_secret& secret);

  // What names a client's affinity to a Service, for find() and hold(). Never 0.
  [[nodiscard]] uint64_t key(const ip_address& client, ServiceId service) const {
    flow_key6 words{};
    words.low_address = client;
    words.high_address.word[0] = to_be32(service);
    return flow_hash6(&secret_, &words) | 1;
  }
  // The backend's number; 0: none within `timeout_seconds` of its last use.
  [[nodiscard]] uint32_t find(uint64_t key, uint32_t timeout_seconds, uint32_t now_seconds) const;
  // Notes a use of `backend` now. Returns the backend that stands: another one when another worker's packet
  // of this client was faster since the caller's find() gave `found`.
  [[nodiscard]] uint32_t hold(uint64_t key, uint32_t found, uint32_t backend, uint32_t timeout_seconds,
                              uint32_t now_seconds);

  [[nodiscard]] size_t memory_bytes() const { return region_.size(); }

 private:
  static constexpr unsigned kWays = 8;
  static constexpr unsigned kStripes = 256;

  struct alignas(128) Bucket {
    std::atomic<uint64_t> keys[kWays];    // 0: free
    std::atomic<uint64_t> values[kWays];  // backend | last use << 32; 0: being replaced
  };
  static_assert(sizeof(Bucket) == 128);

  [[nodiscard]] Bucket& bucket(uint64_t key) const {
    return static_cast<Bucket*>(region_.data())[(key >> 1) & mask_];
  }
  static bool is_live(uint64_t value, uint32_t timeout_seconds, uint32_t now_seconds) {
    return value != 0 && unused_for(value, now_seconds) <= timeout_seconds;
  }
  // Workers' seconds differ by one at times: what was used in the future was used now.
  static uint32_t unused_for(uint64_t value, uint32_t now_seconds) {
    const auto seconds = static_cast<int32_t>(now_seconds - static_cast<uint32_t>(value >> 32));
    return seconds < 0 ? 0 : static_cast<uint32_t>(seconds);
  }

  flow_secret secret_;
  uint32_t mask_;
  MappedRegion region_;
  std::array<std::atomic_flag, kStripes> locks_{};
};

}  // namespace fairlead::core
