// Every packet row on the core, by the engine without devices.
#include "dataplane/core/memory_engine.hpp"
#include "tests/golden/rows.hpp"

#include <gtest/gtest.h>

namespace fairlead::golden {
namespace {

class CoreRows final : public CountingEngine {
 public:
  void load(const World& world) override {
    core::ForwarderConfig config;
    config.flow_capacity = 1024;
    config.seed = 7;
    engine_ = std::make_unique<core::MemoryEngine>(config);
    generation_ = 0;
    now_ns_ = 1'000'000'000;
    require(engine_->add_port({.id = kUplinkPort, .kind = PortKind::kUplink, .device = "uplink"}));
    require(engine_->add_port({.id = kTrunkPort, .kind = PortKind::kTrunk, .device = "trunk"}));
    require(engine_->add_port({.id = kHostPort, .kind = PortKind::kHost, .device = "host"}));
    change(world);
  }

  void change(const World& world) override {
    require(engine_->set_underlay(underlay_of(world)));
    const core::NodeState state = node_state_of(world, ++generation_);
    core::NodeStateDelta delta = core::diff(engine_->forwarder().node_state(), state);
    require(engine_->publish(delta));
  }

  // A second at a time, as an engine's clock does.
  bool wait(uint32_t seconds) override {
    for (uint32_t second = 0; second < seconds; ++second) engine_->tick(now_ns_ += 1'000'000'000);
    return true;
  }

  [[nodiscard]] bool takes_offload() const override { return true; }

 protected:
  std::vector<Emitted> forward(const Arrival& arrival) override {
    core::Offload offload;
    if (arrival.partial) {
      std::tie(offload.checksum_start, offload.checksum_offset) = checksum_place(arrival.bytes);
      offload.checksum_partial = true;
      offload.segment_size = static_cast<uint16_t>(arrival.segment_size);
      const bool ipv4 = arrival.bytes[12] == 0x08;
      if (arrival.segment_size != 0) offload.segment_kind = ipv4 ? core::kSegmentTcp4 : core::kSegmentTcp6;
    }
    std::vector<Emitted> emitted;
    for (auto& output : engine_->inject(static_cast<core::PortId>(arrival.port), arrival.bytes, offload)) {
      emitted.push_back({output.port, std::move(output.frame), {}});
    }
    return emitted;
  }

  [[nodiscard]] core::Counters counters() const override { return engine_->counters(); }

 private:
  static void require(const Result<void>& result) {
    if (!result) throw std::runtime_error(result.error().text());
  }

  std::unique_ptr<core::MemoryEngine> engine_;
  uint64_t generation_ = 0;
  uint64_t now_ns_ = 0;
};

TEST(CoreRows, Agree) {
  const Rows rows = load_rows(FAIRLEAD_ROWS);
  CoreRows engine;
  for (const Row& row : rows.rows) EXPECT_EQ(run_row(rows, row, engine), "");
}

}  // namespace
}  // namespace fairlead::golden
