#include "dataplane/dpdk/device_offload.hpp"

#include "dataplane/packet/ethernet.h"
#include "dataplane/packet/ipv4.h"
#include "dataplane/packet/tcp.h"
#include "dataplane/packet/udp.h"

#include <rte_ethdev.h>
#include <rte_ip.h>

#include <cstddef>

namespace fairlead::dpdk {
namespace {

// Descriptors of common NICs carry 16 KiB - 1 in one piece, and our super-packets are one piece.
constexpr uint32_t kDevicePieceMax = 16'383;
constexpr unsigned kL3 = sizeof(ethernet_header);

bool is_ipv4(const core::Packet& packet) {
  return reinterpret_cast<const ethernet_header*>(packet.data)->ethertype == to_be16(FL_ETHERTYPE_IPV4);
}

bool is_ipv6(const core::Packet& packet) {
  return reinterpret_cast<const ethernet_header*>(packet.data)->ethertype == to_be16(FL_ETHERTYPE_IPV6);
}

}  // namespace

const uint64_t kUsableTxOffloads = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM |
                                   RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_TSO;

bool device_can_finish(const core::Packet& packet, uint64_t tx_offloads) {
  const core::Offload& offload = packet.offload;
  if (tx_offloads == 0 || packet.encap_length != 0 || !offload.checksum_partial) return false;
  if (!is_ipv4(packet) && !is_ipv6(packet)) return false;
  if (offload.segment_size != 0) {
    constexpr uint64_t kNeeded =
        RTE_ETH_TX_OFFLOAD_TCP_TSO | RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
    return offload.segment_kind != core::kSegmentUdp && (tx_offloads & kNeeded) == kNeeded &&
           packet.length <= kDevicePieceMax;
  }
  // L3 bytes beyond the MTU of a single packet mean fragments, which are not the device's.
  if (packet.tx_mtu != 0 && packet.length > kL3 + packet.tx_mtu) return false;
  if (offload.checksum_offset == offsetof(tcp_header, checksum)) {
    return (tx_offloads & RTE_ETH_TX_OFFLOAD_TCP_CKSUM) != 0;
  }
  return offload.checksum_offset == offsetof(udp_header, checksum) &&
         (tx_offloads & RTE_ETH_TX_OFFLOAD_UDP_CKSUM) != 0;
}

void leave_to_device(const core::Packet& packet, rte_mbuf* mbuf) {
  const core::Offload& offload = packet.offload;
  mbuf->l2_len = kL3;
  mbuf->l3_len = static_cast<uint16_t>(offload.checksum_start - kL3);
  mbuf->ol_flags = is_ipv4(packet) ? RTE_MBUF_F_TX_IPV4 : RTE_MBUF_F_TX_IPV6;
  if (offload.segment_size == 0) {
    mbuf->ol_flags |= offload.checksum_offset == offsetof(tcp_header, checksum) ? RTE_MBUF_F_TX_TCP_CKSUM
                                                                                : RTE_MBUF_F_TX_UDP_CKSUM;
    return;  // the field holds the pseudo-header's sum already
  }
  auto* tcp = reinterpret_cast<tcp_header*>(packet.data + offload.checksum_start);
  mbuf->ol_flags |= RTE_MBUF_F_TX_TCP_SEG | RTE_MBUF_F_TX_TCP_CKSUM;
  mbuf->l4_len = static_cast<uint8_t>(tcp_header_length(tcp));
  mbuf->tso_segsz = offload.segment_size;
  // For segmentation the pseudo-header's sum is without the length, and the IPv4 checksum the device's as
  // well.
  if (is_ipv4(packet)) {
    auto* ip = reinterpret_cast<rte_ipv4_hdr*>(packet.data + kL3);
    mbuf->ol_flags |= RTE_MBUF_F_TX_IP_CKSUM;
    ip->hdr_checksum = 0;
    tcp->checksum.raw = rte_ipv4_phdr_cksum(ip, mbuf->ol_flags);
  } else {
    tcp->checksum.raw =
        rte_ipv6_phdr_cksum(reinterpret_cast<const rte_ipv6_hdr*>(packet.data + kL3), mbuf->ol_flags);
  }
}

}  // namespace fairlead::dpdk
