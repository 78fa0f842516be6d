#pragma once

#include "dataplane/base/result.hpp"
#include "dataplane/core/address.hpp"
#include "dataplane/rpc/fairlead.pb.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace fairlead::cli {

// IP protocol numbers and their names: "tcp" <-> 6, "47" <-> 47.
[[nodiscard]] Result<uint8_t> parse_protocol(const std::string& text);
[[nodiscard]] std::string protocol_name(uint32_t protocol);
[[nodiscard]] bool has_ports(uint32_t protocol);

// "10.0.0.1", "10.0.0.1:80", "fd00::1", "[fd00::1]:80".
struct AddressAndPort {
  core::IpAddress address;
  std::optional<uint16_t> port;
};
[[nodiscard]] std::optional<AddressAndPort> parse_address_and_port(std::string_view text);
[[nodiscard]] std::string address_and_port(const std::string& address,
                                           uint32_t port);  // port 0: the address alone

[[nodiscard]] std::string pod_name(const rpc::Endpoint& endpoint);  // default/a

}  // namespace fairlead::cli
