#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace fairlead::core {

enum class DropReason : uint8_t {
#define FL_DROP(name, sentence) name,
#include "dataplane/tables/drop_reasons.def"
#undef FL_DROP
  kCount
};

enum class Counter : uint8_t {
#define FL_COUNTER(name, sentence) name,
#include "dataplane/tables/counters.def"
#undef FL_COUNTER
  kCount
};

enum class Step : uint8_t {
#define FL_STEP(name, sentence) name,
#include "dataplane/tables/steps.def"
#undef FL_STEP
  kCount
};

struct NameAndSentence {
  std::string_view name;
  std::string_view sentence;
};

[[nodiscard]] NameAndSentence describe(DropReason reason);
[[nodiscard]] NameAndSentence describe(Counter counter);
[[nodiscard]] NameAndSentence describe(Step step);

// One consistent reading of all counters of an engine.
//
// Conservation holds in every reading: in == forwarded + answered + punted + held + sum(drops), and
// answered == sum(answers). A packet answered with an ICMP error is not a drop: its reason counts in
// `answers`.
struct Counters {
  std::array<uint64_t, static_cast<size_t>(Counter::kCount)> values{};
  std::array<uint64_t, static_cast<size_t>(DropReason::kCount)> drops{};
  std::array<uint64_t, static_cast<size_t>(DropReason::kCount)> answers{};

  [[nodiscard]] uint64_t operator[](Counter counter) const { return values[static_cast<size_t>(counter)]; }
  [[nodiscard]] uint64_t operator[](DropReason reason) const { return drops[static_cast<size_t>(reason)]; }
  [[nodiscard]] uint64_t drops_total() const;
  [[nodiscard]] bool conserved() const;
  Counters& operator+=(const Counters& other);
};

}  // namespace fairlead::core
