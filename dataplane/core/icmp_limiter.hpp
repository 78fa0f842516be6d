#pragma once

#include <array>
#include <cstdint>

namespace fairlead::core {

// How many ICMP errors a source may cause: a token bucket per source, in a table of fixed size, one per
// worker.
//
// RFC 1812 section 4.3.2.8 and RFC 4443 section 2.4 (f) ask for a limit. A *global* or exactly predictable
// one is a side channel (CVE-2020-25705: an attacker counts how much of it others used), so buckets are
// chosen by a keyed hash of the source, and every refill is randomised by up to a quarter. Sources that share
// a bucket share its tokens: a bounded table must err towards silence.
class IcmpLimiter {
 public:
  IcmpLimiter(uint64_t seed, uint32_t errors_per_second) : random_(seed | 1), rate_(errors_per_second) {}

  // `source` is a keyed hash of the address. True: answer, one token is gone.
  [[nodiscard]] bool admit(uint64_t source, uint64_t now_ns) {
    Bucket& bucket = buckets_[source % kBuckets];
    const uint64_t full = uint64_t{rate_} * kToken;
    if (bucket.filled_ns == 0) {
      bucket = {now_ns, full};
    } else if (now_ns > bucket.filled_ns) {
      const uint64_t elapsed_ns = now_ns - bucket.filled_ns < kSecond ? now_ns - bucket.filled_ns : kSecond;
      const uint64_t earned = elapsed_ns * rate_ / (kSecond / kToken);
      if (earned != 0) {  // less than the smallest part of a token: let the time add up
        bucket.tokens += earned - earned * (random() & 63) / 256;
        if (bucket.tokens > full) bucket.tokens = full;
        bucket.filled_ns = now_ns;
      }
    }
    if (bucket.tokens < kToken) return false;
    bucket.tokens -= kToken;
    return true;
  }

 private:
  static constexpr uint32_t kBuckets = 1024;
  static constexpr uint64_t kToken = 1000;  // tokens are counted in thousandths
  static constexpr uint64_t kSecond = 1'000'000'000;

  struct Bucket {
    uint64_t filled_ns = 0;
    uint64_t tokens = 0;
  };

  uint64_t random() {  // xorshift64*: unpredictable enough for jitter, seeded from the secret
    random_ ^= random_ >> 12;
    random_ ^= random_ << 25;
    random_ ^= random_ >> 27;
    return random_ * 0x2545f4914f6cdd1dull >> 32;
  }

  std::array<Bucket, kBuckets> buckets_{};
  uint64_t random_;
  uint32_t rate_;
};

}  // namespace fairlead::core
