#include "dataplane/core/lpm4.hpp"

#include "dataplane/core/epoch.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <optional>
#include <random>
#include <thread>
#include <tuple>
#include <vector>

namespace fairlead::core {
namespace {

uint32_t network(uint32_t address, unsigned length) {
  return length == 0 ? 0 : address & (~uint32_t{0} << (32 - length));
}

// What a longest-prefix match is, said slowly.
class Model {
 public:
  void set(uint32_t prefix, unsigned length, uint32_t value) { routes_[{length, prefix}] = value; }
  bool clear(uint32_t prefix, unsigned length) { return routes_.erase({length, prefix}) == 1; }
  [[nodiscard]] uint32_t lookup(uint32_t address) const {
    for (unsigned length = 33; length-- > 0;) {
      const auto found = routes_.find({length, network(address, length)});
      if (found != routes_.end()) return found->second;
    }
    return 0;
  }
  [[nodiscard]] const std::map<std::pair<unsigned, uint32_t>, uint32_t>& routes() const { return routes_; }

 private:
  std::map<std::pair<unsigned, uint32_t>, uint32_t> routes_;
};

// Addresses crowd into few places, so that prefixes nest in every level and share nodes.
uint32_t crowded_address(std::mt19937& random) {
  static const uint32_t kPlaces[] = {0x0af40000, 0x0af41000, 0x0af40100, 0xc0a80000, 0x00000000, 0xffffff00};
  const uint32_t place = kPlaces[random() % std::size(kPlaces)];
  static const uint32_t kMasks[] = {0xff, 0x1ff, 0x3fff, 0x1fffff, 0xffffffff};
  return place ^ (static_cast<uint32_t>(random()) & kMasks[random() % std::size(kMasks)]);
}

void expect_same(const Model& model, const Lpm4::View& view, std::mt19937& random, int samples) {
  std::vector<uint32_t> addresses;
  for (int i = 0; i < samples; ++i) addresses.push_back(crowded_address(random));
  // The edges of every prefix and their neighbours.
  for (const auto& [key, value] : model.routes()) {
    if (random() % 4 != 0) continue;
    const auto [length, prefix] = key;
    const uint32_t last = prefix | (length == 32 ? 0 : ~uint32_t{0} >> length);
    addresses.insert(addresses.end(), {prefix, last, prefix - 1, last + 1});
  }
  std::vector<uint32_t> values(addresses.size());
  view.lookup_burst(addresses.data(), static_cast<uint32_t>(addresses.size()), values.data());
  for (size_t i = 0; i < addresses.size(); ++i) {
    ASSERT_EQ(view.lookup(addresses[i]), model.lookup(addresses[i])) << std::hex << addresses[i];
    ASSERT_EQ(values[i], model.lookup(addresses[i])) << std::hex << addresses[i];
  }
}

TEST(Lpm4, EmptyTableFindsNothing) {
  Lpm4 table;
  const Lpm4::View view = table.seal();
  for (const uint32_t address : {0u, 0x0a000001u, 0xffffffffu}) EXPECT_EQ(view.lookup(address), 0u);
}

TEST(Lpm4, LongestPrefixWinsAtEveryLength) {
  Lpm4 table;
  const uint32_t address = 0x0af41733;
  for (uint8_t length = 0; length <= 32; ++length) {
    ASSERT_TRUE(table.set(network(address, length), length, length + 1u));
    EXPECT_EQ(table.seal().lookup(address), length + 1u);
  }
  const Lpm4::View view = table.seal();
  // Flipping bit n leaves the prefixes of up to n bits.
  for (uint8_t bit = 0; bit < 32; ++bit) EXPECT_EQ(view.lookup(address ^ (0x80000000u >> bit)), bit + 1u);
  for (uint8_t length = 32; length > 0; --length) {
    ASSERT_TRUE(table.clear(network(address, length), length));
    EXPECT_EQ(table.seal().lookup(address), uint32_t{length});
  }
}

TEST(Lpm4, LargestValueSurvives) {
  Lpm4 table;
  for (const uint8_t length : {0, 8, 12, 13, 24, 25, 32}) {
    ASSERT_TRUE(table.set(network(0x0a0b0c0d, length), length, Lpm4::kMaxValue));
    EXPECT_EQ(table.seal().lookup(0x0a0b0c0d), Lpm4::kMaxValue);
  }
}

TEST(Lpm4, ClearingWhatIsNotThereSaysSo) {
  Lpm4 table;
  ASSERT_TRUE(table.set(0x0a000000, 8, 1));
  EXPECT_FALSE(table.clear(0x0a000000, 9));
  EXPECT_FALSE(table.clear(0x0b000000, 8));
  EXPECT_TRUE(table.clear(0x0a000000, 8));
  EXPECT_FALSE(table.clear(0x0a000000, 8));
  EXPECT_EQ(table.size(), 0u);
}

TEST(Lpm4, RandomChangesMatchTheModelAndOldViewsStay) {
  for (uint32_t seed = 1; seed <= 6; ++seed) {
    std::mt19937 random(seed);
    Lpm4 table;
    Model model;
    std::vector<std::pair<Lpm4::View, Model>> versions;
    for (int round = 0; round < 60; ++round) {
      for (unsigned changes = 1 + random() % 200; changes > 0; --changes) {
        const auto length = static_cast<uint8_t>(random() % 33);
        const uint32_t prefix = network(crowded_address(random), length);
        if (random() % 5 < 3) {
          const uint32_t value = 1 + random() % 1000;
          ASSERT_TRUE(table.set(prefix, length, value));
          model.set(prefix, length, value);
        } else if (!model.routes().empty() && random() % 3 != 0) {
          auto victim = model.routes().lower_bound({random() % 33, static_cast<uint32_t>(random())});
          if (victim == model.routes().end()) victim = model.routes().begin();
          const auto [victim_length, victim_prefix] = victim->first;
          ASSERT_TRUE(table.clear(victim_prefix, static_cast<uint8_t>(victim_length)));
          model.clear(victim_prefix, victim_length);
        } else {
          ASSERT_EQ(table.clear(prefix, length), model.clear(prefix, length));
        }
      }
      ASSERT_EQ(table.size(), model.routes().size());
      versions.emplace_back(table.seal(), model);
      ASSERT_NO_FATAL_FAILURE(expect_same(model, versions.back().first, random, 200));
      if (versions.size() > 5) {
        ASSERT_NO_FATAL_FAILURE(expect_same(versions.front().second, versions.front().first, random, 100));
        versions.erase(versions.begin());
        table.reclaim(versions.front().first.version());
        ASSERT_NO_FATAL_FAILURE(expect_same(versions.front().second, versions.front().first, random, 100));
      }
    }
    // Taking everything out gives every node back: nothing leaks, whatever the history was.
    while (!model.routes().empty()) {
      const auto [length, prefix] = model.routes().begin()->first;
      ASSERT_TRUE(table.clear(prefix, static_cast<uint8_t>(length)));
      model.clear(prefix, length);
    }
    table.reclaim(table.seal().version());
    const size_t empty = Lpm4().memory_bytes();
    EXPECT_LE(table.memory_bytes() - empty, 64u * 1024) << "nodes left in an empty table";
  }
}

TEST(Lpm4, EachVisitsEveryPrefixOnce) {
  std::mt19937 random(7);
  Lpm4 table;
  Model model;
  for (int i = 0; i < 3000; ++i) {
    const auto length = static_cast<uint8_t>(random() % 33);
    const uint32_t prefix = network(crowded_address(random), length);
    const uint32_t value = 1 + random() % 1000;
    ASSERT_TRUE(table.set(prefix, length, value));
    model.set(prefix, length, value);
  }
  std::map<std::pair<unsigned, uint32_t>, uint32_t> seen;
  table.each([&](uint32_t prefix, uint8_t length, uint32_t value) {
    EXPECT_TRUE(seen.emplace(std::make_pair(length, prefix), value).second);
  });
  EXPECT_EQ(seen, model.routes());
}

TEST(Lpm4, FullMemoryIsRefusedWithoutChange) {
  Lpm4 table({.middle_nodes = 3, .leaves = 4});
  Model model;
  int refused = 0;
  for (uint32_t i = 0; i < 40; ++i) {
    const uint32_t prefix = 0x0a000000 + (i << 8);
    if (table.set(prefix + 1, 32, i + 1)) {
      model.set(prefix + 1, 32, i + 1);
    } else {
      ++refused;
    }
  }
  EXPECT_GT(refused, 0);
  std::mt19937 random(3);
  Lpm4::View view = table.seal();
  expect_same(model, view, random, 100);
  // All leaves are taken and belong to the sealed version: a copy of them has no room.
  EXPECT_FALSE(table.set(0x0a000000, 16, 99));
  view = table.seal();
  expect_same(model, view, random, 100);
  EXPECT_EQ(table.get(0x0a000000, 16), 0u);
}

// A reader that follows the published view sees, at every moment, the state before or after a change, nothing
// else.
TEST(Lpm4, ReadersSeeWholeVersions) {
  Lpm4 table;
  Epoch epoch(1);
  // Each version holds one value in prefixes of all levels.
  const std::vector<std::tuple<uint32_t, uint8_t, uint32_t>> kPrefixes = {{0x0a000000, 8, 0x0a800000},
                                                                          {0x0af40000, 16, 0x0af4aa01},
                                                                          {0x0af41700, 24, 0x0af41701},
                                                                          {0x0af41733, 32, 0x0af41733}};
  const auto write = [&](uint32_t value) {
    for (const auto& [prefix, length, probe] : kPrefixes) ASSERT_TRUE(table.set(prefix, length, value));
  };
  write(1);
  Lpm4::View views[2] = {table.seal(), {}};
  std::atomic<const Lpm4::View*> published{&views[0]};
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> torn{0};
  epoch.online(0);
  std::thread reader([&] {
    uint32_t last = 0;
    while (!stop.load(std::memory_order_relaxed)) {
      const Lpm4::View view = *published.load(std::memory_order_acquire);
      const uint32_t first = view.lookup(std::get<2>(kPrefixes[0]));
      for (const auto& [prefix, length, probe] : kPrefixes) {
        if (view.lookup(probe) != first) torn.fetch_add(1, std::memory_order_relaxed);
      }
      if (first < last) torn.fetch_add(1, std::memory_order_relaxed);
      last = first;
      epoch.quiescent(0);
    }
    epoch.offline(0);
  });
  for (uint32_t value = 2; value < 800; ++value) {
    write(value);
    Lpm4::View& next = views[(value + 1) & 1];  // the one that is not published
    next = table.seal();
    published.store(&next, std::memory_order_release);
    epoch.synchronize();
    table.reclaim(next.version());
  }
  stop.store(true, std::memory_order_relaxed);
  reader.join();
  EXPECT_EQ(torn.load(), 0u);
}

}  // namespace
}  // namespace fairlead::core
