#pragma once

#include "dataplane/core/snapshot.hpp"
#include "dataplane/core/walk.hpp"
#include "dataplane/packet/encap.h"
#include "dataplane/packet/flow_key.h"
#include "dataplane/packet/tcp.h"

#include <cstdint>
#include <cstring>

namespace fairlead::core {

// The ordinary packet, read with a few wide loads: TCP or UDP, IPv4 without options and fragments or IPv6
// without extension headers, whole, checksum right; in plain or in an IPv4 tunnel of one of our peers.
//
// What read_plain() takes reads exactly as steps::parse, steps::decap and steps::find_tuple would say; it
// says no to everything else, and to whatever needs a word: those steps are the only place where unusual
// packets mean something. tests/core/plain_packet_test.cpp compares the two on random packets.
struct PlainPacket {
  uint8_t* l3 = nullptr;   // of the packet to be forwarded; null: walk the steps
  uint32_t l3_length = 0;  // as parsed::l3_length
  uint32_t side = 0;       // Side::raw()
  uint8_t tcp_flags = 0;   // UDP: 0
  uint8_t tunnelled = 0;   // 1: came in a tunnel
  bool swapped = false;    // as Walk::swapped
  uint8_t which = 0;       // of the burst
};

namespace detail {

template <typename Word>
[[nodiscard]] FL_INLINE Word load(const uint8_t* at) {
  Word word;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

}  // namespace detail

// What plain packets of one port have in common, as of one snapshot.
struct PlainPort {
  static constexpr uint32_t kNoTunnels = 0x10000;

  PortId id = 0;
  bool takes = false;                 // false: every packet of this port walks the steps
  bool names_sender = false;          // trunk: the source MAC holds the endpoint's id
  uint8_t group_mask = 0;             // 1: no link broadcasts and multicasts
  uint32_t tunnel_port = kNoTunnels;  // UDP port as it stands on the wire
  uint32_t side = 0;                  // Side::raw(); on the trunk without the id
  uint32_t id_mask = 0;               // of the endpoint's id in the source MAC
  // Of a frame's bytes 6..13, which are source MAC and EtherType: what they must be.
  uint64_t mask = 0xffffull << 48, value4 = 0, value6 = 0;
  uint32_t vtep = 0;                      // ours, as it stands on the wire; 0: none
  uint32_t peer_vtep = 0, peer_side = 0;  // of the last tunnel packet
  uint64_t tunnel_mask = 0, tunnel_value = 0;

  static PlainPort of(const Snapshot& snapshot, PortId id) {
    PlainPort port;
    port.id = id;
    const PortView* view = snapshot.port(id);
    if (view == nullptr) return port;
    uint64_t mac = 0;
    switch (view->kind) {
      case PortKind::kTrunk:
        // Id 0, nobody's, is no entry's ingress: such packets walk.
        port.side = Side::endpoint(0).raw();
        port.id_mask = 0xffffff;
        port.mask |= 0xffffff;
        mac = 0x4c4602;
        break;
      case PortKind::kFast: {
        const Endpoint* endpoint = snapshot.endpoint(view->endpoint);
        if (endpoint == nullptr) return port;
        port.side = Side::endpoint(view->endpoint).raw();
        port.mask |= 0xffffffffffff;
        std::memcpy(&mac, endpoint->mac.bytes.data(), 6);
        break;
      }
      case PortKind::kHost:
        port.side = Side::host().raw();
        port.group_mask = snapshot.exclusive_uplink != 0 ? 1 : 0;
        break;
      case PortKind::kUplink:
        port.side = Side::uplink().raw();
        port.group_mask = 1;
        port.know_tunnel(snapshot);
        break;
    }
    port.value4 = mac | uint64_t{to_be16(FL_ETHERTYPE_IPV4).raw} << 48;
    port.value6 = mac | uint64_t{to_be16(FL_ETHERTYPE_IPV6).raw} << 48;
    port.takes = true;
    return port;
  }

