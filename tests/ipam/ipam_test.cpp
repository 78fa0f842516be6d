#include "controlplane/ipam/ipam.hpp"

#include "tests/ipam/ipam_fixture.hpp"

#include <algorithm>
#include <random>
#include <thread>

namespace fairlead::control {
namespace {

using Ipams = IpamTest;

TEST_F(Ipams, GivesOneAddressOfEveryFamilyAndIdsOfItsOwn) {
  auto ipam = open();
  const Result<Ipam::Reservation> a = ipam->reserve(pod("a"));
  ASSERT_TRUE(a.ok()) << a.error().text();
  EXPECT_FALSE(a->existing);
  ASSERT_EQ(a->attachment.addresses.size(), 2u);
  EXPECT_EQ(a->attachment.addresses[0].text(), "10.244.1.2");
  EXPECT_EQ(a->attachment.addresses[1].text(), "fd00:1::2");
  EXPECT_EQ(a->attachment.mac.text(), "0a:58:0a:f4:01:02");
  EXPECT_EQ(a->attachment.host_interface, host_interface_name(pod("a").key));
  const Result<Ipam::Reservation> b = ipam->reserve(pod("b"));
  ASSERT_TRUE(b.ok());
  EXPECT_NE(a->attachment.endpoint, b->attachment.endpoint);
  EXPECT_NE(a->attachment.addresses, b->attachment.addresses);
}

TEST_F(Ipams, TheSameAttachmentGetsTheSameAnswerAlsoAfterRestart) {
  auto ipam = open();
  const std::string first = reserved(*ipam, "a");
  EXPECT_EQ(reserved(*ipam, "a"), first);
  ASSERT_TRUE(ipam->commit(pod("a").key).ok());
  ipam.reset();
  ipam = open();
  const Result<Ipam::Reservation> again = ipam->reserve(pod("a"));
  ASSERT_TRUE(again.ok());
  EXPECT_TRUE(again->existing);
  EXPECT_TRUE(again->attachment.committed);
  EXPECT_EQ(again->attachment.addresses.front().text(), first);
  EXPECT_EQ(again->attachment.who.netns, "/var/run/netns/a");
  EXPECT_EQ(again->attachment.who.pod_name, "a");
}

TEST_F(Ipams, AnotherInterfaceOfTheSameContainerIsAnotherAttachment) {
  auto ipam = open();
  AttachmentRequest second = pod("a");
  second.key.interface = "net1";
  const auto one = ipam->reserve(pod("a"));
  const auto two = ipam->reserve(second);
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_NE(one->attachment.addresses, two->attachment.addresses);
  EXPECT_NE(one->attachment.host_interface, two->attachment.host_interface);
}

TEST_F(Ipams, WhatWasReservedOnlyIsSeenAsSuchAfterAKill) {
  auto ipam = open();
  ASSERT_TRUE(committed(*ipam, "a"));
  reserved(*ipam, "b");
  ipam.reset();
  ipam = open();
  EXPECT_TRUE(ipam->find(pod("a").key)->committed);
  EXPECT_FALSE(ipam->find(pod("b").key)->committed);
}

TEST_F(Ipams, AReleasedAddressRestsAndIsTheLastToBeUsedAgain) {
  auto ipam = open({"10.244.1.0/29"});  // .2 .. .6
  EXPECT_EQ(reserved(*ipam, "a"), "10.244.1.2");
  EXPECT_TRUE(released(*ipam, "a"));
  EXPECT_FALSE(released(*ipam, "a")) << "a second time there is nothing to release";
  EXPECT_EQ(reserved(*ipam, "b"), "10.244.1.3");
  for (const char* name : {"c", "d", "e"}) EXPECT_NE(reserved(*ipam, name), "FL4011");
  EXPECT_EQ(reserved(*ipam, "f"), "FL4011") << ".2 still rests";
  now_ns_ += 29'999'999'999;
  EXPECT_EQ(reserved(*ipam, "f"), "FL4011");
  now_ns_ += 1;
  EXPECT_EQ(reserved(*ipam, "f"), "10.244.1.2");
}

TEST_F(Ipams, AFreedAddressIsNotTheNextOneEvenWithoutRest) {
  auto ipam = open({"10.244.1.0/24"});
  EXPECT_EQ(reserved(*ipam, "a"), "10.244.1.2");
  EXPECT_TRUE(released(*ipam, "a"));
  now_ns_ += 60'000'000'000;
  EXPECT_EQ(reserved(*ipam, "b"), "10.244.1.3");
  ipam.reset();
  ipam = open({"10.244.1.0/24"});
  EXPECT_EQ(reserved(*ipam, "c"), "10.244.1.4") << "the round goes on after a restart";
}

TEST_F(Ipams, QuarantineSurvivesRestartAndStartsAnewAfterReboot) {
  auto ipam = open({"10.244.1.0/30"});  // one address
  EXPECT_EQ(reserved(*ipam, "a"), "10.244.1.2");
  EXPECT_TRUE(released(*ipam, "a"));
  now_ns_ += 20'000'000'000;
  ipam.reset();
  ipam = open({"10.244.1.0/30"});
  EXPECT_EQ(reserved(*ipam, "b"), "FL4011");
  now_ns_ += 10'000'000'000;
  EXPECT_EQ(reserved(*ipam, "b"), "10.244.1.2") << "30 s since the release";
  EXPECT_TRUE(released(*ipam, "b"));
  ipam.reset();
  boot_id_ = "boot-2";
  now_ns_ = 5'000'000'000;  // the clock starts near zero
  ipam = open({"10.244.1.0/30"});
  EXPECT_EQ(reserved(*ipam, "c"), "FL4011");
  now_ns_ += 29'000'000'000;
  EXPECT_EQ(reserved(*ipam, "c"), "FL4011");
  now_ns_ += 1'000'000'000;
  EXPECT_EQ(reserved(*ipam, "c"), "10.244.1.2");
}

TEST_F(Ipams, RestsProvenOverBeforeARebootAreNotRepeated) {
  auto ipam = open({"10.244.1.0/29"});
  for (const char* name : {"a", "b", "c", "d", "e"}) EXPECT_TRUE(committed(*ipam, name));
  EXPECT_TRUE(released(*ipam, "a"));
  now_ns_ += 40'000'000'000;
  EXPECT_TRUE(released(*ipam, "b"));
  ipam.reset();
  boot_id_ = "boot-2";
  now_ns_ = 1'000'000'000;
  ipam = open({"10.244.1.0/29"});
  EXPECT_EQ(reserved(*ipam, "f"), "10.244.1.2") << "had rested when b was released";
  EXPECT_EQ(reserved(*ipam, "g"), "FL4011");
  now_ns_ += 20'000'000'000;
  ipam.reset();
  ipam = open({"10.244.1.0/29"});
  now_ns_ += 10'000'000'000;
  EXPECT_EQ(reserved(*ipam, "g"), "10.244.1.3") << "a restart does not begin the rest anew";
}

TEST_F(Ipams, ExhaustionSaysHowManyAndWho) {
  auto ipam = open({"10.244.1.0/28"});
  for (int i = 0; i < 13; ++i) EXPECT_TRUE(committed(*ipam, "p" + std::to_string(i)));
  EXPECT_TRUE(released(*ipam, "p3"));
  const auto refused = ipam->reserve(pod("late"));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "FL4011");
  const std::string text = refused.error().text();
  for (const char* part : {"10.244.1.0/28 has 13 addresses", "12 held by pods", "1 resting",
                           "default/p0 10.244.1.2", "and 7 more", "free in 30 s"})
    EXPECT_NE(text.find(part), std::string::npos) << part << " in: " << text;
  EXPECT_FALSE(ipam->find(pod("late").key).has_value());
}

TEST_F(Ipams, ExhaustionOfOneFamilyTakesNothingFromTheOther) {
  auto ipam = open({"10.244.1.0/30", "fd00::/64"});
  EXPECT_EQ(reserved(*ipam, "a"), "10.244.1.2");
  EXPECT_EQ(reserved(*ipam, "b"), "FL4011");
  for (const PoolUsage& usage : ipam->usage()) EXPECT_EQ(usage.held, 1u) << usage.cidr.text();
}

TEST_F(Ipams, WithoutCidrsItSaysWhatToSet) {
  auto ipam = open({});
  const auto refused = ipam->reserve(pod("a"));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "FL4011");
  EXPECT_NE(refused.error().fix.find("podCIDRs"), std::string::npos);
}

