#include "controlplane/calc/services.hpp"

#include "controlplane/calc/backends.hpp"
#include "controlplane/intent/special_address.hpp"

#include <algorithm>
#include <optional>
#include <string_view>

namespace fairlead::control {
namespace {

using core::FrontendKind;
using core::IpAddress;
using core::ServiceId;

constexpr ServiceId kLastServiceId = 0xffffff;
bool contains(const std::vector<core::Prefix>& ranges, const IpAddress& address) {
  return std::any_of(ranges.begin(), ranges.end(),
                     [&](const core::Prefix& range) { return range.contains(address); });
}

// What stays the same for a port of a Service while everything else about it changes.
std::string identity(std::string_view key, std::string_view port_name, uint8_t protocol, bool is_ipv6) {
  std::string text(key);
  text += ':';
  text += port_name;
  text += '/';
  text += std::to_string(protocol);
  text += is_ipv6 ? "/6" : "/4";
  return text;
}

IpAddress any_address(core::Family family) {
  IpAddress address;
  address.family = family;
  return address;
}

std::string indexed(const char* field, size_t index) {
  return std::string(field) + "[" + std::to_string(index) + "]";
}

std::string protocol_name(uint8_t protocol) {
  return protocol == 6 ? "TCP" : protocol == 17 ? "UDP" : "SCTP";
}

bool is_for_kube_proxy(const ServiceObject& service) {
  return !service.is_foreign && !service.is_headless && service.type != ServiceType::kExternalName;
}

std::vector<Refusal> of_problems(const std::string& object, const std::vector<ObjectProblem>& problems) {
  std::vector<Refusal> refusals;
  refusals.reserve(problems.size());
  for (const ObjectProblem& problem : problems)
    refusals.push_back({problem.code, object, problem.field, problem.reason});
  return refusals;
}

}  // namespace

// ---- what a Service claims ------------------------------------------------------------------------------

// Lists the addresses and ports that a Service asks for, and refuses those it may not even ask for.
class ServiceCompiler::Claims {
 public:
  Claims(const ServiceObject& service, const ServiceSurroundings& around, Known& known)
      : service_(service), around_(around), known_(known), object_("service/" + known.claimant.key) {}

  void run() {
    for (size_t i = 0; i < service_.cluster_ips.size(); ++i) cluster_ip(i);
    if (known_.cluster_ips.empty()) {
      if (service_.cluster_ips.empty())
        refuse("FL1034", "spec.clusterIPs", "no ClusterIP: there is nothing to program");
      return;
    }
    if (service_.type == ServiceType::kLoadBalancer) {
      for (size_t i = 0; i < service_.ingress.size(); ++i) ingress(i);
    }
    for (size_t i = 0; i < service_.external_ips.size(); ++i) external_ip(i);
    node_ports();
    if (has_health_check()) health_check();
  }

 private:
  void refuse(const char* code, std::string field, std::string reason) {
    known_.claim_refusals.push_back({code, object_, std::move(field), std::move(reason)});
  }

  void add(const IpAddress& address, uint16_t port, uint8_t protocol, FrontendKind kind, size_t port_index,
           size_t entry) {
    const ClaimKey key{address, port, protocol};
    for (const Claim& earlier : known_.claims) {
      if (earlier.key == key) return;  // twice the same, by another field
    }
    known_.claims.push_back({.key = key,
                             .kind = kind,
                             .port_index = static_cast<uint16_t>(port_index),
                             .entry_index = static_cast<uint16_t>(entry)});
  }

  void cluster_ip(size_t index) {
    const IpAddress& address = service_.cluster_ips[index];
    if (std::string why = taken(address); !why.empty())
      return refuse("FL1034", indexed("spec.clusterIPs", index), std::move(why));
    known_.cluster_ips.push_back(address);
    for (size_t i = 0; i < service_.ports.size(); ++i)
      add(address, service_.ports[i].port, service_.ports[i].protocol, FrontendKind::kClusterIp, i, index);
  }

