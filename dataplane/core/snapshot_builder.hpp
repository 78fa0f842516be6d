#pragma once

#include "dataplane/core/forwarder.hpp"
#include "dataplane/core/snapshot.hpp"

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <vector>

namespace fairlead::core {

// Turns NodeState, Underlay and ports into Snapshots, one after the other, each at the cost of what changed.
//
// A change of an endpoint, peer, route or neighbour costs O(change). What moves everything - ports, links,
// underlay routes under peers, settings - recomputes the next hops concerned, yet templates whose fate stays
// the same keep their generation: flows notice nothing.
//
// Owns: NodeState, Underlay, the FIBs, next hop and template numbers. Threads: the control thread.
class SnapshotBuilder {
 public:
  SnapshotBuilder();

  // All or nothing. Errors: FL2110 the delta does not fit, FL2201 a table is full, FL2202 port id out of
  // range.
  Result<void> publish(const NodeStateDelta& delta);
  Result<void> set_underlay(const Underlay& underlay);
  Result<void> set_ports(std::span<const PortFacts> ports);

  // The largest packet that gets through to a peer's tunnel end, as a router in the underlay said. Holds for
  // ten minutes (RFC 1191 section 6.3) over every change of state, until the peer or its tunnel end goes.
  // True when it is news: smaller than what is sent now.
  bool learn_path_mtu(PeerId peer, uint16_t mtu, uint64_t now_ns);
  // Forgets what was learned too long ago; true when there was such.
  bool forget_path_mtus(uint64_t now_ns);
  [[nodiscard]] uint16_t learned_path_mtu(PeerId peer) const;  // 0: none

  // The next version, to be handed to the packet path.
  [[nodiscard]] std::unique_ptr<const Snapshot> seal();
  // No reader uses a snapshot before `oldest` any more.
  void reclaim(const Snapshot& oldest);

  [[nodiscard]] const NodeState& node_state() const { return node_; }
  // Neighbours that peers and gateways need and that are not resolved.
  [[nodiscard]] std::vector<UnresolvedNextHop> unresolved() const;
  [[nodiscard]] bool resolved(const NeighbourKey& neighbour) const {
    return underlay_.neighbours.contains({neighbour.port, neighbour.address});
  }
  // What a person calls a next hop: "endpoint default/a", "peer node-2 vxlan", "gateway 10.0.0.1 port 1",
  // "host".
  [[nodiscard]] std::string describe(uint32_t next_hop) const;
  // The FIB's prefix that decides on `address`, as text with its origin: "10.244.2.0/24 node-2"; empty: none.
  [[nodiscard]] std::string describe_route(const IpAddress& address) const;

 private:
  using Group = std::vector<UnderlayNextHop>;

  // What a next hop stands for; NextHop is what the packet path needs of it.
  struct Definition {
    NextHopKind kind = NextHopKind::kNone;
    uint32_t id = 0;                  // endpoint or peer
    Family family = Family::kNone;    // kPeer: of the pods behind it
    Group group;                      // kGateway
    NeighbourKey neighbour;           // kNeighbour
    uint32_t references = 0;          // kGateway: FIB entries
    uint32_t judged_change = 0;       // the change that last made its flows ask again
    std::vector<uint32_t> templates;  // ids, one per distinct path
    std::set<NeighbourKey> needs;     // neighbours whose MAC its templates carry
  };
  // A path as computed, before it is compared with what is there.
  struct Plan {
    Template content;
    PortId on_link_port = 0;
    uint16_t weight = 1;
    std::optional<NeighbourKey> needs;  // whose MAC `content` carries, or waits for
  };
  struct Adjacency {
    uint32_t number = 0;           // what engine and held packets know it by
    std::set<uint32_t> next_hops;  // that carry its MAC
  };

  // next hops (next_hops.cpp)
  uint32_t add_next_hop(Definition definition);
  void remove_next_hop(uint32_t index);
  void refresh(uint32_t index,
               bool judge_again);  // recompute; judge_again: new generation even where nothing differs
  void refresh_all();
  void judge_again(uint32_t index);
  void judge_all_again();
  static uint16_t next_generation(uint16_t generation);
  uint32_t new_template();  // 0: the table is full
  uint32_t adjacency(const NeighbourKey& neighbour, uint32_t next_hop);
  void depend(uint32_t index, std::set<NeighbourKey> needs);

