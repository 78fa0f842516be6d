// The reference model and the packet rows were written apart; here each checks the other.
//
// Where the model leaves a choice (a backend, a source port), every row must hold for each way to choose.
#include "tests/golden/rows.hpp"
#include "tests/model/model.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <stdexcept>

namespace fairlead::model {
namespace {

using golden::Arrival;
using golden::Outcome;

// Chooses the first, the last, or any.
enum class Taste { kFirst, kLast, kRandom };

uint16_t get16(const Bytes& b, size_t at) {
  return static_cast<uint16_t>(b[at] << 8 | b[at + 1]);
}

void put16(Bytes& b, size_t at, uint32_t value) {
  b[at] = static_cast<uint8_t>(value >> 8);
  b[at + 1] = static_cast<uint8_t>(value);
}

// What a device would make of a frame whose checksum it is to complete, and which it is to cut.
std::vector<Bytes> on_the_wire(const Arrival& arrival) {
  if (!arrival.partial) return {arrival.bytes};
  const auto [start, offset] = golden::checksum_place(arrival.bytes);
  const bool is4 = arrival.bytes[12] == 0x08, tcp = offset == 16;
  const size_t header = start + (tcp ? (arrival.bytes[start + 12] >> 4) * 4u : 8u);
  const size_t size = arrival.segment_size == 0 ? SIZE_MAX : arrival.segment_size;
  std::vector<Bytes> frames;
  size_t at = header;
  do {
    const size_t piece = std::min(size, arrival.bytes.size() - at);
    const bool last = at + piece == arrival.bytes.size();
    Bytes frame(arrival.bytes.begin(), arrival.bytes.begin() + static_cast<std::ptrdiff_t>(header));
    frame.insert(frame.end(), arrival.bytes.begin() + static_cast<std::ptrdiff_t>(at),
                 arrival.bytes.begin() + static_cast<std::ptrdiff_t>(at + piece));
    const auto index = static_cast<uint32_t>(frames.size());
    put16(frame, is4 ? 16 : 18, static_cast<uint32_t>(frame.size() - (is4 ? 14 : 54)));
    if (is4) {
      put16(frame, 18, get16(frame, 18) + index);
      put16(frame, 24, 0);
      put16(frame, 24, golden::internet_checksum(frame.data() + 14, 20));
    }
    if (tcp) {
      uint32_t sequence = static_cast<uint32_t>(get16(frame, start + 4) << 16) | get16(frame, start + 6);
      sequence += static_cast<uint32_t>(at - header);
      put16(frame, start + 4, sequence >> 16);
      put16(frame, start + 6, sequence & 0xffff);
      if (!last) frame[start + 13] &= 0xf6;  // FIN and PSH stand on the last one
    }
    const size_t addresses = is4 ? 26 : 22;
    const auto length = static_cast<uint32_t>(frame.size() - start);
    const uint32_t pseudo =
        golden::partial_sum(frame.data() + addresses, start - addresses) + (tcp ? 6 : 17) + length;
    put16(frame, start + offset, 0);
    put16(frame, start + offset, golden::internet_checksum(frame.data() + start, length, pseudo));
    frames.push_back(frame);
    at += piece;
  } while (at < arrival.bytes.size());
  return frames;
}

// The model as if it were an engine.
class ModelRows final : public golden::RowEngine {
 public:
  explicit ModelRows(Taste taste) : taste_(taste) {}

  void load(const World& world) override { model_ = std::make_unique<Model>(world); }
  void change(const World& world) override { model_->change(world); }
  bool wait(uint32_t seconds) override {
    for (uint32_t second = 0; second < seconds; ++second) model_->pass(1);
    return true;
  }
  [[nodiscard]] bool takes_offload() const override { return true; }
  [[nodiscard]] std::optional<uint64_t> count(const std::string& /*name*/) const override { return {}; }

  Outcome inject(const Arrival& arrival) override {
    Outcome outcome;
    for (const Bytes& frame : on_the_wire(arrival)) inject_one(arrival.port, frame, outcome);
    return outcome;
  }

 private:
  void inject_one(uint32_t port, const Bytes& frame, Outcome& outcome) {
    std::vector<Allowed> allowed = model_->judge(port, frame);
    std::erase_if(allowed, [](const Allowed& one) { return one.tolerated; });
    for (const Allowed& one : allowed) {
      if (one.anything) throw std::invalid_argument("the model does not say what becomes of it");
    }
    Allowed one = allowed.at(choose(allowed.size()));
    if (one.chooses_port) one = model_->with_port(one, some_port(one));
    model_->happened(one);
    const Judgement& judgement = one.judgement;
    switch (judgement.fate) {
      case Judgement::Fate::kDrop:
        ++outcome.dropped[judgement.reason];
        return;
      case Judgement::Fate::kHold:
        ++outcome.held;
        return;
      case Judgement::Fate::kAnswer:
        ++outcome.answered[judgement.reason];
        break;
      case Judgement::Fate::kForward:
      case Judgement::Fate::kPunt:
        break;
    }
    outcome.emitted.push_back({judgement.port, judgement.frame.bytes, judgement.frame.mask});
  }

  size_t choose(size_t count) {
    if (taste_ == Taste::kFirst) return 0;
    return taste_ == Taste::kLast ? count - 1 : random_() % count;
  }

  uint16_t some_port(const Allowed& one) {
    const uint32_t first = model_->world().snat_first, last = model_->world().snat_last;
    std::vector<uint16_t> free;
    for (uint32_t port = first; port <= last; ++port) {
      if (model_->is_free(one, static_cast<uint16_t>(port))) free.push_back(static_cast<uint16_t>(port));
    }
    return free.at(choose(free.size()));
  }

  Taste taste_;
  std::unique_ptr<Model> model_;
  std::mt19937 random_{7};
};

TEST(ReferenceModel, AgreesWithEveryRow) {
  const golden::Rows rows = golden::load_rows(FAIRLEAD_ROWS);
  for (const Taste taste : {Taste::kFirst, Taste::kLast, Taste::kRandom}) {
    ModelRows engine(taste);
    for (const golden::Row& row : rows.rows) EXPECT_EQ(golden::run_row(rows, row, engine), "");
  }
}

}  // namespace
}  // namespace fairlead::model
