#pragma once

#include "dataplane/base/result.hpp"
#include "dataplane/engine.hpp"
#include "dataplane/rpc/server.hpp"

#include <cstdint>
#include <list>
#include <memory>

namespace fairlead::daemon {

// Hands copied frames to those who asked for them. A subscriber that is slower than its packets loses some
// and is told how many; forwarding never waits.
//
// Owns what the engine is told to copy: the union of what the subscribers want. Threads: the control thread.
class CaptureHub {
 public:
  explicit CaptureHub(Engine& engine) : engine_(engine) {}
  ~CaptureHub();
  CaptureHub(const CaptureHub&) = delete;
  CaptureHub& operator=(const CaptureHub&) = delete;

  // Answers `reply` with a stream: one item without a frame when copying has begun, the packets, `done` after
  // max_packets. Errors (also through `reply`): FL2120 the filter does not compile, FL2121 the stage is none;
  // what the engine says.
  void subscribe(const rpc::CaptureRequest& request, const ipc::Reply& reply);

  // Moves what has been copied since. Call every few milliseconds while active().
  void pump();
  [[nodiscard]] bool active() const { return !subscribers_.empty(); }

 private:
  struct Subscriber;
  void deliver(const CapturedFrame& frame);
  [[nodiscard]] Result<void> tell_engine();

  Engine& engine_;
  std::list<std::shared_ptr<Subscriber>> subscribers_;
};

}  // namespace fairlead::daemon
