#include "dataplane/dpdk/tap_device.hpp"

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

// Newer than Debian 12's headers: UDP segmentation, Linux 6.2; segmentation inside of UDP tunnels,
// Linux 6.17.
constexpr unsigned kTunFUso4 = 0x20;
constexpr unsigned kTunFUso6 = 0x40;
constexpr unsigned kTunFUdpTunnelGso = 0x80;
constexpr unsigned kTunFUdpTunnelGsoChecksum = 0x100;
constexpr unsigned kTcp = TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_TSO_ECN;

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

bool set_header(int fd, unsigned bytes) {
  int header_bytes = static_cast<int>(bytes);
  return ioctl(fd, TUNSETVNETHDRSZ, &header_bytes) == 0;
}

// The header's size and what we may be given and give: the most the kernel knows. False with errno.
bool negotiate(int fd, TapHeader header, TapOffloads& offloads) {
  constexpr unsigned kTunnels = kTunFUdpTunnelGso | kTunFUdpTunnelGsoChecksum;
  if (header == TapHeader::kTunnel && set_header(fd, kTunnelVnetHeaderBytes) &&
      ioctl(fd, TUNSETOFFLOAD, kTcp | kTunFUso4 | kTunFUso6 | kTunnels) == 0) {
    offloads = {kTunnelVnetHeaderBytes, true};
    return true;
  }
  offloads = {kVnetHeaderBytes, false};
  if (!set_header(fd, kVnetHeaderBytes)) return false;
  return ioctl(fd, TUNSETOFFLOAD, kTcp | kTunFUso4 | kTunFUso6) == 0 || ioctl(fd, TUNSETOFFLOAD, kTcp) == 0;
}

}  // namespace

Result<TapQueue> open_tap_queue(const std::string& device, bool several, TapHeader header,
                                TapOffloads& offloads) {
  const int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) {
    return Error{"FL2001", std::string("cannot open /dev/net/tun: ") + std::strerror(errno),
                 "run as root, with the tun driver in the kernel and /dev/net/tun present"};
  }
  ifreq request = {};
  std::strncpy(request.ifr_name, device.c_str(), IFNAMSIZ - 1);
  request.ifr_flags =
      static_cast<short>(IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (several ? IFF_MULTI_QUEUE : 0));
  if (ioctl(fd, TUNSETIFF, &request) != 0 || !negotiate(fd, header, offloads)) {
    Error error = tap_error(device, errno);
    close(fd);
    return error;
  }
  return TapQueue{fd, request.ifr_name};
}

}  // namespace fairlead::dpdk
