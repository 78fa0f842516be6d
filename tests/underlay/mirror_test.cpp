#include "dataplane/underlay/mirror.hpp"

#include "tests/support/network_lab.hpp"

#include <chrono>
#include <ctime>
#include <net/if.h>
#include <poll.h>

namespace fairlead::test {
namespace {

using core::IpAddress;
using core::Prefix;
using core::UnderlayNextHop;
using core::UnderlayRoute;
using core::UnderlayRouteKind;

constexpr core::PortId kUplink = 1;
constexpr core::PortId kSecondUplink = 4;
constexpr core::PortId kHost = 3;

IpAddress address(const char* text) {
  return IpAddress::parse(text).value();
}
Prefix prefix(const char* text) {
  return Prefix::parse(text).value();
}

// A node with two uplinks to one router and a veth pair in place of fairlead0:
//
//   node: up0 (192.0.2.1/24, 2001:db8::1/64) -- router: r0 (192.0.2.2/24, 2001:db8::2/64)
//         up1 (198.51.100.1/24)              -- router: r1 (198.51.100.2/24)
//         fairlead0, other0
class MirrorTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!NetworkLab::enter()) GTEST_SKIP() << "network namespaces need root";
    NetworkLab::add_namespace("fl-bpf-router");
    for (const char* command :
         {"ip link add up0 type veth peer name r0 netns fl-bpf-router",
          "ip link add up1 type veth peer name r1 netns fl-bpf-router",
          "ip link add fairlead0 type veth peer name fairlead0p",
          "ip link add other0 type veth peer name other0p", "ip link set fairlead0 up",
          "ip link set fairlead0p up", "ip link set other0 up", "ip link set other0p up",
          "ip -n fl-bpf-router link set r0 up", "ip -n fl-bpf-router link set r1 up", "ip link set up0 up",
          "ip link set up1 up", "ip addr add 192.0.2.1/24 dev up0",
          "ip addr add 2001:db8::1/64 dev up0 nodad", "ip addr add 198.51.100.1/24 dev up1",
          "ip -n fl-bpf-router addr add 192.0.2.2/24 dev r0",
          "ip -n fl-bpf-router addr add 2001:db8::2/64 dev r0 nodad",
          "ip -n fl-bpf-router addr add 198.51.100.2/24 dev r1"}) {
      NetworkLab::sh(command);
    }
    auto opened = UnderlayMirror::open();
    ASSERT_TRUE(opened.ok()) << opened.error().text();
    mirror_ = std::move(*opened);
    mirror_uplinks();
  }

  void mirror_uplinks() {
    const MirroredPort ports[] = {{kUplink, if_nametoindex("up0"), false},
                                  {kSecondUplink, if_nametoindex("up1"), false},
                                  {kHost, if_nametoindex("fairlead0"), true}};
    auto done = mirror_->set_ports(ports);
    ASSERT_TRUE(done.ok()) << done.error().text();
    ASSERT_TRUE(mirror_->process_events().ok());
  }

  // Takes in events until `claim` holds; fails when it does not come true in ten seconds.
  void expect_soon(const char* what, const std::function<bool(const core::Underlay&)>& claim) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (std::chrono::steady_clock::now() < end) {
      auto processed = mirror_->process_events();
      ASSERT_TRUE(processed.ok()) << processed.error().text();
      if (claim(mirror_->current())) return;
      pollfd ready{mirror_->poll_fd(), POLLIN, 0};
      poll(&ready, 1, 200);
    }
    ADD_FAILURE() << what << " did not come true";
  }

  void expect_route(const char* text, const UnderlayRoute& wanted) {
    expect_soon(text, [&](const core::Underlay& underlay) {
      const auto found = underlay.routes.find(prefix(text));
      return found != underlay.routes.end() && found->second == wanted;
    });
  }
  void expect_no_route(const char* text) {
    expect_soon(text,
                [&](const core::Underlay& underlay) { return !underlay.routes.contains(prefix(text)); });
  }

  // The mirror equals one that read everything just now.
  void expect_same_as_anew() {
    ASSERT_TRUE(mirror_->process_events().ok());
    const core::Underlay by_events = mirror_->current();
    mirror_uplinks();
    EXPECT_EQ(by_events.routes, mirror_->current().routes);
    EXPECT_EQ(by_events.links, mirror_->current().links);
    EXPECT_EQ(by_events.neighbours, mirror_->current().neighbours);
  }

  static UnderlayRoute via(std::vector<UnderlayNextHop> hops) {
    return {UnderlayRouteKind::kUnicast, std::move(hops)};
  }

  std::unique_ptr<UnderlayMirror> mirror_;
};

