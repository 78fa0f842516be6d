#include "bench/replay/frames.hpp"

#include "dataplane/packet/checksum.h"
#include "dataplane/packet/encap.h"
#include "dataplane/packet/ethernet.h"
#include "dataplane/packet/ipv4.h"
#include "dataplane/packet/ipv6.h"
#include "dataplane/packet/udp.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <random>

namespace fairlead::replay {
namespace {

constexpr uint16_t kFirstSourcePort = 1024;
// 02:46:4c and the endpoint's id: on the trunk a frame's source MAC names its pod. Our pods' ids are the last
// two bytes of their addresses.
constexpr Mac kSourceMac = {0x02, 0x46, 0x4c, 0, 0, 0};
constexpr Mac kTunnelPeerMac = {0x02, 0, 0, 0, 0, 9};
constexpr Mac kInnerDestinationMac = {0x02, 0x46, 0x4c, 0xff, 0xff, 0xff};

// Says of a shape where bytes of the record go.
class Patches {
 public:
  explicit Patches(FrameShape& shape) : shape_(shape) { shape.select.fill(0x80); }
  void put(uint32_t offset, size_t from, uint32_t length) {
    for (uint32_t i = 0; i < length; ++i) shape_.select.at(offset + i) = static_cast<uint8_t>(from + i);
  }

