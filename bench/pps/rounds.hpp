#pragma once

#include "bench/pps/contestant.hpp"
#include "dataplane/base/result.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace fairlead::bench {

// Median and the band that 90 % of the rounds lie in.
struct Spread {
  double median = 0, p05 = 0, p95 = 0;
  unsigned rounds = 0;
};
[[nodiscard]] Spread spread(std::vector<double> values);

struct Rounds {
  unsigned count = 20;
  unsigned slice_ms = 100;
  unsigned warm_ms = 10;            // of every slice, before it counts: caches fill again
  unsigned cpu = 0;                 // the first one measured
  unsigned tolerated_switches = 0;  // a slice: where workers share the measuring thread's CPU
};

// Cycles per packet of every contestant in every round that counts: values[contestant][round].
struct Measured {
  std::vector<std::vector<double>> cycles;
  unsigned discarded = 0;         // rounds in which somebody else had the core, or its clock changed
  unsigned disturbed_slices = 0;  // run again at once
  double core_per_tsc = 0;  // core cycles per TSC cycle, median of a loop of dependent additions each round
  double tsc_ghz = 0;
  [[nodiscard]] Spread of(size_t contestant) const { return spread(cycles.at(contestant)); }
  // Medians of per-round values of the two together.
  [[nodiscard]] Spread difference(size_t contestant, size_t floor) const;
  [[nodiscard]] Spread ratio(size_t above, size_t below) const;
};

// Lets every contestant run one slice a round, in an order that changes from round to round. Slices with
// steal or involuntary context switches are run again; rounds in which that did not help, or with the core at
// another clock, are left out and repeated, at most as many as count.
//
// Errors: FL6102 when frames came out wrong or did not come out; FL6103 when the machine is too busy.
[[nodiscard]] Result<Measured> measure(const std::vector<Contestant*>& contestants, const Rounds& rounds);

// One slice, without judging who else ran. The contestant is paused before and after.
struct Slice {
  double cycles_per_packet = 0;
  uint64_t packets = 0;
  bool disturbed = false;
};
[[nodiscard]] Result<Slice> run_slice(Contestant& contestant, const Rounds& rounds);

// Core cycles per TSC cycle on `cpu`, by a loop of dependent additions.
[[nodiscard]] double core_per_tsc(unsigned cpu);
[[nodiscard]] double tsc_ghz();

}  // namespace fairlead::bench
