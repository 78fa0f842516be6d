#pragma once

#include "dataplane/core/address.hpp"

#include <cstdint>
#include <functional>
#include <optional>

namespace fairlead::control {

// The addresses of one pod CIDR in the order they are handed out: ascending, round and round, so that an
// address just given back is the last one to be used again.
//
// Never handed out: IPv4 the first (network), second (by habit the gateway's) and last (broadcast); IPv6 the
// first (subnet-router anycast, RFC 4291 2.6.1) and second. Pure; does not know which addresses are in use.
class AddressPool {
 public:
  explicit AddressPool(const core::Prefix& cidr);

  // How many addresses there are to hand out; huge IPv6 prefixes are used up to 2^32 addresses. 0: the CIDR
  // is too small.
  [[nodiscard]] uint64_t usable() const { return last_ >= kFirst ? last_ - kFirst + 1 : 0; }
  [[nodiscard]] const core::Prefix& cidr() const { return cidr_; }
  [[nodiscard]] bool contains_usable(const core::IpAddress& address) const;

  // The next address that `is_taken` does not claim, moving on behind it; nullopt after one full round. Cost
  // is the number of taken addresses met.
  [[nodiscard]] std::optional<core::IpAddress> next(
      const std::function<bool(const core::IpAddress&)>& is_taken);

  // Goes on behind `address`; ignored when it is not of this pool.
  void resume_after(const core::IpAddress& address);

 private:
  static constexpr uint64_t kFirst = 2;  // offset into the CIDR
  [[nodiscard]] core::IpAddress at(uint64_t offset) const;
  [[nodiscard]] std::optional<uint64_t> offset_of(const core::IpAddress& address) const;

  core::Prefix cidr_;
  uint64_t last_ = 0;         // greatest usable offset
  uint64_t cursor_ = kFirst;  // offset tried next
};

}  // namespace fairlead::control
