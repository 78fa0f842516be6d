#include "controlplane/calc/compile.hpp"

#include "controlplane/calc/ranges.hpp"

#include <algorithm>
#include <limits>
#include <set>
#include <utility>

namespace fairlead::control {
namespace {

using core::IpAddress;
using core::Prefix;

// Outer headers in front of the inner IP packet: Ethernet of the inner frame 14, VXLAN or Geneve without
// options 8, UDP 8, and IPv4 20 or IPv6 40. The outer Ethernet header does not count against the MTU.
// Direct server return is chosen, checked and carried to the dataplane; no engine does it yet. A Service that
// asks for it is told so and served the ordinary way.
constexpr bool kEngineReturnsDirectly = false;

constexpr uint16_t kOverheadIpv4 = 14 + 8 + 8 + 20;
constexpr uint16_t kOverheadIpv6 = 14 + 8 + 8 + 40;

// Direct server return by Geneve: one option, its header 4, the frontend's address 4 or 16, and port,
// protocol and padding 4.
constexpr uint16_t kReplyOptionIpv4 = 4 + 4 + 4;
constexpr uint16_t kReplyOptionIpv6 = 4 + 16 + 4;

constexpr uint16_t kSmallestMtu = 576;      // RFC 791: what every host must take
constexpr uint16_t kSmallestWanted = 1280;  // RFC 8200 section 5, and the schema's lower bound

IpAddress of_family(const std::vector<IpAddress>& addresses, core::Family family) {
  const auto found = std::find_if(addresses.begin(), addresses.end(),
                                  [&](const IpAddress& a) { return a.family == family; });
  return found == addresses.end() ? IpAddress{} : *found;
}

uint16_t overhead_of(const core::NodeSettings& s) {
  return s.vtep4 || !s.vtep6 ? kOverheadIpv4 : kOverheadIpv6;
}
uint16_t ipip_overhead(const core::NodeSettings& s) {
  return s.vtep4 || !s.vtep6 ? 20 : 40;
}

std::string does_not_fit(const core::NodeSettings& s, const char* what, int overhead) {
  if (s.pod_mtu + overhead <= s.uplink_mtu) return {};
  return std::string(what) + " needs " + std::to_string(overhead) + " bytes in front of pods' " +
         std::to_string(s.pod_mtu) + ", the uplink's MTU is " + std::to_string(s.uplink_mtu) +
         "; replies go through this node";
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

  // Of what run() has made.
  [[nodiscard]] static ServiceSurroundings surroundings(const Intent& intent, const core::NodeState& state) {
    ServiceSurroundings around;
    const core::NodeSettings& s = state.settings;
    around.self = intent.self;
    if (const auto self = intent.nodes.find(intent.self); self != intent.nodes.end())
      around.zone = self->second.zone;
    around.cluster_pods = s.cluster_pods;
    around.cluster_services = s.cluster_services;
    around.external_ip_ranges = intent.network.external_ip_ranges;
    for (const IpAddress& address : intent.host.local_addresses)
      around.node_addresses.emplace(address, "node/" + intent.self);
    for (const auto& [name, node] : intent.nodes) {
      for (const IpAddress& address : node.internal_ips)
        around.node_addresses.emplace(address, "node/" + name);
    }
    around.snat_port_first = s.snat_port_first;
    around.snat_port_last = s.snat_port_last;
    around.tunnel_port = s.tunnel_port;
    around.reply_path = intent.network.reply_path;
    for (const bool is_ipv6 : {false, true}) {
      if (!kEngineReturnsDirectly) {
        around.geneve_does_not_fit[is_ipv6] = around.ipip_does_not_fit[is_ipv6] =
            "no engine of this version returns directly; replies go through this node";
        continue;
      }
      around.geneve_does_not_fit[is_ipv6] =
          does_not_fit(s, "Geneve", overhead_of(s) + (is_ipv6 ? kReplyOptionIpv6 : kReplyOptionIpv4));
      around.ipip_does_not_fit[is_ipv6] = does_not_fit(s, "IPIP", ipip_overhead(s));
    }
    return around;
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
    s.cluster_services = intent_.network.services;
    s.no_masquerade = intent_.network.non_masquerade_cidrs;
    s.snat_port_first = intent_.network.snat_port_first;
    s.snat_port_last = intent_.network.snat_port_last;
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
    node_port_addresses();
    if (intent_.network.masquerade) {
      s.masquerade4 = s.vtep4;
      s.masquerade6 = s.vtep6;
    }
    const IpAddress vtep = s.vtep4 ? s.vtep4 : s.vtep6;
    if (!vtep) {
      refuse("FL1031", "node/" + intent_.self, "status.addresses",
             "no InternalIP: other nodes' pods cannot be reached");
    } else {
      s.vtep_mac = self->second.vtep_mac.value_or(core::default_vtep_mac(vtep));
    }
  }

  void node_port_addresses() {
    core::NodeSettings& s = out_.state.settings;
    const std::vector<Prefix>& wanted = intent_.network.node_port_addresses;
    const std::vector<IpAddress> own =
        wanted.empty() ? std::vector{s.vtep4, s.vtep6} : intent_.host.local_addresses;
    std::set<IpAddress> chosen;
    for (const IpAddress& address : own) {
      const bool is_wanted =
          wanted.empty() || std::any_of(wanted.begin(), wanted.end(),
                                        [&](const Prefix& range) { return range.contains(address); });
      if (address && is_wanted) chosen.insert(address);
    }
    s.node_port_addresses.assign(chosen.begin(), chosen.end());
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
    // Pods' own MTU is what backends tell clients to send at most (TCP's MSS), so that what came from outside
    // fits with the reply path's header in front, too.
    if (kEngineReturnsDirectly && intent_.network.reply_path == core::ReplyPath::kIpInIp)
      overhead = std::max(overhead, ipip_overhead(s));
    if (kEngineReturnsDirectly && intent_.network.reply_path == core::ReplyPath::kGeneve) {
      const bool has_ipv6 = std::any_of(s.local_pods.begin(), s.local_pods.end(),
                                        [](const Prefix& range) { return range.address.is_ipv6(); });
      const int option = has_ipv6 ? kReplyOptionIpv6 : kReplyOptionIpv4;
      overhead = std::max(overhead, static_cast<uint16_t>(overhead_of(s) + option));
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
  NodeCompiler compiler;
  compiler.adopt(previous);
  static_cast<void>(compiler.update(intent));
  return {compiler.state(), compiler.refusals(), compiler.health_checks()};
}

void NodeCompiler::adopt(const core::NodeState& has) {
  compiler_ = {};
  compiler_.adopt(has.services);
  adopted_ = has;
  services_.clear();
  services_.swap(adopted_->services);
  is_base_dirty_ = is_restarted_ = true;
}

void NodeCompiler::changed(const Event& event) {
  const bool is_of_services = std::holds_alternative<ServiceUpserted>(event) ||
                              std::holds_alternative<ServiceDeleted>(event) ||
                              std::holds_alternative<EndpointSliceUpserted>(event) ||
                              std::holds_alternative<EndpointSliceDeleted>(event);
  // Pods that are only named, not attached, forward nothing.
  const bool is_name =
      std::holds_alternative<PodUpserted>(event) || std::holds_alternative<PodDeleted>(event);
  is_base_dirty_ |= !is_of_services && !is_name;
  if (is_of_services && !is_restarted_) compiler_.changed(event);
}

NodeCompiler::Changes NodeCompiler::update(const Intent& intent) {
  Changes changes;
  if (is_base_dirty_) {
    Compiled base = Compiler(intent, adopted_ ? *adopted_ : base_).run();
    adopted_.reset();
    base_ = std::move(base.state);
    base_refusals_ = std::move(base.refusals);
    surroundings_ = Compiler::surroundings(intent, base_);
    is_base_dirty_ = false;
    changes.base = true;
  }
  if (std::exchange(is_restarted_, false)) {
    compiler_.restart(intent);
    ServiceChanges all = compiler_.update(intent, surroundings_);
    changes.services = from(all);
    return changes;
  }
  changes.services = compiler_.update(intent, surroundings_);
  for (const auto& service : changes.services.upserts) services_[service->id] = service;
  for (const core::ServiceId id : changes.services.removals) services_.erase(id);
  return changes;
}

// `all` begins from nothing; what differs from what was there before is the change.
ServiceChanges NodeCompiler::from(ServiceChanges& all) {
  std::map<core::ServiceId, std::shared_ptr<const core::Service>> before;
  before.swap(services_);
  ServiceChanges changes;
  changes.refusals = std::move(all.refusals);
  changes.health_checks = true;
  for (const auto& service : all.upserts) {
    const auto had = before.find(service->id);
    if (had == before.end() || !(*had->second == *service)) changes.upserts.push_back(service);
    services_.emplace(service->id, service);
  }
  for (const auto& [id, service] : before) {
    if (!services_.contains(id)) changes.removals.push_back(id);
  }
  return changes;
}

core::NodeState NodeCompiler::state() const {
  core::NodeState state = base_;
  state.services = services_;
  return state;
}

std::vector<Refusal> NodeCompiler::refusals() const {
  std::vector<Refusal> all = base_refusals_;
  for (const auto& [key, refusals] : compiler_.refusals())
    all.insert(all.end(), refusals.begin(), refusals.end());
  return all;
}

}  // namespace fairlead::control
