// A real uplink between namespaces; needs root.
#include "dataplane/dpdk/kernel_link.hpp"
#include "tests/dpdk/uplink_lab.hpp"

#include <gtest/gtest.h>
#include <rte_mempool.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <linux/if_xdp.h>
#include <sys/socket.h>
#include <vector>

namespace fairlead {
namespace {

using core::Counter;
using core::Transport;
using test::Netns;
using test::UplinkLab;

std::string output_of(const std::string& command) {
  std::string text;
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  std::array<char, 4096> room;
  while (pipe != nullptr && fgets(room.data(), room.size(), pipe) != nullptr) text += room.data();
  if (pipe != nullptr) pclose(pipe);
  return text;
}

// 30 MB of TCP from one namespace to the other.
void expect_tcp(const Netns& from, const Netns& to, const std::string& address) {
  test::sh(to.exec("iperf3 -s -1 -D -B " + address));
  usleep(300'000);
  const std::string said = output_of(from.exec("timeout 20 iperf3 -c " + address + " -n 30M"));
  EXPECT_NE(said.find("receiver"), std::string::npos) << said;
}

struct Way {
  const char* driver;
  Transport transport;
};
void PrintTo(const Way& way, std::ostream* out) {
  *out << way.driver << (way.transport == Transport::kRouted ? " routed" : " overlay");
}

class UplinkTest : public ::testing::TestWithParam<Way> {};

TEST_P(UplinkTest, PodAndKernelPeerExchangePingAndTcp) {
  if (!test::is_root()) GTEST_SKIP() << "needs root";
  UplinkLab lab;
  lab.start(GetParam().driver, GetParam().transport);
  ASSERT_TRUE(lab.uplink_result.ok()) << lab.uplink_result.error().text();
  EXPECT_EQ(lab.engine->ports().front().driver, GetParam().driver);
  EXPECT_EQ(output_of(lab.pod().exec("ping -c 3 -i 0.05 -W 2 10.244.2.9")).find(" 0% packet loss") !=
                std::string::npos,
            true)
      << output_of(lab.pod().exec("ping -c 1 -W 2 10.244.2.9"));
  lab.peer().run("ping -c 3 -i 0.05 -W 2 10.244.1.5");
  // The node itself stays the kernel's.
  lab.peer().run("ping -c 3 -i 0.05 -W 2 192.0.2.1");
  // Nothing is answered twice.
  EXPECT_EQ(output_of(lab.peer().exec("ping -c 5 -i 0.02 10.244.1.5")).find("DUP"), std::string::npos);
  expect_tcp(lab.pod(), lab.peer(), "10.244.2.9");
  expect_tcp(lab.peer(), lab.pod(), "10.244.1.5");
  const core::Counters counters = lab.engine->counters();
  EXPECT_TRUE(counters.conserved());
  EXPECT_GT(counters[Counter::forwarded], 100u);
  EXPECT_EQ(counters.drops_total(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Ways, UplinkTest,
                         ::testing::Values(Way{"af_xdp", Transport::kRouted},
                                           Way{"af_xdp", Transport::kOverlay},
                                           Way{"af_packet", Transport::kRouted},
                                           Way{"af_packet", Transport::kOverlay}));

// The kernel's count of buffers named to it that lie outside of the memory it shares.
uint64_t invalid_descriptors() {
  uint64_t invalid = 0;
  for (const int fd : dpdk::sockets_of_domain(AF_XDP)) {
    xdp_statistics statistics;
    std::memset(&statistics, 0, sizeof statistics);
    socklen_t size = sizeof statistics;
    EXPECT_EQ(getsockopt(fd, SOL_XDP, XDP_STATISTICS, &statistics, &size), 0) << std::strerror(errno);
    invalid += statistics.rx_invalid_descs + statistics.tx_invalid_descs;
  }
  return invalid;
}

TEST(AfXdp, TheKernelReachesEveryBuffer) {
  if (!test::is_root()) GTEST_SKIP() << "needs root";
  UplinkLab lab;
  lab.start("af_xdp", Transport::kRouted);
  ASSERT_TRUE(lab.uplink_result.ok()) << lab.uplink_result.error().text();
  rte_mempool* pool = nullptr;
  const auto find = [](rte_mempool* candidate, void* found) {
    // A pool that an earlier port of the process has left behind is full.
    if (std::strncmp(candidate->name, "fl_port1_", 9) == 0 && rte_mempool_full(candidate) == 0) {
      *static_cast<rte_mempool**>(found) = candidate;
    }
  };
  rte_mempool_walk(find, static_cast<void*>(&pool));
  ASSERT_NE(pool, nullptr);
  // Those that would be used last come first.
  std::vector<void*> buffers;
  for (void* one; rte_mempool_generic_get(pool, &one, 1, nullptr) == 0;) buffers.push_back(one);
  ASSERT_GT(buffers.size(), pool->size / 2);
  std::reverse(buffers.begin(), buffers.end());
  rte_mempool_generic_put(pool, buffers.data(), static_cast<unsigned>(buffers.size()), nullptr);

  lab.pod().run("ping -c 3 -i 0.05 -W 2 10.244.2.9");
  expect_tcp(lab.pod(), lab.peer(), "10.244.2.9");
  expect_tcp(lab.peer(), lab.pod(), "10.244.1.5");
  EXPECT_EQ(invalid_descriptors(), 0u);
}

TEST(AfXdp, RefusesWithoutBpffsAndLeavesTheLinkUsable) {
  if (!test::is_root()) GTEST_SKIP() << "needs root";
  UplinkLab lab(false);
  dpdk::DpdkConfig config;
  config.huge_pages = false;
  config.xdp_object = FL_BPF_DIR "/uplink_xdp.bpf.o";
  lab.start_without_hooks("af_xdp", Transport::kRouted, config);
  ASSERT_FALSE(lab.uplink_result.ok());
  EXPECT_EQ(lab.uplink_result.error().code, "FL2041");
  lab.peer().run("ping -c 2 -i 0.05 -W 2 192.0.2.1");
  EXPECT_EQ(output_of(lab.node().exec("ip link show u0")).find("xdp"), std::string::npos);
}

TEST(AfXdp, AutoFallsBackToAfPacketAndSaysWhy) {
  if (!test::is_root()) GTEST_SKIP() << "needs root";
  UplinkLab lab(false);
  dpdk::DpdkConfig config;
  config.huge_pages = false;
  config.xdp_object = FL_BPF_DIR "/uplink_xdp.bpf.o";
  lab.start_without_hooks("auto", Transport::kRouted, config);
  ASSERT_TRUE(lab.uplink_result.ok());
  const PortStatus uplink = lab.engine->ports().front();
  EXPECT_EQ(uplink.driver, "af_packet");
  EXPECT_NE(uplink.note.find("bpf file system"), std::string::npos) << uplink.note;
  lab.pod().run("ping -c 2 -i 0.05 -W 2 10.244.2.9");
}

TEST(AfXdp, NeverReplacesAnotherProgramAndTakesOverOurOwnRemains) {
  if (!test::is_root()) GTEST_SKIP() << "needs root";
  UplinkLab lab;
  lab.start("af_xdp", Transport::kRouted);
  ASSERT_TRUE(lab.uplink_result.ok());
  const Netns::Entered inside(lab.node());
  EXPECT_NE(output_of("ip link show u0").find("xdp"), std::string::npos);
  ASSERT_TRUE(lab.engine->remove_port(1).ok());
  EXPECT_EQ(output_of("ip link show u0").find("xdp"), std::string::npos) << "removed with the port";
  // What a killed dataplane leaves behind.
  test::sh("ip link set dev u0 xdp object " FL_BPF_DIR "/uplink_xdp.bpf.o section xdp");
  PortSpec uplink;
  uplink.id = 1;
  uplink.device = "u0";
  uplink.driver = "af_xdp";
  const auto again = lab.engine->add_port(uplink);
  EXPECT_TRUE(again.ok()) << again.error().text();
}

TEST(AfPacket, LeavesNothingBehind) {
  if (!test::is_root()) GTEST_SKIP() << "needs root";
  UplinkLab lab;
  lab.start("af_packet", Transport::kRouted);
  ASSERT_TRUE(lab.uplink_result.ok());
  EXPECT_NE(output_of(lab.node().exec("ip rule")).find("blackhole"), std::string::npos);
  {
    const Netns::Entered inside(lab.node());
    ASSERT_TRUE(lab.engine->remove_port(1).ok());
  }
  EXPECT_EQ(output_of(lab.node().exec("ip rule")).find("blackhole"), std::string::npos);
  EXPECT_EQ(output_of(lab.node().exec("ss -lnu")).find("4789"), std::string::npos);
}

}  // namespace
}  // namespace fairlead