TEST_F(Ipams, RefusesACidrWithoutRoomAndKeepsTheOldOnes) {
  auto ipam = open({"10.244.1.0/24"});
  const Result<void> refused = ipam->set_cidrs({*core::Prefix::parse("10.244.9.0/31")});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "FL4007");
  EXPECT_EQ(reserved(*ipam, "a"), "10.244.1.2");
}

TEST_F(Ipams, SeveralBlocksAreUsedOneAfterTheOther) {
  auto ipam = open({"10.244.1.0/30", "10.244.9.0/30"});
  EXPECT_EQ(reserved(*ipam, "a"), "10.244.1.2");
  EXPECT_EQ(reserved(*ipam, "b"), "10.244.9.2");
  EXPECT_EQ(reserved(*ipam, "c"), "FL4011");
}

TEST_F(Ipams, WhatIsHeldOutsideOfNewCidrsStaysHeld) {
  auto ipam = open({"10.244.1.0/24"});
  ASSERT_TRUE(committed(*ipam, "a"));
  ASSERT_TRUE(ipam->set_cidrs({*core::Prefix::parse("10.244.2.0/24")}).ok());
  EXPECT_EQ(reserved(*ipam, "a"), "10.244.1.2");
  EXPECT_EQ(reserved(*ipam, "b"), "10.244.2.2");
  EXPECT_TRUE(released(*ipam, "a"));
}

