#include "controlplane/agent/publisher.hpp"

#include "tests/agent/fake_dataplane.hpp"

#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/write.hpp>

#include <fstream>

namespace fairlead::control {
namespace {

using namespace std::chrono_literals;

core::IpAddress ip(const std::string& text) {
  return core::IpAddress::parse(text).value();
}

// A state with one peer per entry of `nodes`, each with 10.1.<entry>.0/24.
core::NodeState state_of(const std::vector<int>& nodes, uint16_t mtu = 1450,
                         const std::string& mode = "Overlay") {
  core::NodeState state;
  state.settings.node = "n1";
  state.settings.mode = mode;
  state.settings.pod_mtu = mtu;
  state.settings.vtep4 = ip("192.0.2.1");
  for (const int n : nodes) {
    core::Peer peer;
    peer.id = static_cast<core::PeerId>(n);
    peer.node = "n" + std::to_string(n);
    peer.vtep = ip("192.0.2." + std::to_string(n));
    peer.vtep_mac = core::default_vtep_mac(peer.vtep);
    peer.next_hop4 = peer.vtep;
    peer.pod_cidrs = {core::Prefix::parse("10.1." + std::to_string(n) + ".0/24").value()};
    state.routes[peer.pod_cidrs[0]] = {core::RouteKind::kPeer, peer.id};
    state.peers[peer.id] = peer;
  }
  return state;
}

class PublisherTest : public ::testing::Test {
 protected:
  void make() {
    Publisher::Hooks hooks;
    hooks.dataplane_has = [this](const core::NodeState& state) { seen_.push_back(state); };
    hooks.set_pod_mtu = [this](uint16_t mtu) -> Result<void> {
      log_.push_back("mtu " + std::to_string(mtu));
      if (mtu_fails_) return Error{"FL4301", "no"};
      return {};
    };
    hooks.changed = [] {};
    auto made = Publisher::create(io_, socket(), scratch_.path() + "/generation", std::move(hooks));
    ASSERT_TRUE(made.ok()) << made.error().text();
    publisher_ = std::move(*made);
    dataplane_.on_publish = [this](const core::NodeStateDelta& delta) {
      log_.push_back("publish " + std::to_string(delta.from_generation) + ">" +
                     std::to_string(delta.to_generation));
    };
  }
  void SetUp() override {
    make();
    dataplane_.start();
  }
  // What kill -9 leaves: nothing but the files.
  void restart_agent() {
    publisher_.reset();
    make();
  }
  [[nodiscard]] std::string socket() const { return scratch_.path() + "/dataplane.sock"; }
  ::testing::AssertionResult programmed() {
    return run_until(io_, [this] { return publisher_->is_programmed(); });
  }

