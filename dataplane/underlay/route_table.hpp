#pragma once

#include "dataplane/core/underlay.hpp"

#include <cstdint>
#include <linux/netlink.h>
#include <map>
#include <optional>
#include <vector>

namespace fairlead::underlay {

// One way of a kernel route.
struct KernelHop {
  uint32_t ifindex = 0;
  core::IpAddress gateway;
  uint16_t weight = 1;
  bool is_dead = false;          // its link is administratively down
  bool is_linkdown = false;      // its link has no carrier
  bool is_encapsulated = false;  // by a lightweight tunnel only the kernel can do

  // The same way, whatever state its link is in.
  [[nodiscard]] bool same_way(const KernelHop& other) const {
    return ifindex == other.ifindex && gateway == other.gateway;
  }
};

// One route as the kernel has it; several may share a prefix.
struct KernelRoute {
  core::Prefix prefix;
  uint32_t table = 0;
  uint32_t priority = 0;  // lower wins
  uint8_t type = 0;       // RTN_*
  std::vector<KernelHop> hops;

  [[nodiscard]] bool same_rank(const KernelRoute& other) const {
    return table == other.table && priority == other.priority;
  }
};

// Reads an RTM_NEWROUTE or RTM_DELROUTE. nullopt: none of the underlay's business - other tables than main
// and local, cached routes, TOS routes, multicast, throw, link-local and loopback destinations.
[[nodiscard]] std::optional<KernelRoute> parse_route(const nlmsghdr& message);

// Maps a kernel device to a port of ours.
struct PortMap {
  std::map<uint32_t, core::PortId> by_ifindex;
  uint32_t host_ifindex = 0;  // fairlead0

  [[nodiscard]] core::PortId port_of(uint32_t ifindex) const {
    const auto found = by_ifindex.find(ifindex);
    return found == by_ifindex.end() ? core::PortId{0} : found->second;
  }
};

// The kernel's routes, and for each prefix the one that counts.
//
// The local table comes before the main table, then the lower priority value, then the earlier one, as in the
// kernel with its default rules.
class RouteTable {
 public:
  // `flags` are those of the message: NLM_F_REPLACE, NLM_F_APPEND.
  void add(KernelRoute route, uint16_t flags);
  void remove(const KernelRoute& route);
  void clear() { routes_.clear(), uses_.clear(); }

  // What core shall know of `prefix` with these ports; nullopt: nothing.
  [[nodiscard]] std::optional<core::UnderlayRoute> best(const core::Prefix& prefix,
                                                        const PortMap& ports) const;
  // All of it.
  [[nodiscard]] std::map<core::Prefix, core::UnderlayRoute> all(const PortMap& ports) const;
  // Does any route leave by this device?
  [[nodiscard]] bool uses(uint32_t ifindex) const { return uses_.contains(ifindex); }

 private:
  void count(const KernelRoute& route, int by);

  std::map<core::Prefix, std::vector<KernelRoute>> routes_;  // best first
  std::map<uint32_t, size_t> uses_;                          // hops by device
};

}  // namespace fairlead::underlay
