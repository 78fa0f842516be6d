#pragma once

#include <rte_bus_vdev.h>
#include <rte_dev.h>
#include <rte_devargs.h>
#include <rte_ethdev.h>
#include <rte_version.h>

#include <sys/queue.h>

// What a driver of DPDK 22.11 (ABI 23) has to fill in. Debian's libdpdk-dev leaves out the headers for
// drivers (ethdev_driver.h, bus_vdev_driver.h, dev_driver.h), though its libraries export all that drivers
// call; so the parts that net_replay touches are described here once more, under DPDK's own names. Structures
// that DPDK allocates end after the last member we use.
//
// The layout holds within an LTS line: any other version is refused when this is compiled and, as the .so may
// meet another library, once more when the driver registers.
static_assert(RTE_VER_YEAR == 22 && RTE_VER_MONTH == 11,
              "ethdev_abi.hpp describes the drivers' side of DPDK 22.11");

// ---- rte_device, rte_driver: lib/eal/include/dev_driver.h ----

struct rte_driver {
  RTE_TAILQ_ENTRY(rte_driver) next;
  const char* name;
  const char* alias;
};

struct rte_device {
  RTE_TAILQ_ENTRY(rte_device) next;
  const char* name;
  const char* bus_info;
  const rte_driver* driver;
  const rte_bus* bus;
  int numa_node;
  rte_devargs* devargs;
};

// ---- virtual devices: drivers/bus/vdev/bus_vdev_driver.h ----

struct rte_vdev_device {
  RTE_TAILQ_ENTRY(rte_vdev_device) next;
  rte_device device;
};

struct rte_vdev_driver {
  RTE_TAILQ_ENTRY(rte_vdev_driver) next;
  rte_driver driver;
  int (*probe)(rte_vdev_device* device);
  int (*remove)(rte_vdev_device* device);
  void* dma_map;
  void* dma_unmap;
  uint32_t drv_flags;
};

// ---- Ethernet devices: lib/ethdev/ethdev_driver.h ----

struct rte_eth_dev_data {
  char name[RTE_ETH_NAME_MAX_LEN];
  void** rx_queues;
  void** tx_queues;
  uint16_t nb_rx_queues;
  uint16_t nb_tx_queues;
  struct {  // rte_eth_dev_sriov
    uint8_t active;
    uint8_t nb_q_per_pool;
    uint16_t def_vmdq_idx;
    uint16_t def_pool_q_idx;
  } sriov;
  void* dev_private;
  rte_eth_link dev_link;
  rte_eth_conf dev_conf;
  uint16_t mtu;
  uint32_t min_rx_buf_size;
  uint64_t rx_mbuf_alloc_failed;
  rte_ether_addr* mac_addrs;
};

struct rte_eth_dev;

// Operations we do not have are null pointers of their place.
struct eth_dev_ops {
  int (*dev_configure)(rte_eth_dev*);
  int (*dev_start)(rte_eth_dev*);
  int (*dev_stop)(rte_eth_dev*);
  void* dev_set_link_up;
  void* dev_set_link_down;
  int (*dev_close)(rte_eth_dev*);
  void* dev_reset;
  int (*link_update)(rte_eth_dev*, int wait);
  void* is_removed;
  int (*promiscuous_enable)(rte_eth_dev*);
  int (*promiscuous_disable)(rte_eth_dev*);
  int (*allmulticast_enable)(rte_eth_dev*);
  int (*allmulticast_disable)(rte_eth_dev*);
  void* mac_addr_remove;
  void* mac_addr_add;
  int (*mac_addr_set)(rte_eth_dev*, rte_ether_addr*);
  void* set_mc_addr_list;
  int (*mtu_set)(rte_eth_dev*, uint16_t mtu);
  int (*stats_get)(rte_eth_dev*, rte_eth_stats*);
  int (*stats_reset)(rte_eth_dev*);
  int (*xstats_get)(rte_eth_dev*, rte_eth_xstat*, unsigned room);
  int (*xstats_reset)(rte_eth_dev*);
  int (*xstats_get_names)(rte_eth_dev*, rte_eth_xstat_name*, unsigned room);
  void* queue_stats_mapping_set;
  int (*dev_infos_get)(rte_eth_dev*, rte_eth_dev_info*);
  void* rxq_info_get;
  void* txq_info_get;
  void* rx_burst_mode_get;
  void* tx_burst_mode_get;
  void* fw_version_get;
  const uint32_t* (*dev_supported_ptypes_get)(rte_eth_dev*);
  void* dev_ptypes_set;
  void* vlan[5];  // filter, tpid, strip, offload, pvid
  void* queue_start_stop[4];
  int (*rx_queue_setup)(rte_eth_dev*, uint16_t queue, uint16_t descriptors, unsigned socket,
                        const rte_eth_rxconf*, rte_mempool*);
  void (*rx_queue_release)(rte_eth_dev*, uint16_t queue);
  void* rx_queue_intr[2];
  int (*tx_queue_setup)(rte_eth_dev*, uint16_t queue, uint16_t descriptors, unsigned socket,
                        const rte_eth_txconf*);
  void (*tx_queue_release)(rte_eth_dev*, uint16_t queue);
  void* rest[66];  // tx_done_cleanup ... cman_config_get
};
static_assert(sizeof(eth_dev_ops) == 113 * sizeof(void*) && offsetof(eth_dev_ops, xstats_get) == 160 &&
                  offsetof(eth_dev_ops, tx_queue_release) == 368,
              "one pointer per operation of 22.11");

struct rte_eth_dev {
  eth_rx_burst_t rx_pkt_burst;
  eth_tx_burst_t tx_pkt_burst;
  eth_tx_prep_t tx_pkt_prepare;
  eth_rx_queue_count_t rx_queue_count;
  eth_rx_descriptor_status_t rx_descriptor_status;
  eth_tx_descriptor_status_t tx_descriptor_status;
  rte_eth_dev_data* data;
  void* process_private;
  const eth_dev_ops* dev_ops;
  rte_device* device;
};

extern "C" {
void rte_vdev_register(rte_vdev_driver* driver);
void rte_vdev_unregister(rte_vdev_driver* driver);
rte_eth_dev* rte_eth_dev_allocate(const char* name);
rte_eth_dev* rte_eth_dev_allocated(const char* name);
void rte_eth_dev_probing_finish(rte_eth_dev* device);
int rte_eth_dev_release_port(rte_eth_dev* device);
}
