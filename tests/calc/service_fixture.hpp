#pragma once

#include "tests/calc/fixture.hpp"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

namespace fairlead::control {

inline ServiceObject service(const std::string& name, const std::vector<std::string>& cluster_ips,
                             std::vector<ServicePort> ports) {
  ServiceObject object;
  object.service_namespace = "default";
  object.name = name;
  object.created = 1000;
  for (const std::string& text : cluster_ips) object.cluster_ips.push_back(ip(text));
  object.ports = std::move(ports);
  return object;
}

inline SliceEndpoint at(const std::string& address, const std::string& node, bool ready = true) {
  SliceEndpoint endpoint;
  endpoint.address = ip(address);
  endpoint.ready = endpoint.serving = ready;
  endpoint.node = node;
  return endpoint;
}

inline EndpointSliceObject slice(const std::string& service, const std::string& name, core::Family family,
                                 std::vector<SlicePort> ports, std::vector<SliceEndpoint> endpoints) {
  EndpointSliceObject object;
  object.slice_namespace = "default";
  object.name = name;
  object.service = service;
  object.family = family;
  object.ports = std::move(ports);
  object.endpoints = std::move(endpoints);
  return object;
}

// "web:http/tcp4", "web/udp6"; nullptr when it is not programmed.
inline const core::Service* find(const core::NodeState& state, const std::string& name) {
  for (const auto& [id, service] : state.services) {
    const std::string own = service->name + (service->port_name.empty() ? "" : ":" + service->port_name) +
                            (service->protocol == 6    ? "/tcp"
                             : service->protocol == 17 ? "/udp"
                                                       : "/sctp") +
                            (service->is_ipv6 ? "6" : "4");
    if (own == name) return service.get();
  }
  return nullptr;
}

}  // namespace fairlead::control