  // Whose the address is, so that no Service may have it; empty when nobody's.
  [[nodiscard]] std::string taken(const IpAddress& address) const {
    if (const std::string_view kind = special_kind(address); !kind.empty())
      return address.text() + " is " + std::string(kind);
    if (const auto node = around_.node_addresses.find(address); node != around_.node_addresses.end())
      return address.text() + " is an address of " + node->second;
    if (contains(around_.cluster_pods, address)) return address.text() + " is an address of pods";
    return {};
  }

  [[nodiscard]] bool has_family(core::Family family) const {
    return std::any_of(known_.cluster_ips.begin(), known_.cluster_ips.end(),
                       [family](const IpAddress& address) { return address.family == family; });
  }

  // Checks an address from outside; true when it may be claimed.
  bool outside(const IpAddress& address, const std::string& field, bool has_ranges) {
    std::string why = taken(address);
    if (why.empty() && contains(around_.cluster_services, address))
      why = address.text() + " lies in the range of ClusterIPs";
    if (why.empty() && has_ranges && !contains(around_.external_ip_ranges, address))
      why = address.text() + " lies in none of spec.services.externalIPRanges";
    if (!why.empty()) {
      refuse("FL1038", field, std::move(why));
      return false;
    }
    if (!has_family(address.family)) {
      refuse("FL1035", field, address.text() + " is of a family that the Service has no ClusterIP of");
      return false;
    }
    known_.outside.push_back(address);
    return true;
  }

  void ingress(size_t index) {
    const IngressAddress& entry = service_.ingress[index];
    const std::string field = indexed("status.loadBalancer.ingress", index);
    if (!entry.is_vip || !outside(entry.address, field + ".ip", false)) return;
    if (service_.has_source_ranges && service_.source_ranges.empty()) {
      return refuse("FL1035", "spec.loadBalancerSourceRanges",
                    "none of them can be read, so nobody is let in by " + entry.address.text());
    }
    for (size_t i = 0; i < service_.ports.size(); ++i) {
      const ServicePort& port = service_.ports[i];
      const bool is_listed = std::find(entry.ports.begin(), entry.ports.end(),
                                       std::pair(port.protocol, port.port)) != entry.ports.end();
      if (entry.has_ports && !is_listed) continue;
      add(entry.address, port.port, port.protocol, FrontendKind::kLoadBalancer, i, index);
    }
  }

  void external_ip(size_t index) {
    const IpAddress& address = service_.external_ips[index];
    if (!outside(address, indexed("spec.externalIPs", index), true)) return;
    for (size_t i = 0; i < service_.ports.size(); ++i)
      add(address, service_.ports[i].port, service_.ports[i].protocol, FrontendKind::kExternalIp, i, index);
  }

  // A node port must not be one that the node itself uses towards the network.
  [[nodiscard]] std::string reserved(uint16_t port, uint8_t protocol) const {
    if (port >= around_.snat_port_first && port <= around_.snat_port_last) {
      return "port " + std::to_string(port) + " lies in spec.egress.snatPorts " +
             std::to_string(around_.snat_port_first) + "-" + std::to_string(around_.snat_port_last);
    }
    if (protocol == 17 && port == around_.tunnel_port)
      return "port " + std::to_string(port) + " is the tunnel's";
    return {};
  }

  void node_ports() {
    if (service_.type != ServiceType::kNodePort && service_.type != ServiceType::kLoadBalancer) return;
    for (size_t i = 0; i < service_.ports.size(); ++i) {
      const ServicePort& port = service_.ports[i];
      if (port.node_port == 0) continue;
      if (std::string why = reserved(port.node_port, port.protocol); !why.empty()) {
        refuse("FL1035", indexed("spec.ports", i) + ".nodePort", std::move(why));
        continue;
      }
      for (const IpAddress& own : known_.cluster_ips)
        add(any_address(own.family), port.node_port, port.protocol, FrontendKind::kNodePort, i, 0);
    }
  }

