#include "bench/replay/device.hpp"
#include "bench/replay/ethdev_abi.hpp"

#include <rte_log.h>

#include <cstdio>
#include <cstring>

// net_replay as DPDK sees it: registration, and the operations of an Ethernet device.

namespace {

using fairlead::replay::Device;
using fairlead::replay::Page;
using fairlead::replay::Profile;
using fairlead::replay::Totals;
using fairlead::replay::Wrong;

constexpr uint32_t kLongestFrame = 9728;

Device& device_of(rte_eth_dev* dev) {
  return *static_cast<Device*>(dev->process_private);
}

void say_error(const char* name, const std::string& what) {
  rte_log(RTE_LOG_ERR, RTE_LOGTYPE_USER1, "%s: %s\n", name, what.c_str());
}

int nothing_to_do(rte_eth_dev*) {
  return 0;
}

int set_link(rte_eth_dev* dev, bool up) {
  dev->data->dev_link.link_speed = RTE_ETH_SPEED_NUM_100G;
  dev->data->dev_link.link_duplex = RTE_ETH_LINK_FULL_DUPLEX;
  dev->data->dev_link.link_autoneg = RTE_ETH_LINK_FIXED;
  dev->data->dev_link.link_status = up ? RTE_ETH_LINK_UP : RTE_ETH_LINK_DOWN;
  return 0;
}

int start(rte_eth_dev* dev) {
  Device& device = device_of(dev);
  const rte_eth_dev_data& data = *dev->data;
  const bool checksums = (data.dev_conf.rxmode.offloads & RTE_ETH_RX_OFFLOAD_CHECKSUM) != 0;
  uint16_t port = 0;
  if (rte_eth_dev_get_port_by_name(data.name, &port) != 0) return -ENODEV;
  const std::string wrong = device.start(port, data.nb_rx_queues, data.nb_tx_queues, checksums);
  if (!wrong.empty()) {
    say_error(data.name, wrong);
    return -ENOMEM;
  }
  dev->rx_pkt_burst = receive_function(device);
  dev->tx_pkt_burst = fairlead::replay::transmit;
  return set_link(dev, true);
}

int stop(rte_eth_dev* dev) {
  return set_link(dev, false);
}

// The buffers stay: other ports and threads may hold some of them.
int close_device(rte_eth_dev* dev) {
  if (dev->process_private == nullptr) return 0;
  delete &device_of(dev);
  dev->process_private = nullptr;
  dev->data->mac_addrs = nullptr;
  return 0;
}

int link_update(rte_eth_dev*, int) {
  return 0;
}

int set_mac(rte_eth_dev*, rte_ether_addr*) {
  return 0;
}

int set_mtu(rte_eth_dev*, uint16_t) {
  return 0;
}

int get_info(rte_eth_dev* dev, rte_eth_dev_info* info) {
  const Profile& profile = device_of(dev).profile();
  info->max_mac_addrs = 1;
  info->max_rx_pktlen = kLongestFrame;
  info->min_rx_bufsize = 0;
  info->max_rx_queues = profile.queues;
  info->max_tx_queues = Page::kQueues;
  info->rx_offload_capa = RTE_ETH_RX_OFFLOAD_CHECKSUM;
  info->tx_offload_capa = RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE;
  return 0;
}

const uint32_t* get_packet_types(rte_eth_dev*) {
  static const uint32_t types[] = {RTE_PTYPE_L2_ETHER, RTE_PTYPE_L3_IPV4, RTE_PTYPE_L3_IPV6, RTE_PTYPE_L4_UDP,
                                   RTE_PTYPE_UNKNOWN};
  return types;
}

int set_up_rx(rte_eth_dev* dev, uint16_t queue, uint16_t descriptors, unsigned, const rte_eth_rxconf*,
              rte_mempool* pool) {
  fairlead::replay::RxQueue* made = device_of(dev).rx_queue(queue);
  made->ring.descriptors = descriptors;
  device_of(dev).learn_private_area(pool);
  dev->data->rx_queues[queue] = made;
  return 0;
}

int set_up_tx(rte_eth_dev* dev, uint16_t queue, uint16_t, unsigned, const rte_eth_txconf*) {
  dev->data->tx_queues[queue] = device_of(dev).tx_queue(queue);
  return 0;
}

void release_queue(rte_eth_dev*, uint16_t) {}

int get_stats(rte_eth_dev* dev, rte_eth_stats* stats) {
  const Totals now = device_of(dev).counted();
  stats->ipackets = now.rx_packets;
  stats->ibytes = now.rx_bytes;
  stats->rx_nombuf = now.starved;
  stats->opackets = now.tx_packets;
  stats->obytes = now.tx_bytes;
  stats->oerrors = now.wrong();
  return 0;
}

int reset_stats(rte_eth_dev* dev) {
  device_of(dev).reset_counted();
  return 0;
}

constexpr unsigned kPlainStats = 3;
constexpr unsigned kWrongStats = static_cast<unsigned>(Wrong::kCount) - 1;
constexpr unsigned kExtendedStats = kPlainStats + kWrongStats;

int get_xstats(rte_eth_dev* dev, rte_eth_xstat* stats, unsigned room) {
  if (stats == nullptr || room < kExtendedStats) return kExtendedStats;
  const Totals now = device_of(dev).counted();
  const uint64_t plain[kPlainStats] = {now.verified, now.wrong(), now.foreign};
  for (unsigned i = 0; i < kExtendedStats; ++i) {
    stats[i] = {i, i < kPlainStats ? plain[i] : now.wrong_by.at(i - kPlainStats + 1)};
  }
  return kExtendedStats;
}

int get_xstat_names(rte_eth_dev*, rte_eth_xstat_name* names, unsigned room) {
  if (names == nullptr || room < kExtendedStats) return kExtendedStats;
  static const char* const plain[kPlainStats] = {"replay_verified", "replay_wrong", "replay_foreign_buffers"};
  for (unsigned i = 0; i < kExtendedStats; ++i) {
    if (i < kPlainStats) {
      std::snprintf(names[i].name, sizeof names[i].name, "%s", plain[i]);
    } else {
      std::snprintf(names[i].name, sizeof names[i].name, "replay_wrong_%s",
                    fairlead::replay::text(static_cast<Wrong>(i - kPlainStats + 1)));
    }
  }
  return kExtendedStats;
}

const eth_dev_ops operations = [] {
  eth_dev_ops ops{};
  ops.dev_configure = nothing_to_do;
  ops.dev_start = start;
  ops.dev_stop = stop;
  ops.dev_close = close_device;
  ops.link_update = link_update;
  ops.promiscuous_enable = ops.promiscuous_disable = nothing_to_do;
  ops.allmulticast_enable = ops.allmulticast_disable = nothing_to_do;
  ops.mac_addr_set = set_mac;
  ops.mtu_set = set_mtu;
  ops.stats_get = get_stats;
  ops.stats_reset = ops.xstats_reset = reset_stats;
  ops.xstats_get = get_xstats;
  ops.xstats_get_names = get_xstat_names;
  ops.dev_infos_get = get_info;
  ops.dev_supported_ptypes_get = get_packet_types;
  ops.rx_queue_setup = set_up_rx;
  ops.rx_queue_release = ops.tx_queue_release = release_queue;
  ops.tx_queue_setup = set_up_tx;
  return ops;
}();

int probe(rte_vdev_device* vdev) {
  const char* name = vdev->device.name;
  const char* arguments = vdev->device.devargs == nullptr ? nullptr : vdev->device.devargs->args;
  Profile profile;
  std::string wrong = fairlead::replay::parse_profile(arguments == nullptr ? "" : arguments, profile);
  auto device = std::make_unique<Device>(name, profile);
  if (wrong.empty()) wrong = device->open();
  if (!wrong.empty()) {
    say_error(name, wrong);
    return -EINVAL;
  }
  rte_eth_dev* dev = rte_eth_dev_allocate(name);
  if (dev == nullptr) return -ENOMEM;
  dev->device = &vdev->device;
  dev->dev_ops = &operations;
  dev->data->mac_addrs = &device->mac();
  dev->process_private = device.release();
  static_cast<void>(set_link(dev, false));
  rte_eth_dev_probing_finish(dev);
  return 0;
}

int remove_device(rte_vdev_device* vdev) {
  rte_eth_dev* dev = rte_eth_dev_allocated(vdev->device.name);
  if (dev == nullptr) return 0;
  static_cast<void>(close_device(dev));
  return rte_eth_dev_release_port(dev);
}

rte_vdev_driver driver = [] {
  rte_vdev_driver made{};
  made.driver.name = "net_replay";
  made.probe = probe;
  made.remove = remove_device;
  return made;
}();

__attribute__((constructor(210))) void register_driver() {
  // The layouts of ethdev_abi.hpp are those of one LTS line.
  if (std::strstr(rte_version(), " 22.11.") == nullptr) {
    std::fprintf(stderr, "net_replay was built for DPDK 22.11, not for %s\n", rte_version());
    return;
  }
  rte_vdev_register(&driver);
}

}  // namespace
