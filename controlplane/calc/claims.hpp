#pragma once

#include "dataplane/core/service.hpp"

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

namespace fairlead::control {

// An address, port and protocol that a Service wants to answer on. A node port has the unspecified address of
// its family: it means every node address.
struct ClaimKey {
  core::IpAddress address;
  uint16_t port = 0;
  uint8_t protocol = 0;
  bool operator==(const ClaimKey&) const = default;
};

// Who claims, and how strongly: a smaller rank wins, then the older, then the smaller name.
struct Claimant {
  std::string key;  // namespace/name
  int64_t created = 0;
};

// Who claims what. Answers who has a key, and who is concerned when that changes.
//
// Owns nothing but the index: claimants are the caller's and outlive their claims.
class ClaimIndex {
 public:
  static constexpr uint8_t kClusterIp = 0, kOther = 1;

  void add(const ClaimKey& key, uint8_t rank, const Claimant& claimant);
  void remove(const ClaimKey& key, const Claimant& claimant);

  // nullptr when nobody claims it.
  [[nodiscard]] const Claimant* winner(const ClaimKey& key) const;
  // Calls `each` for every claimant of `key`.
  void each(const ClaimKey& key, const std::function<void(const Claimant&)>& each) const;

 private:
  struct Hash {
    size_t operator()(const ClaimKey& key) const;
  };
  struct Row {
    uint8_t rank;
    const Claimant* claimant;
  };
  [[nodiscard]] static bool is_stronger(const Row& a, const Row& b);
  // Almost every key has one claimant; more are in order of strength.
  std::unordered_map<ClaimKey, std::vector<Row>, Hash> rows_;
};

}  // namespace fairlead::control
