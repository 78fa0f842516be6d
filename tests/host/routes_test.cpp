#include "controlplane/host/routes.hpp"

#include "controlplane/host/host_facts.hpp"
#include "controlplane/host/link.hpp"
#include "controlplane/host/sysctl.hpp"
#include "tests/host/netns_fixture.hpp"

namespace fairlead::control {
namespace {

core::IpAddress address(const char* text) {
  return *core::IpAddress::parse(text);
}
core::Prefix prefix(const char* text) {
  return *core::Prefix::parse(text);
}

class HostRoutes : public NodeTest {
 protected:
  void SetUp() override {
    NodeTest::SetUp();
    if (IsSkipped()) return;
    (void)ip("link add u0 type veth peer name u0p");
    (void)ip("link add fairlead0 type veth peer name f0p");
    for (const char* name : {"u0", "u0p", "fairlead0", "f0p"})
      (void)ip(std::string("link set ") + name + " up");
    (void)ip("addr add 192.0.2.1/27 dev u0");
    (void)ip("-6 addr add 2001:db8::1/64 dev u0 nodad");
    (void)ip("route add default via 192.0.2.30");
    Result<NetlinkSocket> socket = NetlinkSocket::open();
    ASSERT_TRUE(socket.ok()) << socket.error().text();
    socket_ = std::move(*socket);
    const Result<std::optional<LinkFacts>> device = find_link(socket_, "fairlead0");
    ASSERT_TRUE(device.ok() && device->has_value());
    device_ = (*device)->index;
  }

  NetlinkSocket socket_;
  uint32_t device_ = 0;
};

TEST_F(HostRoutes, SyncAddsChangesRemovesAndThenIsQuiet) {
  std::vector<KernelRoute> wanted = {{prefix("10.244.2.0/24"), device_, {}, address("192.0.2.1"), 1450},
                                     {prefix("fd00:2::/64"), device_, {}, address("2001:db8::1"), 1450}};
  Result<RouteChanges> changes = sync_routes(socket_, wanted);
  ASSERT_TRUE(changes.ok()) << changes.error().text();
  EXPECT_EQ(changes->put, 2u);
  expect_has(ip("route"), "10.244.2.0/24 dev fairlead0 proto 76 scope link src 192.0.2.1 mtu 1450");
  expect_has(ip("-6 route"), "fd00:2::/64 dev fairlead0 proto 76 src 2001:db8::1");
  changes = sync_routes(socket_, wanted);
  ASSERT_TRUE(changes.ok());
  EXPECT_EQ(changes->put + changes->removed, 0u) << "a second time there is nothing to do";
  wanted[0].mtu = 1500;
  wanted.push_back({prefix("10.244.3.0/24"), device_});
  wanted.erase(wanted.begin() + 1);
  changes = sync_routes(socket_, wanted);
  ASSERT_TRUE(changes.ok()) << changes.error().text();
  EXPECT_EQ(changes->put, 2u);
  EXPECT_EQ(changes->removed, 1u);
  const std::string routes = ip("route");
  expect_has(routes, "10.244.2.0/24 dev fairlead0 proto 76 scope link src 192.0.2.1 mtu 1500");
  expect_lacks(routes, "mtu 1450");
  expect_lacks(ip("-6 route"), "fd00:2::");
  expect_has(routes, "default via 192.0.2.30");
  ASSERT_TRUE(sync_routes(socket_, {}).ok());
  expect_lacks(ip("route"), "proto 76");
}

TEST_F(HostRoutes, SomebodyElsesRouteIsLeftAloneAndNamed) {
  (void)ip("route add 10.244.2.0/24 via 192.0.2.9 proto bird");
  const Result<RouteChanges> changes =
      sync_routes(socket_, {{prefix("10.244.2.0/24"), device_}, {prefix("10.244.3.0/24"), device_}});
  ASSERT_FALSE(changes.ok());
  EXPECT_EQ(changes.error().code, "FL4304");
  expect_has(changes.error().what, "10.244.2.0/24 via 192.0.2.9");
  const std::string routes = ip("route");
  expect_has(routes, "10.244.2.0/24 via 192.0.2.9 dev u0 proto bird");
  expect_has(routes, "10.244.3.0/24 dev fairlead0 proto 76");
}

TEST_F(HostRoutes, RemovingWhatIsGoneIsFine) {
  const KernelRoute route{prefix("10.244.2.0/24"), device_};
  EXPECT_TRUE(remove_route(socket_, route).ok());
  ASSERT_TRUE(put_route(socket_, route).ok());
  EXPECT_TRUE(remove_route(socket_, route).ok());
  EXPECT_TRUE(remove_route(socket_, route).ok());
}

TEST_F(HostRoutes, ARefusalCarriesTheKernelsWords) {
  const Result<void> refused = put_route(socket_, {prefix("10.244.2.0/24"), 9999});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "FL4301");
  expect_has(refused.error().what, "10.244.2.0/24");
  expect_has(refused.error().what, "No such device");
}

TEST_F(HostRoutes, FactsOfTheHost) {
  (void)ip("link set u0 mtu 9000");
  (void)ip("addr add 169.254.7.7/16 dev u0");
  const Result<HostFacts> facts = read_host_facts(socket_, "u0");
  ASSERT_TRUE(facts.ok()) << facts.error().text();
  EXPECT_EQ(facts->uplink, "u0");
  EXPECT_EQ(facts->uplink_mtu, 9000);
  EXPECT_EQ(facts->on_link, (std::vector<core::Prefix>{prefix("2001:db8::/64"), prefix("192.0.2.0/27")}));
  EXPECT_EQ(facts->local_addresses,
            (std::vector<core::IpAddress>{address("2001:db8::1"), address("192.0.2.1")}));
  const Result<HostFacts> none = read_host_facts(socket_, "ens9");
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().code, "FL4306");
}