  ScratchDirectory scratch_;
  boost::asio::io_context io_{1};
  FakeDataplane dataplane_{io_, socket()};
  std::unique_ptr<Publisher> publisher_;
  std::vector<core::NodeState> seen_;
  std::vector<std::string> log_;
  bool mtu_fails_ = false;
};

TEST_F(PublisherTest, AFreshDataplaneGetsTheFullState) {
  publisher_->want(state_of({2, 3}));
  EXPECT_EQ(publisher_->wanted().generation, 0u) << "not numbered before the dataplane was asked";
  publisher_->start();
  ASSERT_TRUE(programmed());
  ASSERT_EQ(dataplane_.published.size(), 1u);
  EXPECT_EQ(dataplane_.published[0].from_generation, 0u);
  EXPECT_EQ(dataplane_.state, publisher_->wanted());
  EXPECT_EQ(publisher_->programmed_generation(), 1u);
  publisher_->want(state_of({2, 3, 4}));
  ASSERT_TRUE(programmed());
  EXPECT_EQ(dataplane_.published.back().from_generation, 1u);
  EXPECT_EQ(dataplane_.published.back().upsert_peers.size(), 1u) << "only what changed";
  publisher_->want(state_of({2, 3, 4}));
  EXPECT_EQ(publisher_->wanted().generation, 2u) << "the same content is not a new generation";
}

TEST_F(PublisherTest, ARestartOfTheAgentPublishesNothing) {
  publisher_->want(state_of({2}));
  publisher_->start();
  ASSERT_TRUE(programmed());
  const size_t before = dataplane_.published.size();
  restart_agent();
  publisher_->start();
  publisher_->want(state_of({2}));
  ASSERT_TRUE(programmed());
  EXPECT_EQ(dataplane_.published.size(), before);
  EXPECT_EQ(publisher_->programmed_generation(), 1u) << "the number stays, too";
  ASSERT_EQ(seen_.size(), 1u);
  EXPECT_EQ(seen_[0], dataplane_.state);
  publisher_->want(state_of({2, 3}));
  ASSERT_TRUE(programmed());
  EXPECT_EQ(publisher_->programmed_generation(), 2u);
}

std::shared_ptr<const core::Service> service(core::ServiceId id, uint16_t port = 80) {
  auto s = std::make_shared<core::Service>();
  s->id = id;
  s->service_namespace = "default";
  s->name = "web-" + std::to_string(id);
  s->protocol = 6;
  s->frontends = {{core::FrontendKind::kClusterIp, ip("10.96.0.1"), port}};
  return s;
}

TEST_F(PublisherTest, AChangeOfServicesIsAllThatIsSent) {
  const core::NodeState base = state_of({2});
  ServiceChanges changes;
  for (core::ServiceId id = 1; id <= 50; ++id) changes.upserts.push_back(service(id));
  publisher_->want(&base, changes);
  publisher_->start();
  ASSERT_TRUE(programmed());
  EXPECT_EQ(dataplane_.state.services.size(), 50u);
  changes = {};
  changes.upserts = {service(7, 81), service(51)};
  changes.removals = {9};
  publisher_->want(nullptr, changes);
  ASSERT_TRUE(programmed());
  EXPECT_EQ(dataplane_.published.back().upsert_services.size(), 2u);
  EXPECT_EQ(dataplane_.published.back().remove_services, std::vector<core::ServiceId>{9});
  EXPECT_FALSE(dataplane_.published.back().has_settings);
  EXPECT_EQ(dataplane_.state, publisher_->wanted());
  const uint64_t generation = publisher_->programmed_generation();
  publisher_->want(&base, {});
  EXPECT_EQ(publisher_->wanted().generation, generation) << "nothing changed";
  const core::NodeState more = state_of({2, 3});
  publisher_->want(&more, {});
  ASSERT_TRUE(programmed());
  EXPECT_TRUE(dataplane_.published.back().upsert_services.empty());
  EXPECT_EQ(dataplane_.state, publisher_->wanted());
}

TEST_F(PublisherTest, ServicesInPagesAndPartsSurviveARestartOfEitherSide) {
  dataplane_.part_bytes = 200;  // many pages
  const core::NodeState base = state_of({2});
  ServiceChanges changes;
  for (core::ServiceId id = 1; id <= 50; ++id) changes.upserts.push_back(service(id));
  publisher_->want(&base, changes);
  publisher_->start();
  ASSERT_TRUE(programmed());
  const size_t before = dataplane_.published.size();
  const core::NodeState wanted = publisher_->wanted();
  restart_agent();
  publisher_->start();
  publisher_->want(wanted);
  ASSERT_TRUE(programmed());
  EXPECT_EQ(dataplane_.published.size(), before) << "it has them all";
  ASSERT_EQ(seen_.size(), 1u);
  EXPECT_EQ(seen_[0], dataplane_.state);
  dataplane_.stop();
  ASSERT_TRUE(run_until(io_, [this] { return !publisher_->is_connected(); }));
  changes = {};
  changes.removals = {1};
  publisher_->want(nullptr, changes);
  dataplane_.start();
  ASSERT_TRUE(programmed());
  EXPECT_EQ(dataplane_.state, publisher_->wanted());
  EXPECT_EQ(dataplane_.published.back().remove_services, std::vector<core::ServiceId>{1});
}

TEST_F(PublisherTest, ARefusedChangeOfServicesIsSentAgainWhole) {
  const core::NodeState base = state_of({2});
  publisher_->want(&base, {});
  publisher_->start();
  ASSERT_TRUE(programmed());
  dataplane_.refuse = Error{"FL2110", "no"};
  ServiceChanges changes;
  changes.upserts = {service(1)};
  publisher_->want(nullptr, changes);
  ASSERT_TRUE(run_until(io_, [this] { return publisher_->problem().has_value(); }));
  dataplane_.refuse.reset();
  changes.upserts = {service(2)};
  publisher_->want(nullptr, changes);
  ASSERT_TRUE(programmed());
  EXPECT_EQ(dataplane_.state.services.size(), 2u);
}

TEST_F(PublisherTest, NumbersNeverGoBackWhenTheAgentIsKilled) {
  publisher_->want(state_of({2}));
  publisher_->start();
  ASSERT_TRUE(programmed());
  dataplane_.stop();
  ASSERT_TRUE(run_until(io_, [this] { return !publisher_->is_connected(); }));
  for (int n = 3; n < 9; ++n) publisher_->want(state_of({2, n}));  // 2 .. 7 were told to people
  EXPECT_EQ(publisher_->wanted().generation, 7u);
  restart_agent();
  publisher_->want(state_of({2, 20}));
  publisher_->start();
  dataplane_.start();
  ASSERT_TRUE(programmed());
  EXPECT_EQ(publisher_->programmed_generation(), 8u);
}

TEST_F(PublisherTest, ALostStateDirectoryIsMadeGoodByTheDataplane) {
  dataplane_.state = state_of({2});
  dataplane_.state.generation = 41;
  publisher_->want(state_of({3}));
  publisher_->start();
  ASSERT_TRUE(programmed());
  EXPECT_EQ(publisher_->programmed_generation(), 42u);
  EXPECT_EQ(dataplane_.published[0].from_generation, 41u);
  EXPECT_EQ(dataplane_.published[0].remove_peers, std::vector<core::PeerId>{2});
}

TEST_F(PublisherTest, ARestartOfTheDataplaneIsMadeGood) {
  publisher_->want(state_of({2}));
  publisher_->start();
  ASSERT_TRUE(programmed());
  publisher_->want(state_of({2, 3}));
  ASSERT_TRUE(programmed());
  dataplane_.stop();
  dataplane_.state = {};  // it lost everything
  ASSERT_TRUE(run_until(io_, [this] { return !publisher_->is_connected(); }));
  dataplane_.start();
  ASSERT_TRUE(run_until(io_, [this] { return dataplane_.state.generation == 2; }));
  EXPECT_EQ(dataplane_.published.back().from_generation, 0u);
  EXPECT_EQ(dataplane_.state, publisher_->wanted());

  dataplane_.stop();  // back with a state of long ago
  dataplane_.state = state_of({2});
  dataplane_.state.generation = 1;
  ASSERT_TRUE(run_until(io_, [this] { return !publisher_->is_connected(); }));
  dataplane_.start();
  ASSERT_TRUE(run_until(io_, [this] { return dataplane_.state.generation == 2; }));
  EXPECT_EQ(dataplane_.published.back().from_generation, 1u);
  EXPECT_EQ(dataplane_.published.back().upsert_peers.size(), 1u);
}

TEST_F(PublisherTest, AnUninvitedStateIsReplaced) {
  publisher_->want(state_of({2}));
  publisher_->start();
  ASSERT_TRUE(programmed());
  dataplane_.stop();
  dataplane_.state = state_of({7});  // somebody else published the same number
  dataplane_.state.generation = 1;
  ASSERT_TRUE(run_until(io_, [this] { return !publisher_->is_connected(); }));
  dataplane_.start();
  ASSERT_TRUE(run_until(io_, [this] { return dataplane_.state == publisher_->wanted(); }));
  EXPECT_EQ(dataplane_.state.generation, 2u);
}

TEST_F(PublisherTest, ADataplaneThatComesLaterIsWaitedFor) {
  dataplane_.stop();
  publisher_->want(state_of({2}));
  publisher_->start();
  ASSERT_TRUE(run_until(io_, [this] { return publisher_->problem().has_value(); }));
  EXPECT_EQ(publisher_->problem()->code, "FL5020");
  EXPECT_NE(publisher_->problem()->what.find(socket()), std::string::npos);
  dataplane_.start();
  ASSERT_TRUE(programmed());
  EXPECT_FALSE(publisher_->problem().has_value());
}

TEST_F(PublisherTest, ARefusalIsSaidAndTriedAgain) {
  publisher_->want(state_of({2}));
  publisher_->start();
  ASSERT_TRUE(programmed());
  dataplane_.refuse = Error{"FL2102", "the table is full", "make room"};
  publisher_->want(state_of({2, 3}));
  ASSERT_TRUE(run_until(io_, [this] { return publisher_->problem().has_value(); }));
  EXPECT_EQ(publisher_->problem()->code, "FL5021");
  EXPECT_EQ(publisher_->problem()->what, "the dataplane refused generation 2: the table is full");
  EXPECT_EQ(publisher_->programmed_generation(), 1u);
  EXPECT_FALSE(publisher_->is_programmed());
  dataplane_.refuse.reset();
  ASSERT_TRUE(programmed());
  EXPECT_EQ(publisher_->programmed_generation(), 2u);
  EXPECT_FALSE(publisher_->problem().has_value());
}

TEST_F(PublisherTest, NewerWishesOvertakeOlderOnes) {
  publisher_->start();
  publisher_->want(state_of({2}));
  ASSERT_TRUE(programmed());
  const size_t before = dataplane_.published.size();
  for (int n = 3; n < 103; ++n) publisher_->want(state_of({2, n}));
  ASSERT_TRUE(programmed());
  EXPECT_LE(dataplane_.published.size() - before, 2u);
  EXPECT_EQ(dataplane_.state, publisher_->wanted());
  EXPECT_EQ(dataplane_.state.generation, 101u);
}

TEST_F(PublisherTest, PodsMtuGoesDownBeforeAndUpAfter) {
  publisher_->start();
  publisher_->want(state_of({2}, 1500, "Routed"));
  ASSERT_TRUE(programmed());
  EXPECT_EQ(log_, (std::vector<std::string>{"mtu 1500", "publish 0>1"}));
  log_.clear();
  publisher_->want(state_of({2}, 1450, "Overlay"));
  EXPECT_EQ(publisher_->pod_mtu(), 1450);
  ASSERT_TRUE(programmed());
  EXPECT_EQ(log_, (std::vector<std::string>{"mtu 1450", "publish 1>2"}));
  log_.clear();
  publisher_->want(state_of({2}, 1500, "Routed"));
  EXPECT_EQ(publisher_->pod_mtu(), 1450) << "a pod that comes now takes the smaller one";
  ASSERT_TRUE(programmed());
  EXPECT_EQ(log_, (std::vector<std::string>{"publish 2>3", "mtu 1500"}));
  EXPECT_EQ(publisher_->pod_mtu(), 1500);
}

TEST_F(PublisherTest, AKillInTheMiddleOfASwitchIsRepaired) {
  publisher_->start();
  publisher_->want(state_of({2}, 1500, "Routed"));
  ASSERT_TRUE(programmed());
  restart_agent();
  log_.clear();
  publisher_->want(state_of({2}, 1500, "Routed"));
  publisher_->start();
  ASSERT_TRUE(programmed());
  EXPECT_EQ(log_, std::vector<std::string>{"mtu 1500"}) << "what pods have is not known: set, once";
  restart_agent();
  log_.clear();
  publisher_->want(state_of({2}, 1450, "Overlay"));
  publisher_->start();
  ASSERT_TRUE(programmed());
  EXPECT_EQ(log_, (std::vector<std::string>{"mtu 1450", "publish 1>2"}));
}

TEST_F(PublisherTest, AnMtuThatCannotBeSetIsTriedAgain) {
  publisher_->start();
  publisher_->want(state_of({2}, 1450));
  ASSERT_TRUE(programmed());
  mtu_fails_ = true;
  publisher_->want(state_of({2}, 1500));
  ASSERT_TRUE(run_until(io_, [this] { return publisher_->problem().has_value(); }));
  EXPECT_EQ(publisher_->programmed_generation(), 2u);
  mtu_fails_ = false;
  ASSERT_TRUE(run_until(io_, [this] { return !publisher_->problem().has_value(); }));
  EXPECT_EQ(publisher_->pod_mtu(), 1500);
}

TEST_F(PublisherTest, WaitingForGenerations) {
  std::vector<std::string> answers;
  const auto answer = [&](const std::string& name) {
    return [&answers, name](const Result<void>& result) {
      answers.push_back(name + (result ? " ok" : " " + result.error().code));
    };
  };
  (void)publisher_->wait(0, 5s, answer("first"));
  publisher_->start();
  run_for(io_, 30ms);
  EXPECT_TRUE(answers.empty()) << "nothing is wanted yet, so nothing is programmed";
  publisher_->want(state_of({2}));
  ASSERT_TRUE(run_until(io_, [&] { return answers.size() == 1; }));
  (void)publisher_->wait(0, 5s, answer("now"));
  EXPECT_EQ(answers.size(), 1u) << "never within the call";
  ASSERT_TRUE(run_until(io_, [&] { return answers.size() == 2; }));
  (void)publisher_->wait(9, 30ms, answer("never"));
  ASSERT_TRUE(run_until(io_, [&] { return answers.size() == 3; }));
  const auto cancelled = publisher_->wait(9, 1ms, answer("cancelled"));
  publisher_->cancel(cancelled);
  run_for(io_, 30ms);
  (void)publisher_->wait(2, 5s, answer("second"));
  publisher_->want(state_of({2, 3}));
  ASSERT_TRUE(run_until(io_, [&] { return answers.size() == 4; }));
  EXPECT_EQ(answers, (std::vector<std::string>{"first ok", "now ok", "never FL5024", "second ok"}));
}

TEST_F(PublisherTest, AnAnswerThatIsLostWithTheConnectionIsAskedFor) {
  publisher_->start();
  publisher_->want(state_of({2}));
  ASSERT_TRUE(programmed());
  dataplane_.is_silent = true;
  publisher_->want(state_of({2, 3}));
  ASSERT_TRUE(run_until(io_, [this] { return dataplane_.published.size() == 2; }));
  // It did apply it, and died before it could say so.
  ASSERT_EQ(core::apply(dataplane_.state, dataplane_.published.back()), "");
  dataplane_.stop();
  dataplane_.is_silent = false;
  ASSERT_TRUE(run_until(io_, [this] { return !publisher_->is_connected(); }));
  dataplane_.start();
  ASSERT_TRUE(programmed());
  EXPECT_EQ(dataplane_.published.size(), 2u) << "not published a second time";
  EXPECT_EQ(publisher_->programmed_generation(), 2u);
}

TEST_F(PublisherTest, GarbageEndsTheConnectionNotTheAgent) {
  dataplane_.stop();
  namespace asio = boost::asio;
  using Local = asio::local::stream_protocol;
  std::filesystem::remove(socket());
  Local::acceptor acceptor(io_, Local::endpoint(socket()));
  std::vector<Local::socket> taken;
  int accepted = 0;
  std::function<void()> accept = [&] {
    acceptor.async_accept([&](const boost::system::error_code& error, Local::socket peer) {
      if (error) return;
      const std::string frames[] = {std::string("\xff\xff\xff\xff", 4),
                                    std::string("\0\0\0\3\xff\xff\xff", 7), ""};
      asio::write(peer, asio::buffer(frames[accepted++ % 3]));
      if (accepted % 3 != 0) taken.push_back(std::move(peer));
      accept();
    });
  };
  accept();
  publisher_->want(state_of({2}));
  publisher_->start();
  ASSERT_TRUE(run_until(io_, [&] { return accepted >= 3; }));
  acceptor.close();
  taken.clear();
  std::filesystem::remove(socket());
  dataplane_.start();
  ASSERT_TRUE(programmed());
}

TEST_F(PublisherTest, AGenerationFileThatIsNoNumberCountsAsNone) {
  std::ofstream(scratch_.path() + "/generation") << "12x\n";
  restart_agent();
  publisher_->want(state_of({2}));
  publisher_->start();
  ASSERT_TRUE(programmed());
  EXPECT_EQ(publisher_->programmed_generation(), 1u);
}

}  // namespace
}  // namespace fairlead::control
