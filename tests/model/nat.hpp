#pragma once

#include "tests/model/ip.hpp"

#include <compare>
#include <cstdint>
#include <optional>

namespace fairlead::model {

// What a connection's packets of one direction have in common, as they stand in the packet. ICMP echo: the id
// is the port of the side that asks.
struct Tuple {
  int protocol = 0;
  Bytes source, destination;
  uint16_t source_port = 0, destination_port = 0;

  auto operator<=>(const Tuple&) const = default;
  [[nodiscard]] Tuple inverse() const {
    return {protocol, destination, source, destination_port, source_port};
  }
};

// Nothing for a packet that shows no ports or echo id.
[[nodiscard]] std::optional<Tuple> tuple_of(const IpPacket& packet);

// Makes the packet's addresses and ports those of `to`, with every checksum as right or wrong as it was (RFC
// 1624; RFC 768: 0 stays none; RFC 9260 6.8). Later fragments: the addresses.
void rewrite(IpPacket& packet, const Tuple& to);

// The tuple of the packet that an ICMP error quotes; nothing when too little of it is there.
[[nodiscard]] std::optional<Tuple> quoted_tuple(const IpPacket& error);

// Makes the quoted packet one of `quoted` and the error one from `source` to `destination` (RFC 5508 4.2,
// 4.3). What is not there of the quoted packet cannot be mended: its lengths and data stay.
void rewrite_error(IpPacket& error, const Bytes& source, const Bytes& destination, const Tuple& quoted);

}  // namespace fairlead::model