TEST_F(Ipams, CommitNeedsAReservation) {
  auto ipam = open();
  const Result<void> refused = ipam->commit(pod("nobody").key);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "FL4003");
}

TEST_F(Ipams, RecordsThatContradictEachOtherAreRefused) {
  auto ipam = open();
  reserved(*ipam, "a");
  ipam.reset();
  const std::string whole = read(journal());
  const std::string reserve = whole.substr(whole.find('\n') + 1);
  write(journal(), whole + reserve);
  const auto twice = try_open();
  ASSERT_FALSE(twice.ok());
  EXPECT_EQ(twice.error().code, "FL4203");
  EXPECT_NE(twice.error().what.find("reserved twice"), std::string::npos);
}

TEST_F(Ipams, ParallelReservationsNeverShareAnything) {
  auto ipam = open({"10.244.0.0/22", "fd00::/64"});
  constexpr int kThreads = 64;
  std::vector<std::thread> threads;
  for (int i = 0; i < kThreads; ++i)
    threads.emplace_back([&, i] { EXPECT_TRUE(committed(*ipam, "p" + std::to_string(i))); });
  for (std::thread& thread : threads) thread.join();
  std::set<core::IpAddress> addresses;
  std::set<core::EndpointId> ids;
  for (const Attachment& attachment : ipam->attachments()) {
    ids.insert(attachment.endpoint);
    addresses.insert(attachment.addresses.begin(), attachment.addresses.end());
  }
  EXPECT_EQ(ids.size(), static_cast<size_t>(kThreads));
  EXPECT_EQ(addresses.size(), static_cast<size_t>(2 * kThreads));
}

// What a node must remember, kept in the plainest form.
struct Model {
  struct Held {
    std::vector<core::IpAddress> addresses;
    core::EndpointId endpoint;
    bool committed;
    bool operator==(const Held&) const = default;
  };
  std::map<std::string, Held> held;
  std::map<core::IpAddress, int64_t> resting;  // until
  int64_t known = 0;                           // this boot's latest moment that the journal names

  static Model of(const Ipam& ipam) {
    Model model;
    for (const Attachment& a : ipam.attachments())
      model.held[a.who.key.container_id] = {a.addresses, a.endpoint, a.committed};
    return model;
  }
};

