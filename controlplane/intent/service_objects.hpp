#pragma once

#include "dataplane/core/address.hpp"
#include "dataplane/core/name.hpp"
#include "dataplane/core/service.hpp"

#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace fairlead::control {

// Kubernetes' Service and EndpointSlice, as far as the packet path or the agent needs them.

// An entry of an object that cannot be used: the decoder leaves it out and says so here, and the rest of the
// object goes on. compile() makes a Refusal of it.
struct ObjectProblem {
  std::string code;   // FL1035
  std::string field;  // spec.ports[1].port
  std::string reason;
  bool operator==(const ObjectProblem&) const = default;
};

enum class ServiceType : uint8_t { kClusterIp, kNodePort, kLoadBalancer, kExternalName };

// One of spec.ports; the target port is what the slices say.
struct ServicePort {
  std::string name;
  uint8_t protocol = 6;  // 6, 17, 132
  uint16_t port = 0;
  uint16_t node_port = 0;  // 0: none
  bool operator==(const ServicePort&) const = default;
};

// One of status.loadBalancer.ingress that has an address.
struct IngressAddress {
  core::IpAddress address;
  bool is_vip = true;  // ipMode; Proxy is left to the balancer
  bool has_ports = false;
  std::vector<std::pair<uint8_t, uint16_t>> ports = {};  // protocol and port, with has_ports: only these
  bool operator==(const IngressAddress&) const = default;
};

inline constexpr int64_t kUnknownTime = std::numeric_limits<int64_t>::max();

// A Service. What kube-proxy leaves alone is marked, not dropped: a label may come and go.
struct ServiceObject {
  std::string service_namespace, name;
  int64_t created = kUnknownTime;  // metadata.creationTimestamp, seconds since 1970; unknown counts as newest
  ServiceType type = ServiceType::kClusterIp;
  bool is_headless = false;                  // clusterIP: None
  bool is_foreign = false;                   // label service.kubernetes.io/service-proxy-name
  std::vector<core::IpAddress> cluster_ips;  // at most one of a family
  std::vector<ServicePort> ports;
  std::vector<core::IpAddress> external_ips;
  std::vector<IngressAddress> ingress;
  uint32_t affinity_seconds = 0;  // sessionAffinity: ClientIP; 0: none
  bool internal_local = false, external_local = false;
  uint16_t health_check_node_port = 0;
  bool has_source_ranges = false;  // even if none of them could be read: then nobody is let in
  std::vector<core::Prefix> source_ranges;
  std::optional<core::ReplyPath> reply_path;  // annotation fairlead.io/reply-path
  std::vector<ObjectProblem> problems;
  bool operator==(const ServiceObject&) const = default;
};

struct SlicePort {
  std::string name;
  uint8_t protocol = 6;
  uint16_t port = 0;
  bool operator==(const SlicePort&) const = default;
};

// One of a slice's endpoints. Absent conditions are resolved: ready unless said otherwise, serving as ready.
struct SliceEndpoint {
  core::IpAddress address;  // the first: the API calls them interchangeable, kube-proxy takes this one
  bool ready = true, serving = true, terminating = false;
  core::Name node = {};
  core::Name object = {};                                   // pod/namespace/name
  std::vector<std::string> for_zones = {}, for_nodes = {};  // hints
  bool operator==(const SliceEndpoint&) const = default;
};

struct EndpointSliceObject {
  std::string slice_namespace, name;
  std::string service;                        // label kubernetes.io/service-name; empty: nobody's
  bool is_foreign = false;                    // label service-proxy-name or headless
  core::Family family = core::Family::kIpv4;  // addressType; kNone: FQDN
  std::vector<SlicePort> ports;
  std::vector<SliceEndpoint> endpoints;
  std::vector<ObjectProblem> problems;
  bool operator==(const EndpointSliceObject&) const = default;
};

[[nodiscard]] inline std::string key_of(const ServiceObject& service) {
  return service.service_namespace + "/" + service.name;
}
[[nodiscard]] inline std::string key_of(const EndpointSliceObject& slice) {
  return slice.slice_namespace + "/" + slice.name;
}

}  // namespace fairlead::control
