#include "dataplane/dpdk/buffers.hpp"

#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mbuf_pool_ops.h>

#include <algorithm>
#include <cstring>

namespace fairlead::dpdk {

Result<rte_mempool*> create_pool(const std::string& name, unsigned count, uint16_t frame_room) {
  const unsigned room = std::min<unsigned>(UINT16_MAX, unsigned{frame_room} + RTE_PKTMBUF_HEADROOM);
  // A cache larger than a fraction of the pool would strand buffers with threads that do not need them.
  const unsigned cache = std::min<unsigned>(RTE_MEMPOOL_CACHE_MAX_SIZE / 2, count / 16);
  std::string unique = name;
  for (unsigned turn = 1;; ++turn) {
    rte_mempool* former = rte_mempool_lookup(unique.c_str());
    if (former == nullptr) break;
    // Drivers forget what the kernel held when they close (net_af_xdp); a pool with buffers missing is no
    // use.
    if (former->size == count && rte_pktmbuf_data_room_size(former) == room &&
        rte_mempool_full(former) == 1) {
      return former;
    }
    unique = name + "." + std::to_string(turn);
  }
  rte_mempool* pool =
      rte_pktmbuf_pool_create(unique.c_str(), count, cache, 0, static_cast<uint16_t>(room), SOCKET_ID_ANY);
  if (pool == nullptr) {
    return Error{"FL2002",
                 "no memory for " + std::to_string(count) + " packet buffers of " + std::to_string(room) +
                     " bytes (" + name + "): " + rte_strerror(rte_errno),
                 "give the dataplane more memory (--memory) or fewer ports and queues"};
  }
  return pool;
}

rte_mbuf* copy_to_pool(const core::Packet& packet, rte_mempool* pool) {
  rte_mbuf* mbuf = rte_pktmbuf_alloc(pool);
  if (mbuf == nullptr) return nullptr;
  if (packet.length > rte_pktmbuf_tailroom(mbuf)) {
    rte_pktmbuf_free(mbuf);
    return nullptr;
  }
  std::memcpy(rte_pktmbuf_mtod(mbuf, void*), packet.data, packet.length);
  mbuf->data_len = static_cast<uint16_t>(packet.length);
  mbuf->pkt_len = packet.length;
  return mbuf;
}

}  // namespace fairlead::dpdk
