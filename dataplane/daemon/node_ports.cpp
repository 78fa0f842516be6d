#include "dataplane/daemon/node_ports.hpp"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <linux/capability.h>
#include <net/if.h>
#include <string>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

namespace fairlead::daemon {
namespace {

struct NeededCapability {
  int bit;
  const char* name;
};
constexpr NeededCapability kNeeded[] = {{CAP_NET_ADMIN, "CAP_NET_ADMIN"},
                                        {CAP_NET_RAW, "CAP_NET_RAW"},
                                        {CAP_BPF, "CAP_BPF"},
                                        {CAP_SYS_ADMIN, "CAP_SYS_ADMIN"}};

uint64_t effective_capabilities() {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with("CapEff:")) return std::stoull(line.substr(7), nullptr, 16);
  }
  return 0;
}

// The kernel's MTU of a device; 0 when there is no such device.
uint16_t kernel_mtu(const std::string& device) {
  ifreq request{};
  device.copy(request.ifr_name, IFNAMSIZ - 1);
  const int query = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const bool known = query >= 0 && ioctl(query, SIOCGIFMTU, &request) == 0;
  if (query >= 0) close(query);
  return known ? static_cast<uint16_t>(std::clamp(request.ifr_mtu, 0, 65'535)) : 0;
}

bool has_kernel_device(const PortSpec& spec) {
  return spec.driver != "devargs";
}

const PortStatus* find_port(const std::vector<PortStatus>& ports, core::PortId id) {
  const auto port =
      std::find_if(ports.begin(), ports.end(), [id](const PortStatus& p) { return p.spec.id == id; });
  return port == ports.end() ? nullptr : &*port;
}

Result<void> open_uplink(PortSpec spec, Engine& engine, ebpf::Hooks& hooks, NodePorts& opened) {
  if (!has_kernel_device(spec)) return engine.add_port(spec);
  const uint32_t ifindex = if_nametoindex(spec.device.c_str());
  spec.mtu = kernel_mtu(spec.device);
  if (ifindex == 0 || spec.mtu == 0) {
    return Error{"FL2102", "uplink " + spec.device + ": there is no such network device in this namespace",
                 "ip link lists the devices; name the one that leads to the other nodes: --uplink DEV"};
  }
  if (Result<void> released = hooks.release_uplink(ifindex); !released) return released;
  if (Result<void> added = engine.add_port(spec); !added) return added;
  opened.mirrored.push_back({spec.id, ifindex, false});
  const std::vector<PortStatus> ports = engine.ports();
  const PortStatus* port = find_port(ports, spec.id);
  if (port == nullptr || port->driver.find("af_xdp") == std::string::npos) return {};
  // Fails when the program that is attached now is not ours.
  if (Result<void> filter = hooks.set_uplink_filter(ifindex, {}); !filter) {
    static_cast<void>(engine.remove_port(spec.id).ok());
    return filter;
  }
  opened.filtered_uplinks.push_back(ifindex);
  return {};
}

Result<uint32_t> open_tap(Engine& engine, core::PortId id, PortKind kind, const std::string& name,
                          uint16_t mtu) {
  PortSpec spec;
  spec.id = id;
  spec.kind = kind;
  spec.device = name;
  spec.driver = "tap";
  spec.mtu = mtu;
  if (Result<void> added = engine.add_port(spec); !added) return added.error();
  const uint32_t ifindex = if_nametoindex(name.c_str());
  if (ifindex == 0)
    return Error{"FL2102", "the device " + name + " went as soon as it was made",
                 "see the log of who removed it"};
  return ifindex;
}

}  // namespace

Result<void> check_privileges() {
  const uint64_t have = effective_capabilities();
  std::string missing;
  for (const NeededCapability& needed : kNeeded) {
    if ((have >> needed.bit & 1) == 0) missing += (missing.empty() ? "" : ", ") + std::string(needed.name);
  }
  if (!missing.empty()) {
    return Error{"FL2101", "no permission to open devices and load programs: " + missing + " missing",
                 "run it as root: sudo ..."};
  }
  // The AF_XDP buffers are locked memory. CAP_IPC_LOCK lifts the limit by itself; without it the limit must
  // go, which takes CAP_SYS_RESOURCE. (BPF maps are charged to the cgroup since kernel 5.11.)
  const rlimit unbounded{RLIM_INFINITY, RLIM_INFINITY};
  if (setrlimit(RLIMIT_MEMLOCK, &unbounded) != 0 && (have >> CAP_IPC_LOCK & 1) == 0) {
    return Error{"FL2101", std::string("cannot lock memory for AF_XDP: ") + std::strerror(errno),
                 "give it CAP_IPC_LOCK, or CAP_SYS_RESOURCE, or LimitMEMLOCK=infinity in its unit"};
  }
  return {};
}

Result<NodePorts> open_ports(const Options& options, Engine& engine, ebpf::Hooks& hooks) {
  NodePorts opened;
  uint16_t mtu = 0;
  for (const PortSpec& uplink : options.uplinks) {
    if (Result<void> added = open_uplink(uplink, engine, hooks, opened); !added) return added.error();
    const uint16_t of_device = has_kernel_device(uplink) ? kernel_mtu(uplink.device) : uplink.mtu;
    mtu = std::max(mtu, of_device);
  }
  const Result<uint32_t> trunk = open_tap(engine, kTrunkPort, PortKind::kTrunk, options.trunk, mtu);
  if (!trunk) return trunk.error();
  const Result<uint32_t> host = open_tap(engine, kHostPort, PortKind::kHost, options.host, mtu);
  if (!host) return host.error();
  // With an exclusive uplink the node's underlay addresses, routes and neighbours live on the host TAP: what
  // the kernel knows of the underlay is to be read there, as facts of the uplink.
  if (has_kernel_device(options.uplinks.front()))
    opened.mirrored.push_back({kHostPort, *host, true});
  else
    opened.mirrored.push_back({options.uplinks.front().id, *host, false});
  for (const PortSpec& fast : options.fast_ports) {
    if (Result<void> added = engine.add_port(fast); !added) return added.error();
  }
  if (Result<void> pointed = hooks.set_trunk(*trunk); !pointed) return pointed.error();
  return opened;
}

}  // namespace fairlead::daemon
