#include "dataplane/daemon/dataplane.hpp"

#include "tests/daemon/fakes.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <optional>

namespace fairlead::daemon {
namespace {

using Calls = std::vector<std::string>;

class DataplaneTest : public testing::Test {
 protected:
  DataplaneTest() : directory_(make_temporary_directory()) { restart(); }
  ~DataplaneTest() override {
    dataplane_.reset();
    file_.reset();
    std::filesystem::remove_all(directory_);
  }
  // The process ends and another one begins with what is on disk.
  void restart() {
    dataplane_.reset();
    file_.reset();
    file_.emplace(directory_);
    dataplane_.emplace(engine_, &kernel_, *file_);
    script_.calls.clear();
  }
  Result<uint64_t> publish(const core::NodeState& to) {
    return dataplane_->publish(core::diff(dataplane_->state(), to));
  }
  void start_with(const core::NodeState& state) {
    const Result<uint64_t> done = publish(state);
    ASSERT_TRUE(done.ok()) << done.error().text();
    script_.calls.clear();
  }

  std::string directory_;
  Script script_;
  FakeEngine engine_{script_};
  FakeKernel kernel_{script_};
  std::optional<StateFile> file_;
  std::optional<Dataplane> dataplane_;
};

TEST_F(DataplaneTest, NewEndpointsBeforeTheEngineGoneOnesAfterIt) {
  ASSERT_TRUE(publish(make_state(1, {1, 2})).ok());
  EXPECT_EQ(script_.take(), (Calls{"attach 1 fl1", "attach 2 fl2", "filter 192.0.2.1:4789", "publish 0>1"}));
  ASSERT_TRUE(publish(make_state(2, {2, 3})).ok());
  EXPECT_EQ(script_.take(), (Calls{"attach 3 fl3", "publish 1>2", "detach 1"}));
  EXPECT_EQ(dataplane_->state().generation, 2u);
}

TEST_F(DataplaneTest, TheFilterIsSetOnlyWhenItChanges) {
  start_with(make_state(1, {1}));
  core::NodeState next = make_state(2, {1});
  next.settings.mode = "Routed";
  ASSERT_TRUE(publish(next).ok());
  EXPECT_EQ(script_.take(), (Calls{"publish 1>2"}));
  next.generation = 3;
  next.settings.tunnel_port = 8472;
  ASSERT_TRUE(publish(next).ok());
  EXPECT_EQ(script_.take(), (Calls{"filter 192.0.2.1:8472", "publish 2>3"}));
}

TEST_F(DataplaneTest, WhatTheEngineRefusesIsTakenBackWhole) {
  start_with(make_state(1, {1, 2}));
  core::NodeState next = make_state(2, {2, 3});
  next.endpoints[2].host_interface = "other";
  next.settings.tunnel_port = 8472;
  script_.refusals = {"publish 1>2"};
  const Result<uint64_t> refused = publish(next);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "FL9999");
  EXPECT_EQ(script_.take(), (Calls{"attach 2 other", "attach 3 fl3", "filter 192.0.2.1:8472", "publish 1>2",
                                   "detach 3", "attach 2 fl2", "filter 192.0.2.1:4789"}));
  EXPECT_TRUE(dataplane_->state() == make_state(1, {1, 2}));
  // And nothing of it reached the disk.
  file_->flush();
  restart();
  ASSERT_TRUE(dataplane_->restore().ok());
  EXPECT_TRUE(dataplane_->state() == make_state(1, {1, 2}));
}

std::shared_ptr<const core::Service> service(core::ServiceId id, core::FrontendKind kind, const char* address,
                                             uint16_t port, size_t backends = 1) {
  auto s = std::make_shared<core::Service>();
  s->id = id;
  s->service_namespace = "default";
  s->name = "s" + std::to_string(id);
  s->protocol = 6;
  s->frontends = {{kind, core::IpAddress::parse(address).value_or(core::IpAddress{}), port}};
  for (size_t i = 0; i < backends; ++i)
    s->backends.push_back(
        {core::IpAddress::parse("10.244.0.1").value(), static_cast<uint16_t>(80 + i), true, false, "", ""});
  return s;
}

TEST_F(DataplaneTest, TheFilterKnowsWhereServicesAnswerAndNotTheirBackends) {
  using Kind = core::FrontendKind;
  core::NodeState state = make_state(1, {1});
  state.services = {{1, service(1, Kind::kClusterIp, "10.96.0.1", 80)},
                    {2, service(2, Kind::kNodePort, "", 30080)},
                    {3, service(3, Kind::kLoadBalancer, "203.0.113.7", 80)}};
  ASSERT_TRUE(publish(state).ok());
  EXPECT_EQ(script_.take(),
            (Calls{"attach 1 fl1", "filter 192.0.2.1:4789 203.0.113.7 6/30080", "publish 0>1"}));
  core::NodeState next = state;
  next.generation = 2;
  next.services[2] = service(2, Kind::kNodePort, "", 30080, 5);
  ASSERT_TRUE(publish(next).ok());
  EXPECT_EQ(script_.take(), (Calls{"publish 1>2"}));
  next.generation = 3;
  next.services.erase(3);
  next.services[4] = service(4, Kind::kNodePort, "", 30081);
  script_.refusals = {"publish 2>3"};
  ASSERT_FALSE(publish(next).ok());
  EXPECT_EQ(script_.take(), (Calls{"filter 192.0.2.1:4789 6/30080 6/30081", "publish 2>3",
                                   "filter 192.0.2.1:4789 203.0.113.7 6/30080"}));
  EXPECT_TRUE(dataplane_->state().services.contains(3));
  script_.refusals.clear();
  ASSERT_TRUE(publish(next).ok());
  EXPECT_EQ(script_.take(), (Calls{"filter 192.0.2.1:4789 6/30080 6/30081", "publish 2>3"}));
  file_->flush();
  restart();
  ASSERT_TRUE(dataplane_->restore().ok());
  EXPECT_TRUE(dataplane_->state() == next);
  EXPECT_EQ(script_.take()[1], "filter 192.0.2.1:4789 6/30080 6/30081");
}

TEST_F(DataplaneTest, ChangesReachTheDiskWhateverWasThereBefore) {
  start_with(make_state(1, {1}));
  file_->flush();
  restart();
  ASSERT_TRUE(dataplane_->restore().ok());
  core::NodeState next = make_state(2, {1, 2});
  next.services = {{1, service(1, core::FrontendKind::kClusterIp, "10.96.0.1", 80)}};
  ASSERT_TRUE(publish(next).ok());
  EXPECT_FALSE(publish(make_state(2, {1})).ok());
  core::NodeState last = next;
  last.generation = 3;
  last.services[2] = service(2, core::FrontendKind::kClusterIp, "10.96.0.2", 80);
  ASSERT_TRUE(publish(last).ok());
  restart();  // the destructor of the file writes what waits
  ASSERT_TRUE(dataplane_->restore().ok());
  EXPECT_TRUE(dataplane_->state() == last);
  EXPECT_FALSE(file_->last_error().has_value());
}

TEST_F(DataplaneTest, AnEndpointThatCannotBeAttachedRefusesAChange) {
  start_with(make_state(1, {1}));
  script_.refusals = {"attach 3 fl3"};
  ASSERT_FALSE(publish(make_state(2, {1, 2, 3})).ok());
  EXPECT_EQ(script_.take(), (Calls{"attach 2 fl2", "attach 3 fl3", "detach 2"}));
  EXPECT_EQ(dataplane_->state().generation, 1u);
}

TEST_F(DataplaneTest, AFullStateGoesOnWithoutAnEndpointAndRetriesIt) {
  script_.refusals = {"attach 2 fl2"};
  ASSERT_TRUE(publish(make_state(1, {1, 2})).ok());
  EXPECT_EQ(script_.take(), (Calls{"attach 1 fl1", "attach 2 fl2", "filter 192.0.2.1:4789", "publish 0>1"}));
  ASSERT_EQ(dataplane_->notes().size(), 1u);
  EXPECT_NE(dataplane_->notes()[0].find("default/pod-2 is not attached"), std::string::npos);
  dataplane_->retry();
  EXPECT_EQ(script_.take(), (Calls{"attach 2 fl2"}));
  script_.refusals.clear();
  dataplane_->retry();
  EXPECT_TRUE(dataplane_->notes().empty());
  script_.calls.clear();
  dataplane_->retry();
  EXPECT_TRUE(script_.calls.empty());
}

TEST_F(DataplaneTest, AChangeToAnotherGenerationIsRefused) {
  start_with(make_state(1, {1}));
  core::NodeStateDelta delta = core::diff(make_state(5, {1}), make_state(6, {1, 2}));
  const Result<uint64_t> refused = dataplane_->publish(delta);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "FL2111");
  EXPECT_TRUE(script_.calls.empty());
}

