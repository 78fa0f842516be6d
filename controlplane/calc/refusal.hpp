#pragma once

#include <string>

namespace fairlead::control {

// Something in the intent that cannot forward: left out, named, and the rest goes on.
struct Refusal {
  std::string code;    // FL1030: a row of error_codes.def
  std::string object;  // node/node-3
  std::string field;   // spec.podCIDRs[0]
  std::string reason;
  bool operator==(const Refusal&) const = default;
};

}  // namespace fairlead::control
