#pragma once

#include "dataplane/core/steps/masquerade.hpp"
#include "dataplane/core/steps/policy.hpp"
#include "dataplane/core/steps/route.hpp"
#include "dataplane/core/steps/service.hpp"
#include "dataplane/core/steps/source_check.hpp"

namespace fairlead::core::steps {

// Judges a packet: the steps between lookup and commit, in their order. Of its connection it knows only, with
// walk.kept, how it is translated: then the steps that would decide that have nothing to say.
// Free of side effects, so that trace() runs the very same. `seen(step,
// verdict)` is called after each.
template <typename Seen>
[[nodiscard]] inline Verdict slow_path(Walk& walk, const Snapshot& snapshot, const ServiceMemory& memory,
                                       Seen&& seen) {
  Verdict verdict = source_check(walk, snapshot);
  seen(Step::source_check, verdict);
  if (!verdict.goes_on()) return verdict;
  if (!walk.kept) {
    verdict = service(walk, snapshot, memory);
    seen(Step::service, verdict);
    if (!verdict.goes_on()) return verdict;
  }
  verdict = policy(walk, snapshot);
  seen(Step::policy, verdict);
  if (!verdict.goes_on()) return verdict;
  verdict = route(walk, snapshot);
  seen(Step::route, verdict);
  if (!verdict.goes_on() || walk.kept) return verdict;
  verdict = masquerade(walk, snapshot);
  seen(Step::masquerade, verdict);
  return verdict;
}

[[nodiscard]] inline Verdict slow_path(Walk& walk, const Snapshot& snapshot, const ServiceMemory& memory) {
  return slow_path(walk, snapshot, memory, [](Step, Verdict) {});
}

}  // namespace fairlead::core::steps
