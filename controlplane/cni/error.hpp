#pragma once

#include "dataplane/base/result.hpp"

#include <nlohmann/json.hpp>

#include <string>

namespace fairlead::control {

// The CNI code of an error: FL4000 + code for what CNI is about, 11 (try again later) when the agent or its
// dataplane cannot serve right now (FL5xxx), 100 for anything else the agent reports.
[[nodiscard]] int cni_code(const Error& error);

// The error object of the specification: cniVersion, code, msg (the code's title), details (what was found
// and wanted, and the next step).
[[nodiscard]] nlohmann::json error_json(const Error& error, const std::string& cni_version);

}  // namespace fairlead::control
