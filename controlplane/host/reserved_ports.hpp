#pragma once

#include "dataplane/base/result.hpp"

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>

namespace fairlead::control {

// Ports that the kernel does not hand to programs that ask for any port (net.ipv4.ip_local_reserved_ports,
// for both families): those the forwarder translates connections to.

// "8080,9148-9150" as the kernel writes it, and back. nullopt when it is not that.
[[nodiscard]] std::optional<std::set<uint16_t>> parse_ports(std::string_view text);
[[nodiscard]] std::string ports_text(const std::set<uint16_t>& ports);

// Adds first..last to what is reserved in this network namespace and keeps what others have reserved.
//
// What we have added is written to `record`, so that another range later replaces it, and release_ports()
// takes away exactly that. Nothing is undone when the agent ends: the dataplane goes on translating. Errors:
// FL4305 the kernel's switch, FL5023 the record.
[[nodiscard]] Result<void> reserve_ports(const std::string& record, uint16_t first, uint16_t last);

// Gives back what reserve_ports() added; for whoever removes Fairlead from a node.
[[nodiscard]] Result<void> release_ports(const std::string& record);

}  // namespace fairlead::control
