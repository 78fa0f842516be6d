#include "dataplane/dpdk/wire_tap.hpp"

#include "dataplane/dpdk/buffers.hpp"
#include "dataplane/dpdk/offload_uplink.hpp"
#include "dataplane/packet/encap.h"
#include "tests/dpdk/eal_once.hpp"
#include "tests/dpdk/frames.hpp"
#include "tests/dpdk/netns.hpp"

#include <gtest/gtest.h>

#include <arpa/inet.h>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <net/if.h>
#include <poll.h>
#include <sys/socket.h>

//     node                                   peer
//   [flwireN] --tc--> [u0, no offloads] ----[p0] <- a packet socket reads what was on the wire

namespace fairlead::dpdk {
namespace {

using core::DropReason;
using test::at;
using test::Bytes;
using test::EalOnce;
using test::Netns;

constexpr core::MacAddress kFrom{{2, 0, 0, 0, 0, 1}}, kTo{{2, 0, 0, 0, 0, 2}};
constexpr size_t kIp = sizeof(ethernet_header), kTcp = kIp + sizeof(ipv4_header),
                 kHeaders = kTcp + sizeof(tcp_header);
constexpr uint32_t kMtu = 1500;

uint8_t pattern(uint32_t sequence) {
  return static_cast<uint8_t>(sequence * 31 + (sequence >> 8));
}

// A TCP packet whose payload begins at `sequence`; larger than `segment_size`: a super-packet.
core::Packet tcp_packet(uint32_t sequence, uint32_t payload_bytes, uint16_t segment_size) {
  Bytes payload(payload_bytes);
  for (uint32_t i = 0; i < payload_bytes; ++i) payload[i] = pattern(sequence + i);
  Bytes frame = test::tcp_frame(kFrom, kTo, "10.244.1.5", "10.244.2.9", {.sequence = sequence}, payload);
  auto& ip = at<ipv4_header>(frame, kIp);
  const auto l4_bytes = static_cast<uint32_t>(frame.size() - kTcp);
  at<tcp_header>(frame, kTcp).checksum.raw =
      checksum_fold(checksum_pseudo4(ip.source, ip.destination, FL_PROTOCOL_TCP, l4_bytes));

  rte_mbuf* mbuf = rte_pktmbuf_alloc(EalOnce::get().big);
  std::memcpy(rte_pktmbuf_append(mbuf, static_cast<uint16_t>(frame.size())), frame.data(), frame.size());
  core::Packet packet;
  view_mbuf(packet, mbuf);
  packet.tx_mtu = kMtu;
  packet.offload.checksum_partial = true;
  packet.offload.checksum_start = kTcp;
  packet.offload.checksum_offset = offsetof(tcp_header, checksum);
  if (payload_bytes > segment_size) {
    packet.offload.segment_kind = core::kSegmentTcp4;
    packet.offload.segment_size = segment_size;
  }
  return packet;
}

ip_address wire_address(const std::string& text) {
  const core::IpAddress address = *core::IpAddress::parse(text);
  ip_address wire{};
  std::memcpy(&wire, address.bytes.data(), address.is_ipv4() ? 4 : 16);
  return wire;
}

// Pushes a tunnel header as core's apply step does.
void push_tunnel(core::Packet& packet, fl_tunnel_kind kind, uint8_t ip_version) {
  encap_spec spec{};
  spec.source = wire_address(ip_version == 4 ? "192.0.2.1" : "fd00::1");
  spec.destination = wire_address(ip_version == 4 ? "192.0.2.2" : "fd00::2");
  spec.vni = 100;
  spec.port = to_be16(kind == FL_TUNNEL_VXLAN ? 4789 : 6081);
  spec.ip_version = ip_version;
  spec.kind = static_cast<uint8_t>(kind);
  spec.udp_checksum = ip_version == 6;
  encap_template header;
  encap_build_tunnel(&header, &spec);
  const uint32_t l3_bytes = packet.length - static_cast<uint32_t>(kIp);
  uint8_t* frame = encap_push(&header, packet.data + kIp, l3_bytes, to_be16(FL_ETHERTYPE_IPV4), 0, 7);
  // As core leaves it: the value of an outer checksum is for whoever cuts, that there is one is said.
  if (ip_version == 6) {
    reinterpret_cast<udp_header*>(frame + kIp + sizeof(ipv6_header))->checksum.raw = 0xffff;
  }
  const auto grown = static_cast<uint16_t>(packet.data - frame);
  packet.data = frame;
  packet.length += grown;
  packet.headroom = static_cast<uint16_t>(packet.headroom - grown);
  packet.offload.checksum_start = static_cast<uint16_t>(packet.offload.checksum_start + grown);
  packet.encap_length = header.overhead;
}

DropReason send(Port& port, core::Packet& packet) {
  core::Packet* one[] = {&packet};
  DropReason outcome[1];
  port.transmit(0, one, outcome);
  if (outcome[0] != DropReason::NONE) free_packet(packet);
  return outcome[0];
}

// Takes UDP and what else does not go by the wire's own way.
class Recorder final : public Port {
 public:
  using Port::Port;
  unsigned receive(unsigned, std::span<core::Packet>) override { return 0; }
  void transmit(unsigned, std::span<core::Packet* const> packets, std::span<DropReason> outcome) override {
    for (size_t i = 0; i < packets.size(); ++i) {
      ++sent;
      outcome[i] = refuses;
      if (refuses == DropReason::NONE) free_packet(*packets[i]);
    }
  }
  [[nodiscard]] int poll_fd(unsigned) const override { return -1; }
  [[nodiscard]] unsigned queues() const override { return 1; }
  [[nodiscard]] bool link_up() const override { return true; }

