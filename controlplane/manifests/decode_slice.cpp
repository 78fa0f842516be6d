#include "controlplane/intent/special_address.hpp"
#include "controlplane/manifests/decode.hpp"
#include "controlplane/manifests/service_entries.hpp"

#include <algorithm>
#include <map>

namespace fairlead::control {
namespace {

// The API's own limits of one slice, the second one generously.
constexpr std::size_t kMostEndpoints = 1000;
constexpr std::size_t kMostSlicePorts = 1000;
constexpr std::size_t kMostHints = 64;  // the API allows 8 zones and 8 nodes

constexpr std::string_view kServiceName = "kubernetes.io/service-name";
constexpr std::string_view kHeadless = "service.kubernetes.io/headless";

class SliceReader {
 public:
  SliceReader(EndpointSliceObject& slice, YamlReport& report)
      : slice_(slice), report_(report), entries_(slice.problems, "FL1037", report) {}

  void read(const YamlNode& root) {
    const YamlNode* type = root.find("addressType");
    const auto text = type == nullptr ? std::nullopt : read_text(*type, "addressType", report_);
    if (type == nullptr) entries_.add("addressType", "is missing");
    slice_.family = core::Family::kNone;
    if (text && *text == "IPv4") {
      slice_.family = core::Family::kIpv4;
    } else if (text && *text == "IPv6") {
      slice_.family = core::Family::kIpv6;
    } else if (text && *text != "FQDN") {
      entries_.add("addressType", "found \"" + shortened(*text) + "\", wanted IPv4, IPv6 or FQDN");
    }
    if (slice_.family == core::Family::kNone) return;  // nothing in here is an address
    if (const YamlNode* list = root.find("ports")) ports(*list);
    if (const YamlNode* list = root.find("endpoints")) endpoints(*list);
  }

 private:
  void ports(const YamlNode& list) {
    if (!expect_list(list, "ports", report_)) return;
    const std::size_t count = entries_.bounded(list, "ports", kMostSlicePorts);
    for (std::size_t i = 0; i < count; ++i) {
      const std::string field = "ports[" + std::to_string(i) + "]";
      const YamlNode& item = *list.items[i];
      if (!expect_mapping(item, field, report_)) continue;
      const auto name = entries_.port_name(item, field);
      const auto protocol = entries_.protocol(item, field);
      const YamlNode* number = item.find("port");
      if (number == nullptr) {
        entries_.add(field + ".port", "is absent, which means all ports; a Service leads to one");
        continue;
      }
      const auto port = entries_.number(*number, field + ".port", 1, 65535);
      if (name && protocol && port) slice_.ports.push_back({*name, *protocol, static_cast<uint16_t>(*port)});
    }
  }

  void endpoints(const YamlNode& list) {
    if (!expect_list(list, "endpoints", report_)) return;
    const std::size_t count = entries_.bounded(list, "endpoints", kMostEndpoints);
    slice_.endpoints.reserve(count);
    for (std::size_t i = 0; i < count; ++i) endpoint(*list.items[i], "endpoints[" + std::to_string(i) + "]");
  }

  void endpoint(const YamlNode& item, const std::string& field) {
    if (!expect_mapping(item, field, report_)) return;
    const YamlNode* addresses = item.find("addresses");
    if (addresses == nullptr || !expect_list(*addresses, field + ".addresses", report_)) {
      if (addresses == nullptr) entries_.add(field + ".addresses", "is missing");
      return;
    }
    if (addresses->items.empty()) return entries_.add(field + ".addresses", "is empty");
    SliceEndpoint endpoint;
    const std::string where = field + ".addresses[0]";
    const auto address = entries_.address(*addresses->items[0], where);
    if (!address) return;
    endpoint.address = *address;
    if (address->family != slice_.family) {
      return entries_.add(where, address->text() + " is not of the slice's addressType");
    }
    if (const auto kind = special_kind(*address); !kind.empty())
      return entries_.add(where, address->text() + " is " + std::string(kind));
    conditions(item, field, endpoint);
    if (const YamlNode* at = item.find("nodeName")) {
      // One text for all endpoints of a node.
      if (const auto text = read_text(*at, field + ".nodeName", report_))
        endpoint.node = nodes_.try_emplace(*text, *text).first->second;
    }
    target(item, field, endpoint);
    if (const YamlNode* hints = read_group(item, "hints", field + ".hints", report_)) {
      names(*hints, "forZones", field + ".hints.forZones", endpoint.for_zones);
      names(*hints, "forNodes", field + ".hints.forNodes", endpoint.for_nodes);
    }
    slice_.endpoints.push_back(std::move(endpoint));
  }

