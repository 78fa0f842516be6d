#include "bench/pps/contestant.hpp"
#include "bench/pps/rounds.hpp"
#include "bench/pps/stage.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <thread>
#include <unistd.h>
#include <vector>

// The port in real processes: the distribution's testpmd and our own program load the same plug-in.

namespace fairlead::bench {
namespace {

constexpr uint64_t kSomeFrames = 200'000;

class ReplayPort : public testing::Test {
 protected:
  void SetUp() override {
    if (FL_SANITIZED != 0) GTEST_SKIP() << "testpmd is not built with the sanitizer that the plug-in needs";
    if (geteuid() != 0) GTEST_SKIP() << "DPDK's programs need root";
  }

  // The contestant has run until `kSomeFrames` were sent, or wrong ones were found.
  static void run(Contestant& contestant) {
    for (int tries = 0; tries < 3000 && contestant.is_alive(); ++tries) {
      const replay::Totals now = contestant.totals();
      if (now.tx_packets > kSomeFrames || now.wrong() != 0) break;
      usleep(10'000);
    }
    contestant.pause();
  }

  static Load load(const char* path) {
    Load made;
    made.path = find_path(path);
    made.flows = 4096;
    return made;
  }
};

TEST_F(ReplayPort, LoadsIntoTestpmdAndForwards) {
  auto stage = Stage::open(FL_BENCH_PPS);
  ASSERT_TRUE(stage.ok()) << stage.error().text();
  for (const char* mode : {"io", "macswap", "csum"}) {
    auto contestant = Contestant::start(stage->testpmd(mode, load("floor")));
    ASSERT_TRUE(contestant.ok()) << contestant.error().text();
    run(*contestant);
    const replay::Totals totals = contestant->totals();
    EXPECT_GT(totals.tx_packets, kSomeFrames) << mode;
    EXPECT_GT(totals.verified, kSomeFrames / 1000) << mode;
    EXPECT_EQ(totals.wrong(), 0u) << mode << ": " << contestant->first_wrong();
    EXPECT_EQ(totals.tx_bytes, totals.tx_packets * 60) << mode;
  }
}

TEST_F(ReplayPort, OurForwarderSendsWhatEveryPathShould) {
  auto stage = Stage::open(FL_BENCH_PPS);
  ASSERT_TRUE(stage.ok()) << stage.error().text();
  for (const Path& path : paths()) {
    auto contestant = Contestant::start(stage->ours(load(path.name.data())));
    ASSERT_TRUE(contestant.ok()) << contestant.error().text();
    run(*contestant);
    const replay::Totals totals = contestant->totals();
    EXPECT_GT(totals.tx_packets, kSomeFrames) << path.name;
    EXPECT_GT(totals.verified, kSomeFrames / 1000) << path.name;
    EXPECT_EQ(totals.wrong(), 0u) << path.name << ": " << contestant->first_wrong();
  }
}

TEST_F(ReplayPort, HandsOutEveryFlowOnceWhereItIsTold) {
  auto stage = Stage::open(FL_BENCH_PPS);
  ASSERT_TRUE(stage.ok()) << stage.error().text();
  Contestant::Command command = stage->testpmd("io", load("floor"));
  for (std::string& word : command.words) {
    if (word.starts_with("net_replay0,")) word += ",once=1";
  }
  auto contestant = Contestant::start(command);
  ASSERT_TRUE(contestant.ok()) << contestant.error().text();
  for (int tries = 0; tries < 500 && contestant->totals().tx_packets < 4096; ++tries) usleep(10'000);
  usleep(50'000);
  contestant->pause();
  EXPECT_EQ(contestant->totals().rx_packets, 4096u);
  EXPECT_EQ(contestant->totals().tx_packets, 4096u);
}

// Routed and, by connection tracking, translated: the port reads whose address and port come out.
TEST_F(ReplayPort, OvsForwardsAndTranslates) {
  const char* named = std::getenv("FAIRLEAD_OVS_ROOT");
  const std::string root = named == nullptr ? "/" : named;
  if (access((root + "/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk").c_str(), X_OK) != 0)
    GTEST_SKIP() << "openvswitch-switch-dpdk is neither installed nor at FAIRLEAD_OVS_ROOT";
  auto stage = Stage::open(FL_BENCH_PPS);
  ASSERT_TRUE(stage.ok()) << stage.error().text();
  for (const char* path : {"routed4", "service4"}) {
    auto command = stage->ovs(root, load(path));
    ASSERT_TRUE(command.ok()) << command.error().text();
    auto contestant = Contestant::start(*command);
    ASSERT_TRUE(contestant.ok()) << contestant.error().text();
    run(*contestant);
    const replay::Totals totals = contestant->totals();
    EXPECT_GT(totals.tx_packets, kSomeFrames) << path;
    EXPECT_GT(totals.verified, kSomeFrames / 1000) << path;
    EXPECT_EQ(totals.wrong(), 0u) << path << ": " << contestant->first_wrong();
  }
}

TEST_F(ReplayPort, ImixAndLargeFramesGoThrough) {
  auto stage = Stage::open(FL_BENCH_PPS);
  ASSERT_TRUE(stage.ok()) << stage.error().text();
  for (const char* size : {"1518", "imix"}) {
    Load sized = load("encap4");
    sized.size = size;
    auto contestant = Contestant::start(stage->ours(sized));
    ASSERT_TRUE(contestant.ok()) << contestant.error().text();
    run(*contestant);
    EXPECT_GT(contestant->totals().tx_packets, kSomeFrames) << size;
    EXPECT_EQ(contestant->totals().wrong(), 0u) << size << ": " << contestant->first_wrong();
  }
}

TEST_F(ReplayPort, WrongFramesMakeASliceFail) {
  auto stage = Stage::open(FL_BENCH_PPS);
  ASSERT_TRUE(stage.ok()) << stage.error().text();
  const std::pair<const char*, replay::Wrong> breaks[] = {{"ttl", replay::Wrong::kIpChecksum},
                                                          {"payload", replay::Wrong::kL4Checksum},
                                                          {"length", replay::Wrong::kLength}};
  for (const auto& [what, kind] : breaks) {
    auto contestant = Contestant::start(stage->ours(load("floor"), what));
    ASSERT_TRUE(contestant.ok()) << contestant.error().text();
    contestant->pause();
    const auto slice = run_slice(*contestant, {.slice_ms = 200});
    ASSERT_FALSE(slice.ok()) << what;
    EXPECT_EQ(slice.error().code, "FL6102");
    EXPECT_NE(contestant->totals().wrong_by.at(static_cast<size_t>(kind)), 0u) << what;
  }
}

// Whoever else runs meanwhile: what was handed out before a pause has come out by then, or never will.
TEST_F(ReplayPort, NothingIsUnderwayInAPause) {
  auto stage = Stage::open(FL_BENCH_PPS);
  ASSERT_TRUE(stage.ok()) << stage.error().text();
  Load two_workers = load("routed4");
  two_workers.workers = 2;
  for (const auto& command : {stage->ours(load("floor")), stage->ours(load("routed4")),
                              stage->ours(two_workers), stage->testpmd("io", load("floor"))}) {
    auto contestant = Contestant::start(command);
    ASSERT_TRUE(contestant.ok()) << contestant.error().text();
    run(*contestant);
    const replay::Totals first = contestant->totals();
    std::atomic<bool> stops{false};
    std::vector<std::thread> others;
    for (int i = 0; i < 2; ++i) {
      others.emplace_back([&stops] {
        while (!stops.load(std::memory_order_relaxed)) {
        }
      });
    }
    for (int round = 0; round < 20; ++round) {
      contestant->resume();
      usleep(3'000);
      contestant->pause();
      replay::Totals now = contestant->totals();
      now -= first;
      EXPECT_EQ(now.rx_packets, now.tx_packets) << contestant->name() << ", round " << round;
    }
    stops.store(true);
    for (std::thread& other : others) other.join();
  }
}

// One frame in a million is enough.
TEST_F(ReplayPort, LostFramesMakeASliceFail) {
  auto stage = Stage::open(FL_BENCH_PPS);
  ASSERT_TRUE(stage.ok()) << stage.error().text();
  auto contestant = Contestant::start(stage->ours(load("floor"), "lose"));
  ASSERT_TRUE(contestant.ok()) << contestant.error().text();
  contestant->pause();
  const auto slice = run_slice(*contestant, {.slice_ms = 500});
  ASSERT_FALSE(slice.ok());
  EXPECT_EQ(slice.error().code, "FL6102");
}

// The plug-in in a program that tunnels where it should not, or forgets to: another form than expected.
TEST_F(ReplayPort, AnotherFormIsNoticed) {
  auto stage = Stage::open(FL_BENCH_PPS);
  ASSERT_TRUE(stage.ok()) << stage.error().text();
  Contestant::Command command = stage->testpmd("io", load("floor"));
  for (std::string& word : command.words) {
    const size_t at = word.find("expect=ip4");
    if (at != std::string::npos) word.replace(at, 10, "expect=vxlan4");
  }
  auto contestant = Contestant::start(std::move(command));
  ASSERT_TRUE(contestant.ok()) << contestant.error().text();
  run(*contestant);
  EXPECT_NE(contestant->totals().wrong(), 0u);
}

}  // namespace
}  // namespace fairlead::bench