TEST_F(MirrorTest, LinksHaveTheirFacts) {
  const auto& links = mirror_->current().links;
  ASSERT_EQ(links.size(), 3u);
  const auto& uplink = links.at(kUplink);
  EXPECT_TRUE(uplink.up);
  EXPECT_EQ(uplink.mtu, 1500);
  EXPECT_EQ(NetworkLab::output_of("cat /sys/class/net/up0/address"), uplink.mac.text() + "\n");

  NetworkLab::sh("ip link set up0 mtu 1400 address 02:00:00:00:00:77");
  expect_soon("MTU and MAC", [](const core::Underlay& underlay) {
    return underlay.links.at(kUplink).mtu == 1400 &&
           underlay.links.at(kUplink).mac.text() == "02:00:00:00:00:77";
  });
  NetworkLab::sh("ip -n fl-bpf-router link set r0 down");  // no carrier
  expect_soon("carrier loss", [](const core::Underlay& underlay) { return !underlay.links.at(kUplink).up; });
  NetworkLab::sh("ip link del up1");
  expect_soon("deletion",
              [](const core::Underlay& underlay) { return !underlay.links.contains(kSecondUplink); });
}

TEST_F(MirrorTest, AddressesAppearAsLocalAndConnectedRoutes) {
  expect_route("192.0.2.1/32", {UnderlayRouteKind::kLocal, {}});
  expect_route("192.0.2.0/24", via({{{}, kUplink, 1}}));
  expect_route("2001:db8::1/128", {UnderlayRouteKind::kLocal, {}});
  expect_route("2001:db8::/64", via({{{}, kUplink, 1}}));
  NetworkLab::sh("ip addr add 203.0.113.9/28 dev up0");
  expect_route("203.0.113.9/32", {UnderlayRouteKind::kLocal, {}});
  expect_route("203.0.113.0/28", via({{{}, kUplink, 1}}));
  NetworkLab::sh("ip addr del 203.0.113.9/28 dev up0");
  expect_no_route("203.0.113.9/32");
  expect_no_route("203.0.113.0/28");
  for (const auto& [prefix, route] : mirror_->current().routes) {
    EXPECT_FALSE(prefix.text().starts_with("fe80") || prefix.text().starts_with("ff00") ||
                 prefix.text().starts_with("127."))
        << prefix.text();
  }
  expect_same_as_anew();
}

TEST_F(MirrorTest, GatewaysAndReplacementAndPriorities) {
  NetworkLab::sh("ip route add default via 192.0.2.2");
  expect_route("0.0.0.0/0", via({{address("192.0.2.2"), kUplink, 1}}));
  NetworkLab::sh("ip route replace default via 198.51.100.2");
  expect_route("0.0.0.0/0", via({{address("198.51.100.2"), kSecondUplink, 1}}));
  NetworkLab::sh("ip route add 10.9.0.0/16 via 192.0.2.2 metric 50");
  NetworkLab::sh("ip route add 10.9.0.0/16 via 198.51.100.2 metric 20");
  expect_route("10.9.0.0/16", via({{address("198.51.100.2"), kSecondUplink, 1}}));
  NetworkLab::sh("ip route del 10.9.0.0/16 metric 20");
  expect_route("10.9.0.0/16", via({{address("192.0.2.2"), kUplink, 1}}));
  NetworkLab::sh("ip route del 10.9.0.0/16 metric 50");
  expect_no_route("10.9.0.0/16");
  NetworkLab::sh("ip -6 route add 2001:db8:9::/48 via 2001:db8::2");
  expect_route("2001:db8:9::/48", via({{address("2001:db8::2"), kUplink, 1}}));
  NetworkLab::sh("ip route add 10.7.0.0/16 via inet6 2001:db8::2 dev up0");  // RFC 5549
  expect_route("10.7.0.0/16", via({{address("2001:db8::2"), kUplink, 1}}));
  expect_same_as_anew();
}

