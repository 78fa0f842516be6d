#include "controlplane/host/reserved_ports.hpp"

#include "controlplane/host/sysctl.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace fairlead::control {
namespace {

constexpr const char* kSwitch = "net/ipv4/ip_local_reserved_ports";

std::optional<uint16_t> port_of(std::string_view text) {
  uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return port;
}

std::set<uint16_t> recorded(const std::string& record) {
  std::ifstream file(record);
  const std::string text((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  return parse_ports(text).value_or(std::set<uint16_t>{});
}

Result<void> write_record(const std::string& record, const std::set<uint16_t>& ports) {
  const std::string fresh = record + ".new";
  {
    std::ofstream file(fresh, std::ios::trunc);
    file << ports_text(ports);
    if (!file.flush()) return Error{"FL5023", "cannot write " + fresh, "check the state directory"};
  }
  std::error_code error;
  std::filesystem::rename(fresh, record, error);
  if (error)
    return Error{"FL5023", "cannot write " + record + ": " + error.message(), "check the state directory"};
  return {};
}

// Makes the kernel reserve what it does without `before`, and `after`.
Result<void> replace(const std::string& record, const std::set<uint16_t>& before,
                     const std::set<uint16_t>& after) {
  const Result<std::string> found = read_sysctl(kSwitch);
  if (!found) return found.error();
  auto ports = parse_ports(*found);
  if (!ports) {
    return Error{"FL4305", std::string("cannot read /proc/sys/") + kSwitch + ": found \"" + *found + "\"",
                 "report this"};
  }
  std::set<uint16_t> ours;  // what nobody else had reserved
  for (const uint16_t port : after) {
    if (!ports->contains(port) || before.contains(port)) ours.insert(port);
  }
  if (ours == before) {
    bool is_there = true;
    for (const uint16_t port : ours) is_there &= ports->contains(port);
    if (is_there) return {};
  }
  // The record first: after a kill in between we would rather forget somebody's port than keep our own for
  // ever.
  if (Result<void> written = write_record(record, ours); !written) return written;
  for (const uint16_t port : before) ports->erase(port);
  ports->insert(after.begin(), after.end());
  const Result<bool> set = ensure_sysctl(kSwitch, ports_text(*ports));
  return set ? Result<void>() : set.error();
}

}  // namespace

std::optional<std::set<uint16_t>> parse_ports(std::string_view text) {
  std::set<uint16_t> ports;
  while (!text.empty() && (text.back() == '\n' || text.back() == ' ')) text.remove_suffix(1);
  while (!text.empty()) {
    const std::string_view item = text.substr(0, text.find(','));
    text.remove_prefix(std::min(item.size() + 1, text.size()));
    const size_t dash = item.find('-');
    const auto first = port_of(item.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : port_of(item.substr(dash + 1));
    if (!first || !last || *last < *first) return std::nullopt;
    for (uint32_t port = *first; port <= *last; ++port) ports.insert(static_cast<uint16_t>(port));
  }
  return ports;
}

std::string ports_text(const std::set<uint16_t>& ports) {
  std::string text;
  for (auto at = ports.begin(); at != ports.end();) {
    const uint16_t first = *at;
    uint16_t last = first;
    for (++at; at != ports.end() && *at == last + 1; ++at) last = *at;
    text += (text.empty() ? "" : ",") + std::to_string(first);
    if (last != first) text += "-" + std::to_string(last);
  }
  return text;
}

Result<void> reserve_ports(const std::string& record, uint16_t first, uint16_t last) {
  std::set<uint16_t> wanted;
  for (uint32_t port = first; port <= last; ++port) wanted.insert(static_cast<uint16_t>(port));
  return replace(record, recorded(record), wanted);
}

Result<void> release_ports(const std::string& record) {
  if (Result<void> done = replace(record, recorded(record), {}); !done) return done;
  std::error_code ignored;
  std::filesystem::remove(record, ignored);
  return {};
}

}  // namespace fairlead::control
