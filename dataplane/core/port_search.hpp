#pragma once

#include <array>
#include <cstdint>
#include <numeric>

namespace fairlead::core {

// In which order source ports are tried for a connection whose source is translated.
//
// Which ports are taken only the flow table knows: a port is free towards a destination exactly when the
// reply's tuple is in nobody's use, and it is taken by inserting that tuple. So there is no allocator whose
// state could disagree with the flows, and no port is lost or held back by anything but an entry: that of a
// closed connection keeps its port for the guard time.
//
// A sweep visits every port of the range once, in an order of the connection's own: the hash gives where it
// begins and its stride, which has no divisor in common with the range. When a whole sweep has found nothing,
// further connections to that destination try kShortTries ports only for a while: the work a sender can cause
// stays bounded, and every port that becomes free is found by somebody.
//
// Threads: one worker's.
class PortSearch {
 public:
  static constexpr uint32_t kShortTries = 64;
  static constexpr uint64_t kShortFor_ns = 100'000'000;

  struct Sweep {
    uint32_t first = 0;  // of the range
    uint32_t size = 0;
    uint32_t at = 0;  // offset of the next one
    uint32_t stride = 1;
    uint32_t left = 0;
    uint16_t preferred = 0;  // tried first; 0: none
    bool is_short = false;

    // False: there is none left to try.
    [[nodiscard]] bool next(uint16_t* port) {
      if (preferred != 0) {
        *port = preferred;
        preferred = 0;
        return true;
      }
      if (left == 0) return false;
      --left;
      *port = static_cast<uint16_t>(first + at);
      at += stride;
      if (at >= size) at -= size;
      return true;
    }
  };

  // For the connection with this hash, to a destination known by `pool`, a hash too. `wanted`: the source
  // port it came with, kept where it lies in the range.
  [[nodiscard]] Sweep sweep(uint16_t first, uint16_t last, uint16_t wanted, uint64_t hash, uint64_t pool,
                            uint64_t now_ns) const {
    Sweep sweep;
    if (last < first || first == 0) return sweep;
    sweep.first = first;
    sweep.size = uint32_t{last} - first + 1;
    sweep.at = static_cast<uint32_t>((hash >> 32) * sweep.size >> 32);
    if (sweep.size > 2) {
      sweep.stride = 1 + static_cast<uint32_t>((hash & 0xffffffff) * (sweep.size - 1) >> 32);
      while (std::gcd(sweep.stride, sweep.size) != 1) sweep.stride = sweep.stride % (sweep.size - 1) + 1;
    }
    if (wanted >= first && wanted <= last) sweep.preferred = wanted;
    const Exhausted& known = exhausted_[pool % exhausted_.size()];
    sweep.is_short = known.pool == pool && now_ns < known.until_ns;
    sweep.left = sweep.is_short && sweep.size > kShortTries ? kShortTries : sweep.size;
    return sweep;
  }

  // That sweep found nothing.
  void found_none(const Sweep& sweep, uint64_t pool, uint64_t now_ns) {
    if (!sweep.is_short) exhausted_[pool % exhausted_.size()] = {pool, now_ns + kShortFor_ns};
  }

 private:
  struct Exhausted {
    uint64_t pool = 0;
    uint64_t until_ns = 0;
  };
  std::array<Exhausted, 64> exhausted_{};
};

}  // namespace fairlead::core
