#pragma once

#include "bench/replay/profile.hpp"

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fairlead::bench {

// One way of packets through the forwarder: what comes in, where, and what has to come out.
struct Path {
  std::string_view name;  // encap4: as in the ids of figures
  std::string_view title;
  replay::Form in = replay::Form::kNone;
  replay::Form out = replay::Form::kNone;
  bool from_uplink = false;  // otherwise from the trunk
  bool is_new = false;       // every packet begins a flow
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
  bool paced = false;   // frames fall due at a rate, as the runner says
  uint32_t routes = 1;  // destinations, each with a route of its own when there are more than one

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
