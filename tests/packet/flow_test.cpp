#include "dataplane/packet/flow_hash.h"
#include "dataplane/packet/flow_key.h"
#include "dataplane/packet/parse.h"
#include "tests/packet/frames.hpp"

#include <gtest/gtest.h>

#include <bit>
#include <random>
#include <unordered_set>

namespace fairlead::test {
namespace {

flow_secret secret(uint64_t seed) {
  flow_secret out;
  flow_secret_init(&out, seed);
  return out;
}

TEST(FlowKey, BothDirectionsHaveOneKeyAndOppositeDirections) {
  std::mt19937_64 random(11);
  for (int round = 0; round < 20000; ++round) {
    const be32 a{static_cast<uint32_t>(random())},
        b = round % 5 == 0 ? a : be32{static_cast<uint32_t>(random())};
    const be16 ap{static_cast<uint16_t>(random() % 4)}, bp{static_cast<uint16_t>(random() % 4)};
    flow_key4 out, back;
    const int direction = flow_key4_make(a, b, ap, bp, 6, &out);
    const int reverse = flow_key4_make(b, a, bp, ap, 6, &back);
    ASSERT_EQ(std::memcmp(&out, &back, sizeof(out)), 0);
    if (!(a == b && ap == bp)) {
      ASSERT_NE(direction, reverse);
    }
    ASSERT_EQ(direction == FL_FLOW_FROM_LOW ? out.low_address : out.high_address, a);
    ASSERT_EQ(direction == FL_FLOW_FROM_LOW ? out.low_port : out.high_port, ap);
    ASSERT_EQ(direction == FL_FLOW_FROM_LOW ? out.high_address : out.low_address, b);

    ip_address a6, b6;
    for (int i = 0; i < 4; ++i) {
      a6.word[i].raw = static_cast<uint32_t>(random() % 2);
      b6.word[i].raw = static_cast<uint32_t>(random() % 2);
    }
    flow_key6 out6, back6;
    const int direction6 = flow_key6_make(&a6, &b6, ap, bp, 17, &out6);
    const int reverse6 = flow_key6_make(&b6, &a6, bp, ap, 17, &back6);
    ASSERT_EQ(std::memcmp(&out6, &back6, sizeof(out6)), 0);
    if (!(a6 == b6 && ap == bp)) {
      ASSERT_NE(direction6, reverse6);
    }
    ASSERT_EQ(direction6 == FL_FLOW_FROM_LOW ? out6.low_address : out6.high_address, a6);
  }
}

TEST(FlowKey, OfAParsedPacket) {
  parsed p;
  const Bytes frame = frame4({}, tcp({}));
  ASSERT_EQ(parse_frame(frame.data(), frame.data() + frame.size(), 0, &p), FL_PARSE_OK);
  flow_key4 key, other;
  flow_key4_of(&p, &key);
  EXPECT_EQ(key.protocol, 6);
  // A changed protocol, port or address is another key.
  for (int change = 0; change < 4; ++change) {
    parsed q = p;
    if (change == 0) q.protocol = 17;
    if (change == 1) q.source_port.raw ^= 0x100;
    if (change == 2) q.destination_port.raw ^= 1;
    if (change == 3) q.source.word[0].raw ^= 0x1000000;
    flow_key4_of(&q, &other);
    EXPECT_NE(std::memcmp(&key, &other, sizeof(key)), 0) << change;
  }
}

TEST(FlowHash, DependsOnEveryBitOfKeyAndSeed) {
  const flow_secret s = secret(1);
  flow_key6 key{};
  const uint64_t base = flow_hash6(&s, &key);
  std::unordered_set<uint64_t> seen{base};
  double flips = 0;
  for (unsigned bit = 0; bit < 37 * 8; ++bit) {
    flow_key6 changed = key;
    reinterpret_cast<uint8_t*>(&changed)[bit / 8] ^= static_cast<uint8_t>(1 << bit % 8);
    const uint64_t hash = flow_hash6(&s, &changed);
    EXPECT_TRUE(seen.insert(hash).second) << bit;
    flips += std::popcount(hash ^ base);
  }
  EXPECT_NEAR(flips / (37 * 8), 32, 2);
  for (unsigned bit = 0; bit < 64; ++bit) {
    const flow_secret other = secret(1 ^ uint64_t{1} << bit);
    EXPECT_NE(flow_hash6(&other, &key), base);
  }
}

// Keys as clusters have them - few addresses, consecutive ports - fill buckets evenly, from any 16 bits of
// the hash.
TEST(FlowHash, StructuredKeysSpread) {
  const flow_secret s = secret(42);
  for (const unsigned shift : {0u, 16u, 32u, 48u}) {
    constexpr unsigned kBuckets = 1 << 12, kKeys = kBuckets * 16;
    std::vector<unsigned> load(kBuckets);
    for (unsigned i = 0; i < kKeys; ++i) {
      flow_key4 key;
      flow_key4_make(to_be32(0x0a010000 + i % 16), to_be32(0x0a020000 + i / 16 % 4),
                     to_be16(static_cast<uint16_t>(32768 + i / 64)), to_be16(443), 6, &key);
      ++load[flow_hash4(&s, &key) >> shift & (kBuckets - 1)];
    }
    double chi = 0;
    for (const unsigned n : load) chi += (n - 16.0) * (n - 16.0) / 16.0;
    // chi-square with 4095 degrees of freedom: mean 4095, deviation 90.
    EXPECT_NEAR(chi, 4095, 6 * 90) << shift;
  }
}

// Keys that share a bucket under one secret do not stay together under another.
TEST(FlowHash, CollisionsDoNotSurviveASecret) {
  const flow_secret a = secret(1), b = secret(2);
  std::vector<flow_key4> together;
  for (unsigned i = 0; together.size() < 256; ++i) {
    flow_key4 key;
    flow_key4_make(to_be32(0x0a010001), to_be32(0x0a020000 + (i >> 16)), to_be16(static_cast<uint16_t>(i)),
                   to_be16(80), 17, &key);
    if ((flow_hash4(&a, &key) & 0x3ff) == 7) together.push_back(key);
  }
  std::unordered_set<uint64_t> buckets;
  for (const flow_key4& key : together) buckets.insert(flow_hash4(&b, &key) & 0x3ff);
  EXPECT_GT(buckets.size(), 180u);  // 256 balls in 1024 buckets: 226 expected
}

// BPF and the host must compute the same (little-endian), so the function may not change by accident. The
// values are those of a second implementation, written in Python.
TEST(FlowHash, IsPinned) {
  const flow_secret s = secret(0x0123456789abcdef);
  flow_key4 key;
  flow_key4_make(to_be32(0x0a010005), to_be32(0x0a020009), to_be16(40000), to_be16(443), 6, &key);
  EXPECT_EQ(flow_hash4(&s, &key), 0x00c37786bdfa0cceu);
  ip_address a{}, b{};
  a.word[0] = to_be32(0xfd000001);
  b.word[3] = to_be32(7);
  flow_key6 key6;
  flow_key6_make(&a, &b, to_be16(40000), to_be16(443), 6, &key6);
  EXPECT_EQ(flow_hash6(&s, &key6), 0x87781e954e581c8au);
}

}  // namespace
}  // namespace fairlead::test