TEST_F(HostRoutes, FindsTheUplink) {
  EXPECT_EQ(*find_uplink(socket_, {address("192.0.2.1")}), "u0");
  EXPECT_EQ(*find_uplink(socket_, {}), "u0") << "by the default route";
  EXPECT_EQ(*find_uplink(socket_, {}, {"u*"}), "u0");
  const Result<std::string> none = find_uplink(socket_, {}, {"ens*"});
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().code, "FL4306");
  (void)ip("addr add 192.0.2.1/32 dev fairlead0");
  EXPECT_EQ(*find_uplink(socket_, {address("192.0.2.1")}), "u0")
      << "both carry it, one has the default route";
}

TEST_F(HostRoutes, SysctlsAreWrittenOnlyWhenTheyDiffer) {
  const Result<bool> first = ensure_sysctl("net/ipv4/ip_forward", "1");
  ASSERT_TRUE(first.ok()) << first.error().text();
  const Result<bool> second = ensure_sysctl("net/ipv4/ip_forward", "1");
  ASSERT_TRUE(second.ok());
  EXPECT_FALSE(*second);
  const Result<bool> refused = ensure_sysctl("net/ipv4/ip_forward", "nonsense");
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "FL4305");
  expect_has(refused.error().what, "from 1 to nonsense");
}

TEST_F(HostRoutes, ForwardingKeepsRouterAdvertisementsWorking) {
  ASSERT_TRUE(ensure_sysctl("net/ipv6/conf/all/forwarding", "0").ok());
  ASSERT_TRUE(ensure_sysctl("net/ipv6/conf/u0/accept_ra", "1").ok());
  ASSERT_TRUE(ensure_forwarding("u0").ok());
  EXPECT_EQ(*read_sysctl("net/ipv6/conf/all/forwarding"), "1");
  EXPECT_EQ(*read_sysctl("net/ipv6/conf/u0/accept_ra"), "2");
  EXPECT_EQ(*read_sysctl("net/ipv4/ip_forward"), "1");
}

}  // namespace
}  // namespace fairlead::control
