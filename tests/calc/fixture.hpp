#pragma once

#include "controlplane/calc/compile.hpp"
#include "controlplane/intent/intent.hpp"

#include <string>
#include <vector>

namespace fairlead::control {

inline core::Prefix prefix(const std::string& text) {
  return core::Prefix::parse(text).value();
}
inline core::IpAddress ip(const std::string& text) {
  return core::IpAddress::parse(text).value();
}

inline NodeObject node(const std::string& name, const std::vector<std::string>& ips,
                       const std::vector<std::string>& cidrs) {
  NodeObject object;
  object.name = name;
  for (const std::string& text : ips) object.internal_ips.push_back(ip(text));
  for (const std::string& text : cidrs) object.pod_cidrs.push_back(prefix(text));
  return object;
}

inline core::Endpoint endpoint(core::EndpointId id, const std::vector<std::string>& addresses) {
  core::Endpoint e;
  e.id = id;
  e.pod_namespace = "default";
  e.pod_name = "pod-" + std::to_string(id);
  e.container_id = "c" + std::to_string(id);
  e.interface = "eth0";
  e.host_interface = "fl" + std::to_string(id);
  e.host_ifindex = 100 + id;
  e.mac = core::MacAddress{{0x02, 0, 0, 0, 0, static_cast<uint8_t>(id)}};
  for (const std::string& text : addresses) e.addresses.push_back(ip(text));
  return e;
}

// Node n1 at 192.0.2.1 and 2001:db8::1, uplink of 1500 bytes on 192.0.2.0/24 and 2001:db8::/64.
inline Intent base() {
  Intent intent;
  intent.self = "n1";
  intent.host = {.uplink = "eth0",
                 .uplink_mtu = 1500,
                 .on_link = {prefix("192.0.2.0/24"), prefix("2001:db8::/64")},
                 .local_addresses = {ip("192.0.2.1"), ip("2001:db8::1")}};
  apply(intent,
        NodeUpserted{node("n1", {"192.0.2.1", "2001:db8::1"}, {"10.244.1.0/24", "fd00:10:244:1::/64"})});
  return intent;
}

inline const core::Peer& peer(const core::NodeState& state, const std::string& name) {
  for (const auto& [id, found] : state.peers) {
    if (found.node == name) return found;
  }
  static const core::Peer kNone;
  return kNone;
}

// "FL1030 node/n2 spec.podCIDRs[0]: reason" a line.
inline std::string text(const std::vector<Refusal>& refusals) {
  std::string out;
  for (const Refusal& r : refusals) out += r.code + " " + r.object + " " + r.field + ": " + r.reason + "\n";
  return out;
}

}  // namespace fairlead::control
