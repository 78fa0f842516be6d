#pragma once

#include "controlplane/intent/intent.hpp"
#include "dataplane/base/result.hpp"
#include "dataplane/core/node_state.hpp"
#include "dataplane/rpc/fairlead.pb.h"
#include "dataplane/rpc/server.hpp"

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace boost::asio {
class io_context;
}

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

// What the agent needs from whoever knows the pods: the CNI service. The agent's main makes one with
// make_pod_service() below.
class PodService {
 public:
  virtual ~PodService() = default;

  // Every endpoint that was attached when the agent last ran, read from disk and checked against the host.
  // Called once, before the first compile, so that a restart publishes the same state. An error ends the
  // agent: publishing without them would cut running pods off.
  [[nodiscard]] virtual Result<std::vector<core::Endpoint>> restore() = 0;

  // Makes the routes inside every attached pod carry `mtu`. A pod whose namespace is gone is skipped; the
  // error names the first pod that could not be changed, after all were tried.
  virtual Result<void> set_pod_mtu(uint16_t mtu) = 0;

  // AgentCore::pod_cidrs() is now this.
  virtual void pod_cidrs_changed(const std::vector<core::Prefix>& cidrs) = 0;

  // cni_add, cni_del, cni_check: answers now or later. False: not a request of this service.
  virtual bool handle(const rpc::Request& request, const ipc::Reply& reply) = 0;

  // IPv4 addresses that a pod could have now.
  [[nodiscard]] virtual uint32_t free_ipv4() const = 0;
};

struct PodServiceOptions {
  std::string state_dir;  // /var/lib/fairlead
  std::string run_dir;    // /run/fairlead
  std::string bpf_dir;    // /sys/fs/bpf/fairlead
};

// Defined beside the CNI service (cni_service.cpp). `core` and `io` outlive the service; `io` runs the one
// thread that calls it.
[[nodiscard]] Result<std::unique_ptr<PodService>> make_pod_service(boost::asio::io_context& io,
                                                                   AgentCore& core,
                                                                   const PodServiceOptions& options);

}  // namespace fairlead::control
