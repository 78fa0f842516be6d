#include "controlplane/manifests/decode.hpp"
#include "controlplane/manifests/schema.hpp"

#include <algorithm>
#include <charconv>

namespace fairlead::control {
namespace {

// Reads a ClusterNetwork by walking schema.cpp's table; knows no field by name but the metadata and `status`,
// which are the API's, not ours.
class NetworkReader {
 public:
  NetworkReader(YamlReport& report, ClusterNetwork& network) : report_(report), network_(network) {}

  void read(const YamlNode& root) {
    read_group(root, "");
    check_ranges(root);
    check_snat_ports(root);
  }

 private:
  static std::string joined(const std::string& group, std::string_view key) {
    return group.empty() ? std::string(key) : group + "." + std::string(key);
  }

  static std::vector<std::string_view> members_of(const std::string& group) {
    std::vector<std::string_view> names;
    for (const Field& field : cluster_network_fields()) {
      std::string_view rest = field.path;
      if (!group.empty()) {
        if (!rest.starts_with(group + ".")) continue;
        rest.remove_prefix(group.size() + 1);
      }
      if (rest.find('.') == std::string_view::npos) names.push_back(rest);
    }
    return names;
  }

  void read_group(const YamlNode& node, const std::string& group) {
    if (!expect_mapping(node, group, report_)) return;
    const bool takes_any = group == "metadata";  // ObjectMeta has fields of the API's own
    for (const YamlMember& member : node.members) {
      if (member.key->kind != YamlNode::Kind::kScalar) continue;  // said by the YAML layer
      const std::string path = joined(group, member.key->text);
      const Field* field = find_field(path);
      if (field == nullptr) {
        if (!takes_any && path != "status") unknown(*member.key, group);
        continue;
      }
      if (!member.value->is_null()) read_field(*member.value, *field, path);
    }
    for (std::string_view name : members_of(group)) {
      const Field* field = find_field(joined(group, name));
      if (field->is_required && node.find(name) == nullptr) {
        const bool has_word = field->kind == FieldKind::kConstant;
        report_.add("FL1010", node, joined(group, name) + " is missing",
                    has_word ? "add " + std::string(name) + ": " + std::string(field->allowed[0]) : "");
      }
    }
  }

  void unknown(const YamlNode& key, const std::string& group) {
    const std::vector<std::string_view> siblings = members_of(group);
    std::string all;
    for (std::string_view sibling : siblings) all += (all.empty() ? "" : ", ") + std::string(sibling);
    const std::string_view near = nearest(key.text, siblings);
    std::string fix = near.empty() ? "remove it" : "did you mean " + std::string(near) + "?";
    if (near.empty()) {
      // The right name in the wrong place is the other common slip.
      for (const Field& field : cluster_network_fields()) {
        if (field.path.ends_with("." + key.text)) fix = "did you mean " + std::string(field.path) + "?";
      }
    }
    report_.add("FL1005", key, (group.empty() ? "" : group + ": ") + "unknown key " + key.text,
                std::move(fix), "known here: " + all);
  }

  void read_field(const YamlNode& node, const Field& field, const std::string& path) {
    switch (field.kind) {
      case FieldKind::kGroup:
        return read_group(node, path);
      case FieldKind::kConstant:
      case FieldKind::kWord: {
        if (const auto text = read_word(node, field, path)) assign(field, *text);
        return;
      }
      case FieldKind::kNumber: {
        if (const auto value = read_number(node, path, field.min, field.max, report_)) assign(field, *value);
        return;
      }
      case FieldKind::kBool: {
        if (const auto value = read_bool(node, path, report_)) assign(field, *value);
        return;
      }
      case FieldKind::kPortRange:
        return read_ports(node, field, path);
      case FieldKind::kCidrList:
        return read_cidrs(node, field, path);
      case FieldKind::kUplinkList:
        return read_uplinks(node, field, path);
    }
  }

  void assign(const Field& field, const FieldValue& value) {
    if (field.assign != nullptr) field.assign(network_, value);
  }

  std::optional<std::string> read_word(const YamlNode& node, const Field& field, const std::string& path) {
    if (!field.allowed.empty() && node.kind == YamlNode::Kind::kScalar && node.scalar != ScalarKind::kText) {
      report_.add("FL1007", node, path + ": found " + node.describe() + ", wanted " + type_text(field),
                  std::string(field.instead));
      return std::nullopt;
    }
    auto text = read_text(node, path, report_);
    if (!text || field.allowed.empty()) return text;
    const auto holds = [&](const std::vector<std::string_view>& words) {
      return std::find(words.begin(), words.end(), *text) != words.end();
    };
    if (!holds(field.allowed)) {
      const std::string_view near = nearest(*text, field.allowed);
      std::string fix(field.instead);
      if (!near.empty())
        fix = (field.allowed.size() == 1 ? "write " : "did you mean ") + std::string(near) +
              (field.allowed.size() == 1 ? "" : "?");
      report_.add("FL1007", node, path + ": found " + node.describe() + ", wanted " + type_text(field),
                  std::move(fix));
      return std::nullopt;
    }
    if (holds(field.unsupported)) {
      report_.add("FL1014", node, path + ": " + *text + " is not supported by this version",
                  std::string(field.instead));
      return std::nullopt;
    }
    return text;
  }

