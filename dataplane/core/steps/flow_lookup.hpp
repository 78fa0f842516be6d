#pragma once

#include "dataplane/core/flow_table.hpp"
#include "dataplane/core/walk.hpp"
#include "dataplane/packet/flow_hash.h"

#include <memory>

namespace fairlead::core {

// The connections of both families.
struct FlowTables {
  std::unique_ptr<FlowTable4> v4;
  std::unique_ptr<FlowTable6> v6;
};

namespace steps {

// `swapped`: the packet goes from the key's higher side to its lower.
inline flow_key4 key4_of(const parsed& p, bool* swapped) {
  flow_key4 key;
  *swapped = flow_key4_of(&p, &key) == FL_FLOW_FROM_HIGH;
  return key;
}

inline flow_key6 key6_of(const parsed& p, bool* swapped) {
  flow_key6 key;
  *swapped = flow_key6_of(&p, &key) == FL_FLOW_FROM_HIGH;
  return key;
}

// The tuple and hash by which a packet's connection is found.
//
// A packet without ports or echo id has no entry, and neither has any fragment: the later ones show no ports,
// and all fragments of a datagram should take one way. Their hash is of the addresses and protocol, for the
// choice of path only.
//
// Writes: walk.keyed, walk.swapped, walk.hash
template <typename Table, typename Key>
inline void find_tuple(Walk& walk, const Table& table, Key (*key_of)(const parsed&, bool*), Key* key) {
  walk.keyed = walk.p.has_ports != 0 && walk.p.is_fragment == 0;
  if (walk.keyed) [[likely]] {
    *key = key_of(walk.p, &walk.swapped);
  } else {
    parsed portless = walk.p;
    portless.source_port = portless.destination_port = be16{0};
    *key = key_of(portless, &walk.swapped);
  }
  walk.hash = table.hash(*key);
}

// Is what an entry says still true for this packet? If not, the slow path says anew.
//
// Reads: snapshot.templates
[[nodiscard]] inline bool still_decides(const FlowVerdict& verdict, const Walk& walk, const Template& out) {
  if (verdict.template_id == 0 || verdict.generation != out.generation) return false;
  if (!Side::from_raw(verdict.ingress.raw).accepts(walk.side)) return false;
  if (out.kind == TemplateKind::kPunt) return true;
  return usable(out) && walk.p.ttl > 1 && walk.l3_size() <= out.l3_mtu;
}

}  // namespace steps
}  // namespace fairlead::core
