#pragma once

#include "controlplane/ipam/attachment.hpp"
#include "dataplane/base/result.hpp"

#include <nlohmann/json.hpp>

#include <string>
#include <vector>

namespace fairlead::control {

// Versions of the CNI specification that the plugin speaks, oldest first.
[[nodiscard]] const std::vector<std::string>& supported_cni_versions();

// a < b, for versions of the list above.
[[nodiscard]] bool is_older_version(const std::string& a, const std::string& b);

// The network configuration on standard input. Keys we do not know are for others.
struct NetConf {
  std::string name;
  std::string cni_version = "0.1.0";  // as the specification says when it is absent
  std::string socket = "/run/fairlead/agent.sock";
  std::string state_dir = "/var/lib/fairlead";
  nlohmann::json dns = nlohmann::json::object();
  nlohmann::json previous_result;  // null: absent
  nlohmann::json whole;            // for the checks of single verbs

  // Decodes and checks the parts every verb needs, in the specification's order.
  //
  // Errors: FL4006 no JSON, or a key of another type; FL4007 name or a path is not valid.
  [[nodiscard]] static Result<NetConf> parse(const std::string& text);

  // FL4001 unless we speak cni_version and `command` exists in it.
  [[nodiscard]] Result<void> check_version(const std::string& command) const;

  // FL4002 when the configuration asks for what this plugin does not do; key and value are named.
  [[nodiscard]] Result<void> check_fields() const;

  // GC: the attachments that stay; `is_given` false: the runtime did not say, so nothing may be removed.
  struct Valid {
    bool is_given = false;
    std::vector<AttachmentKey> attachments;
  };
  [[nodiscard]] Result<Valid> valid_attachments() const;
};

}  // namespace fairlead::control
