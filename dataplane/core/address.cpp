#include "dataplane/core/address.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <charconv>
#include <cstdio>

namespace fairlead::core {

namespace {

// -1: not a hexadecimal digit.
int hex_value(char digit) {
  if (digit >= '0' && digit <= '9') return digit - '0';
  if (digit >= 'a' && digit <= 'f') return digit - 'a' + 10;
  if (digit >= 'A' && digit <= 'F') return digit - 'A' + 10;
  return -1;
}

// The byte of a netmask of `length` bits at byte position `index`.
uint8_t mask_byte(unsigned length, unsigned index) {
  const unsigned bits = length > 8 * index ? std::min(8u, length - 8 * index) : 0;
  return static_cast<uint8_t>(0xff00u >> bits);
}

}  // namespace

std::string MacAddress::text() const {
  std::array<char, 18> buffer;
  std::snprintf(buffer.data(), buffer.size(), "%02x:%02x:%02x:%02x:%02x:%02x", bytes[0], bytes[1], bytes[2],
                bytes[3], bytes[4], bytes[5]);
  return buffer.data();
}

std::optional<MacAddress> MacAddress::parse(std::string_view text) {
  if (text.size() != 17) return std::nullopt;
  MacAddress mac;
  for (size_t i = 0; i < 6; ++i) {
    const int high = hex_value(text[3 * i]);
    const int low = hex_value(text[3 * i + 1]);
    if (high < 0 || low < 0 || (i < 5 && text[3 * i + 2] != ':')) return std::nullopt;
    mac.bytes[i] = static_cast<uint8_t>(16 * high + low);
  }
  return mac;
}

std::string IpAddress::text() const {
  std::array<char, INET6_ADDRSTRLEN> buffer;
  if (family == Family::kNone) return "none";
  ::inet_ntop(is_ipv4() ? AF_INET : AF_INET6, bytes.data(), buffer.data(), buffer.size());
  return buffer.data();
}

std::optional<IpAddress> IpAddress::parse(std::string_view text) {
  // inet_pton is as strict as we want to be, but reads up to a NUL: make sure that is where the text ends.
  std::array<char, INET6_ADDRSTRLEN> buffer{};
  if (text.size() >= buffer.size() || text.find('\0') != std::string_view::npos) return std::nullopt;
  std::copy(text.begin(), text.end(), buffer.begin());
  IpAddress address;
  address.family = text.find(':') == std::string_view::npos ? Family::kIpv4 : Family::kIpv6;
  if (::inet_pton(address.is_ipv4() ? AF_INET : AF_INET6, buffer.data(), address.bytes.data()) != 1) {
    return std::nullopt;
  }
  return address;
}

IpAddress IpAddress::ipv4(uint32_t wire) {
  IpAddress address;
  address.family = Family::kIpv4;
  std::memcpy(address.bytes.data(), &wire, 4);
  return address;
}

IpAddress IpAddress::ipv6(const uint8_t* sixteen_bytes) {
  IpAddress address;
  address.family = Family::kIpv6;
  std::memcpy(address.bytes.data(), sixteen_bytes, 16);
  return address;
}

bool Prefix::contains(const IpAddress& other) const {
  if (other.family != address.family || address.family == Family::kNone) return false;
  for (unsigned i = 0; 8 * i < length; ++i) {
    if (((address.bytes[i] ^ other.bytes[i]) & mask_byte(length, i)) != 0) return false;
  }
  return true;
}

bool Prefix::overlaps(const Prefix& other) const {
  return length <= other.length ? contains(other.address) : other.contains(address);
}

std::string Prefix::text() const {
  return address.text() + "/" + std::to_string(length);
}

std::optional<Prefix> Prefix::parse(std::string_view text) {
  const size_t slash = text.find('/');
  if (slash == std::string_view::npos) return std::nullopt;
  const std::optional<IpAddress> address = IpAddress::parse(text.substr(0, slash));
  const std::string_view digits = text.substr(slash + 1);
  if (!address || digits.empty() || digits.size() > 3 || (digits[0] == '0' && digits.size() > 1))
    return std::nullopt;
  unsigned length = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), length);
  if (error != std::errc{} || end != digits.data() + digits.size() || length > address->bits())
    return std::nullopt;
  const Prefix prefix = enclosing(*address, static_cast<uint8_t>(length));
  if (prefix.address != *address) return std::nullopt;
  return prefix;
}

Prefix Prefix::host(const IpAddress& address) {
  return {address, static_cast<uint8_t>(address.bits())};
}

Prefix Prefix::enclosing(const IpAddress& address, uint8_t length) {
  Prefix prefix{address, length};
  for (unsigned i = 0; i < prefix.address.bytes.size(); ++i) prefix.address.bytes[i] &= mask_byte(length, i);
  return prefix;
}

}  // namespace fairlead::core
