#include "tools/cli/exit_code.hpp"

#include "dataplane/rpc/client.hpp"

namespace fairlead::cli {

Exit exit_for(const Error& error) {
  constexpr const char* kAgentHasNoDataplane = "FL5020";
  constexpr const char* kWaitTimedOut = "FL5024";
  if (error.code == "FL6001") return kUsage;
  if (error.code.starts_with("FL1")) return kInvalid;
  if (error.code == "FL6010") return kPreflight;
  if (error.code == ipc::kUnreachable || error.code == kAgentHasNoDataplane) return kUnreachable;
  if (error.code == ipc::kTimedOut || error.code == kWaitTimedOut) return kTimedOut;
  return kFailed;
}

}  // namespace fairlead::cli
