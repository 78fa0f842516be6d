#include "dataplane/core/tcp_reset.hpp"

#include "dataplane/core/icmp_answer.hpp"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/ipv6.h"
#include "dataplane/packet/tcp.h"

#include <utility>

namespace fairlead::core {

namespace {

constexpr uint8_t kResetTtl = 64;
constexpr uint16_t kDontFragment = 0x4000;

// Number and flags as section 3.10.7.1 has them for a connection that does not exist.
tcp_header reset_for(const tcp_header& segment, uint32_t payload_length) {
  tcp_header reset{};
  reset.source_port = segment.destination_port;
  reset.destination_port = segment.source_port;
  reset.data_offset = (sizeof(tcp_header) / 4) << 4;
  if ((segment.flags & FL_TCP_ACK) != 0) {
    reset.flags = FL_TCP_RST;
    reset.sequence = segment.acknowledgement;
    return reset;
  }
  const uint32_t length = payload_length + static_cast<uint32_t>((segment.flags & FL_TCP_SYN) != 0) +
                          static_cast<uint32_t>((segment.flags & FL_TCP_FIN) != 0);
  reset.flags = FL_TCP_RST | FL_TCP_ACK;
  reset.acknowledgement = to_be32(from_be32(segment.sequence) + length);
  return reset;
}

}  // namespace

bool may_be_reset(const Walk& walk) {
  const parsed& p = walk.p;
  return p.protocol == FL_PROTOCOL_TCP && p.has_ports != 0 && p.is_fragment == 0 &&
         (p.tcp_flags & FL_TCP_RST) == 0;
}

bool write_tcp_reset(Walk& walk, uint32_t header_length) {
  Packet& packet = *walk.packet;
  parsed& p = walk.p;
  const bool v4 = p.ip_version == 4;
  const uint32_t ip_length = v4 ? sizeof(ipv4_header) : sizeof(ipv6_header);
  const uint32_t length = ip_length + static_cast<uint32_t>(sizeof(tcp_header));
  tcp_header segment;
  std::memcpy(&segment, packet.data + p.l4_offset, sizeof(segment));
  // A reset is never longer than what it answers, so that it is written over it.
  if (!make_room_for_answer(packet, p.l3_offset, length, header_length)) return false;

  tcp_header tcp = reset_for(segment, parsed_payload_length(&p));
  std::swap(p.source, p.destination);
  std::swap(p.source_port, p.destination_port);
  uint64_t sum = 0;
  uint8_t* const l3 = walk.l3();
  if (v4) {
    ipv4_header ip{};
    ip.version_ihl = 0x45;
    ip.total_length = to_be16(static_cast<uint16_t>(length));
    ip.fragment = to_be16(kDontFragment);  // and so no id: RFC 6864 section 4.1
    ip.ttl = kResetTtl;
    ip.protocol = FL_PROTOCOL_TCP;
    ip.source = p.source.word[0];
    ip.destination = p.destination.word[0];
    ip.checksum = checksum_finish(checksum_ipv4_header(&ip));
    std::memcpy(l3, &ip, sizeof(ip));
    sum = checksum_pseudo4(ip.source, ip.destination, FL_PROTOCOL_TCP, sizeof(tcp));
  } else {
    ipv6_header ip{};
    ip.version_class_flow = to_be32(6u << 28);
    ip.payload_length = to_be16(sizeof(tcp));
    ip.next_header = FL_PROTOCOL_TCP;
    ip.hop_limit = kResetTtl;
    ip.source = p.source;
    ip.destination = p.destination;
    std::memcpy(l3, &ip, sizeof(ip));
    sum = checksum_pseudo6(&ip.source, &ip.destination, FL_PROTOCOL_TCP, sizeof(tcp));
  }
  tcp.checksum = checksum_finish(checksum_add(sum, &tcp, sizeof(tcp)));
  std::memcpy(l3 + ip_length, &tcp, sizeof(tcp));

  packet.length = p.l3_offset + length;
  packet.offload = Offload{};
  p.l3_length = length;
  p.tos = 0;
  p.ttl = kResetTtl;
  p.tcp_flags = tcp.flags;
  return true;
}

}  // namespace fairlead::core
