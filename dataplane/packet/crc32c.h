#pragma once

#include "dataplane/packet/sctp.h"
#include "dataplane/packet/types.h"

#if defined(__SSE4_2__)
#include <nmmintrin.h>
#endif

// CRC32c (RFC 9260 appendix A) and what a change of ports does to SCTP's checksum. Not for BPF: loops of
// variable length.

FL_BEGIN

// One byte, bit by bit: the reflected polynomial 0x1edc6f41.
FL_CONSTEXPR __u32 crc32c_byte(__u32 crc, __u8 byte) {
  crc ^= byte;
  for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ (0x82f63b78u & (0 - (crc & 1)));
  return crc;
}

// Running states of two packets that differ in their first bytes only: both are carried over the same rest at
// once, which costs what one does, as the instruction's latency is three times its throughput.
struct crc32c_pair {
  __u32 before;
  __u32 after;
};

FL_FUNCTION void crc32c_portable(struct crc32c_pair* state, const void* data, __u32 length) {
  const __u8* at = (const __u8*)data;
  for (__u32 i = 0; i < length; ++i) {
    state->before = crc32c_byte(state->before, at[i]);
    state->after = crc32c_byte(state->after, at[i]);
  }
}

FL_FUNCTION void crc32c_add(struct crc32c_pair* state, const void* data, __u32 length) {
#if defined(__SSE4_2__)
  const __u8* at = (const __u8*)data;
  __u64 before = state->before, after = state->after, word;
  for (; length >= 8; length -= 8, at += 8) {
    __builtin_memcpy(&word, at, sizeof(word));
    before = _mm_crc32_u64(before, word);
    after = _mm_crc32_u64(after, word);
  }
  state->before = (__u32)before;
  state->after = (__u32)after;
  for (; length > 0; --length, ++at) {
    state->before = _mm_crc32_u8(state->before, *at);
    state->after = _mm_crc32_u8(state->after, *at);
  }
#else
  crc32c_portable(state, data, length);
#endif
}

// Changes the ports of the whole SCTP packet of `length` bytes at `l4`, at least its common header. A right
// checksum is right afterwards; a wrong one is as wrong as it was, so that its receiver still drops the
// packet.
FL_FUNCTION void rewrite_sctp(void* l4, __u32 length, be16 source_port, be16 destination_port) {
  struct sctp_header* sctp = (struct sctp_header*)l4;
  if (sctp->source_port.raw == source_port.raw && sctp->destination_port.raw == destination_port.raw) return;
  struct sctp_header before = *sctp, after = *sctp;
  after.source_port = source_port;
  after.destination_port = destination_port;
  before.checksum.raw = after.checksum.raw = 0;
  struct crc32c_pair state = {0xffffffffu, 0xffffffffu}, second = state;
  crc32c_add(&state, &before, sizeof(before));
  crc32c_add(&second, &after, sizeof(after));
  state.after = second.after;
  crc32c_add(&state, (const __u8*)l4 + sizeof(before), length - (__u32)sizeof(before));
  // The complement cancels out; the least significant byte goes first on the wire.
  __u32 change = state.before ^ state.after;
  __u8 bytes[4] = {(__u8)change, (__u8)(change >> 8), (__u8)(change >> 16), (__u8)(change >> 24)};
  __u32 raw;
  __builtin_memcpy(&raw, bytes, sizeof(raw));
  after.checksum.raw = sctp->checksum.raw ^ raw;
  *sctp = after;
}

FL_END
