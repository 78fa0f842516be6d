#include "tests/model/ip.hpp"

namespace fairlead::model {
namespace {

uint32_t get16(const Bytes& b, size_t at) {
  return static_cast<uint32_t>(b[at] << 8 | b[at + 1]);
}

// The transport header must be whole in everything that is not a later fragment.
std::string read_transport(IpPacket& packet) {
  const Bytes& b = packet.bytes;
  const size_t at = packet.header_length;
  const size_t left = b.size() - at;
  switch (packet.protocol) {
    case 6: {  // RFC 9293 3.1
      if (left < 20) return "MALFORMED_L4";
      const size_t header = static_cast<size_t>(b[at + 12] >> 4) * 4;
      if (header < 20 || header > left) return "MALFORMED_L4";
      break;
    }
    case 17: {  // RFC 768
      if (left < 8) return "MALFORMED_L4";
      const size_t length = get16(b, at + 4);
      if (length < 8 || (length > left && !packet.more_fragments)) return "MALFORMED_L4";
      break;
    }
    case 132:  // RFC 9260 3.1
      if (left < 12) return "MALFORMED_L4";
      break;
    case 1:
      if (packet.version == 6) return "";
      if (left < 8) return "MALFORMED_L4";
      packet.icmp_type = b[at];
      return "";
    case 58:
      if (packet.version == 4) return "";
      if (left < 8) return "MALFORMED_L4";
      packet.icmp_type = b[at];
      return "";
    default:
      return "";
  }
  packet.source_port = static_cast<uint16_t>(get16(b, at));
  packet.destination_port = static_cast<uint16_t>(get16(b, at + 2));
  return "";
}

Read read_ipv4(const Bytes& payload) {
  if (payload.size() < 20) return {{}, "MALFORMED_IPV4"};
  const size_t header = static_cast<size_t>(payload[0] & 15) * 4;
  const size_t total = get16(payload, 2);
  if (payload[0] >> 4 != 4 || header < 20 || header > payload.size() || total < header ||
      total > payload.size()) {
    return {{}, "MALFORMED_IPV4"};
  }
  if (golden::internet_checksum(payload.data(), header) != 0) return {{}, "BAD_IPV4_CHECKSUM"};
  if (header != 20) return {{}, "IPV4_OPTIONS"};
  IpPacket packet;
  packet.bytes.assign(payload.begin(), payload.begin() + static_cast<std::ptrdiff_t>(total));
  packet.version = 4;
  packet.source.assign(payload.begin() + 12, payload.begin() + 16);
  packet.destination.assign(payload.begin() + 16, payload.begin() + 20);
  packet.ttl = payload[8];
  packet.traffic_class = payload[1];
  packet.protocol = payload[9];
  packet.header_length = header;
  packet.dont_fragment = (payload[6] & 0x40) != 0;
  packet.later_fragment = (get16(payload, 6) & 0x1fff) != 0;
  packet.more_fragments = (payload[6] & 0x20) != 0;
  packet.fragment_id = get16(payload, 4);
  packet.fragment_offset = (get16(payload, 6) & 0x1fffu) * 8;
  // RFC 791 3.2: all pieces but the last are multiples of 8 bytes, and none ends beyond what a datagram can
  // be.
  const size_t data = total - header, offset = (get16(payload, 6) & 0x1fffu) * 8;
  if (packet.more_fragments && (data == 0 || data % 8 != 0)) return {{}, "MALFORMED_IPV4"};
  if (offset + total > 65535 && (packet.later_fragment || packet.more_fragments))
    return {{}, "MALFORMED_IPV4"};
  if (packet.later_fragment && offset == 8 && packet.protocol == 6) return {{}, "FRAGMENT"};  // RFC 1858
  if (packet.later_fragment) return {packet, ""};
  const std::string error = read_transport(packet);
  if (!error.empty()) return {{}, error};
  return {packet, ""};
}

Read read_ipv6(const Bytes& payload) {
  if (payload.size() < 40 || payload[0] >> 4 != 6) return {{}, "MALFORMED_IPV6"};
  const size_t total = 40 + get16(payload, 4);
  if (total > payload.size()) return {{}, "MALFORMED_IPV6"};
  IpPacket packet;
  packet.bytes.assign(payload.begin(), payload.begin() + static_cast<std::ptrdiff_t>(total));
  packet.version = 6;
  packet.source.assign(payload.begin() + 8, payload.begin() + 24);
  packet.destination.assign(payload.begin() + 24, payload.begin() + 40);
  packet.ttl = payload[7];
  packet.traffic_class = static_cast<uint8_t>((payload[0] & 15) << 4 | payload[1] >> 4);
  packet.dont_fragment = true;
  size_t at = 40;
  int next = payload[6];
  bool fragment_seen = false;
  const Bytes& b = packet.bytes;
  // RFC 8200 section 4: walked with a bound; hop-by-hop only directly behind the IPv6 header; no routing
  // header.
  for (int headers = 0; next == 0 || next == 60 || next == 43 || next == 44 || next == 51; ++headers) {
    if (headers == 8 || next == 43 || (next == 0 && headers != 0) || at + 8 > b.size())
      return {{}, "IPV6_EXTENSION_HEADERS"};
    size_t length = (static_cast<size_t>(b[at + 1]) + 1) * 8;
    if (next ==
        51) {  // RFC 4302 2.2: counted in words less two; 12 bytes at least, and a multiple of 8 in IPv6
      length = (static_cast<size_t>(b[at + 1]) + 2) * 4;
      if (length < 12 || length % 8 != 0) return {{}, "IPV6_EXTENSION_HEADERS"};
    }
    if (next == 44) {
      if (fragment_seen) return {{}, "IPV6_EXTENSION_HEADERS"};
      fragment_seen = true;
      length = 8;
      const size_t data = b.size() - at - 8, offset = get16(b, at + 2) & 0xfff8u;
      packet.later_fragment = offset != 0;
      packet.more_fragments = (b[at + 3] & 1) != 0;
      packet.fragment_offset = static_cast<uint32_t>(offset);
      packet.fragment_id = get16(b, at + 4) << 16 | get16(b, at + 6);
      // RFC 8200 4.5: as in IPv4.
      if (packet.more_fragments && (data == 0 || data % 8 != 0)) return {{}, "MALFORMED_IPV6"};
      if (offset + data > 65535) return {{}, "MALFORMED_IPV6"};
    }
    if (at + length > b.size()) return {{}, "IPV6_EXTENSION_HEADERS"};
    next = b[at];
    at += length;
    if (packet.later_fragment) break;
  }
  // Mobility, HIP, shim6 and the experimental numbers are extension headers, too, of which we know nothing.
  const bool unknown = next == 43 || next == 135 || next == 139 || next == 140 || next == 253 || next == 254;
  if (unknown) return {{}, "IPV6_EXTENSION_HEADERS"};
  packet.protocol = next;
  packet.header_length = at;
  if (packet.later_fragment) return {packet, ""};
  const std::string error = read_transport(packet);
  if (!error.empty()) return {{}, error};
  return {packet, ""};
}

}  // namespace

Read read_ip(uint16_t ethertype, const Bytes& payload) {
  return ethertype == 0x0800 ? read_ipv4(payload) : read_ipv6(payload);
}

void decrement_ttl(Bytes& packet) {
  if (packet[0] >> 4 == 6) {
    --packet[7];
    return;
  }
  --packet[8];
  packet[10] = packet[11] = 0;
  const uint16_t sum = golden::internet_checksum(packet.data(), static_cast<size_t>(packet[0] & 15) * 4);
  packet[10] = static_cast<uint8_t>(sum >> 8);
  packet[11] = static_cast<uint8_t>(sum);
}

void set_traffic_class(Bytes& packet, uint8_t value) {
  if (packet[0] >> 4 == 6) {
    packet[0] = static_cast<uint8_t>((packet[0] & 0xf0) | value >> 4);
    packet[1] = static_cast<uint8_t>((packet[1] & 0x0f) | value << 4);
    return;
  }
  packet[1] = value;
  packet[10] = packet[11] = 0;
  const uint16_t sum = golden::internet_checksum(packet.data(), static_cast<size_t>(packet[0] & 15) * 4);
  packet[10] = static_cast<uint8_t>(sum >> 8);
  packet[11] = static_cast<uint8_t>(sum);
}

}  // namespace fairlead::model
