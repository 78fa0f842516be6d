// Random lives of nodes with Services: the core and the reference model must say the same of every packet.
//
// FAIRLEAD_DIFFERENTIAL_PACKETS and FAIRLEAD_DIFFERENTIAL_SEED change the length and the start. A difference
// prints the seed of its state and as few events as still show it; they become a packet row.
#include "tests/model/differential.hpp"
#include "tests/model/history.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace fairlead::model {
namespace {

// What happens when these events happen to a fresh node: the first difference, and after which of them.
std::string first_difference(const golden::World& world, uint64_t seed, const std::vector<Event>& events) {
  Pair pair(world, seed);
  for (const Event& event : events) {
    std::string difference;
    if (!event.change.empty()) {
      difference = pair.change(event.world);
    } else if (event.seconds != 0) {
      pair.pass(event.seconds);
    } else {
      difference = pair.packet(event.port, event.frame).difference;
    }
    if (!difference.empty()) return difference;
  }
  return "";
}

// Leaves out whatever the difference does not need: halves, quarters, ... single events.
std::vector<Event> shrink(const golden::World& world, uint64_t seed, std::vector<Event> events) {
  for (size_t piece = events.size() / 2; piece > 0; piece /= 2) {
    for (size_t at = 0; at < events.size();) {
      std::vector<Event> fewer(events.begin(), events.begin() + static_cast<std::ptrdiff_t>(at));
      const size_t end = std::min(at + piece, events.size());
      fewer.insert(fewer.end(), events.begin() + static_cast<std::ptrdiff_t>(end), events.end());
      if (first_difference(world, seed, fewer).empty()) {
        at = end;
      } else {
        events = fewer;
      }
    }
  }
  return events;
}

std::string text(const std::vector<Event>& events) {
  std::string text;
  for (const Event& event : events) {
    if (!event.change.empty()) {
      text += "  change: " + event.change + "\n";
    } else if (event.seconds != 0) {
      text += "  wait " + std::to_string(event.seconds) + "\n";
    } else {
      text += "  in by port " + std::to_string(event.port) + " " + golden::hex(event.frame) + "\n";
    }
  }
  return text;
}

// One node's life with Services. Returns what differed, shrunk.
std::string live(uint64_t seed, uint64_t packets, Seen& seen) {
  History history(seed);
  const golden::World world = history.world();
  Pair pair(world, seed);
  std::vector<Event> events;
  while (packets > 0) {
    const Event event = history.next();
    events.push_back(event);
    std::string difference;
    if (!event.change.empty()) {
      difference = pair.change(event.world);
    } else if (event.seconds != 0) {
      pair.pass(event.seconds);
    } else {
      --packets;
      const Pair::Result result = pair.packet(event.port, event.frame);
      difference = result.difference;
      seen.count(result.was);
      for (const auto& out : result.out) {
        if (out.fate != core::Fate::kAnswer) history.left(out.port, out.frame);
      }
    }
    if (!difference.empty()) {
      ++seen.differences;
      const std::vector<Event> fewest = shrink(world, seed, events);
      return "seed " + std::to_string(seed) + " event " + std::to_string(events.size()) + "\n" +
             first_difference(world, seed, fewest) + "\n" + text(fewest);
    }
  }
  return pair.engine().counters().conserved() ? "" : "packets are not conserved";
}

TEST(Differential, CoreAndReferenceModelAgreeOnHistoriesOfServices) {
  const uint64_t packets = setting("FAIRLEAD_DIFFERENTIAL_PACKETS", 400'000);
  const uint64_t first_seed = setting("FAIRLEAD_DIFFERENTIAL_SEED", 20261126);
  constexpr uint64_t kPacketsPerState = 1'000;
  Seen seen;
  for (uint64_t seed = first_seed; seen.packets < packets && seen.differences < 10; ++seed) {
    EXPECT_EQ(live(seed, std::min(kPacketsPerState, packets - seen.packets), seen), "");
  }
  EXPECT_EQ(seen.differences, 0u) << "of " << seen.packets;
  EXPECT_GT(seen.forwarded, seen.packets / 3);
  EXPECT_GT(seen.translated, seen.packets / 5);
  EXPECT_LT(seen.open, seen.packets / 50) << "what the model leaves open is not compared";
  EXPECT_GE(seen.reasons.size(), 25u);
  seen.print("histories");
}

}  // namespace
}  // namespace fairlead::model
