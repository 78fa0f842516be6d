#pragma once

#include "tests/golden/world.hpp"

#include <cstdint>
#include <random>

namespace fairlead::model {

// Random node states and packets for the differential run: valid, near-valid and mutated, with addresses that
// mean something in the state most of the time.
class Generator {
 public:
  explicit Generator(uint64_t seed) : random_(seed) {}

  [[nodiscard]] golden::World world();
  // The port it comes from and its bytes.
  [[nodiscard]] std::pair<uint32_t, golden::Bytes> packet(const golden::World& world);

 protected:
  [[nodiscard]] uint32_t below(uint32_t bound) { return static_cast<uint32_t>(random_() % bound); }
  [[nodiscard]] bool chance(uint32_t percent) { return below(100) < percent; }
  [[nodiscard]] golden::Bytes some_address(const golden::World& world, bool ipv4);
  [[nodiscard]] std::string some_address_text(const golden::World& world, bool ipv4);
  [[nodiscard]] std::string packet_text(const golden::World& world, bool ipv4, const std::string& source,
                                        const std::string& destination);
  [[nodiscard]] std::string tunnel_text(const golden::World& world, const std::string& inner);
  void mutate(golden::Bytes& frame);

  std::mt19937_64 random_;
};

}  // namespace fairlead::model
