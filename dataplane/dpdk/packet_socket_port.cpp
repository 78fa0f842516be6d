#include "dataplane/dpdk/packet_socket_port.hpp"

#include "dataplane/dpdk/kernel_link.hpp"
#include "dataplane/dpdk/socket_filter.hpp"

#include <algorithm>
#include <arpa/inet.h>
#include <cerrno>
#include <cstring>
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace fairlead::dpdk {
namespace {

constexpr int kReceiveBytes = 16 << 20;

Error refused(const std::string& device, const char* doing) {
  return {"FL2031", "AF_PACKET on " + device + ": " + doing + ": " + std::strerror(errno),
          "is the interface up and an Ethernet device?"};
}

bool attach_filter(int fd, std::vector<sock_filter> code) {
  const sock_fprog program{static_cast<unsigned short>(code.size()), code.data()};
  return setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program) == 0;
}

bool set_flag(int fd, int level, int option) {
  constexpr int kOne = 1;
  return setsockopt(fd, level, option, &kOne, sizeof kOne) == 0;
}

}  // namespace

Result<std::unique_ptr<PacketSocketPort>> PacketSocketPort::open(const PortSpec& spec, rte_mempool* big_pool,
                                                                 rte_mempool* small_pool, unsigned workers) {
  auto facts = read_link(spec.device);
  if (!facts) return facts.error();
  std::unique_ptr<PacketSocketPort> port(new PacketSocketPort(spec, big_pool, small_pool, workers));
  port->driver_ = "af_packet";
  port->mac_ = facts->mac;
  auto link = KernelLink::open(spec.device);
  if (!link) return link.error();
  port->link_ = std::move(*link);
  port->spec_.queues = 1;
  port->spec_.mtu = facts->mtu;
  // Protocol 0: bound to nothing, and so silent, until the filter is in place.
  const int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    return Error{"FL2001", std::string("no packet socket: ") + std::strerror(errno),
                 "run as root (CAP_NET_RAW)"};
  }
  port->queues_.push_back({fd, nullptr});
  if (!attach_filter(fd, reject_all_filter())) return refused(spec.device, "attach the filter");
  if (!set_flag(fd, SOL_PACKET, PACKET_VNET_HDR)) return refused(spec.device, "PACKET_VNET_HDR");
  if (!set_flag(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING))
    return refused(spec.device, "PACKET_IGNORE_OUTGOING");
  if (setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &kReceiveBytes, sizeof kReceiveBytes) != 0) {
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &kReceiveBytes,
               sizeof kReceiveBytes);  // smaller bursts fit, no more
  }
  sockaddr_ll address = {};
  address.sll_family = AF_PACKET;
  address.sll_protocol = htons(ETH_P_ALL);
  address.sll_ifindex = static_cast<int>(facts->ifindex);
  if (bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0)
    return refused(spec.device, "bind");
  return port;
}

PacketSocketPort::~PacketSocketPort() {
  for (const core::Prefix& pods : blocked_) static_cast<void>(block_forwarding(spec_.device, pods, false));
  for (int fd : holders_) close(fd);
}

Result<void> PacketSocketPort::hold_tunnel_port(const core::NodeSettings& settings) {
  if (held_port_ == settings.tunnel_port) return {};
  for (int fd : holders_) close(fd);
  holders_.clear();
  held_port_ = 0;
  for (int family : {AF_INET, AF_INET6}) {
    const int fd = socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) continue;  // a family that the kernel does not have answers nothing either
    holders_.push_back(fd);
    sockaddr_storage address = {};
    address.ss_family = static_cast<sa_family_t>(family);
    reinterpret_cast<sockaddr_in*>(&address)->sin_port = htons(settings.tunnel_port);  // same place in both
    const socklen_t size = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
    const bool ready = (family == AF_INET || set_flag(fd, IPPROTO_IPV6, IPV6_V6ONLY)) &&
                       set_flag(fd, SOL_SOCKET, SO_REUSEPORT) &&  // several uplinks, one tunnel port
                       attach_filter(fd, reject_all_filter()) &&
                       bind(fd, reinterpret_cast<const sockaddr*>(&address), size) == 0;
    if (!ready) {
      return Error{
          "FL2032",
          "UDP port " + std::to_string(settings.tunnel_port) + " cannot be held: " + std::strerror(errno),
          "remove the kernel tunnel device that uses it (ip -d link show type vxlan), or choose another "
          "port"};
    }
  }
  held_port_ = settings.tunnel_port;
  return {};
}

Result<void> PacketSocketPort::block_pods(const std::vector<core::Prefix>& pods) {
  for (const core::Prefix& wanted : pods) {
    if (std::find(blocked_.begin(), blocked_.end(), wanted) != blocked_.end()) continue;
    if (auto blocked = block_forwarding(spec_.device, wanted, true); !blocked) return blocked;
    blocked_.push_back(wanted);
  }
  for (size_t i = 0; i < blocked_.size();) {
    if (std::find(pods.begin(), pods.end(), blocked_[i]) != pods.end()) {
      ++i;
      continue;
    }
    if (auto unblocked = block_forwarding(spec_.device, blocked_[i], false); !unblocked) return unblocked;
    blocked_.erase(blocked_.begin() + static_cast<std::ptrdiff_t>(i));
  }
  return {};
}

Result<void> PacketSocketPort::follow(const core::NodeSettings& settings) {
  // First what keeps the kernel quiet, then the filter that makes us take the packets: never both.
  if (auto held = hold_tunnel_port(settings); !held) return held;
  if (auto blocked = block_pods(settings.local_pods); !blocked) return blocked;
  if (!attach_filter(queues_[0].fd, uplink_filter(settings)))
    return refused(spec_.device, "attach the filter");
  return {};
}

uint64_t PacketSocketPort::missed() const {
  tpacket_stats statistics = {};
  socklen_t size = sizeof statistics;
  if (getsockopt(queues_[0].fd, SOL_PACKET, PACKET_STATISTICS, &statistics, &size) == 0) {
    dropped_by_kernel_ += statistics.tp_drops;  // the kernel starts again from zero at every reading
  }
  return VnetPort::missed() + dropped_by_kernel_;
}

}  // namespace fairlead::dpdk
