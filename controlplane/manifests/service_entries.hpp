#pragma once

#include "controlplane/intent/service_objects.hpp"
#include "controlplane/manifests/yaml.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fairlead::control {

inline constexpr std::string_view kServiceProxyName = "service.kubernetes.io/service-proxy-name";

// Reads entries of Services and EndpointSlices. A value of the wrong type is a diagnostic, as in every
// manifest; a value that is well written and cannot be used becomes a problem of the object, and the rest of
// the object is read on.
class EntryReader {
 public:
  EntryReader(std::vector<ObjectProblem>& problems, std::string code, YamlReport& report)
      : problems_(problems), code_(std::move(code)), report_(report) {}

  void add(std::string field, std::string reason) {
    // One broken object must not fill the log.
    constexpr std::size_t kMostProblems = 64;
    if (problems_.size() < kMostProblems) problems_.push_back({code_, std::move(field), std::move(reason)});
  }

  // How many of the list's items are to be read: all, or none and a problem where there are more than `most`.
  [[nodiscard]] std::size_t bounded(const YamlNode& list, const std::string& field, std::size_t most);
  [[nodiscard]] std::optional<uint64_t> number(const YamlNode& node, const std::string& field, uint64_t least,
                                               uint64_t most);
  [[nodiscard]] std::optional<core::IpAddress> address(const YamlNode& node, const std::string& field);
  // The members `name` and `protocol` of a port; absent: "" and TCP, as the API fills them in.
  [[nodiscard]] std::optional<std::string> port_name(const YamlNode& port, const std::string& field);
  [[nodiscard]] std::optional<uint8_t> protocol(const YamlNode& port, const std::string& field);
  // "2026-11-23T03:10:04Z" as seconds since 1970; kUnknownTime and a problem where it is not that.
  [[nodiscard]] int64_t time(const YamlNode& node, const std::string& field);

 private:
  std::vector<ObjectProblem>& problems_;
  const std::string code_;
  YamlReport& report_;
};

// ThisNode, Geneve, IPIP.
[[nodiscard]] std::optional<core::ReplyPath> parse_reply_path(std::string_view text);
[[nodiscard]] std::string_view reply_path_name(core::ReplyPath path);

// The key is there, whatever its value.
[[nodiscard]] bool has_key(const YamlNode& mapping, std::string_view key);

// What was found, short enough for a message and nothing that a terminal would obey.
[[nodiscard]] std::string shortened(std::string_view text);

}  // namespace fairlead::control
