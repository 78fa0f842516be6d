#include "bench/replay/profile.hpp"

#include <arpa/inet.h>
#include <array>
#include <charconv>
#include <cstring>
#include <string_view>

namespace fairlead::replay {
namespace {

constexpr std::array<const char*, 8> kForms = {"none",   "ip4",     "ip6",     "vxlan4",
                                               "vxlan6", "geneve4", "geneve6", "any"};

bool read_number(std::string_view text, uint32_t low, uint32_t high, uint32_t& value) {
  uint32_t read = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), read);
  if (error != std::errc() || end != text.data() + text.size() || read < low || read > high) return false;
  value = read;
  return true;
}

template <typename T>
bool read_number(std::string_view text, uint32_t low, uint32_t high, T& value) {
  uint32_t read = 0;
  if (!read_number(text, low, high, read)) return false;
  value = static_cast<T>(read);
  return true;
}

bool read_form(std::string_view text, Form& form) {
  for (size_t i = 0; i < kForms.size(); ++i) {
    if (text != kForms.at(i)) continue;
    form = static_cast<Form>(i);
    return true;
  }
  return false;
}

bool read_address4(std::string_view text, be32& address) {
  return inet_pton(AF_INET, std::string(text).c_str(), &address) == 1;
}

// BASE, BASE+COUNT or BASE+COUNT*STRIDE
bool read_hosts(std::string_view text, Hosts& hosts) {
  Hosts read;
  const size_t plus = text.find('+');
  const std::string base(text.substr(0, plus));
  read.is_ipv6 = base.find(':') != std::string::npos;
  if (inet_pton(read.is_ipv6 ? AF_INET6 : AF_INET, base.c_str(), &read.base) != 1) return false;
  if (plus != std::string_view::npos) {
    const std::string_view range = text.substr(plus + 1);
    const size_t star = range.find('*');
    if (!read_number(range.substr(0, star), 1, 1u << 24, read.count)) return false;
    if (star != std::string_view::npos && !read_number(range.substr(star + 1), 1, 1u << 24, read.stride))
      return false;
  }
  hosts = read;
  return true;
}

// FIRST or FIRST+COUNT
bool read_ports(std::string_view text, Ports& ports) {
  const size_t plus = text.find('+');
  Ports read{0, 1};
  if (!read_number(text.substr(0, plus), 1, UINT16_MAX, read.first)) return false;
  if (plus != std::string_view::npos && !read_number(text.substr(plus + 1), 1, UINT16_MAX, read.count))
    return false;
  ports = read;
  return true;
}

bool read_size(std::string_view text, Profile& profile) {
  profile.imix = text == "imix";
  return profile.imix || read_number(text, kSizeMin, kSizeMax, profile.size);
}

bool read_one(std::string_view key, std::string_view value, Profile& profile) {
  if (key == "frames") return read_form(value, profile.frames) && profile.frames != Form::kAny;
  if (key == "expect") return read_form(value, profile.expect);
  if (key == "flows") return read_number(value, 1, 16u << 20, profile.flows);
  if (key == "size") return read_size(value, profile);
  if (key == "queues") return read_number(value, 1, 16, profile.queues);
  if (key == "burst") return read_number(value, 1, 512, profile.burst);
  if (key == "pool") return read_number(value, 1024, 1u << 20, profile.pool);
  if (key == "verify") return read_number(value, 0, 1u << 30, profile.verify);
  if (key == "held") return read_number(value, 0, 1, profile.held);
  if (key == "paced") return read_number(value, 0, 1, profile.paced);
  if (key == "once") return read_number(value, 0, 1, profile.once);
  if (key == "reply") return read_number(value, 0, 1, profile.reply);
  if (key == "ttl") return read_number(value, 0, 255, profile.ttl);
  if (key == "seed") return read_number(value, 0, UINT32_MAX, profile.seed);
  if (key == "vni") return read_number(value, 0, (1u << 24) - 1, profile.vni);
  if (key == "source") return read_hosts(value, profile.sources);
  if (key == "destination") return read_hosts(value, profile.destinations);
  if (key == "port") return read_number(value, 1, UINT16_MAX, profile.port);
  if (key == "expect_source") return read_hosts(value, profile.expect_sources);
  if (key == "expect_destination") return read_hosts(value, profile.expect_destinations);
  if (key == "expect_source_port") return read_ports(value, profile.expect_source_ports);
  if (key == "expect_port") return read_ports(value, profile.expect_ports);
  if (key == "tunnel_source") return read_address4(value, profile.tunnel_source);
  if (key == "tunnel_destination") return read_address4(value, profile.tunnel_destination);
  if (key == "page") {
    profile.page = value;
    return !value.empty();
  }
  return false;
}

