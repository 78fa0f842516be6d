#include "dataplane/rpc/convert.hpp"

#include "dataplane/rpc/reader.hpp"

namespace fairlead::ipc {
namespace {

using core::Encapsulation;
using core::RouteKind;
using core::Transport;

constexpr Word<Encapsulation> kEncapsulations[] = {{"VXLAN", Encapsulation::kVxlan},
                                                   {"Geneve", Encapsulation::kGeneve}};
constexpr Word<Transport> kTransports[] = {{"Routed", Transport::kRouted}, {"Overlay", Transport::kOverlay}};
constexpr Word<RouteKind> kRouteKinds[] = {{"Endpoint", RouteKind::kEndpoint},
                                           {"Peer", RouteKind::kPeer},
                                           {"Host", RouteKind::kHost},
                                           {"Blackhole", RouteKind::kBlackhole}};
constexpr Word<PortKind> kPortKinds[] = {{"Uplink", PortKind::kUplink},
                                         {"Trunk", PortKind::kTrunk},
                                         {"Host", PortKind::kHost},
                                         {"Fast", PortKind::kFast}};

constexpr uint32_t kMaxEndpointId = (1u << 24) - 1;

std::string address_text(const core::IpAddress& address) {
  return address ? address.text() : std::string();
}

core::NodeSettings read_settings(Reader& reader, const rpc::Settings& message) {
  core::NodeSettings settings;
  settings.node = message.node();
  settings.mode = message.mode();
  settings.encapsulation = reader.word("encapsulation", message.encapsulation(), kEncapsulations);
  settings.vni = reader.number<uint32_t>("vni", message.vni(), 0, (1u << 24) - 1);
  settings.tunnel_port = reader.number<uint16_t>("tunnel_port", message.tunnel_port(), 1, 65535);
  settings.vtep4 = reader.optional_address("vtep4", message.vtep4(), core::Family::kIpv4);
  settings.vtep6 = reader.optional_address("vtep6", message.vtep6(), core::Family::kIpv6);
  settings.vtep_mac = reader.mac("vtep_mac", message.vtep_mac());
  settings.pod_mtu = reader.number<uint16_t>("pod_mtu", message.pod_mtu(), 68, 65535);
  settings.uplink_mtu = reader.number<uint16_t>("uplink_mtu", message.uplink_mtu(), 68, 65535);
  settings.cluster_pods = reader.prefixes("cluster_pods", message.cluster_pods());
  settings.local_pods = reader.prefixes("local_pods", message.local_pods());
  return settings;
}

core::Endpoint read_endpoint(Reader& reader, const rpc::Endpoint& message) {
  core::Endpoint endpoint;
  endpoint.id = reader.number<uint32_t>("id", message.id(), 1, kMaxEndpointId);
  endpoint.pod_namespace = message.pod_namespace();
  endpoint.pod_name = message.pod_name();
  endpoint.container_id = message.container_id();
  endpoint.interface = message.interface();
  endpoint.host_interface = message.host_interface();
  endpoint.host_ifindex = message.host_ifindex();
  endpoint.fast_port = reader.number<uint16_t>("fast_port", message.fast_port(), 0, 65535);
  endpoint.mac = reader.mac("mac", message.mac());
  for (int i = 0; i < message.addresses_size(); ++i) {
    endpoint.addresses.push_back(reader.address(indexed("addresses", i), message.addresses(i)));
  }
  return endpoint;
}

core::Peer read_peer(Reader& reader, const rpc::Peer& message) {
  core::Peer peer;
  peer.id = reader.number<uint16_t>("id", message.id(), 1, 65535);
  peer.node = message.node();
  peer.transport = reader.word("transport", message.transport(), kTransports);
  peer.vtep = reader.optional_address("vtep", message.vtep());
  peer.alternate_vtep = reader.optional_address("alternate_vtep", message.alternate_vtep());
  peer.vtep_mac = reader.mac("vtep_mac", message.vtep_mac());
  // An IPv4 prefix may leave by an IPv6 next hop (RFC 5549), so the family is not held to the name.
  peer.next_hop4 = reader.optional_address("next_hop4", message.next_hop4());
  peer.next_hop6 = reader.optional_address("next_hop6", message.next_hop6());
  peer.pod_cidrs = reader.prefixes("pod_cidrs", message.pod_cidrs());
  return peer;
}

std::pair<core::Prefix, core::RouteTarget> read_route(Reader& reader, const rpc::Route& message) {
  const core::Prefix prefix = reader.prefix("prefix", message.prefix());
  const RouteKind kind = reader.word("kind", message.kind(), kRouteKinds);
  return {prefix, {kind, message.target()}};
}

// Endpoints, peers and routes of a state and of a delta are read alike.
template <typename Messages, typename Read, typename Take>
void read_each(Reader& reader, const char* field, const Messages& messages, const Read& read,
               const Take& take) {
  for (int i = 0; i < messages.size() && reader.ok(); ++i) {
    const Reader::Scope scope(reader, indexed(field, i));
    auto value = read(reader, messages.Get(i));
    if (reader.ok()) take(reader, std::move(value));
  }
}

}  // namespace

std::string_view text(Encapsulation encapsulation) {
  return word_for(kEncapsulations, encapsulation);
}
std::string_view text(Transport transport) {
  return word_for(kTransports, transport);
}
std::string_view text(RouteKind kind) {
  return word_for(kRouteKinds, kind);
}
std::string_view text(PortKind kind) {
  return word_for(kPortKinds, kind);
}

rpc::Settings to_message(const core::NodeSettings& settings) {
  rpc::Settings message;
  message.set_node(settings.node);
  message.set_mode(settings.mode);
  message.set_encapsulation(std::string(text(settings.encapsulation)));
  message.set_vni(settings.vni);
  message.set_tunnel_port(settings.tunnel_port);
  message.set_vtep4(address_text(settings.vtep4));
  message.set_vtep6(address_text(settings.vtep6));
  message.set_vtep_mac(settings.vtep_mac.text());
  message.set_pod_mtu(settings.pod_mtu);
  message.set_uplink_mtu(settings.uplink_mtu);
  for (const core::Prefix& prefix : settings.cluster_pods) message.add_cluster_pods(prefix.text());
  for (const core::Prefix& prefix : settings.local_pods) message.add_local_pods(prefix.text());
  return message;
}

rpc::Endpoint to_message(const core::Endpoint& endpoint) {
  rpc::Endpoint message;
  message.set_id(endpoint.id);
  message.set_pod_namespace(endpoint.pod_namespace);
  message.set_pod_name(endpoint.pod_name);
  message.set_container_id(endpoint.container_id);
  message.set_interface(endpoint.interface);
  message.set_host_interface(endpoint.host_interface);
  message.set_host_ifindex(endpoint.host_ifindex);
  message.set_fast_port(endpoint.fast_port);
  message.set_mac(endpoint.mac.text());
  for (const core::IpAddress& address : endpoint.addresses) message.add_addresses(address.text());
  return message;
}

rpc::Peer to_message(const core::Peer& peer) {
  rpc::Peer message;
  message.set_id(peer.id);
  message.set_node(peer.node);
  message.set_transport(std::string(text(peer.transport)));
  message.set_vtep(address_text(peer.vtep));
  message.set_alternate_vtep(address_text(peer.alternate_vtep));
  message.set_vtep_mac(peer.vtep_mac.text());
  message.set_next_hop4(address_text(peer.next_hop4));
  message.set_next_hop6(address_text(peer.next_hop6));
  for (const core::Prefix& prefix : peer.pod_cidrs) message.add_pod_cidrs(prefix.text());
  return message;
}

rpc::Route to_message(const core::Prefix& prefix, const core::RouteTarget& target) {
  rpc::Route message;
  message.set_prefix(prefix.text());
  message.set_kind(std::string(text(target.kind)));
  message.set_target(target.target);
  return message;
}

rpc::NodeState to_message(const core::NodeState& state) {
  rpc::NodeState message;
  message.set_generation(state.generation);
  *message.mutable_settings() = to_message(state.settings);
  for (const auto& [id, endpoint] : state.endpoints) *message.add_endpoints() = to_message(endpoint);
  for (const auto& [id, peer] : state.peers) *message.add_peers() = to_message(peer);
  for (const auto& [prefix, target] : state.routes) {
    rpc::Route& route = *message.add_routes();
    route = to_message(prefix, target);
    if (target.kind == RouteKind::kEndpoint) {
      if (const auto it = state.endpoints.find(target.target); it != state.endpoints.end()) {
        route.set_target_name(it->second.pod_namespace + "/" + it->second.pod_name);
      }
    } else if (target.kind == RouteKind::kPeer) {
      if (const auto it = state.peers.find(static_cast<core::PeerId>(target.target));
          it != state.peers.end()) {
        route.set_target_name(it->second.node);
      }
    }
  }
  return message;
}

rpc::NodeStateDelta to_message(const core::NodeStateDelta& delta) {
  rpc::NodeStateDelta message;
  message.set_from_generation(delta.from_generation);
  message.set_to_generation(delta.to_generation);
  if (delta.has_settings) *message.mutable_settings() = to_message(delta.settings);
  for (const core::Endpoint& endpoint : delta.upsert_endpoints) {
    *message.add_upsert_endpoints() = to_message(endpoint);
  }
  for (const core::Peer& peer : delta.upsert_peers) *message.add_upsert_peers() = to_message(peer);
  for (const auto& [prefix, target] : delta.upsert_routes) {
    *message.add_upsert_routes() = to_message(prefix, target);
  }
  for (const core::Prefix& prefix : delta.remove_routes) message.add_remove_routes(prefix.text());
  for (const core::PeerId id : delta.remove_peers) message.add_remove_peers(id);
  for (const core::EndpointId id : delta.remove_endpoints) message.add_remove_endpoints(id);
  return message;
}

Result<core::Endpoint> from_message(const rpc::Endpoint& message, std::string_view where) {
  Reader reader{std::string(where)};
  core::Endpoint endpoint = read_endpoint(reader, message);
  if (!reader.ok()) return reader.error();
  return endpoint;
}

Result<core::NodeState> from_message(const rpc::NodeState& message) {
  Reader reader("state");
  core::NodeState state;
  state.generation = message.generation();
  {
    const Reader::Scope scope(reader, "settings");
    state.settings = read_settings(reader, message.settings());
  }
  read_each(reader, "endpoints", message.endpoints(), read_endpoint, [&state](Reader& r, core::Endpoint e) {
    const core::EndpointId id = e.id;
    if (!state.endpoints.emplace(id, std::move(e)).second) {
      r.fail("id", std::to_string(id), "an id no other endpoint has");
    }
  });
  read_each(reader, "peers", message.peers(), read_peer, [&state](Reader& r, core::Peer p) {
    const core::PeerId id = p.id;
    if (!state.peers.emplace(id, std::move(p)).second)
      r.fail("id", std::to_string(id), "an id no other peer has");
  });
  read_each(reader, "routes", message.routes(), read_route,
            [&state](Reader& r, const std::pair<core::Prefix, core::RouteTarget>& route) {
              if (!state.routes.insert(route).second) {
                r.fail("prefix", route.first.text(), "a prefix no other route has");
              }
            });
  if (!reader.ok()) return reader.error();
  return state;
}

Result<core::NodeStateDelta> from_message(const rpc::NodeStateDelta& message) {
  Reader reader("delta");
  core::NodeStateDelta delta;
  delta.from_generation = message.from_generation();
  delta.to_generation = message.to_generation();
  delta.has_settings = message.has_settings();
  if (message.has_settings()) {
    const Reader::Scope scope(reader, "settings");
    delta.settings = read_settings(reader, message.settings());
  }
  const auto append = [](auto& list) {
    return [&list](Reader&, auto value) { list.push_back(std::move(value)); };
  };
  read_each(reader, "upsert_endpoints", message.upsert_endpoints(), read_endpoint,
            append(delta.upsert_endpoints));
  read_each(reader, "upsert_peers", message.upsert_peers(), read_peer, append(delta.upsert_peers));
  read_each(reader, "upsert_routes", message.upsert_routes(), read_route, append(delta.upsert_routes));
  delta.remove_routes = reader.prefixes("remove_routes", message.remove_routes());
  for (int i = 0; i < message.remove_peers_size(); ++i) {
    delta.remove_peers.push_back(
        reader.number<uint16_t>(indexed("remove_peers", i), message.remove_peers(i), 1, 65535));
  }
  for (int i = 0; i < message.remove_endpoints_size(); ++i) {
    delta.remove_endpoints.push_back(reader.number<uint32_t>(indexed("remove_endpoints", i),
                                                             message.remove_endpoints(i), 1, kMaxEndpointId));
  }
  if (!reader.ok()) return reader.error();
  return delta;
}

rpc::Error to_message(const Error& error) {
  rpc::Error message;
  message.set_code(error.code);
  message.set_what(error.what);
  message.set_fix(error.fix);
  return message;
}

Error from_message(const rpc::Error& message) {
  return {message.code(), message.what(), message.fix()};
}

}  // namespace fairlead::ipc
