#pragma once

#include "controlplane/calc/compile.hpp"
#include "controlplane/intent/intent.hpp"
#include "dataplane/core/node_state.hpp"

#include <map>
#include <string>
#include <vector>

namespace fairlead::control {

// Which node has which pod CIDRs, each in the order of the Node. The first owner keeps a range: the node that
// has it in `previous`, else the one with the smaller name; what overlaps it, a service range, or a node's
// own address is refused.
[[nodiscard]] std::map<std::string, std::vector<core::Prefix>> assign_ranges(const Intent& intent,
                                                                             const core::NodeState& previous,
                                                                             std::vector<Refusal>& refusals);

}  // namespace fairlead::control
