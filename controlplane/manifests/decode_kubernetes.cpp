#include "controlplane/manifests/decode.hpp"

#include <algorithm>
#include <array>
#include <map>

namespace fairlead::control {
namespace {

constexpr std::string_view kVtepMacAnnotation = "fairlead.io/vtep-mac";
constexpr std::string_view kZoneLabel = "topology.kubernetes.io/zone";

// RFC 1123 subdomain, as the API checks object names.
bool is_dns_name(std::string_view name) {
  if (name.empty() || name.size() > 253) return false;
  const auto is_alnum = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  bool label_begins = true;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    if (c == '.') {
      if (label_begins || !is_alnum(name[i - 1])) return false;
      label_begins = true;
      continue;
    }
    if (!is_alnum(c) && (c != '-' || label_begins)) return false;
    label_begins = false;
  }
  return !label_begins && is_alnum(name.back());
}

void read_pod_cidrs(const YamlNode& spec, YamlReport& report, std::vector<core::Prefix>& into) {
  const auto add = [&](const YamlNode& item, const std::string& path) {
    const auto prefix = read_pod_cidr(item, path, report);
    if (!prefix) return;
    for (const core::Prefix& earlier : into) {
      if (!earlier.overlaps(*prefix)) continue;
      report.add("FL1016", item,
                 path + ": " + prefix->text() + " overlaps " + earlier.text() + " of the same node",
                 "name each range once");
      return;
    }
    into.push_back(*prefix);
  };
  if (const YamlNode* list = spec.find("podCIDRs")) {
    if (!expect_list(*list, "spec.podCIDRs", report)) return;
    for (std::size_t i = 0; i < list->items.size(); ++i)
      add(*list->items[i], "spec.podCIDRs[" + std::to_string(i) + "]");
  } else if (const YamlNode* single = spec.find("podCIDR")) {
    add(*single, "spec.podCIDR");
  }
}

void read_internal_ips(const YamlNode& status, YamlReport& report, std::vector<core::IpAddress>& into) {
  const YamlNode* list = status.find("addresses");
  if (list == nullptr || !expect_list(*list, "status.addresses", report)) return;
  for (std::size_t i = 0; i < list->items.size(); ++i) {
    const std::string path = "status.addresses[" + std::to_string(i) + "]";
    const YamlNode& item = *list->items[i];
    if (!expect_mapping(item, path, report)) continue;
    const YamlNode* type = item.find("type");
    const YamlNode* address = item.find("address");
    if (type == nullptr || address == nullptr) {
      report.add("FL1010", item, path + (type == nullptr ? ".type" : ".address") + " is missing");
      continue;
    }
    const auto type_text = read_text(*type, path + ".type", report);
    if (!type_text || *type_text != "InternalIP") continue;
    const auto text = read_text(*address, path + ".address", report);
    if (!text) continue;
    const auto parsed = core::IpAddress::parse(*text);
    if (!parsed) {
      report.add("FL1009", *address, path + ".address: found \"" + *text + "\", wanted an IP address");
      continue;
    }
    const bool has_family = std::any_of(into.begin(), into.end(), [&](const core::IpAddress& earlier) {
      return earlier.family == parsed->family;
    });
    if (!has_family) into.push_back(*parsed);
  }
}

void read_pod_ips(const YamlNode& status, YamlReport& report, std::vector<core::IpAddress>& into) {
  const auto add = [&](const YamlNode& item, const std::string& path) {
    const auto text = read_text(item, path, report);
    if (!text) return;
    if (const auto address = core::IpAddress::parse(*text)) {
      into.push_back(*address);
    } else {
      report.add("FL1009", item, path + ": found \"" + *text + "\", wanted an IP address");
    }
  };
  if (const YamlNode* list = status.find("podIPs")) {
    if (!expect_list(*list, "status.podIPs", report)) return;
    for (std::size_t i = 0; i < list->items.size(); ++i) {
      const std::string path = "status.podIPs[" + std::to_string(i) + "]";
      if (!expect_mapping(*list->items[i], path, report)) continue;
      if (const YamlNode* ip = list->items[i]->find("ip")) add(*ip, path + ".ip");
    }
  } else if (const YamlNode* single = status.find("podIP")) {
    add(*single, "status.podIP");
  }
}

void read_annotations(const YamlNode& metadata, YamlReport& report, NodeObject& node) {
  const YamlNode* annotations = read_group(metadata, "annotations", "metadata.annotations", report);
  if (annotations == nullptr) return;
  for (const YamlMember& member : annotations->members) {
    const std::string& key = member.key->text;
    if (!key.starts_with("fairlead.io/")) continue;
    if (key != kVtepMacAnnotation) {
      if (!nearest(key, {kVtepMacAnnotation}).empty()) {
        report.add("FL1005", *member.key, "metadata.annotations: unknown annotation " + key,
                   "did you mean " + std::string(kVtepMacAnnotation) + "?");
      }
      continue;
    }
    const std::string path = "metadata.annotations[" + key + "]";
    const auto text = read_text(*member.value, path, report);
    if (!text) continue;
    const auto mac = core::MacAddress::parse(*text);
    if (!mac) {
      report.add("FL1017", *member.value,
                 path + ": found \"" + *text + "\", wanted a MAC address such as 02:46:c0:00:02:01");
    } else if ((mac->bytes[0] & 1) != 0 || *mac == core::MacAddress{}) {
      report.add("FL1017", *member.value, path + ": " + *text + " is not a unicast address", "",
                 "a tunnel end answers to one unicast address");
    } else {
      node.vtep_mac = *mac;
    }
  }
}

}  // namespace

