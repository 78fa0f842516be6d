#include "dataplane/packet/checksum.h"

#include "tests/packet/frames.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace fairlead::test {
namespace {

uint16_t host(be16 field) {
  return from_be16(field);
}

// The field as it would stand in network order, from the slow sum.
uint16_t slow_field(const Bytes& bytes, uint32_t seed = 0) {
  return static_cast<uint16_t>(~slow_sum(bytes, seed));
}

template <typename T>
T at(const Bytes& bytes, size_t offset) {
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(value));
  return value;
}

// One's complement has two zeros: they are the same sum.
bool same_sum(uint16_t a, uint16_t b) {
  return a % 0xffff == b % 0xffff;
}

TEST(Checksum, Rfc1071Example) {
  const Bytes bytes{0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7};
  EXPECT_EQ(host(checksum_finish(checksum_add(0, bytes.data(), 8))), static_cast<uint16_t>(~0xddf2));
}

TEST(Checksum, EveryLengthAndAlignment) {
  std::mt19937_64 random(1);
  Bytes bytes(300);
  for (auto& byte : bytes) byte = static_cast<uint8_t>(random());
  for (size_t offset = 0; offset < 17; ++offset) {
    for (size_t length = 0; length + offset <= bytes.size(); ++length) {
      const Bytes part(bytes.begin() + static_cast<long>(offset),
                       bytes.begin() + static_cast<long>(offset + length));
      ASSERT_EQ(host(checksum_finish(checksum_add(0, bytes.data() + offset, static_cast<uint32_t>(length)))),
                slow_field(part));
    }
  }
}

TEST(Checksum, CopiesExactlyWhatItSums) {
  std::mt19937_64 random(2);
  Bytes bytes(300);
  for (auto& byte : bytes) byte = static_cast<uint8_t>(random());
  for (size_t offset = 0; offset < 17; ++offset) {
    for (size_t length = 0; length + offset <= bytes.size(); ++length) {
      const uint8_t* from = bytes.data() + offset;
      Bytes to(length + 2 * 17, 0xa5);
      const uint64_t sum = checksum_copy(7, to.data() + 17 - offset, from, static_cast<uint32_t>(length));
      ASSERT_EQ(checksum_fold(sum), checksum_fold(checksum_add(7, from, static_cast<uint32_t>(length))));
      Bytes expected(to.size(), 0xa5);
      std::copy_n(from, length, expected.begin() + static_cast<long>(17 - offset));
      ASSERT_EQ(to, expected) << length << " bytes at " << offset;
    }
  }
}

// More than the lanes of one round hold, and words that are the most and the least as signed numbers.
TEST(Checksum, LongSumsAreThoseOfTheirParts) {
  std::mt19937_64 random(3);
  for (const int kind : {0x00, 0x7f, 0x80, 0xff, -1}) {
    Bytes bytes((2 << 20) + 50);
    for (auto& byte : bytes) byte = static_cast<uint8_t>(kind < 0 ? random() : static_cast<unsigned>(kind));
    uint64_t words = 0;
    for (size_t i = 0; i < bytes.size(); i += 2) words += at<uint16_t>(bytes, i);
    EXPECT_EQ(checksum_add(0, bytes.data(), static_cast<uint32_t>(bytes.size())) % 0xffff, words % 0xffff)
        << kind;
  }
}

TEST(Checksum, TheLargestSumsDoNotOverflow) {
  const Bytes ones(65536, 0xff);
  EXPECT_EQ(checksum_fold(checksum_add(0, ones.data(), 65536)), 0xffff);
  uint64_t sum = 0;
  for (int i = 0; i < 1000; ++i) sum = checksum_add(sum, ones.data(), 65536);
  EXPECT_EQ(checksum_fold(sum), 0xffff);
  EXPECT_EQ(checksum_fold(~uint64_t{0}), 0xffff);
  EXPECT_EQ(checksum_fold(0), 0);
}

TEST(Checksum, UdpNeverSendsZero) {
  EXPECT_EQ(checksum_finish_udp(0xffff).raw, 0xffff);
  EXPECT_EQ(checksum_finish(0xffff).raw, 0);
  EXPECT_EQ(checksum_finish_udp(1).raw, 0xfffe);
}

TEST(Checksum, PseudoHeaders) {
  const Bytes s4 = address("10.1.2.3"), d4 = address("192.168.200.9");
  const Bytes s6 = address("fd00:1:2::3"), d6 = address("2001:db8:ffff::9");
  for (const uint32_t length : {8u, 1480u, 65535u, 70000u}) {
    EXPECT_EQ(FL_SWAP16(checksum_fold(checksum_pseudo4(at<be32>(s4, 0), at<be32>(d4, 0), 17, length))),
              slow_pseudo_sum(s4, d4, 17, length));
    const auto source = at<ip_address>(s6, 0), destination = at<ip_address>(d6, 0);
    EXPECT_EQ(FL_SWAP16(checksum_fold(checksum_pseudo6(&source, &destination, 58, length))),
              slow_pseudo_sum(s6, d6, 58, length));
  }
}

// RFC 1624 section 4: the example on which RFC 1141 fails.
TEST(Checksum, Rfc1624Example) {
  EXPECT_EQ(host(checksum_update16(to_be16(0xdd2f), to_be16(0x5555), to_be16(0x3285))), 0x0000);
}

// The update is the recomputation, for 16, 32 and 128 bits, and for a whole delta.
TEST(Checksum, UpdateEqualsRecomputation) {
  std::mt19937_64 random(1624);
  const auto word = [&] {  // corners are as likely as anything
    switch (random() % 6) {
      case 0:
        return uint64_t{0};
      case 1:
        return ~uint64_t{0};
      default:
        return uint64_t{random()};
    }
  };
  for (int round = 0; round < 100000; ++round) {
    Bytes before(40);
    for (size_t i = 0; i < before.size(); i += 8) put(before, i, word(), 8);
    const be16 field = to_be16(slow_field(before));
    Bytes after = before;

    put(after, 2, word(), 2);
    const be16 updated16 = checksum_update16(field, at<be16>(before, 2), at<be16>(after, 2));
    ASSERT_TRUE(same_sum(host(updated16), slow_field(after)));
    put(after, 4, word(), 4);
    const be16 updated32 = checksum_update32(updated16, at<be32>(before, 4), at<be32>(after, 4));
    ASSERT_TRUE(same_sum(host(updated32), slow_field(after)));
    put(after, 8, word(), 8);
    put(after, 16, word(), 8);
    const auto from = at<ip_address>(before, 8), to = at<ip_address>(after, 8);
    const be16 updated128 = checksum_update128(updated32, &from, &to);
    ASSERT_TRUE(same_sum(host(updated128), slow_field(after)));

    const uint64_t delta = checksum_delta16(at<be16>(before, 2), at<be16>(after, 2)) +
                           checksum_delta32(at<be32>(before, 4), at<be32>(after, 4)) +
                           checksum_delta128(&from, &to);
    ASSERT_EQ(checksum_apply(field, delta).raw, checksum_apply(field, checksum_fold(delta)).raw);
    ASSERT_TRUE(same_sum(host(checksum_apply(field, delta)), slow_field(after)));
    ASSERT_TRUE(same_sum(host(checksum_apply_partial(to_be16(slow_sum(before)), delta)), slow_sum(after)));
  }
}

}  // namespace
}  // namespace fairlead::test