  // Absent: ready, serving as much as ready, not terminating (the API's reading of absent conditions).
  void conditions(const YamlNode& item, const std::string& field, SliceEndpoint& endpoint) {
    const YamlNode* group = read_group(item, "conditions", field + ".conditions", report_);
    const auto read = [&](const char* name, bool otherwise) {
      const YamlNode* at = group == nullptr ? nullptr : group->find(name);
      if (at == nullptr) return otherwise;
      return read_bool(*at, field + ".conditions." + name, report_).value_or(otherwise);
    };
    endpoint.ready = read("ready", true);
    endpoint.serving = read("serving", endpoint.ready);
    endpoint.terminating = read("terminating", false);
  }

  void target(const YamlNode& item, const std::string& field, SliceEndpoint& endpoint) {
    const YamlNode* group = read_group(item, "targetRef", field + ".targetRef", report_);
    if (group == nullptr) return;
    const auto read = [&](const char* name) {
      const YamlNode* at = group->find(name);
      return at == nullptr ? std::string()
                           : read_text(*at, field + ".targetRef." + name, report_).value_or("");
    };
    std::string kind = read("kind");
    std::transform(kind.begin(), kind.end(), kind.begin(),
                   [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; });
    const std::string name = read("name");
    if (!kind.empty() && !name.empty()) endpoint.object = kind + "/" + read("namespace") + "/" + name;
  }

  void names(const YamlNode& hints, const char* key, const std::string& field,
             std::vector<std::string>& into) {
    const YamlNode* list = hints.find(key);
    if (list == nullptr || !expect_list(*list, field, report_)) return;
    const std::size_t count = entries_.bounded(*list, field, kMostHints);
    for (std::size_t i = 0; i < count; ++i) {
      const std::string where = field + "[" + std::to_string(i) + "]";
      if (!expect_mapping(*list->items[i], where, report_)) continue;
      const YamlNode* name = list->items[i]->find("name");
      if (name == nullptr) continue;
      if (auto text = read_text(*name, where + ".name", report_)) into.push_back(std::move(*text));
    }
  }

  EndpointSliceObject& slice_;
  YamlReport& report_;
  EntryReader entries_;
  std::map<std::string, core::Name> nodes_;
};

}  // namespace

void decode_endpoint_slice(const YamlNode& root, YamlReport& report, std::vector<ManifestObject>& objects) {
  EndpointSliceObject slice;
  slice.slice_namespace = "default";
  const YamlNode* metadata = read_group(root, "metadata", "metadata", report);
  const auto name = object_name(root, metadata, report);
  if (metadata != nullptr) {
    if (const YamlNode* at = metadata->find("namespace")) {
      if (auto text = read_name(*at, "metadata.namespace", report)) slice.slice_namespace = *text;
    }
    if (const YamlNode* labels = read_group(*metadata, "labels", "metadata.labels", report)) {
      slice.is_foreign = has_key(*labels, kServiceProxyName) || has_key(*labels, kHeadless);
      if (const YamlNode* at = labels->find(kServiceName)) {
        const std::string path = "metadata.labels[" + std::string(kServiceName) + "]";
        if (auto text = read_name(*at, path, report)) slice.service = *text;
      }
    }
  }
  SliceReader(slice, report).read(root);
  if (!name) return;
  slice.name = *name;
  std::string key = "endpointslice/" + key_of(slice);
  objects.push_back({std::move(slice), std::move(key), root.line, root.column});
}

}  // namespace fairlead::control