  unsigned sent = 0;
  DropReason refuses = DropReason::NONE;
};

class WireTapTest : public testing::Test {
 protected:
  void SetUp() override {
    if (!test::is_root()) GTEST_SKIP() << "needs root";
    node_ = std::make_unique<Netns>("wnode");
    peer_ = std::make_unique<Netns>("wpeer");
    node_->run("sysctl -w net.ipv6.conf.default.disable_ipv6=1");
    peer_->run("sysctl -w net.ipv6.conf.default.disable_ipv6=1");
    test::sh("ip link add u0 netns " + node_->name() + " type veth peer name p0 netns " + peer_->name());
    // A NIC without offloads: whoever cuts must do so before it.
    node_->run(
        "ethtool -K u0 tso off gso off tx-udp_tnl-segmentation off tx-udp_tnl-csum-segmentation off tx off");
    node_->run("ip link set u0 up");
    peer_->run("ip link set p0 up");
    listen();
    const Netns::Entered inside(*node_);
    PortSpec uplink;
    uplink.id = 1;
    uplink.device = "u0";
    auto opened = WireTap::open(uplink, EalOnce::get().big, EalOnce::get().small, 1);
    ASSERT_TRUE(opened.ok()) << opened.error().text();
    wire_ = std::move(*opened);
  }
  void TearDown() override {
    if (socket_ >= 0) close(socket_);
  }

