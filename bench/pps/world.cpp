#include "bench/pps/world.hpp"

#include "dataplane/packet/ipv4.h"
#include "dataplane/packet/types.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <string>
#include <tuple>
#include <utility>

namespace fairlead::bench {
namespace {

using core::IpAddress;
using core::Prefix;

// Only for text of this file.
IpAddress address(const std::string& text) {
  return IpAddress::parse(text).value();  // NOLINT(bugprone-unchecked-optional-access)
}
Prefix prefix(const std::string& text) {
  return Prefix::parse(text).value();  // NOLINT(bugprone-unchecked-optional-access)
}

std::string hexadecimal(unsigned number) {
  char text[16];
  std::snprintf(text, sizeof text, "%x", number);
  return text;
}

// Pod n has the addresses 10.244.1.(1+n) and fd00:10:244:1::(101+n), and the id that their last two bytes
// make.
void add_pods(core::NodeState& state) {
  for (unsigned n = 0; n < kPods; ++n) {
    const core::EndpointId id = 0x0101 + n;
    core::Endpoint& pod = state.endpoints[id];
    pod.id = id;
    pod.host_interface = "fl" + std::to_string(n);
    pod.host_ifindex = 100 + n;
    pod.addresses = {address("10.244.1." + std::to_string(1 + n)),
                     address("fd00:10:244:1::" + hexadecimal(0x101 + n))};
    for (const IpAddress& one : pod.addresses) {
      state.routes[Prefix::host(one)] = {core::RouteKind::kEndpoint, id};
    }
  }
}

void add_services(core::NodeState& state, const Load& load) {
  state.settings.cluster_services = {prefix("10.96.0.0/12")};
  constexpr uint32_t kServiceBase = 0x0a600001, kBackendBase = 0x0af40201;
  for (uint32_t n = 0; n < load.services; ++n) {
    core::Service service;
    service.id = n + 1;
    service.service_namespace = "default";
    service.name = "service-" + std::to_string(n);
    service.protocol = FL_PROTOCOL_UDP;
    service.frontends = {
        {core::FrontendKind::kClusterIp, IpAddress::ipv4(to_be32(kServiceBase + n).raw), kServicePort}};
    for (uint32_t j = 0; j < load.backends; ++j) {
      core::Backend& backend = service.backends.emplace_back();
      backend.address = IpAddress::ipv4(to_be32(kBackendBase + backend_host(n, j)).raw);
      backend.port = backend_port(j);
    }
    std::sort(service.backends.begin(), service.backends.end(), [](const auto& a, const auto& b) {
      return std::tie(a.address, a.port) < std::tie(b.address, b.port);
    });
    for (uint32_t j = 0; j < load.backends; ++j) service.cluster_backends.push_back(j);
    state.services[service.id] = std::make_shared<const core::Service>(std::move(service));
  }
}

}  // namespace

core::NodeState node_state(const Load& load) {
  const bool geneve = replay::is_geneve(load.path->in) || replay::is_geneve(load.path->out);
  const bool overlay = replay::is_tunnel(load.path->in) || replay::is_tunnel(load.path->out);
  core::NodeState state;
  state.generation = 1;
  state.settings.encapsulation = geneve ? core::Encapsulation::kGeneve : core::Encapsulation::kVxlan;
  state.settings.tunnel_port = geneve ? 6081 : 4789;
  state.settings.vtep4 = address("192.0.2.1");
  state.settings.local_pods = {prefix("10.244.1.0/24"), prefix("fd00:10:244:1::/64")};
  state.settings.cluster_pods = {prefix("10.244.0.0/16"), prefix("fd00:10:244::/48")};
  state.routes[prefix("192.0.2.1/32")] = {core::RouteKind::kHost, 0};
  add_pods(state);
  core::Peer& peer = state.peers[2];
  peer.id = 2;
  peer.node = "node-2";
  peer.transport = overlay ? core::Transport::kOverlay : core::Transport::kRouted;
  peer.vtep = peer.next_hop4 = address("192.0.2.2");
  peer.next_hop6 = address("2001:db8::2");
  peer.pod_cidrs = {prefix("10.244.2.0/24"), prefix("fd00:10:244:2::/64")};
  for (const Prefix& cidr : peer.pod_cidrs) state.routes[cidr] = {core::RouteKind::kPeer, 2};
  for (uint32_t n = 0; load.routes > 1 && n < load.routes; ++n) {
    const be32 base = to_be32(kRouteBase + n * kRouteStride);
    state.routes[Prefix::enclosing(IpAddress::ipv4(base.raw), 28)] = {core::RouteKind::kPeer, 2};
  }
  if (load.path->to_service) add_services(state, load);
  return state;
}

core::Underlay underlay(const core::MacAddress& uplink) {
  constexpr core::MacAddress kPeerMac{{2, 0, 0, 0, 0, 9}};
  core::Underlay known;
  known.links[kUplink] = {uplink, 1600, true};
  known.routes[prefix("192.0.2.0/24")].next_hops.push_back({{}, kUplink, 1});
  known.routes[prefix("2001:db8::/64")].next_hops.push_back({{}, kUplink, 1});
  known.neighbours[{kUplink, address("192.0.2.2")}] = kPeerMac;
  known.neighbours[{kUplink, address("2001:db8::2")}] = kPeerMac;
  return known;
}

}  // namespace fairlead::bench
