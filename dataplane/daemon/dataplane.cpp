#include "dataplane/daemon/dataplane.hpp"

#include <spdlog/spdlog.h>

#include <map>
#include <optional>
#include <utility>

namespace fairlead::daemon {
namespace {

bool filter_differs(const core::NodeSettings& a, const core::NodeSettings& b) {
  return a.vtep4 != b.vtep4 || a.vtep6 != b.vtep6 || a.tunnel_port != b.tunnel_port ||
         a.local_pods != b.local_pods || a.node_port_addresses != b.node_port_addresses ||
         a.masquerade4 != b.masquerade4 || a.masquerade6 != b.masquerade6 ||
         a.snat_port_first != b.snat_port_first || a.snat_port_last != b.snat_port_last;
}

std::string name_of(const core::Endpoint& endpoint) {
  return endpoint.pod_namespace + "/" + endpoint.pod_name;
}

}  // namespace

// What a change is about to overwrite: to find out what it changes, and to put it back.
struct Dataplane::Before {
  Before(const core::NodeState& state, const core::NodeStateDelta& delta)
      : generation(state.generation), is_full(delta.from_generation == 0) {
    settings = state.settings;
    if (is_full) {
      all = state;
      endpoints = state.endpoints;
      return;
    }
    const auto keep = [](auto& into, const auto& from, const auto& key) {
      const auto row = from.find(key);
      into.emplace(key, row == from.end() ? std::nullopt : std::optional(row->second));
    };
    for (const core::Endpoint& endpoint : delta.upsert_endpoints)
      keep(old_endpoints, state.endpoints, endpoint.id);
    for (const core::EndpointId id : delta.remove_endpoints) keep(old_endpoints, state.endpoints, id);
    for (const core::Peer& peer : delta.upsert_peers) keep(peers, state.peers, peer.id);
    for (const core::PeerId id : delta.remove_peers) keep(peers, state.peers, id);
    for (const auto& [prefix, target] : delta.upsert_routes) keep(routes, state.routes, prefix);
    for (const core::Prefix& prefix : delta.remove_routes) keep(routes, state.routes, prefix);
    for (const auto& service : delta.upsert_services) keep(services, state.services, service->id);
    for (const core::ServiceId id : delta.remove_services) keep(services, state.services, id);
    for (const auto& [id, endpoint] : old_endpoints) {
      if (endpoint) endpoints.emplace(id, *endpoint);
    }
  }

  void put_back(core::NodeState& state) const {
    if (is_full) {
      state = all;
      return;
    }
    const auto restore = [](auto& into, const auto& from) {
      for (const auto& [key, value] : from) {
        if (value)
          into[key] = *value;
        else
          into.erase(key);
      }
    };
    state.generation = generation;
    state.settings = settings;
    restore(state.endpoints, old_endpoints);
    restore(state.peers, peers);
    restore(state.routes, routes);
    restore(state.services, services);
  }

  uint64_t generation;
  bool is_full;
  core::NodeState all;  // with is_full; its parts are not filled then
  core::NodeSettings settings;
  std::map<core::EndpointId, core::Endpoint> endpoints;  // those the change may touch
  std::map<core::EndpointId, std::optional<core::Endpoint>> old_endpoints;
  std::map<core::PeerId, std::optional<core::Peer>> peers;
  std::map<core::Prefix, std::optional<core::RouteTarget>> routes;
  std::map<core::ServiceId, std::optional<std::shared_ptr<const core::Service>>> services;
};

// What prepare_kernel() did, to be taken back when the engine refuses.
struct Dataplane::Undo {
  std::vector<core::EndpointId> added;
  std::vector<core::EndpointId> changed;
  bool filter = false;

