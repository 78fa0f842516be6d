#pragma once

#include "bench/pps/path.hpp"
#include "dataplane/core/node_state.hpp"
#include "dataplane/core/underlay.hpp"

namespace fairlead::bench {

inline constexpr core::PortId kUplink = 1, kTrunk = 2;

// A node with a hundred pods and one peer, and as many routes to the peer as the load has destinations.
[[nodiscard]] core::NodeState node_state(const Load& load);
[[nodiscard]] core::Underlay underlay(const core::MacAddress& uplink);

}  // namespace fairlead::bench
