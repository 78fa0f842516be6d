#include "dataplane/core/forwarder_state.hpp"
#include "dataplane/core/steps/still_choosable.hpp"

#include <algorithm>

// Flows and Services: entries know nothing of the Service that chose for them, and no packet that an entry
// decides asks. Instead the control thread holds all entries against a new state.

namespace fairlead::core {

namespace {

// Up to `budget` entries from `cursor` on, which goes round. Returns how many were looked at.
template <typename Table>
uint32_t reconcile_some(Table& table, const Snapshot& snapshot, FlowReconciliation& progress,
                        uint32_t budget) {
  const FlowId last = table.last_id();
  if (progress.cursor > last) progress.cursor = 1;
  uint32_t seen = 0;
  for (; seen < budget && progress.left > 0; ++seen, --progress.left) {
    const FlowId id = progress.cursor;
    progress.cursor = id >= last ? 1 : id + 1;
    const FlowWord word = FlowWord::unpack(table.body(id).state.load(std::memory_order_acquire));
    if (word.life != FlowWord::kLive) continue;
    const steps::FlowEnds ends = steps::ends_of(table, id, word.has_reply_tuple);
    // A stream that has gone past every Service goes on so, as one that was translated keeps its backend.
    if (!word.has_reply_tuple && !evictable(word.protocol_state) && ends.protocol != FL_PROTOCOL_UDP)
      continue;
    ServiceChoice choice;
    if (steps::still_choosable(snapshot, ends, &choice)) continue;
    // Another connection may have the entry by now: being judged once more does it no harm.
    if (word.has_reply_tuple) {
      table.forget_verdicts(id);
    } else {
      table.erase(id);
    }
  }
  return seen;
}

}  // namespace

void Forwarder::State::begin_reconciliation() {
  reconciling4.left = flows.v4->last_id();
  reconciling6.left = flows.v6->last_id();
  reconciled_ns = now_ns;
  reconcile(kReconcileAtOnce);
}

void Forwarder::State::reconcile(uint32_t budget) {
  const Snapshot& snapshot = *current.load(std::memory_order_acquire);
  const uint32_t done = reconcile_some(*flows.v4, snapshot, reconciling4, budget);
  reconcile_some(*flows.v6, snapshot, reconciling6, budget - done);
}

}  // namespace fairlead::core
