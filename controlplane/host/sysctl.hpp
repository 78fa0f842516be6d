#pragma once

#include "dataplane/base/result.hpp"

#include <string>

namespace fairlead::control {

// Kernel switches under /proc/sys of the calling thread's network namespace.
//
// Names are paths ("net/ipv4/ip_forward"): interface names may contain dots.

[[nodiscard]] Result<std::string> read_sysctl(const std::string& name);  // FL4305

// Writes only when the value differs. True when it was written. Errors: FL4305, with both values.
[[nodiscard]] Result<bool> ensure_sysctl(const std::string& name, const std::string& value);

// Makes this node forward IPv4 and IPv6, and changes nothing that is set already. An uplink that learns its
// IPv6 routes from router advertisements goes on doing so (accept_ra 2): plain forwarding would end that.
[[nodiscard]] Result<void> ensure_forwarding(const std::string& uplink);

}  // namespace fairlead::control