  // `frontends`: those of before.
  void run(KernelSide& kernel, const Before& before, const UplinkFrontends& frontends) const {
    const auto warn = [](const Result<void>& result) {
      if (!result) spdlog::warn("taking a refused state back: {}", result.error().text());
    };
    for (const core::EndpointId id : added) warn(kernel.detach(id));
    for (const core::EndpointId id : changed) warn(kernel.attach(before.endpoints.at(id)));
    if (filter) warn(kernel.set_filter(before.settings, frontends.list()));
  }
};

Result<void> Dataplane::restore() {
  Result<std::optional<core::NodeState>> saved = file_.load();
  if (!saved) {
    refused_state_ = saved.error().what;
    return saved.error();
  }
  if (saved->has_value()) {
    const Result<uint64_t> published = put_in_force(core::diff(core::NodeState{}, **saved));
    if (!published) {
      refused_state_ = published.error().what;
      return published.error();
    }
    file_.assume(state_);
  }
  const core::NodeState& state = state_;
  forget_leftovers();
  if (!saved->has_value()) return {};
  spdlog::info("forwarding again with generation {}: {} endpoints, {} peers, {} routes", state.generation,
               state.endpoints.size(), state.peers.size(), state.routes.size());
  return {};
}

// Whatever an earlier run left attached and this state does not have is not ours any more.
void Dataplane::forget_leftovers() {
  if (kernel_ == nullptr) return;
  std::map<core::EndpointId, core::Endpoint> attached = state_.endpoints;
  for (const auto& [id, error] : unattached_) attached.erase(id);
  for (const Error& error : kernel_->reconcile(attached)) spdlog::warn("{}", error.text());
}

Result<uint64_t> Dataplane::publish(const core::NodeStateDelta& delta) {
  if (delta.from_generation != 0 && delta.from_generation != state_.generation) {
    return Error{"FL2111",
                 "the change is based on generation " + std::to_string(delta.from_generation) +
                     ", in force is " + std::to_string(state_.generation),
                 "ask for the state (get_state) and publish the difference to it"};
  }
  Result<uint64_t> done = put_in_force(delta);
  if (done) file_.save(delta);
  return done;
}

Result<uint64_t> Dataplane::put_in_force(const core::NodeStateDelta& delta) {
  const Before before(state_, delta);
  // apply() checks all that the change holds, and what it may leave without its target.
  if (const std::string wrong = core::apply(state_, delta); !wrong.empty()) {
    return Error{"FL2110", "the published state does not fit together: " + wrong,
                 "generation " + std::to_string(state_.generation) + " stays in force"};
  }
  count_frontends(delta, before, true);
  Undo undo;
  Result<void> ready = prepare_kernel(delta, before, undo);
  if (ready) ready = engine_.publish(delta);
  if (!ready) {
    count_frontends(delta, before, false);
    static_cast<void>(frontends_.take_changed());
    if (kernel_ != nullptr) undo.run(*kernel_, before, frontends_);
    before.put_back(state_);
    return ready.error();
  }
  finish_kernel(before);
  refused_state_.clear();
  return state_.generation;
}

void Dataplane::count_frontends(const core::NodeStateDelta& delta, const Before& before, bool forward) {
  const auto change = [this, forward](const core::Service& service, bool is_new) {
    if (is_new == forward)
      frontends_.add(service);
    else
      frontends_.remove(service);
  };
  // What is new before what goes: whatever stays is never counted as gone.
  if (forward) {
    for (const auto& service : delta.upsert_services) change(*service, true);
  }
  if (before.is_full) {
    for (const auto& [id, service] : before.all.services) change(*service, false);
  } else {
    for (const auto& [id, service] : before.services) {
      if (service) change(**service, false);
    }
  }
  if (!forward) {
    for (const auto& service : delta.upsert_services) change(*service, true);
  }
}

Result<void> Dataplane::prepare_kernel(const core::NodeStateDelta& delta, const Before& before, Undo& undo) {
  if (kernel_ == nullptr) return {};
  for (const core::Endpoint& endpoint : delta.upsert_endpoints) {
    const core::EndpointId id = endpoint.id;
    const auto old = before.endpoints.find(id);
    const bool is_new = old == before.endpoints.end();
    if (!is_new && old->second == endpoint) continue;
    if (const Result<void> attached = kernel_->attach(endpoint); !attached) {
      if (!before.is_full) return attached.error();
      spdlog::warn("{} cannot be attached, the rest goes on: {}", name_of(endpoint), attached.error().text());
      unattached_[id] = attached.error();
      continue;
    }
    unattached_.erase(id);
    (is_new ? undo.added : undo.changed).push_back(id);
  }
  const bool has_changed = frontends_.take_changed();
  if (has_changed || !filter_set_ || filter_differs(before.settings, state_.settings)) {
    undo.filter = true;
    if (Result<void> set = kernel_->set_filter(state_.settings, frontends_.list()); !set) return set;
    filter_set_ = true;
  }
  return {};
}

void Dataplane::finish_kernel(const Before& before) {
  if (kernel_ == nullptr) return;
  for (const auto& [id, endpoint] : before.endpoints) {
    if (state_.endpoints.contains(id)) continue;
    unattached_.erase(id);
    if (const Result<void> detached = kernel_->detach(id); !detached) {
      spdlog::warn("{} went but cannot be detached: {}", name_of(endpoint), detached.error().text());
    }
  }
}

void Dataplane::retry() {
  for (auto row = unattached_.begin(); row != unattached_.end();) {
    const core::Endpoint& endpoint = state_.endpoints.at(row->first);
    const Result<void> attached = kernel_->attach(endpoint);
    if (attached)
      spdlog::info("{} is attached now", name_of(endpoint));
    else
      row->second = attached.error();
    row = attached ? unattached_.erase(row) : std::next(row);
  }
}

std::vector<std::string> Dataplane::notes() const {
  std::vector<std::string> notes;
  if (!refused_state_.empty()) notes.push_back(refused_state_);
  if (const std::optional<Error> error = file_.last_error()) notes.push_back(error->what);
  for (const auto& [id, error] : unattached_) {
    notes.push_back(name_of(state_.endpoints.at(id)) + " is not attached: " + error.what);
  }
  return notes;
}

}  // namespace fairlead::daemon
