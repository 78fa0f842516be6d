#include "dataplane/core/node_state.hpp"

#include <algorithm>
#include <functional>
#include <set>

namespace fairlead::core {

namespace {

// 0xffffff would give an endpoint the gateway's MAC on the trunk.
constexpr EndpointId kLastEndpointId = 0xfffffe;
constexpr uint32_t kLastVni = 0xffffff;
constexpr uint16_t kSmallestMtu = 576;  // RFC 791: what every host must take

std::string name_of(const Endpoint& endpoint) {
  return "endpoint " + std::to_string(endpoint.id) + " (" + endpoint.pod_namespace + "/" + endpoint.pod_name +
         ")";
}

std::string name_of(const Peer& peer) {
  return "peer " + std::to_string(peer.id) + " (" + peer.node + ")";
}

std::string wrong_with(const Prefix& prefix) {
  if (!prefix.address) return "prefix without an address family";
  if (prefix.length > prefix.address.bits()) return "prefix " + prefix.text() + " is longer than its address";
  if (Prefix::enclosing(prefix.address, prefix.length) != prefix)
    return "prefix " + prefix.text() + " has host bits set";
  return {};
}

std::string wrong_with(const NodeSettings& settings) {
  if (settings.vni > kLastVni) return "VNI " + std::to_string(settings.vni) + " does not fit 24 bits";
  if (settings.tunnel_port == 0) return "tunnel port 0";
  if (settings.pod_mtu < kSmallestMtu) return "pod MTU " + std::to_string(settings.pod_mtu) + " is below 576";
  if (settings.vtep4 && !settings.vtep4.is_ipv4()) return "vtep4 " + settings.vtep4.text() + " is not IPv4";
  if (settings.vtep6 && !settings.vtep6.is_ipv6()) return "vtep6 " + settings.vtep6.text() + " is not IPv6";
  if (settings.masquerade4 && !settings.masquerade4.is_ipv4())
    return "masquerade4 " + settings.masquerade4.text() + " is not IPv4";
  if (settings.masquerade6 && !settings.masquerade6.is_ipv6())
    return "masquerade6 " + settings.masquerade6.text() + " is not IPv6";
  if (settings.snat_port_first == 0 || settings.snat_port_first > settings.snat_port_last)
    return "SNAT ports " + std::to_string(settings.snat_port_first) + "-" +
           std::to_string(settings.snat_port_last) + " are no range";
  for (const std::vector<Prefix>* list :
       {&settings.cluster_pods, &settings.local_pods, &settings.cluster_services, &settings.no_masquerade}) {
    for (const Prefix& prefix : *list) {
      if (std::string wrong = wrong_with(prefix); !wrong.empty()) return "settings: " + wrong;
    }
  }
  return {};
}

std::string wrong_with(const Endpoint& endpoint) {
  if (endpoint.id == 0 || endpoint.id > kLastEndpointId)
    return name_of(endpoint) + ": id is not in 1..16777214";
  if (endpoint.addresses.empty()) return name_of(endpoint) + ": no address";
  for (const IpAddress& address : endpoint.addresses) {
    if (!address) return name_of(endpoint) + ": address without a family";
  }
  return {};
}

std::string wrong_with(const Peer& peer) {
  if (peer.id == 0) return name_of(peer) + ": id is not in 1..65535";
  if (peer.next_hop4 && !peer.next_hop4.is_ipv4()) return name_of(peer) + ": next_hop4 is not IPv4";
  if (peer.next_hop6 && !peer.next_hop6.is_ipv6()) return name_of(peer) + ": next_hop6 is not IPv6";
  if (peer.transport == Transport::kOverlay && !peer.vtep)
    return name_of(peer) + ": overlay without a VTEP address";
  for (const Prefix& prefix : peer.pod_cidrs) {
    if (std::string wrong = wrong_with(prefix); !wrong.empty()) return name_of(peer) + ": " + wrong;
  }
  return {};
}

std::string unresolved(const Prefix& prefix, const RouteTarget& target) {
  return "route " + prefix.text() + ": no " + (target.kind == RouteKind::kEndpoint ? "endpoint " : "peer ") +
         std::to_string(target.target);
}

bool is_same(const std::shared_ptr<const Service>& a, const std::shared_ptr<const Service>& b) {
  return a == b || *a == *b;
}
template <typename Value>
bool is_same(const Value& a, const Value& b) {
  return a == b;
}

template <typename Map>
void diff_map(const Map& from, const Map& to,
              const std::function<void(const typename Map::value_type&)>& upsert,
              const std::function<void(const typename Map::key_type&)>& remove) {
  auto old = from.begin();
  for (const auto& entry : to) {
    for (; old != from.end() && old->first < entry.first; ++old) remove(old->first);
    if (old == from.end() || entry.first < old->first) {
      upsert(entry);
    } else {
      if (!is_same(old->second, entry.second)) upsert(entry);
      ++old;
    }
  }
  for (; old != from.end(); ++old) remove(old->first);
}

// What a delta would leave: looks through it into the state beneath, so that checking needs no copy of the
// state.
class Outcome {
 public:
  Outcome(const NodeState& base, const NodeStateDelta& delta) : base_(base) {
    for (const Endpoint& endpoint : delta.upsert_endpoints) new_endpoints_.insert(endpoint.id);
    for (const Peer& peer : delta.upsert_peers) new_peers_.insert(peer.id);
    gone_endpoints_.insert(delta.remove_endpoints.begin(), delta.remove_endpoints.end());
    gone_peers_.insert(delta.remove_peers.begin(), delta.remove_peers.end());
  }

