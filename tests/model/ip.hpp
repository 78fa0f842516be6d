#pragma once

#include "tests/golden/frame.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace fairlead::model {

using golden::Bytes;

// An IP packet as the model reads it: bytes from the IP header to the end of the IP packet.
struct IpPacket {
  Bytes bytes;
  int version = 0;
  Bytes source, destination;
  uint8_t ttl = 0, traffic_class = 0;
  int protocol = -1;         // of the last header read
  size_t header_length = 0;  // everything before the transport header
  bool dont_fragment = false, later_fragment = false, more_fragments = false;
  uint16_t source_port = 0, destination_port = 0;
  int icmp_type = -1;
  uint32_t fragment_id = 0, fragment_offset = 0;  // bytes
  // Bytes that forwarding may make anything of: offset and length.
  std::vector<std::pair<size_t, size_t>> unknown;
};

struct Read {
  std::optional<IpPacket> packet;
  std::string error;  // name of a drop reason
};

// Reads the packet behind an Ethernet header: EtherType and payload (which may carry padding).
[[nodiscard]] Read read_ip(uint16_t ethertype, const Bytes& payload);

// RFC 791 / RFC 8200: one hop less. The IPv4 header checksum is computed afresh.
void decrement_ttl(Bytes& packet);
void set_traffic_class(Bytes& packet, uint8_t value);

}  // namespace fairlead::model
