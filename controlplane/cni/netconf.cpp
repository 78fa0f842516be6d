#include "controlplane/cni/netconf.hpp"

#include "controlplane/cni/names.hpp"

#include <algorithm>
#include <sys/un.h>
#include <utility>

namespace fairlead::control {

namespace {

using nlohmann::json;

constexpr const char* kTypeOfIpam = "fairlead";

Error wrong_type(const std::string& key, const char* wanted, const json& found) {
  return {"FL4006",
          "key \"" + key + "\" of the network configuration is " + std::string(found.type_name()) + ", not " +
              wanted,
          "correct the configuration (/etc/cni/net.d)"};
}

// Absent and null leave `value` as it is.
Result<void> take_text(const json& object, const char* key, std::string& value) {
  const auto it = object.find(key);
  if (it == object.end() || it->is_null()) return {};
  if (!it->is_string()) return wrong_type(key, "text", *it);
  value = it->get<std::string>();
  return {};
}

Result<void> take_object(const json& object, const char* key, json& value) {
  const auto it = object.find(key);
  if (it == object.end() || it->is_null()) return {};
  if (!it->is_object()) return wrong_type(key, "an object", *it);
  value = *it;
  return {};
}

Result<void> check_path(const std::string& key, const std::string& path, size_t longest) {
  if (!path.empty() && path.front() == '/' && path.size() <= longest) return {};
  return Error{"FL4007",
               "\"" + key + "\": \"" + path + "\" is no absolute path of at most " + std::to_string(longest) +
                   " bytes",
               "give an absolute path"};
}

bool is_asked_for(const json& value) {
  return !value.is_null() && !(value.is_array() && value.empty()) && !(value.is_object() && value.empty());
}

}  // namespace

const std::vector<std::string>& supported_cni_versions() {
  static const std::vector<std::string> kVersions = {"0.3.1", "0.4.0", "1.0.0", "1.1.0"};
  return kVersions;
}

bool is_older_version(const std::string& a, const std::string& b) {
  const std::vector<std::string>& all = supported_cni_versions();
  return std::find(all.begin(), all.end(), a) < std::find(all.begin(), all.end(), b);
}

Result<NetConf> NetConf::parse(const std::string& text) {
  NetConf conf;
  conf.whole = json::parse(text, nullptr, false);
  if (conf.whole.is_discarded())
    return Error{"FL4006", "standard input is not JSON: " + text.substr(0, 80),
                 "pass the network configuration"};
  if (!conf.whole.is_object())
    return Error{"FL4006",
                 std::string("the network configuration is ") + conf.whole.type_name() + ", not an object",
                 "pass the network configuration"};

  std::string run_dir;
  for (const Result<void>& taken :
       {take_text(conf.whole, "name", conf.name), take_text(conf.whole, "cniVersion", conf.cni_version),
        take_text(conf.whole, "runDir", run_dir), take_text(conf.whole, "stateDir", conf.state_dir),
        take_object(conf.whole, "dns", conf.dns),
        take_object(conf.whole, "prevResult", conf.previous_result)}) {
    if (!taken) return taken.error();
  }
  if (!run_dir.empty()) conf.socket = run_dir + "/agent.sock";
  if (Result<void> taken = take_text(conf.whole, "socket", conf.socket); !taken) return taken.error();

  if (!is_valid_cni_name(conf.name))
    return Error{"FL4007",
                 conf.name.empty() ? "the network configuration has no name"
                                   : "\"name\": \"" + conf.name + "\" is not valid",
                 "use letters, digits, '_', '.', '-', beginning with a letter or digit"};
  if (Result<void> path = check_path("socket", conf.socket, sizeof(sockaddr_un::sun_path) - 1); !path)
    return path.error();
  if (Result<void> path = check_path("stateDir", conf.state_dir, 3000); !path) return path.error();
  return conf;
}

Result<void> NetConf::check_version(const std::string& command) const {
  const std::vector<std::string>& all = supported_cni_versions();
  std::string spoken;
  for (const std::string& version : all) spoken += (spoken.empty() ? "" : ", ") + version;
  if (std::find(all.begin(), all.end(), cni_version) == all.end())
    return Error{"FL4001",
                 "the configuration has cniVersion " + cni_version + ", the plugin speaks " + spoken,
                 "set cniVersion to one of them"};
  const std::string since = command == "CHECK"                       ? "0.4.0"
                            : command == "GC" || command == "STATUS" ? "1.1.0"
                                                                     : all.front();
  if (is_older_version(cni_version, since))
    return Error{"FL4001",
                 command + " exists since " + since + ", the configuration has cniVersion " + cni_version,
                 "raise cniVersion; the plugin speaks " + spoken};
  return {};
}

Result<void> NetConf::check_fields() const {
  const auto refuse = [](const std::string& key, const json& value, const std::string& fix) {
    return Error{"FL4002", key + " = " + value.dump() + " is not supported", fix};
  };
  json ipam;
  if (Result<void> taken = take_object(whole, "ipam", ipam); !taken) return taken;
  if (ipam.is_object()) {
    std::string type;
    if (Result<void> taken = take_text(ipam, "type", type); !taken) return taken;
    if (!type.empty() && type != kTypeOfIpam)
      return refuse("ipam.type", type, "remove \"ipam\": addresses come from the node's pod CIDRs");
  }
  json runtime;
  if (Result<void> taken = take_object(whole, "runtimeConfig", runtime); !taken) return taken;
  for (const char* key : {"portMappings", "bandwidth"}) {
    if (runtime.is_object() && runtime.contains(key) && is_asked_for(runtime[key]))
      return refuse(std::string("runtimeConfig.") + key, runtime[key],
                    "take the capability from this plugin and chain the plugin that has it");
  }
  return {};
}

Result<NetConf::Valid> NetConf::valid_attachments() const {
  Valid valid;
  // The second name is what the specification said for a while; libcni sends both.
  for (const char* key : {"cni.dev/valid-attachments", "cni.dev/attachments"}) {
    const auto it = whole.find(key);
    if (it == whole.end() || it->is_null()) continue;
    if (!it->is_array()) return wrong_type(key, "a list", *it);
    for (const json& entry : *it) {
      AttachmentKey attachment;
      if (!entry.is_object()) return wrong_type(key, "a list of objects", entry);
      if (Result<void> taken = take_text(entry, "containerID", attachment.container_id); !taken)
        return taken.error();
      if (Result<void> taken = take_text(entry, "ifname", attachment.interface); !taken) return taken.error();
      if (attachment.container_id.empty() || attachment.interface.empty())
        return Error{"FL4007", std::string(key) + " has " + entry.dump() + " without containerID or ifname",
                     "name every attachment that stays"};
      valid.attachments.push_back(std::move(attachment));
    }
    valid.is_given = true;
    break;
  }
  return valid;
}

}  // namespace fairlead::control