constexpr std::array<std::string_view, 25> kKeys = {"frames", "expect",        "flows",
                                                    "size",   "queues",        "burst",
                                                    "pool",   "verify",        "ttl",
                                                    "seed",   "vni",           "source",
                                                    "port",   "destination",   "tunnel_source",
                                                    "held",   "paced",         "tunnel_destination",
                                                    "once",   "expect_source", "expect_destination",
                                                    "reply",  "expect_port",   "expect_source_port",
                                                    "page"};

bool is_key(std::string_view key) {
  for (const std::string_view known : kKeys) {
    if (key == known) return true;
  }
  return false;
}

void set_default_addresses(Profile& profile) {
  const bool ipv6 = is_inner_ipv6(profile.frames == Form::kNone ? profile.expect : profile.frames);
  const auto as_default = [](Hosts& hosts, const char* text) {
    if (hosts.base == ip_address{}) static_cast<void>(read_hosts(text, hosts));
  };
  as_default(profile.sources, ipv6 ? "fd00:10:244:1::101+100" : "10.244.1.1+100");
  as_default(profile.destinations, ipv6 ? "fd00:10:244:2::1+200" : "10.244.2.1+200");
  const auto as_handed_out = [&](Hosts& expected, const Hosts& hosts) {
    if (expected.base == ip_address{}) expected = hosts;
  };
  as_handed_out(profile.expect_sources, profile.sources);
  as_handed_out(profile.expect_destinations, profile.destinations);
  if (profile.tunnel_source == be32{}) profile.tunnel_source = to_be32(0xc0000202);            // 192.0.2.2
  if (profile.tunnel_destination == be32{}) profile.tunnel_destination = to_be32(0xc0000201);  // 192.0.2.1
}

}  // namespace

const char* text(Form form) {
  return kForms.at(static_cast<size_t>(form));
}

std::string parse_profile(const std::string& arguments, Profile& profile) {
  std::string_view rest = arguments;
  while (!rest.empty()) {
    const size_t comma = rest.find(',');
    const std::string_view pair = rest.substr(0, comma);
    rest = comma == std::string_view::npos ? std::string_view{} : rest.substr(comma + 1);
    const size_t equals = pair.find('=');
    const std::string_view key = pair.substr(0, equals);
    if (!is_key(key)) return "there is no argument \"" + std::string(key) + "\"";
    if (equals == std::string_view::npos || !read_one(key, pair.substr(equals + 1), profile)) {
      return "\"" + std::string(pair) + "\" is not a value of " + std::string(key);
    }
  }
  set_default_addresses(profile);
  const bool ipv6 = is_inner_ipv6(profile.frames);
  if (profile.frames != Form::kNone &&
      (profile.sources.is_ipv6 != ipv6 || profile.destinations.is_ipv6 != ipv6)) {
    return std::string("source and destination are not of the family of frames=") + text(profile.frames);
  }
  if (ipv6 && !profile.imix && profile.size < kSizeMin + 2) profile.size = kSizeMin + 2;  // the headers alone
  const uint64_t tuples = uint64_t{profile.sources.count} * profile.destinations.count * 60000;
  if (tuples < profile.flows) return "there are not so many flows between these addresses";
  if (profile.once && profile.paced) return "once and paced: a pace hands out flows round and round";
  if (profile.flows < profile.queues) return "fewer flows than queues";
  return {};
}

}  // namespace fairlead::replay
