#pragma once

#include "dataplane/base/result.hpp"
#include "dataplane/daemon/options.hpp"

namespace fairlead::daemon {

// The whole life of the process: lock, privileges, engine, ports, hooks, saved state, service, until SIGTERM
// or SIGINT. Returns when it has ended cleanly; errors are those of the start.
[[nodiscard]] Result<void> run(const Options& options);

}  // namespace fairlead::daemon