  // plans: how packets leave (plans.cpp)
  [[nodiscard]] std::vector<Plan> plan(const Definition& definition) const;
  [[nodiscard]] Plan plan_endpoint(const Endpoint& endpoint) const;
  [[nodiscard]] std::vector<Plan> plan_peer(const Peer& peer, Family family) const;
  [[nodiscard]] std::vector<Plan> plan_group(const Group& group) const;
  [[nodiscard]] Plan plan_neighbour(const NeighbourKey& neighbour, Side far) const;
  [[nodiscard]] Plan plan_tunnel(const NeighbourKey& neighbour, const Peer& peer,
                                 const IpAddress& source) const;
  [[nodiscard]] Plan plan_punt() const;
  [[nodiscard]] static Plan plan_down(Side far);
  [[nodiscard]] const Group* underlay_group(const IpAddress& address) const;
  [[nodiscard]] const PortFacts* live_uplink(PortId id) const;
  [[nodiscard]] const MacAddress* mac_of(const NeighbourKey& neighbour) const;
  [[nodiscard]] uint16_t link_mtu(PortId id) const;

  // path MTU (path_mtus.cpp)
  struct LearnedMtu {
    uint16_t mtu = 0;  // outer
    uint64_t until_ns = 0;
  };
  [[nodiscard]] uint16_t tunnel_mtu(PeerId peer) const;
  void refresh_peer(PeerId peer);

  // FIB (fib.cpp)
  uint32_t effective(const Prefix& prefix);
  [[nodiscard]] bool covered_by_node_route(const Prefix& prefix) const;
  void refresh_prefix(const Prefix& prefix);
  void refresh_prefix_and_below(const Prefix& prefix);
  [[nodiscard]] uint32_t fib_get(const Prefix& prefix) const;
  bool fib_set(const Prefix& prefix, uint32_t next_hop);
  uint32_t group_next_hop(const Group& group);

  // Services (services.cpp)
  using ServicesBefore = std::map<ServiceId, std::shared_ptr<const Service>>;
  void put_services(const NodeStateDelta& delta, const ServicesBefore& before);
  bool put_service_settings(const NodeSettings& before);

  // NodeState's parts
  Result<void> fits(const NodeStateDelta& delta) const;
  std::set<Prefix> put_settings();
  void put_endpoint(const Endpoint& endpoint, const Endpoint* before);
  void put_peer(const Peer& peer, const Peer* before);
  void put_port_views();
  void put_fast_port_owner(EndpointId endpoint, PortId port);  // port 0: none any more
  void drop_vteps(const Peer& peer);

  NodeState node_;
  Underlay underlay_;
  std::map<PortId, PortFacts> ports_;
  Snapshot next_;
  Lpm4 fib4_;
  Lpm6 fib6_;
  FrontendTable frontends_;

  uint32_t change_ = 0;  // number of the current change: the generation of templates it touches
  std::vector<Definition> definitions_;  // by next hop index
  std::vector<uint32_t> free_next_hops_, free_templates_, free_adjacencies_;
  uint32_t templates_used_ = 1, adjacencies_used_ = 1;  // 0 is none
  std::map<EndpointId, uint32_t> endpoint_next_hops_;
  std::map<std::pair<PeerId, Family>, uint32_t> peer_next_hops_;
  std::map<Group, uint32_t> group_next_hops_;
  std::map<NeighbourKey, uint32_t> neighbour_next_hops_;
  std::map<NeighbourKey, Adjacency> adjacencies_;
  std::map<PeerId, LearnedMtu> path_mtus_;
  std::map<PortId, EndpointId> fast_port_owners_;
  std::set<Prefix> implicit_;  // cluster_pods and local_pods as they stand in the FIB
  bool bulk_ = false;          // so many routes change that everything is judged again once
};

}  // namespace fairlead::core