TEST_F(MirrorTest, KindsAndForeignDevices) {
  NetworkLab::sh("ip route add unreachable 10.20.0.0/16");
  NetworkLab::sh("ip route add blackhole 10.21.0.0/16");
  NetworkLab::sh("ip route add prohibit 10.22.0.0/16");
  NetworkLab::sh("ip route add 10.23.0.0/16 dev other0");
  NetworkLab::sh("ip route add 10.24.0.0/16 dev fairlead0");
  NetworkLab::sh("ip route add 10.25.0.0/16 via 192.0.2.2 table 100");
  NetworkLab::sh("ip route add throw 10.26.0.0/16");
  const UnderlayRoute unreachable{UnderlayRouteKind::kUnreachable, {}};
  expect_route("10.20.0.0/16", unreachable);
  expect_route("10.21.0.0/16", unreachable);
  expect_route("10.22.0.0/16", unreachable);
  expect_route("10.23.0.0/16", via({{{}, 0, 1}}));
  expect_no_route("10.24.0.0/16");
  expect_no_route("10.25.0.0/16");
  expect_no_route("10.26.0.0/16");
  // What our own route hides is what the kernel would use without it.
  NetworkLab::sh("ip route add 10.24.0.0/16 via 192.0.2.2 metric 500");
  expect_route("10.24.0.0/16", via({{address("192.0.2.2"), kUplink, 1}}));
  expect_same_as_anew();
}

TEST_F(MirrorTest, EcmpWithWeights) {
  NetworkLab::sh(
      "ip route add 10.30.0.0/16 nexthop via 192.0.2.2 weight 2 nexthop via 198.51.100.2 weight 5");
  expect_route("10.30.0.0/16",
               via({{address("192.0.2.2"), kUplink, 2}, {address("198.51.100.2"), kSecondUplink, 5}}));
  // A way whose link goes down is no way; the kernel reports no route change, only the link's.
  NetworkLab::sh("ip link set up1 down");
  expect_route("10.30.0.0/16", via({{address("192.0.2.2"), kUplink, 2}}));
  expect_same_as_anew();
  NetworkLab::sh("ip link set up1 up");
  expect_route("10.30.0.0/16",
               via({{address("192.0.2.2"), kUplink, 2}, {address("198.51.100.2"), kSecondUplink, 5}}));
  NetworkLab::sh("ip route del 10.30.0.0/16");
  expect_no_route("10.30.0.0/16");
}

TEST_F(MirrorTest, LosingCarrierLeavesTheOtherWay) {
  NetworkLab::sh("ip route add 10.30.0.0/16 nexthop via 192.0.2.2 nexthop via 198.51.100.2");
  expect_route("10.30.0.0/16",
               via({{address("192.0.2.2"), kUplink, 1}, {address("198.51.100.2"), kSecondUplink, 1}}));
  NetworkLab::sh("ip -n fl-bpf-router link set r1 down");
  expect_route("10.30.0.0/16", via({{address("192.0.2.2"), kUplink, 1}}));
  NetworkLab::sh("ip -n fl-bpf-router link set r1 up");
  expect_route("10.30.0.0/16",
               via({{address("192.0.2.2"), kUplink, 1}, {address("198.51.100.2"), kSecondUplink, 1}}));
}

TEST_F(MirrorTest, Ipv6EcmpGrowsAndShrinks) {
  NetworkLab::sh("ip -6 route add 2001:db8:30::/48 via 2001:db8::2 metric 10");
  expect_route("2001:db8:30::/48", via({{address("2001:db8::2"), kUplink, 1}}));
  NetworkLab::sh("ip -6 route append 2001:db8:30::/48 via 2001:db8::3 metric 10");
  expect_route("2001:db8:30::/48",
               via({{address("2001:db8::2"), kUplink, 1}, {address("2001:db8::3"), kUplink, 1}}));
  expect_same_as_anew();
  NetworkLab::sh("ip -6 route del 2001:db8:30::/48 via 2001:db8::2 metric 10");
  expect_route("2001:db8:30::/48", via({{address("2001:db8::3"), kUplink, 1}}));
  expect_same_as_anew();
  NetworkLab::sh("ip -6 route replace 2001:db8:30::/48 via 2001:db8::4 metric 10");
  expect_route("2001:db8:30::/48", via({{address("2001:db8::4"), kUplink, 1}}));
  NetworkLab::sh("ip -6 route del 2001:db8:30::/48");
  expect_no_route("2001:db8:30::/48");
}

