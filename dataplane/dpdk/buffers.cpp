#include "dataplane/dpdk/buffers.hpp"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_mbuf_pool_ops.h>
#include <rte_memzone.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <unistd.h>

namespace fairlead::dpdk {
namespace {

struct BufferSize {
  uint32_t element_bytes;  // mbuf, headroom, frame
  uint32_t room_bytes;     // headroom and frame
  unsigned flags;          // RTE_MEMPOOL_F_*
};

BufferSize buffer_size(uint16_t frame_room, PoolLayout layout) {
  const unsigned least = std::min<unsigned>(UINT16_MAX, unsigned{frame_room} + RTE_PKTMBUF_HEADROOM);
  const auto element = static_cast<uint32_t>(sizeof(rte_mbuf)) + least;
  if (layout == PoolLayout::kPacked) return {element, least, 0};
  const auto page = static_cast<uint32_t>(getpagesize());
  rte_mempool_objsz parts;
  const uint32_t needed = rte_mempool_calc_obj_size(element, RTE_MEMPOOL_F_NO_SPREAD, &parts);
  const uint32_t filling = (needed + page - 1) / page * page - parts.header_size - parts.trailer_size;
  return {filling, std::min<uint32_t>(UINT16_MAX, filling - sizeof(rte_mbuf)), RTE_MEMPOOL_F_NO_SPREAD};
}

// Gives the pool one piece of memory without regard to page ends, which rte_mempool_populate_default() cannot
// do. Below 0: an errno.
int populate(rte_mempool* pool) {
  // Only to a device that sees virtual addresses do pages that follow each other for us follow each other,
  // too.
  if (rte_eal_iova_mode() != RTE_IOVA_VA) return rte_mempool_populate_default(pool);
  const uint32_t element_bytes = rte_mempool_calc_obj_size(pool->elt_size, pool->flags, nullptr);
  const rte_memzone* memory = rte_memzone_reserve_aligned((std::string(pool->name) + ".mem").c_str(),
                                                          size_t{pool->size} * element_bytes, pool->socket_id,
                                                          0, static_cast<unsigned>(getpagesize()));
  if (memory == nullptr) return -rte_errno;
  const auto give_back = [](rte_mempool_memhdr*, void* zone) {
    rte_memzone_free(static_cast<const rte_memzone*>(zone));
  };
  pool->flags |= RTE_MEMPOOL_F_NO_IOVA_CONTIG;
  const int added = rte_mempool_populate_iova(pool, static_cast<char*>(memory->addr), memory->iova,
                                              memory->len, give_back, const_cast<rte_memzone*>(memory));
  if (added < 0) rte_memzone_free(memory);
  if (added != static_cast<int>(pool->size)) return added < 0 ? added : -ENOMEM;
  // The flag stands for "no addresses for devices", too, and DPDK has taken it so; but they are there.
  pool->flags &= ~(RTE_MEMPOOL_F_NO_IOVA_CONTIG | RTE_MEMPOOL_F_NON_IO);
  return added;
}

// rte_pktmbuf_pool_create() with a say in where the buffers lie. nullptr: rte_errno says why.
rte_mempool* make_pool(const std::string& name, unsigned count, unsigned cache, const BufferSize& size) {
  rte_mempool* pool = rte_mempool_create_empty(name.c_str(), count, size.element_bytes, cache,
                                               sizeof(rte_pktmbuf_pool_private), SOCKET_ID_ANY, size.flags);
  if (pool == nullptr) return nullptr;
  rte_pktmbuf_pool_private facts;
  std::memset(&facts, 0, sizeof facts);
  facts.mbuf_data_room_size = static_cast<uint16_t>(size.room_bytes);
  int error = rte_mempool_set_ops_byname(pool, rte_mbuf_best_mempool_ops(), nullptr);
  if (error == 0) {
    rte_pktmbuf_pool_init(pool, &facts);
    error = std::min(0, populate(pool));
  }
  if (error != 0) {
    rte_mempool_free(pool);
    rte_errno = -error;
    return nullptr;
  }
  rte_mempool_obj_iter(pool, rte_pktmbuf_init, nullptr);
  return pool;
}

}  // namespace

Result<rte_mempool*> create_pool(const std::string& name, unsigned count, uint16_t frame_room,
                                 PoolLayout layout) {
  const BufferSize size = buffer_size(frame_room, layout);
  // A cache larger than a fraction of the pool would strand buffers with threads that do not need them.
  const unsigned cache = std::min<unsigned>(RTE_MEMPOOL_CACHE_MAX_SIZE / 2, count / 16);
  std::string unique = name;
  for (unsigned turn = 1;; ++turn) {
    rte_mempool* former = rte_mempool_lookup(unique.c_str());
    if (former == nullptr) break;
    // Drivers forget what the kernel held when they close (net_af_xdp); a pool with buffers missing is no
    // use.
    if (former->size == count && rte_pktmbuf_data_room_size(former) == size.room_bytes &&
        (former->flags & RTE_MEMPOOL_F_NO_SPREAD) == size.flags && rte_mempool_full(former) == 1) {
      return former;
    }
    unique = name + "." + std::to_string(turn);
  }
  rte_mempool* pool = make_pool(unique, count, cache, size);
  if (pool == nullptr) {
    return Error{"FL2002",
                 "no memory for " + std::to_string(count) + " packet buffers of " +
                     std::to_string(size.room_bytes) + " bytes (" + name + "): " + rte_strerror(rte_errno),
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
