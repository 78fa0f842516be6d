#include "bench/pps/figures.hpp"

namespace fairlead::bench {

Result<void> sweep_figures(Stage& stage, Report& report, const Rounds& rounds) {
  const auto sweep = [&](const Load& load, const std::string& value, const std::string& title) {
    return beside_floor(stage, report, rounds, load, std::string(load.path->name) + "." + value, title);
  };
  for (const char* size : {"128", "256", "512", "1024", "1518", "imix"}) {
    for (const char* path : {"routed4", "encap4"}) {
      Load load = load_of(path);
      load.size = size;
      if (auto done = sweep(load, "size_" + load.size, std::string(path) + ", size " + size); !done)
        return done;
    }
  }
  // The forwarder works in passes over the burst, each fetching what the next one reads: how far ahead is the
  // burst.
  for (const uint32_t flows : {16384u, kMillion}) {
    for (const unsigned burst : {4u, 8u, 16u, 32u, 64u}) {
      Load load = load_of("routed4", flows);
      load.burst = burst;
      const std::string value = "burst_" + std::to_string(burst) + (flows == kMillion ? ".1048576" : "");
      const std::string title =
          "routed, bursts of " + std::to_string(burst) + ", " + std::to_string(flows) + " flows";
      if (auto done = sweep(load, value, title); !done) return done;
    }
  }
  for (const uint32_t flows : {1u, 1024u, 131072u, 4 * kMillion}) {
    const Load load = load_of("routed4", flows);
    const std::string text = std::to_string(flows);
    if (auto done =
            beside_floor(stage, report, rounds, load, "flow4." + text, "plain flow hit, " + text + " flows");
        !done) {
      return done;
    }
  }
  // A hit asks no route: how many there are is felt by new flows only, and by the caches.
  for (const uint32_t routes : {1024u, 65536u, kMillion}) {
    Load load = load_of("routed4", kMillion);
    load.routes = routes;
    const std::string value = "routes_" + std::to_string(routes);
    if (auto done = sweep(load, value, "routed, 1 M flows, " + std::to_string(routes) + " routes"); !done)
      return done;
    load.path = find_path("new4");
    if (auto done = new_flow_figures(stage, report, rounds, load, "new4." + value); !done) return done;
  }
  return {};
}

}  // namespace fairlead::bench
