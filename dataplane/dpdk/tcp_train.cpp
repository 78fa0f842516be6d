#include "dataplane/dpdk/tcp_train.hpp"

#include "dataplane/dpdk/vnet_header.hpp"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/ethernet.h"
#include "dataplane/packet/ipv4.h"
#include "dataplane/packet/ipv6.h"
#include "dataplane/packet/tcp.h"

#include <cstddef>
#include <cstring>

namespace fairlead::dpdk {
namespace {

constexpr unsigned kL3 = sizeof(ethernet_header);

template <typename Header>
const Header& header_at(const core::Packet& packet, unsigned offset) {
  return *reinterpret_cast<const Header*>(packet.data + offset);
}
template <typename Header>
Header& header_at(core::Packet& packet, unsigned offset) {
  return *reinterpret_cast<Header*>(packet.data + offset);
}

uint64_t pseudo_sum(const core::Packet& packet, bool is_ipv6, uint32_t l4_bytes) {
  if (is_ipv6) {
    const auto& ip = header_at<ipv6_header>(packet, kL3);
    return checksum_pseudo6(&ip.source, &ip.destination, FL_PROTOCOL_TCP, l4_bytes);
  }
  const auto& ip = header_at<ipv4_header>(packet, kL3);
  return checksum_pseudo4(ip.source, ip.destination, FL_PROTOCOL_TCP, l4_bytes);
}

}  // namespace

TcpTrain::Kind TcpTrain::examine(const core::Packet& packet, Segment& segment) {
  if (packet.encap_length != 0 || packet.length < kL3 + sizeof(ipv4_header) + sizeof(tcp_header))
    return Kind::kNotTcp;
  const be16 ethertype = header_at<ethernet_header>(packet, 0).ethertype;
  uint32_t ip_bytes;
  bool couples = packet.offload.segment_size == 0;
  if (ethertype == to_be16(FL_ETHERTYPE_IPV4)) {
    const auto& ip = header_at<ipv4_header>(packet, kL3);
    if (ip.version_ihl != 0x45 || ip.protocol != FL_PROTOCOL_TCP) return Kind::kNotTcp;
    // Exactly "don't fragment": then ids carry no meaning (RFC 6864) and cutting again may renumber.
    couples = couples && ip.fragment == to_be16(FL_IPV4_DONT_FRAGMENT);
    segment.is_ipv6 = false;
    segment.l4_offset = kL3 + sizeof(ipv4_header);
    ip_bytes = from_be16(ip.total_length);
  } else if (ethertype == to_be16(FL_ETHERTYPE_IPV6)) {
    if (packet.length < kL3 + sizeof(ipv6_header) + sizeof(tcp_header)) return Kind::kNotTcp;
    const auto& ip = header_at<ipv6_header>(packet, kL3);
    if (ip.next_header != FL_PROTOCOL_TCP) return Kind::kNotTcp;
    segment.is_ipv6 = true;
    segment.l4_offset = kL3 + sizeof(ipv6_header);
    ip_bytes = sizeof(ipv6_header) + from_be16(ip.payload_length);
  } else {
    return Kind::kNotTcp;
  }
  const auto& tcp = header_at<tcp_header>(packet, segment.l4_offset);
  const unsigned tcp_bytes = tcp_header_length(&tcp);
  const unsigned headers = segment.l4_offset + tcp_bytes;
  // Padded frames and segments without payload gain nothing from coupling.
  if (!couples || kL3 + ip_bytes != packet.length || tcp_bytes < sizeof(tcp_header) ||
      headers >= packet.length || (tcp.flags & ~FL_TCP_PSH) != FL_TCP_ACK) {
    return Kind::kAlone;
  }
  segment.header_bytes = static_cast<uint16_t>(headers);
  segment.payload_bytes = static_cast<uint16_t>(packet.length - headers);
  segment.sequence = from_be32(tcp.sequence);
  segment.flags = tcp.flags;
  return Kind::kSegment;
}

bool TcpTrain::same_flow(const core::Packet& packet, const Segment& segment) const {
  const core::Packet& first = *cars_[0].packet;
  if (segment.is_ipv6 != first_.is_ipv6) return false;
  const unsigned addresses = segment.is_ipv6 ? offsetof(ipv6_header, source) : offsetof(ipv4_header, source);
  // Addresses and ports are contiguous: ...source, destination | source port, destination port.
  const unsigned bytes = segment.l4_offset - (kL3 + addresses) + 4;
  return std::memcmp(packet.data + kL3 + addresses, first.data + kL3 + addresses, bytes) == 0;
}

bool TcpTrain::checksum_right(const core::Packet& packet, const Segment& segment) {
  if (packet.offload.checksum_verified || packet.offload.checksum_partial) return true;
  const uint32_t l4_bytes = packet.length - segment.l4_offset;
  const uint64_t sum =
      checksum_add(pseudo_sum(packet, segment.is_ipv6, l4_bytes), packet.data + segment.l4_offset, l4_bytes);
  return checksum_fold(sum) == 0xffff;
}

void TcpTrain::start(Car car, const Segment& segment) {
  cars_[0] = car;
  count_ = 1;
  first_ = segment;
  payload_total_ = segment.payload_bytes;
  next_sequence_ = segment.sequence + segment.payload_bytes;
  flags_seen_ = segment.flags;
  is_closed_ = (segment.flags & FL_TCP_PSH) != 0;
}

bool TcpTrain::append(Car car, const Segment& segment) {
  core::Packet& first = *cars_[0].packet;
  const core::Packet& packet = *car.packet;
  if (is_closed_ || count_ == kSegmentsMax || segment.sequence != next_sequence_ ||
      segment.payload_bytes > first_.payload_bytes || segment.header_bytes != first_.header_bytes ||
      payload_total_ + segment.payload_bytes > kBytesMax) {
    return false;
  }
  if (std::memcmp(packet.data, first.data, kL3) != 0) return false;
  if (segment.is_ipv6) {
    const auto& a = header_at<ipv6_header>(first, kL3);
    const auto& b = header_at<ipv6_header>(packet, kL3);
    if (!(a.version_class_flow == b.version_class_flow) || a.hop_limit != b.hop_limit) return false;
  } else {
    const auto& a = header_at<ipv4_header>(first, kL3);
    const auto& b = header_at<ipv4_header>(packet, kL3);
    if (a.tos != b.tos || a.ttl != b.ttl) return false;
  }
  const auto& a = header_at<tcp_header>(first, first_.l4_offset);
  const auto& b = header_at<tcp_header>(packet, first_.l4_offset);
  const unsigned options = first_.header_bytes - first_.l4_offset - sizeof(tcp_header);
  if (!(a.acknowledgement == b.acknowledgement) || !(a.window == b.window) ||
      std::memcmp(&a + 1, &b + 1, options) != 0) {
    return false;
  }
  // The sum costs a pass over the payload: only now that everything else fits, and for the first one only
  // once.
  if (count_ == 1 && !checksum_right(first, first_)) return false;
  if (!checksum_right(packet, segment)) return false;

  cars_[count_++] = car;
  payload_total_ += segment.payload_bytes;
  next_sequence_ += segment.payload_bytes;
  flags_seen_ |= segment.flags;
  is_closed_ = segment.payload_bytes < first_.payload_bytes || (segment.flags & FL_TCP_PSH) != 0;
  return true;
}

unsigned TcpTrain::close(VnetHeader& header, std::array<iovec, kSegmentsMax + 1>& iov) {
  core::Packet& first = *cars_[0].packet;
  iov[1] = {first.data, first.length};
  if (count_ == 1) {
    header = vnet_from_offload(first);
    return 2;
  }
  const uint32_t l4_bytes = first_.header_bytes - first_.l4_offset + payload_total_;
  if (first_.is_ipv6) {
    header_at<ipv6_header>(first, kL3).payload_length = to_be16(static_cast<uint16_t>(l4_bytes));
  } else {
    auto& ip = header_at<ipv4_header>(first, kL3);
    const be16 total = to_be16(static_cast<uint16_t>(sizeof(ipv4_header) + l4_bytes));
    ip.checksum = checksum_update16(ip.checksum, ip.total_length, total);
    ip.total_length = total;
  }
  auto& tcp = header_at<tcp_header>(first, first_.l4_offset);
  tcp.flags = flags_seen_;
  tcp.checksum.raw = checksum_fold(pseudo_sum(first, first_.is_ipv6, l4_bytes));
  for (unsigned i = 1; i < count_; ++i) {
    const core::Packet& packet = *cars_[i].packet;
    iov[i + 1] = {packet.data + first_.header_bytes, packet.length - first_.header_bytes};
  }
  core::Offload offload;
  offload.checksum_partial = true;
  offload.checksum_start = first_.l4_offset;
  offload.checksum_offset = offsetof(tcp_header, checksum);
  offload.segment_kind = first_.is_ipv6 ? core::kSegmentTcp6 : core::kSegmentTcp4;
  offload.segment_size = first_.payload_bytes;
  first.offload = offload;
  header = vnet_from_offload(first);
  return count_ + 1;
}

}  // namespace fairlead::dpdk
