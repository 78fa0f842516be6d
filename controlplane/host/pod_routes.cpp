#include "controlplane/host/pod_routes.hpp"

#include "controlplane/host/link.hpp"
#include "controlplane/host/routes.hpp"
#include "dataplane/core/node_state.hpp"

#include <algorithm>
#include <cerrno>
#include <linux/if_addr.h>
#include <linux/neighbour.h>
#include <linux/rtnetlink.h>

namespace fairlead::control {

namespace {

core::IpAddress gateway_of(core::Family family) {
  return *core::IpAddress::parse(family == core::Family::kIpv4 ? kGatewayIpv4 : kGatewayIpv6);
}

std::vector<core::Family> families_of(const PodLinkSpec& spec) {
  std::vector<core::Family> families;
  for (const core::Family family : {core::Family::kIpv4, core::Family::kIpv6}) {
    if (std::any_of(spec.addresses.begin(), spec.addresses.end(),
                    [family](const core::IpAddress& address) { return address.family == family; }))
      families.push_back(family);
  }
  return families;
}

// The MAC that `link` has for `gateway` for good; zero when there is none.
Result<core::MacAddress> permanent_neighbour(NetlinkSocket& socket, uint32_t link,
                                             const core::IpAddress& gateway) {
  core::MacAddress mac;
  NetlinkRequest request(RTM_GETNEIGH, NLM_F_DUMP);
  request.header<ndmsg>().ndm_family = family_of(gateway);
  const Result<bool> dumped = socket.dump(request, [&](const nlmsghdr& message) {
    const auto* header = static_cast<const ndmsg*>(mnl_nlmsg_get_payload(&message));
    const nlattr* table[NDA_MAX + 1] = {};
    collect_attributes(message, sizeof(ndmsg), table);
    if (static_cast<uint32_t>(header->ndm_ifindex) != link || (header->ndm_state & NUD_PERMANENT) == 0 ||
        address_of(table[NDA_DST], header->ndm_family) != gateway)
      return;
    mac.bytes = attribute_value<decltype(mac.bytes)>(table[NDA_LLADDR]);
  });
  if (!dumped) return Error{"FL4301", dumped.error().what, dumped.error().fix};
  return mac;
}

}  // namespace

Result<void> put_addresses(NetlinkSocket& socket, uint32_t link, const PodLinkSpec& spec) {
  for (const core::IpAddress& address : spec.addresses) {
    NetlinkRequest request(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE);
    auto& header = request.header<ifaddrmsg>();
    header.ifa_family = family_of(address);
    header.ifa_prefixlen = static_cast<uint8_t>(address.bits());
    header.ifa_scope = RT_SCOPE_UNIVERSE;
    header.ifa_index = link;
    // Duplicate address detection would hold the address back for a second, and IPAM has excluded duplicates.
    header.ifa_flags = address.is_ipv6() ? IFA_F_NODAD : 0;
    put_address(request, IFA_LOCAL, address);
    put_address(request, IFA_ADDRESS, address);
    const std::string doing = "add address " + address.text() + " to " + spec.interface;
    if (Result<void> done = change(socket, request, doing, {EEXIST}); !done) return done;
  }
  return {};
}

Result<void> put_gateways(NetlinkSocket& socket, uint32_t link, const PodLinkSpec& spec) {
  for (const core::Family family : families_of(spec)) {
    const core::IpAddress gateway = gateway_of(family);
    NetlinkRequest request(RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_REPLACE);
    auto& header = request.header<ndmsg>();
    header.ndm_family = family_of(gateway);
    header.ndm_ifindex = static_cast<int>(link);
    header.ndm_state = NUD_PERMANENT;
    put_address(request, NDA_DST, gateway);
    request.put_bytes(NDA_LLADDR, core::kGatewayMac.bytes.data(), core::kGatewayMac.bytes.size());
    if (Result<void> done = change(socket, request, "set the neighbour " + gateway.text()); !done)
      return done;
  }
  return {};
}

Result<void> put_default_routes(NetlinkSocket& socket, uint32_t link, const PodLinkSpec& spec,
                                uint16_t route_mtu) {
  for (const core::Family family : families_of(spec)) {
    const core::IpAddress gateway = gateway_of(family);
    if (family == core::Family::kIpv4) {
      const KernelRoute on_link{core::Prefix::host(gateway), link, {}, {}, 0, RTPROT_STATIC};
      if (Result<void> done = put_route(socket, on_link); !done) return done;
    }
    const core::IpAddress any =
        family == core::Family::kIpv4 ? *core::IpAddress::parse("0.0.0.0") : *core::IpAddress::parse("::");
    const KernelRoute by_default{{any, 0}, link, gateway, {}, route_mtu, RTPROT_STATIC};
    if (Result<void> done = put_route(socket, by_default); !done) return done;
  }
  return {};
}

Result<std::string> missing_routes(NetlinkSocket& socket, uint32_t link, const PodLinkSpec& spec) {
  const Result<std::vector<InterfaceAddress>> addresses = list_addresses(socket);
  if (!addresses) return addresses.error();
  for (const core::IpAddress& wanted : spec.addresses) {
    if (std::none_of(addresses->begin(), addresses->end(), [&](const InterfaceAddress& found) {
          return found.link == link && found.address == wanted;
        }))
      return "address " + wanted.text() + " on " + spec.interface;
  }
  const Result<std::vector<KernelRoute>> routes = list_routes(socket);
  if (!routes) return routes.error();
  for (const core::Family family : families_of(spec)) {
    const core::IpAddress gateway = gateway_of(family);
    if (std::none_of(routes->begin(), routes->end(), [&](const KernelRoute& found) {
          return found.destination.length == 0 && found.link == link && found.gateway == gateway;
        }))
      return "default route via " + gateway.text() + " on " + spec.interface;
    const Result<core::MacAddress> mac = permanent_neighbour(socket, link, gateway);
    if (!mac) return mac.error();
    if (*mac != core::kGatewayMac) return "permanent neighbour " + gateway.text() + " on " + spec.interface;
  }
  return std::string{};
}

}  // namespace fairlead::control
