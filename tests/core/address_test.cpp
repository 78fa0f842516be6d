#include "dataplane/core/address.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <string_view>

namespace fairlead::core {
namespace {

using namespace std::string_view_literals;

TEST(IpAddress, ReadsAndWritesItsOwnText) {
  for (const std::string_view text :
       {"0.0.0.0"sv, "10.244.1.7"sv, "255.255.255.255"sv, "::"sv, "::1"sv, "fd00:10:244::7"sv,
        "2001:db8::1:0:0:1"sv, "fe80::1"sv, "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"sv}) {
    const std::optional<IpAddress> address = IpAddress::parse(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(address->text(), text);
    EXPECT_EQ(address->is_ipv6(), text.find(':') != std::string_view::npos);
  }
}

TEST(IpAddress, Ipv6IsWrittenInItsShortestForm) {
  EXPECT_EQ(IpAddress::parse("FD00:0010:0244:0000:0000:0000:0000:0007")->text(), "fd00:10:244::7");
  EXPECT_EQ(IpAddress::parse("2001:db8:0:0:1:0:0:1")->text(), "2001:db8::1:0:0:1");
}

TEST(IpAddress, RefusesEverythingThatIsNotExactlyAnAddress) {
  for (const std::string_view text : {""sv,
                                      " 10.0.0.1"sv,
                                      "10.0.0.1 "sv,
                                      "10.0.0.1\n"sv,
                                      "010.0.0.1"sv,
                                      "10.0.0.01"sv,
                                      "10.0.0"sv,
                                      "10.0.0.0.1"sv,
                                      "10.0.0.256"sv,
                                      "0x0a.0.0.1"sv,
                                      "10.0.0.-1"sv,
                                      "+1.2.3.4"sv,
                                      "1.2.3.4/32"sv,
                                      "fe80::1%eth0"sv,
                                      "[::1]"sv,
                                      ":::"sv,
                                      "1::2::3"sv,
                                      "1:2:3:4:5:6:7"sv,
                                      "1:2:3:4:5:6:7:8:9"sv,
                                      "12345::"sv,
                                      "g::1"sv,
                                      "::1.2.3"sv,
                                      "::1.2.3.256"sv,
                                      "10.0.0.1\0"sv,
                                      "10.0.0.1\0x"sv,
                                      "localhost"sv,
                                      "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000"sv}) {
    EXPECT_FALSE(IpAddress::parse(text)) << text;
  }
}

TEST(IpAddress, KeepsWireOrder) {
  const IpAddress address = *IpAddress::parse("10.1.2.3");
  EXPECT_EQ(address.bytes[0], 10);
  EXPECT_EQ(address.bytes[3], 3);
  EXPECT_EQ(IpAddress::ipv4(address.ipv4_wire()), address);
  const IpAddress six = *IpAddress::parse("fd00::7");
  EXPECT_EQ(IpAddress::ipv6(six.bytes.data()), six);
  EXPECT_EQ(address.bits(), 32u);
  EXPECT_EQ(six.bits(), 128u);
}

TEST(MacAddress, ReadsAndWritesItsOwnText) {
  const std::optional<MacAddress> mac = MacAddress::parse("02:46:4C:00:0a:fF");
  ASSERT_TRUE(mac);
  EXPECT_EQ(mac->text(), "02:46:4c:00:0a:ff");
  EXPECT_EQ(MacAddress::parse(mac->text()), mac);
}

TEST(MacAddress, RefusesOtherForms) {
  for (const std::string_view text :
       {""sv, "02:46:4c:00:0a"sv, "02:46:4c:00:0a:ff:"sv, "02-46-4c-00-0a-ff"sv, "2:46:4c:0:a:f"sv,
        "02:46:4c:00:0a:fg"sv, " 2:46:4c:00:0a:ff"sv, "02464c000aff"sv, "02:46:4c:00:0a:+f"sv}) {
    EXPECT_FALSE(MacAddress::parse(text)) << text;
  }
}

TEST(Prefix, ReadsAndWritesItsOwnText) {
  for (const std::string_view text : {"0.0.0.0/0"sv, "10.244.0.0/16"sv, "10.244.1.7/32"sv, "::/0"sv,
                                      "fd00:10:244::/48"sv, "fd00::7/128"sv, "128.0.0.0/1"sv}) {
    const std::optional<Prefix> prefix = Prefix::parse(text);
    ASSERT_TRUE(prefix) << text;
    EXPECT_EQ(prefix->text(), text);
  }
}

TEST(Prefix, RefusesHostBitsAndBadLengths) {
  for (const std::string_view text :
       {"10.0.0.0"sv, "10.0.0.0/"sv, "10.0.0.0/33"sv, "10.0.0.0/08"sv, "10.0.0.0/+8"sv, "10.0.0.0/-1"sv,
        "10.0.0.0/ 8"sv, "10.0.0.0/8 "sv, "10.0.0.0/8/8"sv, "10.0.0.1/8"sv, "10.0.0.0/256"sv,
        "10.0.0.0/0x8"sv, "/8"sv, "::1/64"sv, "fd00::/129"sv, "fd00::/1000"sv, "0.0.0.1/0"sv}) {
    EXPECT_FALSE(Prefix::parse(text)) << text;
  }
}

TEST(Prefix, ContainsAndOverlaps) {
  const Prefix wide = *Prefix::parse("10.244.0.0/15");
  const Prefix narrow = *Prefix::parse("10.245.128.0/17");
  EXPECT_TRUE(wide.contains(*IpAddress::parse("10.245.255.255")));
  EXPECT_FALSE(wide.contains(*IpAddress::parse("10.246.0.0")));
  EXPECT_FALSE(wide.contains(*IpAddress::parse("af4::")));
  EXPECT_TRUE(wide.overlaps(narrow));
  EXPECT_TRUE(narrow.overlaps(wide));
  EXPECT_FALSE(narrow.overlaps(*Prefix::parse("10.245.0.0/17")));
  EXPECT_TRUE(Prefix::parse("0.0.0.0/0")->contains(*IpAddress::parse("255.1.2.3")));
  EXPECT_FALSE(Prefix::parse("0.0.0.0/0")->overlaps(*Prefix::parse("::/0")));
  EXPECT_FALSE(Prefix{}.contains(IpAddress{}));
}

TEST(Prefix, EnclosingAgreesWithContainsBitByBit) {
  std::mt19937 random(1);
  for (int i = 0; i < 2000; ++i) {
    IpAddress address;
    address.family = i % 2 != 0 ? Family::kIpv4 : Family::kIpv6;
    for (unsigned byte = 0; byte < address.bits() / 8; ++byte)
      address.bytes[byte] = static_cast<uint8_t>(random());
    const auto length = static_cast<uint8_t>(random() % (address.bits() + 1));
    const Prefix prefix = Prefix::enclosing(address, length);
    EXPECT_TRUE(prefix.contains(address));
    EXPECT_EQ(Prefix::parse(prefix.text()), prefix);
    const unsigned bit = random() % address.bits();
    IpAddress flipped = address;
    flipped.bytes[bit / 8] ^= static_cast<uint8_t>(0x80u >> (bit % 8));
    EXPECT_EQ(prefix.contains(flipped), bit >= length);
  }
}

}  // namespace
}  // namespace fairlead::core
