#pragma once

#include "dataplane/core/address.hpp"
#include "dataplane/core/service.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace fairlead::core {

// 1 .. 2^24-1: travels in the low 24 bits of a MAC on the trunk. 0 is "none".
using EndpointId = uint32_t;
// 1 .. 65535, stable for a node name while the agent lives. 0 is "none".
using PeerId = uint16_t;
using PortId = uint16_t;

enum class Encapsulation : uint8_t { kVxlan, kGeneve };
enum class Transport : uint8_t { kRouted, kOverlay };

// A pod's attachment on this node.
struct Endpoint {
  EndpointId id = 0;
  std::string pod_namespace;
  std::string pod_name;
  std::string container_id;
  std::string interface;       // inside the pod, e.g. eth0
  std::string host_interface;  // the veth end on the node; empty for a fast port (memif, vhost-user)
  uint32_t host_ifindex = 0;   // 0 with host_interface empty
  PortId fast_port = 0;        // 0: reached over the trunk
  MacAddress mac;              // the pod's own MAC
  std::vector<IpAddress> addresses;

  bool operator==(const Endpoint&) const = default;
};

// Another node: how its pods are reached. What is accepted *from* it does not depend on `transport`.
struct Peer {
  PeerId id = 0;
  std::string node;
  Transport transport = Transport::kOverlay;
  IpAddress vtep;  // outer destination (overlay); also the only outer source accepted, with `alternate_vtep`
  IpAddress alternate_vtep;       // the node's InternalIP of the other family, if any
  MacAddress vtep_mac;            // inner destination MAC, for peers whose kernel terminates the tunnel
  IpAddress next_hop4;            // routed: IPv4 pods' next hop
  IpAddress next_hop6;            // routed: IPv6 pods' next hop
  std::vector<Prefix> pod_cidrs;  // decapsulated inner sources must be in here

  bool operator==(const Peer&) const = default;
};

enum class RouteKind : uint8_t {
  kEndpoint,   // target = EndpointId
  kPeer,       // target = PeerId
  kHost,       // punt: an address of this node
  kBlackhole,  // a pod CIDR of this node without a pod at the address: unreachable, never to the wire
};

struct RouteTarget {
  RouteKind kind = RouteKind::kBlackhole;
  uint32_t target = 0;
  bool operator==(const RouteTarget&) const = default;
};

// What holds for the node as a whole.
struct NodeSettings {
  std::string node;
  std::string mode = "Auto";  // as configured: Overlay | Routed | Auto; per-peer outcome is Peer::transport
  Encapsulation encapsulation = Encapsulation::kVxlan;
  uint32_t vni = 100;
  uint16_t tunnel_port = 4789;
  IpAddress vtep4;  // this node's tunnel end, per underlay family; absent when the node has none
  IpAddress vtep6;
  MacAddress vtep_mac;      // accepted as inner destination by convention; not checked on rx
  uint16_t pod_mtu = 1450;  // what pods' routes carry now
  uint16_t uplink_mtu = 1500;
  std::vector<Prefix> cluster_pods;  // pod address space of the cluster (masquerade and martian decisions)
  std::vector<Prefix> local_pods;    // this node's pod CIDRs
  // Service address space of the cluster: what is in here and no frontend is refused, never forwarded.
  std::vector<Prefix> cluster_services;
  std::vector<IpAddress> node_port_addresses;  // of this node: NodePorts answer on these
  // Source translation to this node: of pods that leave the cluster, and of traffic from outside to backends
  // elsewhere. Absent address: none of that family.
  IpAddress masquerade4, masquerade6;
  std::vector<Prefix> no_masquerade;  // besides cluster_pods and the nodes' addresses: reached as one is
  uint16_t snat_port_first = 61000;   // source ports this node translates to; nobody else's on its addresses
  uint16_t snat_port_last = 65535;

  bool operator==(const NodeSettings&) const = default;
};

// What can forward *now* on this node, as a value. Every reference resolves (see validate()).
struct NodeState {
  uint64_t generation = 0;
  NodeSettings settings;
  std::map<EndpointId, Endpoint> endpoints;
  std::map<PeerId, Peer> peers;
  std::map<Prefix, RouteTarget> routes;
  std::map<ServiceId, std::shared_ptr<const Service>> services;  // never null; shared between states

  // By value, Services too.
  bool operator==(const NodeState& other) const;
};

// The way from one NodeState to the next. Applied in this order: settings, upserts of endpoints and peers,
// routes, services, removals of peers and endpoints - so after every prefix of it all references resolve.
struct NodeStateDelta {
  uint64_t from_generation = 0;  // 0: a full state; whatever was there before and is not in it goes
  uint64_t to_generation = 0;
  bool has_settings = false;
  NodeSettings settings;
  std::vector<Endpoint> upsert_endpoints;
  std::vector<Peer> upsert_peers;
  std::vector<std::pair<Prefix, RouteTarget>> upsert_routes;
  std::vector<Prefix> remove_routes;
  std::vector<std::shared_ptr<const Service>> upsert_services;
  std::vector<ServiceId> remove_services;
  std::vector<PeerId> remove_peers;
  std::vector<EndpointId> remove_endpoints;
};

// The smallest delta that turns `from` into `to`; O(size) to compute, O(change) to apply. Services that both
// states share are not compared.
[[nodiscard]] NodeStateDelta diff(const NodeState& from, const NodeState& to);

// Applies `delta`; says what does not fit (unknown reference, wrong from_generation) and then leaves `state`
// as it was.
[[nodiscard]] std::string apply(NodeState& state, const NodeStateDelta& delta);

// Empty when every reference resolves and every id is in range; otherwise the first thing that is wrong.
[[nodiscard]] std::string validate(const NodeState& state);

// The MAC that a VTEP answers to unless its node says otherwise: 02:46 and the last four bytes of its
// address. A kernel VXLAN device set up by hand as a peer is given this address.
[[nodiscard]] MacAddress default_vtep_mac(const IpAddress& vtep);

// 02:46:4c and the 24 bits of the id: how frames on the trunk name their endpoint.
[[nodiscard]] MacAddress endpoint_mac(EndpointId id);

// The gateway every pod has as its permanent neighbour.
inline constexpr MacAddress kGatewayMac{{0x02, 0x46, 0x4c, 0xff, 0xff, 0xff}};

}  // namespace fairlead::core