  void listen() {
    const Netns::Entered inside(*peer_);
    socket_ = socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, htons(ETH_P_ALL));
    ASSERT_GE(socket_, 0);
    sockaddr_ll address{};
    address.sll_family = AF_PACKET;
    address.sll_protocol = htons(ETH_P_ALL);
    address.sll_ifindex = static_cast<int>(if_nametoindex("p0"));
    ASSERT_EQ(bind(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
    const int room = 4 << 20;
    setsockopt(socket_, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
  }

  // The frames that came over the wire, until none has come for a while.
  std::vector<Bytes> frames() const {
    std::vector<Bytes> all;
    pollfd ready{socket_, POLLIN, 0};
    while (poll(&ready, 1, 200) == 1) {
      Bytes frame(70'000);
      const ssize_t got = recv(socket_, frame.data(), frame.size(), 0);
      if (got <= 0) break;
      frame.resize(static_cast<size_t>(got));
      all.push_back(std::move(frame));
    }
    return all;
  }

  // Whole TCP segments without a gap from `sequence` on, right in every byte; returns where they end.
  static uint32_t expect_segments(const std::vector<Bytes>& frames, uint32_t sequence) {
    for (const Bytes& whole : frames) {
      Bytes frame = whole;
      EXPECT_GE(frame.size(), kHeaders);
      if (frame.size() < kHeaders) return sequence;
      const auto& ip = at<ipv4_header>(frame, kIp);
      EXPECT_LE(from_be16(ip.total_length), kMtu);
      EXPECT_EQ(from_be16(ip.total_length) + kIp, frame.size());
      EXPECT_EQ(checksum_fold(checksum_ipv4_header(&ip)), 0xffff);
      EXPECT_TRUE(test::l4_checksum_right(frame));
      EXPECT_EQ(from_be32(at<tcp_header>(frame, kTcp).sequence), sequence);
      size_t wrong = 0;
      for (size_t i = kHeaders; i < frame.size(); ++i) wrong += frame[i] != pattern(sequence++);
      EXPECT_EQ(wrong, 0u);
    }
    return sequence;
  }

  // Checks and takes off the outer headers of every frame.
  static std::vector<Bytes> pulled(const std::vector<Bytes>& frames, uint8_t ip_version) {
    std::vector<Bytes> inner;
    for (const Bytes& whole : frames) {
      Bytes frame = whole;
      const size_t udp_at = kIp + (ip_version == 4 ? sizeof(ipv4_header) : sizeof(ipv6_header));
      EXPECT_LE(frame.size(), kIp + kMtu);
      const auto& udp = at<udp_header>(frame, udp_at);
      const auto udp_bytes = static_cast<uint32_t>(frame.size() - udp_at);
      EXPECT_EQ(from_be16(udp.length), udp_bytes);
      if (ip_version == 4) {
        const auto& ip = at<ipv4_header>(frame, kIp);
        EXPECT_EQ(from_be16(ip.total_length), frame.size() - kIp);
        EXPECT_EQ(checksum_fold(checksum_ipv4_header(&ip)), 0xffff);
        EXPECT_EQ(udp.checksum.raw, 0);
      } else {
        const auto& ip = at<ipv6_header>(frame, kIp);
        EXPECT_EQ(from_be16(ip.payload_length), udp_bytes);
        EXPECT_NE(udp.checksum.raw, 0);
        const uint64_t pseudo = checksum_pseudo6(&ip.source, &ip.destination, FL_PROTOCOL_UDP, udp_bytes);
        EXPECT_EQ(checksum_fold(checksum_add(pseudo, frame.data() + udp_at, udp_bytes)), 0xffff);
      }
      inner.emplace_back(frame.begin() + static_cast<long>(udp_at + sizeof(udp_header) + 8), frame.end());
    }
    return inner;
  }

  std::unique_ptr<Netns> node_, peer_;
  std::unique_ptr<WireTap> wire_;
  int socket_ = -1;
};

TEST_F(WireTapTest, ASuperPacketLeavesAsWholeSegments) {
  core::Packet packet = tcp_packet(1000, 50'000, 1460);
  ASSERT_EQ(send(*wire_, packet), DropReason::NONE);
  const std::vector<Bytes> wire = frames();
  EXPECT_EQ(wire.size(), 35u);
  EXPECT_EQ(expect_segments(wire, 1000), 51'000u);
}

TEST_F(WireTapTest, SoDoesOneInATunnel) {
  if (!wire_->cuts_tunnels())
    GTEST_SKIP() << "Skipped: the kernel is older than 6.17 and does not cut inside of tunnels";
  struct Row {
    fl_tunnel_kind kind;
    uint8_t ip_version;
    uint16_t segment_size;
  };
  for (const Row& row :
       {Row{FL_TUNNEL_VXLAN, 4, 1410}, Row{FL_TUNNEL_GENEVE, 4, 1410}, Row{FL_TUNNEL_VXLAN, 6, 1390}}) {
    core::Packet packet = tcp_packet(7, 30'000, row.segment_size);
    push_tunnel(packet, row.kind, row.ip_version);
    ASSERT_EQ(send(*wire_, packet), DropReason::NONE);
    const std::vector<Bytes> wire = frames();
    EXPECT_EQ(wire.size(), 30'000u / row.segment_size + 1);
    EXPECT_EQ(expect_segments(pulled(wire, row.ip_version), 7), 30'007u);
  }
}

TEST_F(WireTapTest, AConnectionsPacketsTakeOneWayInTheirOrder) {
  PortSpec spec;
  spec.id = 1;
  auto owned = std::make_unique<Recorder>(spec);
  Recorder& nic = *owned;
  OffloadUplink uplink(std::move(owned), std::move(wire_), 1);
  std::vector<core::Packet> packets;
  packets.push_back(tcp_packet(1, 100, 1460));
  packets.push_back(tcp_packet(101, 20'000, 1460));
  packets.push_back(tcp_packet(20'101, 0, 1460));  // an acknowledgement
  packets.push_back(tcp_packet(20'101, 700, 1460));
  const Bytes datagram = test::udp_frame(kFrom, kTo, "10.244.1.5", "10.244.2.9", 1, 2, Bytes(20));
  rte_mbuf* mbuf = rte_pktmbuf_alloc(EalOnce::get().small);
  std::memcpy(rte_pktmbuf_append(mbuf, static_cast<uint16_t>(datagram.size())), datagram.data(),
              datagram.size());
  core::Packet udp;
  view_mbuf(udp, mbuf);
  packets.insert(packets.begin() + 2, udp);
  nic.refuses = DropReason::TX_FULL;
  std::vector<core::Packet*> pointers;
  for (core::Packet& packet : packets) pointers.push_back(&packet);
  std::vector<DropReason> outcome(packets.size());
  uplink.transmit(0, pointers, outcome);

  EXPECT_EQ(nic.sent, 1u);
  using enum DropReason;
  EXPECT_EQ(outcome, (std::vector<DropReason>{NONE, NONE, TX_FULL, NONE, NONE}));
  free_packet(packets[2]);
  EXPECT_EQ(expect_segments(frames(), 1), 20'801u);
}

TEST_F(WireTapTest, TheDeviceGoesWithThePort) {
  const std::string device = wire_->device();
  node_->run("ip link show " + device);
  wire_.reset();
  EXPECT_NE(std::system((node_->exec("ip link show ") + device + " >/dev/null 2>&1").c_str()), 0);
}

TEST(TunnelVnetHeader, SaysWhereBothPacketsBeginAndNothingOfOthers) {
  EalOnce::get();
  core::Packet packet = tcp_packet(1, 5'000, 1410);
  TunnelVnetHeader header{};
  EXPECT_FALSE(tunnel_vnet_from_offload(packet, header)) << "no tunnel";
  push_tunnel(packet, FL_TUNNEL_VXLAN, 4);
  ASSERT_TRUE(tunnel_vnet_from_offload(packet, header));
  EXPECT_EQ(header.plain.flags, 1);            // VIRTIO_NET_HDR_F_NEEDS_CSUM
  EXPECT_EQ(header.plain.gso_type, 0x20 | 1);  // UDP_TUNNEL_IPV4, TCPV4
  EXPECT_EQ(header.plain.gso_size, 1410);
  EXPECT_EQ(header.plain.hdr_len, 50 + kHeaders);
  EXPECT_EQ(header.plain.csum_start, 50 + kTcp);
  EXPECT_EQ(header.outer_l4_offset, 34);
  EXPECT_EQ(header.inner_l3_offset, 64);
  packet.offload.segment_size = 0;
  EXPECT_FALSE(tunnel_vnet_from_offload(packet, header)) << "not a super-packet";
  packet.offload.segment_size = 1410;
  packet.offload.segment_kind = core::kSegmentUdp;
  EXPECT_FALSE(tunnel_vnet_from_offload(packet, header)) << "UDP";
  free_packet(packet);
}

}  // namespace
}  // namespace fairlead::dpdk
