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

// What a flow entry says about a packet: its own direction, and the other one, which leads back to its
// sender.
struct FlowSays {
  FlowVerdict out;
  FlowVerdict back;

  static FlowSays read(const FlowBody& body, Direction direction) {
    return {body.verdict(direction), body.verdict(opposite(direction))};
  }
};

// Is it still true for this packet? If not, the slow path says anew.
//
// Not when the fate of either side has changed since: `out` because the packet would leave wrongly, `back`
// because its sender may be gone or have lost its address. Not when it comes from elsewhere, and not when TTL
// or size need a word.
//
// Reads: snapshot.templates
[[nodiscard]] inline bool still_decides(const FlowSays& says, const Walk& walk, const Snapshot& snapshot) {
  const Template& out = snapshot.template_of(says.out.template_id);
  const Template& back = snapshot.template_of(says.back.template_id);
  if (says.out.generation != out.generation || says.back.generation != back.generation) return false;
  if (out.kind == TemplateKind::kGone || back.kind == TemplateKind::kGone) return false;
  if (!Side::from_raw(says.out.ingress.raw).accepts(walk.side)) return false;
  if (out.kind == TemplateKind::kPunt) return true;
  return usable(out) && walk.p.ttl > 1 && walk.l3_size() <= out.l3_mtu;
}

}  // namespace steps
}  // namespace fairlead::core
