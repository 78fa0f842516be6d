#include "dataplane/core/icmp_answer.hpp"

#include "dataplane/core/martians.hpp"
#include "dataplane/core/steps/route.hpp"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/icmp.h"
#include "dataplane/packet/ipv6.h"

#include <algorithm>

namespace fairlead::core {

namespace {

constexpr uint32_t kErrorMax4 = 576;   // RFC 1812 section 4.3.2.3
constexpr uint32_t kErrorMax6 = 1280;  // RFC 4443 section 2.4 (c)
constexpr uint8_t kAnswerTtl = 64;
constexpr uint8_t kInternetworkControl = 0xc0;  // precedence of errors, RFC 1812 section 4.3.2.5
constexpr uint16_t kIpv6MinimumMtu = 1280;

// `id`: the refused packet's own, as unique as its sender made it. No DF: an error must get through (RFC 6864
// section 4).
void write_ipv4(uint8_t* l3, uint32_t length, be16 id, const IpAddress& source,
                const ip_address& destination) {
  ipv4_header ip{};
  ip.version_ihl = 0x45;
  ip.tos = kInternetworkControl;
  ip.total_length = to_be16(static_cast<uint16_t>(length));
  ip.id = id;
  ip.ttl = kAnswerTtl;
  ip.protocol = FL_PROTOCOL_ICMP;
  ip.source.raw = source.ipv4_wire();
  ip.destination = destination.word[0];
  ip.checksum = checksum_finish(checksum_ipv4_header(&ip));
  std::memcpy(l3, &ip, sizeof(ip));
}

void write_ipv6(uint8_t* l3, uint32_t length, const IpAddress& source, const ip_address& destination) {
  ipv6_header ip{};
  ip.version_class_flow = to_be32(6u << 28);
  ip.payload_length = to_be16(static_cast<uint16_t>(length - sizeof(ip)));
  ip.next_header = FL_PROTOCOL_ICMPV6;
  ip.hop_limit = kAnswerTtl;
  std::memcpy(&ip.source, source.bytes.data(), sizeof(ip.source));
  ip.destination = destination;
  std::memcpy(l3, &ip, sizeof(ip));
}

}  // namespace

IcmpError icmp_error_for(DropReason reason, uint8_t ip_version, uint16_t mtu) {
  const bool v4 = ip_version == 4;
  switch (reason) {
    case DropReason::TTL_EXCEEDED:
      return {v4 ? uint8_t{FL_ICMP_TIME_EXCEEDED} : uint8_t{FL_ICMPV6_TIME_EXCEEDED}, 0, 0};
    case DropReason::TOO_BIG:
      if (v4) return {FL_ICMP_UNREACHABLE, FL_ICMP_FRAGMENTATION_NEEDED, mtu};
      return {FL_ICMPV6_PACKET_TOO_BIG, 0, std::max(mtu, kIpv6MinimumMtu)};  // RFC 8201 section 4
    case DropReason::NO_ENDPOINT:
      if (v4) return {FL_ICMP_UNREACHABLE, FL_ICMP_HOST_UNREACHABLE, 0};
      return {FL_ICMPV6_UNREACHABLE, FL_ICMPV6_ADDRESS_UNREACHABLE, 0};
    case DropReason::NO_SERVICE:
    case DropReason::NO_BACKEND:
    case DropReason::BACKEND_GONE:
      if (v4) return {FL_ICMP_UNREACHABLE, FL_ICMP_PORT_UNREACHABLE, 0};
      return {FL_ICMPV6_UNREACHABLE, FL_ICMPV6_PORT_UNREACHABLE, 0};
    default:
      if (v4) return {FL_ICMP_UNREACHABLE, FL_ICMP_NET_UNREACHABLE, 0};
      return {FL_ICMPV6_UNREACHABLE, FL_ICMPV6_NO_ROUTE, 0};
  }
}

bool make_room_for_answer(Packet& packet, uint32_t l3_offset, uint32_t quote_length, uint32_t wanted) {
  const uint32_t room = packet.headroom + l3_offset;
  if (room >= wanted) return true;
  const uint32_t missing = wanted - room;
  const uint32_t behind = packet.length - l3_offset - quote_length + packet.tailroom;
  if (missing > behind) return false;
  uint8_t* l3 = packet.data + l3_offset;
  std::memmove(l3 + missing, l3, quote_length);
  packet.data += missing;
  packet.headroom = static_cast<uint16_t>(packet.headroom + missing);
  packet.length = l3_offset + quote_length;
  return true;
}

bool may_be_answered(const Walk& walk) {
  const parsed& p = walk.p;
  if (p.is_icmp_error || parsed_is_later_fragment(&p)) return false;
  return !is_multicast(p.source, p.ip_version) && !is_martian(p.source, p.ip_version) &&
         !is_multicast(p.destination, p.ip_version);
}

const Template& way_back(const Walk& walk, const Snapshot& snapshot) {
  const parsed& p = walk.p;
  const uint32_t back =
      walk.side == Side::host() ? uint32_t{kHostNextHop} : snapshot.route(p.source, p.ip_version);
  const steps::Way way =
      steps::choose_way(snapshot, snapshot.next_hop(back), walk.hash, p.source, p.ip_version);
  return snapshot.template_of(way.template_id);
}

bool write_icmp_error(Walk& walk, const Snapshot& snapshot, const IcmpError& error, uint32_t header_length) {
  Packet& packet = *walk.packet;
  const bool v4 = walk.p.ip_version == 4;
  const uint32_t ip_length = v4 ? sizeof(ipv4_header) : sizeof(ipv6_header);
  const uint32_t headers = ip_length + static_cast<uint32_t>(sizeof(icmp_header));
  const uint32_t quote_length = std::min(walk.p.l3_length, (v4 ? kErrorMax4 : kErrorMax6) - headers);
  if (!make_room_for_answer(packet, walk.p.l3_offset, quote_length, headers + header_length)) return false;

  const IpAddress& source = v4 ? snapshot.icmp_source4 : snapshot.icmp_source6;
  const ip_address destination = walk.p.source;
  uint8_t* const l3 = walk.l3() - headers;
  const uint32_t length = headers + quote_length;
  if (v4) {
    write_ipv4(l3, length, reinterpret_cast<const ipv4_header*>(walk.l3())->id, source, destination);
  } else {
    write_ipv6(l3, length, source, destination);
  }

  icmp_header icmp{};
  icmp.type = error.type;
  icmp.code = error.code;
  icmp.sequence = to_be16(error.mtu);  // IPv4: RFC 1191; IPv6: the lower half of a 32-bit MTU
  std::memcpy(l3 + ip_length, &icmp, sizeof(icmp));
  uint64_t sum = 0;
  if (!v4) {
    const auto* ip = reinterpret_cast<const ipv6_header*>(l3);
    sum = checksum_pseudo6(&ip->source, &ip->destination, FL_PROTOCOL_ICMPV6, length - ip_length);
  }
  icmp.checksum = checksum_finish(checksum_add(sum, l3 + ip_length, length - ip_length));
  std::memcpy(l3 + ip_length, &icmp, sizeof(icmp));

  // The new packet as if it had been received; header_length is at least the Ethernet header that stood
  // there.
  packet.data -= headers;
  packet.headroom = static_cast<uint16_t>(packet.headroom - headers);
  packet.length = walk.p.l3_offset + length;
  packet.offload = Offload{};
  walk.p.l3_length = length;
  walk.p.tos = v4 ? kInternetworkControl : 0;
  walk.p.destination = destination;
  std::memcpy(&walk.p.source, source.bytes.data(), sizeof(walk.p.source));
  return true;
}

}  // namespace fairlead::core
