#include "dataplane/dpdk/kernel_link.hpp"

#include "dataplane/base/netlink.hpp"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <linux/ethtool.h>
#include <linux/fib_rules.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace fairlead::dpdk {
namespace {

// Before the rules people add (which start at 32765 and go down) and after the local table (0).
constexpr uint32_t kBlockRulePriority = 90;

Error no_such_device(const std::string& device) {
  return {"FL2011", "there is no network interface \"" + device + "\"",
          "ip link shows the interfaces of this node"};
}

void collect_link(const nlmsghdr& message, LinkFacts& facts) {
  const auto* info = static_cast<const ifinfomsg*>(mnl_nlmsg_get_payload(&message));
  const nlattr* table[IFLA_MAX + 1] = {};
  collect_attributes(message, sizeof(ifinfomsg), table);
  facts.ifindex = static_cast<unsigned>(info->ifi_index);
  facts.up = (info->ifi_flags & IFF_UP) != 0 && attribute_value<uint8_t>(table[IFLA_CARRIER], 1) != 0;
  facts.mtu =
      static_cast<uint16_t>(std::min<uint32_t>(attribute_value<uint32_t>(table[IFLA_MTU], 1500), 65535));
  facts.mac.bytes = attribute_value<std::array<uint8_t, 6>>(table[IFLA_ADDRESS]);
}

// A missing file means that the kernel has no IPv6, hence nothing to quieten.
Result<void> write_sysctl(const std::string& path, const char* value) {
  if (!std::filesystem::exists(path)) return {};
  std::ofstream file(path);
  file << value << std::flush;
  if (file) return {};
  return Error{"FL2012", "cannot write " + std::string(value) + " to " + path + ": " + std::strerror(errno),
               "run the dataplane as root with a writable /proc/sys"};
}

Result<void> quieten_ipv6(const std::string& device, const LinkWishes& wishes) {
  const std::string folder = "/proc/sys/net/ipv6/conf/" + device + "/";
  if (wishes.no_ipv6 || wishes.no_link_local) {
    if (auto written = write_sysctl(folder + "addr_gen_mode", "1"); !written) return written;
  }
  if (wishes.no_ipv6) return write_sysctl(folder + "disable_ipv6", "1");
  return {};
}

}  // namespace

Result<LinkFacts> read_link(const std::string& device) {
  auto socket = NetlinkSocket::open();
  if (!socket) return socket.error();
  NetlinkRequest request(RTM_GETLINK, 0);
  request.header<ifinfomsg>();
  request.put_text(IFLA_IFNAME, device);
  LinkFacts facts;
  auto ack = socket->transact(request, [&](const nlmsghdr& message) { collect_link(message, facts); });
  if (!ack) return ack.error();
  if (!ack->ok() || facts.ifindex == 0) return no_such_device(device);
  return facts;
}

Result<KernelLink> KernelLink::open(const std::string& device) {
  auto facts = read_link(device);
  if (!facts) return facts.error();
  auto socket = NetlinkSocket::open();
  if (!socket) return socket.error();
  KernelLink link;
  link.socket_ = std::move(*socket);
  link.ifindex_ = facts->ifindex;
  return link;
}

bool KernelLink::is_up() const {
  NetlinkRequest request(RTM_GETLINK, 0);
  request.header<ifinfomsg>().ifi_index = static_cast<int>(ifindex_);
  LinkFacts facts;
  const auto ack = socket_.transact(request, [&](const nlmsghdr& message) { collect_link(message, facts); });
  return ack.ok() && ack->ok() && facts.up;
}

Result<void> configure_link(const std::string& device, const LinkWishes& wishes) {
  auto facts = read_link(device);
  if (!facts) return facts.error();
  if (auto quiet = quieten_ipv6(device, wishes); !quiet) return quiet;
  auto socket = NetlinkSocket::open();
  if (!socket) return socket.error();
  NetlinkRequest request(RTM_NEWLINK, 0);
  auto& info = request.header<ifinfomsg>();
  info.ifi_index = static_cast<int>(facts->ifindex);
  info.ifi_change = IFF_NOARP;
  if (wishes.no_arp) info.ifi_flags |= IFF_NOARP;
  if (wishes.up) {
    info.ifi_change |= IFF_UP;
    info.ifi_flags |= IFF_UP;
  }
  if (wishes.mtu != 0) request.put_u32(IFLA_MTU, wishes.mtu);
  if (wishes.gso_max_size != 0) request.put_u32(IFLA_GSO_MAX_SIZE, wishes.gso_max_size);
  if (wishes.queue_frames != 0) request.put_u32(IFLA_TXQLEN, wishes.queue_frames);
  if (wishes.mac != core::MacAddress{}) request.put_value(IFLA_ADDRESS, wishes.mac.bytes);
  auto ack = socket->transact(request);
  if (!ack) return ack.error();
  if (!ack->ok()) {
    return Error{"FL2012", "the kernel refused to configure " + device + ": " + ack->text(),
                 "check the MTU and MAC wanted for it"};
  }
  return {};
}

unsigned receive_channels(const std::string& device) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return 1;
  ethtool_channels channels = {};
  channels.cmd = ETHTOOL_GCHANNELS;
  ifreq request = {};
  std::strncpy(request.ifr_name, device.c_str(), IFNAMSIZ - 1);
  request.ifr_data = reinterpret_cast<char*>(&channels);
  const bool known = ioctl(fd, SIOCETHTOOL, &request) == 0;
  close(fd);
  const unsigned count = known ? channels.combined_count + channels.rx_count : 1;
  return count == 0 ? 1 : count;
}

Result<void> block_forwarding(const std::string& device, const core::Prefix& destination, bool add) {
  auto socket = NetlinkSocket::open();
  if (!socket) return socket.error();
  NetlinkRequest request(add ? RTM_NEWRULE : RTM_DELRULE,
                         add ? static_cast<uint16_t>(NLM_F_CREATE | NLM_F_EXCL) : uint16_t{0});
  auto& rule = request.header<fib_rule_hdr>();
  rule.family = destination.address.is_ipv4() ? AF_INET : AF_INET6;
  rule.dst_len = destination.length;
  rule.action = FR_ACT_BLACKHOLE;
  request.put_text(FRA_IIFNAME, device);
  request.put_bytes(FRA_DST, destination.address.bytes.data(), destination.address.bits() / 8);
  request.put_u32(FRA_PRIORITY, kBlockRulePriority);
  return socket->request(request,
                         (add ? "block" : "unblock") + std::string(" kernel forwarding from ") + device,
                         {EEXIST, ENOENT, ENODEV});
}

std::vector<int> sockets_of_domain(int domain) {
  std::vector<int> found;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd", ignored)) {
    const int fd = std::atoi(entry.path().filename().c_str());
    int its_domain = 0;
    socklen_t size = sizeof its_domain;
    if (getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &its_domain, &size) == 0 && its_domain == domain)
      found.push_back(fd);
  }
  return found;
}

}  // namespace fairlead::dpdk
