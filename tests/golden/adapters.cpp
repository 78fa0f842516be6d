// From test text to what an engine is given.
#include "tests/golden/rows.hpp"

#include <algorithm>

namespace fairlead::golden {
namespace {

core::IpAddress address_of(const Bytes& bytes) {
  core::IpAddress address;
  if (bytes.empty()) return address;
  std::copy(bytes.begin(), bytes.end(), address.bytes.begin());
  address.family = bytes.size() == 4 ? core::Family::kIpv4 : core::Family::kIpv6;
  return address;
}

core::Prefix prefix_of(const Net& net) {
  return {address_of(net.address), static_cast<uint8_t>(net.length)};
}

core::MacAddress mac_of(const Bytes& bytes) {
  core::MacAddress mac;
  std::copy(bytes.begin(), bytes.end(), mac.bytes.begin());
  return mac;
}

core::Frontend frontend_of(const WorldFrontend& one) {
  using Kind = WorldFrontend::Kind;
  switch (one.kind) {
    case Kind::kClusterIp:
      return {core::FrontendKind::kClusterIp, address_of(one.address), static_cast<uint16_t>(one.port)};
    case Kind::kLoadBalancer:
      return {core::FrontendKind::kLoadBalancer, address_of(one.address), static_cast<uint16_t>(one.port)};
    case Kind::kExternalIp:
      return {core::FrontendKind::kExternalIp, address_of(one.address), static_cast<uint16_t>(one.port)};
    case Kind::kNodePort:
      break;
  }
  return {core::FrontendKind::kNodePort, {}, static_cast<uint16_t>(one.port)};
}

core::Service service_of(const WorldService& from) {
  core::Service service;
  service.id = from.id;
  const size_t slash = from.name.find('/'), colon = from.name.find(':');
  service.service_namespace = from.name.substr(0, slash);
  service.name = from.name.substr(slash + 1, colon == std::string::npos ? colon : colon - slash - 1);
  if (colon != std::string::npos) service.port_name = from.name.substr(colon + 1);
  service.protocol = static_cast<uint8_t>(from.protocol);
  service.is_ipv6 = from.ipv6;
  for (const WorldFrontend& one : from.frontends) service.frontends.push_back(frontend_of(one));
  for (const WorldBackend& one : from.backends) {
    const auto index = static_cast<uint32_t>(service.backends.size());
    service.backends.push_back(
        {address_of(one.address), static_cast<uint16_t>(one.port), one.serving, one.local, one.object, ""});
    if (one.in_cluster) service.cluster_backends.push_back(index);
    if (one.in_local) service.local_backends.push_back(index);
  }
  service.internal_local = from.internal_local;
  service.external_local = from.external_local;
  service.affinity_seconds = from.affinity_seconds;
  for (const Net& net : from.source_ranges) service.source_ranges.push_back(prefix_of(net));
  return service;
}

void add_services(const World& world, core::NodeState& state) {
  core::NodeSettings& settings = state.settings;
  for (const Net& net : world.cluster_services) settings.cluster_services.push_back(prefix_of(net));
  for (const Net& net : world.no_masquerade) settings.no_masquerade.push_back(prefix_of(net));
  for (const Bytes& one : world.node_port_addresses) settings.node_port_addresses.push_back(address_of(one));
  settings.masquerade4 = address_of(world.masquerade4);
  settings.masquerade6 = address_of(world.masquerade6);
  settings.snat_port_first = static_cast<uint16_t>(world.snat_first);
  settings.snat_port_last = static_cast<uint16_t>(world.snat_last);
  for (const auto& [id, service] : world.services) {
    state.services[id] = std::make_shared<const core::Service>(service_of(service));
  }
}

}  // namespace

core::NodeState node_state_of(const World& world, uint64_t generation) {
  core::NodeState state;
  state.generation = generation;
  core::NodeSettings& settings = state.settings;
  settings.node = world.name;
  settings.mode = world.mode;
  settings.encapsulation = world.geneve ? core::Encapsulation::kGeneve : core::Encapsulation::kVxlan;
  settings.vni = world.vni;
  settings.tunnel_port = static_cast<uint16_t>(world.tunnel_port);
  settings.vtep4 = address_of(world.vtep4);
  settings.vtep6 = address_of(world.vtep6);
  settings.pod_mtu = static_cast<uint16_t>(world.pod_mtu);
  settings.uplink_mtu = static_cast<uint16_t>(world.uplink_mtu);
  for (const Net& net : world.cluster_pods) settings.cluster_pods.push_back(prefix_of(net));
  for (const Net& net : world.local_pods) {
    settings.local_pods.push_back(prefix_of(net));
    state.routes[prefix_of(net)] = {core::RouteKind::kBlackhole, 0};
  }
  for (const Bytes& own : {world.vtep4, world.vtep6}) {
    if (!own.empty()) state.routes[core::Prefix::host(address_of(own))] = {core::RouteKind::kHost, 0};
  }
  for (const WorldEndpoint& endpoint : world.endpoints) {
    core::Endpoint& one = state.endpoints[endpoint.id];
    one.id = endpoint.id;
    one.pod_namespace = "default";
    one.pod_name = endpoint.name;
    one.container_id = endpoint.name;
    one.interface = "eth0";
    one.host_interface = "fl" + endpoint.name;
    one.host_ifindex = 1000 + endpoint.id;
    one.mac = mac_of(endpoint.mac);
    for (const Bytes& bytes : endpoint.addresses) {
      one.addresses.push_back(address_of(bytes));
      state.routes[core::Prefix::host(address_of(bytes))] = {core::RouteKind::kEndpoint, endpoint.id};
    }
  }
  for (const WorldPeer& peer : world.peers) {
    core::Peer& one = state.peers[static_cast<core::PeerId>(peer.id)];
    one.id = static_cast<core::PeerId>(peer.id);
    one.node = peer.name;
    one.transport = peer.overlay ? core::Transport::kOverlay : core::Transport::kRouted;
    one.vtep = address_of(peer.vtep);
    one.alternate_vtep = address_of(peer.alternate);
    one.vtep_mac = mac_of(peer.vtep_mac);
    one.next_hop4 = address_of(peer.next_hop4);
    one.next_hop6 = address_of(peer.next_hop6);
    for (const Net& net : peer.cidrs) {
      one.pod_cidrs.push_back(prefix_of(net));
      state.routes[prefix_of(net)] = {core::RouteKind::kPeer, peer.id};
    }
  }
  add_services(world, state);
  return state;
}

core::Underlay underlay_of(const World& world) {
  core::Underlay underlay;
  for (const auto& [port, mac] : world.port_macs) {
    underlay.links[static_cast<core::PortId>(port)] = {mac_of(mac),
                                                       static_cast<uint16_t>(world.port_mtus.at(port)), true};
  }
  for (const WorldRoute& route : world.underlay) {
    core::UnderlayRoute& one = underlay.routes[prefix_of(route.net)];
    if (route.kind == "local") {
      one.kind = core::UnderlayRouteKind::kLocal;
    } else {
      one.next_hops.push_back({address_of(route.gateway), static_cast<core::PortId>(route.port), 1});
    }
  }
  for (const auto& [address, mac] : world.neighbours)
    underlay.neighbours[{kUplinkPort, address_of(address)}] = mac_of(mac);
  return underlay;
}

}  // namespace fairlead::golden
