#include "tools/cli/words.hpp"

#include "dataplane/base/command_line.hpp"

#include <algorithm>
#include <array>
#include <utility>

namespace fairlead::cli {
namespace {

constexpr std::array<std::pair<std::string_view, uint8_t>, 5> kProtocols{
    {{"icmp", 1}, {"tcp", 6}, {"udp", 17}, {"icmpv6", 58}, {"sctp", 132}}};

}  // namespace

Result<uint8_t> parse_protocol(const std::string& text) {
  for (const auto& [name, number] : kProtocols) {
    if (name == text) return number;
  }
  if (const Result<uint64_t> number = parse_number(text, 0, 255, "--protocol"); number.ok()) {
    return static_cast<uint8_t>(*number);
  }
  return Error{"FL6001", "--protocol \"" + text + "\" is no protocol",
               "tcp, udp, icmp, icmpv6, sctp, or a number from 0 to 255"};
}

std::string protocol_name(uint32_t protocol) {
  for (const auto& [name, number] : kProtocols) {
    if (number == protocol) return std::string(name);
  }
  return std::to_string(protocol);
}

bool has_ports(uint32_t protocol) {
  return protocol == 6 || protocol == 17 || protocol == 132;
}

std::optional<AddressAndPort> parse_address_and_port(std::string_view text) {
  if (const auto address = core::IpAddress::parse(text)) return AddressAndPort{*address, std::nullopt};
  const size_t colon = text.rfind(':');
  if (colon == std::string_view::npos) return std::nullopt;
  std::string_view host = text.substr(0, colon);
  const bool bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (bracketed) host = host.substr(1, host.size() - 2);
  const auto address = core::IpAddress::parse(host);
  const Result<uint64_t> port = parse_number(text.substr(colon + 1), 1, 65'535, "port");
  if (!address || !port || address->is_ipv6() != bracketed) return std::nullopt;
  return AddressAndPort{*address, static_cast<uint16_t>(*port)};
}

std::string address_and_port(const std::string& address, uint32_t port) {
  if (port == 0) return address;
  const bool is_ipv6 = address.find(':') != std::string::npos;
  return (is_ipv6 ? "[" + address + "]" : address) + ":" + std::to_string(port);
}

std::string pod_name(const rpc::Endpoint& endpoint) {
  return endpoint.pod_namespace() + "/" + endpoint.pod_name();
}

}  // namespace fairlead::cli
