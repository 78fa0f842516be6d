#include "dataplane/core/lpm6.hpp"

#include "dataplane/core/epoch.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <map>
#include <random>
#include <thread>
#include <vector>

namespace fairlead::core {
namespace {

using Bytes = std::array<uint8_t, 16>;

Bytes network(Bytes address, unsigned length) {
  for (unsigned byte = 0; byte < 16; ++byte) {
    const unsigned kept = length > 8 * byte ? std::min(8u, length - 8 * byte) : 0;
    address[byte] &= static_cast<uint8_t>(0xff00u >> kept);
  }
  return address;
}

Ipv6Words words(const Bytes& address) {
  return Ipv6Words::load(address.data());
}

class Model {
 public:
  using Routes = std::map<std::pair<unsigned, Bytes>, uint32_t>;

  void set(const Bytes& prefix, unsigned length, uint32_t value) { routes_[{length, prefix}] = value; }
  bool clear(const Bytes& prefix, unsigned length) { return routes_.erase({length, prefix}) == 1; }
  [[nodiscard]] uint32_t lookup(const Bytes& address) const {
    for (unsigned length = 129; length-- > 0;) {
      const auto found = routes_.find({length, network(address, length)});
      if (found != routes_.end()) return found->second;
    }
    return 0;
  }
  [[nodiscard]] const Routes& routes() const { return routes_; }

