#pragma once

#include "dataplane/core/address.hpp"

#include <string_view>

namespace fairlead::control {

// "loopback", "link-local", "multicast", "unspecified", "reserved": what no Service may answer on or lead to,
// because it means the node itself, everybody, or nobody. Empty for every other address.
[[nodiscard]] std::string_view special_kind(const core::IpAddress& address);

}  // namespace fairlead::control
