#pragma once

#include "dataplane/core/steps/flow_lookup.hpp"
#include "dataplane/core/steps/route.hpp"

namespace fairlead::core::steps {

// What the flow entry of a judged packet says.
struct FlowPlan {
  FlowVerdict original;
  FlowVerdict reply;  // template 0: the way back is not clear now, so that no packet is decided by the entry
  FlowOwner owner = FlowOwner::kNone;
};

// Compiles the decision into an entry for both directions.
//
// Reads: FIB, next_hops, templates
[[nodiscard]] inline FlowPlan plan_flow(const Walk& walk, const Snapshot& snapshot) {
  const Template& out = snapshot.template_of(walk.template_id);
  FlowPlan plan;
  plan.original = {walk.template_id, out.generation, {walk.origin.raw()}};
  const NextHop& back = snapshot.next_hop(snapshot.route(walk.p.source, walk.p.ip_version));
  const Way way = choose_way(snapshot, back, walk.hash, walk.p.source, walk.p.ip_version);
  const Template& reply = snapshot.template_of(way.template_id);
  plan.reply.ingress = {out.far.raw()};
  if (usable(reply)) {
    plan.reply.template_id = way.template_id;
    plan.reply.generation = reply.generation;
  }
  if (walk.origin.kind() == Side::kEndpoint) {
    plan.owner = FlowOwner::kOriginalIngress;
  } else if (out.far.kind() == Side::kEndpoint) {
    plan.owner = FlowOwner::kReplyIngress;
  }
  return plan;
}

// May this packet begin an entry, and in which state?
[[nodiscard]] inline bool begins_flow(const Walk& walk, FlowState* state) {
  *state = FlowState::kOneWay;
  if (!walk.keyed) return false;
  return walk.p.protocol != FL_PROTOCOL_TCP || tcp_first(walk.p.tcp_flags, *state);
}

// Writes the decision where the connection's next packets find it: a new entry, or the one that is there but
// did not decide any more. Returns where; id 0 when the packet goes without an entry.
//
// A full table or a used-up quota costs the connection its fast path, not its packets: nothing yet depends on
// entries (no translation, no policy).
template <typename Table, typename Key>
[[nodiscard]] inline FlowHit commit(const Walk& walk, const Snapshot& snapshot, Table& table, const Key& key,
                                    FlowHit known, uint32_t now_seconds, bool* created) {
  *created = false;
  FlowPlan plan = plan_flow(walk, snapshot);
  if (known.id == 0) {
    FlowInit init;
    if (!begins_flow(walk, &init.state)) return {};
    init.swapped = walk.swapped;
    init.original = plan.original;
    init.reply = plan.reply;
    init.owner = plan.owner;
    init.now_seconds = now_seconds;
    const InsertResult result = table.insert(key, walk.hash, init);
    *created = result.outcome == InsertOutcome::kInserted;
    if (*created) return {result.hit.id, Direction::kOriginal};
    if (result.outcome != InsertOutcome::kExists) return {};
    known = result.hit;
  }
  table.set_verdict(known.id, known.direction, plan.original, now_seconds);
  table.set_verdict(known.id, opposite(known.direction), plan.reply, now_seconds);
  return known;
}

}  // namespace fairlead::core::steps
