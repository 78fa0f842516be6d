#include "dataplane/core/snapshot_builder.hpp"

#include <algorithm>

// The part of SnapshotBuilder that computes how packets leave: what a next hop stands for -> its paths and
// their templates. Reads NodeState, Underlay and ports; changes nothing.

namespace fairlead::core {

namespace {

mac_address wire(const MacAddress& mac) {
  mac_address out;
  std::memcpy(out.bytes, mac.bytes.data(), sizeof(out.bytes));
  return out;
}

ip_address wire(const IpAddress& address) {
  ip_address out;
  std::memcpy(&out, address.bytes.data(), sizeof(out));
  return out;
}

void put_macs(Template& content, const MacAddress& destination, const MacAddress& source) {
  const mac_address to = wire(destination), from = wire(source);
  encap_build_plain(&content.encap, &to, &from);
}

}  // namespace

const PortFacts* SnapshotBuilder::live_uplink(PortId id) const {
  const auto port = ports_.find(id);
  if (port == ports_.end() || port->second.kind != PortKind::kUplink || !port->second.up) return nullptr;
  const auto link = underlay_.links.find(id);
  return link == underlay_.links.end() || link->second.up ? &port->second : nullptr;
}

uint16_t SnapshotBuilder::link_mtu(PortId id) const {
  const auto link = underlay_.links.find(id);
  return link != underlay_.links.end() ? link->second.mtu : ports_.at(id).mtu;
}

const MacAddress* SnapshotBuilder::mac_of(const NeighbourKey& neighbour) const {
  const auto found = underlay_.neighbours.find({neighbour.port, neighbour.address});
  return found != underlay_.neighbours.end() ? &found->second : nullptr;
}

// The next hops of the longest unicast underlay route to `address`; null: none. Pod routes do not count: the
// underlay carries tunnels and must not lead back into them.
const SnapshotBuilder::Group* SnapshotBuilder::underlay_group(const IpAddress& address) const {
  for (int length = static_cast<int>(address.bits()); length >= 0; --length) {
    const auto route = underlay_.routes.find(Prefix::enclosing(address, static_cast<uint8_t>(length)));
    if (route == underlay_.routes.end()) continue;
    return route->second.kind == UnderlayRouteKind::kUnicast ? &route->second.next_hops : nullptr;
  }
  return nullptr;
}

SnapshotBuilder::Plan SnapshotBuilder::plan_down(Side far) {
  Plan path;
  path.content.kind = TemplateKind::kDown;
  path.content.far = far;
  return path;
}

SnapshotBuilder::Plan SnapshotBuilder::plan_punt() const {
  if (next_.host_port == 0) return plan_down(Side::host());
  Plan path;
  path.content.kind = TemplateKind::kPunt;
  path.content.far = Side::host();
  path.content.tx_port = next_.host_port;
  path.content.l3_mtu = path.content.tx_mtu = UINT16_MAX;
  put_macs(path.content, ports_.at(next_.host_port).mac, kGatewayMac);
  return path;
}

SnapshotBuilder::Plan SnapshotBuilder::plan_endpoint(const Endpoint& endpoint) const {
  const Side far = Side::endpoint(endpoint.id);
  const PortId id = endpoint.fast_port != 0 ? endpoint.fast_port : next_.trunk_port;
  const auto port = ports_.find(id);
  if (port == ports_.end() || !port->second.up) return plan_down(far);
  Plan path;
  path.content.kind = TemplateKind::kEthernet;
  path.content.far = far;
  path.content.tx_port = id;
  const uint16_t mtu = endpoint.fast_port != 0 ? port->second.mtu : node_.settings.uplink_mtu;
  path.content.l3_mtu = path.content.tx_mtu = mtu;
  put_macs(path.content, endpoint.fast_port != 0 ? endpoint.mac : endpoint_mac(endpoint.id), kGatewayMac);
  return path;
}

SnapshotBuilder::Plan SnapshotBuilder::plan_neighbour(const NeighbourKey& neighbour, Side far) const {
  const PortFacts* port = live_uplink(neighbour.port);
  if (port == nullptr) return plan_down(far);
  Plan path;
  path.needs = neighbour;
  path.content.far = far;
  path.content.tx_port = neighbour.port;
  path.content.l3_mtu = path.content.tx_mtu = link_mtu(neighbour.port);
  const MacAddress* mac = mac_of(neighbour);
  path.content.kind = mac != nullptr ? TemplateKind::kEthernet : TemplateKind::kUnresolved;
  if (mac != nullptr) {
    const auto link = underlay_.links.find(neighbour.port);
    put_macs(path.content, *mac, link != underlay_.links.end() ? link->second.mac : port->mac);
  }
  return path;
}

SnapshotBuilder::Plan SnapshotBuilder::plan_tunnel(const NeighbourKey& neighbour, const Peer& peer,
                                                   const IpAddress& source) const {
  Plan path = plan_neighbour(neighbour, Side::peer(peer.id));
  if (path.content.kind == TemplateKind::kDown) return path;
  const bool v4 = peer.vtep.is_ipv4();
  const uint16_t overhead = (v4 ? FL_ENCAP_TUNNEL4 : FL_ENCAP_TUNNEL6) - FL_ENCAP_PLAIN;
  if (const uint16_t learned = learned_path_mtu(peer.id); learned != 0) {
    path.content.tx_mtu = std::min(path.content.tx_mtu, learned);
  }
  path.content.l3_mtu = path.content.tx_mtu > overhead ? path.content.tx_mtu - overhead : 0;
  if (path.content.kind == TemplateKind::kUnresolved) return path;
  const ethernet_header* outer = reinterpret_cast<const ethernet_header*>(path.content.encap.header);
  encap_spec spec{};
  spec.source = wire(source);
  spec.destination = wire(peer.vtep);
  spec.outer_source = outer->source;
  spec.outer_destination = outer->destination;
  spec.inner_source =
      wire(node_.settings.vtep_mac == MacAddress{} ? default_vtep_mac(source) : node_.settings.vtep_mac);
  spec.inner_destination = wire(peer.vtep_mac == MacAddress{} ? default_vtep_mac(peer.vtep) : peer.vtep_mac);
  spec.vni = node_.settings.vni;
  spec.port = to_be16(node_.settings.tunnel_port);
  spec.ip_version = v4 ? 4 : 6;
  spec.kind = static_cast<uint8_t>(next_.tunnel_kind);
  spec.udp_checksum = !v4;  // kernel VXLAN devices refuse zero over IPv6 unless told otherwise
  path.content.kind = TemplateKind::kTunnel;
  encap_build_tunnel(&path.content.encap, &spec);
  return path;
}

std::vector<SnapshotBuilder::Plan> SnapshotBuilder::plan_peer(const Peer& peer, Family family) const {
  const Side far = Side::peer(peer.id);
  const bool tunnel = peer.transport == Transport::kOverlay;
  const IpAddress& target = tunnel ? peer.vtep : family == Family::kIpv4 ? peer.next_hop4 : peer.next_hop6;
  const IpAddress& source = peer.vtep.is_ipv4() ? node_.settings.vtep4 : node_.settings.vtep6;
  if (!target || (tunnel && !source)) return {};  // this family does not reach that node: no route
  // A link-local next hop (IPv6, RFC 5549) has no route of its own: it is on the link of every live uplink.
  Group every_link;
  if (!tunnel && family == Family::kIpv6 && target.bytes[0] == 0xfe && (target.bytes[1] & 0xc0) == 0x80) {
    for (const auto& [id, port] : ports_) {
      if (port.kind == PortKind::kUplink) every_link.push_back({{}, id, 1});
    }
  }
  const Group* group = every_link.empty() ? underlay_group(target) : &every_link;
  if (group == nullptr) return {};

  std::vector<Plan> paths;
  for (const UnderlayNextHop& hop : *group) {
    if (live_uplink(hop.port) == nullptr) continue;
    const NeighbourKey neighbour{hop.port, hop.gateway ? hop.gateway : target};
    paths.push_back(tunnel ? plan_tunnel(neighbour, peer, source) : plan_neighbour(neighbour, far));
    paths.back().weight = hop.weight;
  }
  if (paths.empty()) paths.push_back(plan_down(far));
  return paths;
}

std::vector<SnapshotBuilder::Plan> SnapshotBuilder::plan_group(const Group& group) const {
  std::vector<Plan> paths;
  for (const UnderlayNextHop& hop : group) {
    if (hop.port == 0) {
      paths.push_back(plan_punt());  // by a device of the kernel's
    } else if (live_uplink(hop.port) == nullptr) {
      continue;
    } else if (hop.gateway) {
      paths.push_back(plan_neighbour({hop.port, hop.gateway}, Side::uplink()));
    } else {
      paths.emplace_back();
      paths.back().on_link_port = hop.port;
    }
    paths.back().weight = hop.weight;
  }
  if (paths.empty()) paths.push_back(plan_down(Side::uplink()));
  return paths;
}

std::vector<SnapshotBuilder::Plan> SnapshotBuilder::plan(const Definition& definition) const {
  switch (definition.kind) {
    case NextHopKind::kEndpoint: {
      const auto endpoint = node_.endpoints.find(definition.id);
      if (endpoint == node_.endpoints.end()) return {};  // about to go
      return {plan_endpoint(endpoint->second)};
    }
    case NextHopKind::kPeer: {
      const auto peer = node_.peers.find(static_cast<PeerId>(definition.id));
      if (peer == node_.peers.end()) return {};
      return plan_peer(peer->second, definition.family);
    }
    case NextHopKind::kGateway:
      return plan_group(definition.group);
    case NextHopKind::kNeighbour:
      return {plan_neighbour(definition.neighbour, Side::uplink())};
    case NextHopKind::kHost:
      return {plan_punt()};
    case NextHopKind::kNone:
    case NextHopKind::kBlackhole:
    case NextHopKind::kUnreachable:
      return {};
  }
  return {};
}

}  // namespace fairlead::core
