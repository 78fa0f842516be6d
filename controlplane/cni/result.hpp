#pragma once

#include "controlplane/cni/netconf.hpp"
#include "controlplane/cni/wire.hpp"
#include "dataplane/base/result.hpp"

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace fairlead::control {

// The result of an ADD in the form of conf.cni_version: our two interfaces, addresses and default routes
// behind those of prevResult, if the plugin is not the first of a chain.
//
// Errors: FL4006 a list of prevResult that is none.
[[nodiscard]] Result<nlohmann::json> add_result(const NetConf& conf, const wire::AddReply& reply,
                                                const std::string& interface, const std::string& netns);

// CHECK: the addresses that prevResult gives to `interface` in the sandbox. Errors: FL4006, FL4007.
[[nodiscard]] Result<std::vector<std::string>> previous_addresses(const NetConf& conf,
                                                                  const std::string& interface);

}  // namespace fairlead::control