 private:
  // A tunnel header without options has one value under one mask.
  void know_tunnel(const Snapshot& snapshot) {
    tunnel_port = to_be16(snapshot.tunnel_port).raw;
    if (!snapshot.vtep4 || snapshot.vni >> 24 != 0) return;
    vtep = snapshot.vtep4.ipv4_wire();
    if (snapshot.tunnel_kind == FL_TUNNEL_VXLAN) {
      const vxlan_header header{to_be32(FL_VXLAN_VNI_VALID), to_be32(snapshot.vni << 8)};
      std::memcpy(&tunnel_value, &header, sizeof(tunnel_value));
      tunnel_mask = ~uint64_t{0};
    } else {
      const geneve_header header{0, 0, to_be16(FL_ETHERTYPE_TRANSPARENT_ETHERNET),
                                 to_be32(snapshot.vni << 8)};
      const geneve_header matters{0xff, FL_GENEVE_CONTROL | FL_GENEVE_CRITICAL, be16{0xffff},
                                  to_be32(0xffffff00u)};
      std::memcpy(&tunnel_value, &header, sizeof(tunnel_value));
      std::memcpy(&tunnel_mask, &matters, sizeof(tunnel_mask));
    }
  }
};

namespace detail {

// A plain packet's ports and what else its L4 header says.
struct PlainL4 {
  uint32_t ports = 0;   // source below, destination above, as they stand on the wire
  uint32_t length = 0;  // UDP's own; TCP: of the header
  uint8_t protocol = 0;
  uint64_t addresses = 0;  // IPv4: source below, destination above
};

// TCP or UDP, whole? `available`: bytes the L3 length leaves for the header; 8 can be read whatever it says.
[[nodiscard]] FL_INLINE bool read_plain_l4(const uint8_t* at, uint8_t protocol, uint32_t available,
                                           PlainPacket* out, PlainL4* l4) {
  l4->protocol = protocol;
  l4->ports = load<uint32_t>(at);
  if (protocol == FL_PROTOCOL_UDP) {
    l4->length = FL_SWAP16(load<uint16_t>(at + 4));
    out->tcp_flags = 0;
    return l4->length >= 8 && l4->length <= available;
  }
  if (available < 20) return false;
  const auto word = load<uint16_t>(at + 12);
  l4->length = (word & 0xf0u) >> 2;
  out->tcp_flags = static_cast<uint8_t>(word >> 8);
  return protocol == FL_PROTOCOL_TCP && l4->length >= 20 && l4->length <= available;
}

// The one's complement sum of a header with a right checksum is all ones. `sum`: of its 32-bit words.
[[nodiscard]] FL_INLINE bool is_checksum_right(uint64_t sum) {
  sum += sum << 32 | sum >> 32;  // the upper half is now both halves' sum, carry included
  auto half = static_cast<uint32_t>(sum >> 32);
  half += half << 16 | half >> 16;
  return half >= 0xffff0000u;
}

}  // namespace detail

// Reads the IPv4 packet at `l3` of which the frame has `room` bytes.
[[nodiscard]] FL_INLINE bool read_plain4(uint8_t* l3, uint32_t room, PlainPacket* out, detail::PlainL4* l4) {
  using detail::load;
  if (room < 28) [[unlikely]]
    return false;
  const auto begin = load<uint64_t>(l3);  // version, length of header, tos, total length, id, fragment
  const auto third = load<uint32_t>(l3 + 8);
  const auto addresses = load<uint64_t>(l3 + 12);
  const uint32_t length = FL_SWAP16(static_cast<uint16_t>(begin >> 16));
  constexpr uint64_t kMatters = 0xffull | uint64_t{to_be16(FL_IPV4_MORE_FRAGMENTS | FL_IPV4_OFFSET_MASK).raw}
                                              << 48;
  const uint64_t sum = uint64_t{static_cast<uint32_t>(begin)} + (begin >> 32) + third +
                       static_cast<uint32_t>(addresses) + (addresses >> 32);
  if ((begin & kMatters) != 0x45 || length > room || length < 20 || !detail::is_checksum_right(sum) ||
      !detail::read_plain_l4(l3 + 20, static_cast<uint8_t>(third >> 8), length - 20, out, l4)) [[unlikely]] {
    return false;
  }
  out->l3 = l3;
  out->l3_length = length;
  l4->addresses = addresses;
  return true;
}

// The same for IPv6.
[[nodiscard]] FL_INLINE bool read_plain6(uint8_t* l3, uint32_t room, PlainPacket* out, flow_key6* key,
                                         detail::PlainL4* l4) {
  using detail::load;
  if (room < 48) [[unlikely]]
    return false;
  const auto begin = load<uint64_t>(l3);
  const uint32_t available = FL_SWAP16(static_cast<uint16_t>(begin >> 32));
  if ((begin & 0xf0) != 0x60 || available > room - 40 ||
      !detail::read_plain_l4(l3 + 40, static_cast<uint8_t>(begin >> 48), available, out, l4)) [[unlikely]] {
    return false;
  }
  ip_address source, destination;
  std::memcpy(&source, l3 + 8, sizeof(source));
  std::memcpy(&destination, l3 + 24, sizeof(destination));
  out->l3 = l3;
  out->l3_length = 40 + available;
  out->swapped =
      flow_key6_make(&source, &destination, be16{static_cast<uint16_t>(l4->ports)},
                     be16{static_cast<uint16_t>(l4->ports >> 16)}, l4->protocol, key) == FL_FLOW_FROM_HIGH;
  return true;
}

// TTL or hop limit, and tos or traffic class, of what was read as plain.
template <uint8_t kVersion>
[[nodiscard]] FL_INLINE uint8_t plain_ttl(const uint8_t* l3) {
  return kVersion == 4 ? l3[8] : l3[7];
}
template <uint8_t kVersion>
[[nodiscard]] FL_INLINE uint8_t plain_tos(const uint8_t* l3) {
  return kVersion == 4 ? l3[1] : static_cast<uint8_t>(FL_SWAP16(detail::load<uint16_t>(l3)) >> 4);
}

// The peer whose tunnel packet this is (Side::raw(); 0: the steps must say): `l3` and `l4` of the outer
// packet, which was read as plain and is for our tunnel port. The inner frame begins kPlainTunnelLength
// behind the outer L3 header and has l4.length - 16 bytes.
inline constexpr uint32_t kPlainTunnelLength = 20 + 8 + 8;
[[nodiscard]] FL_INLINE uint32_t plain_tunnel_side(PlainPort& port, const Snapshot& snapshot,
                                                   const uint8_t* l3, const detail::PlainL4& l4) {
  const auto source = detail::load<uint32_t>(l3 + 12), destination = detail::load<uint32_t>(l3 + 16);
  if (port.vtep == 0 || destination != port.vtep || l4.length < 16 + 14 ||
      (detail::load<uint64_t>(l3 + 28) & port.tunnel_mask) != port.tunnel_value) [[unlikely]] {
    return 0;
  }
  if (source != port.peer_vtep || port.peer_side == 0) [[unlikely]] {
    const PeerId* peer = snapshot.vteps.find(IpAddress::ipv4(source));
    if (peer == nullptr) return 0;
    port.peer_vtep = source;
    port.peer_side = Side::peer(*peer).raw();
  }
  return port.peer_side;
}

}  // namespace fairlead::core
