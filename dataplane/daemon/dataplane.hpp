#pragma once

#include "dataplane/base/result.hpp"
#include "dataplane/core/node_state.hpp"
#include "dataplane/daemon/kernel_side.hpp"
#include "dataplane/daemon/state_file.hpp"
#include "dataplane/daemon/uplink_frontends.hpp"
#include "dataplane/engine.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace fairlead::daemon {

// The node's state and the one way to change it: checked, put into kernel and engine in an order that never
// lets a packet meet half of it, kept on disk.
//
// Owns the NodeState in force. Threads: the control thread.
class Dataplane {
 public:
  // `kernel` may be null (engine memory). All outlive this.
  Dataplane(Engine& engine, KernelSide* kernel, StateFile& file)
      : engine_(engine), kernel_(kernel), file_(file) {}

  // Publishes what the last run left on disk. Nothing there is no error.
  [[nodiscard]] Result<void> restore();

  // All or nothing: with an error everything is as before. Answers the generation in force. Costs what the
  // change holds, not what the state holds.
  //
  // The order: hooks of new endpoints, uplink filter, engine (returns when every worker uses it), hooks of
  // endpoints that went, disk (in the background). An endpoint whose link is gone refuses an incremental
  // delta, because somebody waits for exactly that one; with a full state (from_generation 0) the rest goes
  // on, the endpoint is in notes() and retried.
  //
  // Errors: FL2110 does not fit together, FL2111 is not based on the generation in force; what hooks and
  // engine say.
  [[nodiscard]] Result<uint64_t> publish(const core::NodeStateDelta& delta);

  // About once a second: endpoints that could not be attached.
  void retry();

  [[nodiscard]] const core::NodeState& state() const { return state_; }
  // What is not as it should be, for people; empty when all is well.
  [[nodiscard]] std::vector<std::string> notes() const;

 private:
  struct Before;
  struct Undo;
  [[nodiscard]] Result<void> prepare_kernel(const core::NodeStateDelta& delta, const Before& before,
                                            Undo& undo);
  void forget_leftovers();
  void finish_kernel(const Before& before);
  void count_frontends(const core::NodeStateDelta& delta, const Before& before, bool forward);
  [[nodiscard]] Result<uint64_t> put_in_force(const core::NodeStateDelta& delta);

  Engine& engine_;
  KernelSide* kernel_;
  StateFile& file_;
  core::NodeState state_;
  UplinkFrontends frontends_;
  bool filter_set_ = false;
  std::map<core::EndpointId, Error> unattached_;
  std::string refused_state_;
};

}  // namespace fairlead::daemon
