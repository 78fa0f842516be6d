#pragma once

#include "dataplane/packet/parsed.h"

#include <cstdint>
#include <cstring>

namespace fairlead::core {

// Who of a list of backends gets a connection is a function of two numbers, both the same on every node and
// in every build, so that a connection finds its backend again wherever its packets arrive:
//
// - choice_of(packet): of the client's address, port and protocol. The Service's own address is left out: the
//   backends' numbers tell Services apart.
// - choice_id(backend): of its address and port.
//
// Not secret, unlike the flow hash: a client that wants another backend need only take another port, which
// Kubernetes does not forbid.

inline constexpr uint64_t kChoiceSeed = 0x6661'6972'6c65'6164;  // "fairlead"

// murmur3's finaliser: a bijection.
[[nodiscard]] inline uint64_t choice_mix(uint64_t x) {
  x = (x ^ (x >> 33)) * 0xff51afd7ed558ccdull;
  x = (x ^ (x >> 33)) * 0xc4ceb9fe1a85ec53ull;
  return x ^ (x >> 33);
}

// `address`: sixteen bytes in wire order, IPv4 in the first four and zero behind.
[[nodiscard]] inline uint64_t choice_hash(const void* address, uint16_t port, uint16_t what) {
  uint64_t half[2];
  std::memcpy(half, address, sizeof(half));
  const uint64_t tail = uint64_t{port} << 32 | uint64_t{what} << 48;
  return choice_mix(choice_mix(half[0] ^ kChoiceSeed) + choice_mix(half[1] + tail));
}

[[nodiscard]] inline uint64_t choice_of(const parsed& p) {
  return choice_hash(&p.source, from_be16(p.source_port), p.protocol);
}

// `salt`: 0, and counted up for the later of two backends of one Service that would have the same number.
[[nodiscard]] inline uint32_t choice_id(const void* address, uint16_t port, uint16_t salt) {
  return static_cast<uint32_t>(choice_hash(address, port, static_cast<uint16_t>(256 + salt)) >> 32);
}

// How much this choice wants this backend: the highest wins (rendezvous hashing: Thaler, Ravishankar, "Using
// name-based mappings to increase hit rates", 1998). Both halves of one 128-bit product, as wyhash mixes.
[[nodiscard]] inline uint64_t choice_score(uint64_t choice, uint32_t id) {
  const uint64_t spread = uint64_t{id} << 32 | id;
  const auto product = static_cast<unsigned __int128>(choice ^ spread) * 0x9e3779b97f4a7c15ull;
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}

}  // namespace fairlead::core
