#pragma once

#include "tests/golden/frame.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace fairlead::golden {

// A node's state as test text, in types of the tests' own: the adapters turn it into what an engine wants,
// the reference model reads it as it is.

struct Net {
  Bytes address;  // 4 or 16 bytes
  unsigned length = 0;
  [[nodiscard]] bool contains(const Bytes& other) const;
};

struct WorldEndpoint {
  uint32_t id = 0;
  std::string name;
  Bytes mac;
  std::vector<Bytes> addresses;
};

struct WorldPeer {
  uint32_t id = 0;
  std::string name;
  bool overlay = true;
  Bytes vtep, alternate, vtep_mac, next_hop4, next_hop6;
  std::vector<Net> cidrs;
};

struct WorldRoute {
  Net net;
  std::string kind = "unicast";  // unicast | local
  Bytes gateway;                 // empty: on-link
  uint32_t port = 0;             // 0: a device that is not ours
};

struct WorldFrontend {
  enum class Kind { kClusterIp, kNodePort, kLoadBalancer, kExternalIp } kind = Kind::kClusterIp;
  Bytes address;  // empty for a node port
  uint32_t port = 0;
};

struct WorldBackend {
  Bytes address;
  uint32_t port = 0;
  bool local = false, serving = true;
  bool in_cluster = true, in_local = false;  // in the lists that new connections choose from
  std::string object;
};

// One port of one Service in one address family.
struct WorldService {
  uint32_t id = 0;
  std::string name;   // namespace/name[:port]
  int protocol = 6;   // 6, 17, 132
  bool ipv6 = false;  // as its ClusterIP
  std::vector<WorldFrontend> frontends;
  std::vector<WorldBackend> backends;
  bool internal_local = false, external_local = false;
  uint32_t affinity_seconds = 0;
  std::vector<Net> source_ranges;
};

struct World {
  std::string name = "node-1", mode = "Overlay";
  bool geneve = false;
  uint32_t vni = 100, tunnel_port = 4789, pod_mtu = 1450, uplink_mtu = 1500;
  Bytes vtep4, vtep6;
  std::vector<Net> cluster_pods, local_pods;
  std::vector<WorldEndpoint> endpoints;
  std::vector<WorldPeer> peers;
  std::map<uint32_t, Bytes> port_macs;
  std::map<uint32_t, uint32_t> port_mtus;
  std::vector<WorldRoute> underlay;
  std::map<Bytes, Bytes> neighbours;  // on the uplink, port 1
  std::vector<Net> cluster_services, no_masquerade;
  std::vector<Bytes> node_port_addresses;
  Bytes masquerade4, masquerade6;
  uint32_t snat_first = 61000, snat_last = 65535;
  std::map<uint32_t, WorldService> services;

  // Names that rows may use for MACs: gw, self, host, ep<ID>, ep@<ADDRESS>, pod<ID>, peer<ID> (its neighbour
  // entry), vtep<ID>, router; and for the ports that this node translates sources to: snat.
  [[nodiscard]] std::map<std::string, std::string> macs() const;
};

enum WorldPort : uint32_t { kUplinkPort = 1, kTrunkPort = 2, kHostPort = 3 };

// One line of a `world` block; throws std::invalid_argument with what is wrong. Besides node, cluster, local,
// endpoint, peer, link, route and neighbour:
//
//   services PREFIX...          node-ports ADDRESS...           no-masquerade PREFIX...
//   masquerade [ADDRESS4] [ADDRESS6] [ports=FIRST-LAST]
//   service ID NAMESPACE/NAME[:PORT] tcp|udp|sctp [cluster=ADDRESS:PORT] [node=PORT] [lb=ADDRESS:PORT]
//           [external=ADDRESS:PORT] [affinity=SECONDS] [ranges=PREFIX,...] [internal-local] [external-local]
//   backend ID ADDRESS:PORT [local] [not-serving] [terminating: in no list] [not-cluster: only in the local
//   one] no-service ID    no-backend ID ADDRESS:PORT    no-endpoint ID    no-neighbour ADDRESS
//
// IPv6 addresses with a port stand in brackets. `backend` again for the same address and port replaces it.
void read_world_line(World& world, const std::string& line);

}  // namespace fairlead::golden
