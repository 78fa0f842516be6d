#pragma once

#include "dataplane/core/walk.hpp"

namespace fairlead::core::steps {

// May these two talk? There are no policies yet: Kubernetes' default, every pod may talk to every other, is
// the rule.
//
// Drops: POLICY_DENIED (nobody, so far)
[[nodiscard]] inline Verdict policy(const Walk&, const Snapshot&) {
  return Verdict::go_on();
}

}  // namespace fairlead::core::steps
