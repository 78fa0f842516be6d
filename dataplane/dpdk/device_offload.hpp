#pragma once

#include "dataplane/core/packet.hpp"

#include <rte_mbuf.h>

#include <cstdint>

namespace fairlead::dpdk {

// Checksums and TCP segmentation by the NIC, for packets without a tunnel header. Tunnelled packets are
// finished in software: what NICs can do inside a tunnel differs too much to be trusted untested.
extern const uint64_t kUsableTxOffloads;  // RTE_ETH_TX_OFFLOAD_*

// The packet has something left to do, and a device with `tx_offloads` does all of it.
[[nodiscard]] bool device_can_finish(const core::Packet& packet, uint64_t tx_offloads);

// Writes into `mbuf` (in step with the packet) what the device shall do, and the checksum fields as DPDK
// wants them.
void leave_to_device(const core::Packet& packet, rte_mbuf* mbuf);

}  // namespace fairlead::dpdk
