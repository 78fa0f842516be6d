#include "controlplane/ipam/pool.hpp"

#include <algorithm>

namespace fairlead::control {

namespace {

constexpr unsigned kMostHostBits = 32;

unsigned host_bits(const core::Prefix& cidr) {
  return cidr.address.bits() - cidr.length;
}

size_t address_bytes(const core::IpAddress& address) {
  return address.bits() / 8;
}

}  // namespace

AddressPool::AddressPool(const core::Prefix& cidr) : cidr_(cidr) {
  const uint64_t size = uint64_t{1} << std::min(host_bits(cidr), kMostHostBits);
  last_ = size - 1;
  if (cidr.address.is_ipv4() && last_ > 0) --last_;  // broadcast
}

core::IpAddress AddressPool::at(uint64_t offset) const {
  core::IpAddress address = cidr_.address;
  for (size_t i = address_bytes(address); i-- > 0 && offset != 0; offset >>= 8)
    address.bytes[i] = static_cast<uint8_t>(address.bytes[i] | (offset & 0xffu));
  return address;
}

std::optional<uint64_t> AddressPool::offset_of(const core::IpAddress& address) const {
  if (address.family != cidr_.address.family || !cidr_.contains(address)) return std::nullopt;
  uint64_t offset = 0;
  for (size_t i = 0; i < address_bytes(address); ++i) {
    const uint8_t host_part = static_cast<uint8_t>(address.bytes[i] ^ cidr_.address.bytes[i]);
    if (offset >> 56 != 0) return std::nullopt;  // far beyond what we hand out
    offset = offset << 8 | host_part;
  }
  return offset;
}

bool AddressPool::contains_usable(const core::IpAddress& address) const {
  const std::optional<uint64_t> offset = offset_of(address);
  return offset && *offset >= kFirst && *offset <= last_;
}

std::optional<core::IpAddress> AddressPool::next(
    const std::function<bool(const core::IpAddress&)>& is_taken) {
  const uint64_t count = usable();
  for (uint64_t tried = 0; tried < count; ++tried) {
    const core::IpAddress candidate = at(cursor_);
    cursor_ = cursor_ >= last_ ? kFirst : cursor_ + 1;
    if (!is_taken(candidate)) return candidate;
  }
  return std::nullopt;
}

void AddressPool::resume_after(const core::IpAddress& address) {
  if (!contains_usable(address)) return;
  const uint64_t offset = *offset_of(address);
  cursor_ = offset >= last_ ? kFirst : offset + 1;
}

}  // namespace fairlead::control
