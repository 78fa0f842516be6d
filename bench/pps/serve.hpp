#pragma once

#include "bench/pps/path.hpp"
#include "dataplane/base/result.hpp"

#include <string>

namespace fairlead::bench {

// One contestant's process.
struct Serving {
  Load load;
  std::string plugin;       // librte_net_replay.so
  std::string source_page;  // files
  std::string sink_page;
  unsigned first_cpu = 0;  // of the workers; the control thread gets the last one
  unsigned control_cpu = 1;
  std::string break_what;  // tests only: "ttl", "payload" or "length" sends wrong frames, "lose" none
};

// Runs the path on the replay port until standard input ends. Answers one line to each line read: "counters"
// with "hits N misses N drops N in N", "flush" (every flow is aged away) with "flushed", "rss" with bytes.
[[nodiscard]] Result<void> serve(const Serving& serving);

}  // namespace fairlead::bench
