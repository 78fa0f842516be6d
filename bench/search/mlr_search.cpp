#include "bench/search/mlr_search.hpp"

#include <algorithm>
#include <cmath>
#include <utility>

namespace fairlead::search {

MlrSearch::MlrSearch(Config config) : config_(std::move(config)) {
  // Coarse targets of all goals come first: what they find bounds the fine ones.
  for (size_t step = config_.coarse_steps + 1; step-- > 0;) {
    const double factor = std::pow(2.0, static_cast<double>(step));
    for (Goal goal : config_.goals) {
      goal.width = std::min(0.5, goal.width * factor);
      goal.trial_s /= factor;
      if (step != 0) goal.duration_sum_s = goal.trial_s;
      targets_.push_back({goal, 0});
    }
  }
}

// The load classification of the draft's appendix: a load is a lower bound when it is good even if all trials
// still missing were bad, an upper bound when it is bad even if they were good. Good trials shorter than
// asked for only outweigh short bad ones.
MlrSearch::Class MlrSearch::classify(double load, const Goal& target) const {
  const auto found = at_load_.find(load);
  if (found == at_load_.end()) return Class::kUndecided;
  double good_long_s = 0, bad_long_s = 0, good_short_s = 0, bad_short_s = 0;
  for (const TrialResult& trial : found->second) {
    const bool good = trial.loss_ratio() <= target.loss_ratio;
    const bool is_long = trial.duration_s >= target.trial_s;
    (is_long ? (good ? good_long_s : bad_long_s) : (good ? good_short_s : bad_short_s)) += trial.duration_s;
  }
  const double balancing_s = good_short_s * target.exceed_ratio / (1 - target.exceed_ratio);
  const double bad_s = bad_long_s + std::max(0.0, bad_short_s - balancing_s);
  const double whole_s = std::max(good_long_s + bad_s, target.duration_sum_s);
  const double allowed_s = whole_s * target.exceed_ratio;
  const bool good_at_best = bad_s <= allowed_s;
  const bool good_at_worst = whole_s - good_long_s <= allowed_s;
  if (good_at_worst) return Class::kLower;
  return good_at_best ? Class::kUndecided : Class::kUpper;
}

// The smallest upper bound, and the largest lower bound below it.
MlrSearch::Bounds MlrSearch::bounds(const Goal& target) const {
  Bounds found{0, std::numeric_limits<double>::infinity()};
  for (const auto& [load, trials] : at_load_) {
    const Class verdict = classify(load, target);
    if (verdict == Class::kUpper) {
      found.upper = load;
      break;
    }
    if (verdict == Class::kLower) found.lower = load;
  }
  return found;
}

bool MlrSearch::is_reached(const Goal& target) const {
  const Bounds found = bounds(target);
  if (found.lower >= config_.most_load || found.upper <= config_.least_load) return true;
  return std::isfinite(found.upper) && found.lower > 0 &&
         (found.upper - found.lower) / found.upper <= target.width * (1 + 1e-9);
}

// A load that a trial of the target's own length has begun to decide, between what is known.
std::optional<double> MlrSearch::begun(const Goal& target, const Bounds& known) const {
  for (const auto& [load, trials] : at_load_) {
    if (load <= known.lower || load >= known.upper || classify(load, target) != Class::kUndecided) continue;
    for (const TrialResult& trial : trials) {
      if (trial.duration_s >= target.trial_s) return load;
    }
  }
  return std::nullopt;
}

// Where a target's bounds are looked for next: what was begun, what the coarser target found, a step beyond
// what is known, or its middle.
double MlrSearch::next_load(size_t index) const {
  const Goal& target = targets_[index].goal;
  const Bounds known = bounds(target);
  if (const std::optional<double> load = begun(target, known)) return *load;
  if (index >= config_.goals.size()) {
    const Bounds coarse = bounds(targets_[index - config_.goals.size()].goal);
    for (const double hint : {coarse.lower, coarse.upper}) {
      if (hint > known.lower && hint < known.upper && hint >= config_.least_load) return hint;
    }
  }
  // Steps beyond grow: first a width, then twice, and so on.
  const double step =
      std::min(0.5, target.width * std::pow(2.0, static_cast<double>(targets_[index].steps_beyond)));
  if (!std::isfinite(known.upper)) {
    if (known.lower <= 0) return config_.most_load;
    return std::min(config_.most_load, known.lower / (1 - step));
  }
  if (known.lower <= 0) {
    double from = known.upper;
    // Much more was offered than gets through: what did is close to the answer.
    if (targets_[index].steps_beyond == 0 && forwarded_at_most_ > 0)
      from = std::min(from, forwarded_at_most_);
    return std::max(config_.least_load, from * (1 - step));
  }
  // By whole widths, so that bisection ends with intervals of just the width.
  const double range = std::log(known.upper / known.lower);
  const double widths = std::max(2.0, std::ceil(range / -std::log1p(-target.width) - 1e-9));
  return known.upper * std::exp(-range * std::floor(widths / 2) / widths);
}

std::optional<size_t> MlrSearch::current() const {
  for (size_t index = 0; index < targets_.size(); ++index) {
    if (!is_reached(targets_[index].goal)) return index;
  }
  return std::nullopt;
}

std::optional<Trial> MlrSearch::next() const {
  if (config_.goals.empty() || config_.most_load <= config_.least_load) return std::nullopt;
  if (!warmed_up_) return Trial{config_.most_load, targets_.front().goal.trial_s};
  const std::optional<size_t> index = current();
  if (!index) return std::nullopt;
  return Trial{next_load(*index), targets_[*index].goal.trial_s};
}

void MlrSearch::add(const TrialResult& result) {
  ++count_;
  if (result.load >= config_.most_load) forwarded_at_most_ = std::max(forwarded_at_most_, result.forwarded());
  if (!warmed_up_) {
    warmed_up_ = true;
    return;
  }
  const std::optional<size_t> index = current();
  if (index) {
    const Bounds known = bounds(targets_[*index].goal);
    const bool is_beyond = !std::isfinite(known.upper) || known.lower <= 0;
    if (is_beyond && !at_load_.contains(result.load)) ++targets_[*index].steps_beyond;
  }
  at_load_[result.load].push_back(result);
}

std::vector<Found> MlrSearch::found() const {
  std::vector<Found> all;
  for (const Goal& goal : config_.goals) {
    const Bounds bounds_of = bounds(goal);
    Found one{goal.name, bounds_of.lower, bounds_of.upper, 0};
    if (const auto at = at_load_.find(bounds_of.lower); at != at_load_.end()) one.trials = at->second.size();
    all.push_back(one);
  }
  return all;
}

}  // namespace fairlead::search
