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
constexpr Word<core::FrontendKind> kFrontendKinds[] = {{"ClusterIP", core::FrontendKind::kClusterIp},
                                                       {"NodePort", core::FrontendKind::kNodePort},
                                                       {"LoadBalancer", core::FrontendKind::kLoadBalancer},
                                                       {"ExternalIP", core::FrontendKind::kExternalIp}};
constexpr Word<core::ReplyPath> kReplyPaths[] = {{"ThisNode", core::ReplyPath::kThisNode},
                                                 {"Geneve", core::ReplyPath::kGeneve},
                                                 {"IPIP", core::ReplyPath::kIpInIp}};
constexpr Word<PortKind> kPortKinds[] = {{"Uplink", PortKind::kUplink},
                                         {"Trunk", PortKind::kTrunk},
                                         {"Host", PortKind::kHost},
                                         {"Fast", PortKind::kFast}};

constexpr uint32_t kMaxEndpointId = (1u << 24) - 1;
constexpr uint32_t kMaxServiceId = (1u << 24) - 1;

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
  settings.cluster_services = reader.prefixes("cluster_services", message.cluster_services());
  settings.node_port_addresses = reader.addresses("node_port_addresses", message.node_port_addresses());
  settings.masquerade4 = reader.optional_address("masquerade4", message.masquerade4(), core::Family::kIpv4);
  settings.masquerade6 = reader.optional_address("masquerade6", message.masquerade6(), core::Family::kIpv6);
  settings.no_masquerade = reader.prefixes("no_masquerade", message.no_masquerade());
  settings.snat_port_first = reader.number<uint16_t>("snat_port_first", message.snat_port_first(), 1, 65535);
  settings.snat_port_last =
      reader.number<uint16_t>("snat_port_last", message.snat_port_last(), message.snat_port_first(), 65535);
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
  endpoint.addresses = reader.addresses("addresses", message.addresses());
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

core::Frontend read_frontend(Reader& reader, const rpc::Frontend& message) {
  core::Frontend frontend;
  frontend.kind = reader.word("kind", message.kind(), kFrontendKinds);
  frontend.address = reader.optional_address("address", message.address());
  frontend.port = reader.number<uint16_t>("port", message.port(), 1, 65535);
  return frontend;
}

core::Backend read_backend(Reader& reader, const rpc::Backend& message) {
  core::Backend backend;
  backend.address = reader.address("address", message.address());
  backend.port = reader.number<uint16_t>("port", message.port(), 1, 65535);
  backend.serving = message.serving();
  backend.local = message.local();
  backend.object = message.object();
  backend.node = message.node();
  return backend;
}

std::vector<uint32_t> read_indices(Reader& reader, const char* field,
                                   const google::protobuf::RepeatedField<uint32_t>& messages, size_t count) {
  std::vector<uint32_t> indices;
  indices.reserve(static_cast<size_t>(messages.size()));
  for (int i = 0; i < messages.size(); ++i) {
    if (messages.Get(i) >= count || (!indices.empty() && messages.Get(i) <= indices.back())) {
      reader.fail(indexed(field, i), std::to_string(messages.Get(i)),
                  "ascending indices below " + std::to_string(count));
    }
    indices.push_back(messages.Get(i));
  }
  return indices;
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

std::shared_ptr<const core::Service> read_service(Reader& reader, const rpc::Service& message) {
  auto service = std::make_shared<core::Service>();
  service->id = reader.number<uint32_t>("id", message.id(), 1, kMaxServiceId);
  service->service_namespace = message.service_namespace();
  service->name = message.name();
  service->port_name = message.port_name();
  service->protocol = reader.number<uint8_t>("protocol", message.protocol(), 1, 255);
  service->is_ipv6 = message.is_ipv6();
  const auto append = [](auto& list) {
    return [&list](Reader&, auto value) { list.push_back(std::move(value)); };
  };
  service->frontends.reserve(static_cast<size_t>(message.frontends_size()));
  read_each(reader, "frontends", message.frontends(), read_frontend, append(service->frontends));
  service->backends.reserve(static_cast<size_t>(message.backends_size()));
  read_each(reader, "backends", message.backends(), read_backend, append(service->backends));
  const size_t count = service->backends.size();
  service->cluster_backends = read_indices(reader, "cluster_backends", message.cluster_backends(), count);
  service->local_backends = read_indices(reader, "local_backends", message.local_backends(), count);
  service->internal_local = message.internal_local();
  service->external_local = message.external_local();
  service->affinity_seconds =
      reader.number<uint32_t>("affinity_seconds", message.affinity_seconds(), 0, 86400);
  service->source_ranges = reader.prefixes("source_ranges", message.source_ranges());
  service->reply_path = reader.word("reply_path", message.reply_path(), kReplyPaths);
  if (reader.ok()) {
    if (const std::string wrong = core::wrong_with(*service); !wrong.empty())
      reader.fail("service", wrong, "what core::wrong_with() lets pass");
  }
  return service;
}

}  // namespace

