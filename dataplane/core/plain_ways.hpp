#pragma once

#include "dataplane/core/packet.hpp"
#include "dataplane/core/snapshot.hpp"
#include "dataplane/core/walk.hpp"

#include <array>
#include <cstdint>
#include <cstring>
#include <memory>

namespace fairlead::core {

// What a flow hit needs of a template, ready to compare and store.
struct PlainWay {
  uint64_t key = 0;                        // template id, generation, PlainWays' serial; 0: empty
  const encap_template* header = nullptr;  // in the snapshot
  uint64_t outcome = 0;                    // Packet::tx_port .. tx_mtu as they stand in a Packet
  uint32_t l3_limit = 0;                   // largest L3 packet; 0: nothing goes this way without the steps
  uint8_t ttl_least = 0;
  uint8_t ttl_step = 0;  // 0: to the host's stack
  uint8_t header_length = 0;
  uint8_t overhead = 0;
};
static_assert(sizeof(PlainWay) == 32);

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

    // The way that `word` (FlowBody::way) names, when that still is the template's generation; otherwise
    // null.
    [[nodiscard]] FL_INLINE const PlainWay* find(uint64_t word) const {
      PlainWay& way = ways[word & (kWays - 1)];
      const uint64_t key = word << 16 | serial;
      if (way.key != key) [[unlikely]]
        return fill(way, key, *snapshot);
      return &way;
    }
  };
  [[nodiscard]] View view(const Snapshot& snapshot) { return {ways_.data(), serial_, &snapshot}; }

 private:
  static constexpr uint32_t kWays = 1024;

  [[gnu::noinline]] static const PlainWay* fill(PlainWay& way, uint64_t key, const Snapshot& snapshot) {
    const Template& out = snapshot.template_of(static_cast<uint32_t>(key >> 16));
    if (out.generation != static_cast<uint16_t>(key >> 48) || out.kind == TemplateKind::kGone) return nullptr;
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
    return &way;
  }

  uint64_t followed_ = 0;
  uint64_t serial_ = 0;
  std::array<PlainWay, kWays> ways_{};
};

}  // namespace fairlead::core
