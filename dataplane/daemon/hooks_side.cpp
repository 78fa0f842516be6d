#include "dataplane/daemon/hooks_side.hpp"

#include "dataplane/tables/hooks.h"

#include <string>
#include <system_error>

namespace fairlead::daemon {

Result<void> HooksSide::set_filter(const core::NodeSettings& settings) {
  std::vector<core::IpAddress> vteps;
  for (const core::IpAddress& vtep : {settings.vtep4, settings.vtep6}) {
    if (vtep) vteps.push_back(vtep);
  }
  for (const uint32_t uplink : filtered_uplinks_) {
    if (Result<void> set =
            hooks_->set_uplink_filter(uplink, vteps, settings.tunnel_port, settings.local_pods);
        !set) {
      return set;
    }
  }
  return {};
}

std::vector<Error> HooksSide::remove() {
  std::vector<Error> errors = hooks_->reconcile({});
  const auto note = [&errors](const Result<void>& result) {
    if (!result) errors.push_back(result.error());
  };
  note(hooks_->set_trunk(0));
  for (const uint32_t uplink : filtered_uplinks_) note(hooks_->release_uplink(uplink));
  hooks_.reset();
  // Only what this version pins; the directory itself goes when nothing else is in it.
  const std::filesystem::path pins = bpf_dir_ / ("v" + std::to_string(FL_HOOKS_VERSION));
  std::error_code error;
  std::filesystem::remove_all(pins, error);
  if (error)
    errors.push_back({"FL2105", "cannot remove the pins " + pins.string() + ": " + error.message(),
                      "rm -r " + pins.string()});
  std::filesystem::remove(bpf_dir_, error);
  return errors;
}

}  // namespace fairlead::daemon
