#pragma once

#include "bench/pps/path.hpp"
#include "dataplane/base/result.hpp"

#include <cstdint>
#include <string>

namespace fairlead::bench {

// What a trial at a rate came to: the packets that fell due, those that came out right, and where the others
// stayed: in front of the port, which had no descriptor free, or in the forwarder.
struct Trial {
  uint64_t sent = 0;
  uint64_t received = 0;
  uint64_t missed = 0;
  double duration_s = 0;
};

// Offers the load `mpps` million packets a second for `seconds`, evenly over the workers' queues, after every
// flow was seen. `program` is fairlead-bench-pps.
//
// Errors: FL6001 a path whose flows would run out; FL6101, FL6104 it did not start; FL6102 wrong frames, or
// counters that do not add up.
[[nodiscard]] Result<Trial> run_trial(const std::string& program, const Load& load, double mpps,
                                      double seconds);
// The same with this program, printed as one JSON object (kind fairlead-trial) or for people.
[[nodiscard]] Result<void> print_trial(const Load& load, double mpps, double seconds, bool as_json);

}  // namespace fairlead::bench
