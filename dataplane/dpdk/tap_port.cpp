#include "dataplane/dpdk/tap_port.hpp"

#include "dataplane/dpdk/buffers.hpp"
#include "dataplane/dpdk/kernel_link.hpp"
#include "dataplane/dpdk/vnet_header.hpp"

#include <cerrno>
#include <cstring>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace fairlead::dpdk {
namespace {

// Newer than Debian 12's headers: UDP segmentation, Linux 6.2.
constexpr unsigned kTunFUso4 = 0x20;
constexpr unsigned kTunFUso6 = 0x40;
// What waits in the device while the worker has no CPU: at 50,000 packets a second this bridges 160 ms.
constexpr uint32_t kQueueFrames = 8192;

Error tap_error(const std::string& device, int error) {
  switch (error) {
    case EPERM:
    case EACCES:
      return {"FL2001", "no permission to create the TAP " + device,
              "run the dataplane as root (CAP_NET_ADMIN)"};
    case EBUSY:
      return {"FL2021", "the TAP " + device + " is in use by another process",
              "stop the other dataplane, or give this one another trunk and host port name"};
    default:
      return {"FL2022", "the kernel refused the TAP " + device + ": " + std::strerror(error),
              "does an interface of that name exist that is not a TAP? (ip link show " + device + ")"};
  }
}

}  // namespace

Result<void> TapPort::open_queue(bool several) {
  const int fd = ::open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) {
    return Error{"FL2001", std::string("cannot open /dev/net/tun: ") + std::strerror(errno),
                 "run as root, with the tun driver in the kernel and /dev/net/tun present"};
  }
  queues_.push_back({fd, nullptr});
  ifreq request = {};
  std::strncpy(request.ifr_name, spec_.device.c_str(), IFNAMSIZ - 1);
  request.ifr_flags =
      static_cast<short>(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (several ? IFF_MULTI_QUEUE : 0));
  if (ioctl(fd, TUNSETIFF, &request) != 0) return tap_error(spec_.device, errno);
  int header_bytes = kVnetHeaderBytes;
  if (ioctl(fd, TUNSETVNETHDRSZ, &header_bytes) != 0) return tap_error(spec_.device, errno);
  constexpr unsigned kTcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;
  if (ioctl(fd, TUNSETOFFLOAD, kTcp | kTunFUso4 | kTunFUso6) != 0 && ioctl(fd, TUNSETOFFLOAD, kTcp) != 0) {
    return tap_error(spec_.device, errno);
  }
  return {};
}

Result<void> TapPort::configure() {
  LinkWishes wishes;
  wishes.mtu = spec_.mtu;
  wishes.gso_max_size = kTrunkGsoMaxSize;
  wishes.queue_frames = kQueueFrames;
  wishes.no_ipv6 = spec_.kind == PortKind::kTrunk;
  wishes.no_link_local = true;
  wishes.no_arp = true;
  wishes.up = true;
  if (auto configured = configure_link(spec_.device, wishes); !configured) return configured;
  auto facts = read_link(spec_.device);
  if (!facts) return facts.error();
  mac_ = facts->mac;
  auto link = KernelLink::open(spec_.device);
  if (!link) return link.error();
  link_ = std::move(*link);
  return {};
}

Result<std::unique_ptr<TapPort>> TapPort::open(const PortSpec& spec, rte_mempool* big_pool,
                                               rte_mempool* small_pool, unsigned workers) {
  if (spec.device.empty() || spec.device.size() >= IFNAMSIZ) {
    return Error{"FL2022", "\"" + spec.device + "\" is no name for an interface",
                 "1 to 15 characters without blanks and slashes"};
  }
  std::unique_ptr<TapPort> port(new TapPort(spec, big_pool, small_pool, workers));
  port->driver_ = "tap";
  for (unsigned i = 0; i < std::max<unsigned>(1, spec.queues); ++i) {
    if (auto opened = port->open_queue(spec.queues > 1); !opened) return opened.error();
  }
  if (auto configured = port->configure(); !configured) return configured.error();
  return port;
}

Result<void> TapPort::stand_for(const core::MacAddress& uplink_mac) {
  LinkWishes wishes;
  wishes.mac = uplink_mac;
  wishes.up = true;
  if (auto configured = configure_link(spec_.device, wishes); !configured) return configured;
  mac_ = uplink_mac;
  note_ = "carries the exclusive uplink's MAC address and speaks ARP and ND for the node";
  return {};
}

}  // namespace fairlead::dpdk
