#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace fairlead::core {

// A lookup table in which every member has the same number of places, to within one, and keeps most of them
// when others come or go (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI
// 2016, section 3.4).
//
// Only for lists too long to compare one by one (kRendezvousMax): shorter ones choose by choice_score(),
// which moves nobody who need not move, and needs no table. The size is the first of a ladder of primes with
// at least 128 places a member, up to 1,048,573: what a step of the ladder moves, every node moves alike.
//
// Immutable once built. Cost: two bytes a place; building visits every place once and skips over taken ones,
// 13 of them on average with 100 members.
class MaglevTable {
 public:
  static constexpr size_t kMembersMax = 0xfffe;

  // `member_ids`: choice_id() of each, from which alone its preferences follow; in an order that all nodes
  // share, at least one and at most kMembersMax.
  explicit MaglevTable(std::span<const uint32_t> member_ids);

  // The member's position in what the table was built of.
  [[nodiscard]] uint32_t find(uint64_t choice) const {
    return places_[static_cast<uint64_t>((choice >> 32) * places_.size()) >> 32];
  }
  [[nodiscard]] size_t size() const { return places_.size(); }
  // The number of places for so many members.
  [[nodiscard]] static uint32_t size_for(size_t members);

 private:
  std::vector<uint16_t> places_;
};

}  // namespace fairlead::core