TEST_F(MirrorTest, NextHopObjects) {
  NetworkLab::sh("ip nexthop add id 1 via 192.0.2.2 dev up0");
  NetworkLab::sh("ip nexthop add id 2 via 198.51.100.2 dev up1");
  NetworkLab::sh("ip nexthop add id 10 group 1/2,3");
  NetworkLab::sh("ip route add 10.40.0.0/16 nhid 10");
  expect_route("10.40.0.0/16",
               via({{address("192.0.2.2"), kUplink, 1}, {address("198.51.100.2"), kSecondUplink, 3}}));
  NetworkLab::sh("ip nexthop replace id 10 group 1");
  expect_route("10.40.0.0/16", via({{address("192.0.2.2"), kUplink, 1}}));
  expect_same_as_anew();
}

TEST_F(MirrorTest, RoutesThatVanishWithALinkOrAddressVanishHere) {
  NetworkLab::sh("ip route add 10.50.0.0/16 via 192.0.2.2");
  NetworkLab::sh("ip addr add 192.0.2.77/24 dev up0");
  NetworkLab::sh("ip route add 10.51.0.0/16 via 198.51.100.2 src 192.0.2.77");
  expect_route("10.51.0.0/16", via({{address("198.51.100.2"), kSecondUplink, 1}}));
  NetworkLab::sh("ip addr del 192.0.2.77/24 dev up0");
  expect_no_route("10.51.0.0/16");
  NetworkLab::sh("ip link set up0 down");
  expect_no_route("10.50.0.0/16");
  expect_no_route("192.0.2.0/24");
  expect_same_as_anew();
}

TEST_F(MirrorTest, ANeighbourIsResolvedOnRequestAndFollowed) {
  const std::pair key{kUplink, address("192.0.2.2")};
  const std::pair key6{kUplink, address("2001:db8::2")};
  EXPECT_FALSE(mirror_->current().neighbours.contains(key));
  ASSERT_TRUE(mirror_->resolve(kUplink, key.second).ok());
  ASSERT_TRUE(mirror_->resolve(kUplink, key6.second).ok());
  const std::string mac = NetworkLab::output_of("ip netns exec fl-bpf-router cat /sys/class/net/r0/address");
  const auto is_resolved = [&](const std::pair<core::PortId, IpAddress>& neighbour) {
    return [&, neighbour](const core::Underlay& underlay) {
      const auto found = underlay.neighbours.find(neighbour);
      return found != underlay.neighbours.end() && found->second.text() + "\n" == mac;
    };
  };
  expect_soon("IPv4 neighbour", is_resolved(key));
  expect_soon("IPv6 neighbour", is_resolved(key6));
  expect_same_as_anew();

  NetworkLab::sh("ip -n fl-bpf-router link set r0 address 02:00:00:00:00:99");
  NetworkLab::sh("ip neigh replace 192.0.2.2 lladdr 02:00:00:00:00:99 dev up0 nud reachable");
  expect_soon("new MAC", [&](const core::Underlay& underlay) {
    return underlay.neighbours.contains(key) && underlay.neighbours.at(key).text() == "02:00:00:00:00:99";
  });
  NetworkLab::sh("ip neigh del 192.0.2.2 dev up0");
  expect_soon("deletion", [&](const core::Underlay& underlay) { return !underlay.neighbours.contains(key); });
  ASSERT_TRUE(mirror_->resolve(kUplink, key.second).ok());  // wanted already, and lost: asked for at once
  expect_soon("return", [&](const core::Underlay& underlay) { return underlay.neighbours.contains(key); });
}

