#include "controlplane/host/pod_link.hpp"

#include "controlplane/host/link.hpp"
#include "controlplane/host/netns.hpp"
#include "tests/host/netns_fixture.hpp"

#include <fstream>

namespace fairlead::control {
namespace {

class PodLinks : public NodeTest {
 protected:
  PodLinkSpec spec() const {
    PodLinkSpec spec;
    spec.netns = pod_.path();
    spec.interface = "eth0";
    spec.host_interface = "fl0123456789a";
    spec.alias = "fairlead:abc/eth0";
    spec.mac = *core::MacAddress::parse("0a:58:0a:f4:01:07");
    spec.addresses = {*core::IpAddress::parse("10.244.1.7"), *core::IpAddress::parse("fd00:1::7")};
    spec.device_mtu = 1500;
    spec.route_mtu = 1450;
    return spec;
  }
  void expect_nothing_left() {
    expect_lacks(ip("link"), "fl0123456789a");
    expect_lacks(pod_.ip("link"), "eth0");
  }

  TestNetns pod_;
};

TEST_F(PodLinks, IsWhatThePodNeedsAndNothingMore) {
  const Result<PodLink> made = make_pod_link(spec());
  ASSERT_TRUE(made.ok()) << made.error().text();

  const std::string links = pod_.ip("-d link show eth0");
  expect_has(links, "0a:58:0a:f4:01:07");
  expect_has(links, "mtu 1500");
  expect_has(links, "state UP");
  expect_has(links, "gso_max_size 60000");
  expect_has(links, "addrgenmode none");
  const std::string addresses = pod_.ip("addr show eth0");
  expect_has(addresses, "inet 10.244.1.7/32 scope global");
  expect_has(addresses, "inet6 fd00:1::7/128 scope global nodad");
  expect_lacks(addresses, "tentative");
  expect_lacks(addresses, "fe80::");
  const std::string routes4 = pod_.ip("-4 route");
  expect_has(routes4, "default via 169.254.1.1 dev eth0");
  expect_has(routes4, "mtu 1450");
  expect_has(routes4, "169.254.1.1 dev eth0 proto static scope link");
  const std::string routes6 = pod_.ip("-6 route show default");
  expect_has(routes6, "default via fe80::1 dev eth0");
  expect_has(routes6, "mtu 1450");
  const std::string neighbours = pod_.ip("neigh");
  expect_has(neighbours, "169.254.1.1 dev eth0 lladdr 02:46:4c:ff:ff:ff PERMANENT");
  expect_has(neighbours, "fe80::1 dev eth0 lladdr 02:46:4c:ff:ff:ff PERMANENT");

  const std::string host = ip("-d link show fl0123456789a");
  expect_has(host, "NOARP");
  expect_has(host, "alias fairlead:abc/eth0");
  expect_has(host, "state UP");
  expect_has(host, "addrgenmode none");
  expect_has(host, "gso_max_size 60000");
  expect_has(host, made->host_mac.text());
  expect_has(host, std::to_string(made->host_ifindex) + ": ");
  expect_lacks(ip("addr show fl0123456789a"), "inet");
}

TEST_F(PodLinks, PodRefusesRouterAdvertisements) {
  ASSERT_TRUE(make_pod_link(spec()).ok());
  std::string value;
  Result<Netns> netns = Netns::open(pod_.path());
  ASSERT_TRUE(netns.ok());
  const Result<void> read = netns->run([&value] {
    std::ifstream("/proc/sys/net/ipv6/conf/eth0/accept_ra") >> value;
    return Result<void>();
  });
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(value, "0");
}

TEST_F(PodLinks, MakingItTwiceChangesNothing) {
  const Result<PodLink> first = make_pod_link(spec());
  ASSERT_TRUE(first.ok()) << first.error().text();
  const std::string before = pod_.ip("-d addr") + pod_.ip("route") + pod_.ip("-6 route");
  const Result<PodLink> second = make_pod_link(spec());
  ASSERT_TRUE(second.ok()) << second.error().text();
  EXPECT_EQ(second->host_ifindex, first->host_ifindex);
  EXPECT_EQ(pod_.ip("-d addr") + pod_.ip("route") + pod_.ip("-6 route"), before);
}

TEST_F(PodLinks, MakingItAgainRepairsWhatWasTakenAway) {
  ASSERT_TRUE(make_pod_link(spec()).ok());
  (void)pod_.ip("route del default");
  (void)pod_.ip("addr del fd00:1::7/128 dev eth0");
  EXPECT_FALSE(check_pod_link(spec()).ok());
  ASSERT_TRUE(make_pod_link(spec()).ok());
  const Result<PodLink> checked = check_pod_link(spec());
  EXPECT_TRUE(checked.ok()) << checked.error().text();
}

TEST_F(PodLinks, ASingleFamilyGetsNothingOfTheOther) {
  PodLinkSpec only4 = spec();
  only4.addresses.pop_back();
  ASSERT_TRUE(make_pod_link(only4).ok());
  EXPECT_EQ(pod_.ip("-6 route show default"), "");
  expect_lacks(pod_.ip("neigh"), "fe80::1");
  EXPECT_TRUE(check_pod_link(only4).ok());
  ASSERT_TRUE(remove_pod_link(only4.host_interface, only4.alias).ok());
  PodLinkSpec only6 = spec();
  only6.addresses.erase(only6.addresses.begin());
  ASSERT_TRUE(make_pod_link(only6).ok());
  EXPECT_EQ(pod_.ip("-4 route"), "");
  EXPECT_TRUE(check_pod_link(only6).ok());
}

TEST_F(PodLinks, RemovingIsRepeatableAndTakesBothEnds) {
  ASSERT_TRUE(make_pod_link(spec()).ok());
  EXPECT_TRUE(remove_pod_link(spec().host_interface, spec().alias).ok());
  expect_nothing_left();
  EXPECT_TRUE(remove_pod_link(spec().host_interface, spec().alias).ok());
}

TEST_F(PodLinks, AnotherOwnersLinkIsNeitherUsedNorRemoved) {
  ASSERT_TRUE(make_pod_link(spec()).ok());
  const Result<void> removed = remove_pod_link(spec().host_interface, "fairlead:other/eth0");
  ASSERT_FALSE(removed.ok());
  EXPECT_EQ(removed.error().code, "FL4302");
  expect_has(ip("link"), "fl0123456789a");
  TestNetns other_pod;
  PodLinkSpec other = spec();
  other.netns = other_pod.path();
  other.alias = "fairlead:other/eth0";
  const Result<PodLink> made = make_pod_link(other);
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().code, "FL4302");
  EXPECT_TRUE(check_pod_link(spec()).ok());
}

TEST_F(PodLinks, AnInterfaceThatIsThereAlreadyIsAnError) {
  (void)pod_.ip("link add eth0 type veth peer name other");
  const Result<PodLink> made = make_pod_link(spec());
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().code, "FL4101");
  expect_has(made.error().what, "eth0");
  expect_lacks(ip("link"), "fl0123456789a");
  expect_has(pod_.ip("link"), "eth0");
}

