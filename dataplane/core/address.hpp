#pragma once

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <optional>
#include <string>
#include <string_view>

namespace fairlead::core {

// An Ethernet address, in wire order.
struct MacAddress {
  std::array<uint8_t, 6> bytes{};

  auto operator<=>(const MacAddress&) const = default;
  [[nodiscard]] std::string text() const;
  [[nodiscard]] static std::optional<MacAddress> parse(std::string_view text);
};

enum class Family : uint8_t { kNone = 0, kIpv4 = 4, kIpv6 = 6 };

// An IPv4 or IPv6 address, in wire order; IPv4 uses the first four bytes and leaves the rest zero.
struct IpAddress {
  std::array<uint8_t, 16> bytes{};
  Family family = Family::kNone;

  auto operator<=>(const IpAddress&) const = default;
  [[nodiscard]] bool is_ipv4() const { return family == Family::kIpv4; }
  [[nodiscard]] bool is_ipv6() const { return family == Family::kIpv6; }
  [[nodiscard]] explicit operator bool() const { return family != Family::kNone; }
  [[nodiscard]] unsigned bits() const { return is_ipv4() ? 32 : 128; }
  // IPv4 only: the address as the 32 bits that stand on the wire (network order).
  [[nodiscard]] uint32_t ipv4_wire() const {
    uint32_t raw;
    std::memcpy(&raw, bytes.data(), 4);
    return raw;
  }
  [[nodiscard]] std::string text() const;
  // Strict: "010.0.0.1", zone ids and surrounding blanks are refused.
  [[nodiscard]] static std::optional<IpAddress> parse(std::string_view text);
  [[nodiscard]] static IpAddress ipv4(uint32_t wire);
  [[nodiscard]] static IpAddress ipv6(const uint8_t* sixteen_bytes);
};

// address/length; `address` has no host bits set (parse refuses those, `enclosing` clears them).
struct Prefix {
  IpAddress address;
  uint8_t length = 0;

  auto operator<=>(const Prefix&) const = default;
  [[nodiscard]] bool contains(const IpAddress& other) const;
  [[nodiscard]] bool overlaps(const Prefix& other) const;
  [[nodiscard]] std::string text() const;
  [[nodiscard]] static std::optional<Prefix> parse(std::string_view text);
  [[nodiscard]] static Prefix host(const IpAddress& address);
  [[nodiscard]] static Prefix enclosing(const IpAddress& address, uint8_t length);
};

}  // namespace fairlead::core
