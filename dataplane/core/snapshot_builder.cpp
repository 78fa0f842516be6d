#include "dataplane/core/snapshot_builder.hpp"

#include <algorithm>

namespace fairlead::core {

namespace {

constexpr uint32_t kPortsMax = decltype(Snapshot::ports)::kCapacity;
constexpr uint32_t kTemplatesMax = decltype(Snapshot::templates)::kCapacity;
// From here on finding out which flows a new prefix takes over costs more than judging all of them again.
constexpr size_t kManyRoutes = 4096;
constexpr size_t kManyServices = 256;

Error does_not_fit(const std::string& what) {
  return {"FL2110", "the change does not fit the running state: " + what,
          "publish a full state (from generation 0)"};
}

template <typename Map, typename Key>
const typename Map::mapped_type* find(const Map& map, const Key& key) {
  const auto found = map.find(key);
  return found == map.end() ? nullptr : &found->second;
}

}  // namespace

SnapshotBuilder::SnapshotBuilder() : definitions_(kFirstNextHop) {
  ++change_;
  definitions_[kHostNextHop].kind = NextHopKind::kHost;
  definitions_[kBlackholeNextHop].kind = NextHopKind::kBlackhole;
  definitions_[kUnreachableNextHop].kind = NextHopKind::kUnreachable;
  put_settings();
  static_cast<void>(put_service_settings(NodeSettings()));
  refresh_all();
}

Result<void> SnapshotBuilder::fits(const NodeStateDelta& delta) const {
  // Every endpoint and neighbour has one template, every peer and gateway group at most kPathsMax per family.
  const size_t endpoints = delta.from_generation == 0 ? 0 : node_.endpoints.size();
  const size_t peers = delta.from_generation == 0 ? 0 : node_.peers.size();
  const size_t wanted =
      endpoints + delta.upsert_endpoints.size() + underlay_.neighbours.size() +
      ((peers + delta.upsert_peers.size()) * 2 + group_next_hops_.size()) * NextHop::kPathsMax;
  if (wanted <= kTemplatesMax) return {};
  return Error{"FL2201",
               "endpoints, peers and neighbours need " + std::to_string(wanted) +
                   " header templates; this build has room for " + std::to_string(kTemplatesMax),
               "split the cluster or build with a larger template table"};
}

Result<void> SnapshotBuilder::publish(const NodeStateDelta& wanted) {
  if (auto room = fits(wanted); !room) return room;
  NodeStateDelta full;
  if (wanted.from_generation == 0) {
    NodeState target;
    if (const std::string wrong = apply(target, wanted); !wrong.empty()) return does_not_fit(wrong);
    full = diff(node_, target);
    full.from_generation = node_.generation;
    full.to_generation = target.generation;
  }
  const NodeStateDelta& delta = wanted.from_generation == 0 ? full : wanted;

  std::map<EndpointId, Endpoint> endpoints_before;
  std::map<PeerId, Peer> peers_before;
  for (const Endpoint& endpoint : delta.upsert_endpoints) {
    if (const Endpoint* before = find(node_.endpoints, endpoint.id)) endpoints_before[endpoint.id] = *before;
  }
  for (const Peer& peer : delta.upsert_peers) {
    if (const Peer* before = find(node_.peers, peer.id)) peers_before[peer.id] = *before;
  }
  for (PeerId id : delta.remove_peers) {
    if (const Peer* before = find(node_.peers, id)) peers_before[id] = *before;
  }
  ServicesBefore services_before;
  for (const auto& service : delta.upsert_services) {
    const auto* before = service != nullptr ? find(node_.services, service->id) : nullptr;
    if (before != nullptr) services_before[service->id] = *before;
  }
  for (const ServiceId id : delta.remove_services) {
    if (const auto* before = find(node_.services, id)) services_before[id] = *before;
  }
  const NodeSettings settings_before = node_.settings;
  if (const std::string wrong = apply(node_, delta); !wrong.empty()) return does_not_fit(wrong);

  ++change_;
  bulk_ = delta.upsert_routes.size() + delta.remove_routes.size() > kManyRoutes ||
          delta.upsert_services.size() + delta.remove_services.size() > kManyServices;
  std::set<Prefix> ranges;
  if (delta.has_settings) ranges = put_settings();
  for (const Endpoint& endpoint : delta.upsert_endpoints)
    put_endpoint(endpoint, find(endpoints_before, endpoint.id));
  for (const Peer& peer : delta.upsert_peers) put_peer(peer, find(peers_before, peer.id));
  if (delta.has_settings) refresh_all();
  for (const Prefix& prefix : ranges) refresh_prefix_and_below(prefix);
  for (const auto& [prefix, target] : delta.upsert_routes) refresh_prefix_and_below(prefix);
  for (const Prefix& prefix : delta.remove_routes) refresh_prefix_and_below(prefix);
  if (!delta.has_settings || !put_service_settings(settings_before)) put_services(delta, services_before);
  for (PeerId id : delta.remove_peers) {
    drop_vteps(peers_before[id]);
    path_mtus_.erase(id);
    next_.peers.reset(id);
    for (Family family : {Family::kIpv4, Family::kIpv6}) {
      if (const uint32_t* index = find(peer_next_hops_, std::pair{id, family})) remove_next_hop(*index);
      peer_next_hops_.erase({id, family});
    }
  }
  for (EndpointId id : delta.remove_endpoints) {
    next_.endpoints.reset(id);
    if (const uint32_t* index = find(endpoint_next_hops_, id)) remove_next_hop(*index);
    endpoint_next_hops_.erase(id);
    put_fast_port_owner(id, 0);
  }
  if (bulk_) judge_all_again();
  next_.generation = node_.generation;
  return {};
}

// Returns the pod ranges that came or went: the FIB must hear of them when all next hops are there.
std::set<Prefix> SnapshotBuilder::put_settings() {
  const NodeSettings& settings = node_.settings;
  next_.vni = settings.vni;
  next_.tunnel_port = settings.tunnel_port;
  next_.tunnel_kind = settings.encapsulation == Encapsulation::kGeneve ? FL_TUNNEL_GENEVE : FL_TUNNEL_VXLAN;
  next_.vtep4 = settings.vtep4;
  next_.vtep6 = settings.vtep6;
  next_.icmp_source4 = settings.vtep4 ? settings.vtep4 : *IpAddress::parse("169.254.1.1");
  next_.icmp_source6 = settings.vtep6 ? settings.vtep6 : *IpAddress::parse("fe80::1");

  next_.masquerade4 = settings.masquerade4;
  next_.masquerade6 = settings.masquerade6;
  next_.snat_port_first = settings.snat_port_first;
  next_.snat_port_last = settings.snat_port_last;
  std::vector<Prefix> unmasqueraded = settings.cluster_pods;
  unmasqueraded.insert(unmasqueraded.end(), settings.no_masquerade.begin(), settings.no_masquerade.end());
  next_.unmasqueraded = std::make_shared<const std::vector<Prefix>>(std::move(unmasqueraded));

  std::set<Prefix> moved = std::move(implicit_);
  implicit_.clear();
  implicit_.insert(settings.cluster_pods.begin(), settings.cluster_pods.end());
  implicit_.insert(settings.local_pods.begin(), settings.local_pods.end());
  moved.insert(implicit_.begin(), implicit_.end());
  return moved;
}

// VNI, VTEPs, MTUs and ports stand in templates of every kind; those that stay the same keep their
// generation.
void SnapshotBuilder::refresh_all() {
  for (uint32_t index = kHostNextHop; index < definitions_.size(); ++index) refresh(index, false);
}

void SnapshotBuilder::put_endpoint(const Endpoint& endpoint, const Endpoint* before) {
  next_.endpoints.set(endpoint.id, std::make_shared<const Endpoint>(endpoint));
  put_fast_port_owner(endpoint.id, endpoint.fast_port);
  const uint32_t* known = find(endpoint_next_hops_, endpoint.id);
  if (known == nullptr) {
    Definition definition;
    definition.kind = NextHopKind::kEndpoint;
    definition.id = endpoint.id;
    endpoint_next_hops_[endpoint.id] = add_next_hop(std::move(definition));
    return;
  }
  // Other addresses: its established flows must prove their source again.
  refresh(*known, before == nullptr || before->addresses != endpoint.addresses);
}

void SnapshotBuilder::put_peer(const Peer& peer, const Peer* before) {
  if (before != nullptr) drop_vteps(*before);
  if (before == nullptr || before->vtep != peer.vtep) path_mtus_.erase(peer.id);  // another way
  next_.peers.set(peer.id, std::make_shared<const Peer>(peer));
  if (peer.vtep) next_.vteps.set(peer.vtep, peer.id);
  if (peer.alternate_vtep) next_.vteps.set(peer.alternate_vtep, peer.id);
  const bool owns_otherwise = before == nullptr || before->pod_cidrs != peer.pod_cidrs ||
                              before->vtep != peer.vtep || before->alternate_vtep != peer.alternate_vtep;
  for (Family family : {Family::kIpv4, Family::kIpv6}) {
    if (const uint32_t* known = find(peer_next_hops_, std::pair{peer.id, family})) {
      refresh(*known, owns_otherwise);
      continue;
    }
    Definition definition;
    definition.kind = NextHopKind::kPeer;
    definition.id = peer.id;
    definition.family = family;
    peer_next_hops_[{peer.id, family}] = add_next_hop(std::move(definition));
  }
}

void SnapshotBuilder::drop_vteps(const Peer& peer) {
  for (const IpAddress& vtep : {peer.vtep, peer.alternate_vtep}) {
    const PeerId* owner = vtep ? next_.vteps.find(vtep) : nullptr;
    if (owner != nullptr && *owner == peer.id) next_.vteps.erase(vtep);
  }
}

Result<void> SnapshotBuilder::set_ports(std::span<const PortFacts> ports) {
  for (const PortFacts& port : ports) {
    if (port.id == 0 || port.id >= kPortsMax) {
      return Error{"FL2202",
                   "port id " + std::to_string(port.id) + " is not in 1.." + std::to_string(kPortsMax - 1),
                   "give the port a smaller id"};
    }
  }
  ++change_;
  for (const auto& [id, facts] : ports_) next_.ports.reset(id);
  ports_.clear();
  for (const PortFacts& port : ports) ports_[port.id] = port;
  put_port_views();
  refresh_all();
  return {};
}

void SnapshotBuilder::put_port_views() {
  next_.trunk_port = next_.host_port = next_.exclusive_uplink = 0;
  for (const auto& [id, facts] : ports_) {
    if (facts.kind == PortKind::kTrunk && next_.trunk_port == 0) next_.trunk_port = id;
    if (facts.kind == PortKind::kHost && next_.host_port == 0) next_.host_port = id;
    if (facts.kind == PortKind::kUplink && facts.exclusive && next_.exclusive_uplink == 0)
      next_.exclusive_uplink = id;
    const EndpointId* owner = find(fast_port_owners_, id);
    next_.ports.set(id, PortView{.present = true,
                                 .up = facts.up,
                                 .exclusive = facts.exclusive,
                                 .kind = facts.kind,
                                 .mtu = facts.mtu,
                                 .endpoint = owner != nullptr ? *owner : 0,
                                 .mac = facts.mac});
  }
}

void SnapshotBuilder::put_fast_port_owner(EndpointId endpoint, PortId port) {
  const auto put = [&](PortId at, EndpointId owner) {
    if (const PortView* known = next_.port(at)) {
      PortView view = *known;
      view.endpoint = owner;
      next_.ports.set(at, view);
    }
  };
  for (auto at = fast_port_owners_.begin(); at != fast_port_owners_.end();) {
    if (at->second != endpoint || at->first == port) {
      ++at;
      continue;
    }
    put(at->first, 0);
    at = fast_port_owners_.erase(at);
  }
  if (port == 0) return;
  fast_port_owners_[port] = endpoint;
  put(port, endpoint);
}

Result<void> SnapshotBuilder::set_underlay(const Underlay& underlay) {
  ++change_;
  const Underlay before = std::move(underlay_);
  underlay_ = underlay;

  // Neighbours: only the next hops that carry the MAC are concerned.
  std::set<uint32_t> concerned;
  const auto neighbour_changed = [&](const std::pair<PortId, IpAddress>& at) {
    const NeighbourKey key{at.first, at.second};
    if (const Adjacency* adjacency = find(adjacencies_, key)) {
      concerned.insert(adjacency->next_hops.begin(), adjacency->next_hops.end());
    }
    const bool there = underlay_.neighbours.contains(at);
    const uint32_t* known = find(neighbour_next_hops_, key);
    if (there && known == nullptr) {
      Definition definition;
      definition.kind = NextHopKind::kNeighbour;
      definition.neighbour = key;
      neighbour_next_hops_[key] = add_next_hop(std::move(definition));
    } else if (!there && known != nullptr) {
      concerned.erase(*known);
      remove_next_hop(*known);
      neighbour_next_hops_.erase(key);
    }
  };
  for (const auto& [at, mac] : underlay_.neighbours) {
    const MacAddress* old = find(before.neighbours, at);
    if (old == nullptr || *old != mac) neighbour_changed(at);
  }
  for (const auto& [at, mac] : before.neighbours) {
    if (!underlay_.neighbours.contains(at)) neighbour_changed(at);
  }
  for (uint32_t index : concerned) refresh(index, false);

  // Routes: their own prefixes, then whoever is reached through the underlay.
  std::vector<Prefix> moved;
  for (const auto& [prefix, route] : underlay_.routes) {
    const UnderlayRoute* old = find(before.routes, prefix);
    if (old == nullptr || *old != route) moved.push_back(prefix);
  }
  for (const auto& [prefix, route] : before.routes) {
    if (!underlay_.routes.contains(prefix)) moved.push_back(prefix);
  }
  bulk_ = moved.size() > kManyRoutes;
  for (const Prefix& prefix : moved) refresh_prefix(prefix);
  if (!moved.empty() || before.links != underlay_.links) {
    for (uint32_t index = kHostNextHop; index < definitions_.size(); ++index) {
      const NextHopKind kind = definitions_[index].kind;
      if (kind == NextHopKind::kPeer || before.links != underlay_.links) refresh(index, false);
    }
  }
  if (bulk_) judge_all_again();
  return {};
}

std::unique_ptr<const Snapshot> SnapshotBuilder::seal() {
  next_.fib4 = fib4_.seal();
  next_.fib6 = fib6_.seal();
  next_.translates = next_.masquerade4 || next_.masquerade6 || !node_.services.empty();
  next_.frontends = frontends_.frontends();
  ++next_.serial;
  return std::make_unique<const Snapshot>(next_);
}

void SnapshotBuilder::reclaim(const Snapshot& oldest) {
  fib4_.reclaim(oldest.fib4.version());
  fib6_.reclaim(oldest.fib6.version());
}

std::vector<UnresolvedNextHop> SnapshotBuilder::unresolved() const {
  std::vector<UnresolvedNextHop> wanted;
  for (const auto& [key, adjacency] : adjacencies_) {
    if (mac_of(key) == nullptr && live_uplink(key.port) != nullptr) {
      wanted.push_back({adjacency.number, key.port, key.address});
    }
  }
  return wanted;
}

}  // namespace fairlead::core
