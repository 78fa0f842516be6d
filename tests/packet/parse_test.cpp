#include "dataplane/packet/parse.h"

#include "dataplane/tables/drop_reasons.h"
#include "tests/packet/parse_fixture.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string_view>

namespace fairlead::test {
namespace {

TEST(Parse, Tcp4) {
  const Parsed p = parse(frame4({.ttl = 63, .tos = 0xb9}, tcp(pattern(100), 0x12, Bytes(12, 1))));
  ASSERT_EQ(p.error, FL_PARSE_OK);
  EXPECT_EQ(p.ip_version, 4);
  EXPECT_EQ(p.protocol, 6);
  EXPECT_EQ(p.l3_offset, 14);
  EXPECT_EQ(p.l4_offset, 34);
  EXPECT_EQ(p.payload_offset, 66);
  EXPECT_EQ(p.l3_length, 152u);
  EXPECT_EQ(parsed_payload_length(&p), 100u);
  EXPECT_EQ(p.ttl, 63);
  EXPECT_EQ(p.tos, 0xb9);
  EXPECT_EQ(p.tcp_flags, 0x12);
  EXPECT_EQ(from_be16(p.source_port), 40000);
  EXPECT_EQ(from_be16(p.destination_port), 443);
  EXPECT_EQ(from_be32(p.source.word[0]), 0x0a010005u);
  EXPECT_EQ(from_be32(p.destination.word[0]), 0x0a020009u);
  EXPECT_EQ(from_be16(p.ethertype), FL_ETHERTYPE_IPV4);
  EXPECT_TRUE(p.dont_fragment);
  EXPECT_TRUE(p.has_ports);
  EXPECT_FALSE(p.is_fragment);
  EXPECT_FALSE(p.has_options);
  EXPECT_FALSE(parse(frame4({.fragment = 0}, tcp({}))).dont_fragment);
}

TEST(Parse, Udp6) {
  const Parsed p = parse(frame6({.protocol = 17, .ttl = 7, .tos = 0x2e}, udp(pattern(33))));
  ASSERT_EQ(p.error, FL_PARSE_OK);
  EXPECT_EQ(p.ip_version, 6);
  EXPECT_EQ(p.protocol, 17);
  EXPECT_EQ(p.l4_offset, 54);
  EXPECT_EQ(p.payload_offset, 62);
  EXPECT_EQ(parsed_payload_length(&p), 33u);
  EXPECT_EQ(p.ttl, 7);
  EXPECT_EQ(p.tos, 0x2e);
  EXPECT_EQ(from_be16(p.destination_port), 53);
  EXPECT_EQ(std::memcmp(&p.source, address("fd00:1::5").data(), 16), 0);
  EXPECT_EQ(std::memcmp(&p.destination, address("fd00:2::9").data(), 16), 0);
  EXPECT_TRUE(p.dont_fragment);
}

TEST(Parse, IcmpEchoHasItsIdAsThePortOfWhoAsks) {
  const Parsed echo = parse(frame4({.protocol = 1}, icmp(8, 0, 777, 3, pattern(56))));
  ASSERT_EQ(echo.error, FL_PARSE_OK);
  EXPECT_TRUE(echo.has_ports);
  EXPECT_EQ(from_be16(echo.source_port), 777);
  EXPECT_EQ(from_be16(echo.destination_port), 0);
  EXPECT_EQ(echo.icmp_type, 8);
  EXPECT_FALSE(echo.is_icmp_error);

  const Parsed reply6 = parse(frame6({.protocol = 58}, icmp(129, 0, 778, 3)));
  ASSERT_EQ(reply6.error, FL_PARSE_OK);
  EXPECT_EQ(from_be16(reply6.source_port), 0);
  EXPECT_EQ(from_be16(reply6.destination_port), 778);
}

TEST(Parse, IcmpErrorsAreMarked) {
  for (unsigned type = 0; type < 256; ++type) {
    const Parsed p4 = parse(frame4({.protocol = 1}, icmp(type, 4, 0, 1400, pattern(28))));
    ASSERT_EQ(p4.error, FL_PARSE_OK);
    const bool query = type == 0 || (type >= 8 && type <= 10) || (type >= 13 && type <= 18);
    EXPECT_EQ(p4.is_icmp_error, !query) << type;
    EXPECT_EQ(p4.icmp_code, 4);
    EXPECT_EQ(p4.has_ports, type == 0 || type == 8);
    const Parsed p6 = parse(frame6({.protocol = 58}, icmp(type, 0, 0, 1400, pattern(28))));
    ASSERT_EQ(p6.error, FL_PARSE_OK);
    EXPECT_EQ(p6.is_icmp_error, type < 128 || type == 137) << type;
    EXPECT_EQ(p6.has_ports, type == 128 || type == 129);
  }
}

TEST(Parse, Sctp) {
  const Parsed p = parse(frame4({.protocol = 132}, sctp(pattern(16))));
  ASSERT_EQ(p.error, FL_PARSE_OK);
  EXPECT_EQ(from_be16(p.source_port), 7000);
  EXPECT_EQ(p.payload_offset, 46);
}

TEST(Parse, UnknownProtocolHasNoPorts) {
  for (const uint8_t protocol : {2, 47, 50, 51, 58, 89, 103, 136, 255}) {
    const Parsed p = parse(frame4({.protocol = protocol, .fill_checksum = false}, pattern(5)));
    ASSERT_EQ(p.error, FL_PARSE_OK) << int{protocol};
    EXPECT_FALSE(p.has_ports);
    EXPECT_EQ(p.payload_offset, p.l4_offset);
    EXPECT_EQ(p.source_port.raw, 0);
  }
}

TEST(Parse, PaddingBehindThePacketIsAllowed) {
  const Parsed p = parse(frame4({.protocol = 17}, udp({1})) + Bytes(17, 0));
  ASSERT_EQ(p.error, FL_PARSE_OK);
  EXPECT_EQ(p.l3_length, 29u);
  EXPECT_EQ(parsed_payload_length(&p), 1u);
  EXPECT_EQ(parse(frame6({.protocol = 17}, udp({1})) + Bytes(3, 0xee)).error, FL_PARSE_OK);
}

TEST(Parse, EthertypesHaveTheirOwnReasons) {
  EXPECT_PARSE(ARP_NOT_EXPECTED, ethernet(0x0806, Bytes(28)));
  EXPECT_PARSE(VLAN_FROM_POD, ethernet(0x8100, be(5, 2) + be(0x0800, 2) + ipv4({}, tcp({}))));
  EXPECT_PARSE(VLAN_FROM_POD, ethernet(0x88a8, Bytes(40)));
  EXPECT_PARSE(UNKNOWN_ETHERTYPE, ethernet(0x88cc, Bytes(40)));
  EXPECT_PARSE(UNKNOWN_ETHERTYPE, ethernet(46, Bytes(46)));  // 802.3 with a length
  EXPECT_PARSE(UNKNOWN_ETHERTYPE, ethernet(0x8847, ipv4({}, tcp({}))));
}

// ---- odd frames: one row is one frame, made from a good one by one change ----

struct OddRow {
  const char* what;
  const char* expected;
  Bytes frame;
};

Bytes patched(Bytes frame, size_t at, uint64_t value, unsigned width) {
  put(frame, at, value, width);
  return frame;
}

// As patched(), in an IPv4 header whose checksum is then made right.
Bytes patched4(Bytes frame, size_t at, uint64_t value, unsigned width) {
  put(frame, at, value, width);
  put(frame, 24, 0, 2);
  const size_t header = std::min<size_t>((frame[14] & 15) * 4u, frame.size() - 14);
  put(frame, 24, static_cast<uint16_t>(~slow_sum(std::span(frame).subspan(14, header))), 2);
  return frame;
}

TEST(Parse, OddFrames) {
  const Bytes tcp4 = frame4({}, tcp(pattern(40)));
  const Bytes udp4 = frame4({.protocol = 17}, udp(pattern(40)));
  const Bytes udp6 = frame6({.protocol = 17}, udp(pattern(40)));
  const Bytes tcp6 = frame6({}, tcp(pattern(40)));
  const OddRow rows[] = {
      {"IP version 5 in an IPv4 frame", "MALFORMED_IPV4", patched4(tcp4, 14, 0x55, 1)},
      {"IP version 6 in an IPv4 frame", "MALFORMED_IPV4", patched4(tcp4, 14, 0x65, 1)},
      {"IHL 4", "MALFORMED_IPV4", patched4(tcp4, 14, 0x44, 1)},
      {"IHL 0", "MALFORMED_IPV4", patched4(tcp4, 14, 0x40, 1)},
      {"IHL beyond total length", "MALFORMED_IPV4", patched4(frame4({.protocol = 99}, {1, 2}), 14, 0x46, 1)},
      {"total length 0", "MALFORMED_IPV4", patched4(tcp4, 16, 0, 2)},
      {"total length 19", "MALFORMED_IPV4", patched4(tcp4, 16, 19, 2)},
      {"total length one more than the frame", "MALFORMED_IPV4", patched4(tcp4, 16, 81, 2)},
      {"total length 65535", "MALFORMED_IPV4", patched4(tcp4, 16, 65535, 2)},
      {"total length cuts the TCP header", "MALFORMED_L4", patched4(tcp4, 16, 39, 2)},
      {"IPv4 header only, TCP", "MALFORMED_L4", patched4(tcp4, 16, 20, 2)},
      {"IPv4 checksum one off", "BAD_IPV4_CHECKSUM", patched(tcp4, 24, get(tcp4, 24, 2) ^ 1, 2)},
      {"IPv4 checksum zero", "BAD_IPV4_CHECKSUM", patched(tcp4, 24, 0, 2)},
      {"TTL changed without its checksum", "BAD_IPV4_CHECKSUM", patched(tcp4, 22, 1, 1)},
      {"no-operation option", "IPV4_OPTIONS", frame4({.options = {1, 1, 1, 0}}, tcp({}))},
      {"router alert", "IPV4_OPTIONS", frame4({.options = {148, 4, 0, 0}}, tcp({}))},
      {"loose source route", "IPV4_OPTIONS", frame4({.options = {131, 7, 4, 1, 2, 3, 4, 0}}, tcp({}))},
      {"forty bytes of options", "IPV4_OPTIONS", frame4({.options = Bytes(40, 1)}, tcp({}))},
      {"TCP data offset 4", "MALFORMED_L4", patched(tcp4, 46, 0x40, 1)},
      {"TCP data offset 0", "MALFORMED_L4", patched(tcp4, 46, 0, 1)},
      {"TCP data offset beyond the packet", "MALFORMED_L4",
       patched(frame4({}, tcp(pattern(39))), 46, 0xf0, 1)},
      {"TCP options up to the last byte", "OK", patched(frame4({}, tcp(pattern(40))), 46, 0xf0, 1)},
      {"UDP length 7", "MALFORMED_L4", patched(udp4, 38, 7, 2)},
      {"UDP length 0", "MALFORMED_L4", patched(udp4, 38, 0, 2)},
      {"UDP length beyond the packet", "MALFORMED_L4", patched(udp4, 38, 49, 2)},
      {"UDP length shorter than the packet", "OK", patched(udp4, 38, 20, 2)},
      {"UDP length reaches into the padding", "MALFORMED_L4", patched(udp4 + Bytes(10), 38, 49, 2)},
      {"SCTP header cut", "MALFORMED_L4", frame4({.protocol = 132}, pattern(11))},
      {"ICMP of 7 bytes", "MALFORMED_L4", frame4({.protocol = 1}, pattern(7))},
      {"empty packet of an unknown protocol", "OK", frame4({.protocol = 200}, {})},
      {"reserved IPv4 flag (RFC 3514)", "OK", frame4({.fragment = 0x8000}, tcp({}))},
      {"IPv6 version 4", "MALFORMED_IPV6", patched(udp6, 14, 0x40, 1)},
      {"IPv6 version 7", "MALFORMED_IPV6", patched(udp6, 14, 0x70, 1)},
      {"IPv6 payload length one more than the frame", "MALFORMED_IPV6", patched(udp6, 18, 49, 2)},
      {"IPv6 payload length 65535", "MALFORMED_IPV6", patched(udp6, 18, 65535, 2)},
      {"IPv6 payload length 0 with UDP", "MALFORMED_L4", patched(udp6, 18, 0, 2)},
      {"IPv6 payload length cuts TCP", "MALFORMED_L4", patched(tcp6, 18, 19, 2)},
      {"IPv6 UDP length 0 (RFC 2675)", "MALFORMED_L4", patched(udp6, 58, 0, 2)},
      {"IPv6 no next header", "OK", frame6({.protocol = 59}, {})},
      {"IPv6 no next header with bytes behind", "OK", frame6({.protocol = 59}, pattern(9))},
      {"IPv6 ESP", "OK", frame6({.protocol = 50}, pattern(30))},
      {"IPv6 ICMPv4", "OK", frame6({.protocol = 1, .fill_checksum = false}, pattern(3))},
      {"IPv6 routing header", "IPV6_EXTENSION_HEADERS",
       frame6({.extensions = {{43, options_header(8)}}}, tcp({}))},
      {"IPv6 mobility header", "IPV6_EXTENSION_HEADERS", frame6({.protocol = 135}, pattern(8))},
      {"IPv6 HIP", "IPV6_EXTENSION_HEADERS", frame6({.protocol = 139}, pattern(40))},
      {"IPv6 shim6", "IPV6_EXTENSION_HEADERS", frame6({.protocol = 140}, pattern(8))},
      {"IPv6 experiment 253", "IPV6_EXTENSION_HEADERS", frame6({.protocol = 253}, pattern(8))},
      {"IPv6 experiment 254", "IPV6_EXTENSION_HEADERS", frame6({.protocol = 254}, pattern(8))},
      {"hop-by-hop second", "IPV6_EXTENSION_HEADERS",
       frame6({.extensions = {{60, options_header(8)}, {0, options_header(8)}}}, tcp({}))},
      {"hop-by-hop twice", "IPV6_EXTENSION_HEADERS",
       frame6({.extensions = {{0, options_header(8)}, {0, options_header(8)}}}, tcp({}))},
      {"hop-by-hop of 2048 bytes", "OK", frame6({.extensions = {{0, be(255, 1) + Bytes(2046, 0)}}}, tcp({}))},
      {"AH of 8 bytes", "IPV6_EXTENSION_HEADERS", frame6({.extensions = {{51, ah_header(8)}}}, tcp({}))},
      {"AH of 20 bytes", "IPV6_EXTENSION_HEADERS", frame6({.extensions = {{51, ah_header(20)}}}, tcp({}))},
      {"AH of 24 bytes", "OK", frame6({.extensions = {{51, ah_header(24)}}}, tcp({}))},
      {"two fragment headers", "IPV6_EXTENSION_HEADERS",
       frame6({.extensions = {{44, fragment_header(0, false)}, {44, fragment_header(0, false)}}}, tcp({}))},
      {"extension longer than the packet", "IPV6_EXTENSION_HEADERS",
       frame6({.protocol = 59, .extensions = {{60, be(1, 1) + Bytes(6)}}}, {})},
      {"extension reaches into the padding", "IPV6_EXTENSION_HEADERS",
       frame6({.protocol = 59, .extensions = {{60, be(1, 1) + Bytes(6)}}}, {}) + Bytes(30)},
      {"chain ends with a header number and no bytes", "IPV6_EXTENSION_HEADERS",
       frame6({.protocol = 60, .extensions = {{60, options_header(8)}}}, {})},
  };
  for (const OddRow& row : rows) EXPECT_STREQ(row.expected, name(parse(row.frame).error)) << row.what;
}

TEST(Parse, ChecksumCanBeVouchedFor) {
  Bytes frame = frame4({}, tcp({}));
  frame[24] ^= 0xff;
  EXPECT_EQ(parse(frame).error, FL_PARSE_BAD_IPV4_CHECKSUM);
  EXPECT_EQ(parse(frame, FL_PARSE_SKIP_IPV4_CHECKSUM).error, FL_PARSE_OK);
}

TEST(Parse, RouterAlertWhenAllowed) {
  const Bytes frame = frame4({.protocol = 2, .options = {148, 4, 0, 0}}, pattern(8));
  const Parsed p = parse(frame, FL_PARSE_ALLOW_ROUTER_ALERT);
  ASSERT_EQ(p.error, FL_PARSE_OK);
  EXPECT_TRUE(p.has_options);
  EXPECT_EQ(p.l4_offset, 38);
  EXPECT_EQ(p.protocol, 2);
  Bytes wrong = frame;
  wrong[36] ^= 4;  // the option's value: only the checksum can notice
  EXPECT_EQ(parse(wrong, FL_PARSE_ALLOW_ROUTER_ALERT).error, FL_PARSE_BAD_IPV4_CHECKSUM);
  const Bytes mixed = frame4({.protocol = 2, .options = {1, 1, 1, 1, 148, 4, 0, 0, 0, 0, 0, 0}}, pattern(8));
  EXPECT_EQ(parse(mixed, FL_PARSE_ALLOW_ROUTER_ALERT).error, FL_PARSE_OK);
  const Bytes length3 = frame4({.protocol = 2, .options = {148, 3, 0, 0}}, pattern(8));
  EXPECT_EQ(parse(length3, FL_PARSE_ALLOW_ROUTER_ALERT).error, FL_PARSE_IPV4_OPTIONS);
  const Bytes route = frame4({.options = {148, 4, 0, 0, 131, 3, 4, 0}}, tcp({}));
  EXPECT_EQ(parse(route, FL_PARSE_ALLOW_ROUTER_ALERT).error, FL_PARSE_IPV4_OPTIONS);
}

// ---- truncation ----

TEST(ParseTruncation, AFrameCutAnywhereIsRefusedWithTheReasonOfItsLayer) {
  for (const Bytes& frame : good_frames()) {
    ASSERT_EQ(parse(frame).error, FL_PARSE_OK);
    const int ip_error = frame[12] == 0x08 ? FL_PARSE_MALFORMED_IPV4 : FL_PARSE_MALFORMED_IPV6;
    for (size_t length = 0; length < frame.size(); ++length) {
      const Bytes cut(frame.begin(), frame.begin() + static_cast<long>(length));
      EXPECT_STREQ(name(length < 14 ? int{FL_PARSE_MALFORMED_ETHERNET} : ip_error), name(parse(cut).error))
          << length << " of " << frame.size();
    }
  }
}

// The same with the IP length telling the truth: what is inside is cut, not the frame.
TEST(ParseTruncation, APacketCutAnywhereIsRefusedUntilItsL4HeaderIsWhole) {
  for (const Bytes& frame : good_frames()) {
    const Parsed whole = parse(frame);
    const bool v4 = whole.ip_version == 4;
    const size_t ip_header = v4 ? 20 : 40;
    for (size_t length = 14 + ip_header; length < frame.size(); ++length) {
      Bytes cut(frame.begin(), frame.begin() + static_cast<long>(length));
      cut = v4 ? patched4(cut, 16, length - 14, 2) : patched(cut, 18, length - 54, 2);
      if (whole.protocol == 17 && !whole.is_fragment && length >= whole.l4_offset + 8u)
        put(cut, whole.l4_offset + 4, length - whole.l4_offset, 2);
      if (whole.is_fragment && (length - 34) % 8 != 0 && (frame[20] & 0x20)) {
        EXPECT_EQ(parse(cut).error, FL_PARSE_MALFORMED_IPV4);
        continue;
      }
      int expected = FL_PARSE_OK;
      if (length < whole.l4_offset)
        expected = FL_PARSE_IPV6_EXTENSION_HEADERS;
      else if (length < whole.payload_offset)
        expected = FL_PARSE_MALFORMED_L4;
      if (expected == FL_PARSE_MALFORMED_L4 && whole.is_fragment && length == 34)
        expected = FL_PARSE_MALFORMED_IPV4;
      EXPECT_STREQ(name(expected), name(parse(cut).error)) << length << " of " << frame.size();
      // Padding behind it changes nothing.
      EXPECT_STREQ(name(expected), name(parse(cut + Bytes(64, 0)).error)) << length << " of " << frame.size();
    }
  }
}

// ---- reasons ----

TEST(ParseErrors, EachIsADropReasonOfTheSameName) {
  static constexpr std::string_view kReasons[] = {
#define FL_DROP(name, sentence) #name,
#include "dataplane/tables/drop_reasons.def"
#undef FL_DROP
  };
  for (int error = 1; error < FL_PARSE_ERROR_COUNT; ++error) {
    EXPECT_EQ(kReasons[drop_reason_of_parse(error)], name(error));
  }
  EXPECT_EQ(drop_reason_of_parse(FL_PARSE_OK), FL_DROP_NONE);
}

// Whatever the bytes, an accepted packet's offsets are in order and in the frame.
TEST(ParseRandom, AcceptedOffsetsAreInTheFrame) {
  std::mt19937_64 random(20240607);
  const std::vector<Bytes> seeds = good_frames();
  int accepted = 0;
  for (int round = 0; round < 200000; ++round) {
    Bytes frame = seeds[random() % seeds.size()];
    for (unsigned flips = random() % 4; flips > 0; --flips)
      frame[12 + random() % std::min<size_t>(60, frame.size() - 12)] = static_cast<uint8_t>(random());
    if (random() % 4 == 0) frame.resize(random() % (frame.size() + 1));
    parsed p;
    // Exact-size heap storage: ASan sees a read beyond it.
    const std::vector<uint8_t> exact(frame);
    if (parse_frame(exact.data(), exact.data() + exact.size(), FL_PARSE_SKIP_IPV4_CHECKSUM, &p) !=
        FL_PARSE_OK)
      continue;
    ++accepted;
    ASSERT_LE(p.l3_offset + p.l3_length, frame.size());
    ASSERT_LE(p.l4_offset, p.payload_offset);
    ASSERT_LE(p.payload_offset, p.l3_offset + p.l3_length);
    ASSERT_GE(p.l4_offset, p.l3_offset + (p.ip_version == 4 ? 20 : 40));
  }
  EXPECT_GT(accepted, 10000);
}

}  // namespace
}  // namespace fairlead::test
