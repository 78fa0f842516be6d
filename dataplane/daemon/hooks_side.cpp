#include "dataplane/daemon/hooks_side.hpp"

#include "dataplane/tables/hooks.h"

#include <string>
#include <system_error>

namespace fairlead::daemon {

Result<void> HooksSide::set_filter(const core::NodeSettings& settings, const ebpf::UplinkServices& services) {
  ebpf::UplinkFilter filter;
  filter.tunnel_port = settings.tunnel_port;
  filter.local_pods = settings.local_pods;
  for (const core::IpAddress& vtep : {settings.vtep4, settings.vtep6}) {
    if (vtep) filter.vteps.push_back(vtep);
  }
  filter.services = services;
  filter.node_port_addresses = settings.node_port_addresses;
  for (const core::IpAddress& address : {settings.masquerade4, settings.masquerade6}) {
    if (address) filter.snat_addresses.push_back(address);
  }
  filter.snat_port_first = settings.snat_port_first;
  filter.snat_port_last = settings.snat_port_last;
  for (const uint32_t uplink : filtered_uplinks_) {
    if (Result<void> set = hooks_->set_uplink_filter(uplink, filter); !set) return set;
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