TEST_F(DataplaneTest, AStateThatDoesNotFitTogetherIsRefused) {
  start_with(make_state(1, {1}));
  core::NodeState bad = make_state(2, {1});
  bad.routes[*core::Prefix::parse("10.244.9.0/24")] = {core::RouteKind::kPeer, 77};
  const Result<uint64_t> refused = publish(bad);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "FL2110");
  EXPECT_TRUE(script_.calls.empty());
  EXPECT_EQ(dataplane_->state().generation, 1u);
}

TEST_F(DataplaneTest, ARestartForwardsAgainWithoutAnybodysHelp) {
  const core::NodeState state = make_state(9, {1, 2});
  start_with(state);
  file_->flush();
  restart();
  ASSERT_TRUE(dataplane_->restore().ok());
  EXPECT_TRUE(dataplane_->state() == state);
  EXPECT_EQ(script_.take(),
            (Calls{"attach 1 fl1", "attach 2 fl2", "filter 192.0.2.1:4789", "publish 0>9", "reconcile 1 2"}));
}

TEST_F(DataplaneTest, AFirstStartForgetsWhatSomebodyElseLeft) {
  ASSERT_TRUE(dataplane_->restore().ok());
  EXPECT_EQ(script_.take(), (Calls{"reconcile"}));
}

