#include "dataplane/dpdk/sleeper.hpp"

#include <gtest/gtest.h>

namespace fairlead::dpdk {
namespace {

constexpr uint64_t kUs = 1'000;
constexpr uint64_t kMs = 1'000 * kUs;
constexpr uint64_t kLongest = 200 * kUs;

TEST(PollWindow, OpensWideForWhatComesInTimeAndNarrowsForWhatDoesNot) {
  PollWindow window(kLongest);
  EXPECT_TRUE(window.is_open(kMs, kLongest - 1)) << "nothing is known yet";
  EXPECT_FALSE(window.is_open(kMs, kLongest));
  window.found(kLongest + 1);
  EXPECT_TRUE(window.is_open(kMs, kLongest / 2 - 1));
  EXPECT_FALSE(window.is_open(kMs, kLongest / 2));
  for (int i = 0; i < 6; ++i) window.found(10 * kMs);
  EXPECT_FALSE(window.is_open(kMs, 0)) << "packets that come 10 ms apart are not worth it";
  window.found(kLongest);
  EXPECT_TRUE(window.is_open(kMs, kLongest - 1));
}

TEST(PollWindow, StaysClosedUntilItsTime) {
  PollWindow window(kLongest);
  window.close_until(5 * kMs);
  EXPECT_FALSE(window.is_open(5 * kMs - 1, 0));
  EXPECT_TRUE(window.is_open(5 * kMs, 0));
}

TEST(Sleeper, PollsAfterAPacketAndThenSleeps) {
  Sleeper sleeper(Polling::kAdaptive, kLongest);
  uint64_t now = kMs;
  sleeper.worked(now);
  EXPECT_FALSE(sleeper.idle(now));
  EXPECT_FALSE(sleeper.idle(now + 150 * kUs));
  EXPECT_TRUE(sleeper.idle(now + 200 * kUs));
  // Waited for less than `longest`, in polls or asleep: polls again.
  now += 300 * kUs;
  sleeper.worked(now);
  now += 100 * kUs;
  EXPECT_FALSE(sleeper.idle(now));
}

TEST(Sleeper, DoesNotPollForPacketsThatComeRarely) {
  Sleeper sleeper(Polling::kAdaptive, kLongest);
  uint64_t now = kMs;
  for (int i = 0; i < 10; ++i) {
    for (uint64_t poll = now; !sleeper.idle(poll);) poll += 10 * kUs;
    sleeper.sleep(now, 0);
    now += 10 * kMs;
    sleeper.worked(now);
  }
  EXPECT_TRUE(sleeper.idle(now));
}

// A loop that takes so long between two looks has not had the CPU.
TEST(Sleeper, SleepsWhereOthersCompute) {
  Sleeper sleeper(Polling::kAdaptive, kLongest);
  uint64_t now = kMs;
  EXPECT_FALSE(sleeper.idle(now));
  now += Sleeper::kCpuGoneNs;
  sleeper.worked(now);
  EXPECT_TRUE(sleeper.idle(now)) << "the next packet calls the CPU back";
  sleeper.sleep(now, 0);
  now += Sleeper::kNoPollingNs;
  sleeper.worked(now - 1);
  EXPECT_TRUE(sleeper.idle(now - 1));
  sleeper.worked(now);
  EXPECT_FALSE(sleeper.idle(now));
}

TEST(Sleeper, ASleepIsNoAbsence) {
  Sleeper sleeper(Polling::kAdaptive, kLongest);
  uint64_t now = kMs;
  EXPECT_FALSE(sleeper.idle(now));
  EXPECT_TRUE(sleeper.idle(now + kLongest));
  sleeper.sleep(now + kLongest, 0);
  now += kLongest + 50 * kMs;
  sleeper.worked(now);
  EXPECT_FALSE(sleeper.idle(now));
}

TEST(Sleeper, NeverSleepsWhenBusy) {
  Sleeper sleeper(Polling::kBusy, kLongest);
  EXPECT_FALSE(sleeper.idle(kMs));
  EXPECT_FALSE(sleeper.idle(kMs * 1000));
}

}  // namespace
}  // namespace fairlead::dpdk
