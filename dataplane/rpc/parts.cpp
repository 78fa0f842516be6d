#include "dataplane/rpc/parts.hpp"

#include "dataplane/rpc/convert.hpp"

#include <iterator>
#include <utility>

namespace fairlead::ipc {

rpc::NodeStateDelta next_part(const core::NodeStateDelta& delta, std::size_t& next_service,
                              std::size_t bytes) {
  rpc::NodeStateDelta part;
  if (next_service == 0) {
    part = to_message_without_services(delta);
    for (const core::ServiceId id : delta.remove_services) part.add_remove_services(id);
  } else {
    part.set_from_generation(delta.from_generation);
    part.set_to_generation(delta.to_generation);
  }
  for (std::size_t size = 0; next_service < delta.upsert_services.size() && size < bytes; ++next_service) {
    rpc::Service& service = *part.add_upsert_services();
    service = to_message(*delta.upsert_services[next_service]);
    size += service.ByteSizeLong();
  }
  return part;
}

rpc::NodeState page_of(const core::NodeState& state, const rpc::StateRequest& request, std::size_t bytes) {
  rpc::NodeState page;
  if (request.services_after() == 0) {
    page = to_message_without_services(state);
  } else {
    page.set_generation(state.generation);
    *page.mutable_settings() = to_message(state.settings);
  }
  if (request.without_services()) return page;
  std::size_t size = 0;
  auto at = state.services.upper_bound(request.services_after());
  for (; at != state.services.end() && size < bytes; ++at) {
    const core::Service& own = *at->second;
    if (!request.service().empty() && request.service() != own.service_namespace + "/" + own.name) continue;
    rpc::Service& service = *page.add_services();
    service = to_message(*at->second);
    size += service.ByteSizeLong();
  }
  if (at != state.services.end()) page.set_more_services_after(std::prev(at)->first);
  return page;
}

Result<std::optional<core::NodeStateDelta>> DeltaParts::add(const rpc::PublishRequest& request) {
  Result<core::NodeStateDelta> part = from_message(request.delta());
  if (!part) {
    begun_.reset();
    return part.error();
  }
  const bool follows = begun_ && begun_->from_generation == part->from_generation &&
                       begun_->to_generation == part->to_generation;
  if (!follows) {
    begun_ = std::move(*part);
    bytes_ = 0;
  } else {
    std::move(part->upsert_services.begin(), part->upsert_services.end(),
              std::back_inserter(begun_->upsert_services));
  }
  bytes_ += request.delta().ByteSizeLong();
  if (bytes_ > kMostBytes) {
    begun_.reset();
    return Error{"FL5062", "a change of more than " + std::to_string(kMostBytes >> 20) + " MiB",
                 "the state before stays in force"};
  }
  if (request.more()) return std::optional<core::NodeStateDelta>();
  return std::exchange(begun_, std::nullopt);
}

Result<bool> StatePages::add(const rpc::NodeState& page) {
  Result<core::NodeState> state = from_message(page);
  if (!state) return state.error();
  const bool is_first = next_.services_after() == 0;
  if (!is_first && state->generation != state_.generation) {
    next_.set_services_after(0);  // it changed meanwhile
    return false;
  }
  if (is_first)
    state_ = std::move(*state);
  else
    state_.services.merge(state->services);
  next_.set_services_after(page.more_services_after());
  return page.more_services_after() == 0;
}

}  // namespace fairlead::ipc
