#pragma once

#include <string_view>

namespace fairlead::control {

// The rules of the CNI specification for what a runtime may call things. Checked by the plugin for its caller
// and again by the agent, which trusts nobody.

// ^[a-zA-Z0-9][a-zA-Z0-9_.\-]*$ - container ids and network names; at most 255 characters.
[[nodiscard]] bool is_valid_cni_name(std::string_view text);

// What the kernel takes as an interface name: 1..15 bytes, not "." or "..", no '/', ':' or white space.
[[nodiscard]] bool is_valid_interface_name(std::string_view text);

}  // namespace fairlead::control
