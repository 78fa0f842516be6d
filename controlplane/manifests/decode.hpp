#pragma once

#include "controlplane/manifests/manifests.hpp"
#include "controlplane/manifests/yaml.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace fairlead::control {

// One document, decoded: its objects, or nothing where it is of a kind that we do not read.
struct DecodedDocument {
  std::vector<ManifestObject> objects;
  std::vector<std::string> ignored;  // "apps/v1 Deployment"
  bool is_ours = false;              // holds something we read, or something wrong
};

// Turns a document into typed objects. What is wrong goes to `report`, all of it.
[[nodiscard]] DecodedDocument decode_document(const YamlNode& root, YamlReport& report);

// ---- checks of single values, shared by the kinds; `path` is what messages call the field
// -----------------------------------

[[nodiscard]] bool expect_mapping(const YamlNode& node, const std::string& path, YamlReport& report);
[[nodiscard]] bool expect_list(const YamlNode& node, const std::string& path, YamlReport& report);
[[nodiscard]] std::optional<std::string> read_text(const YamlNode& node, const std::string& path,
                                                   YamlReport& report);
[[nodiscard]] std::optional<uint64_t> read_number(const YamlNode& node, const std::string& path, uint64_t min,
                                                  uint64_t max, YamlReport& report);
[[nodiscard]] std::optional<core::Prefix> read_cidr(const YamlNode& node, const std::string& path,
                                                    YamlReport& report);
// The group to read fields from; nullptr when it is absent, or wrong and said so.
[[nodiscard]] const YamlNode* read_group(const YamlNode& parent, std::string_view key,
                                         const std::string& path, YamlReport& report);
[[nodiscard]] std::optional<bool> read_bool(const YamlNode& node, const std::string& path,
                                            YamlReport& report);
// A DNS name in lower case, as the API has them.
[[nodiscard]] std::optional<std::string> read_name(const YamlNode& node, const std::string& path,
                                                   YamlReport& report);
// metadata.name; nullopt when it is missing or wrong, and said so.
[[nodiscard]] std::optional<std::string> object_name(const YamlNode& root, const YamlNode* metadata,
                                                     YamlReport& report);
// A range that pods may have: a CIDR that is not so wide that it would swallow the node's own traffic, nor
// loopback, link-local or multicast.
[[nodiscard]] std::optional<core::Prefix> read_pod_cidr(const YamlNode& node, const std::string& path,
                                                        YamlReport& report);

void decode_cluster_network(const YamlNode& root, YamlReport& report, std::vector<ManifestObject>& objects);
void decode_node(const YamlNode& root, YamlReport& report, std::vector<ManifestObject>& objects);
void decode_pod(const YamlNode& root, YamlReport& report, std::vector<ManifestObject>& objects);
void decode_service(const YamlNode& root, YamlReport& report, std::vector<ManifestObject>& objects);
void decode_endpoint_slice(const YamlNode& root, YamlReport& report, std::vector<ManifestObject>& objects);

}  // namespace fairlead::control
