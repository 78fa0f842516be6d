#include "controlplane/manifests/decode.hpp"

#include <algorithm>
#include <array>
#include <charconv>

namespace fairlead::control {
namespace {

constexpr std::string_view kOurGroup = "fairlead.io/";
constexpr std::string_view kOurVersion = "fairlead.io/v1alpha1";

// 18446744073709551615 at most; nullopt beyond.
std::optional<uint64_t> to_unsigned(std::string_view digits) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
  if (error != std::errc() || end != digits.data() + digits.size()) return std::nullopt;
  return value;
}

// 10.244.1.5/24 -> 10.244.1.0/24, where the text is otherwise right.
std::optional<core::Prefix> with_host_bits_cleared(std::string_view text) {
  const std::size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const auto address = core::IpAddress::parse(text.substr(0, slash));
  const auto length = to_unsigned(text.substr(slash + 1));
  if (!address || !length || *length > address->bits()) return std::nullopt;
  if (std::to_string(*length) != text.substr(slash + 1)) return std::nullopt;
  return core::Prefix::enclosing(*address, static_cast<uint8_t>(*length));
}

struct Kind {
  std::string api_version, kind;
};

void decode_object(const YamlNode& node, const std::optional<Kind>& implied, YamlReport& report,
                   DecodedDocument& into);

void decode_list(const YamlNode& list, const std::optional<Kind>& item_kind, YamlReport& report,
                 DecodedDocument& into) {
  into.is_ours = true;
  const YamlNode* items = list.find("items");
  if (items == nullptr) return;  // an empty list, as the API writes it
  if (!expect_list(*items, "items", report)) return;
  for (const YamlPointer& item : items->items) decode_object(*item, item_kind, report, into);
}

// apiVersion and kind, if they are text; what is wrong is reported.
std::optional<Kind> kind_of(const YamlNode& node, const std::optional<Kind>& implied, YamlReport& report) {
  const YamlNode* api_version = node.find("apiVersion");
  const YamlNode* kind = node.find("kind");
  if (implied && api_version == nullptr && kind == nullptr) return implied;
  const auto missing = [&](const char* name) {
    report.add("FL1013", node, std::string("an object without ") + name,
               std::string("add ") + name + (std::string_view(name) == "kind" ? ": Node" : ": v1"));
  };
  if (api_version == nullptr) missing("apiVersion");
  if (kind == nullptr) missing("kind");
  if (api_version == nullptr || kind == nullptr) return std::nullopt;
  const auto api_text = read_text(*api_version, "apiVersion", report);
  const auto kind_text = read_text(*kind, "kind", report);
  if (!api_text || !kind_text) return std::nullopt;
  return Kind{*api_text, *kind_text};
}

void decode_object(const YamlNode& node, const std::optional<Kind>& implied, YamlReport& report,
                   DecodedDocument& into) {
  if (!node.is_mapping()) {
    into.is_ours = true;
    report.add("FL1004", node,
               "found " + node.describe() + ", wanted an object: a mapping with apiVersion and kind");
    return;
  }
  const auto kind = kind_of(node, implied, report);
  if (!kind) {
    into.is_ours = true;
    return;
  }
  const auto& [api_version, name] = *kind;
  if (name == "ClusterNetwork" || api_version.starts_with(kOurGroup)) {
    into.is_ours = true;
    if (name != "ClusterNetwork") {
      report.add("FL1013", *node.find("kind"), "kind: " + name + " is not one of " + std::string(kOurVersion),
                 "did you mean ClusterNetwork?");
    } else if (api_version != kOurVersion) {
      report.add("FL1013", *node.find("apiVersion"),
                 "apiVersion: found " + api_version + ", wanted " + std::string(kOurVersion),
                 "set apiVersion: " + std::string(kOurVersion));
    } else {
      decode_cluster_network(node, report, into.objects);
    }
    return;
  }
  if (api_version == "discovery.k8s.io/v1" && name.starts_with("EndpointSlice")) {
    into.is_ours = true;
    if (name == "EndpointSlice") return decode_endpoint_slice(node, report, into.objects);
    if (name == "EndpointSliceList")
      return decode_list(node, Kind{api_version, "EndpointSlice"}, report, into);
  }
  if (api_version != "v1") {
    into.ignored.push_back(api_version + " " + name);
    return;
  }
  if (name == "Node" || name == "Pod" || name == "Service") into.is_ours = true;
  if (name == "Node") return decode_node(node, report, into.objects);
  if (name == "Pod") return decode_pod(node, report, into.objects);
  if (name == "Service") return decode_service(node, report, into.objects);
  if (name == "List") return decode_list(node, std::nullopt, report, into);
  if (name == "NodeList") return decode_list(node, Kind{"v1", "Node"}, report, into);
  if (name == "PodList") return decode_list(node, Kind{"v1", "Pod"}, report, into);
  if (name == "ServiceList") return decode_list(node, Kind{"v1", "Service"}, report, into);
  into.ignored.push_back(api_version + " " + name);
}

void ambiguous(const YamlNode& node, const std::string& path, YamlReport& report) {
  const bool is_number = node.text.find_first_of("0123456789") != std::string::npos;
  std::string fix = "quote it if it is to be text";
  if (is_number) {
    const std::size_t first = node.text.find_first_not_of("+0_");
    const bool is_decimal = node.text.find_first_not_of("+0123456789") == std::string::npos;
    if (is_decimal)
      fix = "write " + (first == std::string::npos ? "0" : node.text.substr(first)) +
            ", or quote it if it is to be text";
  }
  report.add("FL1018", node, path + ": YAML readers disagree about " + node.text, fix,
             is_number ? "octal, hexadecimal, grouped or plain, depending on the reader"
                       : "a truth value for some readers, text for others");
}

}  // namespace

