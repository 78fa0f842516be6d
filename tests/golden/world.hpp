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

  // Names that rows may use for MACs: gw, self, host, ep<ID>, pod<ID>, peer<ID> (its neighbour entry),
  // vtep<ID>, router.
  [[nodiscard]] std::map<std::string, std::string> macs() const;
};

enum WorldPort : uint32_t { kUplinkPort = 1, kTrunkPort = 2, kHostPort = 3 };

// One line of a `world` block; throws std::invalid_argument with what is wrong.
void read_world_line(World& world, const std::string& line);

}  // namespace fairlead::golden
