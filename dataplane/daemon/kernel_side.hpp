#pragma once

#include "dataplane/base/result.hpp"
#include "dataplane/core/node_state.hpp"
#include "dataplane/ebpf/hooks.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <vector>

namespace fairlead::daemon {

// What the daemon asks of the kernel around a publish: the hooks at pods' links and the filter at the
// uplinks. A seam so that the order of a publish is tested without a kernel. Threads: the control thread.
class KernelSide {
 public:
  virtual ~KernelSide() = default;
  virtual Result<void> attach(
      const core::Endpoint& endpoint) = 0;  // idempotent; a changed endpoint replaces the old one
  virtual Result<void> detach(core::EndpointId id) = 0;  // fine when it is gone
  // Exactly these endpoints; an error per endpoint that cannot be attached.
  [[nodiscard]] virtual std::vector<Error> reconcile(
      const std::map<core::EndpointId, core::Endpoint>& endpoints) = 0;
  // What of the uplinks' packets is ours.
  virtual Result<void> set_filter(const core::NodeSettings& settings,
                                  const ebpf::UplinkServices& services) = 0;
  virtual void beat(uint64_t now_ns) = 0;
  [[nodiscard]] virtual std::vector<ebpf::HookCounters> counters() const = 0;
};

}  // namespace fairlead::daemon
