#include "dataplane/core/epoch.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <thread>
#include <vector>

namespace fairlead::core {
namespace {

TEST(Epoch, OfflineWorkersAreNotWaitedFor) {
  Epoch epoch(3);
  EXPECT_TRUE(epoch.grace_passed(epoch.advance()));
  epoch.synchronize();
}

TEST(Epoch, EveryOnlineWorkerMustPassAQuiescentPoint) {
  Epoch epoch(2);
  epoch.online(0);
  epoch.online(1);
  const Epoch::Token token = epoch.advance();
  EXPECT_FALSE(epoch.grace_passed(token));
  epoch.quiescent(0);
  EXPECT_FALSE(epoch.grace_passed(token));
  epoch.quiescent(1);
  EXPECT_TRUE(epoch.grace_passed(token));
}

TEST(Epoch, LaterTokensNeedLaterQuiescence) {
  Epoch epoch(1);
  epoch.online(0);
  const Epoch::Token first = epoch.advance();
  epoch.quiescent(0);
  const Epoch::Token second = epoch.advance();
  EXPECT_TRUE(epoch.grace_passed(first));
  EXPECT_FALSE(epoch.grace_passed(second));
  epoch.offline(0);
  EXPECT_TRUE(epoch.grace_passed(second));
}

TEST(Epoch, QuiescentDoesNotBringAWorkerOnline) {
  Epoch epoch(1);
  epoch.quiescent(0);
  EXPECT_TRUE(epoch.grace_passed(epoch.advance()));
}

TEST(Epoch, ComingOnlineDuringAGracePeriodDoesNotEndIt) {
  Epoch epoch(2);
  epoch.online(0);
  const Epoch::Token token = epoch.advance();
  epoch.online(1);
  EXPECT_FALSE(epoch.grace_passed(token));
  epoch.quiescent(0);
  // Worker 1 came online after the advance: it can only have seen the new state.
  EXPECT_TRUE(epoch.grace_passed(token));
}

// A freed object is poisoned; a reader that still meets one has not been waited for.
TEST(Epoch, NoReaderMeetsWhatWasFreedAfterAGracePeriod) {
  constexpr unsigned kWorkers = 2;
  constexpr uint64_t kPoison = ~uint64_t{0};
  Epoch epoch(kWorkers);
  std::array<uint64_t, 2> objects{
      1, kPoison};  // plain memory on purpose: ThreadSanitizer watches the epoch, too
  std::atomic<uint64_t*> current{&objects[0]};
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> bad{0};
  std::vector<std::thread> readers;
  for (unsigned worker = 0; worker < kWorkers; ++worker) {
    readers.emplace_back([&, worker] {
      epoch.online(worker);
      for (uint64_t loop = 0; !stop.load(std::memory_order_relaxed); ++loop) {
        const uint64_t* object = current.load(std::memory_order_acquire);
        if (*object == kPoison) bad.fetch_add(1, std::memory_order_relaxed);
        if (loop % 64 == 63) {
          epoch.offline(worker);
          epoch.online(worker);
        } else {
          epoch.quiescent(worker);
        }
      }
      epoch.offline(worker);
    });
  }
  for (uint64_t value = 2; value < 1000; ++value) {
    uint64_t* old = current.load(std::memory_order_relaxed);
    uint64_t* next = old == &objects[0] ? &objects[1] : &objects[0];
    *next = value;
    current.store(next, std::memory_order_release);
    epoch.synchronize();
    *old = kPoison;
  }
  stop.store(true, std::memory_order_relaxed);
  for (std::thread& reader : readers) reader.join();
  EXPECT_EQ(bad.load(), 0u);
}

}  // namespace
}  // namespace fairlead::core
