#pragma once

#include "dataplane/core/forwarder_state.hpp"

#include <span>

namespace fairlead::core {

// What holds for all packets of one burst.
struct Forwarder::Worker::Impl::Burst {
  const Snapshot& snapshot;
  std::span<Packet> packets;
  CounterBurst& counts;
  uint64_t now_ns;
  uint32_t now_seconds;
};

}  // namespace fairlead::core
