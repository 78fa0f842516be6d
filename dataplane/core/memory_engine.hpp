#pragma once

#include "dataplane/core/forwarder.hpp"
#include "dataplane/core/segment.hpp"
#include "dataplane/engine.hpp"

#include <map>
#include <memory>
#include <vector>

namespace fairlead::core {

// The engine without devices: frames go in by inject() and come out as vectors. It does what a real engine
// does around forward() - finish checksums, segment, fragment, hold for neighbours - in the plainest way, for
// tests and packet rows.
//
// Threads: one. Time passes by tick() only, plus a microsecond a frame.
class MemoryEngine final : public Engine {
 public:
  // Large enough for everything we push; a row about NO_HEADROOM asks for less.
  static constexpr uint16_t kHeadroom = 256;

  struct Output {
    PortId port = 0;
    std::vector<uint8_t> frame;
    Fate fate = Fate::kForward;            // kForward, kAnswer or kPunt
    DropReason reason = DropReason::NONE;  // kAnswer: what for
  };

  explicit MemoryEngine(const ForwarderConfig& config = {});
  ~MemoryEngine() override;

  // One frame received on `port`, and what leaves for it. Nothing: dropped (counters() says why) or held.
  std::vector<Output> inject(PortId port, std::span<const uint8_t> frame, const Offload& offload = {},
                             uint16_t headroom = kHeadroom);
  // What set_underlay() has released since the last call.
  std::vector<Output> take_released();
  // The verdict on the last frame; a held one stays "hold" when there was no room to keep it.
  [[nodiscard]] Fate last_fate() const { return last_fate_; }
  [[nodiscard]] DropReason last_reason() const { return last_reason_; }
  [[nodiscard]] Forwarder& forwarder() { return forwarder_; }

  // A port is up at once; its MAC is the link's of set_underlay(), else 02:00:00:00 and the port number.
  Result<void> add_port(const PortSpec& spec) override;
  Result<void> remove_port(PortId id) override;
  Result<void> publish(const NodeStateDelta& delta) override;
  Result<void> set_underlay(const Underlay& underlay) override;
  [[nodiscard]] Counters counters() const override;
  void each_flow(const FlowFilter& filter, const FlowVisitor& visit) const override;
  [[nodiscard]] Result<Trace> trace(const TraceRequest& request) const override;
  [[nodiscard]] std::vector<PortStatus> ports() const override;
  [[nodiscard]] EngineInfo info() const override;
  void tick(uint64_t now_ns) override;
  [[nodiscard]] std::vector<std::pair<PortId, IpAddress>> unresolved_next_hops() const override;

 private:
  struct Buffered;  // a packet and its bytes

  Result<void> announce_ports();
  void settle(Buffered& buffered, std::vector<Output>& out);
  void emit(Buffered& buffered, std::vector<Output>& out);
  void drop(Fate counted_as, DropReason reason, DropReason answered_for);

  Forwarder forwarder_;
  std::map<PortId, PortStatus> ports_;
  std::map<PortId, UnderlayLink> links_;
  std::vector<std::unique_ptr<Buffered>> held_;
  std::vector<Output> released_;
  uint64_t now_ns_ = 1'000'000'000;
  Fate last_fate_ = Fate::kNone;
  DropReason last_reason_ = DropReason::NONE;
};

}  // namespace fairlead::core
