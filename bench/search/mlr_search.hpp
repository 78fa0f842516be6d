#pragma once

#include <cstddef>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace fairlead::search {

// One goal of a search: the highest load whose loss ratio stays within `loss_ratio`.
struct Goal {
  std::string name;            // "ndr", "pdr"
  double loss_ratio = 0;       // lost / sent
  double width = 0.005;        // (upper - lower) / upper at which the search for it ends
  double trial_s = 1;          // length of a full trial; shorter ones count for less
  double duration_sum_s = 21;  // of full trials at a load, before it is decided for sure
  double exceed_ratio = 0.5;   // share of them that may lose more than `loss_ratio`
};

struct Config {
  double least_load = 0.001, most_load = 0;  // in any unit, e.g. Mpps
  std::vector<Goal> goals;                   // from the strictest to the loosest
  size_t coarse_steps = 2;  // targets before each goal, each twice as wide and half as long as the next
};

struct Trial {
  double load = 0, duration_s = 0;
};

struct TrialResult {
  double load = 0, duration_s = 0;  // as asked for by the Trial
  double sent = 0, received = 0;    // packets; `sent` is what the load amounts to
  double measured_s = 0;            // how long it took

  [[nodiscard]] double loss_ratio() const {
    return sent > 0 && received < sent ? (sent - received) / sent : 0;
  }
  [[nodiscard]] double forwarded() const { return measured_s > 0 ? received / measured_s : 0; }
};

struct Found {
  std::string goal;
  // The relevant bounds; `lower` 0: even the least load lost too much; `upper` infinite: the most load did
  // not.
  double lower = 0, upper = std::numeric_limits<double>::infinity();
  size_t trials = 0;  // at the lower bound
};

// Searches several goals at once by Multiple Loss Ratio search (draft-ietf-bmwg-mlrsearch): each load is
// classified from all trials at it, so that one bad trial decides nothing, and narrowed down by bisection
// with wider and shorter targets first.
//
// Pure and pull-style: next() says which trial to run, add() takes its result; the first trial warms up and
// is not counted. One thread. next() is empty when every goal is found.
class MlrSearch {
 public:
  explicit MlrSearch(Config config);

  [[nodiscard]] std::optional<Trial> next() const;
  void add(const TrialResult& result);
  [[nodiscard]] std::vector<Found> found() const;
  [[nodiscard]] size_t trials() const { return count_; }

 private:
  enum class Class { kLower, kUpper, kUndecided };
  struct Target {
    Goal goal;
    size_t steps_beyond;  // made outside of known bounds so far
  };
  struct Bounds {
    double lower, upper;
  };

  [[nodiscard]] Class classify(double load, const Goal& target) const;
  [[nodiscard]] Bounds bounds(const Goal& target) const;
  [[nodiscard]] bool is_reached(const Goal& target) const;
  [[nodiscard]] std::optional<size_t> current() const;  // the first target that is not reached
  [[nodiscard]] std::optional<double> begun(const Goal& target, const Bounds& known) const;
  [[nodiscard]] double next_load(size_t index) const;

  Config config_;
  std::vector<Target> targets_;  // all goals, coarse steps first: goal g of step s is at s * goals + g
  std::map<double, std::vector<TrialResult>> at_load_;
  double forwarded_at_most_ = 0;
  bool warmed_up_ = false;
  size_t count_ = 0;
};

}  // namespace fairlead::search
