#pragma once

#include "dataplane/base/result.hpp"
#include "dataplane/core/packet.hpp"
#include "dataplane/core/snapshot.hpp"
#include "dataplane/engine.hpp"

#include <vector>

namespace fairlead::core {

// A frame made from a description, in a buffer of its own.
struct TraceFrame {
  std::vector<uint8_t> buffer;
  Packet packet;  // points into `buffer`
};

// The packet that `request` describes, as it would be received: on the trunk or fast port of the endpoint, or
// on the port. TCP is a SYN, ICMP an echo request; DF is set. Errors: FL2203 (sender unknown), FL2204
// (addresses or length make no packet).
[[nodiscard]] Result<TraceFrame> build_trace_frame(const TraceRequest& request, const Snapshot& snapshot);

}  // namespace fairlead::core
