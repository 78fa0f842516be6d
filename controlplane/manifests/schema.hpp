#pragma once

#include "controlplane/intent/intent.hpp"

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace fairlead::control {

enum class FieldKind : uint8_t {
  kConstant,    // exactly `allowed[0]`
  kWord,        // one of `allowed`
  kNumber,      // integer, min..max
  kBool,        // true or false
  kPortRange,   // text "first-last", both within min..max
  kCidrList,    // network prefixes
  kUplinkList,  // [{match: GLOB, driver: Auto}]
  kGroup,       // a mapping of further fields
};

// A value as the schema's kinds know it: word, number, truth value, ports, CIDRs, globs.
using FieldValue = std::variant<std::monostate, std::string, uint64_t, bool, std::pair<uint16_t, uint16_t>,
                                std::vector<core::Prefix>, std::vector<std::string>>;

// One key of ClusterNetwork. The table of these is the schema: parsing, defaults and `fairlead explain
// spec.overlay.vni` read it.
struct Field {
  std::string_view path;  // spec.overlay.vni
  FieldKind kind;
  std::string_view default_text;                   // as it would be written; empty: none
  std::string_view sentence;                       // what it does
  std::vector<std::string_view> allowed = {};      // kWord, kConstant
  std::vector<std::string_view> unsupported = {};  // words of `allowed` that this version refuses
  std::string_view instead = {};                   // what to do instead of an unsupported value
  uint64_t min = 0, max = 0;                       // kNumber, kPortRange
  bool is_required = false;
  void (*assign)(ClusterNetwork&, const FieldValue&) = nullptr;  // nullptr: checked only
  std::string (*current)(const ClusterNetwork&) = nullptr;       // the value in force, as written in YAML
};

// Every field, groups before their members, in the order of the documentation.
[[nodiscard]] std::span<const Field> cluster_network_fields();

// The field of `path` ("spec.overlay.vni"; a leading "clusternetwork." is fine); nullptr when there is none.
[[nodiscard]] const Field* find_field(std::string_view path);

// The nearest existing path to a misspelt one; empty when nothing is near.
[[nodiscard]] std::string_view nearest_field(std::string_view path);

// "integer 1..16777215", "one of VXLAN, Geneve", "list of CIDRs", "mapping".
[[nodiscard]] std::string type_text(const Field& field);

// What `fairlead explain PATH` prints: type, default, sentence; for a group its members too. Several lines.
[[nodiscard]] std::string explain(const Field& field);

// The whole configuration in force, defaults included, as YAML.
[[nodiscard]] std::string to_yaml(const ClusterNetwork& network);

// Overlay, Routed, Auto: the words of spec.mode.
[[nodiscard]] std::string_view mode_name(Mode mode);

}  // namespace fairlead::control