 private:
  Routes routes_;
};

// Addresses crowd: a few starts, then few bits that differ at random bytes, so that paths share, fork and
// nest.
Bytes crowded_address(std::mt19937& random) {
  static const Bytes kPlaces[] = {
      {0xfd, 0x00, 0x10, 0x24, 0x40, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
      {0xfd, 0x00, 0x10, 0x24, 0x40, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0x12, 0x34},
      {0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0},
      {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
      {0},
  };
  Bytes address = kPlaces[random() % std::size(kPlaces)];
  for (unsigned flips = random() % 4; flips > 0; --flips) {
    address[random() % 16] ^= static_cast<uint8_t>(random() % 2 != 0 ? 1u << (random() % 8) : random());
  }
  return address;
}

uint8_t crowded_length(std::mt19937& random) {
  static const uint8_t kUsual[] = {0, 1, 7, 8, 9, 32, 48, 56, 63, 64, 65, 112, 120, 127, 128};
  return random() % 2 != 0 ? kUsual[random() % std::size(kUsual)] : static_cast<uint8_t>(random() % 129);
}

void expect_same(const Model& model, const Lpm6::View& view, std::mt19937& random, int samples) {
  std::vector<Bytes> addresses;
  for (int i = 0; i < samples; ++i) addresses.push_back(crowded_address(random));
  for (const auto& [key, value] : model.routes()) {
    if (random() % 4 != 0) continue;
    const auto& [length, prefix] = key;
    Bytes last = prefix;
    for (unsigned bit = length; bit < 128; ++bit) last[bit / 8] |= static_cast<uint8_t>(0x80u >> (bit % 8));
    addresses.push_back(prefix);
    addresses.push_back(last);
    Bytes outside = random() % 2 != 0 ? prefix : last;
    if (length > 0) outside[(length - 1u) / 8] ^= static_cast<uint8_t>(0x80u >> ((length - 1u) % 8));
    addresses.push_back(outside);
  }
  std::vector<Ipv6Words> as_words;
  for (const Bytes& address : addresses) as_words.push_back(words(address));
  std::vector<uint32_t> values(addresses.size());
  view.lookup_burst(as_words.data(), static_cast<uint32_t>(as_words.size()), values.data());
  for (size_t i = 0; i < addresses.size(); ++i) {
    const uint32_t wanted = model.lookup(addresses[i]);
    ASSERT_EQ(view.lookup(addresses[i].data()), wanted)
        << std::hex << as_words[i].high << ":" << as_words[i].low;
    ASSERT_EQ(values[i], wanted) << std::hex << as_words[i].high << ":" << as_words[i].low;
  }
}

TEST(Lpm6, LongestPrefixWinsAtEveryLength) {
  Lpm6 table;
  const Bytes address = {0xfd, 0x12, 0x34, 0x56, 0x78, 0x9a, 0xbc, 0xde,
                         0xf0, 0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77};
  for (unsigned length = 0; length <= 128; ++length) {
    ASSERT_TRUE(table.set(words(network(address, length)), static_cast<uint8_t>(length), length + 1));
    EXPECT_EQ(table.seal().lookup(address.data()), length + 1);
  }
  const Lpm6::View view = table.seal();
  for (unsigned bit = 0; bit < 128; ++bit) {
    Bytes flipped = address;
    flipped[bit / 8] ^= static_cast<uint8_t>(0x80u >> (bit % 8));
    EXPECT_EQ(view.lookup(flipped.data()), bit + 1);
  }
  for (unsigned length = 128; length > 0; --length) {
    ASSERT_TRUE(table.clear(words(network(address, length)), static_cast<uint8_t>(length)));
    EXPECT_EQ(table.seal().lookup(address.data()), length);
  }
}

TEST(Lpm6, NeighboursWithOneValueStayTwoPrefixes) {
  Lpm6 table;
  const Bytes left = {0xfd, 0x40};
  const Bytes right = {0xfd, 0x41};
  ASSERT_TRUE(table.set(words(left), 16, 5));
  ASSERT_TRUE(table.set(words(right), 16, 5));
  ASSERT_TRUE(table.clear(words(left), 16));
  const Lpm6::View view = table.seal();
  EXPECT_EQ(view.lookup(left.data()), 0u);
  EXPECT_EQ(view.lookup(right.data()), 5u);
}

TEST(Lpm6, ClearingWhatIsNotThereSaysSo) {
  Lpm6 table;
  const Bytes prefix = {0xfd, 0x40};
  ASSERT_TRUE(table.set(words(prefix), 16, 5));
  EXPECT_FALSE(table.clear(words(prefix), 17));
  EXPECT_FALSE(table.clear({}, 0));
  EXPECT_TRUE(table.clear(words(prefix), 16));
  EXPECT_FALSE(table.clear(words(prefix), 16));
}

TEST(Lpm6, RandomChangesMatchTheModelAndOldViewsStay) {
  for (uint32_t seed = 1; seed <= 4; ++seed) {
    std::mt19937 random(seed);
    Lpm6 table;
    Model model;
    std::vector<std::pair<Lpm6::View, Model>> versions;
    for (int round = 0; round < 50; ++round) {
      for (unsigned changes = 1 + random() % 150; changes > 0; --changes) {
        const uint8_t length = crowded_length(random);
        const Bytes prefix = network(crowded_address(random), length);
        if (random() % 5 < 3) {
          const uint32_t value =
              1 + random() % 3;  // few values: runs that look alike but belong to two prefixes
          ASSERT_TRUE(table.set(words(prefix), length, value));
          model.set(prefix, length, value);
        } else if (!model.routes().empty() && random() % 3 != 0) {
          auto victim = model.routes().lower_bound({random() % 129, crowded_address(random)});
          if (victim == model.routes().end()) victim = model.routes().begin();
          const auto [victim_length, victim_prefix] = victim->first;
          ASSERT_TRUE(table.clear(words(victim_prefix), static_cast<uint8_t>(victim_length)));
          model.clear(victim_prefix, victim_length);
        } else {
          ASSERT_EQ(table.clear(words(prefix), length), model.clear(prefix, length));
        }
      }
      ASSERT_EQ(table.size(), model.routes().size());
      versions.emplace_back(table.seal(), model);
      ASSERT_NO_FATAL_FAILURE(expect_same(model, versions.back().first, random, 150));
      if (versions.size() > 5) {
        ASSERT_NO_FATAL_FAILURE(expect_same(versions.front().second, versions.front().first, random, 100));
        versions.erase(versions.begin());
        table.reclaim(versions.front().first.version());
        ASSERT_NO_FATAL_FAILURE(expect_same(versions.front().second, versions.front().first, random, 100));
      }
    }
    size_t visited = 0;
    table.each([&](const Ipv6Words& prefix, uint8_t length, uint32_t value) {
      ++visited;
      EXPECT_EQ(table.get(prefix, length), value);
    });
    EXPECT_EQ(visited, model.routes().size());
    while (!model.routes().empty()) {
      const auto [length, prefix] = model.routes().begin()->first;
      ASSERT_TRUE(table.clear(words(prefix), static_cast<uint8_t>(length)));
      model.clear(prefix, length);
    }
    table.reclaim(table.seal().version());
    EXPECT_LE(table.memory_bytes(), Lpm6().memory_bytes() + 200u * 1024) << "nodes left in an empty table";
  }
}

TEST(Lpm6, FullMemoryIsRefusedWithoutChange) {
  Lpm6 table({.node_bytes = 1});
  Model model;
  std::mt19937 random(5);
  bool refused = false;
  for (int i = 0; i < 5000 && !refused; ++i) {
    Bytes prefix{};
    for (uint8_t& byte : prefix) byte = static_cast<uint8_t>(random());
    refused = !table.set(words(prefix), 128, 1 + i % 100);
    if (!refused) model.set(prefix, 128, 1 + i % 100);
  }
  EXPECT_TRUE(refused);
  EXPECT_EQ(table.size(), model.routes().size());
  expect_same(model, table.seal(), random, 200);
}

TEST(Lpm6, ReadersSeeWholeVersions) {
  Lpm6 table;
  Epoch epoch(1);
  const Bytes probe = {0xfd, 0x00, 0x10, 0x24, 0x40, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0x12, 0x34};
  const std::vector<uint8_t> kLengths = {16, 48, 64, 128};
  std::vector<Bytes> probes;
  for (const uint8_t length : kLengths) {
    Bytes address = network(probe, length);
    if (length < 128) address[15] = 0xee;
    probes.push_back(address);
  }
  probes[0][3] = 0x99;
  probes[1][7] = 0x99;
  const auto write = [&](uint32_t value) {
    for (const uint8_t length : kLengths)
      ASSERT_TRUE(table.set(words(network(probe, length)), length, value));
  };
  write(1);
  Lpm6::View views[2] = {table.seal(), {}};
  std::atomic<const Lpm6::View*> published{&views[0]};
  std::atomic<bool> stop{false};
  std::atomic<uint64_t> torn{0};
  epoch.online(0);
  std::thread reader([&] {
    uint32_t last = 0;
    while (!stop.load(std::memory_order_relaxed)) {
      const Lpm6::View view = *published.load(std::memory_order_acquire);
      const uint32_t first = view.lookup(probes[0].data());
      for (const Bytes& address : probes) {
        if (view.lookup(address.data()) != first) torn.fetch_add(1, std::memory_order_relaxed);
      }
      if (first < last) torn.fetch_add(1, std::memory_order_relaxed);
      last = first;
      epoch.quiescent(0);
    }
    epoch.offline(0);
  });
  for (uint32_t value = 2; value < 800; ++value) {
    write(value);
    Lpm6::View& next = views[(value + 1) & 1];  // the one that is not published
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
