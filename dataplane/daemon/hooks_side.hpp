#pragma once

#include "dataplane/daemon/kernel_side.hpp"

#include <filesystem>
#include <map>
#include <memory>
#include <vector>

namespace fairlead::daemon {

// The real kernel side: our programs at the pods' links, the trunk and the bifurcated uplinks.
class HooksSide final : public KernelSide {
 public:
  // `filtered_uplinks`: ifindexes of the uplinks that carry our XDP program.
  HooksSide(std::unique_ptr<ebpf::Hooks> hooks, std::filesystem::path bpf_dir,
            std::vector<uint32_t> filtered_uplinks)
      : hooks_(std::move(hooks)),
        bpf_dir_(std::move(bpf_dir)),
        filtered_uplinks_(std::move(filtered_uplinks)) {}

  Result<void> attach(const core::Endpoint& endpoint) override { return hooks_->attach_endpoint(endpoint); }
  Result<void> detach(core::EndpointId id) override { return hooks_->detach_endpoint(id); }
  std::vector<Error> reconcile(const std::map<core::EndpointId, core::Endpoint>& endpoints) override {
    return hooks_->reconcile(endpoints);
  }
  Result<void> set_filter(const core::NodeSettings& settings, const ebpf::UplinkServices& services) override;
  void beat(uint64_t now_ns) override { hooks_->beat(now_ns); }
  std::vector<ebpf::HookCounters> counters() const override { return hooks_->counters(); }

  // Takes everything of ours off the kernel: filters, uplink programs, pins. Call when the engine has gone;
  // last call.
  [[nodiscard]] std::vector<Error> remove();

 private:
  std::unique_ptr<ebpf::Hooks> hooks_;
  std::filesystem::path bpf_dir_;
  std::vector<uint32_t> filtered_uplinks_;
};

}  // namespace fairlead::daemon
