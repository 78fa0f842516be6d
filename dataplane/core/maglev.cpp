#include "dataplane/core/maglev.hpp"

#include "dataplane/core/choice_hash.hpp"

namespace fairlead::core {

namespace {

constexpr uint32_t kPrimes[] = {8191, 16381, 32749, 65521, 131071, 262139, 524287, 1048573};
constexpr uint32_t kPlacesPerMember = 128;
constexpr uint16_t kFree = 0xffff;

// A member's preferences: every place once, from `at` in steps of `skip`, modulo a prime.
struct Preferences {
  uint32_t at;
  uint32_t skip;
};

Preferences preferences_of(uint32_t id, uint32_t size) {
  const uint64_t mixed = choice_mix(id ^ kChoiceSeed);
  return {static_cast<uint32_t>(mixed) % size, static_cast<uint32_t>(mixed >> 32) % (size - 1) + 1};
}

}  // namespace

uint32_t MaglevTable::size_for(size_t members) {
  for (const uint32_t prime : kPrimes) {
    if (prime >= members * kPlacesPerMember) return prime;
  }
  return kPrimes[std::size(kPrimes) - 1];
}

MaglevTable::MaglevTable(std::span<const uint32_t> member_ids) {
  const uint32_t size = size_for(member_ids.size());
  std::vector<Preferences> preferences;
  preferences.reserve(member_ids.size());
  for (const uint32_t id : member_ids) preferences.push_back(preferences_of(id, size));
  places_.assign(size, kFree);
  // In turns, each takes the first place that it likes and that is free.
  for (uint32_t taken = 0;;) {
    for (size_t member = 0; member < preferences.size(); ++member) {
      Preferences& next = preferences[member];
      while (places_[next.at] != kFree) {
        next.at += next.skip;
        if (next.at >= size) next.at -= size;
      }
      places_[next.at] = static_cast<uint16_t>(member);
      if (++taken == size) return;
    }
  }
}

}  // namespace fairlead::core
