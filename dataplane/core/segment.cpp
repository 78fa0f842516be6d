#include "dataplane/core/segment.hpp"

#include "dataplane/packet/checksum.h"
#include "dataplane/packet/encap.h"
#include "dataplane/packet/parse.h"
#include "dataplane/tables/drop_reasons.h"

#include <algorithm>
#include <cstddef>
#include <cstring>

namespace fairlead::core {
namespace {

// Where the headers of a frame stand, from its first byte.
struct Layout {
  parsed inner;  // offsets from the inner Ethernet header, which stands at `encap`
  uint32_t encap = 0;
  uint32_t l3 = 0;
  uint32_t l4 = 0;
  uint32_t payload = 0;
  uint32_t end = 0;        // behind the last payload byte; padding is left out
  uint32_t outer_udp = 0;  // with encap
  bool outer_ipv4 = false;

  [[nodiscard]] uint32_t payload_length() const { return end - payload; }
};

template <typename Header>
Header* header_at(uint8_t* frame, uint32_t offset) {
  return reinterpret_cast<Header*>(frame + offset);
}

constexpr uint32_t kEthernet = sizeof(ethernet_header);
constexpr uint32_t kTunnel =
    sizeof(udp_header) + sizeof(vxlan_header);  // VXLAN's and our Geneve's are of one size

DropReason read_layout(const Packet& packet, Layout& layout) {
  layout.encap = packet.encap_length;
  if (packet.length < layout.encap + kEthernet) return DropReason::MALFORMED_ETHERNET;
  if (layout.encap != 0) {
    layout.outer_ipv4 = layout.encap == FL_ENCAP_TUNNEL4 - FL_ENCAP_PLAIN;
    if (!layout.outer_ipv4 && layout.encap != FL_ENCAP_TUNNEL6 - FL_ENCAP_PLAIN)
      return DropReason::MALFORMED_TUNNEL;
    layout.outer_udp = layout.encap - kTunnel;
  }
  // The checksum of an IPv4 header is not judged again: each frame gets one of its own.
  constexpr uint32_t kFlags = FL_PARSE_SKIP_IPV4_CHECKSUM | FL_PARSE_ALLOW_ROUTER_ALERT;
  const int error =
      parse_frame(packet.data + layout.encap, packet.data + packet.length, kFlags, &layout.inner);
  if (error != FL_PARSE_OK) return static_cast<DropReason>(drop_reason_of_parse(error));
  layout.l3 = layout.encap + layout.inner.l3_offset;
  layout.l4 = layout.encap + layout.inner.l4_offset;
  layout.payload = layout.encap + layout.inner.payload_offset;
  layout.end = layout.l3 + layout.inner.l3_length;
  return DropReason::NONE;
}

// Frames of the packet, or 0 with the reason in `reason`.
uint32_t plan_segments(const Packet& packet, Layout& layout, DropReason& reason) {
  reason = read_layout(packet, layout);
  if (reason != DropReason::NONE) return 0;
  const parsed& inner = layout.inner;
  const uint8_t kind = packet.offload.segment_kind;
  const bool matches = (kind == kSegmentTcp4 && inner.ip_version == 4 && inner.protocol == FL_PROTOCOL_TCP) ||
                       (kind == kSegmentTcp6 && inner.ip_version == 6 && inner.protocol == FL_PROTOCOL_TCP) ||
                       (kind == kSegmentUdp && inner.protocol == FL_PROTOCOL_UDP);
  const uint32_t size = packet.offload.segment_size;
  const uint32_t frames = size == 0 ? 0 : std::max(1u, (layout.payload_length() + size - 1) / size);
  if (!matches || inner.is_fragment || size == 0 || frames > kFramesMax) {
    reason = DropReason::MALFORMED_L4;
    return 0;
  }
  return frames;
}

void finish_ipv4(ipv4_header* ip, uint32_t header_length, uint32_t total_length) {
  ip->total_length = to_be16(static_cast<uint16_t>(total_length));
  ip->checksum.raw = 0;
  ip->checksum = checksum_finish(checksum_add(0, ip, header_length));
}

// Gives the tunnel header of a frame of `length` bytes its lengths and checksums. The inner packet is
// complete.
void finish_outer(uint8_t* frame, uint32_t length, const Layout& layout) {
  if (layout.encap == 0) return;
  auto* udp = header_at<udp_header>(frame, layout.outer_udp);
  const uint32_t udp_length = length - layout.outer_udp;
  udp->length = to_be16(static_cast<uint16_t>(udp_length));
  if (layout.outer_ipv4) {
    // DF is set: the identification means nothing (RFC 6864), and the UDP checksum is none.
    finish_ipv4(header_at<ipv4_header>(frame, kEthernet), sizeof(ipv4_header), length - kEthernet);
    return;
  }
  header_at<ipv6_header>(frame, kEthernet)->payload_length = udp->length;
  if (udp->checksum.raw != 0) encap_finish_udp6(frame, length, 0, 0);
}

void finish_l3(uint8_t* frame, uint32_t length, const Layout& layout, uint32_t index) {
  if (layout.inner.ip_version == 4) {
    auto* ip = header_at<ipv4_header>(frame, layout.l3);
    ip->id = to_be16(static_cast<uint16_t>(from_be16(ip->id) + index));
    finish_ipv4(ip, layout.l4 - layout.l3, length - layout.l3);
  } else {
    header_at<ipv6_header>(frame, layout.l3)->payload_length =
        to_be16(static_cast<uint16_t>(length - layout.l3 - sizeof(ipv6_header)));
  }
}

uint64_t pseudo_sum(const Layout& layout, uint32_t l4_length) {
  const parsed& inner = layout.inner;
  return inner.ip_version == 4
             ? checksum_pseudo4(inner.source.word[0], inner.destination.word[0], inner.protocol, l4_length)
             : checksum_pseudo6(&inner.source, &inner.destination, inner.protocol, l4_length);
}

// `offset`: of this segment's payload in the whole's; `sum`: of the segment's pseudo-header and payload.
void finish_tcp(uint8_t* frame, const Layout& layout, uint32_t offset, bool last, uint64_t sum) {
  auto* tcp = header_at<tcp_header>(frame, layout.l4);
  tcp->sequence = to_be32(from_be32(tcp->sequence) + offset);
  if (offset != 0) tcp->flags &= static_cast<uint8_t>(~FL_TCP_CWR);
  if (!last) tcp->flags &= static_cast<uint8_t>(~(FL_TCP_FIN | FL_TCP_PSH));
  tcp->checksum.raw = 0;
  tcp->checksum = checksum_finish(checksum_add(sum, tcp, layout.payload - layout.l4));
}

void finish_udp(uint8_t* frame, uint32_t length, const Layout& layout, bool no_checksum, uint64_t sum) {
  auto* udp = header_at<udp_header>(frame, layout.l4);
  udp->length = to_be16(static_cast<uint16_t>(length - layout.l4));
  udp->checksum.raw = 0;
  if (!no_checksum) udp->checksum = checksum_finish_udp(checksum_add(sum, udp, sizeof(*udp)));
}

// The L3 packet's end in the frame: what follows is padding and is in no checksum. At most packet.length.
uint32_t l3_end(const Packet& packet, uint32_t l3) {
  uint32_t length = packet.length;
  if (l3 + sizeof(ipv4_header) > packet.length) return packet.length;
  if (packet.data[l3] >> 4 == 4) {
    length = from_be16(header_at<const ipv4_header>(packet.data, l3)->total_length);
  } else if (l3 + sizeof(ipv6_header) <= packet.length) {
    length = static_cast<uint32_t>(sizeof(ipv6_header)) +
             from_be16(header_at<const ipv6_header>(packet.data, l3)->payload_length);
  }
  return std::min(l3 + length, packet.length);
}

}  // namespace

uint32_t segment_count(const Packet& packet) {
  Layout layout;
  DropReason reason;
  return plan_segments(packet, layout, reason);
}

FrameResult segment(const Packet& packet, const FrameSink& sink) {
  FrameResult result;
  Layout layout;
  const uint32_t frames = plan_segments(packet, layout, result.reason);
  if (frames == 0) return result;

  const uint32_t size = packet.offload.segment_size;
  const bool is_tcp = layout.inner.protocol == FL_PROTOCOL_TCP;
  const bool no_checksum = !is_tcp && !packet.offload.checksum_partial &&
                           header_at<const udp_header>(packet.data, layout.l4)->checksum.raw == 0;
  for (uint32_t index = 0; index < frames; ++index) {
    const uint32_t offset = index * size;
    const uint32_t payload = std::min(size, layout.payload_length() - offset);
    const uint32_t length = layout.payload + payload;
    const FrameBuffer buffer = sink.allocate(sink.context, length);
    if (buffer.data == nullptr || buffer.capacity < length) {
      result.reason = DropReason::NO_BUFFER;
      return result;
    }
    std::memcpy(buffer.data, packet.data, layout.payload);
    const uint64_t sum = checksum_copy(pseudo_sum(layout, length - layout.l4), buffer.data + layout.payload,
                                       packet.data + layout.payload + offset, payload);
    finish_l3(buffer.data, length, layout, index);
    if (is_tcp) {
      finish_tcp(buffer.data, layout, offset, index + 1 == frames, sum);
    } else {
      finish_udp(buffer.data, length, layout, no_checksum, sum);
    }
    finish_outer(buffer.data, length, layout);
    sink.emit(sink.context, buffer, length);
    ++result.frames;
  }
  return result;
}

bool finish_checksum(Packet& packet) {
  Offload& offload = packet.offload;
  if (!offload.checksum_partial) return true;
  const uint32_t start = offload.checksum_start;
  const uint32_t field = start + offload.checksum_offset;
  const uint32_t l3 = packet.encap_length + kEthernet;
  const uint32_t end = l3_end(packet, l3);
  if (start < l3 || field + sizeof(be16) > end) return false;
  // The field's partial sum is summed up with the rest: it is the pseudo-header's part.
  const uint64_t sum = checksum_add(0, packet.data + start, end - start);
  const bool is_udp = offload.checksum_offset == offsetof(udp_header, checksum);
  const be16 checksum = is_udp ? checksum_finish_udp(sum) : checksum_finish(sum);
  std::memcpy(packet.data + field, &checksum, sizeof(checksum));
  offload.checksum_partial = false;
  return true;
}

FrameResult fragment_ipv4(const Packet& packet, uint32_t tx_mtu, const FrameSink& sink) {
  FrameResult result;
  Layout layout;
  result.reason = read_layout(packet, layout);
  if (result.reason != DropReason::NONE) return result;
  if (packet.offload.checksum_partial || packet.offload.segment_size != 0) {
    result.reason = DropReason::MALFORMED_L4;
    return result;
  }
  const parsed& inner = layout.inner;
  const uint32_t header = layout.l4 - layout.l3;
  const uint32_t data = layout.end - layout.l4;
  const bool fits = layout.encap + inner.l3_length <= tx_mtu;
  const uint32_t room = tx_mtu < layout.encap + header ? 0 : (tx_mtu - layout.encap - header) & ~7u;
  if (!fits && (inner.dont_fragment || room == 0 || (data + room - 1) / room > kFramesMax)) {
    result.reason = DropReason::TOO_BIG;
    return result;
  }
  const uint32_t piece = fits ? std::max(data, 1u) : room;
  uint32_t offset = 0;
  do {
    const uint32_t part = std::min(piece, data - offset);
    const uint32_t length = layout.l4 + part;
    const FrameBuffer buffer = sink.allocate(sink.context, length);
    if (buffer.data == nullptr || buffer.capacity < length) {
      result.reason = DropReason::NO_BUFFER;
      return result;
    }
    std::memcpy(buffer.data, packet.data, layout.l4);
    std::memcpy(buffer.data + layout.l4, packet.data + layout.l4 + offset, part);
    if (!fits) {
      // Options are router alert or filling (the parser accepts no other), which every fragment carries.
      auto* ip = header_at<ipv4_header>(buffer.data, layout.l3);
      const uint32_t whole = from_be16(ip->fragment);
      const bool more = offset + part < data || (whole & FL_IPV4_MORE_FRAGMENTS) != 0;
      const uint32_t position = (whole & FL_IPV4_OFFSET_MASK) + offset / 8;
      ip->fragment = to_be16(static_cast<uint16_t>(position | (more ? FL_IPV4_MORE_FRAGMENTS : 0)));
      finish_ipv4(ip, header, length - layout.l3);
    }
    finish_outer(buffer.data, length, layout);
    sink.emit(sink.context, buffer, length);
    ++result.frames;
    offset += part;
  } while (offset < data);
  return result;
}

}  // namespace fairlead::core
