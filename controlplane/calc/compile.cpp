#include "controlplane/calc/compile.hpp"

#include "controlplane/calc/ranges.hpp"

#include <algorithm>
#include <limits>
#include <set>

namespace fairlead::control {
namespace {

using core::IpAddress;
using core::Prefix;

// Outer headers in front of the inner IP packet: Ethernet of the inner frame 14, VXLAN or Geneve without
// options 8, UDP 8, and IPv4 20 or IPv6 40. The outer Ethernet header does not count against the MTU.
constexpr uint16_t kOverheadIpv4 = 14 + 8 + 8 + 20;
constexpr uint16_t kOverheadIpv6 = 14 + 8 + 8 + 40;

constexpr uint16_t kSmallestMtu = 576;      // RFC 791: what every host must take
constexpr uint16_t kSmallestWanted = 1280;  // RFC 8200 section 5, and the schema's lower bound

IpAddress of_family(const std::vector<IpAddress>& addresses, core::Family family) {
  const auto found = std::find_if(addresses.begin(), addresses.end(),
                                  [&](const IpAddress& a) { return a.family == family; });
  return found == addresses.end() ? IpAddress{} : *found;
}

class Compiler {
 public:
  Compiler(const Intent& intent, const core::NodeState& previous) : intent_(intent), previous_(previous) {}

  Compiled run() {
    settings();
    ranges();
    peers();
    host_addresses();
    endpoints();
    mtu();
    return std::move(out_);
  }

 private:
  void refuse(std::string code, std::string object, std::string field, std::string reason) {
    out_.refusals.push_back({std::move(code), std::move(object), std::move(field), std::move(reason)});
  }

  void settings() {
    core::NodeSettings& s = out_.state.settings;
    s.node = intent_.self;
    s.mode = intent_.network.mode == Mode::kOverlay  ? "Overlay"
             : intent_.network.mode == Mode::kRouted ? "Routed"
                                                     : "Auto";
    s.encapsulation = intent_.network.encapsulation;
    s.vni = intent_.network.vni;
    s.tunnel_port = intent_.network.port;
    s.uplink_mtu = intent_.host.uplink_mtu;
    const auto self = intent_.nodes.find(intent_.self);
    if (self == intent_.nodes.end()) {
      refuse("FL1033", "node/" + intent_.self, "metadata.name", "no Node object carries this node's name");
      return;
    }
    s.vtep4 = of_family(self->second.internal_ips, core::Family::kIpv4);
    s.vtep6 = of_family(self->second.internal_ips, core::Family::kIpv6);
    for (const IpAddress& address : {s.vtep4, s.vtep6}) {
      const auto& local = intent_.host.local_addresses;
      if (address && std::find(local.begin(), local.end(), address) == local.end()) {
        refuse("FL1033", "node/" + intent_.self, "status.addresses",
               address.text() + " is not an address of this host");
      }
    }
    const IpAddress vtep = s.vtep4 ? s.vtep4 : s.vtep6;
    if (!vtep) {
      refuse("FL1031", "node/" + intent_.self, "status.addresses",
             "no InternalIP: other nodes' pods cannot be reached");
    } else {
      s.vtep_mac = self->second.vtep_mac.value_or(core::default_vtep_mac(vtep));
    }
  }

  // Which node has which pod CIDR; own ones become local.
  void ranges() {
    owned_ = assign_ranges(intent_, previous_, out_.refusals);
    core::NodeSettings& s = out_.state.settings;
    if (const auto own = owned_.find(intent_.self); own != owned_.end()) {
      s.local_pods = own->second;
      for (const Prefix& prefix : own->second) out_.state.routes[prefix] = {core::RouteKind::kBlackhole, 0};
    }
    s.cluster_pods = intent_.network.pods;
    for (const auto& [node, prefixes] : owned_) {
      for (const Prefix& prefix : prefixes) {
        const auto covers = [&](const Prefix& wide) {
          return wide.length <= prefix.length && wide.overlaps(prefix);
        };
        if (std::none_of(s.cluster_pods.begin(), s.cluster_pods.end(), covers))
          s.cluster_pods.push_back(prefix);
      }
    }
    std::sort(s.cluster_pods.begin(), s.cluster_pods.end());
  }