// ---- the file
// --------------------------------------------------------------------------------------------------------

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

TEST_F(DataplaneTest, EveryFlippedBitOfTheFileIsNoticed) {
  const std::string good = encode_state(make_state(3, {1, 2}));
  ASSERT_TRUE(decode_state(good).ok());
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] = static_cast<char>(bad[i] ^ (1 << (i % 8)));
    const Result<core::NodeState> read = decode_state(bad);
    ASSERT_FALSE(read.ok()) << "byte " << i;
    EXPECT_EQ(read.error().code, "FL2112");
  }
  for (size_t length = 0; length < good.size(); ++length) {
    ASSERT_FALSE(decode_state(good.substr(0, length)).ok()) << length;
  }
  EXPECT_FALSE(decode_state(good + "x").ok());
}

TEST_F(DataplaneTest, ADamagedFileIsSetAsideAndTheStartGoesOn) {
  start_with(make_state(3, {1}));
  file_->flush();
  const std::string path = file_->path();
  std::string bytes = read_file(path);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  std::ofstream(path, std::ios::binary) << bytes;
  restart();
  const Result<void> restored = dataplane_->restore();
  ASSERT_FALSE(restored.ok());
  EXPECT_EQ(restored.error().code, "FL2112");
  EXPECT_FALSE(std::filesystem::exists(path));
  EXPECT_TRUE(std::filesystem::exists(path + ".refused"));
  EXPECT_EQ(dataplane_->state().generation, 0u);
  ASSERT_EQ(dataplane_->notes().size(), 1u);
  // The next publish replaces it, and the note goes.
  ASSERT_TRUE(publish(make_state(4, {1})).ok());
  EXPECT_TRUE(dataplane_->notes().empty());
  file_->flush();
  EXPECT_TRUE(decode_state(read_file(path)).ok());
}

TEST_F(DataplaneTest, AnotherVersionsFileIsRefusedByName) {
  std::string bytes = encode_state(make_state(3, {1}));
  bytes[11] = 9;
  const Result<core::NodeState> read = decode_state(bytes);
  ASSERT_FALSE(read.ok());
  EXPECT_NE(read.error().what.find("version 9"), std::string::npos);
}

TEST_F(DataplaneTest, OfManyStatesTheNewestIsOnDisk) {
  for (uint64_t generation = 1; generation <= 200; ++generation)
    ASSERT_TRUE(publish(make_state(generation, {1})).ok());
  file_->flush();
  EXPECT_EQ(decode_state(read_file(file_->path()))->generation, 200u);
  EXPECT_FALSE(std::filesystem::exists(file_->path() + ".new"));
}

TEST_F(DataplaneTest, ADiskThatCannotBeWrittenIsANoteNotAStop) {
  std::filesystem::remove_all(directory_);
  ASSERT_TRUE(publish(make_state(1, {1})).ok());
  file_->flush();
  ASSERT_EQ(dataplane_->notes().size(), 1u);
  EXPECT_NE(dataplane_->notes()[0].find(file_->path()), std::string::npos);
}

}  // namespace
}  // namespace fairlead::daemon
