// Every packet row through the whole DPDK engine, between ring ports.
#include "tests/dpdk/ring_engine.hpp"
#include "tests/golden/rows.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <memory>
#include <stdexcept>

namespace fairlead::golden {
namespace {

class DpdkRows final : public CountingEngine {
 public:
  void load(const World& world) override {
    engine_.reset();
    engine_ = std::make_unique<test::RingEngine>();
    published_ = {};
    change(world);
  }

  void change(const World& world) override {
    require((*engine_)->set_underlay(underlay_of(world)));
    const core::NodeState state = node_state_of(world, published_.generation + 1);
    require((*engine_)->publish(core::diff(published_, state)));
    published_ = state;
  }

  bool wait(uint32_t /*seconds*/) override { return false; }
  [[nodiscard]] bool takes_offload() const override { return false; }  // rings carry bytes only

 protected:
  std::vector<Emitted> forward(const Arrival& arrival) override {
    engine_->inject(static_cast<core::PortId>(arrival.port), arrival.bytes);
    std::vector<Emitted> emitted;
    for (auto& [out, bytes] : engine_->collect()) emitted.push_back({out, std::move(bytes), {}});
    return emitted;
  }

  [[nodiscard]] core::Counters counters() const override { return (*engine_)->counters(); }

 private:
  static void require(const Result<void>& result) {
    if (!result) throw std::runtime_error(result.error().text());
  }

  std::unique_ptr<test::RingEngine> engine_;
  core::NodeState published_;
};

TEST(DpdkRows, Agree) {
  const Rows rows = load_rows(FAIRLEAD_ROWS);
  DpdkRows engine;
  size_t left = 0;
  for (const Row& row : rows.rows) {
    bool incomplete = false;
    EXPECT_EQ(run_row(rows, row, engine, &incomplete), "");
    if (!incomplete) continue;
    ++left;
    std::printf("not to its end: %s\n", row.name.c_str());
  }
  std::printf(
      "%zu rows, %zu of them up to where seconds pass (this engine's clock is the machine's) or a "
      "checksum is partial (rings carry bytes only); core_rows_test.cpp plays these to their end\n",
      rows.rows.size(), left);
  EXPECT_LT(left, rows.rows.size() / 5);
}

}  // namespace
}  // namespace fairlead::golden
