#include "controlplane/cni/environment.hpp"

#include "controlplane/cni/names.hpp"

#include <string_view>
#include <vector>

namespace fairlead::control {

namespace {

// Which variables must be there, by verb (CNI 1.1.0, "Parameters").
std::vector<const char*> required_by(const std::string& command) {
  if (command == "ADD" || command == "CHECK")
    return {"CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME", "CNI_PATH"};
  if (command == "DEL") return {"CNI_CONTAINERID", "CNI_IFNAME", "CNI_PATH"};
  if (command == "GC") return {"CNI_PATH"};
  return {};
}

// K8S_POD_NAME=a;IgnoreUnknown=1. Unknown keys are for other plugins.
Result<void> read_arguments(std::string_view text, CniEnvironment& environment) {
  while (!text.empty()) {
    const size_t end = text.find(';');
    const std::string_view pair = text.substr(0, end);
    text.remove_prefix(end == std::string_view::npos ? text.size() : end + 1);
    if (pair.empty()) continue;
    const size_t equals = pair.find('=');
    if (equals == 0 || equals == std::string_view::npos)
      return Error{"FL4004", "CNI_ARGS has \"" + std::string(pair) + "\" where KEY=VALUE is wanted",
                   "separate pairs by ';'"};
    const std::string_view key = pair.substr(0, equals);
    const std::string value(pair.substr(equals + 1));
    if (key == "K8S_POD_NAMESPACE") environment.pod_namespace = value;
    if (key == "K8S_POD_NAME") environment.pod_name = value;
    if (key == "K8S_POD_UID") environment.pod_uid = value;
  }
  return {};
}

}  // namespace

Result<CniEnvironment> CniEnvironment::read(const std::string& command, const Get& get) {
  const auto value_of = [&](const char* name) -> std::string {
    const char* value = get(name);
    return value != nullptr ? value : "";
  };
  std::string missing;
  for (const char* name : required_by(command)) {
    if (value_of(name).empty()) missing += (missing.empty() ? "" : ", ") + std::string(name);
  }
  if (!missing.empty())
    return Error{"FL4004", command + " needs " + missing, "set the variable(s); a container runtime does"};

  CniEnvironment environment;
  environment.command = command;
  environment.container_id = value_of("CNI_CONTAINERID");
  environment.netns = value_of("CNI_NETNS");
  environment.interface = value_of("CNI_IFNAME");
  environment.path = value_of("CNI_PATH");
  if (command != "ADD" && command != "DEL" && command != "CHECK") return environment;

  if (!is_valid_cni_name(environment.container_id))
    return Error{"FL4004", "CNI_CONTAINERID \"" + environment.container_id + "\" is not valid",
                 "use letters, digits, '_', '.', '-', beginning with a letter or digit"};
  if (!is_valid_interface_name(environment.interface))
    return Error{"FL4004", "CNI_IFNAME \"" + environment.interface + "\" is no interface name",
                 "use 1 to 15 characters without '/', ':' or white space"};
  if (Result<void> read = read_arguments(value_of("CNI_ARGS"), environment); !read) return read.error();
  return environment;
}

}  // namespace fairlead::control
