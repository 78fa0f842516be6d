#pragma once

#include "dataplane/base/result.hpp"
#include "dataplane/core/node_state.hpp"
#include "dataplane/rpc/fairlead.pb.h"

#include <cstddef>
#include <optional>

namespace fairlead::ipc {

// A state or a change of 100,000 Services is longer than one message may be. It travels as several that hold
// some Services each, and takes effect as one.

inline constexpr std::size_t kPartBytes = 4u << 20;  // about; one Service more at most

// The first Services of `delta` from `next_service` on, at most about `bytes`, and with next_service 0 all
// that is no Service. Moves next_service to what follows; delta.upsert_services.size() when nothing does.
[[nodiscard]] rpc::NodeStateDelta next_part(const core::NodeStateDelta& delta, std::size_t& next_service,
                                            std::size_t bytes = kPartBytes);

// The page of `state` that `request` asks for.
[[nodiscard]] rpc::NodeState page_of(const core::NodeState& state, const rpc::StateRequest& request,
                                     std::size_t bytes = kPartBytes);

// Puts the parts of a change together.
//
// Bounded: kMostBytes of messages. A part of other generations than the ones before begins anew. Threads:
// one.
class DeltaParts {
 public:
  static constexpr std::size_t kMostBytes = 1u << 30;

  // The whole change when `request` was its last part; nullopt when another follows. Errors: FL5060 a field,
  // FL5062 too large; both forget what was there.
  [[nodiscard]] Result<std::optional<core::NodeStateDelta>> add(const rpc::PublishRequest& request);

 private:
  std::optional<core::NodeStateDelta> begun_;
  std::size_t bytes_ = 0;
};

// Puts the pages of a state together.
class StatePages {
 public:
  // True when the state is whole; otherwise next() is to be asked. Errors: FL5060.
  [[nodiscard]] Result<bool> add(const rpc::NodeState& page);
  [[nodiscard]] rpc::StateRequest next() const { return next_; }
  [[nodiscard]] core::NodeState take() { return std::move(state_); }

 private:
  core::NodeState state_;
  rpc::StateRequest next_;
};

}  // namespace fairlead::ipc
