#pragma once

#include "dataplane/core/packet.hpp"
#include "dataplane/core/snapshot.hpp"
#include "dataplane/core/walk.hpp"

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>

namespace fairlead::core {

// What a flow hit needs of a template, ready to compare, store and add: all of it in one line, but for the
// header of a tunnel.
struct alignas(64) PlainWay {
  // Counts of a burst, 16 bits each, so that one addition counts a packet.
  enum : unsigned { kHits = 0, kPunted = 16, kEncapsulated = 32, kDecapsulated = 48 };

  uint64_t key = 0;                        // template id, generation, PlainWays' serial; 0: empty
  uint64_t outcome = 0;                    // Packet::tx_port .. tx_mtu as they stand in a Packet
  uint64_t counts = 0;                     // what a packet adds
  const encap_template* header = nullptr;  // in the snapshot
  uint8_t macs[12] = {};                   // of a plain header
  uint32_t l3_limit = 0;                   // largest L3 packet; 0: nothing goes this way without the steps
  uint8_t ttl_least = 0;
  uint8_t ttl_step = 0;  // 0: to the host's stack
  uint8_t header_length = 0;
  uint8_t overhead = 0;
};
static_assert(sizeof(PlainWay) == 64);

// A worker's shortcut from a flow entry's word (template id and generation) to the template: one compare
// where the snapshot's array takes three dependent loads. Template ids are dense, so that few share a place.
class PlainWays {
 public:
  // Forgets everything when `snapshot` is another one than before.
  void follow(const Snapshot& snapshot) {
    if (snapshot.serial == followed_) return;
    followed_ = snapshot.serial;
    if (++serial_ > 0xffff) {
      ways_.fill({});
      serial_ = 1;
    }
  }

  // For one burst: nothing is loaded twice.
  struct View {
    PlainWay* ways;
    uint64_t serial;
    const Snapshot* snapshot;

    // The way that `word` (FlowBody::way) names; false: that is not the template's generation any more.
    [[nodiscard]] FL_INLINE bool find(uint64_t word, const PlainWay** found) const {
      PlainWay& way = ways[word & (kWays - 1)];
      const uint64_t key = word << 16 | serial;
      *found = &way;
      return way.key == key || fill(way, key, *snapshot);
    }
  };
  [[nodiscard]] View view(const Snapshot& snapshot) { return {ways_.data(), serial_, &snapshot}; }

 private:
  static constexpr uint32_t kWays = 1024;

  [[nodiscard, gnu::noinline, gnu::cold]] static bool fill(PlainWay& way, uint64_t key,
                                                           const Snapshot& snapshot) {
    const Template& out = snapshot.template_of(static_cast<uint32_t>(key >> 16));
    if (out.generation != static_cast<uint16_t>(key >> 48) || out.kind == TemplateKind::kGone) return false;
    way.key = key;
    way.header = &out.encap;
    way.header_length = out.encap.length;
    way.overhead = out.encap.overhead;
    const bool punts = out.kind == TemplateKind::kPunt;
    Packet told;
    told.tx_port = out.tx_port;
    told.fate = punts ? Fate::kPunt : Fate::kForward;
    told.encap_length = out.encap.overhead;
    told.tx_mtu = out.tx_mtu;
    std::memcpy(&way.outcome, &told.tx_port, sizeof(way.outcome));
    way.ttl_least = punts ? 0 : 2;
    way.ttl_step = punts ? 0 : 1;
    way.l3_limit = punts ? UINT32_MAX : usable(out) ? out.l3_mtu : 0;
    if (out.encap.udp_checksum != 0) way.l3_limit = 0;
    way.counts = uint64_t{1} << PlainWay::kHits | uint64_t{punts} << PlainWay::kPunted |
                 uint64_t{out.encap.overhead != 0} << PlainWay::kEncapsulated;
    std::memcpy(way.macs, out.encap.header, sizeof(way.macs));
    return true;
  }

  uint64_t followed_ = 0;
  uint64_t serial_ = 0;
  std::array<PlainWay, kWays> ways_{};
};

}  // namespace fairlead::core
