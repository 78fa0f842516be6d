#pragma once

#include "dataplane/dpdk/port.hpp"

#include <array>
#include <cstdint>
#include <vector>

namespace fairlead::dpdk {

inline constexpr core::PortId kPortIdEnd = 64;  // ids are below this

// Which ports there are and who polls which queue. Immutable; the control thread makes a new one for every
// change and keeps the old one until every worker has let go of it.
struct PortSet {
  struct ReceiveQueue {
    Port* port;
    unsigned queue;
  };

  uint64_t version = 0;
  std::vector<std::vector<ReceiveQueue>> receive_queues;  // by worker
  std::array<Port*, kPortIdEnd> by_id{};
  Port* host = nullptr;
};

}  // namespace fairlead::dpdk
