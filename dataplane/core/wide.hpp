#pragma once

#include "dataplane/packet/flow_hash.h"
#include "dataplane/packet/flow_key.h"

#include <atomic>
#include <cstdint>
#include <cstring>

#if defined(__SSE4_1__)
#include <smmintrin.h>
#endif

// The few things that the packet path does with 16 bytes at a time. With SSE4.1, which x86-64-v2 has; in
// words elsewhere, to the same results (tests/core/wide_test.cpp).

namespace fairlead::core {

template <typename Word>
[[nodiscard]] FL_INLINE Word load(const void* at) {
  Word word;
  std::memcpy(&word, at, sizeof(word));
  return word;
}

#if defined(__SSE4_1__)

struct Bytes16 {
  __m128i raw;

  [[nodiscard]] static FL_INLINE Bytes16 at(const void* bytes) {
    return {_mm_loadu_si128(static_cast<const __m128i*>(bytes))};
  }
  // Two atomic words, 16-byte aligned, in one load: each of them whole, as the processor loads aligned words,
  // but perhaps of two moments.
  [[nodiscard]] static FL_INLINE Bytes16 relaxed(const std::atomic<uint64_t>* words) {
    Bytes16 both;
    asm("movdqa %1, %0" : "=x"(both.raw) : "m"(*reinterpret_cast<const __m128i*>(words)));
    return both;
  }
  FL_INLINE void store(void* bytes) const { _mm_storeu_si128(static_cast<__m128i*>(bytes), raw); }

  [[nodiscard]] FL_INLINE Bytes16 operator^(Bytes16 other) const { return {_mm_xor_si128(raw, other.raw)}; }
  [[nodiscard]] FL_INLINE Bytes16 operator|(Bytes16 other) const { return {_mm_or_si128(raw, other.raw)}; }
  // No bit of `mask` is set.
  [[nodiscard]] FL_INLINE bool is_zero_under(Bytes16 mask) const {
    return _mm_testz_si128(raw, mask.raw) != 0;
  }
  [[nodiscard]] FL_INLINE bool is_zero() const { return is_zero_under(*this); }
};

// A packet's flow_key4, from the last 12 bytes of its IPv4 header and its ports, both at `ttl`: TTL,
// protocol, checksum, addresses, ports. `from_high`: as flow_key4_make() would say.
[[nodiscard]] FL_INLINE Bytes16 key4_from(const uint8_t* ttl, bool from_high) {
  alignas(16) static constexpr int8_t kOrder[2][16] = {
      {4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 1, -1, -1, -1},
      {8, 9, 10, 11, 4, 5, 6, 7, 14, 15, 12, 13, 1, -1, -1, -1}};
  const Bytes16 order = Bytes16::at(kOrder[from_high]);
  return {_mm_shuffle_epi8(Bytes16::at(ttl).raw, order.raw)};
}

namespace detail {

// NH's products of the pairs in `words`, as two partial sums.
[[nodiscard]] FL_INLINE __m128i nh(const flow_secret& secret, size_t at, __m128i words) {
  const auto* const key = reinterpret_cast<const __m128i*>(secret.key + at);
  const __m128i sum = _mm_add_epi32(words, _mm_load_si128(key));
  return _mm_mul_epu32(sum, _mm_srli_epi64(sum, 32));
}

[[nodiscard]] FL_INLINE uint64_t both(__m128i sums) {
  return static_cast<uint64_t>(_mm_cvtsi128_si64(_mm_add_epi64(sums, _mm_unpackhi_epi64(sums, sums))));
}

}  // namespace detail

// flow_hash4() of a key's 16 bytes.
[[nodiscard]] FL_INLINE uint64_t hash4_of(const flow_secret& secret, Bytes16 key) {
  return flow_hash_finish(&secret, detail::both(detail::nh(secret, 0, key.raw)));
}

// flow_hash6() of a key's 40 bytes.
[[nodiscard]] FL_INLINE uint64_t hash6_of(const flow_secret& secret, Bytes16 low, Bytes16 high,
                                          uint64_t last) {
  const __m128i sums = _mm_add_epi64(detail::nh(secret, 0, low.raw), detail::nh(secret, 4, high.raw));
  return flow_hash_finish(&secret,
                          detail::both(sums) + flow_hash_pair(&secret, 8, static_cast<uint32_t>(last),
                                                              static_cast<uint32_t>(last >> 32)));
}

#else

struct Bytes16 {
  uint64_t word[2];

  [[nodiscard]] static FL_INLINE Bytes16 at(const void* bytes) { return load<Bytes16>(bytes); }
  [[nodiscard]] static FL_INLINE Bytes16 relaxed(const std::atomic<uint64_t>* words) {
    return {{words[0].load(std::memory_order_relaxed), words[1].load(std::memory_order_relaxed)}};
  }
  FL_INLINE void store(void* bytes) const { std::memcpy(bytes, word, sizeof(word)); }

  [[nodiscard]] FL_INLINE Bytes16 operator^(Bytes16 other) const {
    return {{word[0] ^ other.word[0], word[1] ^ other.word[1]}};
  }
  [[nodiscard]] FL_INLINE Bytes16 operator|(Bytes16 other) const {
    return {{word[0] | other.word[0], word[1] | other.word[1]}};
  }
  [[nodiscard]] FL_INLINE bool is_zero_under(Bytes16 mask) const {
    return ((word[0] & mask.word[0]) | (word[1] & mask.word[1])) == 0;
  }
  [[nodiscard]] FL_INLINE bool is_zero() const { return (word[0] | word[1]) == 0; }
};

[[nodiscard]] FL_INLINE Bytes16 key4_from(const uint8_t* ttl, bool from_high) {
  const size_t low = from_high ? 1 : 0, high = low ^ 1;
  Bytes16 key{};
  auto* const bytes = reinterpret_cast<uint8_t*>(&key);
  std::memcpy(bytes, ttl + 4 + 4 * low, 4);
  std::memcpy(bytes + 4, ttl + 4 + 4 * high, 4);
  std::memcpy(bytes + 8, ttl + 12 + 2 * low, 2);
  std::memcpy(bytes + 10, ttl + 12 + 2 * high, 2);
  bytes[12] = ttl[1];
  return key;
}

[[nodiscard]] FL_INLINE uint64_t hash4_of(const flow_secret& secret, Bytes16 key) {
  flow_key4 words;
  key.store(&words);
  return flow_hash4(&secret, &words);
}

[[nodiscard]] FL_INLINE uint64_t hash6_of(const flow_secret& secret, Bytes16 low, Bytes16 high,
                                          uint64_t last) {
  flow_key6 key;
  low.store(&key.low_address);
  high.store(&key.high_address);
  std::memcpy(&key.low_port, &last, sizeof(last));
  return flow_hash6(&secret, &key);
}

#endif

[[nodiscard]] FL_INLINE uint64_t hash6_of(const flow_secret& secret, const flow_key6& key) {
  const auto* const bytes = reinterpret_cast<const uint8_t*>(&key);
  return hash6_of(secret, Bytes16::at(bytes), Bytes16::at(bytes + 16), load<uint64_t>(bytes + 32));
}

// flow_key6's order of two different addresses: as 128-bit numbers of this machine.
[[nodiscard]] FL_INLINE bool is_above6(const uint8_t* a, const uint8_t* b) {
  __extension__ using Number = unsigned __int128;
  return load<Number>(a) > load<Number>(b);
}

}  // namespace fairlead::core
