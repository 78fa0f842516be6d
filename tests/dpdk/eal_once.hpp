#pragma once

#include "dataplane/dpdk/buffers.hpp"
#include "dataplane/dpdk/eal.hpp"

#include <gtest/gtest.h>

namespace fairlead::test {

// EAL starts once in a process, for tests that use ports without an engine.
struct EalOnce {
  rte_mempool* big = nullptr;
  rte_mempool* small = nullptr;

  static EalOnce& get() {
    static EalOnce once = [] {
      dpdk::DpdkConfig config;
      config.huge_pages = false;
      EalOnce made;
      auto started = dpdk::start_eal(config);
      EXPECT_TRUE(started.ok()) << (started.ok() ? "" : started.error().text());
      if (!started.ok()) return made;
      auto big_pool = dpdk::create_pool("test_big", 512, dpdk::kBigFrameMax);
      auto small_pool = dpdk::create_pool("test_small", 4095, dpdk::kSmallFrameRoom);
      EXPECT_TRUE(big_pool.ok() && small_pool.ok());
      if (big_pool.ok()) made.big = *big_pool;
      if (small_pool.ok()) made.small = *small_pool;
      return made;
    }();
    return once;
  }
};

}  // namespace fairlead::test