bool expect_mapping(const YamlNode& node, const std::string& path, YamlReport& report) {
  if (node.is_mapping()) return true;
  report.add("FL1004", node, path + ": found " + node.describe() + ", wanted a mapping");
  return false;
}

bool expect_list(const YamlNode& node, const std::string& path, YamlReport& report) {
  if (node.is_sequence()) return true;
  report.add("FL1004", node, path + ": found " + node.describe() + ", wanted a list",
             node.kind == YamlNode::Kind::kScalar ? "write [" + node.text + "]" : "");
  return false;
}

std::optional<std::string> read_text(const YamlNode& node, const std::string& path, YamlReport& report) {
  if (node.kind == YamlNode::Kind::kScalar && node.scalar == ScalarKind::kText) return node.text;
  if (node.kind == YamlNode::Kind::kScalar && node.scalar == ScalarKind::kAmbiguous) {
    ambiguous(node, path, report);
    return std::nullopt;
  }
  report.add(
      "FL1004", node, path + ": found " + node.describe() + ", wanted text",
      node.kind == YamlNode::Kind::kScalar && !node.is_null() ? "quote it: \"" + node.text + "\"" : "");
  return std::nullopt;
}

std::optional<bool> read_bool(const YamlNode& node, const std::string& path, YamlReport& report) {
  if (node.kind == YamlNode::Kind::kScalar && node.scalar == ScalarKind::kBool)
    return node.text.front() == 't' || node.text.front() == 'T';
  if (node.kind == YamlNode::Kind::kScalar && node.scalar == ScalarKind::kAmbiguous) {
    ambiguous(node, path, report);
    return std::nullopt;
  }
  report.add("FL1004", node, path + ": found " + node.describe() + ", wanted true or false",
             node.text == "true" || node.text == "false" ? "remove the quotes" : "");
  return std::nullopt;
}

std::optional<uint64_t> read_number(const YamlNode& node, const std::string& path, uint64_t min, uint64_t max,
                                    YamlReport& report) {
  const std::string wanted = "wanted integer " + std::to_string(min) + ".." + std::to_string(max);
  if (node.kind == YamlNode::Kind::kScalar && node.scalar == ScalarKind::kAmbiguous) {
    ambiguous(node, path, report);
    return std::nullopt;
  }
  if (node.kind != YamlNode::Kind::kScalar || node.scalar != ScalarKind::kInteger) {
    const bool is_quoted_number = node.is_quoted && classify_plain(node.text) == ScalarKind::kInteger;
    report.add("FL1004", node, path + ": found " + node.describe() + ", " + wanted,
               is_quoted_number ? "remove the quotes" : "");
    return std::nullopt;
  }
  const auto value = to_unsigned(node.text);
  if (!value || *value < min || *value > max) {
    report.add("FL1006", node, path + ": found " + node.text + ", " + wanted);
    return std::nullopt;
  }
  return value;
}

std::optional<core::Prefix> read_cidr(const YamlNode& node, const std::string& path, YamlReport& report) {
  const auto text = read_text(node, path, report);
  if (!text) return std::nullopt;
  if (const auto prefix = core::Prefix::parse(*text)) return prefix;
  if (const auto corrected = with_host_bits_cleared(*text)) {
    report.add("FL1008", node, path + ": " + *text + " has bits set behind its prefix length",
               "write " + corrected->text(), "the network is " + corrected->text());
  } else if (const auto address = core::IpAddress::parse(*text)) {
    report.add("FL1008", node, path + ": " + *text + " has no prefix length",
               "write " + *text + "/" + std::to_string(address->bits()) + " for this one address");
  } else {
    report.add(
        "FL1008", node,
        path + ": found " + node.describe() + ", wanted a CIDR such as 10.244.1.0/24 or fd00:10:244:1::/64");
  }
  return std::nullopt;
}

std::optional<core::Prefix> read_pod_cidr(const YamlNode& node, const std::string& path, YamlReport& report) {
  const auto prefix = read_cidr(node, path, report);
  if (!prefix) return std::nullopt;
  const bool is_ipv4 = prefix->address.is_ipv4();
  const unsigned shortest = is_ipv4 ? 8 : 16;
  if (prefix->length < shortest) {
    report.add("FL1006", node, path + ": " + prefix->text() + " is wider than /" + std::to_string(shortest),
               "name the range that pods really have", "traffic of the node itself would go to pods");
    return std::nullopt;
  }
  static const std::array kNever = {
      core::Prefix::enclosing(*core::IpAddress::parse("127.0.0.0"), 8),
      core::Prefix::enclosing(*core::IpAddress::parse("169.254.0.0"), 16),
      core::Prefix::enclosing(*core::IpAddress::parse("224.0.0.0"), 3),
      core::Prefix::enclosing(*core::IpAddress::parse("0.0.0.0"), 8),
      core::Prefix::enclosing(*core::IpAddress::parse("::"), 16),
      core::Prefix::enclosing(*core::IpAddress::parse("fe80::"), 10),
      core::Prefix::enclosing(*core::IpAddress::parse("ff00::"), 8),
  };
  for (const core::Prefix& never : kNever) {
    if (!never.overlaps(*prefix)) continue;
    report.add("FL1008", node,
               path + ": " + prefix->text() + " lies in " + never.text() + ", which no pod can use", "",
               "unspecified, loopback, link-local or multicast");
    return std::nullopt;
  }
  return prefix;
}

DecodedDocument decode_document(const YamlNode& root, YamlReport& report) {
  DecodedDocument decoded;
  if (!root.is_null()) decode_object(root, std::nullopt, report, decoded);
  return decoded;
}

}  // namespace fairlead::control
