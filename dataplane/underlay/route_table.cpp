#include "dataplane/underlay/route_table.hpp"

#include "dataplane/base/netlink.hpp"
#include "dataplane/underlay/messages.hpp"

#include <algorithm>
#include <cstring>
#include <linux/rtnetlink.h>
#include <utility>

namespace fairlead::underlay {
namespace {

// RTA_VIA carries a gateway of another family than the route's (RFC 5549): family, then the address.
core::IpAddress gateway_of(std::span<const nlattr* const> attributes, uint8_t family) {
  if (attributes[RTA_GATEWAY] != nullptr) return address_of(attributes[RTA_GATEWAY], family);
  const nlattr* via = attributes[RTA_VIA];
  if (via == nullptr || mnl_attr_get_payload_len(via) < sizeof(rtvia)) return {};
  const auto* payload = static_cast<const rtvia*>(mnl_attr_get_payload(via));
  return address_from(payload->rtvia_addr, mnl_attr_get_payload_len(via) - sizeof(rtvia),
                      static_cast<uint8_t>(payload->rtvia_family));
}

KernelHop hop_of(uint32_t ifindex, unsigned flags, std::span<const nlattr* const> attributes,
                 uint8_t family) {
  KernelHop hop;
  hop.ifindex = ifindex;
  hop.gateway = gateway_of(attributes, family);
  hop.is_dead = (flags & RTNH_F_DEAD) != 0;
  hop.is_linkdown = (flags & RTNH_F_LINKDOWN) != 0;
  hop.is_encapsulated = attributes[RTA_ENCAP] != nullptr;
  return hop;
}

std::vector<KernelHop> multipath_hops(const nlattr* multipath, uint8_t family) {
  std::vector<KernelHop> hops;
  const auto* at = static_cast<const std::byte*>(mnl_attr_get_payload(multipath));
  size_t left = mnl_attr_get_payload_len(multipath);
  while (left >= sizeof(rtnexthop)) {
    rtnexthop next_hop;
    std::memcpy(&next_hop, at, sizeof(next_hop));
    if (next_hop.rtnh_len < sizeof(rtnexthop) || next_hop.rtnh_len > left) break;
    const nlattr* attributes[RTA_MAX + 1] = {};
    collect_bytes({at + sizeof(rtnexthop), next_hop.rtnh_len - sizeof(rtnexthop)}, attributes);
    KernelHop hop =
        hop_of(static_cast<uint32_t>(next_hop.rtnh_ifindex), next_hop.rtnh_flags, attributes, family);
    hop.weight = static_cast<uint16_t>(next_hop.rtnh_hops + 1);
    hops.push_back(hop);
    const size_t step = std::min<size_t>(left, RTNH_ALIGN(next_hop.rtnh_len));
    at += step;
    left -= step;
  }
  return hops;
}

bool concerns_forwarding(const core::Prefix& prefix) {
  const auto& bytes = prefix.address.bytes;
  if (prefix.address.is_ipv4()) {
    return (prefix.length < 8 || bytes[0] != 127) && (prefix.length < 4 || (bytes[0] & 0xf0) != 0xe0);
  }
  if (prefix.length >= 8 && bytes[0] == 0xff) return false;                                // multicast
  if (prefix.length >= 10 && bytes[0] == 0xfe && (bytes[1] & 0xc0) == 0x80) return false;  // link-local
  return true;
}

bool same_ways(const KernelRoute& a, const KernelRoute& b) {
  return a.type == b.type && a.hops.size() == b.hops.size() &&
         std::equal(a.hops.begin(), a.hops.end(), b.hops.begin(),
                    [](const KernelHop& x, const KernelHop& y) { return x.same_way(y); });
}

bool has_way(const KernelRoute& route, const KernelHop& hop) {
  return std::any_of(route.hops.begin(), route.hops.end(),
                     [&](const KernelHop& other) { return other.same_way(hop); });
}

bool has_all_ways(const KernelRoute& larger, const KernelRoute& smaller) {
  return larger.type == smaller.type && !smaller.hops.empty() &&
         std::all_of(smaller.hops.begin(), smaller.hops.end(),
                     [&](const KernelHop& hop) { return has_way(larger, hop); });
}

// The local table is asked first.
auto rank(const KernelRoute& route) {
  return std::pair(route.table != RT_TABLE_LOCAL, route.priority);
}

std::optional<core::UnderlayRoute> unicast(const KernelRoute& route, const PortMap& ports) {
  core::UnderlayRoute result;
  const bool any_carrier = std::any_of(route.hops.begin(), route.hops.end(),
                                       [](const KernelHop& hop) { return !hop.is_dead && !hop.is_linkdown; });
  for (const KernelHop& hop : route.hops) {
    if (hop.is_dead || (hop.is_linkdown && any_carrier)) continue;
    if (hop.ifindex != 0 && hop.ifindex == ports.host_ifindex) continue;  // would come back to us
    core::UnderlayNextHop next_hop{hop.gateway, ports.port_of(hop.ifindex), hop.weight};
    if (hop.is_encapsulated) next_hop.port = 0;
    if (next_hop.port == 0) next_hop.gateway = {};
    const auto same = std::find_if(result.next_hops.begin(), result.next_hops.end(), [&](const auto& other) {
      return other.port == next_hop.port && other.gateway == next_hop.gateway;
    });
    if (same == result.next_hops.end()) {
      result.next_hops.push_back(next_hop);
    } else {
      same->weight = static_cast<uint16_t>(same->weight + next_hop.weight);
    }
  }
  // A next-hop object that the kernel did not spell out (net.ipv4.nexthop_compat_mode=0): it knows the way,
  // we do not.
  if (route.hops.empty()) result.next_hops.push_back({{}, 0, 1});
  if (result.next_hops.empty()) return std::nullopt;
  // IPv6 reports a growing ECMP route in another order than it dumps it: the same ways are the same route.
  std::sort(result.next_hops.begin(), result.next_hops.end());
  return result;
}

std::optional<core::UnderlayRoute> judge(const KernelRoute& route, const PortMap& ports) {
  switch (route.type) {
    case RTN_UNICAST:
      return unicast(route, ports);
    case RTN_LOCAL:
    case RTN_ANYCAST:
    case RTN_BROADCAST:  // the kernel decides about a link's broadcast address
      return core::UnderlayRoute{core::UnderlayRouteKind::kLocal, {}};
    default:
      return core::UnderlayRoute{core::UnderlayRouteKind::kUnreachable, {}};
  }
}

}  // namespace

std::optional<KernelRoute> parse_route(const nlmsghdr& message) {
  if (mnl_nlmsg_get_payload_len(&message) < sizeof(rtmsg)) return std::nullopt;
  const auto* header = static_cast<const rtmsg*>(mnl_nlmsg_get_payload(&message));
  if (header->rtm_family != AF_INET && header->rtm_family != AF_INET6) return std::nullopt;
  if ((header->rtm_flags & RTM_F_CLONED) != 0 || header->rtm_tos != 0 || header->rtm_src_len != 0)
    return std::nullopt;
  if (header->rtm_type == RTN_MULTICAST || header->rtm_type == RTN_THROW) return std::nullopt;

  const nlattr* attributes[RTA_MAX + 1] = {};
  collect_attributes(message, sizeof(rtmsg), attributes);
  KernelRoute route;
  route.table = attribute_value<uint32_t>(attributes[RTA_TABLE], header->rtm_table);
  if (route.table != RT_TABLE_MAIN && route.table != RT_TABLE_LOCAL) return std::nullopt;
  route.type = header->rtm_type;
  route.priority = attribute_value<uint32_t>(attributes[RTA_PRIORITY]);
  route.prefix.length = header->rtm_dst_len;
  route.prefix.address = address_of(attributes[RTA_DST], header->rtm_family);
  if (!route.prefix.address) {  // 0.0.0.0/0 and ::/0 come without a destination
    route.prefix.address.family = header->rtm_family == AF_INET ? core::Family::kIpv4 : core::Family::kIpv6;
  }
  if (!concerns_forwarding(route.prefix)) return std::nullopt;
  if (attributes[RTA_MULTIPATH] != nullptr) {
    route.hops = multipath_hops(attributes[RTA_MULTIPATH], header->rtm_family);
  } else if (attributes[RTA_OIF] != nullptr) {
    route.hops.push_back(hop_of(attribute_value<uint32_t>(attributes[RTA_OIF]), header->rtm_flags, attributes,
                                header->rtm_family));
  }
  return route;
}

void RouteTable::count(const KernelRoute& route, int by) {
  for (const KernelHop& hop : route.hops) {
    if (by > 0) {
      ++uses_[hop.ifindex];
    } else if (const auto found = uses_.find(hop.ifindex); found != uses_.end() && --found->second == 0) {
      uses_.erase(found);
    }
  }
}

void RouteTable::add(KernelRoute route, uint16_t flags) {
  auto& routes = routes_[route.prefix];
  const auto same_rank = [&](const KernelRoute& other) { return other.same_rank(route); };
  // What this message replaces: itself as known so far; with NLM_F_REPLACE the first of its rank; and, since
  // IPv6 reports a growing ECMP route anew with all its ways, a route whose ways it all has.
  bool replaces_one = (flags & NLM_F_REPLACE) != 0;
  for (auto it = routes.begin(); it != routes.end();) {
    bool goes = same_rank(*it) &&
                (same_ways(*it, route) || (route.prefix.address.is_ipv6() && has_all_ways(route, *it)));
    if (!goes && replaces_one && same_rank(*it)) {
      goes = true;
      replaces_one = false;
    }
    if (goes) count(*it, -1);
    it = goes ? routes.erase(it) : it + 1;
  }
  count(route, 1);
  const bool is_last = (flags & NLM_F_APPEND) != 0;
  const auto before = [&](const KernelRoute& other) {
    return is_last ? rank(other) > rank(route) : rank(other) >= rank(route);
  };
  routes.insert(std::find_if(routes.begin(), routes.end(), before), std::move(route));
}

void RouteTable::remove(const KernelRoute& route) {
  const auto found = routes_.find(route.prefix);
  if (found == routes_.end()) return;
  auto& routes = found->second;
  const auto take = [&](auto it) {
    count(*it, -1);
    routes.erase(it);
  };
  const auto exact = std::find_if(routes.begin(), routes.end(), [&](const KernelRoute& other) {
    return other.same_rank(route) && same_ways(other, route);
  });
  const auto partial = std::find_if(routes.begin(), routes.end(), [&](const KernelRoute& other) {
    return other.same_rank(route) && has_all_ways(other, route);
  });
  if (exact != routes.end()) {
    take(exact);
  } else if (partial != routes.end() && route.prefix.address.is_ipv6()) {
    // IPv6 reports one way of an ECMP route that goes.
    count(*partial, -1);
    std::erase_if(partial->hops, [&](const KernelHop& hop) { return has_way(route, hop); });
    count(*partial, 1);
  } else {
    const auto ranked = std::find_if(routes.begin(), routes.end(), [&](const KernelRoute& other) {
      return other.same_rank(route) && other.type == route.type;
    });
    if (ranked != routes.end() && route.prefix.address.is_ipv4()) take(ranked);
  }
  if (routes.empty()) routes_.erase(found);
}

std::optional<core::UnderlayRoute> RouteTable::best(const core::Prefix& prefix, const PortMap& ports) const {
  const auto found = routes_.find(prefix);
  if (found == routes_.end()) return std::nullopt;
  for (const KernelRoute& route : found->second) {
    if (auto result = judge(route, ports)) return result;
  }
  return std::nullopt;
}

std::map<core::Prefix, core::UnderlayRoute> RouteTable::all(const PortMap& ports) const {
  std::map<core::Prefix, core::UnderlayRoute> result;
  for (const auto& [prefix, routes] : routes_) {
    if (auto route = best(prefix, ports)) result.emplace_hint(result.end(), prefix, std::move(*route));
  }
  return result;
}

}  // namespace fairlead::underlay
