#include "tests/daemon/fakes.hpp"

#include <cstdlib>
#include <stdexcept>

namespace fairlead::daemon {

core::Endpoint make_endpoint(core::EndpointId id) {
  core::Endpoint endpoint;
  endpoint.id = id;
  endpoint.pod_namespace = "default";
  endpoint.pod_name = "pod-" + std::to_string(id);
  endpoint.interface = "eth0";
  endpoint.host_interface = "fl" + std::to_string(id);
  endpoint.host_ifindex = 1000 + id;
  endpoint.mac = {{2, 0, 0, 0, 0, static_cast<uint8_t>(id)}};
  endpoint.addresses = {*core::IpAddress::parse("10.244.1." + std::to_string(id))};
  return endpoint;
}

core::NodeState make_state(uint64_t generation, const std::vector<core::EndpointId>& endpoints) {
  core::NodeState state;
  state.generation = generation;
  state.settings.node = "node-1";
  state.settings.vtep4 = *core::IpAddress::parse("192.0.2.1");
  state.settings.local_pods = {*core::Prefix::parse("10.244.1.0/24")};
  state.settings.cluster_pods = {*core::Prefix::parse("10.244.0.0/16")};
  core::Peer peer;
  peer.id = 1;
  peer.node = "node-2";
  peer.vtep = *core::IpAddress::parse("192.0.2.2");
  peer.vtep_mac = core::default_vtep_mac(peer.vtep);
  peer.pod_cidrs = {*core::Prefix::parse("10.244.2.0/24")};
  state.peers[1] = peer;
  state.routes[*core::Prefix::parse("10.244.1.0/24")] = {core::RouteKind::kBlackhole, 0};
  state.routes[*core::Prefix::parse("10.244.2.0/24")] = {core::RouteKind::kPeer, 1};
  for (const core::EndpointId id : endpoints) {
    state.endpoints[id] = make_endpoint(id);
    state.routes[core::Prefix::host(state.endpoints[id].addresses[0])] = {core::RouteKind::kEndpoint, id};
  }
  return state;
}

std::string make_temporary_directory() {
  char name[] = "/tmp/fairlead-daemon-XXXXXX";
  if (mkdtemp(name) == nullptr) throw std::runtime_error("mkdtemp");
  return name;
}

}  // namespace fairlead::daemon
