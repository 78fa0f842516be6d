#pragma once

#include "bench/replay/profile.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fairlead::bench {

// As many as there are addresses at the peer: service n has the n-th, so that its answers are known.
inline constexpr uint32_t kServices = 200;
inline constexpr uint32_t kServicesMost = 100'000;
inline constexpr uint32_t kBackendsMost = 1000;
inline constexpr uint16_t kServicePort = 80, kBackendPort = 8080;
// Backend j of service n: the address with this number at the peer, and so many ports above kBackendPort.
[[nodiscard]] constexpr uint32_t backend_host(uint32_t n, uint32_t j) {
  return (n + j) % kServices;
}
[[nodiscard]] constexpr uint16_t backend_port(uint32_t j) {
  return static_cast<uint16_t>(kBackendPort + j / kServices);
}

// One way of packets through the forwarder: what comes in, where, and what has to come out.
struct Path {
  std::string_view name;  // encap4: as in the ids of figures
  std::string_view title;
  replay::Form in = replay::Form::kNone;
  replay::Form out = replay::Form::kNone;
  bool from_uplink = false;  // otherwise from the trunk
  bool is_new = false;       // every packet begins a flow
  bool to_service = false;   // through ClusterIPs, whose backends are at the peer
  bool is_reply = false;     // what comes in are backends' answers; the connections were made before
};
[[nodiscard]] const Path* find_path(std::string_view name);
[[nodiscard]] const std::vector<Path>& paths();

// A path with everything that is swept.
struct Load {
  const Path* path = nullptr;
  uint32_t flows = 16384;
  std::string size = "64";
  unsigned workers = 1;
  unsigned burst = 64;
  bool paced = false;             // frames fall due at a rate, as the runner says
  uint32_t routes = 1;            // destinations, each with a route of its own when there are more than one
  uint32_t services = kServices;  // of a path to services; frames go to all of them
  uint32_t backends = 1;          // of each service

  // The frames' addresses as arguments of the devices. Those of routed destinations are 16 apart.
  [[nodiscard]] std::string addresses() const;
  // The vdev arguments of the device that frames come from, and of the one they go to.
  [[nodiscard]] std::string source_arguments(const std::string& page) const;
  [[nodiscard]] std::string sink_arguments(const std::string& page) const;
};

inline constexpr uint32_t kRouteBase = 0x14000000;  // 20.0.0.0: swept routes are /28
inline constexpr uint32_t kRouteStride = 16;
inline constexpr unsigned kPods = 100;

}  // namespace fairlead::bench
