#include "dataplane/core/flow_table.hpp"

#include <algorithm>

// What keeps a flow table in order: making room, ageing, showing what is in it.

namespace fairlead::core {

namespace {

constexpr unsigned kEvictionSample = 64;

// The entry that goes first among those it was shown.
struct Oldest {
  FlowId id = 0;
  uint32_t state = 0;
  uint16_t idle_seconds = 0;

  void consider(FlowId candidate, const FlowBody& body, uint32_t now_seconds) {
    const uint32_t its_state = body.state.load(std::memory_order_acquire);
    const FlowWord word = FlowWord::unpack(its_state);
    if (word.life != FlowWord::kLive || !evictable(word.protocol_state)) return;
    const uint16_t idle = body.idle_seconds(now_seconds);
    if (id != 0 && idle <= idle_seconds) return;
    id = candidate;
    state = its_state;
    idle_seconds = idle;
  }
};

}  // namespace

template <typename Entry>
bool FlowTable<Entry>::evict_one(uint32_t now_seconds) {
  const uint32_t used = last_id();
  if (used == 0) return false;
  Oldest oldest;
  uint32_t cursor = evict_cursor_.fetch_add(kEvictionSample, std::memory_order_relaxed) % used;
  for (unsigned i = 0; i < std::min<uint32_t>(kEvictionSample, used); ++i) {
    oldest.consider(1 + cursor, entries_[1 + cursor].body, now_seconds);
    cursor = cursor + 1 >= used ? 0 : cursor + 1;
  }
  return oldest.id != 0 && erase_if(oldest.id, oldest.state);
}

// Makes room in one of two full buckets.
template <typename Entry>
bool FlowTable<Entry>::evict_from(const FlowIndex::Place& place, uint32_t now_seconds) {
  Oldest oldest;
  for (const uint32_t index : {place.first, place.second}) {
    for (unsigned slot = 0; slot < FlowBucket::kSlots; ++slot) {
      const FlowId id = index_.bucket(index).at(slot).id();
      if (id != 0) oldest.consider(id, entries_[id].body, now_seconds);
    }
  }
  return oldest.id != 0 && erase_if(oldest.id, oldest.state);
}

template <typename Entry>
uint32_t FlowTable<Entry>::age(uint32_t now_seconds, uint32_t budget) {
  uint32_t expired = 0;
  // Nobody twice: most tables are small, and this is what an idle dataplane does.
  for (budget = std::min(budget, last_id()); budget != 0; --budget) {
    const FlowId id = age_cursor_;
    age_cursor_ = id >= last_id() ? 1 : id + 1;
    const Entry& entry = entries_[id];
    const uint32_t state = entry.body.state.load(std::memory_order_acquire);
    const FlowWord word = FlowWord::unpack(state);
    if (word.life != FlowWord::kLive) continue;
    const auto protocol = static_cast<uint8_t>(
        FlowLastWord::of(entry.key[Entry::kAddressWords].load(std::memory_order_relaxed)).protocol);
    if (entry.body.idle_seconds(now_seconds) < timeouts_.of(word.protocol_state, protocol)) continue;
    expired += static_cast<uint32_t>(erase_if(id, state));
  }
  recycler_.reclaim();
  return expired;
}

template <typename Entry>
void FlowTable<Entry>::reclaim() {
  recycler_.reclaim();
}

template <typename Entry>
bool FlowTable<Entry>::read(FlowId id, uint32_t now_seconds, FlowCopy<Key>& copy) const {
  const Entry& entry = entries_[id];
  const FlowWord before = FlowWord::unpack(entry.body.state.load(std::memory_order_acquire));
  if (before.life != FlowWord::kLive) return false;
  copy.key = key_of(id);
  copy.original_swapped = before.original_swapped;
  copy.translated = before.has_reply_tuple;
  copy.reply_swapped = before.reply_swapped;
  if (copy.translated) copy.reply_key = reply_key_of(id);
  copy.state = before.protocol_state;
  for (size_t way = 0; way < 2; ++way) {
    copy.verdict[way] = entry.body.verdict(static_cast<Direction>(way));
    const uint64_t spill = spill_[2 * size_t{id} + way].load(std::memory_order_acquire);
    const uint32_t tally = entry.body.tally[way].load(std::memory_order_acquire);
    copy.packets[way] = FlowTally::packets(tally, spill);
    copy.bytes[way] = FlowTally::bytes(tally, spill);
  }
  copy.idle_seconds = entry.body.idle_seconds(now_seconds);
  // Another connection's by now? Then what was copied is a mixture.
  const FlowWord after = FlowWord::unpack(entry.body.state.load(std::memory_order_relaxed));
  return after.life == FlowWord::kLive && after.incarnation == before.incarnation;
}

template bool FlowTable4::evict_one(uint32_t);
template bool FlowTable4::evict_from(const FlowIndex::Place&, uint32_t);
template uint32_t FlowTable4::age(uint32_t, uint32_t);
template void FlowTable4::reclaim();
template bool FlowTable4::read(FlowId, uint32_t, FlowCopy<FlowTable4::Key>&) const;
template bool FlowTable6::evict_one(uint32_t);
template bool FlowTable6::evict_from(const FlowIndex::Place&, uint32_t);
template uint32_t FlowTable6::age(uint32_t, uint32_t);
template void FlowTable6::reclaim();
template bool FlowTable6::read(FlowId, uint32_t, FlowCopy<FlowTable6::Key>&) const;

}  // namespace fairlead::core