  void read_cidrs(const YamlNode& node, const Field& field, const std::string& path) {
    if (!expect_list(node, path, report_)) return;
    if (!field.unsupported.empty() && !node.items.empty()) {
      report_.add("FL1014", node, path + ": is not supported by this version", std::string(field.instead));
    }
    std::vector<core::Prefix> prefixes;
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      const std::string item_path = path + "[" + std::to_string(i) + "]";
      const bool is_for_pods = path == "spec.addressing.pods";
      const auto prefix = is_for_pods ? read_pod_cidr(*node.items[i], item_path, report_)
                                      : read_cidr(*node.items[i], item_path, report_);
      if (prefix) prefixes.push_back(*prefix);
    }
    assign(field, prefixes);
  }

  void read_ports(const YamlNode& node, const Field& field, const std::string& path) {
    const auto text = read_text(node, path, report_);
    if (!text) return;
    const std::size_t dash = text->find('-');
    const auto number = [&](std::string_view part) -> std::optional<uint16_t> {
      unsigned value = 0;
      const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), value);
      const bool is_number = error == std::errc() && end == part.data() + part.size() && part.front() != '0';
      if (!is_number || value < field.min || value > field.max) return std::nullopt;
      return static_cast<uint16_t>(value);
    };
    const auto first = dash == std::string::npos || dash == 0
                           ? std::nullopt
                           : number(std::string_view(*text).substr(0, dash));
    const auto last =
        !first || dash + 1 == text->size() ? std::nullopt : number(std::string_view(*text).substr(dash + 1));
    if (!last || *last < *first) {
      report_.add("FL1006", node, path + ": found \"" + *text + "\", wanted " + type_text(field),
                  "such as " + std::string(field.default_text));
      return;
    }
    assign(field, std::pair(*first, *last));
  }

  void read_uplinks(const YamlNode& node, const Field& field, const std::string& path) {
    if (!expect_list(node, path, report_)) return;
    std::vector<std::string> globs;
    for (const YamlPointer& item : node.items) {
      read_group(*item, path);
      if (!item->is_mapping()) continue;
      const YamlNode* match = item->find("match");
      if (match == nullptr || match->scalar != ScalarKind::kText) continue;  // said above
      // IFNAMSIZ - 1 characters name a device; a glob may be a little longer.
      if (match->text.empty() || match->text.size() > 32 ||
          match->text.find_first_of("/ \t") != std::string::npos) {
        report_.add("FL1007", *match, path + ".match: \"" + match->text + "\" can match no device name", "",
                    "at most 15 characters, no blank, no '/'; * and ? stand for others");
      }
      globs.push_back(match->text);
    }
    assign(field, globs);
  }

  // A translated connection on the tunnel's port would be taken for a tunnel.
  void check_snat_ports(const YamlNode& root) {
    if (network_.port < network_.snat_port_first || network_.port > network_.snat_port_last) return;
    const YamlNode* spec = root.find("spec");
    report_.add("FL1016", spec == nullptr ? root : *spec,
                "spec.egress.snatPorts " + std::to_string(network_.snat_port_first) + "-" +
                    std::to_string(network_.snat_port_last) + " hold spec.overlay.port " +
                    std::to_string(network_.port),
                "move one of the two");
  }

  // Ranges within and between pods and services must not share addresses.
  void check_ranges(const YamlNode& root) {
    const YamlNode* spec = root.find("spec");
    const YamlNode* addressing = spec != nullptr && spec->is_mapping() ? spec->find("addressing") : nullptr;
    if (addressing == nullptr || !addressing->is_mapping()) return;
    struct Range {
      core::Prefix prefix;
      std::string path;
      const YamlNode* at;
    };
    std::vector<Range> ranges;
    for (const char* name : {"pods", "services"}) {
      const YamlNode* list = addressing->find(name);
      if (list == nullptr || !list->is_sequence()) continue;
      for (std::size_t i = 0; i < list->items.size(); ++i) {
        const YamlNode& item = *list->items[i];
        const auto prefix = core::Prefix::parse(item.text);
        if (!prefix) continue;
        const std::string path = std::string("spec.addressing.") + name + "[" + std::to_string(i) + "]";
        for (const Range& earlier : ranges) {
          if (!earlier.prefix.overlaps(*prefix)) continue;
          report_.add(
              "FL1016", item,
              path + ": " + prefix->text() + " overlaps " + earlier.path + " " + earlier.prefix.text(), "",
              "the other stands at " + std::to_string(earlier.at->line) + ":" +
                  std::to_string(earlier.at->column));
          break;
        }
        ranges.push_back({*prefix, path, &item});
      }
    }
  }

  YamlReport& report_;
  ClusterNetwork& network_;
};

}  // namespace

void decode_cluster_network(const YamlNode& root, YamlReport& report, std::vector<ManifestObject>& objects) {
  ClusterNetwork network;
  NetworkReader(report, network).read(root);
  objects.push_back({std::move(network), "clusternetwork/default", root.line, root.column});
}

}  // namespace fairlead::control