// Random operations against the model, with restarts, reboots and passing time in between; at every step the
// journal is also cut at a random byte of its last record, as a crash would, and must give the state before.
TEST_F(Ipams, RandomHistoriesMatchTheModel) {
  for (unsigned seed = 1; seed <= 4; ++seed) {
    std::mt19937 random(seed);
    const std::string name = "seed-" + std::to_string(seed);
    const std::vector<std::string> cidrs = {"10.9.0.0/27", "fd00:9::/64"};
    boot_id_ = "boot-1";
    now_ns_ = 1'000'000'000'000;
    auto ipam = open(cidrs, name);
    Model model;
    model.known = now_ns_;
    for (int step = 0; step < 500; ++step) {
      const std::string who = "p" + std::to_string(random() % 40);
      const AttachmentKey key = pod(who).key;
      const Model before = model;
      const size_t bytes_before = read(journal(name)).size();
      switch (random() % 8) {
        case 0:
        case 1:
        case 2: {
          const auto got = ipam->reserve(pod(who));
          const auto known = model.held.find(key.container_id);
          if (!got) {
            ASSERT_EQ(got.error().code, "FL4011");
            uint64_t used = 0;
            for (const auto& [id, held] : model.held) used += held.addresses.empty() ? 0 : 1;
            for (const auto& [address, until] : model.resting)
              used += address.is_ipv4() && until > now_ns_ ? 1 : 0;
            ASSERT_EQ(used, 29u) << "refused although an address was free";
          } else if (known != model.held.end()) {
            ASSERT_TRUE(got->existing);
            ASSERT_EQ(got->attachment.addresses, known->second.addresses);
            ASSERT_EQ(got->attachment.endpoint, known->second.endpoint);
          } else {
            ASSERT_EQ(got->attachment.addresses.size(), 2u);
            for (const core::IpAddress& address : got->attachment.addresses) {
              ASSERT_FALSE(model.resting.contains(address) && model.resting[address] > now_ns_);
              model.resting.erase(address);
              for (const auto& [id, held] : model.held)
                ASSERT_EQ(std::count(held.addresses.begin(), held.addresses.end(), address), 0);
            }
            model.held[key.container_id] = {got->attachment.addresses, got->attachment.endpoint, false};
          }
          break;
        }
        case 3: {
          const bool known = model.held.contains(key.container_id);
          ASSERT_EQ(ipam->commit(key).ok(), known);
          if (known) model.held[key.container_id].committed = true;
          break;
        }
        case 4:
        case 5: {
          const auto done = ipam->release(key);
          ASSERT_TRUE(done.ok());
          const auto known = model.held.find(key.container_id);
          ASSERT_EQ(*done, known != model.held.end());
          if (known == model.held.end()) break;
          for (const core::IpAddress& address : known->second.addresses)
            model.resting[address] = now_ns_ + 30'000'000'000;
          model.known = now_ns_;
          model.held.erase(known);
          break;
        }
        case 6:
          now_ns_ += static_cast<int64_t>(random() % 20'000) * 1'000'000;
          break;
        default:
          ipam.reset();
          if (random() % 4 == 0) {
            boot_id_ += "+";
            now_ns_ = static_cast<int64_t>(random() % 4) * 10'000'000'000;
            for (auto& [address, until] : model.resting) until = now_ns_ + (until - model.known);
            model.known = now_ns_;
          }
          ipam = open(cidrs, name);
          break;
      }
      ASSERT_NE(ipam, nullptr);
      ASSERT_EQ(Model::of(*ipam).held, model.held) << "seed " << seed << " step " << step;
      const std::string content = read(journal(name));
      if (content.size() <= bytes_before) continue;
      write(journal("cut"), content.substr(0, bytes_before + random() % (content.size() - bytes_before)));
      auto crashed = open(cidrs, "cut");
      ASSERT_NE(crashed, nullptr);
      ASSERT_EQ(Model::of(*crashed).held, before.held) << "seed " << seed << " step " << step;
    }
  }
}

TEST_F(Ipams, TheJournalStaysSmallAndARewriteLosesNothing) {
  auto ipam = open({"10.244.1.0/24"});
  for (const char* name : {"x", "y"}) ASSERT_TRUE(committed(*ipam, name));
  reserved(*ipam, "half");
  for (int i = 0; i < 400; ++i) {
    const std::string name = "p" + std::to_string(i);
    ASSERT_TRUE(committed(*ipam, name));
    ASSERT_TRUE(released(*ipam, name));
    now_ns_ += 10'000'000'000;
  }
  const std::string last = reserved(*ipam, "last");
  const Model before = Model::of(*ipam);
  const std::string content = read(journal());
  EXPECT_LT(std::count(content.begin(), content.end(), '\n'), 400);
  ipam.reset();
  ipam = open({"10.244.1.0/24"});
  EXPECT_EQ(Model::of(*ipam).held, before.held);
  EXPECT_EQ(ipam->usage().front().quarantined, 2u) << "released 10 s and 20 s ago";
  EXPECT_EQ(before.held.size(), 4u);
  EXPECT_NE(reserved(*ipam, "next"), last);
}

}  // namespace
}  // namespace fairlead::control
