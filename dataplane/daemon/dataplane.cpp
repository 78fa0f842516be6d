#include "dataplane/daemon/dataplane.hpp"

#include <spdlog/spdlog.h>

#include <utility>

namespace fairlead::daemon {
namespace {

bool filter_differs(const core::NodeSettings& a, const core::NodeSettings& b) {
  return a.vtep4 != b.vtep4 || a.vtep6 != b.vtep6 || a.tunnel_port != b.tunnel_port ||
         a.local_pods != b.local_pods;
}

std::string name_of(const core::Endpoint& endpoint) {
  return endpoint.pod_namespace + "/" + endpoint.pod_name;
}

}  // namespace

// What prepare_kernel() did, to be taken back when the engine refuses.
struct Dataplane::Undo {
  std::vector<core::EndpointId> added;
  std::vector<core::EndpointId> changed;
  bool filter = false;

  void run(KernelSide& kernel, const core::NodeState& before) const {
    const auto warn = [](const Result<void>& result) {
      if (!result) spdlog::warn("taking a refused state back: {}", result.error().text());
    };
    for (const core::EndpointId id : added) warn(kernel.detach(id));
    for (const core::EndpointId id : changed) warn(kernel.attach(before.endpoints.at(id)));
    if (filter) warn(kernel.set_filter(before.settings));
  }
};

Result<void> Dataplane::restore() {
  Result<std::optional<core::NodeState>> saved = file_.load();
  if (!saved) {
    refused_state_ = saved.error().what;
    return saved.error();
  }
  const core::NodeState state = saved->value_or(core::NodeState{});
  if (saved->has_value()) {
    const Result<uint64_t> published = put_in_force(state, core::diff(core::NodeState{}, state));
    if (!published) {
      refused_state_ = published.error().what;
      return published.error();
    }
  }
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
  core::NodeState next = state_;
  if (const std::string wrong = core::apply(next, delta); !wrong.empty()) {
    return Error{"FL2110", "the published state does not fit together: " + wrong,
                 "generation " + std::to_string(state_.generation) + " stays in force"};
  }
  if (const std::string wrong = core::validate(next); !wrong.empty()) {
    return Error{"FL2110", "the published state does not fit together: " + wrong,
                 "generation " + std::to_string(state_.generation) + " stays in force"};
  }
  Result<uint64_t> done = put_in_force(std::move(next), delta);
  if (done) file_.save(state_);
  return done;
}

Result<uint64_t> Dataplane::put_in_force(core::NodeState next, const core::NodeStateDelta& delta) {
  Undo undo;
  Result<void> ready = prepare_kernel(next, delta.from_generation == 0, undo);
  if (ready) ready = engine_.publish(delta);
  if (!ready) {
    if (kernel_ != nullptr) undo.run(*kernel_, state_);
    return ready.error();
  }
  finish_kernel(next);
  state_ = std::move(next);
  refused_state_.clear();
  return state_.generation;
}

Result<void> Dataplane::prepare_kernel(const core::NodeState& next, bool is_full, Undo& undo) {
  if (kernel_ == nullptr) return {};
  for (const auto& [id, endpoint] : next.endpoints) {
    const auto before = state_.endpoints.find(id);
    const bool is_new = before == state_.endpoints.end();
    if (!is_new && before->second == endpoint) continue;
    if (const Result<void> attached = kernel_->attach(endpoint); !attached) {
      if (!is_full) return attached.error();
      spdlog::warn("{} cannot be attached, the rest goes on: {}", name_of(endpoint), attached.error().text());
      unattached_[id] = attached.error();
      continue;
    }
    unattached_.erase(id);
    (is_new ? undo.added : undo.changed).push_back(id);
  }
  if (!filter_set_ || filter_differs(state_.settings, next.settings)) {
    undo.filter = true;
    if (Result<void> set = kernel_->set_filter(next.settings); !set) return set;
    filter_set_ = true;
  }
  return {};
}

void Dataplane::finish_kernel(const core::NodeState& next) {
  if (kernel_ == nullptr) return;
  for (const auto& [id, endpoint] : state_.endpoints) {
    if (next.endpoints.contains(id)) continue;
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
