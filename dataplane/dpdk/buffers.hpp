#pragma once

#include "dataplane/base/result.hpp"
#include "dataplane/core/packet.hpp"

#include <rte_mbuf.h>

#include <cstdint>
#include <string>

namespace fairlead::dpdk {

// Buffer lengths are 16-bit in DPDK: this is the largest single piece, and it bounds the super-packets of the
// trunk (kTrunkGsoMaxSize leaves room for headers).
inline constexpr uint16_t kBigBufferBytes = UINT16_MAX;
inline constexpr uint16_t kBigFrameMax = kBigBufferBytes - RTE_PKTMBUF_HEADROOM;
inline constexpr uint16_t kSmallFrameRoom = RTE_MBUF_DEFAULT_DATAROOM;

// Where a pool's buffers lie.
enum class PoolLayout : uint8_t {
  // One behind the other. DPDK's default keeps each inside a page. Without huge pages that costs two fifths
  // of the memory, and all buffers begin at the same place of a page, so that they share a few sets of the
  // caches (taking, filling, reading and giving back a small frame: 70 cycles instead of 35 to 55).
  kPacked,
  // Each fills one page (or as many as it needs) to the byte. AF_XDP needs both: no frame over a page's end,
  // where a NIC's memory may not go on, and no gaps, because net_af_xdp 22.11 shares the pool's size times
  // the size of a buffer with the kernel, from the first one on: a buffer behind that is unknown to the
  // kernel and lost with its frame at first use.
  kPages,
};

// A pool of buffers with at least `frame_room` bytes behind the usual headroom. One that exists under that
// name from an earlier engine of the process is used again. FL2002 when there is no memory for it.
[[nodiscard]] Result<rte_mempool*> create_pool(const std::string& name, unsigned count, uint16_t frame_room,
                                               PoolLayout layout = PoolLayout::kPacked);

// core::Packet is a view of one contiguous mbuf, which `Packet::buffer` names. These two keep both sides
// true.
inline rte_mbuf* mbuf_of(const core::Packet& packet) {
  return static_cast<rte_mbuf*>(packet.buffer);
}

inline void view_mbuf(core::Packet& packet, rte_mbuf* mbuf) {
  packet.buffer = mbuf;
  packet.data = rte_pktmbuf_mtod(mbuf, uint8_t*);
  packet.length = mbuf->data_len;
  packet.headroom = mbuf->data_off;
  packet.tailroom = static_cast<uint16_t>(mbuf->buf_len - mbuf->data_off - mbuf->data_len);
}

// Moves the mbuf's data to where the packet's now begins (pushes and pulls change only the packet).
inline rte_mbuf* sync_mbuf(const core::Packet& packet) {
  rte_mbuf* mbuf = mbuf_of(packet);
  mbuf->data_off = static_cast<uint16_t>(packet.data - static_cast<uint8_t*>(mbuf->buf_addr));
  mbuf->data_len = static_cast<uint16_t>(packet.length);
  mbuf->pkt_len = packet.length;
  return mbuf;
}

inline void free_packet(core::Packet& packet) {
  rte_pktmbuf_free(mbuf_of(packet));
  packet.buffer = nullptr;
}

// A copy of the packet's frame in a fresh buffer of `pool`, with its own headroom; nullptr when the pool is
// empty or the frame does not fit.
[[nodiscard]] rte_mbuf* copy_to_pool(const core::Packet& packet, rte_mempool* pool);

}  // namespace fairlead::dpdk