  [[nodiscard]] bool has_health_check() const {
    return service_.type == ServiceType::kLoadBalancer && service_.external_local &&
           service_.health_check_node_port != 0;
  }

  void health_check() {
    const uint16_t port = service_.health_check_node_port;
    if (std::string why = reserved(port, 6); !why.empty())
      return refuse("FL1035", "spec.healthCheckNodePort", std::move(why));
    for (const IpAddress& own : known_.cluster_ips) {
      const ClaimKey key{any_address(own.family), port, 6};
      const bool is_own = std::any_of(known_.claims.begin(), known_.claims.end(),
                                      [&](const Claim& claim) { return claim.key == key; });
      if (is_own) return refuse("FL1036", "spec.healthCheckNodePort", "is a node port of the same Service");
      Claim claim{.key = key, .kind = FrontendKind::kNodePort};
      claim.is_health_check = true;
      known_.claims.push_back(claim);
    }
  }

  const ServiceObject& service_;
  const ServiceSurroundings& around_;
  Known& known_;
  const std::string object_;
};

// ---- what it gets ---------------------------------------------------------------------------------------

// One Service with its slices as core::Services, one a port and family.
class ServiceCompiler::Compile {
 public:
  Compile(ServiceCompiler& compiler, const Intent& intent, Known& known)
      : compiler_(compiler),
        around_(compiler.surroundings_),
        known_(known),
        object_("service/" + known.claimant.key),
        service_(intent.services.at(known.claimant.key)) {
    for (const std::string& key : known.slices) slices_.push_back(&intent.slices.at(key));
  }

  void run() {
    refusals = of_problems(object_, service_.problems);
    if (!is_for_kube_proxy(service_)) return refusals.clear();
    refusals.insert(refusals.end(), known_.claim_refusals.begin(), known_.claim_refusals.end());
    if (known_.cluster_ips.empty()) return;
    check_slices();
    for (const IpAddress& own : known_.cluster_ips) {
      for (size_t i = 0; i < service_.ports.size(); ++i) port(i, own.family);
    }
    settle_health_check();
  }

  std::vector<Refusal> refusals;
  std::vector<core::Service> services;
  std::optional<HealthCheck> health_check;

 private:
  void refuse(const char* code, std::string field, std::string reason) {
    refusals.push_back({code, object_, std::move(field), std::move(reason)});
  }

  void check_slices() {
    for (const EndpointSliceObject* slice : slices_) {
      const std::string object = "endpointslice/" + key_of(*slice);
      const std::vector<Refusal> own = of_problems(object, slice->problems);
      refusals.insert(refusals.end(), own.begin(), own.end());
      if (slice->family == core::Family::kNone) continue;
      const bool has_family =
          std::any_of(known_.cluster_ips.begin(), known_.cluster_ips.end(),
                      [&](const IpAddress& address) { return address.family == slice->family; });
      if (!has_family && !slice->endpoints.empty()) {
        refusals.push_back(
            {"FL1037", object, "addressType", object_ + " has no ClusterIP of this address family"});
        continue;
      }
      for (const SliceEndpoint& endpoint : slice->endpoints) {
        if (!contains(around_.cluster_services, endpoint.address)) continue;
        refusals.push_back(
            {"FL1037", object, "endpoints", endpoint.address.text() + " lies in the range of ClusterIPs"});
      }
    }
  }

  [[nodiscard]] std::string field_of(const Claim& claim) const {
    if (claim.is_health_check) return "spec.healthCheckNodePort";
    switch (claim.kind) {
      case FrontendKind::kNodePort:
        return indexed("spec.ports", claim.port_index) + ".nodePort";
      case FrontendKind::kLoadBalancer:
        return indexed("status.loadBalancer.ingress", claim.entry_index) + ".ip";
      case FrontendKind::kExternalIp:
        return indexed("spec.externalIPs", claim.entry_index);
      case FrontendKind::kClusterIp:
        break;
    }
    return indexed("spec.clusterIPs", claim.entry_index);
  }

