#include "dataplane/dpdk/hold_table.hpp"

#include <algorithm>

namespace fairlead::dpdk {

void HoldTable::remove(unsigned index) {
  std::move(held_.begin() + index + 1, held_.begin() + count_, held_.begin() + index);
  --count_;
}

bool HoldTable::add(const core::Packet& packet, uint64_t since_ns, core::Packet& dropped) {
  unsigned oldest = kCapacity, waiting = 0;
  for (unsigned i = 0; i < count_; ++i) {
    if (held_[i].packet.next_hop != packet.next_hop || held_[i].packet.tx_port != packet.tx_port) continue;
    oldest = std::min(oldest, i);
    ++waiting;
  }
  if (waiting < kPerNextHop && count_ == kCapacity) {
    dropped = packet;
    return true;
  }
  const bool evicts = waiting >= kPerNextHop;
  if (evicts) {
    dropped = held_[oldest].packet;
    remove(oldest);
  }
  held_[count_++] = {packet, since_ns};
  return evicts;
}

bool HoldTable::expire(uint64_t now_ns, core::Packet& expired) {
  // A packet judged again keeps its age but stands last, so every one is looked at.
  for (unsigned i = 0; i < count_; ++i) {
    if (now_ns - held_[i].since_ns < kWaitNs || now_ns < held_[i].since_ns) continue;
    expired = held_[i].packet;
    remove(i);
    return true;
  }
  return false;
}

bool HoldTable::take(core::Packet& packet, uint64_t& since_ns) {
  if (count_ == 0) return false;
  packet = held_[0].packet;
  since_ns = held_[0].since_ns;
  remove(0);
  return true;
}

}  // namespace fairlead::dpdk
