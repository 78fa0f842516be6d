#include "bench/pps/trial.hpp"

#include "bench/search/mlr_search.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <unistd.h>

// Trials at a rate on the real port, and the search driven by them.

namespace fairlead::bench {
namespace {

class RateTrial : public testing::Test {
 protected:
  void SetUp() override {
    if (FL_SANITIZED != 0) GTEST_SKIP() << "the plug-in is not built with the sanitizer of this program";
    if (geteuid() != 0) GTEST_SKIP() << "DPDK's programs need root";
  }
  static Load load(const char* path) {
    Load made;
    made.path = find_path(path);
    made.flows = 4096;
    return made;
  }
};

TEST_F(RateTrial, OffersExactlyTheRate) {
  for (const char* path : {"routed4", "decap4", "geneve4"}) {
    const auto trial = run_trial(FL_BENCH_PPS, load(path), 0.25, 0.2);
    ASSERT_TRUE(trial.ok()) << trial.error().text();
    EXPECT_NEAR(static_cast<double>(trial->sent), 50'000, 1) << path;
    EXPECT_GT(trial->received, 0u) << path;
    EXPECT_EQ(trial->received + trial->missed, trial->sent) << path << ": the forwarder itself lost some";
  }
}

TEST_F(RateTrial, WorkersShareTheRate) {
  Load two = load("routed4");
  two.workers = 2;
  const auto trial = run_trial(FL_BENCH_PPS, two, 0.5, 0.2);
  ASSERT_TRUE(trial.ok()) << trial.error().text();
  EXPECT_NEAR(static_cast<double>(trial->sent), 100'000, 2);
  EXPECT_EQ(trial->received + trial->missed, trial->sent);
}

TEST_F(RateTrial, MoreThanAnyCoreForwardsIsMissed) {
  const auto trial = run_trial(FL_BENCH_PPS, load("routed4"), 900, 0.1);
  ASSERT_TRUE(trial.ok()) << trial.error().text();
  EXPECT_GT(trial->missed, trial->sent / 4);
  EXPECT_EQ(trial->received + trial->missed, trial->sent);
}

TEST_F(RateTrial, NewFlowsHaveNoRate) {
  const auto trial = run_trial(FL_BENCH_PPS, load("new4"), 1, 0.1);
  ASSERT_FALSE(trial.ok());
  EXPECT_EQ(trial.error().code, "FL6001");
}

// The search finds a rate that the forwarder keeps up with and one that it does not.
TEST_F(RateTrial, SearchEndsBetweenKeptAndLost) {
  search::Config config;
  config.most_load = 1000;
  config.goals = {{.name = "pdr", .loss_ratio = 0.1, .width = 0.5, .trial_s = 0.05, .duration_sum_s = 0.05}};
  search::MlrSearch searched(config);
  while (const auto next = searched.next()) {
    const auto trial = run_trial(FL_BENCH_PPS, load("routed4"), next->load, next->duration_s);
    ASSERT_TRUE(trial.ok()) << trial.error().text();
    searched.add({next->load, next->duration_s, static_cast<double>(trial->sent),
                  static_cast<double>(trial->received), trial->duration_s});
  }
  const auto found = searched.found();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_GT(found[0].lower, 0);
  EXPECT_FALSE(std::isinf(found[0].upper));
  EXPECT_LT(found[0].lower, found[0].upper);
}

}  // namespace
}  // namespace fairlead::bench
