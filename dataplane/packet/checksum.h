#pragma once

#include "dataplane/packet/ipv4.h"
#include "dataplane/packet/types.h"

// Internet checksum: RFC 1071 (sum), RFC 1624 (update), RFC 8200 section 8.1 (pseudo-header).
//
// Sums are made of 16-bit words as they stand in memory; the one's complement sum is the same in either byte
// order (RFC 1071 section 2 (B)), so nothing is ever swapped. A running sum is 64 bits wide and folded once
// at the end.

// x86-64 has SSE2; other machines and BPF take the plain loops alone.
#if defined(__SSE2__) && !defined(__bpf__)
#define FL_CHECKSUM_SSE2
#include <emmintrin.h>
#endif

FL_BEGIN

// The 16-bit one's complement sum of what was accumulated.
FL_INLINE __u16 checksum_fold(__u64 sum) {
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffffffff) + (sum >> 32);
  sum = (sum & 0xffff) + (sum >> 16);
  sum = (sum & 0xffff) + (sum >> 16);
  return (__u16)sum;
}

// What goes into a checksum field: the complement of the sum.
FL_INLINE be16 checksum_finish(__u64 sum) {
  be16 field = {(__u16)~checksum_fold(sum)};
  return field;
}

// UDP says "none" with zero, so a computed zero is sent as all ones (RFC 768).
FL_INLINE be16 checksum_finish_udp(__u64 sum) {
  be16 field = checksum_finish(sum);
  if (field.raw == 0) field.raw = 0xffff;
  return field;
}

#ifdef FL_CHECKSUM_SSE2
// The sum of the 16-bit words of `blocks` times 32 bytes at `from`, which are copied to `to` on the way
// unless that is null. SSE2 multiplies signed words only: 0x8000 is taken from each before and given back
// after.
FL_INLINE __u64 checksum_blocks(__u8* to, const __u8* from, __u32 blocks) {
  const __u32 kBlockBytes = 32, kBlocksAtOnce = 1 << 14;  // a lane of 32 bits holds nearly twice as many
  const __m128i half = _mm_set1_epi16((short)0x8000), one = _mm_set1_epi16(1);
  __u64 sum = (__u64)blocks * (kBlockBytes / 2 * 0x8000);
  while (blocks != 0) {
    __m128i a = _mm_setzero_si128(), b = a;
    __u32 count = blocks < kBlocksAtOnce ? blocks : kBlocksAtOnce;
    blocks -= count;
    for (; count != 0; --count, from += kBlockBytes) {
      const __m128i first = _mm_loadu_si128((const __m128i*)from);
      const __m128i second = _mm_loadu_si128((const __m128i*)(from + kBlockBytes / 2));
      if (to) {
        _mm_storeu_si128((__m128i*)to, first);
        _mm_storeu_si128((__m128i*)(to + kBlockBytes / 2), second);
        to += kBlockBytes;
      }
      a = _mm_add_epi32(a, _mm_madd_epi16(_mm_xor_si128(first, half), one));
      b = _mm_add_epi32(b, _mm_madd_epi16(_mm_xor_si128(second, half), one));
    }
    int lane[8];
    _mm_storeu_si128((__m128i*)lane, a);
    _mm_storeu_si128((__m128i*)(lane + 4), b);
    for (int i = 0; i < 8; ++i) sum += (__u64)(__s64)lane[i];
  }
  return sum;
}
#endif

// Adds `length` bytes at `data` to `sum`; an odd last byte counts as if a zero followed. `data` may have any
// alignment, but must begin at an even offset of what is summed. In BPF only for constant lengths (else:
// bpf_csum_diff).
FL_FUNCTION __u64 checksum_add(__u64 sum, const void* data, __u32 length) {
  const __u8* at = (const __u8*)data;
#ifdef FL_CHECKSUM_SSE2
  if (length >= 64) {
    const __u32 bytes = length & ~31u;
    sum += checksum_blocks(0, at, bytes / 32);
    at += bytes;
    length -= bytes;
  }
#endif
  // Four independent sums of 32-bit words: no carry to wait for, and 2^32 words fit.
  __u64 a = 0, b = 0, c = 0, d = 0;
  __u32 word[4];
  for (; length >= 16; length -= 16, at += 16) {
    __builtin_memcpy(word, at, 16);
    a += word[0];
    b += word[1];
    c += word[2];
    d += word[3];
  }
  for (; length >= 4; length -= 4, at += 4) {
    __builtin_memcpy(word, at, 4);
    a += word[0];
  }
  if (length >= 2) {
    __u16 half;
    __builtin_memcpy(&half, at, 2);
    b += half;
    at += 2;
    length -= 2;
  }
  if (length) {
    __u8 last[2] = {*at, 0};
    __u16 half;
    __builtin_memcpy(&half, last, 2);
    c += half;
  }
  // Each is below 2^46; so is their sum with a folded or fresh `sum`.
  return sum + a + b + c + d;
}

