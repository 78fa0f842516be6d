#include "dataplane/dpdk/tap_port.hpp"

#include "dataplane/dpdk/buffers.hpp"
#include "dataplane/dpdk/kernel_link.hpp"
#include "dataplane/dpdk/tap_device.hpp"

#include <net/if.h>

namespace fairlead::dpdk {
namespace {

// What waits in the device while the worker has no CPU: at 50,000 packets a second this bridges 160 ms.
constexpr uint32_t kQueueFrames = 8192;

}  // namespace

Result<void> TapPort::open_queue(bool several) {
  TapOffloads offloads;
  auto opened = open_tap_queue(spec_.device, several, TapHeader::kPlain, offloads);
  if (!opened) return opened.error();
  queues_.push_back({opened->fd, nullptr});
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