  // Whether the Service gets what it claims; otherwise says who has it.
  bool is_granted(const Claim& claim) {
    const bool is_outside =
        claim.kind == FrontendKind::kLoadBalancer || claim.kind == FrontendKind::kExternalIp;
    if (is_outside) {
      const auto use = compiler_.addresses_.find(claim.key.address);
      if (use != compiler_.addresses_.end() && !use->second.as_cluster_ip.empty()) {
        refuse(
            "FL1038", field_of(claim),
            claim.key.address.text() + " is the ClusterIP of service/" + first_of(use->second.as_cluster_ip));
        return false;
      }
    }
    const Claimant* winner = compiler_.index_.winner(claim.key);
    if (winner == &known_.claimant) return true;
    const std::string what = claim.kind == FrontendKind::kNodePort ? "node port" : claim.key.address.text();
    refuse("FL1036", field_of(claim),
           protocol_name(claim.key.protocol) + " " + what +
               (claim.kind == FrontendKind::kNodePort ? " " : " port ") + std::to_string(claim.key.port) +
               " is service/" + winner->key + "'s");
    return false;
  }

  // Of several, the one with the smallest name: sets of pointers have no order that means anything.
  [[nodiscard]] static std::string first_of(const std::set<Known*>& users) {
    const auto first = std::min_element(users.begin(), users.end(), [](const Known* a, const Known* b) {
      return a->claimant.key < b->claimant.key;
    });
    return (*first)->claimant.key;
  }

  void port(size_t index, core::Family family) {
    const ServicePort& port = service_.ports[index];
    core::Service out;
    for (const Claim& claim : known_.claims) {
      if (claim.is_health_check || claim.port_index != index || claim.key.address.family != family) continue;
      if (!is_granted(claim)) continue;
      out.frontends.push_back({claim.kind,
                               claim.kind == FrontendKind::kNodePort ? IpAddress{} : claim.key.address,
                               claim.key.port});
    }
    if (out.frontends.empty()) return;
    out.service_namespace = service_.service_namespace;
    out.name = service_.name;
    out.port_name = port.name;
    out.protocol = port.protocol;
    out.is_ipv6 = family == core::Family::kIpv6;
    Backends backends = choose_backends(
        slices_, {port.name, port.protocol, family, around_.self, around_.zone, around_.cluster_services});
    if (backends.all.size() > core::kBackendsMax) return refuse_size(backends.all.size());
    out.backends = std::move(backends.all);
    out.cluster_backends = std::move(backends.cluster);
    out.local_backends = std::move(backends.local);
    out.internal_local = service_.internal_local;
    out.external_local = service_.external_local;
    out.affinity_seconds = service_.affinity_seconds;
    for (const core::Prefix& range : service_.source_ranges) {
      if (range.address.family == family) out.source_ranges.push_back(range);
    }
    out.reply_path = reply_path(out);
    services.push_back(std::move(out));
  }

  // Once, however many ports it has.
  void refuse_size(size_t endpoints) {
    const Refusal refusal{"FL1034", object_, "endpoints",
                          "its slices have " + std::to_string(endpoints) + " endpoints; at most " +
                              std::to_string(core::kBackendsMax) + " are taken"};
    if (std::find(refusals.begin(), refusals.end(), refusal) == refusals.end()) refusals.push_back(refusal);
  }

