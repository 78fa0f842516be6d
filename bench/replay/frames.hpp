#pragma once

#include "bench/replay/profile.hpp"
#include "dataplane/base/mapped_region.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <vector>

namespace fairlead::replay {

// What tells one flow's frames from another's, as it stands on the wire: all that is patched into a frame.
struct FlowRecord {
  be32 source;  // the last four bytes of the address
  be32 destination;
  be16 source_port;
  be16 entropy;      // the outer UDP source port
  be16 ip_checksum;  // of the (inner) IPv4 header
  be16 l4_checksum;
};
static_assert(sizeof(FlowRecord) == 16, "one vector register");

// The first bytes of every frame of a form and size. Block b of 16 bytes is header[b] | shuffle(record,
// select[b]): a byte of `select` is the place in the record, or 0x80 for none.
struct FrameShape {
  static constexpr unsigned kBlocksMax = 7;
  alignas(16) std::array<uint8_t, kBlocksMax * 16> header{};
  alignas(16) std::array<uint8_t, kBlocksMax * 16> select{};
  unsigned blocks = 0;
  uint32_t length = 0;  // bytes in memory; behind the headers they are zero
};

// The sizes of IMIX in the order they are handed out; place p of a flow list has size p % 12.
inline constexpr std::array<uint16_t, 12> kImix = {64, 594, 64, 64, 594, 64, 1518, 594, 64, 64, 594, 64};

// Header bytes put in front by a tunnel over IPv4.
inline constexpr uint32_t kTunnelBytes = 50;

using Mac = std::array<uint8_t, 6>;

// The shape of frames of `size` (on the wire, without tunnel headers) to `destination`'s MAC.
[[nodiscard]] FrameShape make_shape(const Profile& profile, uint32_t size, const Mac& destination);

// The frame of one flow, whole.
[[nodiscard]] std::vector<uint8_t> make_frame(const FrameShape& shape, const FlowRecord& record);

// All flows of a device in random order; queue q of Q hands out the records [q * flows / Q, (q + 1) * flows /
// Q) round and round. Every flow is there once; sources and destinations are used evenly.
class FlowList {
 public:
  explicit FlowList(const Profile& profile);
  [[nodiscard]] std::span<const FlowRecord> records() const { return records_; }
  [[nodiscard]] std::span<const FlowRecord> of_queue(unsigned queue, unsigned queues) const;

 private:
  MappedRegion memory_;
  std::span<FlowRecord> records_;
};

}  // namespace fairlead::replay
