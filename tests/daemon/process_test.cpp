// The real program with the memory engine: start, state over restarts, a second instance, an agent that dies.
#include "dataplane/rpc/client.hpp"
#include "dataplane/rpc/convert.hpp"
#include "tests/daemon/fakes.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>

extern char** environ;

namespace fairlead::daemon {
namespace {

using namespace std::chrono_literals;
using Answer = rpc::Response::AnswerCase;

class ProcessTest : public testing::Test {
 protected:
  ProcessTest() : directory_(make_temporary_directory()) {}
  ~ProcessTest() override {
    if (pid_ > 0) end(SIGKILL);
    std::filesystem::remove_all(directory_);
  }

  pid_t spawn(std::vector<std::string> extra = {}) {
    std::vector<std::string> arguments = {FL_DATAPLANE_PROGRAM, "--engine",          "memory",
                                          "--run-dir",          directory_ + "/run", "--state-dir",
                                          directory_ + "/state"};
    arguments.insert(arguments.end(), extra.begin(), extra.end());
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 2, log_path().c_str(), O_WRONLY | O_CREAT | O_APPEND, 0600);
    pid_t pid = -1;
    EXPECT_EQ(posix_spawn(&pid, argv[0], &actions, nullptr, argv.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    return pid;
  }
  void start() {
    pid_ = spawn();
    for (int i = 0; i < 2000 && !status().ok(); ++i) std::this_thread::sleep_for(10ms);
    ASSERT_TRUE(status().ok()) << log();
  }
  int end(int signal) {
    kill(pid_, signal);
    return wait_for(std::exchange(pid_, -1));
  }
  static int wait_for(pid_t pid) {
    int status = 0;
    waitpid(pid, &status, 0);
    return status;
  }

  std::string log_path() const { return directory_ + "/log"; }
  std::string log() const {
    std::ifstream file(log_path());
    return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  }
  ipc::ClientOptions client_options() const {
    ipc::ClientOptions options;
    options.run_dir = directory_ + "/run";
    return options;
  }
  Result<rpc::Response> status() const {
    rpc::Request request;
    request.mutable_dataplane_status();
    return ipc::ask(client_options(), request, Answer::kDataplaneStatus);
  }
  static rpc::Request publish_request(const core::NodeState& from, const core::NodeState& to) {
    rpc::Request request;
    *request.mutable_publish()->mutable_delta() = ipc::to_message(core::diff(from, to));
    return request;
  }
  core::NodeState state() const {
    rpc::Request request;
    request.mutable_get_state();
    const Result<rpc::Response> response = ipc::ask(client_options(), request, Answer::kState);
    return response ? ipc::from_message(response->state()).value() : core::NodeState{};
  }

  std::string directory_;
  pid_t pid_ = -1;
};

TEST_F(ProcessTest, ARestartHasTheStateAgain) {
  start();
  const core::NodeState wanted = make_state(5, {1, 2});
  ASSERT_TRUE(ipc::ask(client_options(), publish_request({}, wanted), Answer::kPublish).ok()) << log();
  const int ended = end(SIGTERM);
  EXPECT_TRUE(WIFEXITED(ended) && WEXITSTATUS(ended) == 0) << log();
  EXPECT_FALSE(std::filesystem::exists(directory_ + "/run/dataplane.sock"));
  start();
  EXPECT_TRUE(state() == wanted);
  EXPECT_EQ(status()->dataplane_status().generation(), 5u);
}

TEST_F(ProcessTest, KilledItLeavesNothingThatStopsTheNext) {
  start();
  ASSERT_TRUE(ipc::ask(client_options(), publish_request({}, make_state(5, {1})), Answer::kPublish).ok());
  end(SIGKILL);
  EXPECT_TRUE(std::filesystem::exists(directory_ + "/run/dataplane.sock"));
  start();  // over the stale socket
  const uint64_t generation = state().generation;
  EXPECT_TRUE(generation == 5 || generation == 0);  // the disk is written behind the answer
}

TEST_F(ProcessTest, ASecondInstanceSaysWhoIsThere) {
  start();
  const int second = wait_for(spawn());
  EXPECT_TRUE(WIFEXITED(second) && WEXITSTATUS(second) == 1);
  EXPECT_NE(log().find("error[FL5052]: fairlead-dataplane runs already (pid " + std::to_string(pid_) + ")"),
            std::string::npos)
      << log();
  EXPECT_TRUE(status().ok());
}

TEST_F(ProcessTest, AnAgentThatDiesInTheMiddleChangesNothing) {
  start();
  ASSERT_TRUE(ipc::ask(client_options(), publish_request({}, make_state(5, {1})), Answer::kPublish).ok());
  // The agent: connects, sends half a request, is gone.
  for (int i = 0; i < 20; ++i) {
    const pid_t agent = fork();
    ASSERT_GE(agent, 0);
    if (agent == 0) {
      Result<ipc::Client> client = ipc::Client::connect(client_options());
      if (!client) _exit(1);
      const std::string half = publish_request(make_state(5, {1}), make_state(6, {1, 2})).SerializeAsString();
      const char header[4] = {0, 0, static_cast<char>(half.size() >> 8), static_cast<char>(half.size())};
      (void)!write(client->descriptor(), header, 4);
      (void)!write(client->descriptor(), half.data(), half.size() * static_cast<size_t>(i) / 20);
      kill(getpid(), SIGKILL);
    }
    wait_for(agent);
  }
  EXPECT_TRUE(state() == make_state(5, {1}));
  ASSERT_TRUE(
      ipc::ask(client_options(), publish_request(make_state(5, {1}), make_state(6, {1, 2})), Answer::kPublish)
          .ok());
  EXPECT_TRUE(state() == make_state(6, {1, 2}));
}

TEST_F(ProcessTest, TheCommandLineIsStrict) {
  const int code = wait_for(spawn({"--workers", "-1"}));
  EXPECT_TRUE(WIFEXITED(code) && WEXITSTATUS(code) == 2);
  EXPECT_NE(log().find("error[FL6001]"), std::string::npos);
}

TEST_F(ProcessTest, LogsJsonWhenAskedFor) {
  pid_ = spawn({"--log-format", "json"});
  for (int i = 0; i < 2000 && !status().ok(); ++i) std::this_thread::sleep_for(10ms);
  end(SIGTERM);
  const std::string lines = log();
  EXPECT_TRUE(lines.starts_with("{\"time\":\"")) << lines;
  EXPECT_NE(lines.find("\"process\":\"fairlead-dataplane\""), std::string::npos);
}

}  // namespace
}  // namespace fairlead::daemon