  [[nodiscard]] core::ReplyPath reply_path(const core::Service& service) {
    const core::ReplyPath wanted = service_.reply_path.value_or(around_.reply_path);
    const bool is_outside =
        std::any_of(service.frontends.begin(), service.frontends.end(),
                    [](const core::Frontend& frontend) { return frontend.kind != FrontendKind::kClusterIp; });
    if (wanted == core::ReplyPath::kThisNode || !is_outside || service.external_local)
      return core::ReplyPath::kThisNode;
    const std::string& why =
        (wanted == core::ReplyPath::kGeneve ? around_.geneve_does_not_fit
                                            : around_.ipip_does_not_fit)[service.is_ipv6];
    if (why.empty()) return wanted;
    const Refusal refusal{
        "FL1039", object_,
        service_.reply_path ? "metadata.annotations[fairlead.io/reply-path]" : "spec.services.replyPath",
        why};
    if (std::find(refusals.begin(), refusals.end(), refusal) == refusals.end()) refusals.push_back(refusal);
    return core::ReplyPath::kThisNode;
  }

  void settle_health_check() {
    bool is_claimed = false, is_granted_everywhere = true;
    for (const Claim& claim : known_.claims) {
      if (!claim.is_health_check) continue;
      is_claimed = true;
      is_granted_everywhere &= is_granted(claim);
    }
    if (!is_claimed || !is_granted_everywhere) return;
    // A pod with an address of each family is one endpoint.
    std::set<IpAddress> local[2];
    for (const EndpointSliceObject* slice : slices_) {
      for (const SliceEndpoint& endpoint : slice->endpoints) {
        if (endpoint.ready && endpoint.node.view() == around_.self)
          local[endpoint.address.is_ipv6() ? 1 : 0].insert(endpoint.address);
      }
    }
    health_check = HealthCheck{service_.service_namespace, service_.name, service_.health_check_node_port,
                               static_cast<uint32_t>(std::max(local[0].size(), local[1].size()))};
  }

