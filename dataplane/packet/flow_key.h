#pragma once

#include "dataplane/packet/parsed.h"
#include "dataplane/packet/types.h"

// What names a connection, the same for both of its directions.

FL_BEGIN

// Both sides of a connection, the smaller (address, port) first. "Smaller" compares the raw words: any total
// order will do, as long as everybody on this machine uses the same.
struct flow_key4 {
  be32 low_address;
  be32 high_address;
  be16 low_port;
  be16 high_port;
  __u8 protocol;
  __u8 pad[3];  // zero
};
FL_SIZE(flow_key4, 16);
FL_OFFSET(flow_key4, low_port, 8);
FL_OFFSET(flow_key4, protocol, 12);

struct flow_key6 {
  struct ip_address low_address;
  struct ip_address high_address;
  be16 low_port;
  be16 high_port;
  __u8 protocol;
  __u8 pad[3];  // zero
};
FL_SIZE(flow_key6, 40);
FL_OFFSET(flow_key6, low_port, 32);
FL_OFFSET(flow_key6, protocol, 36);

// The direction of a packet with respect to its key. Which one is "original" is the flow entry's knowledge.
enum fl_flow_direction { FL_FLOW_FROM_LOW = 0, FL_FLOW_FROM_HIGH = 1 };

// Writes the key of a connection seen from one side; returns the fl_flow_direction of that side.
FL_INLINE int flow_key4_make(be32 source, be32 destination, be16 source_port, be16 destination_port,
                             __u8 protocol, struct flow_key4* key) {
  __u64 from = (__u64)source.raw << 16 | source_port.raw;
  __u64 to = (__u64)destination.raw << 16 | destination_port.raw;
  int from_high = from > to;
  __u64 low = from_high ? to : from;
  __u64 high = from_high ? from : to;
  // Whole words, because the hash reads whole words right away.
  __u32 word[4] = {(__u32)(low >> 16), (__u32)(high >> 16), FL_WORD_OF_HALVES((__u16)low, (__u16)high),
                   FL_WORD_OF_BYTE(protocol)};
  __builtin_memcpy(key, word, sizeof(word));
  return from_high;
}

FL_INLINE int flow_key6_make(const struct ip_address* source, const struct ip_address* destination,
                             be16 source_port, be16 destination_port, __u8 protocol, struct flow_key6* key) {
  __u64 from[2], to[2];
  __builtin_memcpy(from, source, sizeof(from));
  __builtin_memcpy(to, destination, sizeof(to));
  // As often one way as the other: no branches. The order is that of 128-bit numbers as a little-endian
  // machine loads them.
  int from_high = (from[1] > to[1]) |
                  ((from[1] == to[1]) &
                   ((from[0] > to[0]) | ((from[0] == to[0]) & (source_port.raw > destination_port.raw))));
  __u64 swap = 0 - (__u64)from_high;
  __u64 first = (from[0] ^ to[0]) & swap, second = (from[1] ^ to[1]) & swap;
  __u64 words[4] = {from[0] ^ first, from[1] ^ second, to[0] ^ first, to[1] ^ second};
  __builtin_memcpy(key, words, sizeof(words));
  __u32 ports = (__u32)(source_port.raw ^ destination_port.raw) & (__u32)swap;
  __u32 word[2] = {FL_WORD_OF_HALVES((__u16)(source_port.raw ^ ports), (__u16)(destination_port.raw ^ ports)),
                   FL_WORD_OF_BYTE(protocol)};
  __builtin_memcpy(&key->low_port, word, sizeof(word));
  return from_high;
}

// The key of a parsed packet of the right IP version. A packet without ports has zeros there: all fragments
// but the first, and protocols without ports, share one key per pair of addresses.
FL_INLINE int flow_key4_of(const struct parsed* p, struct flow_key4* key) {
  return flow_key4_make(p->source.word[0], p->destination.word[0], p->source_port, p->destination_port,
                        p->protocol, key);
}

FL_INLINE int flow_key6_of(const struct parsed* p, struct flow_key6* key) {
  return flow_key6_make(&p->source, &p->destination, p->source_port, p->destination_port, p->protocol, key);
}

FL_END
