#pragma once

#include "dataplane/core/steps/policy.hpp"
#include "dataplane/core/steps/route.hpp"
#include "dataplane/core/steps/source_check.hpp"

namespace fairlead::core::steps {

// Judges a packet without any memory of its connection: the steps between lookup and commit, in their order.
// Free of side effects, so that trace() runs the very same. `seen(step, verdict)` is called after each.
template <typename Seen>
[[nodiscard]] inline Verdict slow_path(Walk& walk, const Snapshot& snapshot, Seen&& seen) {
  Verdict verdict = source_check(walk, snapshot);
  seen(Step::source_check, verdict);
  if (!verdict.goes_on()) return verdict;
  verdict = policy(walk, snapshot);
  seen(Step::policy, verdict);
  if (!verdict.goes_on()) return verdict;
  verdict = route(walk, snapshot);
  seen(Step::route, verdict);
  return verdict;
}

[[nodiscard]] inline Verdict slow_path(Walk& walk, const Snapshot& snapshot) {
  return slow_path(walk, snapshot, [](Step, Verdict) {});
}

}  // namespace fairlead::core::steps
