// Every packet row through the whole DPDK engine, between ring ports.
#include "tests/dpdk/ring_engine.hpp"
#include "tests/golden/rows.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <stdexcept>

namespace fairlead::golden {
namespace {

class DpdkRows final : public RowEngine {
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

  std::vector<Emitted> inject(uint32_t port, const Bytes& frame) override {
    engine_->inject(static_cast<core::PortId>(port), frame);
    std::vector<Emitted> emitted;
    for (auto& [out, bytes] : engine_->collect()) emitted.push_back({out, std::move(bytes)});
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
  for (const Row& row : rows.rows) EXPECT_EQ(run_row(rows, row, engine), "");
}

}  // namespace
}  // namespace fairlead::golden
