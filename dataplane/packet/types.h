#pragma once

#include <linux/types.h>

// The words every header of this room is written in. Restricted C: this text is compiled by `clang -target
// bpf` as C11 and by g++/clang++ as C++20, and means the same bytes in both.

#ifdef __cplusplus
#define FL_BEGIN namespace fairlead {
#define FL_END }
#define FL_INLINE inline __attribute__((always_inline))
// Larger functions: the host's compiler may decide; BPF wants them inlined so that the verifier sees the
// bounds.
#define FL_FUNCTION inline
#define FL_CONSTEXPR constexpr FL_INLINE
#define FL_ASSERT(condition, message) static_assert(condition, message)
// Headers lie at any address on the host (IPv4 at offset 14), so there wire integers have alignment 1.
// In BPF they keep theirs: packing them there turns one load into four.
#define FL_WIRE __attribute__((packed))
#else
#define FL_BEGIN
#define FL_END
#define FL_INLINE static inline __attribute__((always_inline, unused))
#define FL_FUNCTION FL_INLINE
#define FL_CONSTEXPR FL_INLINE
#define FL_ASSERT(condition, message) _Static_assert(condition, message)
#define FL_WIRE
#endif

// Both worlds prove every layout: written once, checked twice.
#define FL_SIZE(type, bytes) FL_ASSERT(sizeof(struct type) == (bytes), #type " is " #bytes " bytes")
#define FL_OFFSET(type, member, bytes) \
  FL_ASSERT(__builtin_offsetof(struct type, member) == (bytes), #type "." #member " stands at " #bytes)

#define FL_LIKELY(condition) __builtin_expect(!!(condition), 1)
#define FL_UNLIKELY(condition) __builtin_expect(!!(condition), 0)

FL_BEGIN

// 16 bits as they stand on the wire. Never converts by itself: to_be16() and from_be16() are the only doors.
typedef struct FL_WIRE be16 {
  __u16 raw;
#ifdef __cplusplus
  friend constexpr bool operator==(be16 a, be16 b) {
    return a.raw == b.raw;
  }
#endif
} be16;

// 32 bits as they stand on the wire.
typedef struct FL_WIRE be32 {
  __u32 raw;
#ifdef __cplusplus
  friend constexpr bool operator==(be32 a, be32 b) {
    return a.raw == b.raw;
  }
#endif
} be32;

FL_SIZE(be16, 2);
FL_SIZE(be32, 4);

// An Ethernet address.
struct mac_address {
  __u8 bytes[6];
};
FL_SIZE(mac_address, 6);

// An IPv6 address; or an IPv4 address in word[0] with the other words zero.
struct ip_address {
  be32 word[4];
#ifdef __cplusplus
  friend constexpr bool operator==(const ip_address& a, const ip_address& b) {
    return a.word[0] == b.word[0] && a.word[1] == b.word[1] && a.word[2] == b.word[2] &&
           a.word[3] == b.word[3];
  }
#endif
};
FL_SIZE(ip_address, 16);

#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define FL_SWAP16(x) __builtin_bswap16(x)
#define FL_SWAP32(x) __builtin_bswap32(x)
#else
#define FL_SWAP16(x) (x)
#define FL_SWAP32(x) (x)
#endif

// Four bytes as one word, in their order in memory: written and read at once, where halves would stall the
// load.
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
#define FL_WORD_OF_HALVES(first, second) ((__u32)(first) | (__u32)(second) << 16)
#define FL_WORD_OF_BYTE(first) ((__u32)(first))
#else
#define FL_WORD_OF_HALVES(first, second) ((__u32)(first) << 16 | (__u32)(second))
#define FL_WORD_OF_BYTE(first) ((__u32)(first) << 24)
#endif

FL_CONSTEXPR be16 to_be16(__u16 host) {
  be16 wire = {FL_SWAP16(host)};
  return wire;
}

FL_CONSTEXPR be32 to_be32(__u32 host) {
  be32 wire = {FL_SWAP32(host)};
  return wire;
}

FL_CONSTEXPR __u16 from_be16(be16 wire) {
  return FL_SWAP16(wire.raw);
}

FL_CONSTEXPR __u32 from_be32(be32 wire) {
  return FL_SWAP32(wire.raw);
}

FL_END
