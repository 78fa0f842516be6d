#include "tests/packet/parse_fixture.hpp"

#include <gtest/gtest.h>

namespace fairlead::test {
namespace {

TEST(ParseFragments, Ipv4) {
  const Parsed first = parse(frame4({.protocol = 17, .fragment = 0x2000, .fill_checksum = false},
                                    be(5353, 2) + be(53, 2) + be(3000, 2) + be(0, 2) + pattern(40)));
  ASSERT_EQ(first.error, FL_PARSE_OK);
  EXPECT_TRUE(first.is_fragment);
  EXPECT_TRUE(first.is_first_fragment);
  EXPECT_TRUE(first.has_ports);
  EXPECT_EQ(from_be16(first.destination_port), 53);

  const Parsed later = parse(frame4({.protocol = 17, .id = 0xabcd, .fragment = 0x2006}, pattern(48)));
  ASSERT_EQ(later.error, FL_PARSE_OK);
  EXPECT_TRUE(later.is_fragment);
  EXPECT_FALSE(later.is_first_fragment);
  EXPECT_FALSE(later.has_ports);
  EXPECT_EQ(later.fragment_offset, 48);
  EXPECT_EQ(later.source_port.raw, 0);
  EXPECT_EQ(later.fragment_id.raw,
            parse(frame4({.protocol = 17, .id = 0xabcd, .fragment = 0x0009}, pattern(3))).fragment_id.raw);
}

TEST(ParseFragments, Ipv4OddOnes) {
  EXPECT_PARSE(MALFORMED_L4,
               frame4({.fragment = 0x2000}, tcp({}).size() > 16 ? Bytes(16) : Bytes()));  // tiny first
  EXPECT_PARSE(FRAGMENT, frame4({.fragment = 0x0001}, pattern(8)));  // over the TCP flags (RFC 1858)
  EXPECT_PARSE(OK, frame4({.protocol = 17, .fragment = 0x0001}, pattern(8)));
  EXPECT_PARSE(MALFORMED_IPV4,
               frame4({.protocol = 17, .fragment = 0x2004}, pattern(9)));  // middle, not a multiple of 8
  EXPECT_PARSE(MALFORMED_IPV4, frame4({.protocol = 17, .fragment = 0x2004}, {}));
  EXPECT_PARSE(MALFORMED_IPV4,
               frame4({.protocol = 17, .fragment = 0x1fff}, pattern(8)));    // ends beyond 65,535
  EXPECT_PARSE(OK, frame4({.protocol = 17, .fragment = 8189}, pattern(3)));  // ends at 65,535
  EXPECT_PARSE(MALFORMED_IPV4, frame4({.protocol = 17, .fragment = 8189}, pattern(4)));
}

TEST(ParseFragments, Ipv6) {
  const Parsed first =
      parse(frame6({.protocol = 17, .extensions = {{0, options_header(8)}, {44, fragment_header(0, true)}}},
                   udp(pattern(40))));
  ASSERT_EQ(first.error, FL_PARSE_OK);
  EXPECT_TRUE(first.is_first_fragment);
  EXPECT_EQ(from_be32(first.fragment_id), 0xfeedu);
  EXPECT_EQ(first.l4_offset, 70);
  EXPECT_TRUE(first.has_options);

  const Parsed later =
      parse(frame6({.protocol = 17, .extensions = {{44, fragment_header(48, false)}}}, pattern(5)));
  ASSERT_EQ(later.error, FL_PARSE_OK);
  EXPECT_TRUE(parsed_is_later_fragment(&later));
  EXPECT_EQ(later.fragment_offset, 48);
  EXPECT_EQ(later.protocol, 17);
  EXPECT_FALSE(later.has_ports);
  EXPECT_EQ(later.l4_offset, 62);

  EXPECT_PARSE(MALFORMED_IPV6, frame6({.extensions = {{44, fragment_header(0, true)}}}, Bytes(21)));
  EXPECT_PARSE(MALFORMED_IPV6,
               frame6({.protocol = 17, .extensions = {{44, fragment_header(65528, false)}}}, Bytes(8)));
  EXPECT_PARSE(MALFORMED_L4, frame6({.extensions = {{44, fragment_header(0, true)}}}, Bytes(16)));
  EXPECT_PARSE(FRAGMENT, frame6({.extensions = {{44, fragment_header(8, true)}}}, Bytes(16)));
}

// What stands behind the fragment header of a later fragment is the middle of something, whatever its number
// says.
TEST(ParseFragments, ALaterIpv6FragmentIsNotReadFurther) {
  for (const uint8_t next : {60, 51, 6, 17}) {
    const Parsed p = parse(
        frame6({.protocol = next, .extensions = {{44, fragment_header(16, true)}}, .fill_checksum = false},
               Bytes(8, 0xff)));
    ASSERT_EQ(p.error, FL_PARSE_OK) << int{next};
    EXPECT_EQ(p.protocol, next);
    EXPECT_EQ(p.l4_offset, 62);
    EXPECT_EQ(p.payload_offset, 62);
  }
}

// The packet ends inside the fragment header; the frame's padding makes it look whole.
TEST(ParseFragments, AFragmentHeaderReachingIntoThePadding) {
  for (size_t length = 0; length < 8; ++length) {
    Bytes frame = frame6({.protocol = 17, .extensions = {{44, fragment_header(0, true)}}}, udp(pattern(40)));
    put(frame, 18, length, 2);
    EXPECT_PARSE(IPV6_EXTENSION_HEADERS, frame);
  }
}

TEST(ParseFragments, AnAtomicIpv6FragmentIsAWholePacket) {
  const Parsed p = parse(frame6({.extensions = {{44, fragment_header(0, false)}}}, tcp(pattern(11))));
  ASSERT_EQ(p.error, FL_PARSE_OK);
  EXPECT_FALSE(p.is_fragment);
  EXPECT_TRUE(p.has_ports);
  EXPECT_EQ(p.l4_offset, 62);
  EXPECT_EQ(parsed_payload_length(&p), 11u);
}

TEST(ParseIpv6, ChainsUpToEightHeaders) {
  for (size_t count = 0; count <= 10; ++count) {
    Ip ip;
    size_t bytes = 0;
    for (size_t i = 0; i < count; ++i) {
      const unsigned length = 8 * (1 + i % 3);
      if (i == 0)
        ip.extensions.push_back({0, options_header(length)});
      else if (i % 2 == 1)
        ip.extensions.push_back({51, ah_header(length + 8)}), bytes += 8;
      else
        ip.extensions.push_back({60, options_header(length)});
      bytes += length;
    }
    const Parsed p = parse(frame6(ip, tcp(pattern(4))));
    if (count <= FL_IPV6_EXTENSIONS_MAX) {
      ASSERT_EQ(p.error, FL_PARSE_OK) << count;
      EXPECT_EQ(p.l4_offset, 54 + bytes);
      EXPECT_EQ(p.protocol, 6);
      EXPECT_EQ(p.has_options, count > 0);
      EXPECT_TRUE(p.has_ports);
    } else {
      EXPECT_EQ(p.error, FL_PARSE_IPV6_EXTENSION_HEADERS) << count;
    }
  }
}

}  // namespace
}  // namespace fairlead::test