TEST_F(MirrorTest, NobodyThereIsNotResolved) {
  NetworkLab::sh("ip -n fl-bpf-router link set r0 arp off");
  const auto nobody = address("192.0.2.200");
  ASSERT_TRUE(mirror_->resolve(kUplink, nobody).ok());
  expect_soon("attempt", [](const core::Underlay&) {
    return NetworkLab::output_of("ip neigh show 192.0.2.200").find("FAILED") != std::string::npos;
  });
  EXPECT_FALSE(mirror_->current().neighbours.contains({kUplink, nobody}));
  // A second later the kernel is asked again.
  uint64_t now_ns = 1'000'000'000;
  ASSERT_TRUE(mirror_->refresh(now_ns).ok());
  ASSERT_TRUE(mirror_->refresh(now_ns + 1'500'000'000).ok());
  EXPECT_NE(NetworkLab::output_of("ip neigh show 192.0.2.200").find("INCOMPLETE"), std::string::npos);
  // After a minute in which nobody asked it is forgotten, and nothing is sent any more.
  expect_soon("failure", [](const core::Underlay&) {
    return NetworkLab::output_of("ip neigh show 192.0.2.200").find("FAILED") != std::string::npos;
  });
  ASSERT_TRUE(mirror_->refresh(now_ns + 62'000'000'000).ok());
  ASSERT_TRUE(mirror_->refresh(now_ns + 64'000'000'000).ok());
  EXPECT_NE(NetworkLab::output_of("ip neigh show 192.0.2.200").find("FAILED"), std::string::npos);
}

TEST_F(MirrorTest, AWantedNeighbourIsKeptFresh) {
  ASSERT_TRUE(mirror_->resolve(kUplink, address("192.0.2.2")).ok());
  const std::pair key{kUplink, address("192.0.2.2")};
  expect_soon("resolution",
              [&](const core::Underlay& underlay) { return underlay.neighbours.contains(key); });
  ASSERT_TRUE(mirror_->refresh(1'000'000'000).ok());
  NetworkLab::sh("ip neigh change 192.0.2.2 dev up0 nud stale");
  ASSERT_TRUE(mirror_->refresh(7'000'000'000).ok());
  const std::string state = NetworkLab::output_of("ip neigh show 192.0.2.2");
  EXPECT_TRUE(state.find("DELAY") != std::string::npos || state.find("PROBE") != std::string::npos ||
              state.find("REACHABLE") != std::string::npos)
      << state;
}

TEST_F(MirrorTest, APermanentNeighbourStaysPermanent) {
  NetworkLab::sh("ip neigh add 192.0.2.50 lladdr 02:00:00:00:00:50 dev up0 nud permanent");
  const std::pair key{kUplink, address("192.0.2.50")};
  expect_soon("entry", [&](const core::Underlay& underlay) { return underlay.neighbours.contains(key); });
  ASSERT_TRUE(mirror_->resolve(kUplink, key.second).ok());
  ASSERT_TRUE(mirror_->refresh(1'000'000'000).ok());
  ASSERT_TRUE(mirror_->refresh(30'000'000'000).ok());
  EXPECT_NE(NetworkLab::output_of("ip neigh show 192.0.2.50").find("PERMANENT"), std::string::npos);
}

TEST_F(MirrorTest, LostEventsAreMadeGood) {
  // Far more events than the socket holds, none of them read meanwhile.
  FILE* batch = std::fopen("/tmp/fl-bpf-routes", "we");
  ASSERT_NE(batch, nullptr);
  for (int i = 0; i < 40000; ++i) {
    std::fprintf(batch, "route add 11.%d.%d.%d/32 via 192.0.2.2\n", i >> 14, (i >> 6) & 255, i & 63);
  }
  std::fclose(batch);
  NetworkLab::sh("ip -batch /tmp/fl-bpf-routes");
  unlink("/tmp/fl-bpf-routes");
  expect_route("11.2.112.63/32", via({{address("192.0.2.2"), kUplink, 1}}));
  size_t seen = 0;
  for (const auto& [prefix, route] : mirror_->current().routes) seen += prefix.address.bytes[0] == 11;
  EXPECT_EQ(seen, 40000u);
  // Nothing changed since: nothing is reported.
  auto processed = mirror_->process_events();
  ASSERT_TRUE(processed.ok());
  EXPECT_FALSE(*processed);
}

TEST_F(MirrorTest, AnUnknownPortIsRefused) {
  auto refused = mirror_->resolve(9, address("192.0.2.2"));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "FL3201");
}

}  // namespace
}  // namespace fairlead::test
