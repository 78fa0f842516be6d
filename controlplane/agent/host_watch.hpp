#pragma once

#include "controlplane/intent/intent.hpp"
#include "dataplane/base/netlink.hpp"
#include "dataplane/base/result.hpp"
#include "dataplane/core/node_state.hpp"

#include <functional>
#include <memory>
#include <set>
#include <string>
#include <vector>

namespace boost::asio {
class io_context;
}

namespace fairlead::control {

// The agent's eyes and hand on the host: tells when links, addresses or our routes change, reads the facts,
// keeps the kernel routes to pods.
//
// Events are collected for kQuiet, so that somebody who deletes our routes sees them back within 100 ms.
// Threads: the io_context's. Requests to the kernel block it for as long as the kernel takes (well below a
// millisecond).
class HostWatch {
 public:
  // Errors: FL3001.
  [[nodiscard]] static Result<std::unique_ptr<HostWatch>> open(boost::asio::io_context& io,
                                                               std::function<void()> changed);
  ~HostWatch();
  HostWatch(const HostWatch&) = delete;
  HostWatch& operator=(const HostWatch&) = delete;

  // The facts about `uplink`, or, when that is empty, about the device found by InternalIP, globs and default
  // route.
  [[nodiscard]] Result<HostFacts> read(const std::string& uplink,
                                       const std::vector<core::IpAddress>& internal_ips,
                                       const std::vector<std::string>& patterns);

  // Makes the cluster's pod and service ranges and `service_addresses`, those of Services beyond the ranges,
  // lead to `device` with this node's addresses as source. Without the device nothing is done: its coming is
  // an event. Errors: FL4301, FL4304.
  [[nodiscard]] Result<void> sync_pod_routes(const std::string& device, const core::NodeSettings& settings,
                                             const std::set<core::IpAddress>& service_addresses,
                                             const std::vector<core::IpAddress>& local_addresses);

 private:
  struct State;
  explicit HostWatch(std::shared_ptr<State> state);
  std::shared_ptr<State> state_;
};

}  // namespace fairlead::control