  void peers() {
    std::set<core::PeerId> used;
    core::PeerId highest = 0;
    for (const auto& [id, peer] : previous_.peers) {
      used.insert(id);
      highest = std::max(highest, id);
      known_ids_.emplace(peer.node, id);
    }
    for (const auto& [name, node] : intent_.nodes) {
      if (name == intent_.self) continue;
      const auto owned = owned_.find(name);
      if (owned == owned_.end()) continue;  // has no pods to reach
      core::Peer peer;
      peer.node = name;
      peer.pod_cidrs = owned->second;
      if (!reach(node, peer)) continue;
      peer.id = id_of(name, used, highest);
      if (peer.id == 0) {
        refuse("FL1031", "node/" + name, "metadata.name", "more than 65535 nodes");
        continue;
      }
      route(peer);
      out_.state.peers.emplace(peer.id, std::move(peer));
    }
  }

  // Tunnel end, next hops and transport; false and a refusal when there is no way.
  bool reach(const NodeObject& node, core::Peer& peer) {
    const core::NodeSettings& s = out_.state.settings;
    const IpAddress four = of_family(node.internal_ips, core::Family::kIpv4);
    const IpAddress six = of_family(node.internal_ips, core::Family::kIpv6);
    const bool can_four = four && s.vtep4;
    const bool can_six = six && s.vtep6;
    if (!can_four && !can_six) {
      const bool has_any = four || six;
      refuse("FL1031", "node/" + node.name, "status.addresses",
             has_any ? "no InternalIP of a family that this node has too" : "no InternalIP");
      return false;
    }
    peer.vtep = can_four ? four : six;
    peer.alternate_vtep = can_four ? six : four;
    peer.vtep_mac = node.vtep_mac.value_or(core::default_vtep_mac(peer.vtep));
    if (can_four) peer.next_hop4 = four;
    if (can_six) peer.next_hop6 = six;
    peer.transport = transport(peer);
    return true;
  }

  static const IpAddress& next_hop(const core::Peer& peer, const Prefix& prefix) {
    return prefix.address.is_ipv4() ? peer.next_hop4 : peer.next_hop6;
  }

  // A range of a family that the two nodes do not share can be encapsulated but not routed.
  void route(const core::Peer& peer) {
    for (const Prefix& prefix : peer.pod_cidrs) {
      if (peer.transport == core::Transport::kRouted && !next_hop(peer, prefix)) {
        refuse("FL1031", "node/" + peer.node, "status.addresses",
               "mode Routed: " + prefix.text() + " needs an " + (prefix.address.is_ipv4() ? "IPv4" : "IPv6") +
                   " InternalIP on both nodes");
        continue;
      }
      out_.state.routes[prefix] = {core::RouteKind::kPeer, peer.id};
    }
  }

  core::Transport transport(const core::Peer& peer) const {
    if (intent_.network.mode == Mode::kOverlay) return core::Transport::kOverlay;
    if (intent_.network.mode == Mode::kRouted) return core::Transport::kRouted;
    const auto is_on_link = [&](const IpAddress& address) {
      return address && std::any_of(intent_.host.on_link.begin(), intent_.host.on_link.end(),
                                    [&](const Prefix& link) { return link.contains(address); });
    };
    for (const Prefix& prefix : peer.pod_cidrs) {
      if (!is_on_link(next_hop(peer, prefix))) return core::Transport::kOverlay;
    }
    return core::Transport::kRouted;
  }

  // The id that `previous` had for the node; otherwise one that it used for nobody, so that no id changes its
  // meaning in one step. 0 when all are taken.
  core::PeerId id_of(const std::string& node, std::set<core::PeerId>& used, core::PeerId& highest) {
    if (const auto known = known_ids_.find(node); known != known_ids_.end()) return known->second;
    constexpr core::PeerId kLast = std::numeric_limits<core::PeerId>::max();
    core::PeerId id = highest < kLast ? static_cast<core::PeerId>(highest + 1) : core::PeerId{0};
    if (id == 0) {
      for (uint32_t candidate = 1; candidate <= kLast && id == 0; ++candidate) {
        if (!used.contains(static_cast<core::PeerId>(candidate))) id = static_cast<core::PeerId>(candidate);
      }
    }
    if (id != 0) used.insert(id);
    highest = std::max(highest, id);
    return id;
  }

