#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace fairlead::ipc {

// The header that a trace would push, one protocol a line, for people: "VXLAN  vni 100". What does not decode
// is shown as its number of bytes; never fails.
[[nodiscard]] std::string header_text(std::span<const uint8_t> bytes);

}  // namespace fairlead::ipc
