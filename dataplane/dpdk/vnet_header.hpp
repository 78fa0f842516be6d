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

// What the kernel said about a frame of `length` bytes, in core's words.
//
// False when the header contradicts the frame (offsets outside it, unknown segmentation): the frame must be
// dropped.
[[nodiscard]] bool offload_from_vnet(const VnetHeader& header, uint32_t length, core::Offload& offload);

// What the kernel must still do to `packet`, in its words. Only for packets without a tunnel header: virtio's
// inner offsets say nothing about an outer one (the caller cuts those first).
[[nodiscard]] VnetHeader vnet_from_offload(const core::Packet& packet);

}  // namespace fairlead::dpdk
