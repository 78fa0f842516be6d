#include "bench/search/mlr_search.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>

namespace fairlead::search {
namespace {

// A device that forwards up to `capacity`, loses `floor_loss` of everything, and stumbles in a share of the
// trials.
struct Device {
  double capacity = 10;
  double floor_loss = 0;
  double stumble_share = 0;  // of trials lose 2 % although they need not
  double jitter = 0;         // relative deviation of the capacity from trial to trial
  std::mt19937 random{1};

  TrialResult run(const Trial& trial) {
    std::normal_distribution<double> noise(0, jitter);
    std::bernoulli_distribution stumble(stumble_share);
    const double able = capacity * (1 + (jitter > 0 ? noise(random) : 0));
    TrialResult result{trial.load, trial.duration_s, std::round(trial.load * 1e6 * trial.duration_s), 0,
                       trial.duration_s};
    result.received = std::floor(std::min(result.sent, able * 1e6 * trial.duration_s) * (1 - floor_loss));
    if (stumble(random)) result.received = std::floor(result.received * 0.98);
    return result;
  }
};

Config both_goals(double most) {
  Config config;
  config.most_load = most;
  config.goals = {{.name = "ndr", .loss_ratio = 0}, {.name = "pdr", .loss_ratio = 0.005}};
  return config;
}

// Runs a search to its end and returns it; more than `most_trials` is a search that does not end.
MlrSearch search(const Config& config, Device device, size_t most_trials = 600) {
  MlrSearch searched(config);
  while (const std::optional<Trial> trial = searched.next()) {
    EXPECT_GE(trial->load, config.least_load);
    EXPECT_LE(trial->load, config.most_load);
    EXPECT_GT(trial->duration_s, 0);
    searched.add(device.run(*trial));
    if (searched.trials() > most_trials) {
      ADD_FAILURE() << "no end after " << most_trials << " trials";
      break;
    }
  }
  return searched;
}

TEST(MlrSearch, FindsTheCapacityWithinTheWidth) {
  for (const double capacity : {0.05, 1.0, 3.7, 9.99, 19.0, 37.0, 39.7}) {
    const MlrSearch searched = search(both_goals(40), Device{.capacity = capacity});
    const std::vector<Found> found = searched.found();
    ASSERT_EQ(found.size(), 2u);
    EXPECT_LE(found[0].lower, capacity) << capacity;
    EXPECT_GE(found[0].upper, capacity) << capacity;
    EXPECT_LE((found[0].upper - found[0].lower) / found[0].upper, 0.005 * 1.0001) << capacity;
    // With 0.5 % lost at most, 0.5 % more than the capacity may be offered.
    EXPECT_LE(found[1].lower, capacity / 0.995 * 1.0001) << capacity;
    EXPECT_GE(found[1].upper, capacity / 0.995 * 0.9999) << capacity;
    EXPECT_LE((found[1].upper - found[1].lower) / found[1].upper, 0.005 * 1.0001) << capacity;
    EXPECT_LE(searched.trials(), 130u) << capacity;
  }
}

TEST(MlrSearch, StumblingTrialsDecideNothing) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    const MlrSearch searched =
        search(both_goals(40), Device{.capacity = 12, .stumble_share = 0.15, .random = std::mt19937(seed)});
    EXPECT_LE(searched.found()[0].lower, 12.0) << seed;
    EXPECT_GE(searched.found()[0].lower, 12 * 0.99) << seed;
  }
}

TEST(MlrSearch, ANoisyCapacityIsFoundNearItsMedian) {
  for (unsigned seed = 1; seed <= 20; ++seed) {
    const MlrSearch searched =
        search(both_goals(40), Device{.capacity = 12, .jitter = 0.01, .random = std::mt19937(seed)});
    EXPECT_NEAR(searched.found()[0].lower, 12, 12 * 0.015) << seed;
  }
}

TEST(MlrSearch, SteadyLossLeavesOnlyTheLooseGoal) {
  const MlrSearch searched = search(both_goals(40), Device{.capacity = 10, .floor_loss = 0.001});
  EXPECT_EQ(searched.found()[0].lower, 0);
  EXPECT_LE(searched.found()[0].upper, 0.001);
  EXPECT_NEAR(searched.found()[1].lower, 10, 0.1);
}

TEST(MlrSearch, ADeviceFasterThanTheGeneratorHasNoUpperBound) {
  const MlrSearch searched = search(both_goals(40), Device{.capacity = 100});
  for (const Found& found : searched.found()) {
    EXPECT_EQ(found.lower, 40);
    EXPECT_TRUE(std::isinf(found.upper));
    EXPECT_GE(found.trials, 11u);  // more than half of 21 full trials: no missing one could change it
  }
}

TEST(MlrSearch, TheFirstTrialOnlyWarmsUp) {
  MlrSearch searched(both_goals(40));
  const std::optional<Trial> first = searched.next();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->load, 40);
  searched.add({first->load, first->duration_s, 1000, 0, 1});  // loses everything
  Device device{.capacity = 100};
  while (const std::optional<Trial> trial = searched.next()) searched.add(device.run(*trial));
  EXPECT_EQ(searched.found()[0].lower, 40);
}

TEST(MlrSearch, WithoutAGoalOrARangeThereIsNothingToDo) {
  EXPECT_FALSE(MlrSearch(Config{.most_load = 10, .goals = {}}).next());
  EXPECT_FALSE(MlrSearch(Config{.most_load = 0, .goals = {Goal{.name = "ndr"}}}).next());
}

}  // namespace
}  // namespace fairlead::search
