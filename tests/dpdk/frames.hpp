#pragma once

#include "dataplane/core/address.hpp"
#include "dataplane/packet/checksum.h"
#include "dataplane/packet/ethernet.h"
#include "dataplane/packet/ipv4.h"
#include "dataplane/packet/tcp.h"
#include "dataplane/packet/udp.h"

#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

// Frames for tests, complete in every checksum.
namespace fairlead::test {

using Bytes = std::vector<uint8_t>;

template <typename Header>
Header& at(Bytes& frame, size_t offset) {
  return *reinterpret_cast<Header*>(frame.data() + offset);
}

inline Bytes ipv4_frame(const core::MacAddress& from_mac, const core::MacAddress& to_mac,
                        const std::string& from, const std::string& to, uint8_t protocol, const Bytes& l4) {
  Bytes frame(sizeof(ethernet_header) + sizeof(ipv4_header));
  auto& ethernet = at<ethernet_header>(frame, 0);
  std::memcpy(ethernet.destination.bytes, to_mac.bytes.data(), 6);
  std::memcpy(ethernet.source.bytes, from_mac.bytes.data(), 6);
  ethernet.ethertype = to_be16(FL_ETHERTYPE_IPV4);
  auto& ip = at<ipv4_header>(frame, sizeof(ethernet_header));
  ip.version_ihl = 0x45;
  ip.total_length = to_be16(static_cast<uint16_t>(sizeof(ipv4_header) + l4.size()));
  ip.fragment = to_be16(FL_IPV4_DONT_FRAGMENT);
  ip.ttl = 64;
  ip.protocol = protocol;
  ip.source.raw = core::IpAddress::parse(from)->ipv4_wire();
  ip.destination.raw = core::IpAddress::parse(to)->ipv4_wire();
  ip.checksum = checksum_finish(checksum_ipv4_header(&ip));
  frame.insert(frame.end(), l4.begin(), l4.end());
  return frame;
}

// Sets the 16-bit checksum at `field` of the frame's L4 part.
inline void seal_l4(Bytes& frame, size_t field) {
  constexpr size_t kL4 = sizeof(ethernet_header) + sizeof(ipv4_header);
  const auto& ip = at<ipv4_header>(frame, sizeof(ethernet_header));
  const auto l4_bytes = static_cast<uint32_t>(frame.size() - kL4);
  at<be16>(frame, kL4 + field) = {};
  const uint64_t pseudo = checksum_pseudo4(ip.source, ip.destination, ip.protocol, l4_bytes);
  at<be16>(frame, kL4 + field) = checksum_finish(checksum_add(pseudo, frame.data() + kL4, l4_bytes));
}

inline bool l4_checksum_right(Bytes frame) {
  constexpr size_t kL4 = sizeof(ethernet_header) + sizeof(ipv4_header);
  const auto& ip = at<ipv4_header>(frame, sizeof(ethernet_header));
  const auto l4_bytes = static_cast<uint32_t>(from_be16(ip.total_length) - sizeof(ipv4_header));
  const uint64_t pseudo = checksum_pseudo4(ip.source, ip.destination, ip.protocol, l4_bytes);
  return checksum_fold(checksum_add(pseudo, frame.data() + kL4, l4_bytes)) == 0xffff;
}

struct TcpWords {
  uint16_t source_port = 40000, destination_port = 80;
  uint32_t sequence = 1, acknowledgement = 1;
  uint8_t flags = FL_TCP_ACK;
};

inline Bytes tcp_frame(const core::MacAddress& from_mac, const core::MacAddress& to_mac,
                       const std::string& from, const std::string& to, const TcpWords& words,
                       const Bytes& payload) {
  Bytes l4(sizeof(tcp_header));
  auto& tcp = at<tcp_header>(l4, 0);
  tcp.source_port = to_be16(words.source_port);
  tcp.destination_port = to_be16(words.destination_port);
  tcp.sequence = to_be32(words.sequence);
  tcp.acknowledgement = to_be32(words.acknowledgement);
  tcp.data_offset = 5 << 4;
  tcp.flags = words.flags;
  tcp.window = to_be16(1000);
  l4.insert(l4.end(), payload.begin(), payload.end());
  Bytes frame = ipv4_frame(from_mac, to_mac, from, to, FL_PROTOCOL_TCP, l4);
  seal_l4(frame, offsetof(tcp_header, checksum));
  return frame;
}

inline Bytes udp_frame(const core::MacAddress& from_mac, const core::MacAddress& to_mac,
                       const std::string& from, const std::string& to, uint16_t source_port,
                       uint16_t destination_port, const Bytes& payload) {
  Bytes l4(sizeof(udp_header));
  auto& udp = at<udp_header>(l4, 0);
  udp.source_port = to_be16(source_port);
  udp.destination_port = to_be16(destination_port);
  udp.length = to_be16(static_cast<uint16_t>(sizeof(udp_header) + payload.size()));
  l4.insert(l4.end(), payload.begin(), payload.end());
  Bytes frame = ipv4_frame(from_mac, to_mac, from, to, FL_PROTOCOL_UDP, l4);
  seal_l4(frame, offsetof(udp_header, checksum));
  return frame;
}

}  // namespace fairlead::test
