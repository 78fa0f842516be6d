#pragma once

#include "dataplane/base/mapped_region.hpp"
#include "dataplane/core/service.hpp"

#include <atomic>
#include <cstdint>

namespace fairlead::core {

// What happened to a Service's new connections. Packets and bytes are in its flows.
struct ServiceCounts {
  uint64_t connections = 0;  // flow entries made
  uint64_t refusals = 0;     // packets refused or dropped because of the Service's own state

  ServiceCounts& operator+=(const ServiceCounts& other) {
    connections += other.connections;
    refusals += other.refusals;
    return *this;
  }
  ServiceCounts& operator-=(const ServiceCounts& other) {
    connections -= other.connections;
    refusals -= other.refusals;
    return *this;
  }
  bool operator==(const ServiceCounts&) const = default;
};

// The counts of one writing thread, by ServiceId. Address space for every id; only touched pages take memory.
//
// Threads: add by the one worker; read by any.
class ServiceCounters {
 public:
  ServiceCounters() : region_(MappedRegion::reserve(kServices * sizeof(Cell))) {}

  void add_connection(ServiceId service) { add(cell(service).connections); }
  void add_refusal(ServiceId service) { add(cell(service).refusals); }
  [[nodiscard]] ServiceCounts read(ServiceId service) const {
    const Cell& at = cell(service);
    return {at.connections.load(std::memory_order_relaxed), at.refusals.load(std::memory_order_relaxed)};
  }

 private:
  static constexpr size_t kServices = size_t{1} << 24;
  struct Cell {
    std::atomic<uint64_t> connections, refusals;
  };

  static void add(std::atomic<uint64_t>& count) {  // one writer: no read-modify-write needed
    count.store(count.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
  }
  [[nodiscard]] Cell& cell(ServiceId service) const {
    return static_cast<Cell*>(region_.data())[service & (kServices - 1)];
  }

  MappedRegion region_;
};

}  // namespace fairlead::core
