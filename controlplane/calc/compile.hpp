#pragma once

#include "controlplane/intent/intent.hpp"
#include "dataplane/core/node_state.hpp"

#include <string>
#include <vector>

namespace fairlead::control {

// Something in the intent that cannot forward: left out, named, and the rest goes on.
struct Refusal {
  std::string code;    // FL1030: a row of error_codes.def
  std::string object;  // node/node-3
  std::string field;   // spec.podCIDRs[0]
  std::string reason;
};

struct Compiled {
  core::NodeState state;  // generation is 0: the publisher numbers it
  std::vector<Refusal> refusals;
};

// Turns what the cluster wants into what can forward on this node. Pure: the same intent gives the same
// state.
//
// Peer ids are kept from `previous` for the same node name. Overlapping pod CIDRs: the first owner keeps them
// (the one in `previous`, else the smaller node name) and the other is refused. Mode Auto: routed when the
// peer's address is on-link, otherwise overlay. Pod MTU: uplink MTU minus the overhead of the worst transport
// in use.
[[nodiscard]] Compiled compile(const Intent& intent, const core::NodeState& previous);

}  // namespace fairlead::control
