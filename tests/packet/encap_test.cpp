#include "dataplane/packet/encap.h"

#include "dataplane/packet/parse.h"
#include "tests/packet/wire_check.hpp"

#include <gtest/gtest.h>

#include <random>
#include <set>

namespace fairlead::test {
namespace {

constexpr mac_address kOuterDestination{{0x52, 0x54, 0, 0, 0, 1}}, kOuterSource{{0x52, 0x54, 0, 0, 0, 2}};
constexpr mac_address kInnerDestination{{0x02, 0x46, 192, 0, 2, 7}}, kInnerSource{{0x02, 0x46, 192, 0, 2, 1}};

struct Tunnel {
  uint8_t ip_version;
  uint8_t kind;
  uint8_t udp_checksum = 0;
};

encap_template make(const Tunnel& tunnel) {
  encap_spec spec{};
  const bool v4 = tunnel.ip_version == 4;
  const Bytes source = address(v4 ? "192.0.2.1" : "2001:db8::1"),
              destination = address(v4 ? "192.0.2.7" : "2001:db8::7");
  std::memcpy(&spec.source, source.data(), source.size());
  std::memcpy(&spec.destination, destination.data(), destination.size());
  spec.outer_source = kOuterSource;
  spec.outer_destination = kOuterDestination;
  spec.inner_source = kInnerSource;
  spec.inner_destination = kInnerDestination;
  spec.vni = 0xabcdef;
  spec.port = to_be16(tunnel.kind == FL_TUNNEL_VXLAN ? 4789 : 6081);
  spec.ip_version = tunnel.ip_version;
  spec.kind = tunnel.kind;
  spec.udp_checksum = tunnel.udp_checksum;
  encap_template t;
  encap_build_tunnel(&t, &spec);
  return t;
}

// `frame` (with its old Ethernet header) after the push.
Bytes push(const encap_template& t, const Bytes& frame, uint8_t tos, uint32_t hash) {
  Bytes buffer = Bytes(128, 0xcc) + frame;
  uint8_t* l3 = buffer.data() + 128 + 14;
  const auto length = static_cast<uint32_t>(frame.size() - 14);
  uint8_t* start = encap_push(&t, l3, length, to_be16(static_cast<uint16_t>(get(frame, 12, 2))), tos, hash);
  EXPECT_EQ(start, l3 - t.length);
  for (uint8_t* byte = buffer.data(); byte < start; ++byte)
    EXPECT_EQ(*byte, 0xcc) << "wrote in front of the frame";
  if (t.udp_checksum) encap_finish_udp6(start, t.length + length, 0, 0);
  return Bytes(start, buffer.data() + buffer.size());
}

const Tunnel kTunnels[] = {{4, FL_TUNNEL_VXLAN},  {6, FL_TUNNEL_VXLAN},  {6, FL_TUNNEL_VXLAN, 1},
                           {4, FL_TUNNEL_GENEVE}, {6, FL_TUNNEL_GENEVE}, {6, FL_TUNNEL_GENEVE, 1}};

TEST(Encap, TemplateSizes) {
  EXPECT_EQ(make({4, FL_TUNNEL_VXLAN}).overhead, 50);
  EXPECT_EQ(make({6, FL_TUNNEL_GENEVE}).overhead, 70);
  encap_template plain;
  encap_build_plain(&plain, &kOuterDestination, &kOuterSource);
  EXPECT_EQ(plain.length, 14);
  EXPECT_EQ(plain.overhead, 0);
}

TEST(Encap, Plain) {
  encap_template plain;
  encap_build_plain(&plain, &kOuterDestination, &kOuterSource);
  for (const Bytes& frame : {frame4({}, tcp(pattern(9))), frame6({}, tcp(pattern(9)))}) {
    const Bytes out = push(plain, frame, 0, 1);
    ASSERT_EQ(out.size(), frame.size());
    EXPECT_EQ(std::memcmp(out.data(), &kOuterDestination, 6), 0);
    EXPECT_EQ(std::memcmp(out.data() + 6, &kOuterSource, 6), 0);
    EXPECT_TRUE(std::equal(out.begin() + 12, out.end(), frame.begin() + 12));
  }
}

// Every byte of an IPv4 VXLAN header, written down.
TEST(Encap, VxlanOverIpv4ByteForByte) {
  const Bytes inner = frame4({.tos = 0xb8}, tcp(pattern(10)));
  const Bytes out = push(make({4, FL_TUNNEL_VXLAN}), inner, 0xb8, 0x12345);
  const Bytes payload =
      vxlan(0xabcdef, Bytes{0x02, 0x46, 192, 0, 2, 7, 0x02, 0x46, 192, 0, 2, 1, 0x08, 0x00} +
                          Bytes(inner.begin() + 14, inner.end()));
  const Ip outer{.source = "192.0.2.1",
                 .destination = "192.0.2.7",
                 .protocol = 17,
                 .ttl = 64,
                 .tos = 0xb8,
                 .id = 0,
                 .fill_checksum = false};
  const Bytes expected = Bytes{0x52, 0x54, 0, 0, 0, 1, 0x52, 0x54, 0, 0, 0, 2, 0x08, 0x00} +
                         ipv4(outer, udp(payload, 49152 + (0x12345 & 0x3fff), 4789));
  EXPECT_EQ(out, expected);
}

TEST(Encap, GeneveOverIpv6ByteForByte) {
  const Bytes inner = frame6({.tos = 0x02}, tcp(pattern(10)));
  const Bytes out = push(make({6, FL_TUNNEL_GENEVE}), inner, 0x02, 0xfffffff1);
  const Bytes payload =
      geneve(0xabcdef, Bytes{0x02, 0x46, 192, 0, 2, 7, 0x02, 0x46, 192, 0, 2, 1, 0x86, 0xdd} +
                           Bytes(inner.begin() + 14, inner.end()));
  Bytes expected = ipv6({.source = "2001:db8::1",
                         .destination = "2001:db8::7",
                         .protocol = 17,
                         .tos = 0x02,
                         .fill_checksum = false},
                        udp(payload, 65521, 6081));
  put(expected, 0, 0x602ffff1, 4);  // the flow label is of the hash
  EXPECT_EQ(out, (Bytes{0x52, 0x54, 0, 0, 0, 1, 0x52, 0x54, 0, 0, 0, 2, 0x86, 0xdd} + expected));
}

TEST(Encap, RoundTrips) {
  std::mt19937 random(7);
  for (const Tunnel& tunnel : kTunnels) {
    const encap_template t = make(tunnel);
    for (unsigned length = 0; length < 1500; length += 1 + random() % 40) {
      for (const Bytes& frame :
           {frame4({.protocol = 17}, udp(pattern(length))), frame6({}, tcp(pattern(length)))}) {
        const auto tos = static_cast<uint8_t>(random());
        const Bytes out = push(t, frame, tos, random());
        ASSERT_EQ(check_wire(out).complaint, "");
        GuardedFrame guarded(out);
        parsed outer;
        ASSERT_EQ(parse_frame(guarded.begin(), guarded.end(), 0, &outer), FL_PARSE_OK);
        EXPECT_EQ(outer.tos, tos);
        EXPECT_EQ(outer.ttl, 64);
        EXPECT_TRUE(outer.dont_fragment);
        EXPECT_GE(from_be16(outer.source_port), 49152);
        struct tunnel inner;
        ASSERT_EQ(parse_tunnel(guarded.begin(), guarded.end(), &outer, tunnel.kind, &inner), FL_PARSE_OK);
        EXPECT_EQ(inner.vni, 0xabcdefu);
        EXPECT_EQ(inner.inner_offset, t.overhead + 0u);
        ASSERT_EQ(inner.inner_length, frame.size());
        EXPECT_TRUE(std::equal(frame.begin() + 12, frame.end(), out.begin() + inner.inner_offset + 12));
        const bool has_sum = get(out, outer.l4_offset + 6, 2) != 0;
        EXPECT_EQ(has_sum, tunnel.udp_checksum != 0);
      }
    }
  }
}

// The outer UDP checksum is right once somebody has completed the inner one.
TEST(Encap, OuterUdpChecksumOverAPartialInnerOne) {
  const encap_template t = make({6, FL_TUNNEL_VXLAN, 1});
  for (unsigned length = 0; length < 200; ++length) {
    for (const uint8_t protocol : {6, 17}) {
      Bytes segment = protocol == 6 ? tcp(pattern(length)) : udp(pattern(length));
      const Bytes complete = frame4({.protocol = protocol}, segment);
      const size_t field = static_cast<size_t>(l4_checksum_offset(protocol));
      put(segment, field, slow_pseudo_sum(address("10.1.0.5"), address("10.2.0.9"), protocol, segment.size()),
          2);
      Bytes buffer = Bytes(128) + frame4({.protocol = protocol, .fill_checksum = false}, segment);
      const auto l3_length = static_cast<uint32_t>(complete.size() - 14);
      uint8_t* start = encap_push(&t, buffer.data() + 142, l3_length, to_be16(0x0800), 0, 1);
      encap_finish_udp6(start, 84 + l3_length, 84 + 20, static_cast<uint32_t>(84 + 20 + field));
      Bytes out(start, start + 84 + l3_length);
      put(out, 84 + 20 + field, get(complete, 34 + field, 2), 2);
      ASSERT_EQ(check_wire(out).complaint, "") << length;
    }
  }
}

TEST(Encap, SourcePortsSpread) {
  std::set<uint32_t> ports;
  const encap_template t = make({4, FL_TUNNEL_VXLAN});
  const Bytes frame = frame4({}, tcp({}));
  for (uint32_t hash = 0; hash < 40000; ++hash) ports.insert(get(push(t, frame, 0, hash), 34, 2));
  EXPECT_EQ(ports.size(), 16384u);
  EXPECT_EQ(*ports.begin(), 49152u);
  EXPECT_EQ(*ports.rbegin(), 65535u);
}

// RFC 6040 figure 4, row by row: inner, then outer Not-ECT, ECT(0), ECT(1), CE. Codes: 0, 2, 1, 3.
TEST(Decap, EcnIsRfc6040Figure4) {
  struct Row {
    uint8_t inner;
    int result[4];
  };
  constexpr uint8_t kOuter[] = {0, 2, 1, 3};
  constexpr Row kRows[] = {{0, {0, 0, 0, -1}}, {2, {2, 2, 1, 3}}, {1, {1, 1, 1, 3}}, {3, {3, 3, 3, 3}}};
  for (const Row& row : kRows) {
    for (int column = 0; column < 4; ++column) {
      for (unsigned dscp = 0; dscp < 64; ++dscp) {
        const auto inner = static_cast<uint8_t>(dscp << 2 | row.inner);
        const auto outer = static_cast<uint8_t>((63 - dscp) << 2 | kOuter[column]);
        const int expected = row.result[column] < 0
                                 ? -1
                                 : static_cast<int>(dscp << 2 | static_cast<unsigned>(row.result[column]));
        EXPECT_EQ(decap_tos(outer, inner), expected) << int{row.inner} << " in " << int{kOuter[column]};
      }
    }
  }
}

}  // namespace
}  // namespace fairlead::test
