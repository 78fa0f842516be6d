#pragma once

#include "dataplane/core/packet.hpp"

#include <cstdint>

namespace fairlead::dpdk {

// The header in front of every frame that the kernel gives to or takes from a TAP (IFF_VNET_HDR) or a packet
// socket (PACKET_VNET_HDR), in the machine's byte order: virtio 1.1 section 5.1.6, struct virtio_net_hdr of
// <linux/virtio_net.h>, which C++ cannot include (it has a member called "class").
struct VnetHeader {
  uint8_t flags;
  uint8_t gso_type;
  uint16_t hdr_len;
  uint16_t gso_size;
  uint16_t csum_start;
  uint16_t csum_offset;
};
inline constexpr unsigned kVnetHeaderBytes = sizeof(VnetHeader);
static_assert(kVnetHeaderBytes == 10);

// The longer header of a TAP that segments inside UDP tunnels, Linux 6.17: struct
// virtio_net_hdr_v1_hash_tunnel (virtio 1.4, VIRTIO_NET_F_HOST_UDP_TUNNEL_GSO). The offsets are little-endian
// by definition.
struct TunnelVnetHeader {
  VnetHeader plain;
  uint16_t buffers;
  uint16_t hash[4];  // value (two halves), kind, padding: not ours
  uint16_t outer_l4_offset;
  uint16_t inner_l3_offset;
};
inline constexpr unsigned kTunnelVnetHeaderBytes = sizeof(TunnelVnetHeader);
static_assert(kTunnelVnetHeaderBytes == 24);

// What the kernel said about a frame of `length` bytes, in core's words.
//
// False when the header contradicts the frame (offsets outside it, unknown segmentation): the frame must be
// dropped.
[[nodiscard]] bool offload_from_vnet(const VnetHeader& header, uint32_t length, core::Offload& offload);

// What the kernel must still do to `packet`, in its words. Only for packets without a tunnel header: virtio's
// inner offsets say nothing about an outer one (the caller cuts those first).
[[nodiscard]] VnetHeader vnet_from_offload(const core::Packet& packet);

// The same for a TCP super-packet behind a tunnel header (VXLAN, Geneve; over IPv4 or IPv6): the kernel cuts
// the inner packet and gives each segment the outer header with its own lengths and checksums.
//
// An outer UDP checksum, where there is one, is left partial for the kernel in the packet's bytes (its field
// becomes the pseudo-header's sum), so the packet can only go to the kernel afterwards. False, nothing
// changed: not such a packet.
[[nodiscard]] bool tunnel_vnet_from_offload(core::Packet& packet, TunnelVnetHeader& header);

}  // namespace fairlead::dpdk