 private:
  FrameShape& shape_;
};

struct PacketLayout {
  uint32_t l3_length;  // bytes from the IP header to the end
  uint32_t l4_offset;  // from the IP header
  uint32_t l4_length;
};

PacketLayout layout_of(const Profile& profile, uint32_t size) {
  const uint32_t l3 = size - kFcsBytes - static_cast<uint32_t>(sizeof(ethernet_header));
  const auto header =
      static_cast<uint32_t>(is_inner_ipv6(profile.frames) ? sizeof(ipv6_header) : sizeof(ipv4_header));
  return {l3, header, l3 - header};
}

// IP and UDP headers at `at` bytes into the shape, all that flows have in common.
void put_packet(FrameShape& shape, Patches& patches, const Profile& profile, const PacketLayout& layout,
                uint32_t at) {
  // An answer's source is its flow's destination.
  const size_t source = profile.reply ? offsetof(FlowRecord, destination) : offsetof(FlowRecord, source);
  const size_t destination = profile.reply ? offsetof(FlowRecord, source) : offsetof(FlowRecord, destination);
  uint8_t* l3 = shape.header.data() + at;
  auto* udp = reinterpret_cast<udp_header*>(l3 + layout.l4_offset);
  const uint32_t l4 = at + layout.l4_offset;
  if (is_inner_ipv6(profile.frames)) {
    auto* ip = reinterpret_cast<ipv6_header*>(l3);
    ip->version_class_flow = to_be32(0x60000000);
    ip->payload_length = to_be16(static_cast<uint16_t>(layout.l4_length));
    ip->next_header = FL_PROTOCOL_UDP;
    ip->hop_limit = kTimeToLive;
    ip->source = profile.reply ? profile.destinations.base : profile.sources.base;
    ip->destination = profile.reply ? profile.sources.base : profile.destinations.base;
    ip->source.word[3] = ip->destination.word[3] = be32{};
    patches.put(at + offsetof(ipv6_header, source) + 12, source, 4);
    patches.put(at + offsetof(ipv6_header, destination) + 12, destination, 4);
  } else {
    auto* ip = reinterpret_cast<ipv4_header*>(l3);
    ip->version_ihl = 0x45;
    ip->total_length = to_be16(static_cast<uint16_t>(layout.l3_length));
    ip->ttl = kTimeToLive;
    ip->protocol = FL_PROTOCOL_UDP;
    patches.put(at + offsetof(ipv4_header, checksum), offsetof(FlowRecord, ip_checksum), 2);
    patches.put(at + offsetof(ipv4_header, source), source, 4);
    patches.put(at + offsetof(ipv4_header, destination), destination, 4);
  }
  (profile.reply ? udp->source_port : udp->destination_port) = to_be16(profile.port);
  udp->length = to_be16(static_cast<uint16_t>(layout.l4_length));
  patches.put(
      l4 + (profile.reply ? offsetof(udp_header, destination_port) : offsetof(udp_header, source_port)),
      offsetof(FlowRecord, source_port), 2);
  patches.put(l4 + offsetof(udp_header, checksum), offsetof(FlowRecord, l4_checksum), 2);
}

mac_address as_address(const Mac& mac) {
  mac_address address;
  std::memcpy(address.bytes, mac.data(), mac.size());
  return address;
}

// The outer headers, by the project's own template: what is measured takes them off again.
void put_tunnel(FrameShape& shape, Patches& patches, const Profile& profile, const PacketLayout& layout,
                const Mac& destination) {
  encap_spec spec{};
  spec.source.word[0] = profile.tunnel_source;
  spec.destination.word[0] = profile.tunnel_destination;
  spec.outer_source = as_address(kTunnelPeerMac);
  spec.outer_destination = as_address(destination);
  spec.inner_source = as_address(kTunnelPeerMac);
  spec.inner_destination = as_address(kInnerDestinationMac);
  spec.vni = profile.vni;
  spec.ip_version = 4;
  spec.kind = is_geneve(profile.frames) ? FL_TUNNEL_GENEVE : FL_TUNNEL_VXLAN;
  spec.port = is_geneve(profile.frames) ? to_be16(FL_GENEVE_PORT) : to_be16(FL_VXLAN_PORT);
  encap_template header;
  encap_build_tunnel(&header, &spec);
  const be16 ethertype = to_be16(is_inner_ipv6(profile.frames) ? FL_ETHERTYPE_IPV6 : FL_ETHERTYPE_IPV4);
  encap_push(&header, shape.header.data() + FL_ENCAP_TUNNEL4, layout.l3_length, ethertype, 0, 0);
  constexpr uint32_t kOuterUdp = sizeof(ethernet_header) + sizeof(ipv4_header);
  std::memset(shape.header.data() + kOuterUdp, 0, sizeof(be16));
  patches.put(kOuterUdp, offsetof(FlowRecord, entropy), 2);
}

void put_ethernet(FrameShape& shape, Patches& patches, const Profile& profile, const Mac& destination) {
  auto* ethernet = reinterpret_cast<ethernet_header*>(shape.header.data());
  ethernet->destination = as_address(destination);
  ethernet->source = as_address(kSourceMac);
  ethernet->ethertype = to_be16(is_inner_ipv6(profile.frames) ? FL_ETHERTYPE_IPV6 : FL_ETHERTYPE_IPV4);
  patches.put(offsetof(ethernet_header, source) + 4, offsetof(FlowRecord, source) + 2, 2);
}

be32 host(const Hosts& hosts, uint32_t index) {
  const be32 base = hosts.is_ipv6 ? hosts.base.word[3] : hosts.base.word[0];
  return to_be32(from_be32(base) + index * hosts.stride);
}

// The same for a flow and its answer.
void fill_checksums(FlowRecord& record, const Profile& profile, uint32_t size) {
  const PacketLayout layout = layout_of(profile, size);
  ip_address source = profile.sources.base, destination = profile.destinations.base;
  const unsigned word = is_inner_ipv6(profile.frames) ? 3 : 0;
  source.word[word] = record.source;
  destination.word[word] = record.destination;
  uint64_t sum = checksum_pseudo6(&source, &destination, FL_PROTOCOL_UDP, layout.l4_length);
  sum += record.source_port.raw + to_be16(profile.port).raw +
         to_be16(static_cast<uint16_t>(layout.l4_length)).raw;
  record.l4_checksum = checksum_finish_udp(sum);
  if (is_inner_ipv6(profile.frames)) return;
  ipv4_header ip{};
  ip.version_ihl = 0x45;
  ip.total_length = to_be16(static_cast<uint16_t>(layout.l3_length));
  ip.ttl = kTimeToLive;
  ip.protocol = FL_PROTOCOL_UDP;
  ip.source = record.source;
  ip.destination = record.destination;
  record.ip_checksum = checksum_finish(checksum_ipv4_header(&ip));
}

// Tuple number n: all sources in turn, every source its own walk over all destinations.
FlowRecord tuple(const Profile& profile, uint32_t n) {
  const uint32_t source = n % profile.sources.count;
  const uint32_t turn = n / profile.sources.count;
  const uint64_t start = uint64_t{source} * profile.destinations.count / profile.sources.count;
  FlowRecord record{};
  record.source = host(profile.sources, source);
  record.destination =
      host(profile.destinations, static_cast<uint32_t>((turn + start) % profile.destinations.count));
  record.source_port = to_be16(static_cast<uint16_t>(kFirstSourcePort + turn / profile.destinations.count));
  record.entropy =
      to_be16(static_cast<uint16_t>(FL_ENCAP_PORT_BASE + ((n * 2654435761u) >> 18 & FL_ENCAP_PORT_MASK)));
  return record;
}

}  // namespace

FrameShape make_shape(const Profile& profile, uint32_t size, const Mac& destination) {
  FrameShape shape;
  Patches patches(shape);
  const PacketLayout layout =
      layout_of(profile, std::max(size, kSizeMin + (is_inner_ipv6(profile.frames) ? 2u : 0u)));
  uint32_t at = sizeof(ethernet_header);
  if (is_tunnel(profile.frames)) {
    put_tunnel(shape, patches, profile, layout, destination);
    at = FL_ENCAP_TUNNEL4;
  } else {
    put_ethernet(shape, patches, profile, destination);
  }
  put_packet(shape, patches, profile, layout, at);
  shape.length = at + layout.l3_length;
  shape.blocks = (at + layout.l4_offset + static_cast<uint32_t>(sizeof(udp_header)) + 15) / 16;
  return shape;
}

std::vector<uint8_t> make_frame(const FrameShape& shape, const FlowRecord& record) {
  std::vector<uint8_t> frame(std::max<size_t>(shape.length, shape.blocks * 16));
  std::array<uint8_t, sizeof record> bytes;
  std::memcpy(bytes.data(), &record, sizeof record);
  for (size_t i = 0; i < shape.blocks * 16; ++i) {
    const uint8_t from = shape.select.at(i);
    frame[i] = static_cast<uint8_t>(shape.header.at(i) | (from < bytes.size() ? bytes.at(from) : 0));
  }
  frame.resize(shape.length);
  return frame;
}

FlowList::FlowList(const Profile& profile)
    : memory_(MappedRegion::reserve(profile.flows * sizeof(FlowRecord))) {
  records_ = {static_cast<FlowRecord*>(memory_.data()), profile.flows};
  for (uint32_t n = 0; n < profile.flows; ++n) records_[n] = tuple(profile, n);
  std::shuffle(records_.begin(), records_.end(), std::mt19937(profile.seed));
  for (uint32_t n = 0; n < profile.flows; ++n) {
    fill_checksums(records_[n], profile, profile.imix ? kImix.at(n % kImix.size()) : profile.size);
  }
}

std::span<const FlowRecord> FlowList::of_queue(unsigned queue, unsigned queues) const {
  const uint64_t first = uint64_t{queue} * records_.size() / queues;
  const uint64_t end = (uint64_t{queue} + 1) * records_.size() / queues;
  return std::span<const FlowRecord>(records_).subspan(first, end - first);
}

}  // namespace fairlead::replay
