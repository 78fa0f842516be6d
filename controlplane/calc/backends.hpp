#pragma once

#include "controlplane/intent/service_objects.hpp"
#include "dataplane/core/service.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace fairlead::control {

// Which endpoints of the slices count for one port of a Service in one family.
struct BackendQuery {
  const std::string& port_name;
  uint8_t protocol;
  core::Family family;
  const std::string& self;                     // this node
  const std::string& zone;                     // its zone; empty: none
  const std::vector<core::Prefix>& forbidden;  // service ranges: no endpoint may lie in there
};

struct Backends {
  std::vector<core::Backend> all;
  std::vector<uint32_t> cluster, local;
};

// kube-proxy's CategorizeEndpoints as a function. `slices` are the Service's, in a fixed order; an endpoint
// that several slices name counts once, as the one that is local, ready, serving - in this order - most.
//
// `cluster`: ready endpoints, after topology hints; without any, those that serve while they terminate.
// `local`: the same two choices, by themselves, among this node's; hints do not apply. Hints count when every
// ready endpoint has one of a kind and one of them names this node (nodes first) or its zone.
[[nodiscard]] Backends choose_backends(const std::vector<const EndpointSliceObject*>& slices,
                                       const BackendQuery& query);

}  // namespace fairlead::control
