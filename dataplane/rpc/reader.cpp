#include "dataplane/rpc/reader.hpp"

#include <optional>

namespace fairlead::ipc {
namespace {

// What came over a socket goes into a log line: short, and nothing a terminal would obey.
std::string quoted(std::string_view found) {
  constexpr size_t kShown = 64;
  std::string text = "\"";
  for (const char c : found.substr(0, kShown)) text += c >= 0x20 && c < 0x7f ? c : '?';
  return text + (found.size() > kShown ? "...\"" : "\"");
}

}  // namespace

void Reader::fail(std::string_view field, std::string_view found, std::string_view wanted) {
  if (!ok()) return;
  error_ = {
      "FL5060",
      path_ + (path_.empty() ? "" : ".") + std::string(field) + " is " + quoted(found) + "; wanted " +
          std::string(wanted),
      "this comes from the sending process: make sure that both ends are of one version (fairlead version)"};
}

core::IpAddress Reader::address(std::string_view field, const std::string& text) {
  const std::optional<core::IpAddress> parsed = core::IpAddress::parse(text);
  if (!parsed) fail(field, text, "an IPv4 or IPv6 address");
  return parsed.value_or(core::IpAddress{});
}

core::IpAddress Reader::optional_address(std::string_view field, const std::string& text,
                                         core::Family family) {
  if (text.empty()) return {};
  const core::IpAddress parsed = address(field, text);
  if (parsed && family != core::Family::kNone && parsed.family != family) {
    fail(field, text, family == core::Family::kIpv4 ? "an IPv4 address" : "an IPv6 address");
  }
  return parsed;
}

std::vector<core::IpAddress> Reader::addresses(std::string_view field,
                                               const google::protobuf::RepeatedPtrField<std::string>& texts) {
  std::vector<core::IpAddress> list;
  list.reserve(static_cast<size_t>(texts.size()));
  for (int i = 0; i < texts.size(); ++i) list.push_back(address(indexed(field, i), texts.Get(i)));
  return list;
}

core::MacAddress Reader::mac(std::string_view field, const std::string& text) {
  const std::optional<core::MacAddress> parsed = core::MacAddress::parse(text);
  if (!parsed) fail(field, text, "a MAC address like 02:46:4c:00:00:07");
  return parsed.value_or(core::MacAddress{});
}

core::Prefix Reader::prefix(std::string_view field, const std::string& text) {
  const std::optional<core::Prefix> parsed = core::Prefix::parse(text);
  if (!parsed) fail(field, text, "a prefix like 10.244.1.0/24, without host bits");
  return parsed.value_or(core::Prefix{});
}

std::vector<core::Prefix> Reader::prefixes(std::string_view field,
                                           const google::protobuf::RepeatedPtrField<std::string>& texts) {
  std::vector<core::Prefix> list;
  list.reserve(static_cast<size_t>(texts.size()));
  for (int i = 0; i < texts.size(); ++i) list.push_back(prefix(indexed(field, i), texts.Get(i)));
  return list;
}

}  // namespace fairlead::ipc
