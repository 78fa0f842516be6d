#include "dataplane/core/counters.hpp"

#include <numeric>

namespace fairlead::core {

namespace {

constexpr NameAndSentence kDropReasons[] = {
#define FL_DROP(name, sentence) {#name, sentence},
#include "dataplane/tables/drop_reasons.def"
#undef FL_DROP
};

constexpr NameAndSentence kCounters[] = {
#define FL_COUNTER(name, sentence) {#name, sentence},
#include "dataplane/tables/counters.def"
#undef FL_COUNTER
};

constexpr NameAndSentence kSteps[] = {
#define FL_STEP(name, sentence) {#name, sentence},
#include "dataplane/tables/steps.def"
#undef FL_STEP
};

// Ids also come from other processes' counters: one that this build does not know still has something to say.
template <size_t N>
NameAndSentence at(const NameAndSentence (&table)[N], size_t index) {
  return index < N ? table[index] : NameAndSentence{"UNKNOWN", "not known to this build"};
}

}  // namespace

NameAndSentence describe(DropReason reason) {
  return at(kDropReasons, static_cast<size_t>(reason));
}

NameAndSentence describe(Counter counter) {
  return at(kCounters, static_cast<size_t>(counter));
}

NameAndSentence describe(Step step) {
  return at(kSteps, static_cast<size_t>(step));
}

uint64_t Counters::drops_total() const {
  return std::accumulate(drops.begin(), drops.end(), uint64_t{0});
}

bool Counters::conserved() const {
  const uint64_t answered = std::accumulate(answers.begin(), answers.end(), uint64_t{0});
  if ((*this)[Counter::answered] != answered) return false;
  return (*this)[Counter::in] == (*this)[Counter::forwarded] + (*this)[Counter::answered] +
                                     (*this)[Counter::punted] + (*this)[Counter::held] + drops_total();
}

Counters& Counters::operator+=(const Counters& other) {
  for (size_t i = 0; i < values.size(); ++i) values[i] += other.values[i];
  for (size_t i = 0; i < drops.size(); ++i) drops[i] += other.drops[i];
  for (size_t i = 0; i < answers.size(); ++i) answers[i] += other.answers[i];
  return *this;
}

}  // namespace fairlead::core