TEST_F(PodLinks, AFailureHalfwayTakesEverythingBackAndSaysWhy) {
  PodLinkSpec bad = spec();
  bad.addresses = {*core::IpAddress::parse("10.244.1.7"), *core::IpAddress::parse("ff02::1")};
  const Result<PodLink> made = make_pod_link(bad);
  ASSERT_FALSE(made.ok());
  EXPECT_EQ(made.error().code, "FL4301");
  expect_has(made.error().what, "ff02::1");
  expect_has(made.error().what, "kernel: ipv6: Cannot assign multicast address");
  expect_nothing_left();
}

TEST_F(PodLinks, ALeftoverOfAKilledAgentIsReplaced) {
  {
    TestNetns gone;
    PodLinkSpec earlier = spec();
    earlier.netns = gone.path();
    ASSERT_TRUE(make_pod_link(earlier).ok());
    (void)ip("link set fl0123456789a alias ''");
    const Result<PodLink> made = make_pod_link(spec());
    ASSERT_TRUE(made.ok()) << made.error().text();
  }
  EXPECT_TRUE(check_pod_link(spec()).ok());
}

TEST_F(PodLinks, NamespacesThatAreNoneAreNamed) {
  PodLinkSpec bad = spec();
  for (const std::string& path : {std::string("/run/netns/fl-cni-nowhere"), std::string("/proc/self/ns/mnt"),
                                  std::string("/etc/hostname"), std::string("/proc/thread-self/ns/net")}) {
    bad.netns = path;
    const Result<PodLink> made = make_pod_link(bad);
    ASSERT_FALSE(made.ok()) << path;
    EXPECT_EQ(made.error().code, "FL4008") << made.error().text();
    expect_has(made.error().what, path);
  }
}