// checksum_add() of what it copies meanwhile: the bytes are touched once. Not for BPF.
FL_FUNCTION __u64 checksum_copy(__u64 sum, void* to, const void* from, __u32 length) {
  const __u8* source = (const __u8*)from;
  __u8* target = (__u8*)to;
#ifdef FL_CHECKSUM_SSE2
  if (length >= 64) {
    const __u32 bytes = length & ~31u;
    sum += checksum_blocks(target, source, bytes / 32);
    source += bytes;
    target += bytes;
    length -= bytes;
  }
#endif
  __u64 a = 0, b = 0, c = 0, d = 0;
  __u32 word[4];
  for (; length >= 16; length -= 16, source += 16, target += 16) {
    __builtin_memcpy(word, source, 16);
    __builtin_memcpy(target, word, 16);
    a += word[0];
    b += word[1];
    c += word[2];
    d += word[3];
  }
  for (__u32 i = 0; i < length; ++i) target[i] = source[i];
  return checksum_add(sum + a + b + c + d, source, length);
}

// The sum of an option-less IPv4 header as it stands; folds to 0xffff when its checksum is right.
FL_INLINE __u64 checksum_ipv4_header(const struct ipv4_header* ip) {
  __u32 word[5];
  __builtin_memcpy(word, ip, sizeof(word));
  return (__u64)word[0] + word[1] + word[2] + word[3] + word[4];
}

// ---- Pseudo-headers: what a partial checksum field holds (folded, not complemented) ----

FL_INLINE __u64 checksum_pseudo4(be32 source, be32 destination, __u8 protocol, __u32 l4_length) {
  return (__u64)source.raw + destination.raw + to_be16(protocol).raw + to_be32(l4_length).raw;
}

FL_INLINE __u64 checksum_address(const struct ip_address* address) {
  return (__u64)address->word[0].raw + address->word[1].raw + address->word[2].raw + address->word[3].raw;
}

FL_INLINE __u64 checksum_pseudo6(const struct ip_address* source, const struct ip_address* destination,
                                 __u8 protocol, __u32 l4_length) {
  return checksum_address(source) + checksum_address(destination) + to_be16(protocol).raw +
         to_be32(l4_length).raw;
}

// ---- Updates, RFC 1624 equation 3: HC' = ~(~HC + ~m + m') ----
//
// A delta is the (~m + m') of everything that changes. It can be computed once per flow, folded and kept.

FL_INLINE __u64 checksum_delta16(be16 from, be16 to) {
  return (__u64)(__u16)~from.raw + to.raw;
}

FL_INLINE __u64 checksum_delta32(be32 from, be32 to) {
  return (__u64)(__u32)~from.raw + to.raw;
}

FL_INLINE __u64 checksum_delta128(const struct ip_address* from, const struct ip_address* to) {
  return checksum_delta32(from->word[0], to->word[0]) + checksum_delta32(from->word[1], to->word[1]) +
         checksum_delta32(from->word[2], to->word[2]) + checksum_delta32(from->word[3], to->word[3]);
}

// A complete checksum after the change.
FL_INLINE be16 checksum_apply(be16 field, __u64 delta) {
  return checksum_finish((__u64)(__u16)~field.raw + delta);
}

// A partial checksum (the pseudo-header's sum) after a change of the pseudo-header.
FL_INLINE be16 checksum_apply_partial(be16 field, __u64 delta) {
  be16 updated = {checksum_fold((__u64)field.raw + delta)};
  return updated;
}

FL_INLINE be16 checksum_update16(be16 field, be16 from, be16 to) {
  return checksum_apply(field, checksum_delta16(from, to));
}

FL_INLINE be16 checksum_update32(be16 field, be32 from, be32 to) {
  return checksum_apply(field, checksum_delta32(from, to));
}

FL_INLINE be16 checksum_update128(be16 field, const struct ip_address* from, const struct ip_address* to) {
  return checksum_apply(field, checksum_delta128(from, to));
}

FL_END