  [[nodiscard]] bool resolves(const RouteTarget& target) const {
    switch (target.kind) {
      case RouteKind::kEndpoint:
        return gone_endpoints_.count(target.target) == 0 && has_endpoint(target.target);
      case RouteKind::kPeer:
        return target.target <= 0xffff && gone_peers_.count(static_cast<PeerId>(target.target)) == 0 &&
               has_peer(static_cast<PeerId>(target.target));
      case RouteKind::kHost:
      case RouteKind::kBlackhole:
        return true;
    }
    return false;
  }

  // Names what cannot be removed: it is not there, or is also put in.
  [[nodiscard]] std::string wrong_removal() const {
    for (const EndpointId id : gone_endpoints_) {
      if (new_endpoints_.count(id) != 0)
        return "endpoint " + std::to_string(id) + " is both added and removed";
      if (base_.endpoints.count(id) == 0)
        return "endpoint " + std::to_string(id) + " to remove does not exist";
    }
    for (const PeerId id : gone_peers_) {
      if (new_peers_.count(id) != 0) return "peer " + std::to_string(id) + " is both added and removed";
      if (base_.peers.count(id) == 0) return "peer " + std::to_string(id) + " to remove does not exist";
    }
    return {};
  }

  [[nodiscard]] bool removes_targets() const { return !gone_endpoints_.empty() || !gone_peers_.empty(); }

 private:
  [[nodiscard]] bool has_endpoint(EndpointId id) const {
    return new_endpoints_.count(id) != 0 || base_.endpoints.count(id) != 0;
  }
  [[nodiscard]] bool has_peer(PeerId id) const {
    return new_peers_.count(id) != 0 || base_.peers.count(id) != 0;
  }