const YamlNode* read_group(const YamlNode& parent, std::string_view key, const std::string& path,
                           YamlReport& report) {
  const YamlNode* node = parent.find(key);
  return node != nullptr && expect_mapping(*node, path, report) ? node : nullptr;
}

std::optional<std::string> read_name(const YamlNode& node, const std::string& path, YamlReport& report) {
  auto text = read_text(node, path, report);
  if (!text || is_dns_name(*text)) return text;
  report.add("FL1021", node, path + ": found \"" + *text + "\", wanted a DNS name in lower case", "",
             "letters, digits, '-' and '.'; begins and ends with a letter or digit");
  return std::nullopt;
}

std::optional<std::string> object_name(const YamlNode& root, const YamlNode* metadata, YamlReport& report) {
  if (metadata == nullptr && root.find("metadata") != nullptr)
    return std::nullopt;  // wrong type, said already
  const YamlNode* name = metadata == nullptr ? nullptr : metadata->find("name");
  if (name == nullptr) {
    report.add("FL1010", metadata == nullptr ? root : *metadata, "metadata.name is missing",
               "add metadata: {name: ...}");
    return std::nullopt;
  }
  return read_name(*name, "metadata.name", report);
}

void decode_node(const YamlNode& root, YamlReport& report, std::vector<ManifestObject>& objects) {
  NodeObject node;
  const YamlNode* metadata = read_group(root, "metadata", "metadata", report);
  const auto name = object_name(root, metadata, report);
  if (metadata != nullptr) read_annotations(*metadata, report, node);
  if (metadata != nullptr) {
    const YamlNode* labels = read_group(*metadata, "labels", "metadata.labels", report);
    if (const YamlNode* zone = labels == nullptr ? nullptr : labels->find(kZoneLabel)) {
      if (auto text = read_text(*zone, "metadata.labels[" + std::string(kZoneLabel) + "]", report))
        node.zone = *text;
    }
  }
  if (const YamlNode* spec = read_group(root, "spec", "spec", report))
    read_pod_cidrs(*spec, report, node.pod_cidrs);
  if (const YamlNode* status = read_group(root, "status", "status", report)) {
    read_internal_ips(*status, report, node.internal_ips);
  }
  if (!name) return;
  node.name = *name;
  objects.push_back({std::move(node), "node/" + *name, root.line, root.column});
}

void decode_pod(const YamlNode& root, YamlReport& report, std::vector<ManifestObject>& objects) {
  PodObject pod;
  const YamlNode* metadata = read_group(root, "metadata", "metadata", report);
  const auto name = object_name(root, metadata, report);
  pod.pod_namespace = "default";
  if (metadata != nullptr) {
    if (const YamlNode* at = metadata->find("namespace")) {
      if (auto text = read_name(*at, "metadata.namespace", report)) pod.pod_namespace = *text;
    }
    if (const YamlNode* at = metadata->find("uid")) {
      if (auto text = read_text(*at, "metadata.uid", report)) pod.uid = *text;
    }
  }
  if (const YamlNode* spec = read_group(root, "spec", "spec", report)) {
    if (const YamlNode* at = spec->find("nodeName")) {
      if (auto text = read_name(*at, "spec.nodeName", report)) pod.node = *text;
    }
  }
  if (const YamlNode* status = read_group(root, "status", "status", report)) {
    read_pod_ips(*status, report, pod.addresses);
  }
  if (!name) return;
  pod.name = *name;
  std::string key = "pod/" + pod.pod_namespace + "/" + *name;
  objects.push_back({std::move(pod), std::move(key), root.line, root.column});
}

}  // namespace fairlead::control
