#include "tests/model/nat.hpp"

#include <algorithm>

namespace fairlead::model {
namespace {

uint32_t word(const Bytes& b, size_t at) {
  return static_cast<uint32_t>(b[at] << 8 | b[at + 1]);
}

void put_word(Bytes& b, size_t at, uint32_t value) {
  b[at] = static_cast<uint8_t>(value >> 8);
  b[at + 1] = static_cast<uint8_t>(value);
}

uint32_t fold(uint32_t sum) {
  while (sum >> 16 != 0) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}

// Bytes `at` of b become `value`, and so the ones'-complement checksums at `sums` (RFC 1624 equation 3).
void change(Bytes& b, size_t at, const Bytes& value, const std::vector<size_t>& sums) {
  const Bytes old(b.begin() + static_cast<std::ptrdiff_t>(at),
                  b.begin() + static_cast<std::ptrdiff_t>(at + value.size()));
  if (old == value) return;
  std::copy(value.begin(), value.end(), b.begin() + static_cast<std::ptrdiff_t>(at));
  for (const size_t sum : sums) {
    const uint32_t less = fold(0xffff ^ golden::partial_sum(old.data(), old.size()));
    const uint32_t more = golden::partial_sum(value.data(), value.size());
    put_word(b, sum, 0xffff ^ fold((0xffff ^ word(b, sum)) + less + more));
  }
}

Bytes port_bytes(uint32_t port) {
  return {static_cast<uint8_t>(port >> 8), static_cast<uint8_t>(port)};
}

uint32_t crc32c(const Bytes& bytes, size_t from) {
  uint32_t crc = 0xffffffff;
  for (size_t at = from; at < bytes.size(); ++at) {
    // The field itself counts as zero: RFC 9260 6.8.
    crc ^= at >= from + 8 && at < from + 12 ? 0 : bytes[at];
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1) != 0 ? 0x82f63b78u : 0);
  }
  return ~crc;
}

uint32_t stored_crc(const Bytes& b, size_t at) {
  return b[at + 8] | static_cast<uint32_t>(b[at + 9]) << 8 | static_cast<uint32_t>(b[at + 10]) << 16 |
         static_cast<uint32_t>(b[at + 11]) << 24;
}

bool is_echo(int version, uint8_t type, bool* is_reply) {
  *is_reply = type == (version == 4 ? 0 : 129);
  return *is_reply || type == (version == 4 ? 8 : 128);
}

// One packet inside a longer one: the IP header at `ip`, the transport header at `l4`, of which `left` bytes
// are there.
struct Place {
  int version = 4, protocol = 0;
  size_t ip = 0, l4 = 0, left = 0;
};

// Where the L4 checksum stands, if it is there and says something.
std::vector<size_t> checksum_of(const Bytes& b, const Place& at) {
  size_t field = 0;
  if (at.protocol == 6) field = 16;
  if (at.protocol == 17) field = 6;
  if (at.protocol == 1 || at.protocol == 58) field = 2;
  if (field == 0 || at.left < field + 2) return {};
  if (at.protocol == 17 && word(b, at.l4 + field) == 0) return {};
  return {at.l4 + field};
}

// Writes addresses and ports.
void rewrite_at(Bytes& b, const Place& at, const Tuple& to) {
  const bool is4 = at.version == 4;
  const std::vector<size_t> l4 = checksum_of(b, at);
  std::vector<size_t> for_addresses;
  if (at.protocol != 1) for_addresses = l4;  // RFC 792: no pseudo-header
  if (is4) for_addresses.push_back(at.ip + 10);
  change(b, at.ip + (is4 ? 12 : 8), to.source, for_addresses);
  change(b, at.ip + (is4 ? 16 : 24), to.destination, for_addresses);
  bool is_reply = false;
  if (at.protocol == 1 || at.protocol == 58) {
    if (at.left >= 8 && is_echo(at.version, b[at.l4], &is_reply))
      change(b, at.l4 + 4, port_bytes(is_reply ? to.destination_port : to.source_port), l4);
  } else if (at.left >= 4 && (at.protocol == 6 || at.protocol == 17 || at.protocol == 132)) {
    change(b, at.l4, port_bytes(to.source_port), l4);
    change(b, at.l4 + 2, port_bytes(to.destination_port), l4);
  }
  // RFC 768: a sum that comes out as zero is sent as ones.
  if (at.protocol == 17 && !l4.empty() && word(b, l4[0]) == 0) put_word(b, l4[0], 0xffff);
}

