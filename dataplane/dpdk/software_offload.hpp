#pragma once

#include "dataplane/core/segment.hpp"
#include "dataplane/dpdk/buffers.hpp"

#include <rte_mbuf.h>

namespace fairlead::dpdk {

// What a device cannot do, done in buffers of one pool. One per worker and port; no state but the pool.
class SoftwareOffload {
 public:
  explicit SoftwareOffload(rte_mempool* pool) : pool_(pool) {}

  // Larger than the egress MTU and not a super-packet: forward() has already seen that it may be fragmented.
  [[nodiscard]] static bool must_fragment(const core::Packet& packet) {
    return packet.offload.segment_size == 0 && packet.tx_mtu != 0 &&
           packet.length > kEthernetBytes + packet.tx_mtu;
  }
  [[nodiscard]] static bool must_cut(const core::Packet& packet) {
    return packet.offload.segment_size != 0 || must_fragment(packet);
  }

  // Hands the packet's frames, complete in every checksum, to emit(rte_mbuf*), which owns each and returns
  // false when it wants no more. The packet keeps its buffer. Errors: what core::segment() and
  // core::fragment_ipv4() say.
  template <typename Emit>
  core::DropReason cut(core::Packet& packet, Emit&& emit) const {
    struct Context {
      rte_mempool* pool;
      Emit& emit;
      bool goes_on = true;
    } context{pool_, emit};
    core::FrameSink sink;
    sink.context = &context;
    sink.allocate = [](void* opaque, uint32_t length) -> core::FrameBuffer {
      auto& self = *static_cast<Context*>(opaque);
      rte_mbuf* mbuf = self.goes_on ? rte_pktmbuf_alloc(self.pool) : nullptr;
      if (mbuf == nullptr) return {};
      const uint16_t room = rte_pktmbuf_tailroom(mbuf);
      if (room < length) {
        rte_pktmbuf_free(mbuf);
        return {};
      }
      return {rte_pktmbuf_mtod(mbuf, uint8_t*), room, mbuf};
    };
    sink.emit = [](void* opaque, const core::FrameBuffer& buffer, uint32_t length) {
      auto& self = *static_cast<Context*>(opaque);
      auto* mbuf = static_cast<rte_mbuf*>(buffer.handle);
      mbuf->data_len = static_cast<uint16_t>(length);
      mbuf->pkt_len = length;
      self.goes_on = self.emit(mbuf) && self.goes_on;
    };
    if (packet.offload.segment_size != 0) return core::segment(packet, sink).reason;
    if (!core::finish_checksum(packet)) return core::DropReason::MALFORMED_L4;
    return core::fragment_ipv4(packet, packet.tx_mtu, sink).reason;
  }

 private:
  static constexpr uint32_t kEthernetBytes = 14;
  rte_mempool* pool_;
};

}  // namespace fairlead::dpdk
