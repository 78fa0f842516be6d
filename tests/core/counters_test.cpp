#include "dataplane/core/counters.hpp"

#include <gtest/gtest.h>

#include <set>
#include <string>

namespace fairlead::core {
namespace {

template <typename Id>
void expect_described(size_t count) {
  std::set<std::string> names;
  for (size_t i = 0; i < count; ++i) {
    const NameAndSentence text = describe(static_cast<Id>(i));
    EXPECT_FALSE(text.name.empty());
    EXPECT_FALSE(text.sentence.empty());
    EXPECT_TRUE(names.insert(std::string(text.name)).second) << text.name << " is there twice";
  }
  EXPECT_EQ(describe(static_cast<Id>(count)).name, "UNKNOWN");
}

TEST(Counters, EveryIdHasANameAndASentence) {
  expect_described<DropReason>(static_cast<size_t>(DropReason::kCount));
  expect_described<Counter>(static_cast<size_t>(Counter::kCount));
  expect_described<Step>(static_cast<size_t>(Step::kCount));
  EXPECT_EQ(describe(DropReason::SPOOFED_SOURCE).name, "SPOOFED_SOURCE");
  EXPECT_EQ(describe(Counter::punted).name, "punted");
}

Counters sample() {
  Counters counters;
  counters.values[static_cast<size_t>(Counter::in)] = 15;
  counters.values[static_cast<size_t>(Counter::forwarded)] = 5;
  counters.values[static_cast<size_t>(Counter::answered)] = 4;
  counters.values[static_cast<size_t>(Counter::punted)] = 3;
  counters.values[static_cast<size_t>(Counter::held)] = 1;
  counters.drops[static_cast<size_t>(DropReason::NO_ROUTE)] = 2;
  counters.answers[static_cast<size_t>(DropReason::TTL_EXCEEDED)] = 4;
  return counters;
}

TEST(Counters, ConservationIsExact) {
  EXPECT_TRUE(Counters{}.conserved());
  EXPECT_TRUE(sample().conserved());
  for (const Counter part :
       {Counter::in, Counter::forwarded, Counter::answered, Counter::punted, Counter::held}) {
    Counters counters = sample();
    ++counters.values[static_cast<size_t>(part)];
    EXPECT_FALSE(counters.conserved()) << describe(part).name;
  }
  Counters lost_drop = sample();
  ++lost_drop.drops[static_cast<size_t>(DropReason::MULTICAST)];
  EXPECT_FALSE(lost_drop.conserved());
  Counters lost_answer = sample();
  --lost_answer.answers[static_cast<size_t>(DropReason::TTL_EXCEEDED)];
  EXPECT_FALSE(lost_answer.conserved());
}

TEST(Counters, AddingKeepsConservationAndEveryValue) {
  Counters sum = sample();
  sum += sample();
  EXPECT_TRUE(sum.conserved());
  EXPECT_EQ(sum[Counter::in], 30u);
  EXPECT_EQ(sum[DropReason::NO_ROUTE], 4u);
  EXPECT_EQ(sum.drops_total(), 4u);
  EXPECT_EQ(sum.answers[static_cast<size_t>(DropReason::TTL_EXCEEDED)], 8u);
}

}  // namespace
}  // namespace fairlead::core
