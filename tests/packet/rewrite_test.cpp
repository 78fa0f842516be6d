#include "dataplane/packet/rewrite.h"

#include "dataplane/packet/parse.h"
#include "tests/packet/wire_check.hpp"

#include <gtest/gtest.h>

#include <random>

namespace fairlead::test {
namespace {

parsed parse(Bytes& frame) {
  parsed p;
  EXPECT_EQ(parse_frame(frame.data(), frame.data() + frame.size(), 0, &p), FL_PARSE_OK);
  return p;
}

be32 wire32(const std::string& text) {
  be32 out;
  std::memcpy(&out, address(text).data(), 4);
  return out;
}

ip_address wire128(const std::string& text) {
  ip_address out;
  std::memcpy(&out, address(text).data(), 16);
  return out;
}

// Every protocol with a checksum, as frames of both IP versions.
std::vector<Bytes> frames4(unsigned seed) {
  return {frame4({}, tcp(pattern(seed % 97, seed))), frame4({.protocol = 17}, udp(pattern(seed % 97, seed))),
          frame4({.protocol = 1}, icmp(8, 0, 99, 1, pattern(seed % 97, seed))),
          frame4({.protocol = 1}, icmp(3, 4, 0, 1400, pattern(28, seed))),
          frame4({.protocol = 17, .fragment = 0x0010, .fill_checksum = false}, pattern(33, seed))};
}

std::vector<Bytes> frames6(unsigned seed) {
  return {frame6({}, tcp(pattern(seed % 97, seed))), frame6({.protocol = 17}, udp(pattern(seed % 97, seed))),
          frame6({.protocol = 58}, icmp(128, 0, 99, 1, pattern(seed % 97, seed))),
          frame6({.protocol = 58}, icmp(2, 0, 0, 1400, pattern(48, seed))),
          frame6({.extensions = {{0, options_header(8)}, {60, options_header(16)}}},
                 tcp(pattern(seed % 97, seed)))};
}

TEST(Rewrite, Macs) {
  Bytes frame = frame4({}, tcp({}));
  const mac_address destination{{1, 2, 3, 4, 5, 6}}, source{{7, 8, 9, 10, 11, 12}};
  rewrite_macs(frame.data(), &destination, &source);
  for (uint8_t i = 0; i < 12; ++i) EXPECT_EQ(frame[i], i + 1);
  EXPECT_EQ(get(frame, 12, 2), 0x0800u);
}

TEST(Rewrite, TtlFallsAndTheHeaderStaysRight) {
  for (unsigned id = 0; id < 65536; id += 7) {  // walks the checksum through all its values
    for (const uint8_t ttl : {2, 64, 255}) {
      Bytes frame = frame4({.ttl = ttl, .id = static_cast<uint16_t>(id)}, tcp({}));
      rewrite_decrement_ttl4(reinterpret_cast<ipv4_header*>(frame.data() + 14));
      ASSERT_EQ(frame[22], ttl - 1);
      ASSERT_EQ(slow_sum(std::span(frame).subspan(14, 20)), 0xffff) << id;
    }
  }
  Bytes six = frame6({.ttl = 9}, tcp({}));
  rewrite_decrement_ttl6(reinterpret_cast<ipv6_header*>(six.data() + 14));
  EXPECT_EQ(six[21], 8);
}

TEST(Rewrite, Tos) {
  for (unsigned from = 0; from < 256; from += 5) {
    for (unsigned to = 0; to < 256; ++to) {
      Bytes frame = frame4({.tos = static_cast<uint8_t>(from)}, tcp({}));
      rewrite_tos4(reinterpret_cast<ipv4_header*>(frame.data() + 14), static_cast<uint8_t>(to));
      ASSERT_EQ(frame[15], to);
      ASSERT_EQ(check_wire(frame).complaint, "");
      Bytes six = frame6({.tos = static_cast<uint8_t>(from)}, tcp({}));
      rewrite_traffic_class6(reinterpret_cast<ipv6_header*>(six.data() + 14), static_cast<uint8_t>(to));
      ASSERT_EQ(get(six, 14, 4), 0x600abcdeu | to << 20);
    }
  }
}

TEST(Rewrite, AddressesAndPortsKeepEveryChecksum) {
  std::mt19937 random(5);
  for (unsigned round = 0; round < 300; ++round) {
    const be16 source_port = to_be16(static_cast<uint16_t>(random())),
               destination_port = to_be16(static_cast<uint16_t>(random()));
    for (Bytes frame : frames4(round)) {
      const Bytes before = frame;
      const parsed p = parse(frame);
      const rewrite4 to{be32{static_cast<uint32_t>(random())}, be32{static_cast<uint32_t>(random())},
                        source_port, destination_port};
      ASSERT_EQ(rewrite_frame4(frame.data(), &p, &to, 0), 0);
      ASSERT_EQ(check_wire(frame).complaint, "") << int{p.protocol};
      const parsed after = parse(frame);
      ASSERT_EQ(after.source.word[0], to.source);
      ASSERT_EQ(after.destination.word[0], to.destination);
      if (p.has_ports) {
        ASSERT_EQ(after.source_port, source_port);
        if (p.protocol != 1) {
          ASSERT_EQ(after.destination_port, destination_port);
        }
      }
      if (parsed_is_later_fragment(&p)) {
        ASSERT_TRUE(std::equal(frame.begin() + 34, frame.end(), before.begin() + 34));
      }
    }
    for (Bytes frame : frames6(round)) {
      const parsed p = parse(frame);
      rewrite6 to{{}, {}, source_port, destination_port};
      for (auto& word : to.source.word) word.raw = random();
      for (auto& word : to.destination.word) word.raw = random();
      ASSERT_EQ(rewrite_frame6(frame.data(), &p, &to, 0), 0);
      ASSERT_EQ(check_wire(frame).complaint, "") << int{p.protocol};
    }
  }
}

TEST(Rewrite, UdpWithoutChecksumStaysWithout) {
  Bytes frame = frame4({.protocol = 17, .fill_checksum = false}, udp(pattern(20)));
  const parsed p = parse(frame);
  const rewrite4 to{wire32("1.2.3.4"), wire32("5.6.7.8"), to_be16(1), to_be16(2)};
  ASSERT_EQ(rewrite_frame4(frame.data(), &p, &to, 0), 0);
  EXPECT_EQ(get(frame, 40, 2), 0u);
  EXPECT_EQ(check_wire(frame).complaint, "");
}

// Whatever the sum becomes, a computed UDP checksum never turns into "none".
TEST(Rewrite, UdpChecksumNeverBecomesZero) {
  const parsed p = [] {
    Bytes frame = frame4({.protocol = 17}, udp({1, 2}));
    return parse(frame);
  }();
  int all_ones = 0;
  for (unsigned port = 0; port < 65536; ++port) {
    Bytes frame = frame4({.protocol = 17}, udp({1, 2}));
    const rewrite4 to{p.source.word[0], p.destination.word[0], to_be16(static_cast<uint16_t>(port)),
                      p.destination_port};
    rewrite_frame4(frame.data(), &p, &to, 0);
    ASSERT_NE(get(frame, 40, 2), 0u);
    all_ones += get(frame, 40, 2) == 0xffff;
    ASSERT_EQ(check_wire(frame).complaint, "");
  }
  EXPECT_GE(all_ones, 1);
}

// A partial field holds the sum of the pseudo-header; after the rewrite it holds that of the new one.
TEST(Rewrite, PartialChecksumsFollowThePseudoHeaderOnly) {
  for (const uint8_t protocol : {6, 17}) {
    Bytes segment = protocol == 6 ? tcp(pattern(50)) : udp(pattern(50));
    const size_t field = static_cast<size_t>(l4_checksum_offset(protocol));
    put(segment, field, slow_pseudo_sum(address("10.1.0.5"), address("10.2.0.9"), protocol, segment.size()),
        2);
    Bytes frame = frame4({.protocol = protocol, .fill_checksum = false}, segment);
    const parsed p = parse(frame);
    const rewrite4 to{wire32("172.16.9.1"), wire32("8.8.4.4"), to_be16(55555), to_be16(80)};
    ASSERT_EQ(rewrite_frame4(frame.data(), &p, &to, 1), 0);
    EXPECT_EQ(get(frame, 34 + field, 2),
              slow_pseudo_sum(address("172.16.9.1"), address("8.8.4.4"), protocol, segment.size()));

    put(segment, field, slow_pseudo_sum(address("fd00:1::5"), address("fd00:2::9"), protocol, segment.size()),
        2);
    Bytes six = frame6({.protocol = protocol, .fill_checksum = false}, segment);
    const parsed p6 = parse(six);
    const rewrite6 to6{wire128("2001:db8::1"), wire128("2001:db8::2"), to_be16(55555), to_be16(80)};
    ASSERT_EQ(rewrite_frame6(six.data(), &p6, &to6, 1), 0);
    EXPECT_EQ(get(six, 54 + field, 2),
              slow_pseudo_sum(address("2001:db8::1"), address("2001:db8::2"), protocol, segment.size()));
  }
}

// ICMP's number in the other family's packet is just a number: what follows may be a single byte.
TEST(Rewrite, TheOtherFamilysIcmpIsNotTouched) {
  const Bytes payload = pattern(1);
  Bytes six = frame6({.protocol = 1, .fill_checksum = false}, payload);
  GuardedFrame guarded(six);
  const parsed p6 = parse(six);
  const rewrite6 to6{wire128("2001:db8::1"), wire128("2001:db8::2"), to_be16(1), to_be16(1)};
  ASSERT_EQ(rewrite_frame6(guarded.begin(), &p6, &to6, 0), 0);
  EXPECT_EQ(*(guarded.end() - 1), payload[0]);

  Bytes four = frame4({.protocol = 58, .fill_checksum = false}, payload);
  GuardedFrame guarded4(four);
  const parsed p4 = parse(four);
  const rewrite4 to4{wire32("1.2.3.4"), wire32("5.6.7.8"), to_be16(1), to_be16(1)};
  ASSERT_EQ(rewrite_frame4(guarded4.begin(), &p4, &to4, 0), 0);
  EXPECT_EQ(*(guarded4.end() - 1), payload[0]);
}

TEST(Rewrite, SctpPortsAreRefusedAndItsAddressesAreFree) {
  Bytes frame = frame4({.protocol = 132}, sctp(pattern(12)));
  const Bytes before = frame;
  const parsed p = parse(frame);
  const rewrite4 same_ports{wire32("1.2.3.4"), wire32("5.6.7.8"), p.source_port, p.destination_port};
  EXPECT_EQ(rewrite_frame4(frame.data(), &p, &same_ports, 0), 0);
  EXPECT_TRUE(std::equal(frame.begin() + 34, frame.end(), before.begin() + 34));
  EXPECT_EQ(rewrite_l4(frame.data() + 34, 132, to_be16(1), p.destination_port, 0, 0), -1);
  EXPECT_TRUE(std::equal(frame.begin() + 34, frame.end(), before.begin() + 34));
}

}  // namespace
}  // namespace fairlead::test
