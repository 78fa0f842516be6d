#include "controlplane/intent/special_address.hpp"

#include <array>

namespace fairlead::control {

std::string_view special_kind(const core::IpAddress& address) {
  const auto& b = address.bytes;
  if (address.is_ipv4()) {
    if (b[0] == 127) return "loopback";
    if (b[0] == 169 && b[1] == 254) return "link-local";
    if (b[0] >= 240) return "reserved";
    if (b[0] >= 224) return "multicast";
    return b[0] == 0 ? "unspecified" : "";
  }
  if (address.is_ipv6()) {
    if (b[0] == 0xff) return "multicast";
    if (b[0] == 0xfe && (b[1] & 0xc0) == 0x80) return "link-local";
    static constexpr std::array<uint8_t, 10> kZeros{};
    if (std::memcmp(b.data(), kZeros.data(), kZeros.size()) != 0) return "";
    if (b[10] == 0xff && b[11] == 0xff) return "an IPv4 address written as IPv6";
    const bool is_low = b[10] == 0 && b[11] == 0 && b[12] == 0 && b[13] == 0 && b[14] == 0;
    if (is_low && b[15] == 1) return "loopback";
    return is_low && b[15] == 0 ? "unspecified" : "";
  }
  return "unspecified";
}

}  // namespace fairlead::control
