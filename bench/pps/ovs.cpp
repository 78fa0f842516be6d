#include "bench/pps/ovs.hpp"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <fcntl.h>
#include <filesystem>
#include <fstream>
#include <memory>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

namespace fairlead::bench {
namespace {

constexpr const char* kPortMask = "0x1";  // CPU 0: where packets are
constexpr const char* kMainMask = "0x2";
constexpr int kTries = 100;
constexpr useconds_t kPauseUs = 100'000;

// Starts a program whose output goes to `log`; it ends with this one.
pid_t start_program(std::vector<std::string> words, const std::string& folder, const std::string& log) {
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  const pid_t pid = fork();
  if (pid != 0) return pid;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  const int out = ::open(log.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const int nothing = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  dup2(nothing, STDIN_FILENO), dup2(out, STDOUT_FILENO), dup2(out, STDERR_FILENO);
  for (const char* name : {"OVS_RUNDIR", "OVS_LOGDIR", "OVS_DBDIR"}) setenv(name, folder.c_str(), 1);
  execv(arguments[0], arguments.data());
  _exit(127);
}

int exit_code_of(pid_t pid) {
  int status = 0;
  while (waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128;
}

// The database server, for as long as somebody holds it.
class Server {
 public:
  explicit Server(pid_t pid) : pid_(pid) {}
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;
  ~Server() {
    kill(pid_, SIGKILL);
    exit_code_of(pid_);
  }

 private:
  pid_t pid_;
};

class Setup {
 public:
  Setup(std::string prefix, std::string folder)
      : prefix_(std::move(prefix)),
        folder_(std::move(folder)),
        log_(folder_ + "/ovs.setup.log"),
        database_("unix:" + folder_ + "/db.sock") {}

  [[nodiscard]] std::string program(const std::string& path) const { return prefix_ + "/usr/" + path; }
  [[nodiscard]] const std::string& database() const { return database_; }

  // Until it succeeds: what it talks to may not be up yet.
  [[nodiscard]] Result<void> run(const std::vector<std::string>& words, int tries = 1) const {
    for (int i = 0; i < tries; ++i) {
      if (exit_code_of(start_program(words, folder_, log_)) == 0) return {};
      usleep(kPauseUs);
    }
    return Error{"FL6104", words.front() + " failed", "what it said: " + log_};
  }

  [[nodiscard]] Result<std::shared_ptr<void>> start_server() const {
    for (const char* path : {"lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk", "sbin/ovsdb-server",
                             "bin/ovsdb-tool", "bin/ovs-vsctl", "bin/ovs-ofctl"}) {
      if (access(program(path).c_str(), X_OK) != 0)
        return Error{"FL6104", program(path) + " is not there", "apt-get install openvswitch-switch-dpdk"};
    }
    const std::string file = folder_ + "/conf.db";
    const auto made =
        run({program("bin/ovsdb-tool"), "create", file, program("share/openvswitch/vswitch.ovsschema")});
    if (!made) return made.error();
    const pid_t pid = start_program(
        {program("sbin/ovsdb-server"), file, "--remote=p" + database_, "--unixctl=" + folder_ + "/db.ctl"},
        folder_, log_);
    return std::shared_ptr<void>(std::make_shared<Server>(pid));
  }

  [[nodiscard]] Result<void> configure(const std::vector<std::string>& words, int tries = 1) const {
    std::vector<std::string> all = {program("bin/ovs-vsctl"), "--db=" + database_, "--no-wait"};
    all.insert(all.end(), words.begin(), words.end());
    return run(all, tries);
  }

 private:
  std::string prefix_, folder_, log_, database_;
};

constexpr const char* kForward = "dec_ttl,mod_dl_src:02:00:00:00:00:01,mod_dl_dst:02:00:00:00:00:09,output:2";

// One rule; or what OVS's own translation of services is made of: a packet passes connection tracking,
// which translates it when its connection is known, and otherwise the rule of its service, which commits one
// to the backend.
std::string rules(const Load& load) {
  if (!load.path->to_service)
    return "in_port=1,ip,nw_dst=10.244.2.0/24,actions=" + std::string(kForward) + "\n";
  std::string text = "table=0,in_port=1,udp,actions=ct(table=1,zone=1,nat)\n";
  text += "table=1,priority=1,udp,nw_dst=10.244.2.0/24,actions=" + std::string(kForward) + "\n";
  text += "table=2,actions=" + std::string(kForward) + "\n";
  for (uint32_t n = 0; n < load.services; ++n) {
    const auto host = [](const char* net, uint32_t number) {
      return net + std::to_string(number / 256) + "." + std::to_string(number % 256);
    };
    text += "table=1,priority=2,ct_state=+trk+new,udp,nw_dst=" + host("10.96.", n + 1) +
            ",tp_dst=" + std::to_string(kServicePort) +
            ",actions=ct(commit,zone=1,nat(dst=" + host("10.244.", 512 + 1 + backend_host(n, 0)) + ":" +
            std::to_string(kBackendPort) + "),table=2)\n";
  }
  return text;
}

}  // namespace

Result<Contestant::Command> ovs_command(const std::string& prefix, const std::string& folder,
                                        const std::string& plugin, const Load& load) {
  std::error_code error;
  std::filesystem::create_directory(folder, error);
  if (error) return Error{"FL6104", folder + ": " + error.message(), ""};
  const Setup setup(prefix == "/" ? "" : prefix, folder);
  auto server = setup.start_server();
  if (!server) return server.error();
  static unsigned bridges = 0;
  const std::string bridge = "flb" + std::to_string(getpid()) + "_" + std::to_string(bridges++);
  const std::string source = folder + "/source", sink = folder + "/sink";
  const auto port = [](const std::string& name, const std::string& arguments, const std::string& number) {
    return std::vector<std::string>{"--",
                                    "add-port",
                                    "",
                                    name,
                                    "--",
                                    "set",
                                    "Interface",
                                    name,
                                    "type=dpdk",
                                    "options:dpdk-devargs=\"" + arguments + "\"",
                                    "ofport_request=" + number};
  };
  std::vector<std::string> words = {
      "add-br", bridge, "--", "set", "bridge", bridge, "datapath_type=netdev", "fail_mode=secure"};
  for (auto more : {port("p1", "net_replay1," + load.source_arguments(source), "1"),
                    port("p2", "net_replay2," + load.sink_arguments(sink), "2")}) {
    more[2] = bridge;
    words.insert(words.end(), more.begin(), more.end());
  }
  if (auto done = setup.configure({"init"}, kTries); !done) return done.error();
  if (auto done =
          setup.configure({"set", "Open_vSwitch", ".", "other_config:dpdk-init=true",
                           "other_config:dpdk-lcore-mask=" + std::string(kMainMask),
                           "other_config:pmd-cpu-mask=" + std::string(kPortMask),
                           // Without --legacy-mem OVS adds --in-memory, which --no-huge rules out.
                           // Rules stay in the datapath while others are measured.
                           "other_config:max-idle=3600000",
                           "other_config:dpdk-extra=\"--no-pci --no-huge --legacy-mem -m 512 --no-telemetry "
                           "--no-shconf --file-prefix=" +
                               bridge + " -d " + plugin + "\""});
      !done) {
    return done.error();
  }
  if (auto done = setup.configure(words); !done) return done.error();

  Contestant::Command command;
  command.name = load.path->to_service ? "OVS-DPDK ct+nat" : "OVS-DPDK";
  command.words = {setup.program("lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk"), setup.database(),
                   "--unixctl=" + folder + "/vswitchd.ctl", "-vsyslog:off"};
  command.pages = {source, sink};
  command.log = folder + "/ovs.log";
  command.environment = {{"OVS_RUNDIR", folder}, {"OVS_LOGDIR", folder}, {"OVS_DBDIR", folder}};
  command.keeps = *server;
  const std::string file = folder + "/rules";
  std::ofstream(file) << rules(load);
  command.when_started = [setup, bridge, file] {
    return setup.run({setup.program("bin/ovs-ofctl"), "add-flows", bridge, file}, kTries);
  };
  return command;
}

}  // namespace fairlead::bench
