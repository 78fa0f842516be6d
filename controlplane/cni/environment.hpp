#pragma once

#include "dataplane/base/result.hpp"

#include <functional>
#include <optional>
#include <string>

namespace fairlead::control {

// What a runtime tells a plugin by environment variables.
struct CniEnvironment {
  std::string command;  // CNI_COMMAND
  std::string container_id;
  std::string netns;
  std::string interface;
  std::string path;
  std::string pod_namespace, pod_name, pod_uid;  // of CNI_ARGS

  using Get = std::function<const char*(const char* name)>;  // getenv

  // Reads and checks what `command` requires; an unknown command requires nothing here, it is refused after
  // the configuration was read, as the reference library does. Errors: FL4004, with all missing names.
  [[nodiscard]] static Result<CniEnvironment> read(const std::string& command, const Get& get);
};

}  // namespace fairlead::control
