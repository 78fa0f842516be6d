// A client's last backend: for as long as it is used, in bounded memory, from any thread.
#include "dataplane/core/affinity.hpp"

#include "tests/core/service_fixture.hpp"

#include <atomic>
#include <thread>
#include <vector>

namespace fairlead::core {
namespace {

flow_secret secret_of(uint64_t seed) {
  flow_secret secret;
  flow_secret_init(&secret, seed);
  return secret;
}

uint64_t client(const AffinityTable& table, uint32_t number, ServiceId service = 1) {
  ip_address at{};
  at.word[0] = to_be32(0x0af40000 + number);
  return table.key(at, service);
}

TEST(Affinity, LastsForTheTimeoutFromItsLastUse) {
  AffinityTable table(1024, secret_of(1));
  const uint64_t key = client(table, 1);
  EXPECT_EQ(table.find(key, 10, 100), 0u);
  EXPECT_EQ(table.hold(key, 0, 77, 10, 100), 77u);
  EXPECT_EQ(table.find(key, 10, 110), 77u);
  EXPECT_EQ(table.find(key, 10, 111), 0u);
  EXPECT_EQ(table.hold(key, 77, 77, 10, 109), 77u);  // used again
  EXPECT_EQ(table.find(key, 10, 119), 77u);
  EXPECT_EQ(table.find(key, 10, 120), 0u);
  EXPECT_EQ(table.find(key, 10, 108), 77u);  // by a worker whose second is behind
  EXPECT_EQ(table.hold(key, 0, 78, 10, 130), 78u);
  EXPECT_EQ(table.find(key, 10, 130), 78u);
}

TEST(Affinity, ClientsAndServicesAreToldApart) {
  AffinityTable table(1024, secret_of(1));
  EXPECT_EQ(table.hold(client(table, 1, 5), 0, 10, 60, 1), 10u);
  EXPECT_EQ(table.hold(client(table, 2, 5), 0, 20, 60, 1), 20u);
  EXPECT_EQ(table.hold(client(table, 1, 6), 0, 30, 60, 1), 30u);
  EXPECT_EQ(table.find(client(table, 1, 5), 60, 1), 10u);
  EXPECT_EQ(table.find(client(table, 2, 5), 60, 1), 20u);
  EXPECT_EQ(table.find(client(table, 1, 6), 60, 1), 30u);
  EXPECT_EQ(table.find(client(table, 2, 6), 60, 1), 0u);
}

// A backend that was found and is of no use any more is replaced; one that another worker put there meanwhile
// stands.
TEST(Affinity, WhoComesSecondTakesWhatStands) {
  AffinityTable table(1024, secret_of(1));
  const uint64_t key = client(table, 1);
  EXPECT_EQ(table.hold(key, 0, 10, 60, 1), 10u);
  EXPECT_EQ(table.hold(key, 0, 11, 60, 1), 10u);   // found none, but was slower
  EXPECT_EQ(table.hold(key, 10, 12, 60, 2), 12u);  // found 10, which is gone
  EXPECT_EQ(table.find(key, 60, 2), 12u);
  EXPECT_EQ(table.hold(key, 10, 13, 60, 2), 12u);  // found 10 too, but was slower
}

TEST(Affinity, AFullTableForgetsWhoWasLongestUnused) {
  AffinityTable table(4, secret_of(1));  // one bucket of eight
  for (uint32_t i = 0; i < 8; ++i) EXPECT_EQ(table.hold(client(table, i), 0, i + 1, 1000, 100 + i), i + 1);
  EXPECT_EQ(table.hold(client(table, 0), 1, 1, 1000, 200), 1u);
  EXPECT_EQ(table.hold(client(table, 100), 0, 50, 1000, 201), 50u);
  EXPECT_EQ(table.find(client(table, 1), 1000, 201), 0u);
  for (const uint32_t i : {0u, 2u, 3u, 4u, 5u, 6u, 7u})
    EXPECT_EQ(table.find(client(table, i), 1000, 201), i + 1);
  EXPECT_EQ(table.find(client(table, 100), 1000, 201), 50u);
}

TEST(Affinity, HoldsAsManyClientsAsItWasMadeFor) {
  constexpr uint32_t kClients = 65'536;
  AffinityTable table(kClients, secret_of(9));
  for (uint32_t i = 0; i < kClients; ++i) (void)table.hold(client(table, i), 0, i + 1, 1000, 100 + i / 1000);
  uint32_t held = 0;
  for (uint32_t i = 0; i < kClients; ++i) {
    const uint32_t found = table.find(client(table, i), 1000, 200);
    ASSERT_TRUE(found == 0 || found == i + 1);
    held += static_cast<uint32_t>(found != 0);
  }
  EXPECT_GT(held, kClients * 97 / 100);
  EXPECT_EQ(table.memory_bytes(), kClients * 2u * 16u);
}

// Backends are numbered by their client, so that a value that is not its key's is seen.
TEST(Affinity, WorkersAgreeAndNobodyGetsAnothersBackend) {
  constexpr uint32_t kClients = 64, kRounds = 20'000, kWorkers = 3;
  AffinityTable table(32, secret_of(2));  // too small: places change hands all the time
  std::atomic<uint32_t> wrong{0};
  const auto work = [&](uint32_t worker) {
    for (uint32_t round = 0; round < kRounds; ++round) {
      const uint32_t number = (round * 7 + worker * 13) % kClients;
      const uint64_t key = client(table, number);
      const uint32_t now = 100 + round / 100;
      const uint32_t found = table.find(key, 5, now);
      const uint32_t mine = (number + 1) << 8 | worker;
      const uint32_t stands = table.hold(key, found, found != 0 ? found : mine, 5, now);
      if (stands >> 8 != number + 1 || (found != 0 && found >> 8 != number + 1)) ++wrong;
    }
  };
  std::vector<std::thread> workers;
  for (uint32_t worker = 0; worker < kWorkers; ++worker) workers.emplace_back(work, worker);
  for (std::thread& worker : workers) worker.join();
  EXPECT_EQ(wrong.load(), 0u);
}

// Many first connections of one client at once: all get one backend.
TEST(Affinity, FirstConnectionsOfOneClientOnManyWorkersGetOneBackend) {
  constexpr uint32_t kClients = 2000, kWorkers = 3;
  AffinityTable table(kClients * 4, secret_of(3));
  std::vector<std::vector<uint32_t>> got(kWorkers, std::vector<uint32_t>(kClients));
  const auto work = [&](uint32_t worker) {
    for (uint32_t i = 0; i < kClients; ++i) {
      const uint64_t key = client(table, i);
      const uint32_t found = table.find(key, 60, 1);
      got[worker][i] = table.hold(key, found, found != 0 ? found : worker + 1, 60, 1);
    }
  };
  std::vector<std::thread> workers;
  for (uint32_t worker = 0; worker < kWorkers; ++worker) workers.emplace_back(work, worker);
  for (std::thread& worker : workers) worker.join();
  for (uint32_t i = 0; i < kClients; ++i) {
    EXPECT_EQ(got[0][i], got[1][i]) << i;
    EXPECT_EQ(got[0][i], got[2][i]) << i;
  }
}

}  // namespace
}  // namespace fairlead::core
