#pragma once

#include "controlplane/calc/claims.hpp"
#include "controlplane/calc/refusal.hpp"
#include "controlplane/intent/intent.hpp"
#include "dataplane/core/node_state.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

namespace fairlead::control {

// What Services depend on besides themselves and their slices. Small; compared on every update.
struct ServiceSurroundings {
  std::string self, zone;
  std::vector<core::Prefix> cluster_pods, cluster_services, external_ip_ranges;
  std::map<core::IpAddress, std::string> node_addresses;  // of every node and of this host -> "node/n1"
  uint16_t snat_port_first = 0, snat_port_last = 0, tunnel_port = 0;
  core::ReplyPath reply_path = core::ReplyPath::kThisNode;
  // Of direct server return, by family (IPv4, IPv6): empty when the MTU leaves room, otherwise why not.
  std::string geneve_does_not_fit[2], ipip_does_not_fit[2];

  bool operator==(const ServiceSurroundings&) const = default;
};

// What the health check port of a Service answers (spec.healthCheckNodePort).
struct HealthCheck {
  std::string service_namespace, name;
  uint16_t port = 0;
  uint32_t local_endpoints = 0;  // ready ones on this node
  bool operator==(const HealthCheck&) const = default;
};

struct ServiceChanges {
  std::vector<std::shared_ptr<const core::Service>> upserts;
  std::vector<core::ServiceId> removals;
  std::vector<std::string> refusals;  // namespace/name of the Services whose refusals changed
  bool health_checks = false;         // something about them changed

  [[nodiscard]] bool empty() const { return upserts.empty() && removals.empty(); }
};

// Services and EndpointSlices -> core::Service, incrementally: a change costs what it concerns.
//
// Deterministic: whatever the order of events, the result is that of one run over the whole intent with the
// same earlier ids. Keeps an index of the intent, not a copy: `intent` passed to update() is always the same
// one, and every event about Services and slices that changed it was told before by changed(). Threads: one.
class ServiceCompiler {
 public:
  // Ids that the dataplane knows already: a port of a Service keeps its number over restarts.
  void adopt(const std::map<core::ServiceId, std::shared_ptr<const core::Service>>& services);

  // An event that apply() has just folded into the intent.
  void changed(const Event& event);

  // Everything is to be looked at: the intent is another one.
  void restart(const Intent& intent);

  // Brings the result up to date.
  [[nodiscard]] ServiceChanges update(const Intent& intent, const ServiceSurroundings& surroundings);

  [[nodiscard]] const std::map<std::string, std::vector<Refusal>>& refusals() const { return refusals_; }
  [[nodiscard]] const std::map<std::string, HealthCheck>& health_checks() const { return health_checks_; }

 private:
  struct Claim {
    ClaimKey key;
    core::FrontendKind kind;
    bool is_health_check = false;
    uint16_t port_index = 0;
    uint16_t entry_index = 0;  // in externalIPs or ingress, for the field's name
  };
  struct Programmed {
    std::string port_name;
    uint8_t protocol;
    bool is_ipv6;
    std::shared_ptr<const core::Service> service;
  };
  struct Known {
    Claimant claimant;
    std::vector<Claim> claims;
    std::vector<core::IpAddress> cluster_ips, outside;  // as entered in addresses_
    std::vector<Refusal> claim_refusals;                // of entries that may not even claim
    std::vector<Programmed> programmed;
    std::set<std::string> slices;
    bool is_there = false;  // the object exists; slices may wait for it
  };
  struct AddressUse {
    std::set<Known*> as_cluster_ip, as_outside;
  };
  class Claims;
  class Compile;

  Known& known(const std::string& key);
  void service_changed(const std::string& key);
  void slice_changed(const std::string& key, const EndpointSliceObject* now);
  void surroundings_changed(const ServiceSurroundings& now);
  void withdraw(Known& known);
  void claim(const Intent& intent, Known& known);
  void enter(const core::IpAddress& address, bool is_cluster_ip, Known& known);
  void leave(const core::IpAddress& address, bool is_cluster_ip, Known& known);
  void concern(const ClaimKey& key);
  void compile(const Intent& intent, Known& known, ServiceChanges& changes);
  void forget(const std::string& key);
  [[nodiscard]] core::ServiceId id_of(const core::Service& service);

  ServiceSurroundings surroundings_;
  bool has_surroundings_ = false;
  std::unordered_map<std::string, Known> known_;              // nodes stay where they are
  std::unordered_map<std::string, std::string> slice_owner_;  // slice -> Service
  std::unordered_map<core::IpAddress, AddressUse, size_t (*)(const core::IpAddress&)> addresses_{
      16, [](const core::IpAddress& a) {
        return std::hash<std::string_view>{}({reinterpret_cast<const char*>(a.bytes.data()), a.bytes.size()});
      }};
  ClaimIndex index_;
  std::set<std::string> dirty_objects_;  // Services whose own object or surroundings changed
  std::set<std::string> dirty_;          // Services to compile again: these, their slices', and whoever else
  std::map<std::string, std::vector<Refusal>> refusals_;
  std::map<std::string, HealthCheck> health_checks_;

  std::unordered_map<std::string, core::ServiceId> adopted_;  // by identity; until the first update
  std::unordered_set<core::ServiceId> used_;
  core::ServiceId next_id_ = 1;
};

}  // namespace fairlead::control
