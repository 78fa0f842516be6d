#include "tests/dpdk/eal_once.hpp"

#include <gtest/gtest.h>
#include <rte_eal.h>
#include <rte_mempool.h>

#include <algorithm>
#include <unistd.h>
#include <vector>

namespace fairlead::dpdk {
namespace {

using test::EalOnce;

std::vector<uintptr_t> addresses(rte_mempool* pool) {
  std::vector<uintptr_t> found;
  rte_mempool_obj_iter(
      pool,
      [](rte_mempool*, void* opaque, void* object, unsigned) {
        static_cast<std::vector<uintptr_t>*>(opaque)->push_back(reinterpret_cast<uintptr_t>(object));
      },
      &found);
  std::sort(found.begin(), found.end());
  return found;
}

// net_af_xdp shares this much of a pool with the kernel, from its first byte on.
uint64_t shared_bytes(const rte_mempool* pool) {
  return uint64_t{pool->populated_size} * rte_mempool_calc_obj_size(pool->elt_size, pool->flags, nullptr);
}

TEST(CreatePool, PacksBuffersOneBehindTheOther) {
  EalOnce::get();
  auto pool = create_pool("test_packed", 1000, kSmallFrameRoom);
  ASSERT_TRUE(pool.ok()) << pool.error().text();
  EXPECT_GE(rte_pktmbuf_data_room_size(*pool), kSmallFrameRoom + RTE_PKTMBUF_HEADROOM);
  const std::vector<uintptr_t> at = addresses(*pool);
  ASSERT_EQ(at.size(), 1000u);
  const uint32_t size = rte_mempool_calc_obj_size((*pool)->elt_size, (*pool)->flags, nullptr);
  EXPECT_LT(size, 4096u);
  for (size_t i = 1; i < at.size(); ++i) ASSERT_EQ(at[i] - at[i - 1], size) << i;
}

TEST(CreatePool, FillsPagesWithoutGapsForTheKernel) {
  EalOnce::get();
  const auto page = static_cast<uintptr_t>(getpagesize());
  for (const uint16_t room : {uint16_t{2048}, kSmallFrameRoom, uint16_t{3700}, uint16_t{9000}}) {
    auto pool = create_pool("test_pages" + std::to_string(room), 500, room, PoolLayout::kPages);
    ASSERT_TRUE(pool.ok()) << pool.error().text();
    EXPECT_GE(rte_pktmbuf_data_room_size(*pool), room + RTE_PKTMBUF_HEADROOM);
    ASSERT_EQ((*pool)->nb_mem_chunks, 1u) << "net_af_xdp takes one piece of memory";
    const std::vector<uintptr_t> at = addresses(*pool);
    const auto first = reinterpret_cast<uintptr_t>(STAILQ_FIRST(&(*pool)->mem_list)->addr);
    for (const uintptr_t buffer : at) {
      const uintptr_t begin = buffer - (*pool)->header_size, end = buffer + (*pool)->elt_size;
      ASSERT_EQ(begin % page, 0u);
      ASSERT_LE(end, first + shared_bytes(*pool)) << "the kernel would not know this one";
    }
  }
}

TEST(CreatePool, DevicesCanReachTheBuffers) {
  EalOnce::get();
  ASSERT_EQ(rte_eal_iova_mode(), RTE_IOVA_VA);
  for (const PoolLayout layout : {PoolLayout::kPacked, PoolLayout::kPages}) {
    auto pool =
        create_pool("test_reach" + std::to_string(static_cast<int>(layout)), 64, kSmallFrameRoom, layout);
    ASSERT_TRUE(pool.ok()) << pool.error().text();
    EXPECT_EQ((*pool)->flags & RTE_MEMPOOL_F_NON_IO, 0u) << "drivers would not register its memory";
    rte_mbuf* buffer = rte_pktmbuf_alloc(*pool);
    ASSERT_NE(buffer, nullptr);
    EXPECT_EQ(buffer->buf_iova, reinterpret_cast<uintptr_t>(buffer->buf_addr));
    rte_pktmbuf_free(buffer);
  }
}

TEST(CreatePool, UsesAFullPoolOfTheSameKindAgain) {
  EalOnce::get();
  for (const uint16_t room : {kSmallFrameRoom, kBigFrameMax}) {
    const std::string name = "test_again" + std::to_string(room);
    auto packed = create_pool(name, 64, room);
    ASSERT_TRUE(packed.ok()) << packed.error().text();
    EXPECT_EQ(*create_pool(name, 64, room), *packed);
    EXPECT_NE(*create_pool(name, 64, room, PoolLayout::kPages), *packed);
    EXPECT_NE(*create_pool(name, 65, room), *packed);
    rte_mbuf* taken = rte_pktmbuf_alloc(*packed);
    EXPECT_NE(*create_pool(name, 64, room), *packed) << "one of its buffers is missing";
    rte_pktmbuf_free(taken);
  }
}

TEST(CreatePool, SaysWhatIsMissing) {
  EalOnce::get();
  const auto pool = create_pool("test_huge", 1'000'000, kBigFrameMax);
  ASSERT_FALSE(pool.ok());
  EXPECT_EQ(pool.error().code, "FL2002");
  EXPECT_NE(pool.error().what.find("test_huge"), std::string::npos) << pool.error().text();
  EXPECT_EQ(rte_mempool_lookup("test_huge"), nullptr);
}

}  // namespace
}  // namespace fairlead::dpdk