std::optional<Tuple> tuple_at(const Bytes& b, const Place& at) {
  const bool is4 = at.version == 4;
  const auto address = [&](size_t offset) {
    const auto from = b.begin() + static_cast<std::ptrdiff_t>(at.ip + offset);
    return Bytes(from, from + (is4 ? 4 : 16));
  };
  Tuple tuple{at.protocol, address(is4 ? 12 : 8), address(is4 ? 16 : 24), 0, 0};
  if (at.protocol == 6 || at.protocol == 17 || at.protocol == 132) {
    tuple.source_port = static_cast<uint16_t>(word(b, at.l4));
    tuple.destination_port = static_cast<uint16_t>(word(b, at.l4 + 2));
    return tuple;
  }
  bool is_reply = false;
  if (at.protocol != (is4 ? 1 : 58) || !is_echo(at.version, b[at.l4], &is_reply)) return std::nullopt;
  (is_reply ? tuple.destination_port : tuple.source_port) = static_cast<uint16_t>(word(b, at.l4 + 4));
  return tuple;
}

Place place_of(const IpPacket& packet) {
  return {packet.version, packet.protocol, 0, packet.header_length,
          packet.later_fragment ? 0 : packet.bytes.size() - packet.header_length};
}

// The quoted packet, if its transport header's first 8 bytes (RFC 792) are there.
std::optional<Place> quote_place(const IpPacket& error) {
  const Bytes& b = error.bytes;
  const size_t ip = error.header_length + 8;
  if (ip + 20 > b.size() || b[ip] >> 4 != error.version) return std::nullopt;
  Place place{error.version, 0, ip, 0, 0};
  if (error.version == 4) {
    place.protocol = b[ip + 9];
    place.l4 = ip + static_cast<size_t>(b[ip] & 15) * 4;
    if (place.l4 < ip + 20 || (word(b, ip + 6) & 0x1fff) != 0) return std::nullopt;
  } else {
    if (ip + 40 > b.size()) return std::nullopt;
    place.protocol = b[ip + 6];
    place.l4 = ip + 40;
  }
  if (place.l4 + 8 > b.size()) return std::nullopt;
  place.left = b.size() - place.l4;
  return place;
}

}  // namespace

std::optional<Tuple> tuple_of(const IpPacket& packet) {
  if (packet.later_fragment) return std::nullopt;
  return tuple_at(packet.bytes, place_of(packet));
}

void rewrite(IpPacket& packet, const Tuple& to) {
  const Place place = place_of(packet);
  const bool sctp = packet.protocol == 132 && !packet.later_fragment;
  const bool ports_change =
      sctp && (packet.source_port != to.source_port || packet.destination_port != to.destination_port);
  const bool was_right =
      sctp && stored_crc(packet.bytes, place.l4) == crc32c(packet.bytes, place.l4) && !packet.more_fragments;
  rewrite_at(packet.bytes, place, to);
  packet.source = to.source;
  packet.destination = to.destination;
  packet.source_port = to.source_port;
  packet.destination_port = to.destination_port;
  if (!ports_change) return;
  const uint32_t crc = crc32c(packet.bytes, place.l4);
  for (unsigned byte = 0; byte < 4; ++byte)
    packet.bytes[place.l4 + 8 + byte] = static_cast<uint8_t>(crc >> (8 * byte));
  // What was wrong before may be anything afterwards but must not be relied upon.
  if (!was_right) packet.unknown.emplace_back(place.l4 + 8, 4);
}

std::optional<Tuple> quoted_tuple(const IpPacket& error) {
  const std::optional<Place> place = quote_place(error);
  if (!place) return std::nullopt;
  return tuple_at(error.bytes, *place);
}

void rewrite_error(IpPacket& error, const Bytes& source, const Bytes& destination, const Tuple& quoted) {
  const Place outer = place_of(error);
  const Place inner = *quote_place(error);
  const size_t checksum = error.header_length + 2;
  uint32_t pseudo = 0;
  if (error.version == 6) {
    pseudo = golden::partial_sum(error.source.data(), 16) +
             golden::partial_sum(error.destination.data(), 16) + 58 +
             static_cast<uint32_t>(error.bytes.size() - error.header_length);
  }
  const bool was_right = golden::internet_checksum(error.bytes.data() + error.header_length,
                                                   error.bytes.size() - error.header_length, pseudo) == 0;
  const bool sctp_ports = inner.protocol == 132 && tuple_at(error.bytes, inner)->source_port != 0 &&
                          (tuple_at(error.bytes, inner)->source_port != quoted.source_port ||
                           tuple_at(error.bytes, inner)->destination_port != quoted.destination_port);
  const auto message = [&] {
    return golden::partial_sum(error.bytes.data() + error.header_length,
                               error.bytes.size() - error.header_length);
  };
  const uint32_t before = message();
  rewrite_at(error.bytes, inner, quoted);
  const uint32_t after = message();
  put_word(error.bytes, checksum,
           0xffff ^ fold((0xffff ^ word(error.bytes, checksum)) + (0xffff ^ before) + after));
  rewrite_at(error.bytes, outer, {error.protocol, source, destination, 0, 0});
  error.source = source;
  error.destination = destination;
  if (!was_right) error.unknown.emplace_back(checksum, 2);
  if (sctp_ports && inner.left >= 12) {  // CRC32c of data that is not there
    error.unknown.emplace_back(checksum, 2);
    error.unknown.emplace_back(inner.l4 + 8, 4);
  }
}

}  // namespace fairlead::model
