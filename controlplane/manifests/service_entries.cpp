#include "controlplane/manifests/service_entries.hpp"

#include "controlplane/manifests/decode.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <chrono>

namespace fairlead::control {
namespace {

constexpr std::size_t kLongestPortName = 63;

bool is_label(std::string_view text) {
  const auto is_alnum = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); };
  return !text.empty() && text.size() <= kLongestPortName && is_alnum(text.front()) &&
         is_alnum(text.back()) &&
         std::all_of(text.begin(), text.end(), [&](char c) { return is_alnum(c) || c == '-'; });
}

// The digits at `at`, or -1.
int digits(std::string_view text, std::size_t at, std::size_t count) {
  int value = 0;
  for (std::size_t i = at; i < at + count; ++i) {
    if (text[i] < '0' || text[i] > '9') return -1;
    value = value * 10 + (text[i] - '0');
  }
  return value;
}

}  // namespace

std::size_t EntryReader::bounded(const YamlNode& list, const std::string& field, std::size_t most) {
  if (list.items.size() <= most) return list.items.size();
  add(field, "has " + std::to_string(list.items.size()) + " entries, at most " + std::to_string(most) +
                 " are read; none of them is");
  return 0;
}

std::optional<uint64_t> EntryReader::number(const YamlNode& node, const std::string& field, uint64_t least,
                                            uint64_t most) {
  const bool is_integer = node.kind == YamlNode::Kind::kScalar && node.scalar == ScalarKind::kInteger;
  uint64_t value = 0;
  const char* end = node.text.data() + node.text.size();
  const auto [rest, error] = std::from_chars(node.text.data(), end, value);
  const bool fits = is_integer && error == std::errc() && rest == end && value >= least && value <= most;
  if (fits) return value;
  if (!is_integer) return read_number(node, field, least, most, report_);  // says what is wrong
  add(field,
      "found " + shortened(node.text) + ", wanted " + std::to_string(least) + ".." + std::to_string(most));
  return std::nullopt;
}

std::optional<core::IpAddress> EntryReader::address(const YamlNode& node, const std::string& field) {
  const auto text = read_text(node, field, report_);
  if (!text) return std::nullopt;
  auto address = core::IpAddress::parse(*text);
  if (!address) add(field, "found \"" + shortened(*text) + "\", wanted an IP address");
  return address;
}

std::optional<std::string> EntryReader::port_name(const YamlNode& port, const std::string& field) {
  const YamlNode* at = port.find("name");
  if (at == nullptr) return std::string();
  auto text = read_text(*at, field + ".name", report_);
  if (!text || text->empty() || is_label(*text)) return text;
  add(field + ".name", "found \"" + shortened(*text) + "\", wanted at most 63 of a-z, 0-9 and '-'");
  return std::nullopt;
}

std::optional<uint8_t> EntryReader::protocol(const YamlNode& port, const std::string& field) {
  const YamlNode* at = port.find("protocol");
  if (at == nullptr) return uint8_t{6};
  const auto text = read_text(*at, field + ".protocol", report_);
  if (!text) return std::nullopt;
  if (*text == "TCP") return uint8_t{6};
  if (*text == "UDP") return uint8_t{17};
  if (*text == "SCTP") return uint8_t{132};
  add(field + ".protocol", "found \"" + shortened(*text) + "\", wanted TCP, UDP or SCTP");
  return std::nullopt;
}

int64_t EntryReader::time(const YamlNode& node, const std::string& field) {
  // A time stamp is plain text in YAML, whatever its reader makes of it elsewhere.
  const std::string& text = node.text;
  const auto is_at = [&](std::size_t at, char c) { return text[at] == c; };
  const bool has_form = node.kind == YamlNode::Kind::kScalar && text.size() == 20 && is_at(4, '-') &&
                        is_at(7, '-') && is_at(10, 'T') && is_at(13, ':') && is_at(16, ':') && is_at(19, 'Z');
  if (has_form) {
    const std::array parts = {digits(text, 0, 4),  digits(text, 5, 2),  digits(text, 8, 2),
                              digits(text, 11, 2), digits(text, 14, 2), digits(text, 17, 2)};
    const std::chrono::year_month_day date{std::chrono::year(parts[0]),
                                           std::chrono::month(static_cast<unsigned>(parts[1])),
                                           std::chrono::day(static_cast<unsigned>(parts[2]))};
    const bool is_time = std::all_of(parts.begin(), parts.end(), [](int part) { return part >= 0; }) &&
                         date.ok() && parts[3] < 24 && parts[4] < 60 && parts[5] < 61;
    if (is_time) {
      return std::chrono::sys_days(date).time_since_epoch().count() * int64_t{86400} + parts[3] * 3600 +
             parts[4] * 60 + parts[5];
    }
  }
  add(field, "found " + node.describe() + ", wanted a time such as 2026-11-23T03:10:04Z");
  return kUnknownTime;
}

std::optional<core::ReplyPath> parse_reply_path(std::string_view text) {
  for (const core::ReplyPath path :
       {core::ReplyPath::kThisNode, core::ReplyPath::kGeneve, core::ReplyPath::kIpInIp}) {
    if (text == reply_path_name(path)) return path;
  }
  return std::nullopt;
}

std::string_view reply_path_name(core::ReplyPath path) {
  switch (path) {
    case core::ReplyPath::kGeneve:
      return "Geneve";
    case core::ReplyPath::kIpInIp:
      return "IPIP";
    case core::ReplyPath::kThisNode:
      break;
  }
  return "ThisNode";
}

bool has_key(const YamlNode& mapping, std::string_view key) {
  return std::any_of(mapping.members.begin(), mapping.members.end(), [&](const YamlMember& member) {
    return member.key->kind == YamlNode::Kind::kScalar && member.key->text == key;
  });
}

std::string shortened(std::string_view text) {
  constexpr std::size_t kShown = 60;
  std::string shown;
  for (const char c : text.substr(0, kShown)) shown += c >= 0x20 && c < 0x7f ? c : '?';
  return text.size() > kShown ? shown + "..." : shown;
}

}  // namespace fairlead::control
