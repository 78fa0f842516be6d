// Runs a row on an engine.
#include "tests/golden/rows.hpp"

#include <algorithm>
#include <stdexcept>

namespace fairlead::golden {
namespace {

std::string port_name(uint32_t port) {
  return port == kUplinkPort ? "uplink" : port == kTrunkPort ? "trunk" : "host";
}

bool is_ipv4_header_wrong(const Emitted& one) {
  const Bytes& frame = one.bytes;
  if (!one.mask.empty() || frame.size() < 34 || frame[12] != 0x08 || frame[13] != 0x00) return false;
  const size_t length = static_cast<size_t>(frame[14] & 15) * 4;
  return frame.size() >= 14 + length && internet_checksum(frame.data() + 14, length) != 0;
}

std::string said(const Outcome& outcome) {
  std::string text;
  for (const auto& [reason, times] : outcome.dropped) text += " drop " + reason;
  for (const auto& [reason, times] : outcome.answered) text += " answer for " + reason;
  if (outcome.held != 0) text += " held";
  return text.empty() ? " nothing was dropped, answered or held" : text;
}

// One packet's outcome against what the row expects.
class Comparison {
 public:
  Comparison(const Outcome& outcome, const Names& names, Bindings& bindings)
      : outcome_(outcome), names_(names), bindings_(bindings), used_(outcome.emitted.size()) {}

  std::string run(const Stimulus& stimulus) {
    if (!outcome_.conserved) wrong_ += "packets are not conserved\n";
    for (const Expectation& one : stimulus.expected) {
      switch (one.kind) {
        case Expectation::Kind::kOut:
          expect_out(one);
          break;
        case Expectation::Kind::kDrop:
          expect_once(outcome_.dropped, one.reason, "not dropped for ");
          break;
        case Expectation::Kind::kAnswerFor:
          expect_once(outcome_.answered, one.reason, "not answered for ");
          break;
        case Expectation::Kind::kHold:
          if (outcome_.held != 1) wrong_ += "not held, but" + said(outcome_) + "\n";
          break;
      }
    }
    for (size_t index = 0; index < outcome_.emitted.size(); ++index) {
      const Emitted& one = outcome_.emitted[index];
      if (is_ipv4_header_wrong(one)) wrong_ += "the IPv4 header checksum of what left is wrong\n";
      if (!used_[index])
        wrong_ += "this left by " + port_name(one.port) + " unexpectedly: " + hex(one.bytes) +
                  said(outcome_) + "\n";
    }
    return wrong_;
  }

 private:
  void expect_out(const Expectation& expected) {
    std::string nearest;
    for (const Expectation::Out& out : expected.any_of) {
      for (size_t index = 0; index < outcome_.emitted.size(); ++index) {
        const Emitted& one = outcome_.emitted[index];
        if (used_[index] || one.port != out.port) continue;
        if (match_frame(out.frame, names_, bindings_, one.bytes, one.mask)) {
          used_[index] = true;
          return;
        }
        nearest = build_frame(out.frame, names_, bindings_).difference(one.bytes);
      }
    }
    wrong_ += "nothing like this left:";
    for (const Expectation::Out& out : expected.any_of)
      wrong_ += " " + port_name(out.port) + " " + out.frame + "\n";
    wrong_ += nearest + said(outcome_) + "\n";
  }

  void expect_once(const std::map<std::string, uint64_t>& counted, const std::string& reason,
                   const char* otherwise) {
    const auto found = counted.find(reason);
    if (found == counted.end() || found->second != 1)
      wrong_ += otherwise + reason + ", but" + said(outcome_) + "\n";
  }

