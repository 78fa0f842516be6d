#include "controlplane/host/routes.hpp"

#include "controlplane/host/link.hpp"

#include <algorithm>
#include <cerrno>
#include <linux/rtnetlink.h>
#include <optional>
#include <sys/socket.h>

namespace fairlead::control {

namespace {

std::string name_of(const KernelRoute& route) {
  std::string text = "route " + route.destination.text();
  if (route.gateway) text += " via " + route.gateway.text();
  return text + " dev #" + std::to_string(route.link);
}

std::optional<KernelRoute> route_of(const nlmsghdr& message) {
  const auto* header = static_cast<const rtmsg*>(mnl_nlmsg_get_payload(&message));
  const nlattr* table[RTA_MAX + 1] = {};
  collect_attributes(message, sizeof(rtmsg), table);
  const bool is_inet = header->rtm_family == AF_INET || header->rtm_family == AF_INET6;
  const uint32_t table_id = attribute_value<uint32_t>(table[RTA_TABLE], header->rtm_table);
  if (!is_inet || header->rtm_type != RTN_UNICAST || table_id != RT_TABLE_MAIN ||
      (header->rtm_flags & RTM_F_CLONED) != 0 || table[RTA_MULTIPATH] != nullptr)
    return std::nullopt;
  KernelRoute route;
  core::IpAddress destination = address_of(table[RTA_DST], header->rtm_family);
  if (!destination)
    destination.family = header->rtm_family == AF_INET ? core::Family::kIpv4 : core::Family::kIpv6;
  route.destination = {destination, header->rtm_dst_len};
  route.link = attribute_value<uint32_t>(table[RTA_OIF]);
  route.gateway = address_of(table[RTA_GATEWAY], header->rtm_family);
  route.source = address_of(table[RTA_PREFSRC], header->rtm_family);
  route.protocol = header->rtm_protocol;
  if (table[RTA_METRICS] != nullptr) {
    const nlattr* metrics[RTAX_MAX + 1] = {};
    collect_nested(table[RTA_METRICS], metrics);
    route.mtu = attribute_value<uint32_t>(metrics[RTAX_MTU]);
  }
  return route;
}

NetlinkRequest request_for(const KernelRoute& route, uint16_t type, uint16_t flags) {
  NetlinkRequest request(type, flags);
  auto& header = request.header<rtmsg>();
  header.rtm_family = family_of(route.destination.address);
  header.rtm_dst_len = route.destination.length;
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_protocol = route.protocol;
  header.rtm_type = RTN_UNICAST;
  // IPv4 takes an on-link route as a way to a gateway only in scope link; IPv6 has no scopes.
  header.rtm_scope =
      route.destination.address.is_ipv4() && !route.gateway ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE;
  if (route.destination.length != 0) put_address(request, RTA_DST, route.destination.address);
  request.put_u32(RTA_OIF, route.link);
  if (route.gateway) put_address(request, RTA_GATEWAY, route.gateway);
  if (route.source) put_address(request, RTA_PREFSRC, route.source);
  if (route.mtu != 0) {
    const auto metrics = request.nest(RTA_METRICS);
    request.put_u32(RTAX_MTU, route.mtu);
  }
  return request;
}

}  // namespace

Result<std::vector<KernelRoute>> list_routes(NetlinkSocket& socket) {
  constexpr int kTries = 5;
  std::vector<KernelRoute> routes;
  for (int attempt = 0; attempt < kTries; ++attempt) {
    routes.clear();
    NetlinkRequest request(RTM_GETROUTE, NLM_F_DUMP);
    request.header<rtmsg>().rtm_family = AF_UNSPEC;
    const Result<bool> consistent = socket.dump(request, [&](const nlmsghdr& message) {
      if (std::optional<KernelRoute> route = route_of(message)) routes.push_back(*route);
    });
    if (!consistent) return Error{"FL4301", consistent.error().what, consistent.error().fix};
    if (*consistent) break;
  }
  return routes;
}

Result<void> put_route(NetlinkSocket& socket, const KernelRoute& route) {
  NetlinkRequest request = request_for(route, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE);
  return change(socket, request, "put " + name_of(route));
}

Result<void> remove_route(NetlinkSocket& socket, const KernelRoute& route) {
  NetlinkRequest request = request_for(route, RTM_DELROUTE, 0);
  return change(socket, request, "remove " + name_of(route), {ESRCH, ENODEV});
}

Result<RouteChanges> sync_routes(NetlinkSocket& socket, const std::vector<KernelRoute>& wanted) {
  const Result<std::vector<KernelRoute>> present = list_routes(socket);
  if (!present) return present.error();
  const auto route_to = [&](const core::Prefix& destination, bool ours) {
    return std::find_if(present->begin(), present->end(), [&](const KernelRoute& route) {
      return route.destination == destination && (route.protocol == kRouteProtocol) == ours;
    });
  };
  RouteChanges changes;
  std::optional<Error> first_error;
  for (const KernelRoute& route : wanted) {
    const auto ours = route_to(route.destination, true);
    if (ours != present->end() && *ours == route) continue;
    if (const auto other = route_to(route.destination, false);
        ours == present->end() && other != present->end()) {
      if (!first_error)
        first_error =
            Error{"FL4304",
                  name_of(*other) + " is there with protocol " + std::to_string(other->protocol) +
                      ": not ours to replace",
                  "remove it (ip route del " + route.destination.text() + ") or change the pod CIDR"};
      continue;
    }
    if (Result<void> done = put_route(socket, route); !done) {
      if (!first_error) first_error = done.error();
      continue;
    }
    ++changes.put;
  }
  for (const KernelRoute& route : *present) {
    const bool is_wanted = std::any_of(wanted.begin(), wanted.end(), [&](const KernelRoute& other) {
      return other.destination == route.destination;
    });
    if (route.protocol != kRouteProtocol || is_wanted) continue;
    if (Result<void> done = remove_route(socket, route); !done) {
      if (!first_error) first_error = done.error();
      continue;
    }
    ++changes.removed;
  }
  if (first_error) return *first_error;
  return changes;
}

}  // namespace fairlead::control
