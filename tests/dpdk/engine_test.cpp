// The whole engine between memory rings; no root.
#include "tests/dpdk/frames.hpp"
#include "tests/dpdk/ring_engine.hpp"

#include <gtest/gtest.h>

#include <ctime>

namespace fairlead {
namespace {

using core::Counter;
using core::DropReason;
using test::Bytes;
using test::RingEngine;

constexpr core::MacAddress kPeerMac{{2, 0, 0, 0, 0, 0x22}}, kNodeMac{{2, 0, 0, 0, 0, 0x11}};

core::IpAddress address(const char* text) {
  return *core::IpAddress::parse(text);
}
core::Prefix prefix(const char* text) {
  return *core::Prefix::parse(text);
}

// A node with one pod (endpoint 5, 10.244.1.5) and one routed peer for 10.244.2.0/24 behind 192.0.2.2.
core::NodeState one_pod_one_peer() {
  core::NodeState state;
  state.generation = 1;
  state.settings.node = "node-1";
  state.settings.vtep4 = address("192.0.2.1");
  state.settings.cluster_pods = {prefix("10.244.0.0/16")};
  state.settings.local_pods = {prefix("10.244.1.0/24")};
  core::Endpoint pod;
  pod.id = 5;
  pod.pod_namespace = "default";
  pod.pod_name = "a";
  pod.container_id = "c5";
  pod.interface = "eth0";
  pod.host_interface = "fl5";
  pod.host_ifindex = 50;
  pod.mac = {{2, 0, 0, 0, 5, 5}};
  pod.addresses = {address("10.244.1.5")};
  state.endpoints[5] = pod;
  core::Peer peer;
  peer.id = 2;
  peer.node = "node-2";
  peer.transport = core::Transport::kRouted;
  peer.vtep = address("192.0.2.2");
  peer.next_hop4 = address("192.0.2.2");
  peer.pod_cidrs = {prefix("10.244.2.0/24")};
  state.peers[2] = peer;
  state.routes[prefix("10.244.1.0/24")] = {core::RouteKind::kBlackhole, 0};
  state.routes[prefix("10.244.1.5/32")] = {core::RouteKind::kEndpoint, 5};
  state.routes[prefix("10.244.2.0/24")] = {core::RouteKind::kPeer, 2};
  return state;
}

core::Underlay underlay(bool resolved) {
  core::Underlay view;
  view.links[1] = {kNodeMac, 1500, true};
  core::UnderlayRoute on_link;
  on_link.next_hops.push_back({{}, 1, 1});
  view.routes[prefix("192.0.2.0/24")] = on_link;
  if (resolved) view.neighbours[{1, address("192.0.2.2")}] = kPeerMac;
  return view;
}

Bytes from_pod(uint16_t port = 1000, size_t size = 50) {
  return test::udp_frame(core::endpoint_mac(5), core::kGatewayMac, "10.244.1.5", "10.244.2.9", port, 53,
                         Bytes(size));
}

Bytes to_pod(uint16_t port = 1000) {
  return test::udp_frame(kPeerMac, kNodeMac, "10.244.2.9", "10.244.1.5", 53, port, Bytes(50));
}

class EngineTest : public ::testing::Test {
 protected:
  void publish(bool resolved) {
    auto set = engine->set_underlay(underlay(resolved));
    ASSERT_TRUE(set.ok()) << set.error().text();
    auto published = engine->publish(core::diff({}, one_pod_one_peer()));
    ASSERT_TRUE(published.ok()) << published.error().text();
  }
  void expect_conserved() { EXPECT_TRUE(engine->counters().conserved()); }

  RingEngine engine;
};

TEST_F(EngineTest, ForwardsBothWays) {
  publish(true);
  engine.inject(RingEngine::kTrunk, from_pod());
  auto out = engine.collect();
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].port, RingEngine::kUplink);
  EXPECT_EQ(std::memcmp(out[0].bytes.data(), kPeerMac.bytes.data(), 6), 0);
  EXPECT_EQ(test::at<ipv4_header>(out[0].bytes, 14).ttl, 63);
  EXPECT_TRUE(test::l4_checksum_right(out[0].bytes));

