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
  uint32_t entropy = 0;    // lower half of the flow's hash
  uint8_t ttl = 0;
  uint8_t tos = 0;
  uint8_t tcp_flags = 0;  // UDP: 0
  bool decapsulated = false;
};

namespace detail {

template <typename Word>
[[nodiscard]] FL_INLINE Word load(const uint8_t* at) {
  Word word;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

// Both checks of a length field in one comparison: at least `least`, at most `most` (least <= most).
[[nodiscard]] FL_INLINE bool within(uint32_t value, uint32_t least, uint32_t most) {
  return value - least <= most - least;
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
  uint32_t side = 0;                  // Side::raw(); with names_sender without the id
  uint64_t mac_mask = 0, mac_value = 0;
  uint32_t vtep = 0;                      // ours, as it stands on the wire; 0: none
  uint32_t peer_vtep = 0, peer_side = 0;  // of the last tunnel packet
  uint64_t tunnel_mask = 0, tunnel_value = 0;

  static PlainPort of(const Snapshot& snapshot, PortId id) {
    PlainPort port;
    port.id = id;
    const PortView* view = snapshot.port(id);
    if (view == nullptr) return port;
    switch (view->kind) {
      case PortKind::kTrunk:
        port.names_sender = true;
        port.side = Side::endpoint(0).raw();
        port.mac_mask = 0xffffff;
        port.mac_value = 0x4c4602;
        break;
      case PortKind::kFast: {
        const Endpoint* endpoint = snapshot.endpoint(view->endpoint);
        if (endpoint == nullptr) return port;
        port.side = Side::endpoint(view->endpoint).raw();
        port.mac_mask = 0xffffffffffff;
        std::memcpy(&port.mac_value, endpoint->mac.bytes.data(), 6);
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

// The L4 header of a plain packet: TCP or UDP, whole. `available`: bytes the L3 length leaves for it.
struct PlainL4 {
  uint32_t ports = 0;   // source below, destination above, as they stand on the wire
  uint32_t length = 0;  // UDP's own; TCP: of the header
  uint8_t tcp_flags = 0;
};

[[nodiscard]] FL_INLINE bool read_plain_l4(const uint8_t* l4, bool is_tcp, uint32_t available, PlainL4* out) {
  const uint32_t least = is_tcp ? 20 : 8;
  if (available < least) [[unlikely]]
    return false;
  // TCP's data offset and flags, or UDP's length: both are 16 bits and the next thing to check.
  const auto word = load<uint16_t>(l4 + (is_tcp ? 12 : 4));
  out->ports = load<uint32_t>(l4);
  out->length = is_tcp ? (word & 0xf0u) >> 2 : FL_SWAP16(word);
  out->tcp_flags = is_tcp ? static_cast<uint8_t>(word >> 8) : uint8_t{0};
  return within(out->length, least, available);
}

// The five words of a header with a right checksum add up to a multiple of 0xffff that is not zero.
[[nodiscard]] FL_INLINE bool is_checksum_right(uint64_t sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  const auto folded = static_cast<uint32_t>((sum & 0xffff) + (sum >> 16));
  return folded == 0xffff || folded == 0x1fffe;
}

}  // namespace detail

// Reads the IPv4 packet at `l3` of which the frame has `room` bytes. `destination`: as it stands on the wire.
[[nodiscard]] FL_INLINE bool read_plain4(uint8_t* l3, uint32_t room, PlainPacket* out, flow_key4* key,
                                         bool* swapped, detail::PlainL4* l4) {
  using detail::load;
  if (room < 28) [[unlikely]]
    return false;
  const auto first = load<uint32_t>(l3), second = load<uint32_t>(l3 + 4), third = load<uint32_t>(l3 + 8);
  const auto source = load<uint32_t>(l3 + 12), destination = load<uint32_t>(l3 + 16);
  const auto protocol = static_cast<uint8_t>(third >> 8);
  const bool is_tcp = protocol == FL_PROTOCOL_TCP;
  const uint32_t length = FL_SWAP16(static_cast<uint16_t>(first >> 16));
  const uint32_t fragment = (second >> 16) & to_be16(FL_IPV4_MORE_FRAGMENTS | FL_IPV4_OFFSET_MASK).raw;
  if (((first & 0xff) ^ 0x45) != 0 || fragment != 0 || !detail::within(length, 20, room) ||
      !(is_tcp || protocol == FL_PROTOCOL_UDP) ||
      !detail::is_checksum_right(uint64_t{first} + second + third + source + destination) ||
      !detail::read_plain_l4(l3 + 20, is_tcp, length - 20, l4)) [[unlikely]] {
    return false;
  }
  *swapped = flow_key4_make(be32{source}, be32{destination}, be16{static_cast<uint16_t>(l4->ports)},
                            be16{static_cast<uint16_t>(l4->ports >> 16)}, protocol, key) == FL_FLOW_FROM_HIGH;
  out->l3 = l3;
  out->l3_length = length;
  out->ttl = static_cast<uint8_t>(third);
  out->tos = static_cast<uint8_t>(first >> 8);
  out->tcp_flags = l4->tcp_flags;
  return true;
}

// The same for IPv6.
[[nodiscard]] FL_INLINE bool read_plain6(uint8_t* l3, uint32_t room, PlainPacket* out, flow_key6* key,
                                         bool* swapped, detail::PlainL4* l4) {
  using detail::load;
  if (room < 48) [[unlikely]]
    return false;
  const auto first = load<uint64_t>(l3);
  const auto protocol = static_cast<uint8_t>(first >> 48);
  const bool is_tcp = protocol == FL_PROTOCOL_TCP;
  const uint32_t available = FL_SWAP16(static_cast<uint16_t>(first >> 32));
  if ((first & 0xf0) != 0x60 || available > room - 40 || !(is_tcp || protocol == FL_PROTOCOL_UDP) ||
      !detail::read_plain_l4(l3 + 40, is_tcp, available, l4)) [[unlikely]] {
    return false;
  }
  ip_address source, destination;
  std::memcpy(&source, l3 + 8, sizeof(source));
  std::memcpy(&destination, l3 + 24, sizeof(destination));
  *swapped = flow_key6_make(&source, &destination, be16{static_cast<uint16_t>(l4->ports)},
                            be16{static_cast<uint16_t>(l4->ports >> 16)}, protocol, key) == FL_FLOW_FROM_HIGH;
  const uint32_t begin = FL_SWAP32(static_cast<uint32_t>(first));
  out->l3 = l3;
  out->l3_length = 40 + available;
  out->ttl = static_cast<uint8_t>(first >> 56);
  out->tos = static_cast<uint8_t>(begin >> 20);
  out->tcp_flags = l4->tcp_flags;
  return true;
}

// Who sent the frame; false: nobody we can name without the steps.
[[nodiscard]] FL_INLINE bool read_plain_sender(const PlainPort& port, const uint8_t* l2, PlainPacket* out) {
  out->side = port.side;
  if ((detail::load<uint64_t>(l2 + 6) & port.mac_mask) != port.mac_value || (l2[0] & port.group_mask) != 0)
      [[unlikely]] {
    return false;
  }
  if (!port.names_sender) return true;
  const uint32_t id = FL_SWAP32(detail::load<uint32_t>(l2 + 8)) & 0xffffff;
  out->side |= id;
  return id != 0;
}

// The peer whose tunnel packet this is: `l3` and `l4` of the outer packet, which was read as plain and is for
// our tunnel port. The inner frame begins kPlainTunnelLength behind the outer L3 header.
inline constexpr uint32_t kPlainTunnelLength = 20 + 8 + 8;
[[nodiscard]] FL_INLINE bool read_plain_tunnel(PlainPort& port, const Snapshot& snapshot, const uint8_t* l3,
                                               const detail::PlainL4& l4, PlainPacket* inner) {
  const auto source = detail::load<uint32_t>(l3 + 12), destination = detail::load<uint32_t>(l3 + 16);
  if (port.vtep == 0 || destination != port.vtep || l4.length < 16 + 14 ||
      (detail::load<uint64_t>(l3 + 28) & port.tunnel_mask) != port.tunnel_value) [[unlikely]] {
    return false;
  }
  if (source != port.peer_vtep || port.peer_side == 0) [[unlikely]] {
    const PeerId* peer = snapshot.vteps.find(IpAddress::ipv4(source));
    if (peer == nullptr) return false;
    port.peer_vtep = source;
    port.peer_side = Side::peer(*peer).raw();
  }
  inner->side = port.peer_side;
  inner->decapsulated = true;
  return true;
}

}  // namespace fairlead::core
