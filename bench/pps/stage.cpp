#include "bench/pps/stage.hpp"

#include "bench/pps/ovs.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <sched.h>
#include <unistd.h>
#include <utility>

namespace fairlead::bench {
namespace {

constexpr const char* kControlCpu = "1";
constexpr const char* kMeasuredCpu = "0";

std::vector<std::string> eal_words(const std::string& program, const std::string& plugin,
                                   const std::string& prefix) {
  return {program,
          "-l",
          std::string(kMeasuredCpu) + "," + kControlCpu,
          "--main-lcore",
          kControlCpu,
          "--no-pci",
          "--no-huge",
          "-m",
          "256",
          "--no-telemetry",
          "--no-shconf",
          "--file-prefix=" + prefix,
          "-d",
          plugin};
}

}  // namespace

std::string own_program() {
  std::error_code ignored;
  return std::filesystem::read_symlink("/proc/self/exe", ignored);
}

void stay_off_the_measured_cpu() {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(1, &cpus);
  static_cast<void>(sched_setaffinity(0, sizeof cpus, &cpus));
}

Result<Stage> Stage::open(const std::string& program) {
  const std::filesystem::path plugin =
      std::filesystem::path(program).parent_path().parent_path() / "lib/librte_net_replay.so";
  std::string folder = "/run/fairlead-bench.XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) {
    return Error{"FL6104", folder + " cannot be made: " + std::strerror(errno), "run it as root"};
  }
  Stage stage(program, folder);
  // Where DPDK's programs keep what they share; otherwise a folder of each stays below /var/run/dpdk.
  setenv("RUNTIME_DIRECTORY", folder.c_str(), 1);
  std::error_code error;
  std::filesystem::copy_file(plugin, stage.plugin(), error);
  if (error) return Error{"FL6104", plugin.string() + ": " + error.message(), "build the target net_replay"};
  return stage;
}

Stage::Stage(Stage&& other) noexcept
    : program_(std::move(other.program_)), folder_(std::exchange(other.folder_, "")), turn_(other.turn_) {}

Stage::~Stage() {
  std::error_code ignored;
  if (!folder_.empty()) std::filesystem::remove_all(folder_, ignored);
}

Contestant::Command Stage::ours(const Load& load, const std::string& break_what) {
  ++turn_;
  Contestant::Command command;
  command.name = std::string(load.path->name);
  command.pages = {file("source"), file("sink")};
  command.log = file("log");
  command.cpus = load.workers;
  command.answers = true;
  command.words = {program_,
                   "--serve",
                   std::string(load.path->name),
                   "--plugin",
                   plugin(),
                   "--source-page",
                   file("source"),
                   "--sink-page",
                   file("sink"),
                   "--flows",
                   std::to_string(load.flows),
                   "--size",
                   load.size,
                   "--workers",
                   std::to_string(load.workers),
                   "--burst",
                   std::to_string(load.burst),
                   "--routes",
                   std::to_string(load.routes),
                   "--services",
                   std::to_string(load.services),
                   "--backends",
                   std::to_string(load.backends)};
  if (load.paced) command.words.emplace_back("--paced");
  if (!break_what.empty()) command.words.insert(command.words.end(), {"--break", break_what});
  return command;
}

Contestant::Command Stage::testpmd(const std::string& mode, const Load& load) {
  ++turn_;
  Contestant::Command command;
  command.name = "testpmd " + mode;
  command.pages = {file("page")};
  command.log = file("log");
  const std::string form = replay::text(load.path->in);
  command.words = eal_words("dpdk-testpmd", plugin(),
                            "fl-bench-" + std::to_string(getpid()) + "-" + std::to_string(turn_));
  const std::vector<std::string> rest = {
      "--vdev",
      "net_replay0,frames=" + form + ",expect=" + form + ",ttl=" + std::to_string(replay::kTimeToLive) +
          ",flows=" + std::to_string(load.flows) + ",size=" + load.size +
          ",burst=" + std::to_string(load.burst) + load.addresses() + ",page=" + file("page"),
      "--",
      "-i",
      "--auto-start",
      "--forward-mode=" + mode,
      "--port-topology=loop",
      "--total-num-mbufs=2048",
      "--burst=" + std::to_string(load.burst),
      "--nb-cores=1",
      "--no-flush-rx"};
  command.words.insert(command.words.end(), rest.begin(), rest.end());
  return command;
}

Result<Contestant::Command> Stage::ovs(const std::string& prefix, const Load& load) {
  ++turn_;
  return ovs_command(prefix, file("ovs"), plugin(), load);
}

Contestant::Command Stage::l3fwd(const std::string& program, const Load& load) {
  ++turn_;
  Contestant::Command command;
  command.name = "l3fwd LPM";
  command.pages = {file("page")};
  command.log = file("log");
  command.words =
      eal_words(program, plugin(), "fl-bench-" + std::to_string(getpid()) + "-" + std::to_string(turn_));
  const std::vector<std::string> rest = {
      "--vdev",
      "net_replay0,frames=ip4,expect=ip4,ttl=" + std::to_string(replay::kTimeToLive - 1) +
          ",flows=" + std::to_string(load.flows) + ",size=" + load.size +
          ",source=10.244.1.1+100,destination=198.18.0.1+200,page=" + file("page"),
      "--",
      "-p",
      "0x1",
      "-P",
      "--lookup=lpm",
      "--config",
      "(0,0," + std::string(kMeasuredCpu) + ")"};
  command.words.insert(command.words.end(), rest.begin(), rest.end());
  return command;
}

}  // namespace fairlead::bench