  engine.inject(RingEngine::kUplink, to_pod());
  out = engine.collect();
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].port, RingEngine::kTrunk);
  EXPECT_EQ(std::memcmp(out[0].bytes.data(), core::endpoint_mac(5).bytes.data(), 6), 0);
  EXPECT_EQ(engine->counters()[Counter::forwarded], 2u);
  expect_conserved();
  for (const PortStatus& port : engine->ports()) {
    if (port.spec.id == RingEngine::kHost) continue;
    EXPECT_EQ(port.rx_packets, 1u) << port.spec.device;
    EXPECT_EQ(port.tx_packets, 1u) << port.spec.device;
  }
}

TEST_F(EngineTest, KeepsOrderAndLosesNothingInBursts) {
  publish(true);
  for (unsigned round = 0; round < 50; ++round) {
    for (uint16_t i = 0; i < 200; ++i)
      engine.inject(RingEngine::kTrunk, from_pod(static_cast<uint16_t>(1000 + i)));
    const auto out = engine.collect();
    ASSERT_EQ(out.size(), 200u);
    for (uint16_t i = 0; i < 200; ++i) {
      Bytes frame = out[i].bytes;
      ASSERT_EQ(from_be16(test::at<udp_header>(frame, 34).source_port), 1000 + i);
    }
  }
  EXPECT_EQ(engine->counters()[Counter::in], 10'000u);
  expect_conserved();
}

TEST_F(EngineTest, HoldsForTheNeighbourAndReleasesInOrder) {
  publish(false);
  for (uint16_t i = 1; i <= 4; ++i) engine.inject(RingEngine::kTrunk, from_pod(i));
  EXPECT_TRUE(engine.collect().empty());
  EXPECT_EQ(engine->counters()[Counter::held], 3u) << "at most three per next hop";
  EXPECT_EQ(engine->counters()[DropReason::NEIGHBOUR_UNRESOLVED], 1u);
  expect_conserved();
  const auto wanted = engine->unresolved_next_hops();
  ASSERT_EQ(wanted.size(), 1u);
  EXPECT_EQ(wanted[0].second, address("192.0.2.2"));

  ASSERT_TRUE(engine->set_underlay(underlay(true)).ok());
  const auto out = engine.collect();
  ASSERT_EQ(out.size(), 3u);
  for (uint16_t i = 0; i < 3; ++i) {
    Bytes frame = out[i].bytes;
    EXPECT_EQ(from_be16(test::at<udp_header>(frame, 34).source_port), i + 2) << "the oldest was given up";
  }
  EXPECT_EQ(engine->counters()[Counter::held], 0u);
  expect_conserved();
}

TEST_F(EngineTest, GivesUpHeldPacketsInTheEnd) {
  publish(false);
  engine.inject(RingEngine::kTrunk, from_pod());
  EXPECT_TRUE(engine.collect().empty());
  while (engine->counters()[Counter::held] != 0) usleep(10'000);
  EXPECT_EQ(engine->counters()[DropReason::NEIGHBOUR_UNRESOLVED], 1u);
  expect_conserved();
}

TEST_F(EngineTest, PortsComeAndGoUnderTraffic) {
  publish(true);
  ASSERT_TRUE(engine->remove_port(RingEngine::kUplink).ok());
  engine.inject(RingEngine::kTrunk, from_pod());
  // The ring of the removed port is nobody's now; look only at what the trunk's packet came to.
  auto out = engine.collect();
  EXPECT_TRUE(std::none_of(out.begin(), out.end(),
                           [](const auto& frame) { return frame.port == RingEngine::kUplink; }));
  EXPECT_EQ(engine->counters()[Counter::in], 1u);
  expect_conserved();

  PortSpec spec;
  spec.id = RingEngine::kUplink;
  spec.device = "net_ring_cable1";
  spec.driver = "devargs-shared";
  ASSERT_TRUE(engine->add_port(spec).ok());
  ASSERT_TRUE(engine->add_port(spec).ok()) << "idempotent";
  PortSpec other = spec;
  other.device = "net_ring_cable2";
  EXPECT_EQ(engine->add_port(other).error().code, "FL2014");
  engine.inject(RingEngine::kTrunk, from_pod());
  out = engine.collect();
  ASSERT_EQ(out.size(), 1u);
  EXPECT_EQ(out[0].port, RingEngine::kUplink);
  EXPECT_EQ(engine->ports().size(), 3u);
}

TEST_F(EngineTest, SaysWhyAPortCannotBeOpened) {
  PortSpec spec;
  spec.id = 20;
  spec.kind = PortKind::kFast;
  spec.driver = "devargs";
  spec.device = "net_nonsense0";
  const auto refused = engine->add_port(spec);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "FL2010");
  EXPECT_NE(refused.error().what.find("net_nonsense0"), std::string::npos);
  spec.kind = PortKind::kUplink;
  spec.driver = "carrier-pigeon";
  EXPECT_EQ(engine->add_port(spec).error().code, "FL2015");
  spec.driver = "af_packet";
  spec.device = "no-such-if";
  EXPECT_EQ(engine->add_port(spec).error().code, "FL2011");
  spec.id = 64;
  EXPECT_EQ(engine->add_port(spec).error().code, "FL2014");
  EXPECT_EQ(engine->ports().size(), 3u) << "nothing is left behind";
}

TEST_F(EngineTest, CapturesRxTxAndDropsWithTheirReason) {
  publish(true);
  ASSERT_TRUE(engine->set_capture(1 | 2 | 4, 60).ok());
  engine.inject(RingEngine::kTrunk, from_pod());
  Bytes spoofed =
      test::udp_frame(core::endpoint_mac(5), core::kGatewayMac, "10.244.1.77", "10.244.2.9", 1, 2, Bytes(9));
  engine.inject(RingEngine::kTrunk, spoofed);
  static_cast<void>(engine.collect());
  std::vector<std::pair<CaptureStage, DropReason>> seen;
  engine->drain_capture(
      [&](const CapturedFrame& frame) {
        seen.emplace_back(frame.stage, frame.reason);
        EXPECT_LE(frame.bytes.size(), 60u);
        EXPECT_NE(frame.time_ns, 0u);
      },
      100);
  const auto count = [&](CaptureStage stage, DropReason reason) {
    return std::count(seen.begin(), seen.end(), std::pair(stage, reason));
  };
  EXPECT_EQ(count(CaptureStage::kRx, DropReason::NONE), 2);
  EXPECT_EQ(count(CaptureStage::kTx, DropReason::NONE), 1);
  EXPECT_EQ(count(CaptureStage::kDrop, DropReason::SPOOFED_SOURCE), 1);
  ASSERT_TRUE(engine->set_capture(0, 0).ok());
  engine.inject(RingEngine::kTrunk, from_pod());
  static_cast<void>(engine.collect());
  EXPECT_EQ(engine->drain_capture([](const CapturedFrame&) {}, 100), 0u);
}

TEST_F(EngineTest, HeartbeatIsFreshAlsoWhenIdle) {
  for (int i = 0; i < 20; ++i) {
    usleep(20'000);
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    const uint64_t now_ns =
        static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
    EXPECT_LT(now_ns - std::min(now_ns, engine->heartbeat_ns()), 1'000'000'000u);
  }
}

TEST_F(EngineTest, OnlyOneEngineLivesInAProcess) {
  auto second = dpdk::DpdkEngine::create(RingEngine::small_config());
  ASSERT_FALSE(second.ok());
  EXPECT_EQ(second.error().code, "FL2004");
  const auto notes = engine->info().notes;
  EXPECT_TRUE(std::any_of(notes.begin(), notes.end(), [](const std::string& note) {
    return note.find("--no-huge") != std::string::npos;
  }));
}

}  // namespace
}  // namespace fairlead
