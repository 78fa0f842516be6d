#include "dataplane/core/segment.hpp"

#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <vector>

// Input: eight bytes of Offload and MTU, then a frame. segment() and fragment_ipv4() write no byte beyond
// what they asked for, make as many frames as they said, and read nothing beyond the packet;
// finish_checksum() stays in the frame.

using namespace fairlead::core;

namespace {

void require(bool condition) {
  if (!condition) std::abort();
}

struct Sink {
  std::vector<uint8_t> storage;
  uint32_t frames = 0;

  FrameSink sink() {
    return {this,
            [](void* context, uint32_t length) -> FrameBuffer {
              auto& bytes = static_cast<Sink*>(context)->storage;
              bytes = std::vector<uint8_t>(length);  // exact: the sanitizer sees a byte too many
              return {bytes.data(), length, nullptr};
            },
            [](void* context, const FrameBuffer& buffer, uint32_t length) {
              require(length <= buffer.capacity && length >= 14);
              ++static_cast<Sink*>(context)->frames;
            }};
  }
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 8) return 0;
  std::vector<uint8_t> frame(data + 8, data + size);
  Packet packet;
  packet.data = frame.data();
  packet.length = static_cast<uint32_t>(frame.size());
  packet.encap_length = (data[0] & 3) == 1 ? 50 : (data[0] & 3) == 2 ? 70 : 0;
  packet.offload.segment_kind = data[0] >> 2 & 3;
  packet.offload.checksum_partial = data[0] >> 4 & 1;
  packet.offload.segment_size = static_cast<uint16_t>(data[1] | data[2] << 8);
  packet.offload.checksum_start = data[3];
  packet.offload.checksum_offset = data[4];
  const uint32_t mtu = static_cast<uint32_t>(data[5] | data[6] << 8);

  const std::vector<uint8_t> before = frame;
  Sink segments;
  const uint32_t expected = segment_count(packet);
  const FrameResult result = segment(packet, segments.sink());
  require(segments.frames == expected && result.frames == expected && expected <= kFramesMax);
  require((result.reason == DropReason::NONE) == (expected > 0));

  Sink fragments;
  const FrameResult cut = fragment_ipv4(packet, mtu, fragments.sink());
  require(cut.frames == fragments.frames && cut.frames <= kFramesMax);
  require((cut.reason == DropReason::NONE) == (cut.frames > 0));
  require(frame == before);

  const bool finished = finish_checksum(packet);
  require(finished != packet.offload.checksum_partial);
  return 0;
}
