#include "bench/replay/pace.hpp"

#include <gtest/gtest.h>

namespace fairlead::replay {
namespace {

constexpr Pace kPace{.start = 1000, .end = 11'000, .per_cycle = 0.1};

TEST(ReplayPace, FramesFallDueEvenlyAndOnlyInTime) {
  EXPECT_EQ(kPace.due(0), 0u);
  EXPECT_EQ(kPace.due(1000), 0u);
  EXPECT_EQ(kPace.due(1010), 1u);
  EXPECT_EQ(kPace.due(6000), 500u);
  EXPECT_EQ(kPace.due(11'000), 1000u);
  EXPECT_EQ(kPace.due(1u << 30), 1000u);
  EXPECT_EQ(kPace.due_in_all(), 1000u);
}

TEST(ReplayPace, FramesWaitInTheRingUntilTaken) {
  PacedRing ring{.descriptors = 512};
  uint64_t missed = 0;
  EXPECT_EQ(ring.waiting(kPace, 2000, missed), 100u);
  ring.take(64);
  EXPECT_EQ(ring.waiting(kPace, 2000, missed), 36u);
  EXPECT_EQ(ring.waiting(kPace, 2100, missed), 46u);
  EXPECT_EQ(missed, 0u);
}

TEST(ReplayPace, WhatFindsNoDescriptorIsMissedOnceAndForAll) {
  PacedRing ring{.descriptors = 512};
  uint64_t missed = 0;
  EXPECT_EQ(ring.waiting(kPace, 8000, missed), 512u);
  EXPECT_EQ(missed, 188u);
  EXPECT_EQ(ring.waiting(kPace, 8000, missed), 512u);
  EXPECT_EQ(missed, 188u);
  ring.take(512);
  EXPECT_EQ(ring.waiting(kPace, 8000, missed), 0u);
  EXPECT_EQ(ring.waiting(kPace, 1u << 30, missed), 300u);
  ring.take(300);
  EXPECT_EQ(ring.gone, kPace.due_in_all());
  EXPECT_EQ(missed, 188u);
}

}  // namespace
}  // namespace fairlead::replay