std::string_view text(core::FrontendKind kind) {
  return word_for(kFrontendKinds, kind);
}
std::string_view text(core::ReplyPath path) {
  return word_for(kReplyPaths, path);
}
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
  for (const core::Prefix& prefix : settings.cluster_services) message.add_cluster_services(prefix.text());
  for (const core::IpAddress& address : settings.node_port_addresses)
    message.add_node_port_addresses(address.text());
  message.set_masquerade4(address_text(settings.masquerade4));
  message.set_masquerade6(address_text(settings.masquerade6));
  for (const core::Prefix& prefix : settings.no_masquerade) message.add_no_masquerade(prefix.text());
  message.set_snat_port_first(settings.snat_port_first);
  message.set_snat_port_last(settings.snat_port_last);
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

rpc::Service to_message(const core::Service& service) {
  rpc::Service message;
  message.set_id(service.id);
  message.set_service_namespace(service.service_namespace);
  message.set_name(service.name);
  message.set_port_name(service.port_name);
  message.set_protocol(service.protocol);
  message.set_is_ipv6(service.is_ipv6);
  for (const core::Frontend& frontend : service.frontends) {
    rpc::Frontend& row = *message.add_frontends();
    row.set_kind(std::string(text(frontend.kind)));
    row.set_address(address_text(frontend.address));
    row.set_port(frontend.port);
  }
  message.mutable_backends()->Reserve(static_cast<int>(service.backends.size()));
  for (const core::Backend& backend : service.backends) {
    rpc::Backend& row = *message.add_backends();
    row.set_address(backend.address.text());
    row.set_port(backend.port);
    row.set_serving(backend.serving);
    row.set_local(backend.local);
    row.set_object(backend.object.str());
    row.set_node(backend.node.str());
  }
  message.mutable_cluster_backends()->Add(service.cluster_backends.begin(), service.cluster_backends.end());
  message.mutable_local_backends()->Add(service.local_backends.begin(), service.local_backends.end());
  message.set_internal_local(service.internal_local);
  message.set_external_local(service.external_local);
  message.set_affinity_seconds(service.affinity_seconds);
  for (const core::Prefix& range : service.source_ranges) message.add_source_ranges(range.text());
  message.set_reply_path(std::string(text(service.reply_path)));
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
  rpc::NodeState message = to_message_without_services(state);
  for (const auto& [id, service] : state.services) *message.add_services() = to_message(*service);
  return message;
}

rpc::NodeState to_message_without_services(const core::NodeState& state) {
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
  rpc::NodeStateDelta message = to_message_without_services(delta);
  for (const auto& service : delta.upsert_services) *message.add_upsert_services() = to_message(*service);
  for (const core::ServiceId id : delta.remove_services) message.add_remove_services(id);
  return message;
}

rpc::NodeStateDelta to_message_without_services(const core::NodeStateDelta& delta) {
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
  read_each(reader, "services", message.services(), read_service,
            [&state](Reader& r, std::shared_ptr<const core::Service> service) {
              const core::ServiceId id = service->id;
              if (!state.services.emplace(id, std::move(service)).second)
                r.fail("id", std::to_string(id), "an id no other service has");
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
  read_each(reader, "upsert_services", message.upsert_services(), read_service,
            append(delta.upsert_services));
  for (int i = 0; i < message.remove_services_size(); ++i) {
    delta.remove_services.push_back(
        reader.number<uint32_t>(indexed("remove_services", i), message.remove_services(i), 1, kMaxServiceId));
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
