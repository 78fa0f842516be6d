#include "controlplane/ipam/pool.hpp"

#include "controlplane/ipam/attachment.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace fairlead::control {
namespace {

AddressPool pool_of(const char* cidr) {
  return AddressPool(*core::Prefix::parse(cidr));
}

std::string next_of(AddressPool& pool) {
  const auto address = pool.next([](const core::IpAddress&) { return false; });
  return address ? address->text() : "none";
}

TEST(AddressPool, CountsWhatItHandsOut) {
  EXPECT_EQ(pool_of("10.0.0.0/24").usable(), 253u);
  EXPECT_EQ(pool_of("10.0.0.0/22").usable(), 1021u);
  EXPECT_EQ(pool_of("10.0.0.0/30").usable(), 1u);
  EXPECT_EQ(pool_of("10.0.0.0/31").usable(), 0u);
  EXPECT_EQ(pool_of("10.0.0.0/32").usable(), 0u);
  EXPECT_EQ(pool_of("fd00::/126").usable(), 2u);
  EXPECT_EQ(pool_of("fd00::/127").usable(), 0u);
  EXPECT_EQ(pool_of("fd00::/64").usable(), (uint64_t{1} << 32) - 2);
}

TEST(AddressPool, SkipsNetworkFirstAndBroadcastAndGoesRound) {
  AddressPool pool = pool_of("10.1.2.248/29");
  std::string seen;
  for (int i = 0; i < 7; ++i) seen += next_of(pool) + " ";
  EXPECT_EQ(seen, "10.1.2.250 10.1.2.251 10.1.2.252 10.1.2.253 10.1.2.254 10.1.2.250 10.1.2.251 ");
}

TEST(AddressPool, CrossesByteBordersInsideTheBlock) {
  AddressPool pool = pool_of("10.1.0.0/23");
  pool.resume_after(*core::IpAddress::parse("10.1.0.254"));
  EXPECT_EQ(next_of(pool), "10.1.0.255") << "only the block's own first and last address are special";
  EXPECT_EQ(next_of(pool), "10.1.1.0");
}

TEST(AddressPool, GivesUpAfterOneRound) {
  AddressPool pool = pool_of("10.1.0.0/28");
  int asked = 0;
  EXPECT_FALSE(pool.next([&](const core::IpAddress&) { return ++asked > 0; }).has_value());
  EXPECT_EQ(asked, 13);
}

TEST(AddressPool, ResumesOnlyBehindItsOwnAddresses) {
  AddressPool pool = pool_of("fd00:7::/64");
  pool.resume_after(*core::IpAddress::parse("fd00:8::7"));
  pool.resume_after(*core::IpAddress::parse("10.0.0.9"));
  EXPECT_EQ(next_of(pool), "fd00:7::2");
  pool.resume_after(*core::IpAddress::parse("fd00:7::ff"));
  EXPECT_EQ(next_of(pool), "fd00:7::100");
}

TEST(HostInterfaceName, FitsAndDiffersPerKeyAndAttempt) {
  std::set<std::string> names;
  for (int i = 0; i < 2000; ++i) {
    for (unsigned attempt = 0; attempt < kHostInterfaceNames; ++attempt) {
      const std::string name = host_interface_name({"c" + std::to_string(i), "eth0"}, attempt);
      EXPECT_EQ(name.size(), 13u);
      EXPECT_EQ(name.substr(0, 2), "fl");
      names.insert(name);
    }
  }
  EXPECT_EQ(names.size(), 2000u * kHostInterfaceNames);
  EXPECT_NE(host_interface_name({"c", "eth0"}), host_interface_name({"c", "eth1"}));
}

TEST(LinkAlias, NamesTheAttachmentWithinTheKernelsLimit) {
  EXPECT_EQ(link_alias({"abc", "eth0"}), "fairlead:abc/eth0");
  const std::string one = link_alias({std::string(300, 'a') + "1", "eth0"});
  EXPECT_LT(one.size(), 256u);
  EXPECT_NE(one, link_alias({std::string(300, 'a') + "2", "eth0"}));
}

}  // namespace
}  // namespace fairlead::control
