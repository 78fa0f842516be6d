#pragma once

#include "dataplane/packet/flow_key.h"
#include "dataplane/packet/types.h"

// The hash of a flow key, under a secret.
//
// First NH (Black, Halevi, Krawczyk, Krovetz, Rogaway: UMAC, CRYPTO '99): sum of (m + k)(m' + k') over pairs
// of 32-bit words. For two different keys chosen without knowing the secret it collides with probability at
// most 2^-32, which a CRC under a seed cannot say: there a collision for one seed is one for all. Then a
// keyed bijection spreads the 64 bits. All of it is 64-bit arithmetic, so BPF computes the same, and pairs of
// 32-bit words, so that a vector unit takes two at once (core/wide.hpp). Not
// symmetric: the key is normalised already.

FL_BEGIN

struct flow_secret {
  __u32 key[10];  // NH's, one word per word of the longest flow key
  __u64 finish;
} __attribute__((aligned(16)));  // as vector loads like it
FL_SIZE(flow_secret, 48);

// splitmix64 (Steele, Lea, Flood 2014): spreads one seed over many words.
FL_INLINE __u64 flow_secret_next(__u64* state) {
  __u64 z = (*state += 0x9e3779b97f4a7c15ull);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

// `seed` comes from the system's random numbers, once per boot; tests give a constant.
FL_FUNCTION void flow_secret_init(struct flow_secret* secret, __u64 seed) {
  for (int i = 0; i < 10; i += 2) {
    __u64 two = flow_secret_next(&seed);
    secret->key[i] = (__u32)two;
    secret->key[i + 1] = (__u32)(two >> 32);
  }
  secret->finish = flow_secret_next(&seed);
}

FL_INLINE __u64 flow_hash_pair(const struct flow_secret* secret, int at, __u32 a, __u32 b) {
  return (__u64)(__u32)(a + secret->key[at]) * (__u32)(b + secret->key[at + 1]);
}

// A bijection of 64 bits on what the secret was added to: half of murmur3's finaliser. NH's sums are spread
// well already but for keys in a row, which one multiplication takes apart (FlowHash.StructuredKeysSpread).
FL_INLINE __u64 flow_hash_finish(const struct flow_secret* secret, __u64 sum) {
  sum ^= secret->finish;
  sum = (sum ^ (sum >> 32)) * 0xff51afd7ed558ccdull;
  return sum ^ (sum >> 32);
}

FL_INLINE __u64 flow_hash4(const struct flow_secret* secret, const struct flow_key4* key) {
  __u32 word[4];
  __builtin_memcpy(word, key, sizeof(word));
  return flow_hash_finish(
      secret, flow_hash_pair(secret, 0, word[0], word[1]) + flow_hash_pair(secret, 2, word[2], word[3]));
}

FL_INLINE __u64 flow_hash6(const struct flow_secret* secret, const struct flow_key6* key) {
  __u32 word[10];
  __builtin_memcpy(word, key, sizeof(word));
  __u64 sum = 0;
  for (int i = 0; i < 10; i += 2) sum += flow_hash_pair(secret, i, word[i], word[i + 1]);
  return flow_hash_finish(secret, sum);
}

FL_END
