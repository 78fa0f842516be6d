#include "bench/pps/figures.hpp"

#include <array>

namespace fairlead::bench {
namespace {

constexpr uint32_t kTenMillion = 10'000'000;

std::string id_of(const Load& load, const std::string& value) {
  return std::string(load.path->name) + "." + value;
}

// Flows beside the figure at 16 k, which the paths' run has. A hit asks no service: what the numbers of
// services and backends change is felt through the caches, by new flows in the tables as well.
Result<void> by_flows(Stage& stage, Report& report, const Rounds& rounds, const char* path, uint32_t flows) {
  const Load load = load_of(path, flows);
  const std::string text = std::to_string(flows);
  return beside_floor(stage, report, rounds, load, id_of(load, text),
                      std::string(load.path->title) + ", " + text + " flows");
}

Result<void> new_by(Stage& stage, Report& report, const Rounds& rounds, uint32_t services,
                    uint32_t backends) {
  Load load = load_of("service_new4");
  load.services = services;
  load.backends = backends;
  const std::string value = "services_" + std::to_string(services) + ".backends_" + std::to_string(backends);
  return new_flow_figures(stage, report, rounds, load, id_of(load, value));
}

Result<void> established_by(Stage& stage, Report& report, const Rounds& rounds, uint32_t services,
                            uint32_t backends) {
  Load load = load_of("service4", kMillion);
  load.services = services;
  load.backends = backends;
  const std::string value = "services_" + std::to_string(services) + ".backends_" + std::to_string(backends);
  return beside_floor(stage, report, rounds, load, id_of(load, value),
                      "service, established, 1 M flows, " + std::to_string(services) + " services, " +
                          std::to_string(backends) + " backends each");
}

struct Numbers {
  uint32_t services, backends;
};

}  // namespace

Result<void> service_figures(Stage& stage, Report& report, const Rounds& rounds, bool quick) {
  if (auto done = new_flow_figures(stage, report, rounds, load_of("service_new4"), "service_new4"); !done)
    return done;
  if (auto done = by_flows(stage, report, rounds, "service_encap4", kMillion); !done || quick) return done;
  if (auto done = by_flows(stage, report, rounds, "service_encap4", kTenMillion); !done) return done;
  for (const char* path : {"service4", "service_reply4"}) {
    for (const uint32_t flows : {kMillion, kTenMillion}) {
      if (auto done = by_flows(stage, report, rounds, path, flows); !done) return done;
    }
  }
  for (const uint32_t flows : {1u, 1024u, 131072u}) {
    if (auto done = by_flows(stage, report, rounds, "service4", flows); !done) return done;
  }
  constexpr std::array<Numbers, 7> kSweep = {{{1, 1},
                                              {1000, 1},
                                              {10'000, 1},
                                              {kServicesMost, 1},
                                              {kServices, 10},
                                              {kServices, 100},
                                              {kServices, kBackendsMost}}};
  for (const auto& [services, backends] : kSweep) {
    if (auto done = established_by(stage, report, rounds, services, backends); !done) return done;
    if (auto done = new_by(stage, report, rounds, services, backends); !done) return done;
  }
  return {};
}

}  // namespace fairlead::bench
