#include "dataplane/dpdk/vnet_header.hpp"

#include "dataplane/packet/checksum.h"
#include "dataplane/packet/encap.h"

#include <bit>
#include <cstddef>
#include <cstring>

namespace fairlead::dpdk {
namespace {

// VIRTIO_NET_HDR_*
constexpr uint8_t kNeedsChecksum = 1;
constexpr uint8_t kDataValid = 2;
constexpr uint8_t kTunnelChecksum = 8;
constexpr uint8_t kGsoNone = 0;
constexpr uint8_t kGsoTcp4 = 1;
constexpr uint8_t kGsoTcp6 = 4;
constexpr uint8_t kGsoUdpL4 = 5;
constexpr uint8_t kGsoTunnelOverIpv4 = 0x20;
constexpr uint8_t kGsoTunnelOverIpv6 = 0x40;
constexpr uint8_t kGsoEcn = 0x80;
constexpr unsigned kTcpHeaderMin = 20;
constexpr unsigned kTcpFlagsOffset = 13;
constexpr uint8_t kTcpCwr = 0x80;

// Length of the TCP header at `start`, as it says itself; 0 when it lies outside the frame.
unsigned tcp_header_length(const uint8_t* frame, uint32_t length, unsigned start) {
  if (start + kTcpHeaderMin > length) return 0;
  const unsigned bytes = (frame[start + 12] >> 4) * 4u;
  return bytes >= kTcpHeaderMin && start + bytes <= length ? bytes : 0;
}

}  // namespace

bool offload_from_vnet(const VnetHeader& header, uint32_t length, core::Offload& offload) {
  offload = {};
  if ((header.flags & kNeedsChecksum) != 0) {
    if (uint32_t{header.csum_start} + header.csum_offset + 2 > length) return false;
    offload.checksum_partial = true;
    offload.checksum_start = header.csum_start;
    offload.checksum_offset = header.csum_offset;
  } else if ((header.flags & kDataValid) != 0) {
    offload.checksum_verified = true;
  }
  switch (header.gso_type & ~kGsoEcn) {
    case kGsoNone:
      return true;
    case kGsoTcp4:
      offload.segment_kind = core::kSegmentTcp4;
      break;
    case kGsoTcp6:
      offload.segment_kind = core::kSegmentTcp6;
      break;
    case kGsoUdpL4:
      offload.segment_kind = core::kSegmentUdp;
      break;
    default:
      return false;
  }
  offload.segment_size = header.gso_size;
  // A super-packet always comes with its checksum left to us (Linux: SKB_GSO implies CHECKSUM_PARTIAL).
  return header.gso_size != 0 && offload.checksum_partial;
}

VnetHeader vnet_from_offload(const core::Packet& packet) {
  VnetHeader header;
  std::memset(&header, 0, sizeof header);
  const core::Offload& offload = packet.offload;
  if (offload.checksum_partial) {
    header.flags = kNeedsChecksum;
    header.csum_start = offload.checksum_start;
    header.csum_offset = offload.checksum_offset;
  } else if (offload.checksum_verified) {
    header.flags = kDataValid;
  }
  if (offload.segment_size == 0) return header;
  unsigned l4_bytes = 8;
  if (offload.segment_kind == core::kSegmentUdp) {
    header.gso_type = kGsoUdpL4;
  } else {
    header.gso_type = offload.segment_kind == core::kSegmentTcp4 ? kGsoTcp4 : kGsoTcp6;
    l4_bytes = tcp_header_length(packet.data, packet.length, offload.checksum_start);
    // RFC 3168: the window-reduced mark belongs on the first segment only; the kernel must be told of it.
    if (l4_bytes != 0 && (packet.data[offload.checksum_start + kTcpFlagsOffset] & kTcpCwr) != 0) {
      header.gso_type |= kGsoEcn;
    }
  }
  header.gso_size = offload.segment_size;
  header.hdr_len = static_cast<uint16_t>(offload.checksum_start + l4_bytes);
  return header;
}

bool tunnel_vnet_from_offload(core::Packet& packet, TunnelVnetHeader& header) {
  static_assert(std::endian::native == std::endian::little, "the header's offsets are little-endian");
  constexpr uint16_t kEthernet = sizeof(ethernet_header);
  const core::Offload& offload = packet.offload;
  const bool over_ipv4 = packet.encap_length == FL_ENCAP_TUNNEL4 - FL_ENCAP_PLAIN;
  const bool over_ipv6 = packet.encap_length == FL_ENCAP_TUNNEL6 - FL_ENCAP_PLAIN;
  if ((!over_ipv4 && !over_ipv6) || !offload.checksum_partial || offload.segment_size == 0 ||
      (offload.segment_kind != core::kSegmentTcp4 && offload.segment_kind != core::kSegmentTcp6)) {
    return false;
  }
  std::memset(&header, 0, sizeof header);
  header.plain = vnet_from_offload(packet);
  header.plain.gso_type |= over_ipv4 ? kGsoTunnelOverIpv4 : kGsoTunnelOverIpv6;
  header.outer_l4_offset =
      static_cast<uint16_t>(kEthernet + (over_ipv4 ? sizeof(ipv4_header) : sizeof(ipv6_header)));
  header.inner_l3_offset = static_cast<uint16_t>(packet.encap_length + kEthernet);
  auto* udp = reinterpret_cast<udp_header*>(packet.data + header.outer_l4_offset);
  if (udp->checksum.raw == 0) return true;
  if (over_ipv4) return false;  // we never send one (RFC 7348)
  header.plain.flags |= kTunnelChecksum;
  const auto* ip = reinterpret_cast<const ipv6_header*>(packet.data + kEthernet);
  udp->checksum.raw = checksum_fold(checksum_pseudo6(&ip->source, &ip->destination, FL_PROTOCOL_UDP,
                                                     packet.length - header.outer_l4_offset));
  return true;
}

}  // namespace fairlead::dpdk
