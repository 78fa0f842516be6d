#pragma once

#include "dataplane/packet/types.h"

// A cursor over the bytes [data, end) that only moves after a bounds check. Every byte the parser reads was
// handed out by cursor_take().

FL_BEGIN

struct cursor {
  const __u8* data;
  const __u8* end;
  __u32 length;  // end - data
  __u32 offset;  // where the cursor stands, from data; never beyond length
};

FL_INLINE struct cursor cursor_open(const void* data, const void* end) {
  struct cursor c = {(const __u8*)data, (const __u8*)end, (__u32)((const __u8*)end - (const __u8*)data), 0};
  return c;
}

// Hands out the next `bytes` bytes and moves behind them; null when there are not so many, and then does not
// move. `bytes` is a compile-time constant (the verifier remembers the bound with the pointer it was checked
// on).
FL_INLINE const void* cursor_take(struct cursor* c, __u32 bytes) {
#ifdef __bpf__
  // The form of the check the verifier understands. It also wants to see that the offset is small: no header
  // of a frame we accept begins beyond 16,703 (eight extension headers of 2,048 bytes, a tunnel with 252 of
  // options).
  __u32 offset = c->offset;
  __asm__("" : "+r"(offset));  // the register that is compared is the one that is added
  if (offset > 0x7fff) return 0;
  const __u8* at = c->data + offset;
  if (at + bytes > c->end) return 0;
#else
  const __u8* at = c->data + c->offset;
  if (FL_UNLIKELY(bytes > c->length - c->offset)) return 0;
#endif
  c->offset += bytes;
  return at;
}

// Moves over `bytes` bytes nobody reads; 0, or -1 when there are not so many.
FL_INLINE int cursor_skip(struct cursor* c, __u32 bytes) {
  if (bytes > c->length - c->offset) return -1;
  c->offset += bytes;
  return 0;
}

#define FL_TAKE(cursor, type) ((const struct type*)cursor_take((cursor), sizeof(struct type)))

FL_END
