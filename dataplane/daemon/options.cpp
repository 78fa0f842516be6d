#include "dataplane/daemon/options.hpp"

#include <algorithm>
#include <iterator>
#include <set>

namespace fairlead::daemon {
namespace {

constexpr OptionSpec kTable[] = {
    {"engine", 0, "dpdk|memory", "what forwards; memory moves no packet and is for tests", "dpdk"},
    {"uplink", 0, "DEV[,driver=D]",
     "the device towards the other nodes; D: auto, af_xdp, af_packet, or a DPDK device string", "", true},
    {"trunk", 0, "NAME", "the TAP device that carries all pods", "fltrunk"},
    {"host", 0, "NAME", "the TAP device to and from the node's own stack", "fairlead0"},
    {"fast-port", 0, "DEVARGS",
     "a DPDK device string for a pod that drives it itself: net_memif0,role=server", "", true},
    {"run-dir", 0, "DIR", "where the socket is", "/run/fairlead"},
    {"state-dir", 0, "DIR", "where the last good state is kept", "/var/lib/fairlead"},
    {"bpf-dir", 0, "DIR", "where the kernel programs' maps are pinned, on a bpffs", "/sys/fs/bpf/fairlead"},
    {"workers", 0, "1..64", "forwarding threads", "1"},
    {"polling", 0, "adaptive|busy", "sleep when idle, or never", "adaptive"},
    {"flow-capacity", 0, "1024..67108864", "connections the flow table holds", "262144"},
    {"remove-on-exit", 0, "", "take programs and pins away at the end; otherwise a restart finds them"},
    {"log-format", 0, "text|json", "how to log, on standard error", "text"},
    {"verbose", 'v', "", "log more"},
    {"help", 'h', "", "print this"},
    {"version", 0, "", "print the version"},
};

constexpr core::PortId kFirstUplink = 1, kMoreUplinks = 4, kFirstFastPort = 16;
constexpr size_t kMaxUplinks = 13, kMaxFastPorts = 16;
constexpr size_t kMaxDeviceName = 15;  // IFNAMSIZ - 1

Result<void> check_device_name(const std::string& name, const std::string& flag) {
  const bool bad = name.empty() || name.size() > kMaxDeviceName || name == "." || name == ".." ||
                   name.find_first_of("/ \t\n:") != std::string::npos;
  if (!bad) return {};
  return Error{"FL6001", flag + " \"" + name + "\" is no name a network device can have",
               "1 to 15 characters without '/', ':' and blanks; ip link lists what is there"};
}

Result<PortSpec> parse_uplink(const std::string& text, size_t index) {
  constexpr std::string_view kDriver = ",driver=";
  PortSpec spec;
  spec.kind = PortKind::kUplink;
  spec.id = static_cast<core::PortId>(index == 0 ? kFirstUplink : kMoreUplinks + index - 1);
  const size_t comma = text.find(',');
  spec.device = text.substr(0, comma);
  if (Result<void> checked = check_device_name(spec.device, "--uplink"); !checked) return checked.error();
  if (comma == std::string::npos) return spec;
  if (text.compare(comma, kDriver.size(), kDriver) != 0 || text.size() == comma + kDriver.size()) {
    return Error{"FL6001", "--uplink \"" + text + "\" has something else than ,driver=... after the device",
                 "write --uplink " + spec.device + ",driver=auto, af_xdp, af_packet or a DPDK device string"};
  }
  // The driver comes last, because a DPDK device string has commas of its own.
  const std::string driver = text.substr(comma + kDriver.size());
  if (driver == "auto" || driver == "af_xdp" || driver == "af_packet") {
    spec.driver = driver;
  } else {
    spec.driver = "devargs";
    spec.device = driver;
  }
  return spec;
}

Result<void> read_ports(const CommandLine& line, Options& options) {
  for (const std::string& text : line.all("uplink")) {
    Result<PortSpec> spec = parse_uplink(text, options.uplinks.size());
    if (!spec) return spec.error();
    options.uplinks.push_back(std::move(*spec));
  }
  for (const std::string& text : line.all("fast-port")) {
    PortSpec spec;
    spec.kind = PortKind::kFast;
    spec.id = static_cast<core::PortId>(kFirstFastPort + options.fast_ports.size());
    spec.device = text;
    spec.driver = "devargs";
    options.fast_ports.push_back(std::move(spec));
  }
  if (options.uplinks.size() > kMaxUplinks || options.fast_ports.size() > kMaxFastPorts) {
    return Error{"FL6001",
                 "too many ports: at most " + std::to_string(kMaxUplinks) + " uplinks and " +
                     std::to_string(kMaxFastPorts) + " fast ports",
                 ""};
  }
  for (const char* flag : {"trunk", "host"}) {
    if (Result<void> checked = check_device_name(line.text(flag), std::string("--") + flag); !checked)
      return checked;
  }
  std::set<std::string> names{line.text("trunk"), line.text("host")};
  size_t expected = 2;
  for (const std::vector<PortSpec>* list : {&options.uplinks, &options.fast_ports}) {
    for (const PortSpec& spec : *list) names.insert(spec.device);
    expected += list->size();
  }
  if (names.size() != expected) {
    return Error{"FL6001", "two ports are given the same device", "name each device once"};
  }
  return {};
}

}  // namespace

std::span<const OptionSpec> option_table() {
  return kTable;
}

Result<Options> parse_options(const std::vector<std::string>& arguments) {
  const Result<CommandLine> line = parse_command_line(kTable, arguments);
  if (!line) return line.error();
  if (!line->words().empty()) {
    return Error{"FL6001", "\"" + line->words().front() + "\" is no option", "--help lists the options"};
  }
  Options options;
  options.show_help = line->given("help");
  options.show_version = line->given("version");
  if (options.show_help || options.show_version) return options;
  options.engine = line->text("engine");
  options.trunk = line->text("trunk");
  options.host = line->text("host");
  options.run_dir = line->text("run-dir");
  options.state_dir = line->text("state-dir");
  options.bpf_dir = line->text("bpf-dir");
  options.workers = static_cast<unsigned>(line->number("workers"));
  options.busy_polling = line->text("polling") == "busy";
  options.flow_capacity = static_cast<uint32_t>(line->number("flow-capacity"));
  options.remove_on_exit = line->given("remove-on-exit");
  options.verbose = line->given("verbose");
  options.log_format = line->text("log-format") == "json" ? LogFormat::kJson : LogFormat::kText;
  if (Result<void> ports = read_ports(*line, options); !ports) return ports.error();
  if (options.uplinks.empty() && options.engine == "dpdk") {
    return Error{"FL6001", "no --uplink is given",
                 "name the device that leads to the other nodes: --uplink eth0"};
  }
  return options;
}

}  // namespace fairlead::daemon
