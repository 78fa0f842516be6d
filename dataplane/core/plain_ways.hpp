#pragma once

#include "dataplane/core/packet.hpp"
#include "dataplane/core/snapshot.hpp"
#include "dataplane/core/walk.hpp"

#include <array>
#include <cstdint>
#include <cstring>

namespace fairlead::core {

// What a flow hit needs of a template, ready to compare, store and add: all of it in one line, but for the
// header of a tunnel.
struct alignas(64) PlainWay {
  // Counts of a burst, 16 bits each, so that one addition counts a packet.
  enum : unsigned { kHits = 0, kPunted = 16, kEncapsulated = 32 };

  // Not 0: that is an entry's word whose way is not clear.
  static constexpr uint64_t kEmpty = ~uint64_t{0};
  // As FlowBody::way of a flow that goes this way and was seen in this second.
  uint64_t key = kEmpty;
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

// A worker's shortcut from a flow entry's word (template id, generation, second last seen) to the template:
// one compare, where the snapshot's array takes three dependent loads, also says that the entry's time-stamp
// is right. Template ids are dense, so that few share a place.
class PlainWays {
 public:
  // Forgets everything; whenever the snapshot is another one.
  void clear() {
    for (size_t i = 0; i < used_count_; ++i) ways_[used_[i]].key = PlainWay::kEmpty;
    used_count_ = 0;
  }
  // Forgets everything of an earlier second: the stamp of a way is this second's, or an entry's old one would
  // pass.
  void follow(uint32_t now_seconds) {
    if (now_seconds == second_) return;
    second_ = now_seconds;
    clear();
  }

  // For one burst: nothing is loaded twice.
  class View {
   public:
    View(PlainWays& ways, const Snapshot& snapshot, uint32_t now_seconds)
        : ways_(ways.ways_.data()), all_(ways), snapshot_(snapshot), stamp_(uint64_t{now_seconds} << 48) {}

    // What stands at the place of `word` (FlowBody::way): perhaps another way.
    [[nodiscard]] FL_INLINE const PlainWay& at(uint64_t word) const { return ways_[word & (kWays - 1)]; }
    // Of `way`, from its place: is it what `word` says, whenever that was seen?
    [[nodiscard]] static FL_INLINE bool is_same(const PlainWay& way, uint64_t word) {
      return (way.key ^ word) << 16 == 0;
    }
    // Makes the way of `word` be at its place, and of this second; false: that is not the template's
    // generation any more.
    [[nodiscard]] bool bring(uint64_t word) const {
      PlainWay& way = ways_[word & (kWays - 1)];
      const uint64_t key = (word & kWithoutStamp) | stamp_;
      if (way.key == key) return true;
      if (!is_same(way, word) && !all_.fill(way, word, snapshot_)) return false;
      way.key = key;
      return true;
    }

   private:
    PlainWay* const ways_;
    PlainWays& all_;
    const Snapshot& snapshot_;
    const uint64_t stamp_;
  };

 private:
  static constexpr uint32_t kWays = 1024;
  static constexpr uint64_t kWithoutStamp = (uint64_t{1} << 48) - 1;

  [[nodiscard]] bool fill(PlainWay& way, uint64_t word, const Snapshot& snapshot) {
    const Template& out = snapshot.template_of(static_cast<uint32_t>(word));
    if (out.generation != static_cast<uint16_t>(word >> 32) || out.kind == TemplateKind::kGone) return false;
    if (way.key == PlainWay::kEmpty) used_[used_count_++] = static_cast<uint16_t>(&way - ways_.data());
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

  std::array<PlainWay, kWays> ways_{};
  std::array<uint16_t, kWays> used_;
  size_t used_count_ = 0;
  uint32_t second_ = 0;
};

}  // namespace fairlead::core
