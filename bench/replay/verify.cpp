#include "bench/replay/verify.hpp"

#include "bench/replay/frames.hpp"
#include "dataplane/packet/parse.h"

#include <cstring>

namespace fairlead::replay {
namespace {

constexpr std::array<const char*, static_cast<size_t>(Wrong::kCount)> kNames = {
    "nothing", "length",      "malformed", "encapsulation", "family", "ip_checksum",
    "ttl",     "l4_checksum", "address",   "port",          "buffer"};

Wrong meaning_of(int parse_error) {
  return parse_error == FL_PARSE_BAD_IPV4_CHECKSUM ? Wrong::kIpChecksum : Wrong::kMalformed;
}

bool is_tunnel_packet(const parsed& p) {
  return p.protocol == FL_PROTOCOL_UDP && p.has_ports != 0 &&
         (from_be16(p.destination_port) == FL_VXLAN_PORT || from_be16(p.destination_port) == FL_GENEVE_PORT);
}

// Takes frame and length to the inner frame.
Wrong enter_tunnel(const uint8_t*& frame, uint32_t& length, const Profile& profile, parsed& p) {
  const bool geneve = from_be16(p.destination_port) == FL_GENEVE_PORT;
  if (geneve != is_geneve(profile.expect)) return Wrong::kEncapsulation;
  tunnel header;
  const int error =
      parse_tunnel(frame, frame + length, &p, geneve ? FL_TUNNEL_GENEVE : FL_TUNNEL_VXLAN, &header);
  if (error != FL_PARSE_OK) return Wrong::kMalformed;
  if (header.vni != profile.vni) return Wrong::kEncapsulation;
  frame += header.inner_offset;
  length = header.inner_length;
  const int inner = parse_frame(frame, frame + length, 0, &p);
  return inner == FL_PARSE_OK ? Wrong::kNothing : meaning_of(inner);
}

bool is_one_of(const ip_address& address, const Hosts& hosts) {
  const unsigned last = hosts.is_ipv6 ? 3 : 0;
  for (unsigned word = 0; word < last; ++word) {
    if (!(address.word[word] == hosts.base.word[word])) return false;
  }
  const uint32_t distance = from_be32(address.word[last]) - from_be32(hosts.base.word[last]);
  return distance % hosts.stride == 0 && distance / hosts.stride < hosts.count;
}

// UDP over IPv4 may have none (RFC 768), and outer headers have none.
bool is_l4_checksum_right(const uint8_t* frame, const parsed& p) {
  udp_header udp;
  std::memcpy(&udp, frame + p.l4_offset, sizeof udp);
  if (p.ip_version == 4 && udp.checksum == be16{}) return true;
  const uint32_t l4_length = p.l3_offset + p.l3_length - p.l4_offset;
  uint64_t sum = checksum_pseudo6(&p.source, &p.destination, p.protocol, l4_length);
  sum = checksum_add(sum, frame + p.l4_offset, l4_length);
  return checksum_fold(sum) == 0xffff;
}

}  // namespace

const char* text(Wrong wrong) {
  return kNames.at(static_cast<size_t>(wrong));
}

uint32_t expected_length(const Profile& profile) {
  if (profile.expect == Form::kAny || profile.expect == Form::kNone || profile.imix) return 0;
  const uint32_t least = kSizeMin + (is_inner_ipv6(profile.expect) ? 2u : 0u);
  const uint32_t size = profile.size < least ? least : profile.size;
  return size - kFcsBytes + (is_tunnel(profile.expect) ? kTunnelBytes : 0);
}

Wrong check_frame(const uint8_t* frame, uint32_t length, const Profile& profile) {
  if (profile.expect == Form::kNone) return Wrong::kEncapsulation;
  const uint32_t expected = expected_length(profile);
  if (expected != 0 && length != expected) return Wrong::kLength;
  parsed p;
  if (const int error = parse_frame(frame, frame + length, 0, &p); error != FL_PARSE_OK)
    return meaning_of(error);
  if (profile.expect != Form::kAny) {
    if (is_tunnel_packet(p) != is_tunnel(profile.expect)) return Wrong::kEncapsulation;
    if (is_tunnel(profile.expect)) {
      if (const Wrong wrong = enter_tunnel(frame, length, profile, p); wrong != Wrong::kNothing) return wrong;
    }
    if ((p.ip_version == 6) != is_inner_ipv6(profile.expect)) return Wrong::kFamily;
    const bool known =
        is_one_of(p.source, profile.expect_sources) && is_one_of(p.destination, profile.expect_destinations);
    if (!known) return Wrong::kAddress;
    if (!profile.expect_source_ports.have(from_be16(p.source_port)) ||
        !profile.expect_ports.have(from_be16(p.destination_port)))
      return Wrong::kPort;
  }
  if (profile.ttl != 0 && p.ttl != profile.ttl) return Wrong::kTtl;
  if (p.protocol == FL_PROTOCOL_UDP && !is_l4_checksum_right(frame, p)) return Wrong::kL4Checksum;
  return Wrong::kNothing;
}

}  // namespace fairlead::replay
