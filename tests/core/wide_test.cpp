#include "dataplane/core/wide.hpp"

#include <gtest/gtest.h>

#include <array>
#include <random>

namespace fairlead::core {
namespace {

// What is read and hashed 16 bytes at a time is what the packet room's plain code says.
TEST(Wide, KeysAndHashesAreThePacketRooms) {
  std::mt19937_64 random(5);
  flow_secret secret;
  for (int round = 0; round < 20000; ++round) {
    flow_secret_init(&secret, random());
    std::array<uint8_t, 16> header;  // TTL, protocol, checksum, addresses, ports
    for (uint8_t& byte : header) byte = static_cast<uint8_t>(random() % (round % 2 == 0 ? 3 : 256));
    flow_key4 key4, wide4;
    const bool from_high =
        flow_key4_make(load<be32>(&header[4]), load<be32>(&header[8]), load<be16>(&header[12]),
                       load<be16>(&header[14]), header[1], &key4) == FL_FLOW_FROM_HIGH;
    const Bytes16 words = key4_from(header.data(), from_high);
    words.store(&wide4);
    ASSERT_EQ(std::memcmp(&key4, &wide4, sizeof(key4)), 0);
    ASSERT_EQ(hash4_of(secret, words), flow_hash4(&secret, &key4));

    flow_key6 key6;
    for (size_t i = 0; i < sizeof(key6); ++i) {
      reinterpret_cast<uint8_t*>(&key6)[i] = static_cast<uint8_t>(random());
    }
    ASSERT_EQ(hash6_of(secret, key6), flow_hash6(&secret, &key6));

    ip_address a, b;
    for (size_t i = 0; i < 4; ++i) {
      a.word[i].raw = static_cast<uint32_t>(random() % 3);
      b.word[i].raw = static_cast<uint32_t>(random() % 3);
    }
    if (a == b) continue;
    ASSERT_EQ(is_above6(reinterpret_cast<const uint8_t*>(&a), reinterpret_cast<const uint8_t*>(&b)),
              flow_key6_make(&a, &b, be16{0}, be16{0}, 6, &key6) == FL_FLOW_FROM_HIGH);
  }
}

TEST(Wide, ZeroUnderAMask) {
  const std::array<uint8_t, 16> none{};
  for (size_t at = 0; at < 16; ++at) {
    std::array<uint8_t, 16> one{}, all_but_one;
    all_but_one.fill(0xff);
    one[at] = 0x10;
    all_but_one[at] = 0xef;
    const Bytes16 bit = Bytes16::at(one.data());
    EXPECT_FALSE(bit.is_zero());
    EXPECT_FALSE(bit.is_zero_under(bit));
    EXPECT_TRUE(bit.is_zero_under(Bytes16::at(all_but_one.data())));
    EXPECT_TRUE((bit ^ bit).is_zero());
    EXPECT_FALSE((bit | Bytes16::at(none.data())).is_zero());
  }
}

}  // namespace
}  // namespace fairlead::core
