#include "controlplane/host/host_facts.hpp"

#include "controlplane/host/link.hpp"
#include "controlplane/host/routes.hpp"

#include <algorithm>
#include <fnmatch.h>
#include <linux/if.h>
#include <linux/rtnetlink.h>
#include <set>

namespace fairlead::control {

namespace {

bool is_link_local(const core::IpAddress& address) {
  static const core::Prefix kIpv4 = *core::Prefix::parse("169.254.0.0/16");
  static const core::Prefix kIpv6 = *core::Prefix::parse("fe80::/10");
  return kIpv4.contains(address) || kIpv6.contains(address);
}

bool matches(const std::string& name, const std::vector<std::string>& patterns) {
  return patterns.empty() || std::any_of(patterns.begin(), patterns.end(), [&](const std::string& pattern) {
           return ::fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
         });
}

std::string joined(const std::set<std::string>& names) {
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "" : ", ") + name;
  return text;
}

}  // namespace

Result<std::string> find_uplink(NetlinkSocket& socket, const std::vector<core::IpAddress>& internal_ips,
                                const std::vector<std::string>& patterns) {
  const Result<std::vector<LinkFacts>> links = list_links(socket);
  if (!links) return links.error();
  const Result<std::vector<InterfaceAddress>> addresses = list_addresses(socket);
  if (!addresses) return addresses.error();
  const Result<std::vector<KernelRoute>> routes = list_routes(socket);
  if (!routes) return routes.error();

  std::set<std::string> with_address, with_default_route, candidates;
  for (const LinkFacts& link : *links) {
    if ((link.flags & IFF_LOOPBACK) != 0 || !matches(link.name, patterns)) continue;
    candidates.insert(link.name);
    for (const InterfaceAddress& found : *addresses) {
      if (found.link == link.index &&
          std::find(internal_ips.begin(), internal_ips.end(), found.address) != internal_ips.end())
        with_address.insert(link.name);
    }
    for (const KernelRoute& route : *routes) {
      if (route.destination.length == 0 && route.link == link.index) with_default_route.insert(link.name);
    }
  }
  if (with_address.size() == 1) return *with_address.begin();
  std::set<std::string> both;
  std::set_intersection(with_address.begin(), with_address.end(), with_default_route.begin(),
                        with_default_route.end(), std::inserter(both, both.begin()));
  const std::set<std::string>& choice = with_address.empty() ? with_default_route : both;
  if (choice.size() == 1) return *choice.begin();
  if (candidates.size() == 1) return *candidates.begin();
  return Error{
      "FL4306",
      choice.empty()
          ? "no device carries this node's InternalIP or the default route (seen: " + joined(candidates) + ")"
          : "several devices could be the uplink: " + joined(choice),
      "name it: --uplink NAME, or spec.dataplane.uplinks[].match"};
}

Result<HostFacts> read_host_facts(NetlinkSocket& socket, const std::string& uplink) {
  Result<std::optional<LinkFacts>> link = find_link(socket, uplink);
  if (!link) return link.error();
  if (!*link)
    return Error{"FL4306", "there is no device " + uplink, "name the uplink: --uplink NAME (see: ip link)"};
  const Result<std::vector<InterfaceAddress>> addresses = list_addresses(socket);
  if (!addresses) return addresses.error();
  HostFacts facts;
  facts.uplink = uplink;
  facts.uplink_mtu = static_cast<uint16_t>(std::min<uint32_t>((*link)->mtu, 65535));
  std::set<core::Prefix> on_link;
  std::set<core::IpAddress> local;
  for (const InterfaceAddress& found : *addresses) {
    if (!found.address || found.scope == RT_SCOPE_HOST || is_link_local(found.address)) continue;
    local.insert(found.address);
    if (found.link == (*link)->index)
      on_link.insert(core::Prefix::enclosing(found.address, found.prefix_length));
  }
  facts.on_link.assign(on_link.begin(), on_link.end());
  facts.local_addresses.assign(local.begin(), local.end());
  return facts;
}

}  // namespace fairlead::control
