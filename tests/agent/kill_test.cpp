#include "tests/agent/fake_dataplane.hpp"
#include "tests/host/netns_fixture.hpp"

#include <csignal>
#include <fstream>
#include <random>
#include <sys/wait.h>

// The real program, killed -9 again and again while the manifests change under it. The dataplane (faked, the
// protocol is real) must never be told to forget what was there all the time, and in the end has what a start
// from scratch gives it.

namespace fairlead::control {
namespace {

using namespace std::chrono_literals;

class KillTest : public NodeTest {
 protected:
  void SetUp() override {
    NodeTest::SetUp();
    if (IsSkipped()) return;
    std::filesystem::create_directory(manifests());
    for (const char* arguments : {"link add u0 type veth peer name u0p", "link set u0p up", "link set u0 up",
                                  "addr add 192.0.2.1/24 dev u0"}) {
      EXPECT_EQ(ip(arguments), "");
    }
    write_node(1);
    write_node(2);
  }

  [[nodiscard]] std::string manifests() const { return scratch_.path() + "/manifests"; }
  void write_node(int n) const {
    const std::string i = std::to_string(n);
    std::ofstream(manifests() + "/.new")
        << "apiVersion: v1\nkind: Node\nmetadata: {name: n" + i + "}\nspec: {podCIDRs: [10.1." + i +
               ".0/24]}\nstatus: {addresses: [{type: InternalIP, address: 192.0.2." + i + "}]}\n";
    std::filesystem::rename(manifests() + "/.new", manifests() + "/n" + i + ".yaml");
  }

  [[nodiscard]] pid_t start_agent(const std::string& run, const std::string& state) const {
    const pid_t child = ::fork();
    if (child != 0) return child;
    const std::string log = scratch_.path() + "/agent.log";
    if (std::freopen(log.c_str(), "a", stderr) == nullptr) ::_exit(127);
    ::execl(FL_AGENT_PROGRAM, "fairlead-agent", "--node", "n1", "--manifests", manifests().c_str(),
            "--run-dir", run.c_str(), "--state-dir", state.c_str(), nullptr);
    ::_exit(127);
  }
  static int end(pid_t agent, int signal) {
    ::kill(agent, signal);
    int status = 0;
    ::waitpid(agent, &status, 0);
    return status;
  }

  // Ids differ with history; who is reached how does not.
  static std::string meaning(const core::NodeState& state) {
    std::string text = state.settings.mode + " " + std::to_string(state.settings.pod_mtu) + "\n";
    for (const auto& [prefix, target] : state.routes) {
      text += prefix.text() + " ";
      if (target.kind == core::RouteKind::kPeer)
        text += state.peers.at(static_cast<core::PeerId>(target.target)).node;
      text += " " + std::to_string(static_cast<int>(target.kind)) + "\n";
    }
    return text;
  }

  ScratchDirectory scratch_;
  boost::asio::io_context io_{1};
};

TEST_F(KillTest, AnyNumberOfKillsEndsAsAStartFromScratch) {
  const std::string run = scratch_.path() + "/run";
  const std::string state = scratch_.path() + "/state";
  std::filesystem::create_directory(run);
  FakeDataplane dataplane(io_, run + "/dataplane.sock");
  bool knows_n2 = false;
  dataplane.on_publish = [&](const core::NodeStateDelta& delta) {
    for (const core::PeerId id : delta.remove_peers) EXPECT_NE(dataplane.state.peers.at(id).node, "n2");
    if (delta.from_generation == 0) {
      EXPECT_FALSE(knows_n2) << "a full state over one that is there";
    }
    EXPECT_GT(delta.to_generation, dataplane.state.generation);
    for (const core::Peer& peer : delta.upsert_peers) knows_n2 |= peer.node == "n2";
  };
  dataplane.start();

  std::mt19937 random(20);
  std::uniform_int_distribution<int> pause(0, 80);
  for (int turn = 0; turn < 25; ++turn) {
    const pid_t agent = start_agent(run, state);
    ASSERT_GT(agent, 0);
    for (int change = 0; change < 3; ++change) {
      run_for(io_, std::chrono::milliseconds(pause(random)));
      const int n = 3 + pause(random) % 4;
      if (!std::filesystem::remove(manifests() + "/n" + std::to_string(n) + ".yaml")) write_node(n);
    }
    run_for(io_, std::chrono::milliseconds(pause(random)));
    const int status = end(agent, SIGKILL);
    ASSERT_TRUE(WIFSIGNALED(status)) << "it ended by itself";
  }
  ASSERT_TRUE(knows_n2) << "no life was long enough to publish anything";

  // From scratch, with nothing remembered anywhere.
  const std::string fresh_run = scratch_.path() + "/fresh";
  std::filesystem::create_directory(fresh_run);
  FakeDataplane fresh(io_, fresh_run + "/dataplane.sock");
  fresh.start();
  const pid_t agent = start_agent(run, state);
  const pid_t other = start_agent(fresh_run, scratch_.path() + "/fresh-state");
  const bool is_same = run_until(
      io_, [&] { return fresh.state.generation != 0 && meaning(fresh.state) == meaning(dataplane.state); });
  EXPECT_TRUE(is_same) << meaning(fresh.state) << "but after the kills\n" << meaning(dataplane.state);
  for (const pid_t running : {agent, other}) {
    const int status = end(running, SIGTERM);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << "SIGTERM is a clean end";
  }
}

}  // namespace
}  // namespace fairlead::control