  const NodeState& base_;
  std::set<EndpointId> new_endpoints_;
  std::set<EndpointId> gone_endpoints_;
  std::set<PeerId> new_peers_;
  std::set<PeerId> gone_peers_;
};

std::string wrong_with_routes(const NodeState& base, const NodeStateDelta& delta, const Outcome& outcome) {
  std::set<Prefix> changed;
  for (const auto& [prefix, target] : delta.upsert_routes) {
    if (std::string wrong = wrong_with(prefix); !wrong.empty()) return "route: " + wrong;
    if (!outcome.resolves(target)) return unresolved(prefix, target);
    changed.insert(prefix);
  }
  for (const Prefix& prefix : delta.remove_routes) {
    if (!changed.insert(prefix).second) return "route " + prefix.text() + " is removed twice or also added";
    if (base.routes.count(prefix) == 0) return "route " + prefix.text() + " to remove does not exist";
  }
  if (!outcome.removes_targets()) return {};
  // Only removals can leave a route that the delta does not name without its target.
  for (const auto& [prefix, target] : base.routes) {
    if (!outcome.resolves(target) && changed.count(prefix) == 0) return unresolved(prefix, target);
  }
  return {};
}

std::string wrong_with_services(const NodeState& base, const NodeStateDelta& delta) {
  std::set<ServiceId> changed;
  for (const auto& service : delta.upsert_services) {
    if (service == nullptr) return "a service without content";
    if (std::string wrong = wrong_with(*service); !wrong.empty()) return wrong;
    changed.insert(service->id);
  }
  for (const ServiceId id : delta.remove_services) {
    if (!changed.insert(id).second)
      return "service " + std::to_string(id) + " is removed twice or also added";
    if (base.services.count(id) == 0) return "service " + std::to_string(id) + " to remove does not exist";
  }
  return {};
}

std::string wrong_with(const NodeState& base, const NodeStateDelta& delta) {
  if (delta.to_generation <= delta.from_generation) {
    return "generation " + std::to_string(delta.to_generation) + " does not follow " +
           std::to_string(delta.from_generation);
  }
  if (delta.has_settings) {
    if (std::string wrong = wrong_with(delta.settings); !wrong.empty()) return wrong;
  }
  for (const Endpoint& endpoint : delta.upsert_endpoints) {
    if (std::string wrong = wrong_with(endpoint); !wrong.empty()) return wrong;
  }
  for (const Peer& peer : delta.upsert_peers) {
    if (std::string wrong = wrong_with(peer); !wrong.empty()) return wrong;
  }
  const Outcome outcome(base, delta);
  if (std::string wrong = outcome.wrong_removal(); !wrong.empty()) return wrong;
  if (std::string wrong = wrong_with_routes(base, delta, outcome); !wrong.empty()) return wrong;
  return wrong_with_services(base, delta);
}

}  // namespace

bool NodeState::operator==(const NodeState& other) const {
  return generation == other.generation && settings == other.settings && endpoints == other.endpoints &&
         peers == other.peers && routes == other.routes && services.size() == other.services.size() &&
         std::equal(
             services.begin(), services.end(), other.services.begin(),
             [](const auto& a, const auto& b) { return a.first == b.first && is_same(a.second, b.second); });
}

NodeStateDelta diff(const NodeState& from, const NodeState& to) {
  // Generation 0 is nothing yet: the way from there is a full state.
  static const NodeState kNothing;
  const NodeState& base = from.generation == 0 ? kNothing : from;
  NodeStateDelta delta;
  delta.from_generation = base.generation;
  delta.to_generation = to.generation;
  delta.has_settings = !(base.settings == to.settings);
  if (delta.has_settings) delta.settings = to.settings;
  diff_map<std::map<EndpointId, Endpoint>>(
      base.endpoints, to.endpoints,
      [&](const auto& entry) { delta.upsert_endpoints.push_back(entry.second); },
      [&](EndpointId id) { delta.remove_endpoints.push_back(id); });
  diff_map<std::map<PeerId, Peer>>(
      base.peers, to.peers, [&](const auto& entry) { delta.upsert_peers.push_back(entry.second); },
      [&](PeerId id) { delta.remove_peers.push_back(id); });
  diff_map<std::map<Prefix, RouteTarget>>(
      base.routes, to.routes, [&](const auto& entry) { delta.upsert_routes.emplace_back(entry); },
      [&](const Prefix& prefix) { delta.remove_routes.push_back(prefix); });
  diff_map<std::map<ServiceId, std::shared_ptr<const Service>>>(
      base.services, to.services, [&](const auto& entry) { delta.upsert_services.push_back(entry.second); },
      [&](ServiceId id) { delta.remove_services.push_back(id); });
  return delta;
}

std::string apply(NodeState& state, const NodeStateDelta& delta) {
  NodeState fresh;
  const bool full = delta.from_generation == 0;
  if (!full && delta.from_generation != state.generation) {
    return "delta is from generation " + std::to_string(delta.from_generation) +
           ", the state is generation " + std::to_string(state.generation);
  }
  NodeState& target = full ? fresh : state;
  if (std::string wrong = wrong_with(target, delta); !wrong.empty()) return wrong;

  if (delta.has_settings) target.settings = delta.settings;
  for (const Endpoint& endpoint : delta.upsert_endpoints) target.endpoints[endpoint.id] = endpoint;
  for (const Peer& peer : delta.upsert_peers) target.peers[peer.id] = peer;
  for (const auto& [prefix, route] : delta.upsert_routes) target.routes[prefix] = route;
  for (const Prefix& prefix : delta.remove_routes) target.routes.erase(prefix);
  for (const auto& service : delta.upsert_services) target.services[service->id] = service;
  for (const ServiceId id : delta.remove_services) target.services.erase(id);
  for (const PeerId id : delta.remove_peers) target.peers.erase(id);
  for (const EndpointId id : delta.remove_endpoints) target.endpoints.erase(id);
  target.generation = delta.to_generation;
  if (full) state = std::move(fresh);
  return {};
}

std::string validate(const NodeState& state) {
  if (std::string wrong = wrong_with(state.settings); !wrong.empty()) return wrong;
  for (const auto& [id, endpoint] : state.endpoints) {
    if (id != endpoint.id) return name_of(endpoint) + " is filed under id " + std::to_string(id);
    if (std::string wrong = wrong_with(endpoint); !wrong.empty()) return wrong;
  }
  for (const auto& [id, peer] : state.peers) {
    if (id != peer.id) return name_of(peer) + " is filed under id " + std::to_string(id);
    if (std::string wrong = wrong_with(peer); !wrong.empty()) return wrong;
  }
  const Outcome as_it_is(state, {});
  for (const auto& [prefix, target] : state.routes) {
    if (std::string wrong = wrong_with(prefix); !wrong.empty()) return "route: " + wrong;
    if (!as_it_is.resolves(target)) return unresolved(prefix, target);
  }
  for (const auto& [id, service] : state.services) {
    if (service == nullptr || id != service->id)
      return "service " + std::to_string(id) + " is empty or filed under another id";
    if (std::string wrong = wrong_with(*service); !wrong.empty()) return wrong;
  }
  return {};
}

MacAddress default_vtep_mac(const IpAddress& vtep) {
  const size_t last = vtep.bits() / 8;
  return {
      {0x02, 0x46, vtep.bytes[last - 4], vtep.bytes[last - 3], vtep.bytes[last - 2], vtep.bytes[last - 1]}};
}

MacAddress endpoint_mac(EndpointId id) {
  return {{0x02, 0x46, 0x4c, static_cast<uint8_t>(id >> 16), static_cast<uint8_t>(id >> 8),
           static_cast<uint8_t>(id)}};
}

}  // namespace fairlead::core
