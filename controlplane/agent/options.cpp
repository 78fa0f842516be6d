#include "controlplane/agent/options.hpp"

#include <climits>
#include <unistd.h>

namespace fairlead::control {
namespace {

constexpr OptionSpec kTable[] = {
    {"node", 0, "NAME", "this node's name, as its Node object has it (without: the host name)"},
    {"manifests", 0, "DIR", "the directory of Kubernetes objects to follow", "/etc/fairlead/manifests"},
    {"run-dir", 0, "DIR", "where the sockets are", "/run/fairlead"},
    {"state-dir", 0, "DIR", "what has to outlive a restart", "/var/lib/fairlead"},
    {"bpf-dir", 0, "DIR", "where the dataplane pins the kernel programs' maps", "/sys/fs/bpf/fairlead"},
    {"dataplane-socket", 0, "PATH", "the dataplane's socket (without: dataplane.sock in the run directory)"},
    {"uplink", 0, "DEV",
     "the device towards the other nodes (without: the one with the InternalIP or default route)"},
    {"host", 0, "NAME", "the device to and from the node's own stack", "fairlead0"},
    {"log-format", 0, "text|json", "how to log, on standard error", "text"},
    {"verbose", 'v', "", "log more"},
    {"help", 'h', "", "print this"},
    {"version", 0, "", "print the version"},
};

std::string host_name() {
  char name[HOST_NAME_MAX + 1] = {};
  return ::gethostname(name, HOST_NAME_MAX) == 0 ? name : "";
}

Result<void> check_device(const std::string& name, const std::string& flag) {
  const bool is_bad = name.empty() || name.size() > 15 || name == "." || name == ".." ||
                      name.find_first_of("/ \t\n:") != std::string::npos;
  if (!is_bad) return {};
  return Error{"FL6001", flag + " \"" + name + "\" is no name a network device can have",
               "1 to 15 characters without '/', ':' and blanks; ip link lists what is there"};
}

}  // namespace

std::span<const OptionSpec> agent_option_table() {
  return kTable;
}

Result<AgentOptions> parse_agent_options(const std::vector<std::string>& arguments) {
  const Result<CommandLine> line = parse_command_line(kTable, arguments);
  if (!line) return line.error();
  if (!line->words().empty()) {
    return Error{"FL6001", "\"" + line->words().front() + "\" is no option",
                 "fairlead-agent --help lists them"};
  }
  AgentOptions options;
  options.show_help = line->given("help");
  options.show_version = line->given("version");
  options.node = line->given("node") ? line->text("node") : host_name();
  options.manifests = line->text("manifests");
  options.run_dir = line->text("run-dir");
  options.state_dir = line->text("state-dir");
  options.bpf_dir = line->text("bpf-dir");
  options.dataplane_socket =
      line->given("dataplane-socket") ? line->text("dataplane-socket") : options.run_dir + "/dataplane.sock";
  options.host_port = line->text("host");
  options.log_format = line->text("log-format") == "json" ? LogFormat::kJson : LogFormat::kText;
  options.verbose = line->given("verbose");
  if (line->given("uplink")) {
    options.uplink = line->text("uplink");
    if (Result<void> checked = check_device(options.uplink, "--uplink"); !checked) return checked.error();
  }
  if (Result<void> checked = check_device(options.host_port, "--host"); !checked) return checked.error();
  if (options.node.empty()) return Error{"FL6001", "this host has no name", "give one: --node NAME"};
  return options;
}

}  // namespace fairlead::control
