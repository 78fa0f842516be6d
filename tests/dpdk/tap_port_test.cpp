#include "dataplane/dpdk/tap_port.hpp"

#include "tests/dpdk/eal_once.hpp"
#include "tests/dpdk/netns.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdio>
#include <fstream>
#include <poll.h>
#include <sstream>
#include <thread>

namespace fairlead::dpdk {
namespace {

using core::DropReason;
using test::EalOnce;
using test::Netns;

// Moves frames between two ports until told to stop.
class Relay {
 public:
  Relay(Port& a, Port& b) : thread_([this, &a, &b] { run(a, b); }) {}
  ~Relay() {
    stops_ = true;
    thread_.join();
  }
  [[nodiscard]] uint64_t packets() const { return packets_; }
  [[nodiscard]] uint64_t super_packets() const { return super_packets_; }
  [[nodiscard]] uint64_t failed() const { return failed_; }

 private:
  void run(Port& a, Port& b) {
    while (!stops_) {
      if (move(a, b) + move(b, a) != 0) continue;
      pollfd descriptors[] = {{a.poll_fd(0), POLLIN, 0}, {b.poll_fd(0), POLLIN, 0}};
      poll(descriptors, 2, 10);
    }
  }
  unsigned move(Port& from, Port& to) {
    std::array<core::Packet, core::kBurst> burst;
    std::array<core::Packet*, core::kBurst> packets;
    std::array<DropReason, core::kBurst> outcome;
    const unsigned count = from.receive(0, burst);
    for (unsigned i = 0; i < count; ++i) {
      packets[i] = &burst[i];
      if (burst[i].offload.segment_size != 0) ++super_packets_;
    }
    to.transmit(0, std::span(packets.data(), count), std::span(outcome.data(), count));
    for (unsigned i = 0; i < count; ++i) {
      if (outcome[i] == DropReason::NONE) continue;
      ++failed_;
      free_packet(burst[i]);
    }
    packets_ += count;
    return count;
  }

  std::atomic<bool> stops_{false};
  std::atomic<uint64_t> packets_{0}, super_packets_{0}, failed_{0};
  std::thread thread_;
};

std::unique_ptr<TapPort> open_tap(const Netns& inside, const std::string& device, PortKind kind) {
  const Netns::Entered entered(inside);
  PortSpec spec;
  spec.id = kind == PortKind::kHost ? 3 : 2;
  spec.kind = kind;
  spec.device = device;
  auto port = TapPort::open(spec, EalOnce::get().big, EalOnce::get().small, 1);
  EXPECT_TRUE(port.ok()) << port.error().text();
  return port.ok() ? std::move(*port) : nullptr;
}

TEST(TapPort, CarriesTcpSuperPacketsWholeBetweenTwoNamespaces) {
  if (!test::is_root()) GTEST_SKIP() << "needs root";
  Netns left("left"), right("right");
  auto a = open_tap(left, "relay0", PortKind::kTrunk);
  auto b = open_tap(right, "relay0", PortKind::kTrunk);
  ASSERT_TRUE(a && b);
  left.run("ip link set relay0 arp on");
  right.run("ip link set relay0 arp on");
  left.run("ip addr add 192.0.2.1/24 dev relay0");
  right.run("ip addr add 192.0.2.2/24 dev relay0");
  left.run("ip neigh replace 192.0.2.2 lladdr " + b->mac().text() + " dev relay0");
  right.run("ip neigh replace 192.0.2.1 lladdr " + a->mac().text() + " dev relay0");
  {
    const Relay relay(*a, *b);
    left.run("ping -c 2 -W 2 192.0.2.2");
    test::sh(right.exec("iperf3 -s -1 -D"));
    usleep(300'000);
    test::sh(left.exec("iperf3 -c 192.0.2.2 -n 200M -J") + " | grep -q '\"bytes\":.*2097[0-9]*'");
    EXPECT_GT(relay.super_packets(), 1000u);
    EXPECT_EQ(relay.failed(), 0u);
    RecordProperty("packets", static_cast<int>(relay.packets()));
  }
}

}  // namespace
}  // namespace fairlead::dpdk
