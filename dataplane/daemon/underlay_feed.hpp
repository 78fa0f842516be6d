#pragma once

#include "dataplane/base/result.hpp"
#include "dataplane/engine.hpp"
#include "dataplane/underlay/mirror.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <utility>

namespace boost::asio {
class io_context;
}

namespace fairlead::daemon {

// Keeps the engine's underlay equal to the kernel's, and asks the kernel for the neighbours that packets wait
// for. Threads: the io_context's.
class UnderlayFeed {
 public:
  UnderlayFeed(boost::asio::io_context& io, std::unique_ptr<UnderlayMirror> mirror, Engine& engine);
  ~UnderlayFeed();
  UnderlayFeed(const UnderlayFeed&) = delete;
  UnderlayFeed& operator=(const UnderlayFeed&) = delete;

  // Gives the engine what the kernel has now, and follows it from then on.
  [[nodiscard]] Result<void> start();

  // The neighbours that these peers' packets would need, tunnelled or routed: they are asked for now, so that
  // neither a first packet nor a switch of the mode waits for them. Call when the peers have changed.
  void prepare(const std::map<core::PeerId, core::Peer>& peers);

  void resolve_waiting(uint64_t now_ns);  // every few milliseconds
  void refresh(uint64_t now_ns);          // about once a second
  [[nodiscard]] const core::Underlay& current() const { return mirror_->current(); }

 private:
  struct Events;
  void follow();
  void prepare_missing();
  [[nodiscard]] bool is_prepared(const core::IpAddress& address);

  std::unique_ptr<UnderlayMirror> mirror_;
  Engine& engine_;
  std::unique_ptr<Events> events_;
  std::map<std::pair<core::PortId, core::IpAddress>, uint64_t> asked_;  // when last, ns
  std::set<core::IpAddress> missing_;                                   // of prepare(): not resolved yet
};

}  // namespace fairlead::daemon
