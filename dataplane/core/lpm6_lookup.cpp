#include "dataplane/core/lpm6.hpp"
#include "dataplane/core/lpm6_node.hpp"

#include <algorithm>

namespace fairlead::core {

using namespace lpm6;  // private node types of this file's class

uint32_t Lpm6::View::lookup(const Ipv6Words& address) const {
  uint32_t found = default_value_;
  for (Ref ref = root_; ref != 0;) {
    if ((ref & kLeafFlag) != 0) {
      const Leaf& leaf = leaf_at(base_, ref);
      return same_bits(address, leaf.address, leaf.length) ? leaf.value : found;
    }
    const Node& node = node_at(base_, ref);
    if (!same_bits(address, node.path, 8u * node.depth)) break;
    const Run run = node.runs()[node.index_of(address.byte(node.depth))];
    if (run.entry != 0) found = run.entry & kMaxValue;
    ref = run.child;
  }
  return found;
}

void Lpm6::View::lookup_burst(const Ipv6Words* addresses, uint32_t count, uint32_t* values) const {
  constexpr uint32_t kGroup = 64;
  for (; count != 0;) {
    const uint32_t group = std::min(count, kGroup);
    Ref at[kGroup];           // of packet active[j]
    const Run* runs[kGroup];  // likewise
    uint8_t active[kGroup];
    uint32_t walking = 0;
    for (uint32_t i = 0; i < group; ++i) {
      values[i] = default_value_;
      at[i] = root_;
      active[i] = static_cast<uint8_t>(i);
    }
    walking = root_ != 0 ? group : 0;
    while (walking != 0) {
      // One level of all that still walk: first the header lines (fetched by the pass before), then the run
      // lines.
      uint32_t inner = 0;
      for (uint32_t j = 0; j < walking; ++j) {
        const uint8_t i = active[j];
        if ((at[j] & kLeafFlag) != 0) {
          const Leaf& leaf = leaf_at(base_, at[j]);
          if (same_bits(addresses[i], leaf.address, leaf.length)) values[i] = leaf.value;
          continue;
        }
        const Node& node = node_at(base_, at[j]);
        if (!same_bits(addresses[i], node.path, 8u * node.depth)) continue;
        runs[inner] = node.runs() + node.index_of(addresses[i].byte(node.depth));
        __builtin_prefetch(runs[inner]);
        active[inner++] = i;
      }
      walking = 0;
      for (uint32_t j = 0; j < inner; ++j) {
        const Run run = *runs[j];
        if (run.entry != 0) values[active[j]] = run.entry & kMaxValue;
        if (run.child == 0) continue;
        __builtin_prefetch(base_ + (run.child & ~kLeafFlag) * kGranule);
        at[walking] = run.child;
        active[walking++] = active[j];
      }
    }
    addresses += group;
    values += group;
    count -= group;
  }
}

}  // namespace fairlead::core
