#include "controlplane/host/pod_link.hpp"

#include "controlplane/host/link.hpp"
#include "controlplane/host/netns.hpp"
#include "controlplane/host/pod_routes.hpp"
#include "controlplane/host/sysctl.hpp"

#include <algorithm>
#include <cerrno>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <optional>
#include <sys/socket.h>
#include <unistd.h>

namespace fairlead::control {

namespace {

// Debian 12's headers are of 6.1; the kernel may be newer and know it. Older ones ignore the attribute.
constexpr uint16_t kIflaGsoIpv4MaxSize = 63;

void put_link_settings(NetlinkRequest& request) {
  request.put_u32(IFLA_GSO_MAX_SIZE, kPodGsoMaxSize);
  request.put_u32(kIflaGsoIpv4MaxSize, kPodGsoMaxSize);
  const auto families = request.nest(IFLA_AF_SPEC);
  const auto ipv6 = request.nest(AF_INET6);
  request.put_u8(IFLA_INET6_ADDR_GEN_MODE, IN6_ADDR_GEN_MODE_NONE);
}

Result<void> create_pair(NetlinkSocket& host, const PodLinkSpec& spec, const Netns& netns) {
  NetlinkRequest request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
  request.header<ifinfomsg>().ifi_family = AF_UNSPEC;
  request.put_text(IFLA_IFNAME, spec.host_interface);
  request.put_u32(IFLA_MTU, spec.device_mtu);
  {
    const auto info = request.nest(IFLA_LINKINFO);
    request.put_text(IFLA_INFO_KIND, "veth");
    const auto data = request.nest(IFLA_INFO_DATA);
    const auto peer = request.nest(VETH_INFO_PEER);
    request.header<ifinfomsg>().ifi_family = AF_UNSPEC;
    request.put_text(IFLA_IFNAME, spec.interface);
    request.put_u32(IFLA_MTU, spec.device_mtu);
    request.put_bytes(IFLA_ADDRESS, spec.mac.bytes.data(), spec.mac.bytes.size());
    request.put_u32(IFLA_NET_NS_FD, static_cast<uint32_t>(netns.fd()));
  }
  const Result<NetlinkAck> ack = host.transact(request);
  if (!ack) return Error{"FL4301", ack.error().what, ack.error().fix};
  if (ack->ok()) return {};
  const std::string pair = spec.host_interface + " <-> " + spec.interface + " in " + spec.netns;
  if (ack->error_number == EEXIST)
    return Error{"FL4101", "cannot create " + pair + ": one of the names is taken", "use another CNI_IFNAME"};
  return Error{"FL4301", "cannot create the veth pair " + pair + ": " + ack->text(),
               "the kernel needs veth, and the agent CAP_NET_ADMIN in both namespaces"};
}

Result<void> configure_host_end(NetlinkSocket& host, const PodLinkSpec& spec, uint32_t index) {
  NetlinkRequest request(RTM_NEWLINK, 0);
  auto& header = request.header<ifinfomsg>();
  header.ifi_index = static_cast<int>(index);
  header.ifi_flags = IFF_NOARP;
  header.ifi_change = IFF_NOARP;
  request.put_text(IFLA_IFALIAS, spec.alias);
  request.put_u32(IFLA_MTU, spec.device_mtu);
  put_link_settings(request);
  if (Result<void> done = change(host, request, "configure " + spec.host_interface); !done) return done;
  NetlinkRequest up(RTM_NEWLINK, 0);  // after addr_gen: no link-local address is ever made
  auto& up_header = up.header<ifinfomsg>();
  up_header.ifi_index = static_cast<int>(index);
  up_header.ifi_flags = IFF_UP;
  up_header.ifi_change = IFF_UP;
  return change(host, up, "set " + spec.host_interface + " up");
}

// In the pod's namespace.
Result<void> configure_pod_end(const PodLinkSpec& spec) {
  Result<NetlinkSocket> socket = NetlinkSocket::open();
  if (!socket) return socket.error();
  Result<std::optional<LinkFacts>> link = find_link(*socket, spec.interface);
  if (!link) return link.error();
  if (!*link) return Error{"FL4303", spec.interface + " vanished from " + spec.netns, "try again"};
  const uint32_t index = (*link)->index;

  const std::string ipv6 = "net/ipv6/conf/" + spec.interface;
  if (::access(("/proc/sys/" + ipv6).c_str(), F_OK) == 0) {
    const bool has_ipv6 = std::any_of(spec.addresses.begin(), spec.addresses.end(),
                                      [](const core::IpAddress& address) { return address.is_ipv6(); });
    if (const Result<bool> done = ensure_sysctl(ipv6 + "/accept_ra", "0"); !done) return done.error();
    // Some runtimes switch IPv6 off in new namespaces.
    if (const Result<bool> done = has_ipv6 ? ensure_sysctl(ipv6 + "/disable_ipv6", "0") : false; !done)
      return done.error();
  }
  NetlinkRequest request(RTM_NEWLINK, 0);
  request.header<ifinfomsg>().ifi_index = static_cast<int>(index);
  request.put_bytes(IFLA_ADDRESS, spec.mac.bytes.data(), spec.mac.bytes.size());
  request.put_u32(IFLA_MTU, spec.device_mtu);
  put_link_settings(request);
  if (Result<void> done = change(*socket, request, "configure " + spec.interface); !done) return done;
  NetlinkRequest up(RTM_NEWLINK, 0);
  auto& header = up.header<ifinfomsg>();
  header.ifi_index = static_cast<int>(index);
  header.ifi_flags = IFF_UP;
  header.ifi_change = IFF_UP;
  if (Result<void> done = change(*socket, up, "set " + spec.interface + " up"); !done) return done;
  if (Result<void> done = put_addresses(*socket, index, spec); !done) return done;
  if (Result<void> done = put_gateways(*socket, index, spec); !done) return done;
  return put_default_routes(*socket, index, spec, spec.route_mtu);
}

Error foreign_host_link(const std::string& name, const std::string& alias) {
  return {"FL4302", "the link " + name + " exists and is not ours (alias \"" + alias + "\")",
          "rename or delete it: ip link del " + name};
}

// Our own host end of that name, if it is there. A link without alias is one whose maker was killed.
Result<std::optional<LinkFacts>> find_own(NetlinkSocket& host, const std::string& name,
                                          const std::string& alias) {
  Result<std::optional<LinkFacts>> link = find_link(host, name);
  if (!link || !*link) return link;
  if ((*link)->kind != "veth" || ((*link)->alias != alias && !(*link)->alias.empty()))
    return foreign_host_link(name, (*link)->alias);
  return link;
}

// What is there already of this attachment: true when the pair is complete, false when there is nothing
// (any more).
Result<bool> clear_or_adopt(NetlinkSocket& host, const PodLinkSpec& spec, const Netns& netns) {
  Result<std::optional<LinkFacts>> host_end = find_own(host, spec.host_interface, spec.alias);
  if (!host_end) return host_end.error();
  Result<NetlinkSocket> pod = NetlinkSocket::open(NETLINK_ROUTE, netns.fd());
  if (!pod) return Error{"FL4301", pod.error().what, pod.error().fix};
  Result<std::optional<LinkFacts>> pod_end = find_link(*pod, spec.interface);
  if (!pod_end) return pod_end.error();
  if (*host_end && *pod_end && (*host_end)->peer_index == (*pod_end)->index &&
      (*pod_end)->peer_index == (*host_end)->index)
    return true;
  if (*pod_end)
    return Error{"FL4101", "interface " + spec.interface + " exists already in " + spec.netns,
                 "use another CNI_IFNAME, or DEL the attachment that made it first"};
  if (*host_end) {
    if (Result<void> done = delete_link(host, (*host_end)->index); !done) return done.error();
  }
  return false;
}

}  // namespace

Result<PodLink> make_pod_link(const PodLinkSpec& spec) {
  Result<Netns> netns = Netns::open(spec.netns);
  if (!netns) return netns.error();
  Result<NetlinkSocket> host = NetlinkSocket::open();
  if (!host) return Error{"FL4301", host.error().what, host.error().fix};
  const Result<bool> is_there = clear_or_adopt(*host, spec, *netns);
  if (!is_there) return is_there.error();
  if (!*is_there) {
    if (Result<void> done = create_pair(*host, spec, *netns); !done) return done.error();
  }
  Result<std::optional<LinkFacts>> host_end = find_link(*host, spec.host_interface);
  Result<void> done = !host_end ? Result<void>(host_end.error())
                      : !*host_end
                          ? Result<void>(Error{"FL4303", spec.host_interface + " vanished", "try again"})
                          : configure_host_end(*host, spec, (*host_end)->index);
  if (done) done = netns->run([&spec] { return configure_pod_end(spec); });
  if (done) return PodLink{(*host_end)->index, (*host_end)->mac};
  Error error = done.error();
  if (!*is_there) {
    if (Result<void> undone = remove_pod_link(spec.host_interface, spec.alias); !undone)
      error.what += "; and taking it back failed: " + undone.error().what;
  }
  return error;
}

Result<void> remove_pod_link(const std::string& host_interface, const std::string& alias) {
  Result<NetlinkSocket> host = NetlinkSocket::open();
  if (!host) return Error{"FL4301", host.error().what, host.error().fix};
  Result<std::optional<LinkFacts>> link = find_own(*host, host_interface, alias);
  if (!link) return link.error();
  if (!*link) return {};
  return delete_link(*host, (*link)->index);
}

Result<PodLink> find_pod_link(const std::string& host_interface, const std::string& alias) {
  Result<NetlinkSocket> host = NetlinkSocket::open();
  if (!host) return Error{"FL4301", host.error().what, host.error().fix};
  Result<std::optional<LinkFacts>> link = find_own(*host, host_interface, alias);
  if (!link) return link.error();
  if (!*link) return Error{"FL4303", "the link " + host_interface + " is gone", "recreate the pod"};
  return PodLink{(*link)->index, (*link)->mac};
}

Result<PodLink> check_pod_link(const PodLinkSpec& spec) {
  const auto broken = [&](const std::string& what) {
    return Error{"FL4102", spec.interface + " of " + spec.netns + ": " + what, "recreate the pod"};
  };
  Result<PodLink> host_end = find_pod_link(spec.host_interface, spec.alias);
  if (!host_end) return host_end.error().code == "FL4301" ? host_end.error() : broken(host_end.error().what);
  Result<Netns> netns = Netns::open(spec.netns);
  if (!netns) return netns.error();
  Result<NetlinkSocket> pod = NetlinkSocket::open(NETLINK_ROUTE, netns->fd());
  if (!pod) return Error{"FL4301", pod.error().what, pod.error().fix};
  Result<std::optional<LinkFacts>> link = find_link(*pod, spec.interface);
  if (!link) return link.error();
  if (!*link) return broken("there is no such interface");
  if ((*link)->peer_index != host_end->host_ifindex)
    return broken("is not the other end of " + spec.host_interface);
  if ((*link)->mac != spec.mac) return broken("MAC is " + (*link)->mac.text() + ", not " + spec.mac.text());
  if (((*link)->flags & IFF_UP) == 0) return broken("is down");
  if ((*link)->mtu < spec.route_mtu)
    return broken("MTU is " + std::to_string((*link)->mtu) + ", routes need " +
                  std::to_string(spec.route_mtu));
  if ((*link)->gso_max_size > kPodGsoMaxSize)
    return broken("sends super-packets of " + std::to_string((*link)->gso_max_size) +
                  " bytes, more than the trunk takes");
  Result<std::string> missing = missing_routes(*pod, (*link)->index, spec);
  if (!missing) return missing.error();
  if (!missing->empty()) return broken(*missing + " is missing");
  return host_end;
}

Result<void> change_pod_mtu(const PodLinkSpec& spec, uint16_t route_mtu) {
  Result<Netns> netns = Netns::open(spec.netns);
  if (!netns) return netns.error();
  Result<NetlinkSocket> pod = NetlinkSocket::open(NETLINK_ROUTE, netns->fd());
  if (!pod) return Error{"FL4301", pod.error().what, pod.error().fix};
  Result<std::optional<LinkFacts>> link = find_link(*pod, spec.interface);
  if (!link) return link.error();
  if (!*link) return Error{"FL4303", spec.interface + " is gone from " + spec.netns, "recreate the pod"};
  return put_default_routes(*pod, (*link)->index, spec, route_mtu);
}

}  // namespace fairlead::control
