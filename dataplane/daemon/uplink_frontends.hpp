#pragma once

#include "dataplane/core/node_state.hpp"
#include "dataplane/ebpf/hooks.hpp"

#include <cstdint>
#include <map>
#include <utility>

namespace fairlead::daemon {

// What of the Services the uplink's filter has to know, kept up to date change by change: a change of
// backends concerns nobody here. Threads: one.
class UplinkFrontends {
 public:
  void add(const core::Service& service) { count(service, 1); }
  void remove(const core::Service& service) { count(service, -1); }

  // Something came or went since the last call.
  [[nodiscard]] bool take_changed() { return std::exchange(changed_, false); }
  [[nodiscard]] ebpf::UplinkServices list() const;

 private:
  void count(const core::Service& service, int by);

  std::map<core::IpAddress, int> addresses_;  // LoadBalancer and external ones
  std::map<ebpf::NodePort, int> node_ports_;
  int ip_in_ip_ = 0;  // Services whose reply path that is
  bool changed_ = false;
};

}  // namespace fairlead::daemon