  ServiceCompiler& compiler_;
  const ServiceSurroundings& around_;
  Known& known_;
  const std::string object_;
  const ServiceObject& service_;
  std::vector<const EndpointSliceObject*> slices_;
};

// ---- who is concerned -----------------------------------------------------------------------------------

ServiceCompiler::Known& ServiceCompiler::known(const std::string& key) {
  Known& known = known_[key];
  known.claimant.key = key;
  return known;
}

void ServiceCompiler::adopt(const std::map<ServiceId, std::shared_ptr<const core::Service>>& services) {
  for (const auto& [id, service] : services) {
    const std::string key = service->service_namespace + "/" + service->name;
    adopted_.emplace(identity(key, service->port_name, service->protocol, service->is_ipv6), id);
    used_.insert(id);
    next_id_ = std::max(next_id_, id + 1);
  }
}

void ServiceCompiler::service_changed(const std::string& key) {
  dirty_objects_.insert(key);
  dirty_.insert(key);
}

// `now` is nullptr when the slice is gone.
void ServiceCompiler::slice_changed(const std::string& key, const EndpointSliceObject* now) {
  const bool is_owned = now != nullptr && !now->is_foreign && !now->service.empty();
  const std::string owner = is_owned ? now->slice_namespace + "/" + now->service : std::string();
  const auto before = slice_owner_.find(key);
  if (before != slice_owner_.end() && before->second != owner) {
    dirty_.insert(before->second);
    known(before->second).slices.erase(key);
    slice_owner_.erase(before);
  }
  if (!is_owned) return;
  slice_owner_[key] = owner;
  known(owner).slices.insert(key);
  dirty_.insert(owner);
}

void ServiceCompiler::changed(const Event& event) {
  if (const auto* upserted = std::get_if<ServiceUpserted>(&event)) service_changed(key_of(upserted->service));
  if (const auto* deleted = std::get_if<ServiceDeleted>(&event)) service_changed(deleted->key);
  if (const auto* gone = std::get_if<EndpointSliceDeleted>(&event)) slice_changed(gone->key, nullptr);
  if (const auto* upserted = std::get_if<EndpointSliceUpserted>(&event))
    slice_changed(key_of(upserted->slice), &upserted->slice);
}

void ServiceCompiler::restart(const Intent& intent) {
  for (const auto& [key, service] : intent.services) service_changed(key);
  for (const auto& [key, slice] : intent.slices) slice_changed(key, &slice);
}

void ServiceCompiler::surroundings_changed(const ServiceSurroundings& now) {
  if (has_surroundings_ && now == surroundings_) return;
  const auto again = [this](const std::string& key) {
    dirty_objects_.insert(key);
    dirty_.insert(key);
  };
  // Nodes come and go more often than anything else in here; they concern those with addresses from outside,
  // and whoever has an address that became or was a node's.
  std::map<IpAddress, std::string> before = now.node_addresses;
  before.swap(surroundings_.node_addresses);
  const bool is_only_nodes = has_surroundings_ && now == surroundings_;
  for (const auto& [key, known] : known_) {
    if (known.is_there && (!is_only_nodes || !known.outside.empty() || !known.claim_refusals.empty()))
      again(key);
  }
  for (const auto& [address, node] : now.node_addresses) {
    const auto use = addresses_.find(address);
    if (use == addresses_.end() || before.contains(address)) continue;
    for (const Known* user : use->second.as_cluster_ip) again(user->claimant.key);
  }
  surroundings_ = now;
  has_surroundings_ = true;
}

// Everybody who claims `key` has to be asked again.
void ServiceCompiler::concern(const ClaimKey& key) {
  index_.each(key, [this](const Claimant& claimant) { dirty_.insert(claimant.key); });
}

void ServiceCompiler::enter(const IpAddress& address, bool is_cluster_ip, Known& known) {
  AddressUse& use = addresses_[address];
  (is_cluster_ip ? use.as_cluster_ip : use.as_outside).insert(&known);
  if (!is_cluster_ip) return;
  for (const Known* other : use.as_outside) dirty_.insert(other->claimant.key);
}

void ServiceCompiler::leave(const IpAddress& address, bool is_cluster_ip, Known& known) {
  const auto at = addresses_.find(address);
  if (at == addresses_.end()) return;
  (is_cluster_ip ? at->second.as_cluster_ip : at->second.as_outside).erase(&known);
  if (is_cluster_ip) {
    for (const Known* other : at->second.as_outside) dirty_.insert(other->claimant.key);
  }
  if (at->second.as_cluster_ip.empty() && at->second.as_outside.empty()) addresses_.erase(at);
}

void ServiceCompiler::withdraw(Known& known) {
  for (const Claim& claim : known.claims) {
    index_.remove(claim.key, known.claimant);
    concern(claim.key);
  }
  for (const IpAddress& address : known.cluster_ips) leave(address, true, known);
  for (const IpAddress& address : known.outside) leave(address, false, known);
  known.claims.clear();
  known.cluster_ips.clear();
  known.outside.clear();
  known.claim_refusals.clear();
}

void ServiceCompiler::claim(const Intent& intent, Known& known) {
  withdraw(known);
  const auto object = intent.services.find(known.claimant.key);
  known.is_there = object != intent.services.end();
  if (!known.is_there || !is_for_kube_proxy(object->second)) return;
  known.claimant.created = object->second.created;
  Claims(object->second, surroundings_, known).run();
  for (const IpAddress& address : known.cluster_ips) enter(address, true, known);
  for (const IpAddress& address : known.outside) enter(address, false, known);
  for (const Claim& claim : known.claims) {
    index_.add(claim.key,
               claim.kind == FrontendKind::kClusterIp ? ClaimIndex::kClusterIp : ClaimIndex::kOther,
               known.claimant);
    concern(claim.key);
  }
}

// ---- bringing it up to date -----------------------------------------------------------------------------

ServiceId ServiceCompiler::id_of(const core::Service& service) {
  const std::string key = service.service_namespace + "/" + service.name;
  const auto adopted = adopted_.find(identity(key, service.port_name, service.protocol, service.is_ipv6));
  if (adopted != adopted_.end()) return adopted->second;
  // Never one that was used a moment ago: after the last number the search begins again at the first.
  for (ServiceId tries = 0; tries < kLastServiceId; ++tries) {
    const ServiceId id = next_id_ > kLastServiceId ? 1 : next_id_;
    next_id_ = id + 1;
    if (used_.insert(id).second) return id;
  }
  return 0;
}

void ServiceCompiler::compile(const Intent& intent, Known& known, ServiceChanges& changes) {
  std::vector<Refusal> refusals;
  std::optional<HealthCheck> health_check;
  std::vector<Programmed> now;
  if (known.is_there) {
    Compile compile(*this, intent, known);
    compile.run();
    for (core::Service& service : compile.services) {
      const auto before =
          std::find_if(known.programmed.begin(), known.programmed.end(), [&](const Programmed& row) {
            return row.service != nullptr && row.port_name == service.port_name &&
                   row.protocol == service.protocol && row.is_ipv6 == service.is_ipv6;
          });
      const bool is_known = before != known.programmed.end();
      service.id = is_known ? before->service->id : id_of(service);
      if (service.id == 0) {
        compile.refusals.push_back({"FL1034", "service/" + known.claimant.key, "spec.ports",
                                    "more than 16777215 ports of Services"});
        continue;
      }
      Programmed row{service.port_name, service.protocol, service.is_ipv6, nullptr};
      if (is_known && *before->service == service) {
        row.service = std::move(before->service);
      } else {
        row.service = std::make_shared<const core::Service>(std::move(service));
        changes.upserts.push_back(row.service);
      }
      if (is_known) before->service = nullptr;
      now.push_back(std::move(row));
    }
    refusals = std::move(compile.refusals);
    health_check = std::move(compile.health_check);
  }
  for (const Programmed& gone : known.programmed) {
    if (gone.service == nullptr) continue;
    changes.removals.push_back(gone.service->id);
  }
  known.programmed = std::move(now);

  const std::string& key = known.claimant.key;
  const auto refused = refusals_.find(key);
  if (refusals.empty() ? refused != refusals_.end()
                       : refused == refusals_.end() || refused->second != refusals) {
    changes.refusals.push_back(key);
    if (refusals.empty())
      refusals_.erase(refused);
    else
      refusals_[key] = std::move(refusals);
  }
  const auto checked = health_checks_.find(key);
  if (!health_check ? checked != health_checks_.end()
                    : checked == health_checks_.end() || checked->second != *health_check) {
    changes.health_checks = true;
    if (health_check)
      health_checks_[key] = *health_check;
    else
      health_checks_.erase(checked);
  }
}

void ServiceCompiler::forget(const std::string& key) {
  const auto at = known_.find(key);
  if (at == known_.end() || at->second.is_there || !at->second.slices.empty()) return;
  known_.erase(at);
}

ServiceChanges ServiceCompiler::update(const Intent& intent, const ServiceSurroundings& surroundings) {
  ServiceChanges changes;
  surroundings_changed(surroundings);
  // All claims first, so that the outcome does not depend on who is compiled first.
  for (const std::string& key : dirty_objects_) claim(intent, known(key));
  dirty_objects_.clear();
  for (const std::string& key : dirty_) compile(intent, known(key), changes);
  for (const std::string& key : dirty_) forget(key);
  dirty_.clear();
  for (const ServiceId id : changes.removals)
    used_.erase(id);  // only now: no id changes its owner in one step
  if (!adopted_.empty()) {
    // Whoever has not come back by now begins anew.
    used_.clear();
    adopted_.clear();
    for (const auto& [key, known] : known_) {
      for (const Programmed& row : known.programmed) used_.insert(row.service->id);
    }
  }
  return changes;
}

}  // namespace fairlead::control
