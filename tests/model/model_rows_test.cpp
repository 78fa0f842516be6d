// The reference model and the packet rows were written apart; here each checks the other.
#include "tests/golden/rows.hpp"
#include "tests/model/model.hpp"

#include <gtest/gtest.h>

namespace fairlead::model {
namespace {

using golden::Expectation;

bool agree(const golden::Frame& one, const golden::Frame& other) {
  if (one.bytes.size() != other.bytes.size()) return false;
  for (size_t at = 0; at < one.bytes.size(); ++at) {
    if (((one.bytes[at] ^ other.bytes[at]) & one.mask[at] & other.mask[at]) != 0) return false;
  }
  return true;
}

std::string compare(const Judgement& judged, const std::vector<Expectation>& expected,
                    const std::map<std::string, std::string>& macs) {
  const char* fates[] = {"forward", "answer", "punt", "hold", "drop"};
  const std::string said = std::string(fates[static_cast<int>(judged.fate)]) + " " + judged.reason;
  for (const Expectation& one : expected) {
    switch (one.kind) {
      case Expectation::Kind::kDrop:
        if (judged.fate != Judgement::Fate::kDrop || judged.reason != one.reason)
          return "row: drop " + one.reason + ", model: " + said;
        break;
      case Expectation::Kind::kAnswerFor:
        if (judged.fate != Judgement::Fate::kAnswer || judged.reason != one.reason)
          return "row: for " + one.reason + ", model: " + said;
        break;
      case Expectation::Kind::kHold:
        if (judged.fate != Judgement::Fate::kHold) return "row: hold, model: " + said;
        break;
      case Expectation::Kind::kOut: {
        if (judged.fate == Judgement::Fate::kDrop || judged.fate == Judgement::Fate::kHold)
          return "row: " + one.frame + "\nmodel: " + said;
        const golden::Frame frame = golden::build_frame(one.frame, macs);
        if (judged.port != one.port || !agree(frame, judged.frame)) {
          return "row: " + one.frame + "\nmodel: " + said + " by port " + std::to_string(judged.port) + "\n" +
                 frame.difference(judged.frame.bytes);
        }
        break;
      }
    }
  }
  return "";
}

TEST(ReferenceModel, AgreesWithEveryRow) {
  const golden::Rows rows = golden::load_rows(FAIRLEAD_ROWS);
  for (const golden::Row& row : rows.rows) {
    const World* world = &rows.states.at(row.state);
    for (const golden::Stimulus& stimulus : row.stimuli) {
      if (!stimulus.change_to.empty()) world = &rows.states.at(stimulus.change_to);
      if (stimulus.frame.empty()) continue;
      const auto macs = world->macs();
      const Judgement judged = judge(*world, stimulus.port, golden::build_frame(stimulus.frame, macs).bytes);
      EXPECT_EQ(compare(judged, stimulus.expected, macs), "")
          << row.file << ":" << stimulus.line << " row " << row.name << "\n"
          << stimulus.frame;
    }
  }
}

}  // namespace
}  // namespace fairlead::model
