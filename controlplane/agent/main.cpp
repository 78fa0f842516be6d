#include "controlplane/agent/agent.hpp"
#include "controlplane/agent/service.hpp"
#include "dataplane/base/diagnostic.hpp"
#include "dataplane/base/version.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <spdlog/spdlog.h>

#include <csignal>
#include <cstdio>
#include <exception>
#include <filesystem>
#include <string>
#include <utility>  // Asio 1.74 uses std::exchange without it
#include <vector>

namespace {

using namespace fairlead;
using namespace fairlead::control;

constexpr int kFailed = 1, kUsage = 2;

// Until a signal ends it. Errors: whatever hinders the start.
Result<void> run(const AgentOptions& options) {
  boost::asio::io_context io(1);
  std::error_code made;
  std::filesystem::create_directories(options.run_dir, made);  // what went wrong, the server says
  // The lock first: a second agent must not touch anything.
  Result<ipc::Server> server = ipc::Server::open(
      io, {.socket = options.run_dir + "/agent.sock", .process = "fairlead-agent", .extra_uids = {}});
  if (!server) return server.error();
  Result<std::unique_ptr<Agent>> agent = Agent::create(io, options);
  if (!agent) return agent.error();
  Result<std::unique_ptr<PodService>> pods = make_pod_service(
      io, **agent, {.state_dir = options.state_dir, .run_dir = options.run_dir, .bpf_dir = options.bpf_dir});
  if (!pods) return pods.error();
  if (Result<void> started = (*agent)->start(**pods); !started) return started;
  AgentServer answers(**agent, **pods);
  Result<void> serving = server->serve(
      [&](const rpc::Request& request, const ipc::Reply& reply) { answers.handle(request, reply); });
  if (!serving) return serving;
  spdlog::info("node {}: following {}", options.node, options.manifests);

  boost::asio::signal_set signals(io, SIGTERM, SIGINT);
  signals.async_wait([&](const boost::system::error_code& error, int signal) {
    if (error) return;
    spdlog::info("ending on signal {}: the dataplane goes on", signal);
    server->stop();
    io.stop();
  });
  io.run();
  return {};
}

int fairlead_agent(int argc, char** argv) {
  const Result<AgentOptions> options = parse_agent_options(std::vector<std::string>(argv + 1, argv + argc));
  if (!options) {
    std::fputs(render(options.error()).c_str(), stderr);
    return kUsage;
  }
  if (options->show_version) {
    std::printf("fairlead-agent %s\n", std::string(kVersion).c_str());
    return 0;
  }
  if (options->show_help) {
    std::printf(
        "fairlead-agent: the control plane of one node.\n\nusage: fairlead-agent --manifests DIR "
        "[options]\n\n%s",
        options_help(agent_option_table()).c_str());
    return 0;
  }
  start_log("fairlead-agent", options->log_format, options->verbose);
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGHUP, SIG_IGN);
  const Result<void> ended = run(*options);
  if (ended) return 0;
  std::fputs(render(ended.error()).c_str(), stderr);
  return kFailed;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return fairlead_agent(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "error: fairlead-agent ended: %s\n", error.what());
    return kFailed;
  }
}
