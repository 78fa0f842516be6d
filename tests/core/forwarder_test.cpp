// What packet rows cannot show: offloads, room in buffers, segments, and counters around forward().
#include "dataplane/core/segment.hpp"
#include "tests/core/node_fixture.hpp"

namespace fairlead::core {
namespace {

class ForwarderTest : public NodeFixture {};

const char* const kToPeer =
    "eth(ep1>gw) ip4(10.244.1.2>10.244.2.2 ttl=64 df) tcp(40000>80 flags=A) zeros(4000)";

TEST_F(ForwarderTest, SuperPacketTravelsWholeAndItsOffsetsMove) {
  start("overlay");
  const Offload offload{.checksum_partial = true,
                        .segment_kind = kSegmentTcp4,
                        .segment_size = 1400,
                        .checksum_start = 34,
                        .checksum_offset = 16};
  const Sent sent = forward(2, kToPeer, offload);
  EXPECT_EQ(sent.packet.fate, Fate::kForward);
  EXPECT_EQ(sent.packet.tx_port, 1);
  EXPECT_EQ(sent.packet.encap_length, 50);
  EXPECT_EQ(sent.packet.tx_mtu, 1500);
  EXPECT_EQ(sent.packet.offload.segment_size, 1400);
  EXPECT_EQ(sent.packet.offload.checksum_start, 34 + 50);
  EXPECT_EQ(sent.packet.headroom, 256 - 50);
  EXPECT_EQ(segment_count(sent.packet), 3u);
}

TEST_F(ForwarderTest, SuperPacketWhoseSegmentsDoNotFitIsTooBig) {
  start("overlay");
  const Offload offload{.segment_kind = kSegmentTcp4, .segment_size = 1411};  // 1451 > 1450
  const Sent sent = forward(2, kToPeer, offload);
  EXPECT_EQ(sent.packet.fate, Fate::kAnswer);
  EXPECT_EQ(sent.packet.reason, DropReason::TOO_BIG);
  EXPECT_EQ(sent.packet.offload.segment_size, 0);
  EXPECT_FALSE(sent.packet.offload.checksum_partial);
}

TEST_F(ForwarderTest, SuperPacketThatMayBeFragmentedGetsSmallerSegments) {
  start("overlay");
  const Offload offload{.segment_kind = kSegmentTcp4, .segment_size = 1460};
  const Sent sent =
      forward(2, "eth(ep1>gw) ip4(10.244.1.2>10.244.2.2 ttl=64) tcp(40000>80 flags=A) zeros(4000)", offload);
  EXPECT_EQ(sent.packet.fate, Fate::kForward);
  EXPECT_EQ(sent.packet.offload.segment_size, 1450 - 40);
}

TEST_F(ForwarderTest, UdpSuperPacketKeepsItsDatagrams) {
  start("overlay");
  const std::string pair4 = "eth(ep1>gw) ip4(10.244.1.2>10.244.2.2 ttl=64";
  const std::string datagrams = " udp(40000>53) zeros(4000)";
  const Sent fits = forward(2, pair4 + ")" + datagrams, {.segment_kind = kSegmentUdp, .segment_size = 1422});
  EXPECT_EQ(fits.packet.fate, Fate::kForward);
  EXPECT_EQ(fits.packet.offload.segment_size, 1422);
  const Offload too_long{.segment_kind = kSegmentUdp, .segment_size = 1423};  // 1451 > 1450
  for (int flow_known = 0; flow_known < 2; ++flow_known) {
    const Sent sent = forward(2, pair4 + ")" + datagrams, too_long);
    EXPECT_EQ(sent.packet.fate, Fate::kDrop) << "datagrams of another size are not what was sent";
    EXPECT_EQ(sent.packet.reason, DropReason::TOO_BIG);
  }
  const Sent refused = forward(2, pair4 + " df)" + datagrams, too_long);
  EXPECT_EQ(refused.packet.fate, Fate::kAnswer);
  EXPECT_EQ(refused.packet.reason, DropReason::TOO_BIG);
  const Sent refused6 =
      forward(2, "eth(ep1>gw) ip6(fd00:10:244:1::2>fd00:10:244:2::2 hl=64)" + datagrams, too_long);
  EXPECT_EQ(refused6.packet.fate, Fate::kAnswer);
  EXPECT_EQ(refused6.packet.reason, DropReason::TOO_BIG);
}

TEST_F(ForwarderTest, TunnelIsPulledWithItsOffsets) {
  start("overlay");
  const Offload offload{.checksum_partial = true, .checksum_start = 50 + 34, .checksum_offset = 6};
  const Sent sent =
      forward(1,
              "eth(peer2>self) ip4(192.0.2.2>192.0.2.1 ttl=64 df) udp(50000>4789 csum=0) vxlan(100) "
              "eth(vtep2>any) ip4(10.244.2.2>10.244.1.2 ttl=63) udp(1>2)",
              offload);
  EXPECT_EQ(sent.packet.fate, Fate::kForward);
  EXPECT_EQ(sent.packet.offload.checksum_start, 34);
  EXPECT_EQ(sent.packet.headroom, 256 + 50);
  EXPECT_EQ(sent.packet.encap_length, 0);
  EXPECT_EQ(count(Counter::decapsulated), 1u);
}

TEST_F(ForwarderTest, NoHeadroomIsADropThatChangesNothing) {
  start("overlay");
  const golden::Bytes before = frame(kToPeer);
  const Sent sent = forward(2, before, {.segment_kind = kSegmentTcp4, .segment_size = 1400}, 49);
  EXPECT_EQ(sent.packet.reason, DropReason::NO_HEADROOM);
  EXPECT_EQ(forward(2, before, {.segment_kind = kSegmentTcp4, .segment_size = 1400}, 50).packet.fate,
            Fate::kForward);
}

TEST_F(ForwarderTest, LinkPaddingIsCutOff) {
  start("routed");
  const std::string packet = "ip4(10.244.1.2>10.244.2.2 ttl=64) udp(1>2)";
  const Sent sent = forward(2, "eth(ep1>gw) " + packet + " pad(18)");
  EXPECT_EQ(sent.packet.length, 14u + 28u);
}

TEST_F(ForwarderTest, OuterUdpChecksumOverIpv6IsRight) {
  start("overlay6");
  for (size_t payload : {0u, 1u, 2u, 100u, 1300u}) {
    const Sent sent = forward(
        2, "eth(ep1>gw) ip4(10.244.1.2>10.244.2.2 ttl=64) udp(1>2) zeros(" + std::to_string(payload) + ")");
    ASSERT_EQ(sent.packet.fate, Fate::kForward);
    const golden::Bytes bytes = sent.bytes();
    const uint8_t* ip = bytes.data() + 14;
    const size_t udp_length = bytes.size() - 54;
    const uint32_t pseudo = golden::partial_sum(ip + 8, 32) + 17 + static_cast<uint32_t>(udp_length);
    EXPECT_EQ(golden::internet_checksum(ip + 40, udp_length, pseudo), 0);
    EXPECT_NE(bytes[60] | bytes[61], 0) << "zero would mean that there is none";
  }
}

TEST_F(ForwarderTest, SmallIpv4WithoutDfIsLeftToTheEngineToFragment) {
  start("overlay");
  const Sent sent = forward(2, "eth(ep1>gw) ip4(10.244.1.2>10.244.2.2 ttl=64) udp(1>2 csum=0) zeros(2000)");
  EXPECT_EQ(sent.packet.fate, Fate::kForward);
  EXPECT_EQ(sent.packet.tx_mtu, 1500);
  EXPECT_GT(sent.packet.length, 1514u);
}

TEST_F(ForwarderTest, UnannouncedPortIsNoWayIn) {
  start("overlay");
  EXPECT_EQ(forward(9, "eth(ep1>gw) ip4(10.244.1.2>10.244.1.3) udp(1>2)").packet.reason,
            DropReason::NO_UPLINK);
}

TEST_F(ForwarderTest, UndoMovesACountToItsDrop) {
  start("overlay");
  ASSERT_EQ(forward(2, "eth(ep1>gw) ip4(10.244.1.2>10.244.1.3) udp(1>2)").packet.fate, Fate::kForward);
  worker().undo(Fate::kForward, DropReason::TX_FULL, 1);
  ASSERT_EQ(forward(2, "eth(ep1>gw) ip4(10.244.1.2>10.244.2.3 ttl=1) udp(1>2)").packet.fate, Fate::kAnswer);
  EXPECT_EQ(counters().answers[static_cast<size_t>(DropReason::TTL_EXCEEDED)], 1u);
  worker().undo(Fate::kAnswer, DropReason::TX_FULL, 1, DropReason::TTL_EXCEEDED);
  EXPECT_EQ(count(Counter::forwarded), 0u);
  EXPECT_EQ(count(Counter::answered), 0u);
  EXPECT_EQ(counters().answers[static_cast<size_t>(DropReason::TTL_EXCEEDED)], 0u);
  EXPECT_EQ(counters()[DropReason::TX_FULL], 2u);
  EXPECT_TRUE(counters().conserved());
}

TEST_F(ForwarderTest, ExclusiveUplinkAndHostTalkToEachOther) {
  start("overlay");
  PortFacts uplink{.id = 1, .kind = PortKind::kUplink, .exclusive = true};
  const PortFacts ports[] = {uplink, {.id = 2, .kind = PortKind::kTrunk}, {.id = 3, .kind = PortKind::kHost}};
  ASSERT_TRUE(forwarder_->set_ports(ports).ok());
  const std::string arp = "eth(peer2>ff:ff:ff:ff:ff:ff) arp()";
  const Sent in = forward(1, arp);
  EXPECT_EQ(in.packet.fate, Fate::kPunt);
  EXPECT_EQ(in.packet.tx_port, 3);
  EXPECT_EQ(in.bytes(), frame(arp));
  const Sent out = forward(3, arp);
  EXPECT_EQ(out.packet.fate, Fate::kForward);
  EXPECT_EQ(out.packet.tx_port, 1);
  EXPECT_EQ(out.bytes(), frame(arp));
  // Neighbour discovery from a link-local address to one of ours.
  EXPECT_EQ(forward(1, "eth(peer2>self) ip6(fe80::9>2001:db8::1 hl=255) icmp6(135 0)").packet.fate,
            Fate::kPunt);
}

TEST_F(ForwarderTest, FastPortIsItsEndpointAndNobodyElse) {
  start("overlay");
  NodeState state = forwarder_->node_state();
  Endpoint& fast = state.endpoints[7];
  fast.id = 7;
  fast.pod_name = "fast";
  fast.fast_port = 16;
  fast.mac = {{0x0a, 0, 0, 0, 0, 7}};
  fast.addresses = {*IpAddress::parse("10.244.1.7")};
  state.routes[Prefix::host(fast.addresses[0])] = {RouteKind::kEndpoint, 7};
  publish(state);
  const std::string to_fast = "eth(ep1>gw) ip4(10.244.1.2>10.244.1.7 ttl=64) udp(1>2)";
  EXPECT_EQ(forward(2, to_fast).packet.reason, DropReason::NO_UPLINK);
  const PortFacts ports[] = {{.id = 1, .kind = PortKind::kUplink},
                             {.id = 2, .kind = PortKind::kTrunk},
                             {.id = 16, .kind = PortKind::kFast, .mtu = 9000}};
  ASSERT_TRUE(forwarder_->set_ports(ports).ok());
  const Sent in = forward(2, to_fast);
  EXPECT_EQ(in.packet.tx_port, 16);
  EXPECT_EQ(difference(in, "eth(gw>0a:00:00:00:00:07) ip4(10.244.1.2>10.244.1.7 ttl=63) udp(1>2)"), "");
  EXPECT_EQ(
      forward(16, "eth(0a:00:00:00:00:07>gw) ip4(10.244.1.7>10.244.1.2 ttl=64) udp(2>1)").packet.tx_port, 2);
  EXPECT_EQ(forward(16, "eth(0a:00:00:00:00:08>gw) ip4(10.244.1.7>10.244.1.2) udp(2>1)").packet.reason,
            DropReason::SPOOFED_MAC);
}

}  // namespace
}  // namespace fairlead::core
