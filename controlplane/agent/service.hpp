#pragma once

#include "controlplane/agent/agent.hpp"
#include "dataplane/rpc/fairlead.pb.h"
#include "dataplane/rpc/server.hpp"

#include <chrono>

namespace fairlead::control {

// Answers what comes over the agent's socket: its own requests here, those about pods by the PodService.
//
// Threads: the io_context's. A wait is answered later; the connection waits, nobody else does.
class AgentServer {
 public:
  AgentServer(Agent& agent, PodService& pods) : agent_(agent), pods_(pods) {}

  void handle(const rpc::Request& request, const ipc::Reply& reply);

 private:
  [[nodiscard]] rpc::AgentStatus status() const;
  [[nodiscard]] rpc::RefusalsReply refusals() const;
  void find_pod(const rpc::FindPodRequest& request, const ipc::Reply& reply) const;
  void set_mode(const rpc::SetModeRequest& request, const ipc::Reply& reply);
  void wait(const rpc::WaitRequest& request, const ipc::Reply& reply);

  Agent& agent_;
  PodService& pods_;
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

}  // namespace fairlead::control
