#pragma once

#include "controlplane/cni/wire.hpp"
#include "dataplane/base/result.hpp"

#include <chrono>
#include <string>

namespace fairlead::control {

// One request to the agent and its answer, over its socket. Blocking; `timeout` bounds the whole call.
//
// Errors: FL5051 nobody answers at the socket, or the connection ended; FL5053 no answer in time; FL5054 an
// answer that is none. What the agent itself refuses is a Response of kind error, not an Error here: only a
// missing agent makes a DEL be queued.
[[nodiscard]] Result<wire::Response> call_agent(const std::string& socket, const std::string& request,
                                                std::chrono::milliseconds timeout);

}  // namespace fairlead::control
