#include "dataplane/dpdk/capture_ring.hpp"
#include "dataplane/dpdk/hold_table.hpp"
#include "dataplane/dpdk/socket_filter.hpp"
#include "tests/dpdk/frames.hpp"

#include <gtest/gtest.h>

#include <sys/socket.h>
#include <thread>
#include <unistd.h>

namespace fairlead::dpdk {
namespace {

using test::Bytes;

constexpr core::MacAddress kFrom{{2, 0, 0, 0, 0, 1}}, kTo{{2, 0, 0, 0, 0, 2}};

core::Packet waiting_for(uint32_t next_hop, uintptr_t name) {
  core::Packet packet;
  packet.next_hop = next_hop;
  packet.tx_port = 1;
  packet.buffer = reinterpret_cast<void*>(name);
  return packet;
}

TEST(HoldTable, KeepsTheThreeNewestPerNextHop) {
  HoldTable table;
  core::Packet dropped;
  for (uintptr_t i = 1; i <= 3; ++i) EXPECT_FALSE(table.add(waiting_for(7, i), i, dropped));
  EXPECT_FALSE(table.add(waiting_for(8, 10), 4, dropped)) << "another next hop has room of its own";
  EXPECT_TRUE(table.add(waiting_for(7, 4), 5, dropped));
  EXPECT_EQ(dropped.buffer, reinterpret_cast<void*>(1)) << "the oldest gives way";
  EXPECT_EQ(table.size(), 4u);
}

TEST(HoldTable, RefusesWhenFullAndExpiresByAge) {
  HoldTable table;
  core::Packet packet;
  for (uint32_t hop = 0; hop < HoldTable::kCapacity; ++hop) {
    EXPECT_FALSE(table.add(waiting_for(hop, hop + 1), 1000 + hop, packet));
  }
  EXPECT_TRUE(table.add(waiting_for(9999, 9999), 2000, packet));
  EXPECT_EQ(packet.buffer, reinterpret_cast<void*>(9999));
  EXPECT_FALSE(table.expire(1000 + HoldTable::kWaitNs - 1, packet));
  EXPECT_TRUE(table.expire(1000 + HoldTable::kWaitNs, packet));
  EXPECT_EQ(packet.buffer, reinterpret_cast<void*>(1));
  EXPECT_FALSE(table.expire(1000 + HoldTable::kWaitNs, packet));
}

TEST(CaptureRing, HandsFramesOverBetweenThreadsInOrderAndCountsLosses) {
  CaptureRing ring;
  constexpr uint32_t kFrames = 200'000;
  std::thread worker([&] {
    Bytes frame(1500);
    for (uint32_t i = 0; i < kFrames; ++i) {
      std::memcpy(frame.data(), &i, sizeof i);
      ring.offer(CaptureStage::kRx, 5, core::DropReason::NONE, frame.data(), 60 + i % 1440, 1000);
    }
  });
  uint64_t seen = 0;
  int64_t last = -1;
  const auto visit = [&](const CapturedFrame& frame) {
    uint32_t number;
    std::memcpy(&number, frame.bytes.data(), sizeof number);
    ASSERT_GT(static_cast<int64_t>(number), last);
    ASSERT_EQ(frame.original_length, 60 + number % 1440);
    ASSERT_EQ(frame.bytes.size(), std::min<size_t>(1000, frame.original_length));
    ASSERT_EQ(frame.port, 5);
    last = number;
    ++seen;
  };
  while (seen + ring.lost() < kFrames) ring.drain(visit, 64);
  worker.join();
  ring.drain(visit, UINT32_MAX);
  EXPECT_EQ(seen + ring.lost(), kFrames);
  EXPECT_GT(seen, 0u);
}

// Runs a filter where the kernel runs it: on a socket.
class FilteredPipe {
 public:
  explicit FilteredPipe(std::vector<sock_filter> code) {
    EXPECT_EQ(socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0, ends_), 0);
    const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
    EXPECT_EQ(setsockopt(ends_[1], SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program), 0)
        << strerror(errno);
  }
  ~FilteredPipe() {
    close(ends_[0]);
    close(ends_[1]);
  }
  bool passes(const Bytes& frame) {
    static_cast<void>(send(ends_[0], frame.data(), frame.size(), 0));
    Bytes room(frame.size() + 1);
    return recv(ends_[1], room.data(), room.size(), 0) == static_cast<ssize_t>(frame.size());
  }

 private:
  int ends_[2] = {-1, -1};
};

TEST(SocketFilter, TakesTunnelsAndPodsAndNothingElse) {
  core::NodeSettings settings;
  settings.vtep4 = *core::IpAddress::parse("192.0.2.1");
  settings.tunnel_port = 4789;
  settings.local_pods = {*core::Prefix::parse("10.244.1.0/24"), *core::Prefix::parse("fd00:1::/64")};
  FilteredPipe pipe(uplink_filter(settings));
  const auto udp = [&](const char* to, uint16_t port) {
    return test::udp_frame(kFrom, kTo, "192.0.2.2", to, 50000, port, Bytes(30));
  };
  EXPECT_TRUE(pipe.passes(udp("192.0.2.1", 4789)));
  EXPECT_FALSE(pipe.passes(udp("192.0.2.1", 4790))) << "another port of the node";
  EXPECT_FALSE(pipe.passes(udp("192.0.2.3", 4789))) << "another node";
  EXPECT_TRUE(pipe.passes(udp("10.244.1.7", 53)));
  EXPECT_FALSE(pipe.passes(udp("10.244.2.7", 53))) << "another node's pods";
  EXPECT_FALSE(
      pipe.passes(test::tcp_frame(kFrom, kTo, "192.0.2.2", "192.0.2.1", {.destination_port = 4789}, {})));
  Bytes fragment = udp("192.0.2.1", 4789);
  test::at<ipv4_header>(fragment, 14).fragment = to_be16(FL_IPV4_MORE_FRAGMENTS);
  EXPECT_FALSE(pipe.passes(fragment));
  Bytes arp = udp("10.244.1.7", 53);
  test::at<ethernet_header>(arp, 0).ethertype = to_be16(FL_ETHERTYPE_ARP);
  EXPECT_FALSE(pipe.passes(arp));
  Bytes ipv6(14 + 40 + 8);
  test::at<ethernet_header>(ipv6, 0).ethertype = to_be16(FL_ETHERTYPE_IPV6);
  const auto destination = core::IpAddress::parse("fd00:1::9")->bytes;
  std::memcpy(ipv6.data() + 14 + 24, destination.data(), 16);
  EXPECT_TRUE(pipe.passes(ipv6));
  ipv6[14 + 24 + 3] ^= 1;
  EXPECT_FALSE(pipe.passes(ipv6));
  const Bytes whole = udp("192.0.2.1", 4789);
  for (size_t length = 1; length < 38; ++length) {
    EXPECT_FALSE(pipe.passes(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length))))
        << length;
  }
}

TEST(SocketFilter, RejectsEverythingBeforeTheFirstState) {
  FilteredPipe pipe(reject_all_filter());
  EXPECT_FALSE(pipe.passes(test::udp_frame(kFrom, kTo, "192.0.2.2", "192.0.2.1", 1, 4789, Bytes(30))));
}

}  // namespace
}  // namespace fairlead::dpdk
