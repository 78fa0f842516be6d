#include "dataplane/core/snapshot_builder.hpp"

// The part of SnapshotBuilder that names things for people: trace and flow listings.

namespace fairlead::core {

std::string SnapshotBuilder::describe(uint32_t next_hop) const {
  if (next_hop >= definitions_.size()) return "nothing";
  const Definition& definition = definitions_[next_hop];
  switch (definition.kind) {
    case NextHopKind::kEndpoint: {
      const auto endpoint = node_.endpoints.find(definition.id);
      if (endpoint == node_.endpoints.end()) break;
      return "endpoint " + endpoint->second.pod_namespace + "/" + endpoint->second.pod_name;
    }
    case NextHopKind::kPeer: {
      const auto found = node_.peers.find(static_cast<PeerId>(definition.id));
      if (found == node_.peers.end()) break;
      const char* tunnel = node_.settings.encapsulation == Encapsulation::kGeneve ? " geneve" : " vxlan";
      return "peer " + found->second.node +
             (found->second.transport == Transport::kRouted ? " routed" : tunnel);
    }
    case NextHopKind::kGateway: {
      std::string text;
      for (const UnderlayNextHop& hop : definition.group) {
        text += text.empty() ? "" : ", ";
        if (hop.port == 0) {
          text += "host";
        } else {
          text += hop.gateway ? "gateway " + hop.gateway.text() : "on-link";
          text += " port " + std::to_string(hop.port);
        }
      }
      return text;
    }
    case NextHopKind::kNeighbour:
      return "neighbour " + definition.neighbour.address.text() + " port " +
             std::to_string(definition.neighbour.port);
    case NextHopKind::kHost:
      return "host";
    case NextHopKind::kBlackhole:
      return "no pod at this address";
    case NextHopKind::kUnreachable:
      return "unreachable";
    case NextHopKind::kNone:
      break;
  }
  return "nothing";
}

std::string SnapshotBuilder::describe_route(const IpAddress& address) const {
  for (int length = static_cast<int>(address.bits()); length >= 0; --length) {
    const Prefix prefix = Prefix::enclosing(address, static_cast<uint8_t>(length));
    const uint32_t next_hop = fib_get(prefix);
    if (next_hop != kNoNextHop) return prefix.text() + " -> " + describe(next_hop);
  }
  return {};
}

}  // namespace fairlead::core
