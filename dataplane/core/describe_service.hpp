#pragma once

#include "dataplane/core/walk.hpp"

#include <string>

namespace fairlead::core {

// What the step `service` found, for a person: the Service's name ("service default/web:http"; empty: none
// was addressed), and by what kind of frontend, from which list, why, and which backend.
struct ServiceStory {
  std::string object;
  std::string text;
};
[[nodiscard]] ServiceStory tell_service(const Walk& walk, const Snapshot& snapshot);

}  // namespace fairlead::core
