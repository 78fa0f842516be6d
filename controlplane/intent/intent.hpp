#pragma once

#include "controlplane/intent/service_objects.hpp"
#include "dataplane/core/address.hpp"
#include "dataplane/core/node_state.hpp"

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace fairlead::control {

// What the cluster wants, as plain values; apply() folds events into it and the order of arrival never
// changes the result.

enum class Mode : uint8_t { kOverlay, kRouted, kAuto };

// A Kubernetes Node, as far as we read it.
struct NodeObject {
  std::string name;
  std::vector<core::IpAddress>
      internal_ips;  // status.addresses, type InternalIP, at most one per family (the first)
  std::vector<core::Prefix> pod_cidrs;       // spec.podCIDRs (spec.podCIDR when that is absent)
  std::optional<core::MacAddress> vtep_mac;  // annotation fairlead.io/vtep-mac
  std::string zone = {};                     // label topology.kubernetes.io/zone; empty: none
  bool operator==(const NodeObject&) const = default;
};

// A Kubernetes Pod; optional in manifests, used for names only: nothing is forwarded because of it.
struct PodObject {
  std::string pod_namespace, name, node, uid;
  std::vector<core::IpAddress> addresses = {};  // status.podIPs (status.podIP when that is absent)
  bool operator==(const PodObject&) const = default;
};

// kind: ClusterNetwork. The same schema as a file and as CRD.
struct ClusterNetwork {
  Mode mode = Mode::kAuto;
  core::Encapsulation encapsulation = core::Encapsulation::kVxlan;
  uint32_t vni = 100;
  uint16_t port = 4789;
  uint16_t mtu = 0;  // 0: computed
  std::vector<core::Prefix> pods, services;
  uint8_t block_size_ipv4 = 24, block_size_ipv6 = 64;
  std::string engine = "Auto";
  std::string polling = "Adaptive";
  std::vector<std::string> uplink_match;
  std::vector<core::Prefix> node_port_addresses;  // empty: the Node's InternalIPs
  std::vector<core::Prefix> external_ip_ranges;   // externalIPs outside of these are refused
  core::ReplyPath reply_path = core::ReplyPath::kThisNode;
  bool masquerade = true;
  std::vector<core::Prefix> non_masquerade_cidrs;
  uint16_t snat_port_first = 61000, snat_port_last = 65535;
  bool operator==(const ClusterNetwork&) const = default;
};

// What the agent found on this host. Part of the intent so that compile() stays pure.
struct HostFacts {
  std::string uplink;
  uint16_t uplink_mtu = 1500;
  std::vector<core::Prefix> on_link;             // prefixes of the uplink's addresses, host bits cleared
  std::vector<core::IpAddress> local_addresses;  // every address of this node
  bool operator==(const HostFacts&) const = default;
};

struct Intent {
  std::string self;  // this node's name
  ClusterNetwork network;
  HostFacts host;
  std::map<std::string, NodeObject> nodes;
  std::map<std::string, PodObject> pods;                 // namespace/name
  std::map<core::EndpointId, core::Endpoint> endpoints;  // attached by CNI on this node
  std::map<std::string, ServiceObject> services;         // namespace/name
  std::map<std::string, EndpointSliceObject> slices;     // namespace/name
};

struct NodeUpserted {
  NodeObject node;
};
struct NodeDeleted {
  std::string name;
};
struct PodUpserted {
  PodObject pod;
};
struct PodDeleted {
  std::string key;
};
struct NetworkChanged {
  ClusterNetwork network;
};
struct HostChanged {
  HostFacts host;
};
struct EndpointAttached {
  core::Endpoint endpoint;
};
struct EndpointDetached {
  core::EndpointId id;
};
struct ServiceUpserted {
  ServiceObject service;
};
struct ServiceDeleted {
  std::string key;
};
struct EndpointSliceUpserted {
  EndpointSliceObject slice;
};
struct EndpointSliceDeleted {
  std::string key;
};
using Event = std::variant<NodeUpserted, NodeDeleted, PodUpserted, PodDeleted, NetworkChanged, HostChanged,
                           EndpointAttached, EndpointDetached, ServiceUpserted, ServiceDeleted,
                           EndpointSliceUpserted, EndpointSliceDeleted>;

// Folds one event in; true when something changed.
bool apply(Intent& intent, const Event& event);

}  // namespace fairlead::control
