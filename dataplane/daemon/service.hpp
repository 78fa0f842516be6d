#pragma once

#include "dataplane/daemon/capture.hpp"
#include "dataplane/daemon/dataplane.hpp"
#include "dataplane/engine.hpp"
#include "dataplane/rpc/parts.hpp"
#include "dataplane/rpc/server.hpp"

#include <chrono>
#include <string>
#include <vector>

namespace fairlead::daemon {

// What a neighbour table row needs, from whoever mirrors the kernel.
using CurrentUnderlay = std::function<const core::Underlay&()>;

// Answers every request the dataplane serves. Threads: the control thread.
class Service {
 public:
  // `kernel` may be null. All outlive this.
  Service(Engine& engine, Dataplane& dataplane, const KernelSide* kernel, CaptureHub& capture,
          CurrentUnderlay underlay)
      : engine_(engine),
        dataplane_(dataplane),
        kernel_(kernel),
        capture_(capture),
        underlay_(std::move(underlay)) {}

  void handle(const rpc::Request& request, const ipc::Reply& reply);

 private:
  void publish(const rpc::PublishRequest& request, const ipc::Reply& reply);
  void trace(const rpc::TraceRequest& request, const ipc::Reply& reply) const;
  void flows(const rpc::FlowsRequest& request, const ipc::Reply& reply) const;
  [[nodiscard]] rpc::CountersReply counters() const;
  [[nodiscard]] rpc::NeighboursReply neighbours() const;
  [[nodiscard]] rpc::DataplaneStatus status() const;

  Engine& engine_;
  Dataplane& dataplane_;
  const KernelSide* kernel_;
  CaptureHub& capture_;
  CurrentUnderlay underlay_;
  ipc::DeltaParts parts_;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

}  // namespace fairlead::daemon
