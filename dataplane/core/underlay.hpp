#pragma once

#include "dataplane/core/address.hpp"
#include "dataplane/core/node_state.hpp"

#include <cstdint>
#include <map>
#include <utility>
#include <vector>

namespace fairlead::core {

// The kernel's view of the underlay, mirrored: links, addresses, routes and neighbours as far as they concern
// ports of the forwarder. The kernel stays the source of truth (BIRD, DHCP and people keep using its tools).

struct UnderlayNextHop {
  IpAddress gateway;  // kNone: on-link
  PortId port = 0;    // 0: leaves by a device we do not own -> punt
  uint16_t weight = 1;
  auto operator<=>(const UnderlayNextHop&) const = default;
};

enum class UnderlayRouteKind : uint8_t { kUnicast, kLocal, kUnreachable };

struct UnderlayRoute {
  UnderlayRouteKind kind = UnderlayRouteKind::kUnicast;
  std::vector<UnderlayNextHop> next_hops;  // several: ECMP
  bool operator==(const UnderlayRoute&) const = default;
};

struct UnderlayLink {
  MacAddress mac;
  uint16_t mtu = 1500;
  bool up = false;
  bool operator==(const UnderlayLink&) const = default;
};

struct Underlay {
  std::map<PortId, UnderlayLink> links;
  std::map<Prefix, UnderlayRoute> routes;                         // main and local tables
  std::map<std::pair<PortId, IpAddress>, MacAddress> neighbours;  // resolved ones only

  bool operator==(const Underlay&) const = default;
};

}  // namespace fairlead::core
