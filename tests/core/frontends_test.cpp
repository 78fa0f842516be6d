// Which Service answers on an address and port, whatever came and went before.
#include "dataplane/core/frontends.hpp"

#include "tests/core/service_fixture.hpp"

#include <algorithm>
#include <map>
#include <random>

namespace fairlead::core {
namespace {

struct FrontendsTest : ::testing::Test {
  FrontendTable table{1};

  FrontendsTest() {
    NodeSettings settings;
    settings.cluster_services = {net("10.96.0.0/12"), net("fd00:96::/112")};
    settings.node_port_addresses = {ip("192.0.2.1"), ip("2001:db8::1")};
    table.put_settings(settings);
  }

  // Who answers: the Service's id; -1 nobody, and it is a Service's address; 0 nobody.
  [[nodiscard]] int who(const std::string& at, uint16_t port, uint8_t protocol = 6) const {
    const IpAddress where = ip(at);
    const uint8_t version = where.is_ipv6() ? 6 : 4;
    const Frontends::Found found = table.frontends().find(wire(where), port, protocol, version);
    const int id = found.entry != nullptr     ? static_cast<int>(found.entry->view->service().id)
                   : found.is_service_address ? -1
                                              : 0;
    EXPECT_TRUE(id == 0 || table.frontends().may_concern(wire(where), version)) << at;
    return id;
  }
};

TEST_F(FrontendsTest, AnswersByAddressPortAndProtocol) {
  Service service = sample_service(7, 2);
  service.frontends.push_back({FrontendKind::kLoadBalancer, ip("203.0.113.5"), 8080});
  service.frontends.push_back({FrontendKind::kNodePort, {}, 30007});
  table.put(share(service), nullptr);
  table.put(share(sample_service(8, 1, 17, true)), nullptr);
  EXPECT_EQ(who("10.96.0.7", 80), 7);
  EXPECT_EQ(who("10.96.0.7", 81), -1);
  EXPECT_EQ(who("10.96.0.7", 80, 17), -1);
  EXPECT_EQ(who("10.96.0.7", 0), -1);
  EXPECT_EQ(who("10.111.255.255", 80), -1);  // of the range, nobody's
  EXPECT_EQ(who("203.0.113.5", 8080), 7);
  EXPECT_EQ(who("203.0.113.5", 80), -1);
  EXPECT_EQ(who("203.0.113.6", 8080), 0);
  EXPECT_EQ(who("192.0.2.1", 30007), 7);
  EXPECT_EQ(who("192.0.2.1", 30008), 0);  // the host's
  EXPECT_EQ(who("192.0.2.1", 0, 1), 0);
  EXPECT_EQ(who("192.0.2.2", 30007), 0);
  EXPECT_EQ(who("2001:db8::1", 30007), 0);  // another family
  EXPECT_EQ(who("fd00:96::8", 80, 17), 8);
  EXPECT_EQ(who("fd00:96::9", 80, 17), -1);
  EXPECT_EQ(who("fd00:96::1:0", 80, 17), 0);
}

TEST_F(FrontendsTest, WhatGoesLeavesNothingBehind) {
  Service service = sample_service(7, 2);
  service.frontends.push_back({FrontendKind::kExternalIp, ip("203.0.113.5"), 443});
  const auto first = share(service);
  table.put(first, nullptr);
  service.frontends = {{FrontendKind::kExternalIp, ip("203.0.113.5"), 444}};
  const auto second = share(service);
  table.put(second, first.get());
  EXPECT_EQ(who("10.96.0.7", 80), -1);
  EXPECT_EQ(who("203.0.113.5", 443), -1);
  EXPECT_EQ(who("203.0.113.5", 444), 7);
  table.remove(*second);
  EXPECT_EQ(who("203.0.113.5", 444), 0);
  EXPECT_FALSE(table.frontends().may_concern(wire("203.0.113.5"), 4));
}

TEST_F(FrontendsTest, AddressesElsewhereDoNotPassTheFirstTest) {
  table.put(share(sample_service(7, 2)), nullptr);
  for (const char* at : {"10.244.1.2", "8.8.8.8", "10.95.255.255", "10.112.0.0"}) {
    EXPECT_FALSE(table.frontends().may_concern(wire(at), 4)) << at;
  }
  int passed = 0;
  for (int i = 0; i < 1000; ++i) {
    passed += static_cast<int>(
        table.frontends().may_concern(wire("fd00:10:244:" + std::to_string(i + 1) + "::2"), 6));
  }
  EXPECT_LE(passed, 2);
}

TEST_F(FrontendsTest, SettingsMove) {
  Service service = sample_service(7, 2);
  service.frontends = {{FrontendKind::kNodePort, {}, 30007}};
  table.put(share(service), nullptr);
  NodeSettings settings;
  settings.node_port_addresses = {ip("192.0.2.9")};
  table.put_settings(settings);
  EXPECT_EQ(who("192.0.2.1", 30007), 0);
  EXPECT_EQ(who("192.0.2.9", 30007), 7);
  EXPECT_EQ(who("10.96.0.7", 80), 0);
  EXPECT_FALSE(table.frontends().may_concern(wire("10.96.0.7"), 4));
  EXPECT_FALSE(table.frontends().may_concern(wire("192.0.1.1"), 4) && who("192.0.1.1", 30007) != 0);
  settings.cluster_services = {net("fd00::/56")};
  table.put_settings(settings);
  EXPECT_EQ(who("fd00:0:0:42::1", 80), -1);
  EXPECT_EQ(who("fd00:0:0:142::1", 80), 0);
  settings.cluster_services.clear();
  table.put_settings(settings);
  EXPECT_FALSE(table.frontends().may_concern(wire("fd00:0:0:42::1"), 6));
}

TEST_F(FrontendsTest, AnOldCopyStaysAsItWas) {
  const auto first = share(sample_service(7, 2));
  table.put(first, nullptr);
  const Frontends old = table.frontends();
  table.remove(*first);
  EXPECT_EQ(who("10.96.0.7", 80), -1);
  const Frontends::Found found = old.find(wire("10.96.0.7"), 80, 6, 4);
  ASSERT_NE(found.entry, nullptr);
  EXPECT_EQ(found.entry->view->service().id, 7u);
}

// Services that contest a few addresses come, change and go in random orders: at every moment the lowest id
// that claims a frontend answers on it, and nobody else.
TEST_F(FrontendsTest, TheLowestIdAnswersInAnyOrder) {
  std::mt19937 random(3);
  std::map<ServiceId, std::shared_ptr<const Service>> there;
  for (int change = 0; change < 4000; ++change) {
    const ServiceId id = 1 + random() % 6;
    const auto known = there.find(id);
    if (known != there.end() && random() % 3 == 0) {
      table.remove(*known->second);
      there.erase(known);
    } else {
      Service service = sample_service(id, 1);
      service.frontends.clear();
      for (uint32_t i = 0; i < 4; ++i) {
        if (random() % 2 != 0) continue;
        Frontend frontend{FrontendKind::kExternalIp, ip("203.0.113." + std::to_string(i)), 80};
        if (i == 3) frontend = {FrontendKind::kNodePort, {}, 30000};
        service.frontends.push_back(frontend);
      }
      const auto now = share(service);
      table.put(now, known != there.end() ? known->second.get() : nullptr);
      there[id] = now;
    }
    for (uint32_t i = 0; i < 4; ++i) {
      int lowest = 0;
      bool claimed_address = false;
      for (auto at = there.rbegin(); at != there.rend(); ++at) {
        for (const Frontend& frontend : at->second->frontends) {
          const bool is_it = i == 3 ? frontend.kind == FrontendKind::kNodePort
                                    : frontend.address == ip("203.0.113." + std::to_string(i));
          if (is_it) lowest = static_cast<int>(at->first), claimed_address = true;
        }
      }
      const int answers = i == 3 ? who("192.0.2.1", 30000) : who("203.0.113." + std::to_string(i), 80);
      ASSERT_EQ(answers, claimed_address ? lowest : 0) << "change " << change << " frontend " << i;
    }
  }
}

TEST_F(FrontendsTest, ManyServicesAreAllFound) {
  for (ServiceId id = 1; id <= 20'000; ++id) table.put(share(sample_service(id, 1)), nullptr);
  for (ServiceId id = 1; id <= 20'000; ++id) {
    const std::string at = "10.96." + std::to_string(id >> 8) + "." + std::to_string(id & 255);
    ASSERT_EQ(who(at, 80), static_cast<int>(id));
    ASSERT_EQ(who(at, 79), -1);
  }
}

}  // namespace
}  // namespace fairlead::core
