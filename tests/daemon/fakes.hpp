#pragma once

#include "dataplane/daemon/kernel_side.hpp"
#include "dataplane/engine.hpp"

#include <set>
#include <string>
#include <vector>

namespace fairlead::daemon {

// Kernel and engine that write down, in one common list, what was asked of them, and refuse what they are
// told to.
struct Script {
  std::vector<std::string> calls;
  std::set<std::string> refusals;

  Result<void> call(const std::string& what) {
    calls.push_back(what);
    if (refusals.contains(what)) return Error{"FL9999", what + " refused", ""};
    return {};
  }
  [[nodiscard]] std::vector<std::string> take() { return std::exchange(calls, {}); }
};

class FakeKernel final : public KernelSide {
 public:
  explicit FakeKernel(Script& script) : script_(script) {}
  Result<void> attach(const core::Endpoint& endpoint) override {
    return script_.call("attach " + std::to_string(endpoint.id) + " " + endpoint.host_interface);
  }
  Result<void> detach(core::EndpointId id) override { return script_.call("detach " + std::to_string(id)); }
  std::vector<Error> reconcile(const std::map<core::EndpointId, core::Endpoint>& endpoints) override {
    std::string what = "reconcile";
    for (const auto& [id, endpoint] : endpoints) what += " " + std::to_string(id);
    static_cast<void>(script_.call(what).ok());
    return {};
  }
  Result<void> set_filter(const core::NodeSettings& settings, const ebpf::UplinkServices& services) override {
    std::string what = "filter " + settings.vtep4.text() + ":" + std::to_string(settings.tunnel_port);
    for (const core::IpAddress& address : services.addresses) what += " " + address.text();
    for (const ebpf::NodePort& port : services.node_ports)
      what += " " + std::to_string(port.protocol) + "/" + std::to_string(port.port);
    return script_.call(what);
  }
  void beat(uint64_t) override {}
  std::vector<ebpf::HookCounters> counters() const override { return hooks; }

  std::vector<ebpf::HookCounters> hooks;

 private:
  Script& script_;
};

class FakeEngine final : public Engine {
 public:
  explicit FakeEngine(Script& script) : script_(script) {}
  Result<void> publish(const core::NodeStateDelta& delta) override {
    return script_.call("publish " + std::to_string(delta.from_generation) + ">" +
                        std::to_string(delta.to_generation));
  }
  Result<void> add_port(const PortSpec&) override { return {}; }
  Result<void> remove_port(core::PortId) override { return {}; }
  Result<void> set_underlay(const core::Underlay&) override { return {}; }
  [[nodiscard]] core::Counters counters() const override { return {}; }
  void each_flow(const FlowFilter&, const FlowVisitor& visit) const override {
    for (const FlowRecord& flow : flows) {
      if (!visit(flow)) return;
    }
  }
  [[nodiscard]] Result<Trace> trace(const TraceRequest&) const override { return Trace{}; }
  [[nodiscard]] std::vector<PortStatus> ports() const override { return {}; }
  [[nodiscard]] EngineInfo info() const override { return {"fake", {"a note"}, 1}; }
  Result<void> set_capture(uint8_t stages, uint32_t snap_length) override {
    return script_.call("capture " + std::to_string(stages) + " " + std::to_string(snap_length));
  }
  unsigned drain_capture(const CaptureVisitor& visit, unsigned) override {
    for (const CapturedFrame& frame : frames) visit(frame);
    return static_cast<unsigned>(std::exchange(frames, {}).size());
  }
  [[nodiscard]] uint64_t capture_lost() const override { return lost; }

  std::vector<FlowRecord> flows;
  std::vector<CapturedFrame> frames;
  uint64_t lost = 0;

 private:
  Script& script_;
};

[[nodiscard]] core::Endpoint make_endpoint(core::EndpointId id);
// A valid state of generation `generation` with these endpoints and one peer.
[[nodiscard]] core::NodeState make_state(uint64_t generation, const std::vector<core::EndpointId>& endpoints);
[[nodiscard]] std::string make_temporary_directory();

}  // namespace fairlead::daemon
