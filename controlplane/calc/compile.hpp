#pragma once

#include "controlplane/calc/refusal.hpp"
#include "controlplane/calc/services.hpp"
#include "controlplane/intent/intent.hpp"
#include "dataplane/core/node_state.hpp"

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace fairlead::control {

struct Compiled {
  core::NodeState state;  // generation is 0: the publisher numbers it
  std::vector<Refusal> refusals;
  std::map<std::string, HealthCheck> health_checks;  // by namespace/name of the Service
};

// Turns what the cluster wants into what can forward on this node. Pure: the same intent gives the same
// state.
//
// Peer ids are kept from `previous` for the same node name. Overlapping pod CIDRs: the first owner keeps them
// (the one in `previous`, else the smaller node name) and the other is refused. Mode Auto: routed when the
// peer's address is on-link, otherwise overlay. Pod MTU: uplink MTU minus the overhead of the worst transport
// in use.
// Service ids are kept like peer ids. Whose Service gets an address that several claim: ServiceCompiler.
[[nodiscard]] Compiled compile(const Intent& intent, const core::NodeState& previous);

// The same, kept: an event about Services costs what it concerns, any other one compile() without Services.
// Afterwards state(), refusals() and health_checks() are what compile() would make of the intent with the
// state before as `previous`. Owns the state. Threads: one.
class NodeCompiler {
 public:
  struct Changes {
    bool base = false;  // anything but services
    ServiceChanges services;
  };

  // What the dataplane has, before the first update() or when it turns out to have something else: ids, and
  // who had a range first, are taken from there.
  void adopt(const core::NodeState& has);
  // An event that apply() has just folded into the intent, which is the same one every time.
  void changed(const Event& event);
  // Brings state() up to date.
  [[nodiscard]] Changes update(const Intent& intent);

  // All of it, its Services shared.
  [[nodiscard]] core::NodeState state() const;
  // Without Services.
  [[nodiscard]] const core::NodeState& base() const { return base_; }
  [[nodiscard]] const std::map<core::ServiceId, std::shared_ptr<const core::Service>>& services() const {
    return services_;
  }
  [[nodiscard]] const std::vector<Refusal>& base_refusals() const { return base_refusals_; }
  [[nodiscard]] const std::map<std::string, std::vector<Refusal>>& service_refusals() const {
    return compiler_.refusals();
  }
  [[nodiscard]] std::vector<Refusal> refusals() const;  // both
  [[nodiscard]] const std::map<std::string, HealthCheck>& health_checks() const {
    return compiler_.health_checks();
  }

 private:
  [[nodiscard]] ServiceChanges from(ServiceChanges& all);

  ServiceCompiler compiler_;
  core::NodeState base_;
  std::optional<core::NodeState> adopted_;  // until the next update()
  std::map<core::ServiceId, std::shared_ptr<const core::Service>> services_;
  std::vector<Refusal> base_refusals_;
  ServiceSurroundings surroundings_;
  bool is_base_dirty_ = true, is_restarted_ = true;
};

}  // namespace fairlead::control
