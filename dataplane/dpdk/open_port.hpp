#pragma once

#include "dataplane/dpdk/dpdk_engine.hpp"
#include "dataplane/dpdk/port.hpp"

#include <rte_mempool.h>

#include <memory>

namespace fairlead::dpdk {

struct PortResources {
  rte_mempool* big_pool = nullptr;
  rte_mempool* small_pool = nullptr;
  unsigned workers = 1;
  std::string xdp_object;
};

// Opens what the specification asks for; for an uplink with driver "auto" AF_XDP, or else AF_PACKET with the
// reason in note().
[[nodiscard]] Result<std::unique_ptr<Port>> open_port(const PortSpec& spec, const PortResources& resources);

}  // namespace fairlead::dpdk
