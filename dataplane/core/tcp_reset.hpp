#pragma once

#include "dataplane/core/walk.hpp"

#include <cstdint>

namespace fairlead::core {

// Is this refusal one that a TCP sender hears of by a reset, as if the Service's address had no listener?
[[nodiscard]] inline bool resets_tcp(DropReason reason) {
  return reason == DropReason::NO_SERVICE || reason == DropReason::NO_BACKEND ||
         reason == DropReason::BACKEND_GONE;
}

// Can the packet be answered with a reset? A TCP segment, whole, that is none itself.
[[nodiscard]] bool may_be_reset(const Walk& walk);

// Turns the segment, in place, into the reset that a host without such a connection answers with: from its
// destination to its source, Ethernet header not yet written; walk.p describes the new packet, offload is
// cleared. Leaves room for a header of `header_length` bytes in front; false, with nothing changed, when the
// buffer has no such room.
//
// RFC: 9293 section 3.10.7.1
[[nodiscard]] bool write_tcp_reset(Walk& walk, uint32_t header_length);

}  // namespace fairlead::core
