#include "controlplane/host/reserved_ports.hpp"

#include "controlplane/host/sysctl.hpp"
#include "tests/host/netns_fixture.hpp"

#include <filesystem>
#include <fstream>
#include <iterator>

namespace fairlead::control {
namespace {

TEST(ReservedPorts, TextIsReadAndWritten) {
  for (const char* text : {"", "80", "80,82", "80-82,443,61000-65535", "0-2", "65535"})
    EXPECT_EQ(ports_text(parse_ports(text).value()), text);
  EXPECT_EQ(ports_text(parse_ports("3,1,2,2-5\n").value()), "1-5");
  for (const char* text : {"a", "1-", "-1", "5-3", "65536", "1,,2", "1 2"})
    EXPECT_FALSE(parse_ports(text).has_value()) << text;
}

class ReservedPortsOfANode : public NodeTest {
 protected:
  void TearDown() override {
    std::filesystem::remove(record_);
    NodeTest::TearDown();
  }
  static std::string reserved() { return read_sysctl("net/ipv4/ip_local_reserved_ports").value(); }
  void reserve(uint16_t first, uint16_t last) {
    const Result<void> done = reserve_ports(record_, first, last);
    ASSERT_TRUE(done.ok()) << done.error().text();
  }
  std::string record_ = "/tmp/fairlead-reserved-ports-" + std::to_string(::getpid());
};

TEST_F(ReservedPortsOfANode, OthersReservationsStay) {
  ASSERT_TRUE(ensure_sysctl("net/ipv4/ip_local_reserved_ports", "8080,61000-61010").ok());
  reserve(61000, 65535);
  EXPECT_EQ(reserved(), "8080,61000-65535");
  reserve(61000, 65535);
  EXPECT_EQ(reserved(), "8080,61000-65535") << "again changes nothing";
  reserve(50000, 50999);
  EXPECT_EQ(reserved(), "8080,50000-50999,61000-61010") << "another range replaces ours, not others'";
  ASSERT_TRUE(release_ports(record_).ok());
  EXPECT_EQ(reserved(), "8080,61000-61010");
  EXPECT_FALSE(std::filesystem::exists(record_));
}

TEST_F(ReservedPortsOfANode, WhatSomebodyTookAwayIsPutBack) {
  reserve(61000, 65535);
  ASSERT_TRUE(ensure_sysctl("net/ipv4/ip_local_reserved_ports", "7000").ok());
  reserve(61000, 65535);
  EXPECT_EQ(reserved(), "7000,61000-65535");
  ASSERT_TRUE(release_ports(record_).ok());
  EXPECT_EQ(reserved(), "7000");
}

}  // namespace
}  // namespace fairlead::control