  void host_addresses() {
    for (const IpAddress& address : intent_.host.local_addresses) {
      out_.state.routes[Prefix::host(address)] = {core::RouteKind::kHost, 0};
    }
  }

  void endpoints() {
    // Who had an address before keeps it; then the smaller id.
    std::vector<const core::Endpoint*> order;
    for (const auto& [id, endpoint] : intent_.endpoints) order.push_back(&endpoint);
    std::stable_sort(order.begin(), order.end(), [&](const core::Endpoint* a, const core::Endpoint* b) {
      return previous_.endpoints.contains(a->id) > previous_.endpoints.contains(b->id);
    });
    for (const core::Endpoint* endpoint : order) {
      const std::string name = "pod/" + endpoint->pod_namespace + "/" + endpoint->pod_name;
      if (std::string why = conflict(*endpoint); !why.empty()) {
        refuse("FL1032", name, "status.podIPs", std::move(why));
        continue;
      }
      for (const IpAddress& address : endpoint->addresses) {
        out_.state.routes[Prefix::host(address)] = {core::RouteKind::kEndpoint, endpoint->id};
      }
      out_.state.endpoints.emplace(endpoint->id, *endpoint);
    }
  }

  std::string conflict(const core::Endpoint& endpoint) const {
    if (endpoint.addresses.empty()) return "no address";
    for (const IpAddress& address : endpoint.addresses) {
      const auto taken = out_.state.routes.find(Prefix::host(address));
      if (taken != out_.state.routes.end() && taken->second.kind == core::RouteKind::kEndpoint) {
        return address.text() + " is endpoint " + std::to_string(taken->second.target) + "'s";
      }
      if (taken != out_.state.routes.end() && taken->second.kind == core::RouteKind::kHost) {
        return address.text() + " is this node's own address";
      }
      for (const auto& [node, prefixes] : owned_) {
        if (node == intent_.self) continue;
        for (const Prefix& prefix : prefixes) {
          if (prefix.contains(address))
            return address.text() + " lies in " + prefix.text() + " of node/" + node;
        }
      }
    }
    return {};
  }

  void mtu() {
    core::NodeSettings& s = out_.state.settings;
    uint16_t overhead = 0;
    for (const auto& [id, peer] : out_.state.peers) {
      if (peer.transport != core::Transport::kOverlay) continue;
      overhead = std::max(overhead, peer.vtep.is_ipv4() ? kOverheadIpv4 : kOverheadIpv6);
    }
    // In mode Overlay the first peer is certain to need it: pods that start before it comes do not have to
    // change.
    if (intent_.network.mode == Mode::kOverlay) {
      overhead = std::max(overhead, s.vtep4 || !s.vtep6 ? kOverheadIpv4 : kOverheadIpv6);
    }
    const auto room = static_cast<uint16_t>(std::max<int>(s.uplink_mtu - overhead, kSmallestMtu));
    s.pod_mtu = room;
    const uint16_t wanted = intent_.network.mtu;
    if (wanted == 0) return;
    if (wanted <= room) {
      s.pod_mtu = wanted;
      return;
    }
    refuse("FL1042", "clusternetwork/default", "spec.overlay.mtu",
           std::to_string(wanted) + " does not fit uplink " + intent_.host.uplink + ": its MTU " +
               std::to_string(s.uplink_mtu) + " minus tunnel " + std::to_string(overhead) + " allows " +
               std::to_string(std::min(kSmallestWanted, room)) + ".." + std::to_string(room) + "; " +
               std::to_string(room) + " is in use");
  }

  const Intent& intent_;
  const core::NodeState& previous_;
  Compiled out_;
  std::map<std::string, std::vector<Prefix>> owned_;
  std::map<std::string, core::PeerId> known_ids_;
};

}  // namespace

Compiled compile(const Intent& intent, const core::NodeState& previous) {
  return Compiler(intent, previous).run();
}

}  // namespace fairlead::control
