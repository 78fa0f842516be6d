#include "controlplane/calc/backends.hpp"

#include <algorithm>
#include <tuple>

namespace fairlead::control {
namespace {

struct Candidate {
  const SliceEndpoint* endpoint;
  uint16_t port;
  bool is_local;

  [[nodiscard]] bool is_draining() const { return endpoint->serving && endpoint->terminating; }
};

bool is_same_place(const Candidate& a, const Candidate& b) {
  return a.port == b.port && a.endpoint->address == b.endpoint->address;
}

// By place; within one place the candidate that counts comes first.
bool comes_before(const Candidate& a, const Candidate& b) {
  if (!is_same_place(a, b))
    return std::tie(a.endpoint->address, a.port) < std::tie(b.endpoint->address, b.port);
  return std::tuple(a.is_local, a.endpoint->ready, a.is_draining()) >
         std::tuple(b.is_local, b.endpoint->ready, b.is_draining());
}

std::vector<Candidate> candidates_of(const std::vector<const EndpointSliceObject*>& slices,
                                     const BackendQuery& query) {
  std::vector<Candidate> found;
  for (const EndpointSliceObject* slice : slices) {
    if (slice->family != query.family) continue;
    for (const SlicePort& port : slice->ports) {
      if (port.protocol != query.protocol || port.name != query.port_name) continue;
      for (const SliceEndpoint& endpoint : slice->endpoints) {
        const bool is_forbidden =
            std::any_of(query.forbidden.begin(), query.forbidden.end(),
                        [&](const core::Prefix& range) { return range.contains(endpoint.address); });
        if (is_forbidden) continue;
        found.push_back({&endpoint, port.port, !endpoint.node.empty() && endpoint.node.view() == query.self});
      }
    }
  }
  std::stable_sort(found.begin(), found.end(), comes_before);
  found.erase(std::unique(found.begin(), found.end(), is_same_place), found.end());
  return found;
}

bool names(const std::vector<std::string>& hints, const std::string& wanted) {
  return std::find(hints.begin(), hints.end(), wanted) != hints.end();
}

enum class Topology : uint8_t { kNone, kNode, kZone };

Topology topology_of(const std::vector<Candidate>& candidates, const BackendQuery& query) {
  bool has_ready = false, has_this_node = false, has_this_zone = false;
  bool all_have_nodes = true, all_have_zones = true;
  for (const Candidate& candidate : candidates) {
    const SliceEndpoint& endpoint = *candidate.endpoint;
    if (!endpoint.ready) continue;
    has_ready = true;
    all_have_nodes &= !endpoint.for_nodes.empty();
    all_have_zones &= !endpoint.for_zones.empty();
    has_this_node |= names(endpoint.for_nodes, query.self);
    has_this_zone |= names(endpoint.for_zones, query.zone);
  }
  if (!has_ready) return Topology::kNone;
  if (all_have_nodes && has_this_node) return Topology::kNode;
  return all_have_zones && has_this_zone && !query.zone.empty() ? Topology::kZone : Topology::kNone;
}

// The indices for which `is_first` holds; without any, those for which `is_second` does.
template <typename First, typename Second>
std::vector<uint32_t> either(const std::vector<Candidate>& candidates, const First& is_first,
                             const Second& is_second) {
  std::vector<uint32_t> chosen;
  for (uint32_t i = 0; i < candidates.size(); ++i) {
    if (is_first(candidates[i])) chosen.push_back(i);
  }
  if (!chosen.empty()) return chosen;
  for (uint32_t i = 0; i < candidates.size(); ++i) {
    if (is_second(candidates[i])) chosen.push_back(i);
  }
  return chosen;
}

}  // namespace

Backends choose_backends(const std::vector<const EndpointSliceObject*>& slices, const BackendQuery& query) {
  const std::vector<Candidate> candidates = candidates_of(slices, query);
  const Topology topology = topology_of(candidates, query);
  const auto is_near = [&](const SliceEndpoint& endpoint) {
    return topology == Topology::kNone ||
           (topology == Topology::kNode ? names(endpoint.for_nodes, query.self)
                                        : names(endpoint.for_zones, query.zone));
  };
  Backends out;
  out.all.reserve(candidates.size());
  for (const Candidate& candidate : candidates) {
    const SliceEndpoint& endpoint = *candidate.endpoint;
    out.all.push_back({.address = endpoint.address,
                       .port = candidate.port,
                       .serving = endpoint.ready || candidate.is_draining(),
                       .local = candidate.is_local,
                       .object = endpoint.object,
                       .node = endpoint.node});
  }
  out.cluster = either(
      candidates, [&](const Candidate& c) { return c.endpoint->ready && is_near(*c.endpoint); },
      [](const Candidate& c) { return c.is_draining(); });
  out.local = either(
      candidates, [](const Candidate& c) { return c.is_local && c.endpoint->ready; },
      [](const Candidate& c) { return c.is_local && c.is_draining(); });
  return out;
}

}  // namespace fairlead::control
