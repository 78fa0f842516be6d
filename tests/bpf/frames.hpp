#pragma once

#include <array>
#include <cstdint>
#include <initializer_list>
#include <vector>

namespace fairlead::test {

// Frames by hand: bytes in, bytes out, nothing shared with the code under test.
using Bytes = std::vector<uint8_t>;
using Mac = std::array<uint8_t, 6>;
using Ipv4 = std::array<uint8_t, 4>;
using Ipv6 = std::array<uint8_t, 16>;

inline constexpr Mac kGateway{0x02, 0x46, 0x4c, 0xff, 0xff, 0xff};
inline constexpr Mac kBroadcast{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};

inline void append16(Bytes& bytes, unsigned value) {
  bytes.push_back(static_cast<uint8_t>(value >> 8));
  bytes.push_back(static_cast<uint8_t>(value));
}

template <typename Container>
void append(Bytes& bytes, const Container& more) {
  bytes.insert(bytes.end(), more.begin(), more.end());
}

inline Bytes ethernet(const Mac& destination, const Mac& source, unsigned ethertype, const Bytes& payload) {
  Bytes frame;
  append(frame, destination);
  append(frame, source);
  append16(frame, ethertype);
  append(frame, payload);
  return frame;
}

inline Bytes udp(unsigned source_port, unsigned destination_port, size_t payload = 20) {
  Bytes datagram;
  append16(datagram, source_port);
  append16(datagram, destination_port);
  append16(datagram, static_cast<unsigned>(8 + payload));
  append16(datagram, 0);
  datagram.resize(8 + payload, 0x5a);
  return datagram;
}

struct Ipv4Extras {
  unsigned protocol = 17;
  unsigned fragment = 0;  // flags and offset as on the wire
  size_t option_bytes = 0;
};

// The header checksum stays zero: no hook looks at it.
inline Bytes ipv4(const Ipv4& source, const Ipv4& destination, const Bytes& payload,
                  const Ipv4Extras& extras = {}) {
  Bytes packet;
  packet.push_back(static_cast<uint8_t>(0x40 | (5 + extras.option_bytes / 4)));
  packet.push_back(0);
  append16(packet, static_cast<unsigned>(20 + extras.option_bytes + payload.size()));
  append16(packet, 0x1234);
  append16(packet, extras.fragment);
  packet.push_back(64);
  packet.push_back(static_cast<uint8_t>(extras.protocol));
  append16(packet, 0);
  append(packet, source);
  append(packet, destination);
  packet.resize(packet.size() + extras.option_bytes, 1);  // no-operation options
  append(packet, payload);
  return packet;
}

inline Bytes ipv6(const Ipv6& source, const Ipv6& destination, const Bytes& payload,
                  unsigned next_header = 17) {
  Bytes packet{0x60, 0, 0, 0};
  append16(packet, static_cast<unsigned>(payload.size()));
  packet.push_back(static_cast<uint8_t>(next_header));
  packet.push_back(64);
  append(packet, source);
  append(packet, destination);
  append(packet, payload);
  return packet;
}

// fd00::<last>, or any prefix's first two bytes.
inline Ipv6 address6(unsigned first, unsigned last) {
  Ipv6 address{};
  address[0] = static_cast<uint8_t>(first >> 8);
  address[1] = static_cast<uint8_t>(first);
  address[14] = static_cast<uint8_t>(last >> 8);
  address[15] = static_cast<uint8_t>(last);
  return address;
}

}  // namespace fairlead::test
