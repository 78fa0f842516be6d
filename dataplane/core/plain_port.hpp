#pragma once

#include "dataplane/core/snapshot.hpp"
#include "dataplane/core/wide.hpp"
#include "dataplane/packet/geneve.h"
#include "dataplane/packet/vxlan.h"

#include <array>
#include <cstdint>
#include <cstring>

namespace fairlead::core {

// What plain packets of one port have in common, as of one snapshot.
struct PlainPort {
  static constexpr uint32_t kNoTunnels = 0x10000;

  PortId id = 0;
  uint32_t length_least = UINT32_MAX;  // of a frame; UINT32_MAX: every packet of this port walks the steps
  uint32_t tunnel_port = kNoTunnels;   // UDP port as it stands on the wire
  uint32_t side = 0;                   // Side::raw(); on the trunk without the id
  uint32_t id_mask = 0;                // of the endpoint's id in the source MAC
  // What a frame's first 16 bytes must be: the bit for link groups, source MAC, EtherType, IP version (IPv4:
  // and the length of its header). By family.
  std::array<uint8_t, 16> mask4{}, value4{}, mask6{}, value6{};
  uint32_t vtep = 0;                      // ours, as it stands on the wire; 0: none
  uint32_t peer_vtep = 0, peer_side = 0;  // of the last tunnel packet
  uint64_t tunnel_mask = 0, tunnel_value = 0;

  static PlainPort of(const Snapshot& snapshot, PortId id) {
    PlainPort port;
    port.id = id;
    const PortView* view = snapshot.port(id);
    if (view == nullptr) return port;
    switch (view->kind) {
      case PortKind::kTrunk: {
        // Id 0, nobody's, is no entry's ingress: such packets walk.
        port.side = Side::endpoint(0).raw();
        port.id_mask = 0xffffff;
        const MacAddress mac = endpoint_mac(0);
        port.expect_source(mac.bytes.data(), 3);
        break;
      }
      case PortKind::kFast: {
        const Endpoint* endpoint = snapshot.endpoint(view->endpoint);
        if (endpoint == nullptr) return port;
        port.side = Side::endpoint(view->endpoint).raw();
        port.expect_source(endpoint->mac.bytes.data(), 6);
        break;
      }
      case PortKind::kHost:
        port.side = Side::host().raw();
        if (snapshot.exclusive_uplink != 0) port.refuse_groups();
        break;
      case PortKind::kUplink:
        port.side = Side::uplink().raw();
        port.refuse_groups();
        port.know_tunnel(snapshot);
        break;
    }
    port.expect(12, 0xff, FL_ETHERTYPE_IPV4 >> 8, FL_ETHERTYPE_IPV6 >> 8);
    port.expect(13, 0xff, FL_ETHERTYPE_IPV4 & 0xff, FL_ETHERTYPE_IPV6 & 0xff);
    port.expect(14, 0xf0, 0x40, 0x60);
    port.mask4[14] = 0xff;
    port.value4[14] = 0x45;
    port.length_least = 14 + 20 + 8;
    return port;
  }

 private:
  void expect(size_t at, uint8_t mask, uint8_t of4, uint8_t of6) {
    mask4[at] = mask6[at] = mask;
    value4[at] = of4;
    value6[at] = of6;
  }
  void refuse_groups() { expect(0, 1, 0, 0); }
  void expect_source(const uint8_t* mac, size_t bytes) {
    for (size_t i = 0; i < bytes; ++i) expect(6 + i, 0xff, mac[i], mac[i]);
  }

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

// The peer whose tunnel packet this is (Side::raw(); 0: the steps must say): `l3` of the outer packet, which
// was read as plain and is for our tunnel port. The inner frame begins kPlainTunnelLength behind the outer L3
// header; the caller looks after lengths.
inline constexpr uint32_t kPlainTunnelLength = 20 + 8 + 8;
[[nodiscard]] FL_INLINE uint32_t plain_tunnel_side(PlainPort& port, const Snapshot& snapshot,
                                                   const uint8_t* l3) {
  const auto source = load<uint32_t>(l3 + 12), destination = load<uint32_t>(l3 + 16);
  if (port.vtep == 0 || destination != port.vtep ||
      (load<uint64_t>(l3 + 28) & port.tunnel_mask) != port.tunnel_value) [[unlikely]] {
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
