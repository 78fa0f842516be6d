#pragma once

#include "controlplane/intent/intent.hpp"
#include "dataplane/base/result.hpp"
#include "dataplane/core/node_state.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace fairlead::control {

// What the agent offers to the services that live in it (CNI now; metrics and health later).
//
// Threads: everything on the agent's one control thread; callbacks too, never from within the call that took
// them.
class AgentCore {
 public:
  using Done = std::function<void(Result<void>)>;

  virtual ~AgentCore() = default;

  // This node's name, and its pod CIDRs as accepted by compile() (empty until its Node is known).
  [[nodiscard]] virtual const std::string& node() const = 0;
  [[nodiscard]] virtual const std::vector<core::Prefix>& pod_cidrs() const = 0;

  // What a route of a new pod has to carry now. During a mode switch this is the smaller of both MTUs.
  [[nodiscard]] virtual uint16_t pod_mtu() const = 0;

  // Puts the endpoint into the intent (idempotent by id). `done` is called when the dataplane forwards for
  // it, or with the reason why not within `timeout_ms`; the endpoint stays in the intent also then: the
  // caller detaches it if it gives up.
  virtual void attach(core::Endpoint endpoint, uint32_t timeout_ms, Done done) = 0;

  // Takes the endpoint out (fine when it is not there). `done` is called when the dataplane no longer refers
  // to it; with the dataplane away it is called at once, and the removal is published when the dataplane is
  // back.
  virtual void detach(core::EndpointId id, Done done) = 0;

  [[nodiscard]] virtual const Intent& intent() const = 0;
};

// What the agent needs from whoever knows the pods' namespaces. Implemented by the CNI service.
class PodHost {
 public:
  virtual ~PodHost() = default;

  // Every endpoint that was attached when the agent last ran, read from disk and checked against the host.
  // Called once, before the first compile, so that a restart publishes the same state.
  [[nodiscard]] virtual Result<std::vector<core::Endpoint>> restore() = 0;

  // Makes the routes inside every attached pod carry `mtu`. A pod whose namespace is gone is skipped; the
  // error names the first pod that could not be changed, after all were tried.
  virtual Result<void> set_pod_mtu(uint16_t mtu) = 0;
};

}  // namespace fairlead::control