  const Outcome& outcome_;
  const Names& names_;
  Bindings& bindings_;
  std::vector<bool> used_;
  std::string wrong_;
};

std::string compare_counts(const std::map<std::string, uint64_t>& wanted,
                           const std::map<std::string, uint64_t>& start, const RowEngine& engine) {
  std::string wrong;
  for (const auto& [name, delta] : wanted) {
    const std::optional<uint64_t> now = engine.count(name);
    if (!now) continue;
    const uint64_t rose = *now - start.at(name);
    if (rose != delta)
      wrong += name + " rose by " + std::to_string(rose) + ", wanted " + std::to_string(delta) + "\n";
  }
  return wrong;
}

std::string because_of(const core::Counters& counters, const std::string& name, uint64_t* value) {
  for (size_t index = 0; index < static_cast<size_t>(core::Counter::kCount); ++index) {
    if (core::describe(static_cast<core::Counter>(index)).name == name) {
      *value = counters.values[index];
      return "";
    }
  }
  for (size_t index = 0; index < static_cast<size_t>(core::DropReason::kCount); ++index) {
    if (core::describe(static_cast<core::DropReason>(index)).name == name) {
      *value = counters.drops[index];
      return "";
    }
  }
  return "no counter is called " + name;
}

}  // namespace

Outcome CountingEngine::inject(const Arrival& arrival) {
  const core::Counters before = counters();
  Outcome outcome;
  outcome.emitted = forward(arrival);
  const core::Counters after = counters();
  outcome.conserved = after.conserved();
  outcome.held = after[core::Counter::held] - before[core::Counter::held];
  for (size_t index = 0; index < static_cast<size_t>(core::DropReason::kCount); ++index) {
    const std::string name(core::describe(static_cast<core::DropReason>(index)).name);
    if (after.drops[index] != before.drops[index])
      outcome.dropped[name] = after.drops[index] - before.drops[index];
    if (after.answers[index] != before.answers[index])
      outcome.answered[name] = after.answers[index] - before.answers[index];
  }
  return outcome;
}

std::optional<uint64_t> CountingEngine::count(const std::string& name) const {
  uint64_t value = 0;
  if (const std::string wrong = because_of(counters(), name, &value); !wrong.empty())
    throw std::invalid_argument(wrong);
  return value;
}

std::pair<uint16_t, uint16_t> checksum_place(const Bytes& frame) {
  const bool ipv4 = frame.at(12) == 0x08;
  const uint8_t protocol = frame.at(ipv4 ? 23 : 20);
  return {static_cast<uint16_t>(ipv4 ? 34 : 54), static_cast<uint16_t>(protocol == 17 ? 6 : 16)};
}

std::string run_row(const Rows& rows, const Row& row, RowEngine& engine, bool* incomplete) {
  const World* world = &rows.states.at(row.state);
  engine.load(*world);
  Bindings bindings;
  std::map<std::string, uint64_t> start;
  for (const Stimulus& stimulus : row.stimuli) {
    for (const auto& [name, wanted] : stimulus.counted) start[name] = engine.count(name).value_or(0);
  }
  for (const Stimulus& stimulus : row.stimuli) {
    const bool offload = stimulus.partial || stimulus.segment_size != 0;
    if ((stimulus.wait_seconds != 0 && !engine.wait(stimulus.wait_seconds)) ||
        (offload && !engine.takes_offload())) {
      if (incomplete != nullptr) *incomplete = true;
      return "";
    }
    std::string wrong;
    try {
      if (!stimulus.change_to.empty()) {
        world = &rows.states.at(stimulus.change_to);
        engine.change(*world);
      } else if (!stimulus.counted.empty()) {
        wrong = compare_counts(stimulus.counted, start, engine);
      } else if (!stimulus.frame.empty()) {
        const Names names = world->macs();
        const Frame frame = build_frame(stimulus.frame, names, bindings);
        if (!frame.open.empty()) throw std::invalid_argument(frame.open[0].name + " has no value yet");
        const Outcome outcome = engine.inject({stimulus.port, frame.bytes, stimulus.segment_size, offload});
        wrong = Comparison(outcome, names, bindings).run(stimulus);
      }
    } catch (const std::invalid_argument& refused) {
      wrong = std::string(refused.what()) + "\n";
    }
    if (!wrong.empty()) {
      for (const auto& [name, value] : bindings) wrong += name + "=" + value + " ";
      return row.file + ":" + std::to_string(stimulus.line) + ": row " + row.name + "\n  " + stimulus.frame +
             "\n" + wrong;
    }
  }
  return "";
}

}  // namespace fairlead::golden
