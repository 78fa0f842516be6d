// Random states, random packets: the core and the reference model must say the same of every one.
//
// FAIRLEAD_DIFFERENTIAL_PACKETS and FAIRLEAD_DIFFERENTIAL_SEED change the length and the start. A difference
// prints the seed of its state and the frame; both become a packet row.
#include "tests/model/differential.hpp"

#include "tests/model/generate.hpp"

#include <gtest/gtest.h>

namespace fairlead::model {
namespace {

TEST(Differential, CoreAndReferenceModelAgree) {
  const uint64_t packets = setting("FAIRLEAD_DIFFERENTIAL_PACKETS", 500'000);
  const uint64_t first_seed = setting("FAIRLEAD_DIFFERENTIAL_SEED", 20261123);
  constexpr uint64_t kPacketsPerState = 2'000;
  Seen seen;
  for (uint64_t seed = first_seed; seen.packets < packets; ++seed) {
    Generator generator(seed);
    const golden::World world = generator.world();
    Pair pair(world, seed);
    for (uint64_t number = 0; number < kPacketsPerState && seen.packets < packets; ++number) {
      const auto [port, frame] = generator.packet(world);
      const Pair::Result result = pair.packet(port, frame);
      seen.count(result.was);
      if (!result.difference.empty() && ++seen.differences <= 10) {
        ADD_FAILURE() << "seed " << seed << " packet " << number << " in by port " << port << "\n"
                      << result.difference << "\nframe " << golden::hex(frame);
      }
    }
    EXPECT_TRUE(pair.engine().counters().conserved()) << "seed " << seed;
  }
  EXPECT_EQ(seen.differences, 0u) << "of " << seen.packets;
  EXPECT_GT(seen.forwarded, seen.packets / 8);
  EXPECT_GT(seen.answered, seen.packets / 200);
  EXPECT_GE(seen.reasons.size(), 20u);
  seen.print("states");
}

}  // namespace
}  // namespace fairlead::model
