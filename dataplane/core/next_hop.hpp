#pragma once

#include "dataplane/core/node_state.hpp"
#include "dataplane/packet/encap.h"

#include <array>
#include <cstdint>
#include <cstring>

namespace fairlead::core {

// Where a packet came from, or where a template sends to, as one comparable word: kind and id.
class Side {
 public:
  enum Kind : uint8_t { kNone, kEndpoint, kPeer, kUplink, kHost };

  constexpr Side() = default;
  static constexpr Side endpoint(EndpointId id) { return Side(kEndpoint, id); }
  static constexpr Side peer(PeerId id) { return Side(kPeer, id); }  // as a source: through the tunnel
  static constexpr Side uplink() { return Side(kUplink, 0); }        // in plain, whoever sent it
  static constexpr Side host() { return Side(kHost, 0); }

  [[nodiscard]] constexpr Kind kind() const { return static_cast<Kind>(raw_ >> 24); }
  [[nodiscard]] constexpr uint32_t id() const { return raw_ & 0xffffff; }
  [[nodiscard]] constexpr uint32_t raw() const { return raw_; }  // what a flow entry keeps
  static constexpr Side from_raw(uint32_t raw) { return Side(static_cast<Kind>(raw >> 24), raw); }
  constexpr bool operator==(const Side&) const = default;

  // May a packet of a flow whose other direction is sent to *this* come from `from`?
  //
  // A peer may use the tunnel or the plain uplink, whatever we use towards it: receivers accept both forms.
  [[nodiscard]] constexpr bool accepts(Side from) const {
    return *this == from || (kind() == kPeer && from.kind() == kUplink);
  }

 private:
  constexpr Side(Kind kind, uint32_t id) : raw_(static_cast<uint32_t>(kind) << 24 | (id & 0xffffff)) {}
  uint32_t raw_ = 0;
};

enum class TemplateKind : uint8_t {
  kGone,        // nobody's: judge again
  kEthernet,    // write both MAC addresses
  kTunnel,      // push the outer header, write the inner MAC addresses
  kPunt,        // as kEthernet, to the host's stack: no TTL or MTU of ours
  kUnresolved,  // the next hop's MAC is not known: hold
  kDown,        // the port is down or gone: NO_UPLINK
};

// How packets of one fate leave: everything the fast path writes or compares, shared by all flows with that
// fate.
//
// Immutable in a snapshot. A flow entry remembers `generation`; a new content comes with a new one, so that
// the next packet of such a flow is judged again.
struct alignas(64) Template {
  Side far;                 // where it leads; what the reverse direction is accepted from
  uint16_t generation = 0;  // 0: never matches a flow entry
  TemplateKind kind = TemplateKind::kGone;
  PortId tx_port = 0;
  uint16_t l3_mtu = 0;  // largest L3 packet that may take this way whole (inner, when encapsulated)
  uint16_t tx_mtu = 0;  // largest L3 packet on tx_port, or on the whole way of a tunnel where one was learned
  uint32_t next_hop = 0;  // kUnresolved: the index engine and held packets know the neighbour by
  uint32_t owner = 0;     // index of the NextHop it belongs to: trace and flow listings name it
  encap_template encap{};

  // Same fate? Generation and bookkeeping do not count.
  [[nodiscard]] bool same_fate(const Template& other) const {
    return far == other.far && kind == other.kind && tx_port == other.tx_port && l3_mtu == other.l3_mtu &&
           tx_mtu == other.tx_mtu && next_hop == other.next_hop &&
           std::memcmp(&encap, &other.encap, sizeof(encap)) == 0;
  }
};
static_assert(sizeof(Template) == 128, "two cache lines");

enum class NextHopKind : uint8_t {
  kNone,
  kEndpoint,     // a local pod
  kPeer,         // another node's pods
  kGateway,      // an underlay route: gateways, on-link networks, devices that are not ours
  kNeighbour,    // one resolved on-link neighbour; never in the FIB, reached through a kGateway path
  kHost,         // an address of this node
  kBlackhole,    // this node's pod range without a pod
  kUnreachable,  // no way: pod ranges of nobody, unreachable routes
};

// One way of several equal ones. Weights are expressed by repetition.
struct Path {
  uint32_t template_id = 0;
  PortId on_link_port = 0;  // not 0: the neighbour on this port is the destination itself
};

// What the FIB points at. Which path a flow takes is decided once, by its hash, when its entry is committed.
struct NextHop {
  static constexpr unsigned kPathsMax = 16;

  NextHopKind kind = NextHopKind::kNone;
  uint8_t path_count = 0;
  uint32_t id = 0;  // endpoint or peer
  std::array<Path, kPathsMax> paths{};
};

// Next hop indices that always exist. 0 is the FIB's "no route".
enum : uint32_t {
  kNoNextHop = 0,
  kHostNextHop = 1,
  kBlackholeNextHop = 2,
  kUnreachableNextHop = 3,
  kFirstNextHop = 4
};

}  // namespace fairlead::core
