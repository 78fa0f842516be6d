#pragma once

#include "dataplane/base/mapped_region.hpp"
#include "dataplane/core/node_state.hpp"

#include <atomic>
#include <cstdint>

namespace fairlead::core {

// How many flow entries each endpoint has made; one object for the IPv4 and the IPv6 table.
//
// A counter per possible endpoint id (2^24; only touched pages take memory). Threads: any; wait-free.
class FlowQuota {
 public:
  explicit FlowQuota(uint32_t limit_per_endpoint);  // 0: none; throws std::bad_alloc without address space

  // Takes one from the endpoint's allowance; false when it is used up.
  [[nodiscard]] bool take(EndpointId endpoint) {
    std::atomic<uint32_t>& used = slot(endpoint);
    if (used.fetch_add(1, std::memory_order_relaxed) < limit_) return true;
    used.fetch_sub(1, std::memory_order_relaxed);
    return false;
  }
  // Counts one whatever the limit: an entry that exists already changes hands.
  void take_unchecked(EndpointId endpoint) { slot(endpoint).fetch_add(1, std::memory_order_relaxed); }
  void give_back(EndpointId endpoint) { slot(endpoint).fetch_sub(1, std::memory_order_relaxed); }
  [[nodiscard]] uint32_t used(EndpointId endpoint) const {
    return const_cast<FlowQuota*>(this)->slot(endpoint).load(std::memory_order_relaxed);
  }
  [[nodiscard]] uint32_t limit() const { return limit_; }

 private:
  static constexpr uint32_t kEndpoints = 1u << 24;
  [[nodiscard]] std::atomic<uint32_t>& slot(EndpointId endpoint) {
    return static_cast<std::atomic<uint32_t>*>(memory_.data())[endpoint & (kEndpoints - 1)];
  }

  uint32_t limit_;
  MappedRegion memory_;
};

}  // namespace fairlead::core