TEST_F(PodLinks, CheckNamesWhatIsMissing) {
  ASSERT_TRUE(make_pod_link(spec()).ok());
  ASSERT_TRUE(check_pod_link(spec()).ok());
  const auto expect_broken = [&](const std::string& command, const std::string& named) {
    (void)pod_.ip(command);
    const Result<PodLink> checked = check_pod_link(spec());
    ASSERT_FALSE(checked.ok()) << command;
    EXPECT_EQ(checked.error().code, "FL4102");
    expect_has(checked.error().what, named);
    ASSERT_TRUE(make_pod_link(spec()).ok());
    ASSERT_TRUE(check_pod_link(spec()).ok());
  };
  expect_broken("addr del 10.244.1.7/32 dev eth0", "10.244.1.7");
  expect_broken("-6 route del default", "fe80::1");
  expect_broken("link set eth0 down", "is down");
  expect_broken("link set eth0 address 02:00:00:00:00:01", "02:00:00:00:00:01");
  expect_broken("link set eth0 mtu 1300", "1300");
  expect_broken("link set eth0 gso_max_size 65000", "65000");
  expect_broken("neigh del 169.254.1.1 dev eth0", "169.254.1.1");
  expect_broken("neigh replace fe80::1 lladdr 02:00:00:00:00:02 nud permanent dev eth0", "fe80::1");
}

TEST_F(PodLinks, CheckToleratesWhatOthersAdd) {
  ASSERT_TRUE(make_pod_link(spec()).ok());
  (void)pod_.ip("addr add 192.0.2.9/32 dev eth0");
  (void)pod_.ip("route add 198.51.100.0/24 via 169.254.1.1 dev eth0");
  EXPECT_TRUE(check_pod_link(spec()).ok());
}

TEST_F(PodLinks, TheMtuOfRoutesChangesAndTheDeviceStays) {
  ASSERT_TRUE(make_pod_link(spec()).ok());
  const Result<void> changed = change_pod_mtu(spec(), 1500);
  ASSERT_TRUE(changed.ok()) << changed.error().text();
  expect_has(pod_.ip("route show default"), "mtu 1500");
  expect_has(pod_.ip("-6 route show default"), "mtu 1500");
  ASSERT_TRUE(change_pod_mtu(spec(), 1400).ok());
  const std::string routes = pod_.ip("-6 route show default");
  expect_has(routes, "mtu 1400");
  expect_lacks(routes, "mtu 1500");
  expect_has(pod_.ip("link show eth0"), "mtu 1500");
}

TEST_F(PodLinks, FindsTheHostEndByNameAndAlias) {
  const Result<PodLink> made = make_pod_link(spec());
  ASSERT_TRUE(made.ok());
  const Result<PodLink> found = find_pod_link(spec().host_interface, spec().alias);
  ASSERT_TRUE(found.ok());
  EXPECT_EQ(found->host_ifindex, made->host_ifindex);
  const Result<PodLink> none = find_pod_link("fl000000000ff", spec().alias);
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.error().code, "FL4303");
}

TEST_F(PodLinks, ManyAtOnceDoNotDisturbEachOther) {
  constexpr int kPods = 32;
  std::vector<std::unique_ptr<TestNetns>> pods;
  std::vector<std::thread> threads;
  std::vector<Result<PodLink>> results(kPods, Result<PodLink>(Error{"none", "not run"}));
  const int node = ::open("/proc/thread-self/ns/net", O_RDONLY);
  for (int i = 0; i < kPods; ++i) pods.push_back(std::make_unique<TestNetns>());
  const auto spec_of = [&](int i) {
    PodLinkSpec one = spec();
    one.netns = pods[static_cast<size_t>(i)]->path();
    one.host_interface = "fl" + std::to_string(i);
    one.alias = "fairlead:" + std::to_string(i);
    one.addresses = {*core::IpAddress::parse("10.244.1." + std::to_string(i + 2))};
    return one;
  };
  for (int i = 0; i < kPods; ++i) {
    threads.emplace_back([&, i] {
      ASSERT_EQ(::setns(node, CLONE_NEWNET), 0);
      results[static_cast<size_t>(i)] = make_pod_link(spec_of(i));
    });
  }
  for (std::thread& thread : threads) thread.join();
  ::close(node);
  for (int i = 0; i < kPods; ++i) {
    ASSERT_TRUE(results[static_cast<size_t>(i)].ok()) << results[static_cast<size_t>(i)].error().text();
    EXPECT_TRUE(check_pod_link(spec_of(i)).ok());
  }
}

}  // namespace
}  // namespace fairlead::control
