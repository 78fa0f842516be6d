#include "tests/model/services.hpp"

#include <algorithm>

namespace fairlead::model {

using golden::WorldFrontend;
using golden::WorldService;

std::optional<Addressed> addressed(const World& world, int protocol, const Bytes& destination,
                                   uint16_t port) {
  std::optional<Addressed> best;
  for (const auto& [id, service] : world.services) {
    if (service.protocol != protocol || service.ipv6 != (destination.size() == 16)) continue;
    for (const WorldFrontend& one : service.frontends) {
      if (one.port != port) continue;
      const std::vector<Bytes>& nodes = world.node_port_addresses;
      const bool here = one.kind == WorldFrontend::Kind::kNodePort
                            ? std::find(nodes.begin(), nodes.end(), destination) != nodes.end()
                            : one.address == destination;
      if (here && (!best || one.kind == WorldFrontend::Kind::kClusterIp))
        best = Addressed{&service, one.kind};
    }
  }
  return best;
}

bool is_service_address(const World& world, const Bytes& address) {
  if (is_in(world.cluster_services, address)) return true;
  for (const auto& [id, service] : world.services) {
    for (const WorldFrontend& one : service.frontends) {
      if (one.address == address) return true;
    }
  }
  return false;
}

bool is_outside(const World& world, const From& from, const IpPacket& packet) {
  if (from.port != golden::kUplinkPort) return false;
  // In a tunnel or in plain: another node's pod.
  return !is_in(world.cluster_pods, packet.source) ||
         std::none_of(world.peers.begin(), world.peers.end(),
                      [&](const golden::WorldPeer& peer) { return is_in(peer.cidrs, packet.source); });
}

Judgement refuse(const World& world, const From& from, const IpPacket& packet, const std::string& reason) {
  if (packet.protocol == 6 && !packet.later_fragment && !packet.more_fragments)
    return reset(world, from, packet, reason);
  return answer(world, from, packet, reason, {3, 3, 1, 4});
}

bool is_reserved(const World& world, int protocol, uint16_t port) {
  if (protocol == 17 && port == world.tunnel_port) return true;
  for (const auto& [id, service] : world.services) {
    if (service.protocol != protocol) continue;
    for (const WorldFrontend& one : service.frontends) {
      if (one.kind == WorldFrontend::Kind::kNodePort && one.port == port) return true;
    }
  }
  return false;
}

}  // namespace fairlead::model
