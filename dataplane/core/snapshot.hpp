#pragma once

#include "dataplane/core/frontends.hpp"
#include "dataplane/core/hash_trie.hpp"
#include "dataplane/core/lpm4.hpp"
#include "dataplane/core/lpm6.hpp"
#include "dataplane/core/next_hop.hpp"
#include "dataplane/core/radix_array.hpp"
#include "dataplane/engine.hpp"
#include "dataplane/packet/parsed.h"

#include <cstdint>
#include <memory>
#include <vector>

namespace fairlead::core {

// A port as the packet path sees it.
struct PortView {
  bool present = false;
  bool up = false;
  bool exclusive = false;
  PortKind kind = PortKind::kUplink;
  uint16_t mtu = 0;
  EndpointId endpoint = 0;  // kFast: whose it is
  MacAddress mac;
};

// A neighbour on a port's link.
struct NeighbourKey {
  PortId port = 0;
  IpAddress address;
  auto operator<=>(const NeighbourKey&) const = default;
};

// Keys come from configuration and the kernel, not from packets: mixing is enough, no secret is needed.
struct AddressHash {
  uint32_t operator()(const IpAddress& address) const {
    uint64_t words[2];
    std::memcpy(words, address.bytes.data(), sizeof(words));
    uint64_t mixed = (words[0] ^ (words[1] * 0x9e3779b97f4a7c15ull)) * 0xff51afd7ed558ccdull;
    return static_cast<uint32_t>(mixed >> 32 ^ mixed);
  }
  uint32_t operator()(const NeighbourKey& key) const { return (*this)(key.address) ^ key.port * 0x9e3779b1u; }
};

// Everything the packet path looks things up in, as of one generation. Immutable once published.
//
// Owns: shares of tries and arrays with its neighbours in time; the two FIB views belong to the builder's
// LPMs. Threads: built by the control thread, read by all workers between two quiescent points.
struct Snapshot {
  uint64_t generation = 0;
  uint64_t serial = 0;  // never twice in a builder's life: which snapshot this is

  // This node.
  uint32_t vni = 0;
  uint16_t tunnel_port = 0;
  fl_tunnel_kind tunnel_kind = FL_TUNNEL_VXLAN;
  IpAddress vtep4, vtep6;                // absent: no tunnel packets of that family are for us
  IpAddress icmp_source4, icmp_source6;  // whom ICMP errors come from
  // Translation. With `translates` some connection on this node may be translated: fragments follow their
  // firsts then.
  bool translates = false;
  uint16_t snat_port_first = 0, snat_port_last = 0;
  IpAddress masquerade4, masquerade6;  // absent: no source is translated to us
  std::shared_ptr<const std::vector<Prefix>>
      unmasqueraded;      // destinations reached with the pod's own address
  PortId trunk_port = 0;  // 0: there is none
  PortId host_port = 0;
  PortId exclusive_uplink = 0;

  RadixArray<PortView, 2> ports;
  Lpm4::View fib4;  // -> index in next_hops
  Lpm6::View fib6;
  RadixArray<NextHop, 3> next_hops;
  RadixArray<Template, 3> templates;
  HashTrie<NeighbourKey, uint32_t, AddressHash> neighbours;  // resolved ones -> template
  HashTrie<IpAddress, PeerId, AddressHash> vteps;            // outer source -> peer
  RadixArray<std::shared_ptr<const Endpoint>, 4> endpoints;  // by id
  RadixArray<std::shared_ptr<const Peer>, 3> peers;          // by id
  Frontends frontends;                                       // who answers on an address and port
  std::shared_ptr<const std::vector<Prefix>> cluster_pods;   // who is inside; never null

  [[nodiscard]] const PortView* port(PortId id) const {
    const PortView* view = ports.find(id);
    return view != nullptr && view->present ? view : nullptr;
  }
  [[nodiscard]] const Endpoint* endpoint(EndpointId id) const {
    const auto* found = endpoints.find(id);
    return found != nullptr ? found->get() : nullptr;
  }
  [[nodiscard]] const Peer* peer(PeerId id) const {
    const auto* found = peers.find(id);
    return found != nullptr ? found->get() : nullptr;
  }
  [[nodiscard]] const Template& template_of(uint32_t id) const {
    static constexpr Template kNobodys{};
    const Template* found = templates.find(id);
    return found != nullptr ? *found : kNobodys;
  }
  [[nodiscard]] const NextHop& next_hop(uint32_t index) const {
    static constexpr NextHop kNobody{};
    const NextHop* found = next_hops.find(index);
    return found != nullptr ? *found : kNobody;
  }
  // Index of the next hop of the longest prefix that contains `address` (as in struct parsed); 0: none.
  [[nodiscard]] uint32_t route(const ip_address& address, uint8_t ip_version) const {
    if (ip_version == 4) return fib4.lookup(from_be32(address.word[0]));
    return fib6.lookup(reinterpret_cast<const uint8_t*>(&address));
  }
};

// An address of a parsed packet as core writes it.
[[nodiscard]] inline IpAddress address_of(const ip_address& address, uint8_t ip_version) {
  return ip_version == 4 ? IpAddress::ipv4(address.word[0].raw)
                         : IpAddress::ipv6(reinterpret_cast<const uint8_t*>(&address));
}

}  // namespace fairlead::core
