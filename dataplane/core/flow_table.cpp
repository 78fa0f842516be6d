#include "dataplane/core/flow_table.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace fairlead::core {

namespace {

// Stands in the ingress whose endpoint owned an erased entry: its quota has been returned.
constexpr uint32_t kOwnerGone = ~uint32_t{0};

uint64_t way_word(const FlowVerdict& verdict, uint32_t now_seconds) {
  return verdict.template_id | (uint64_t{verdict.generation} << 32) |
         (uint64_t{static_cast<uint16_t>(now_seconds)} << 48);
}

size_t index_of(Direction direction) {
  return static_cast<size_t>(direction);
}

}  // namespace

template <typename Entry>
typename Entry::Key FlowTable<Entry>::key_of(FlowId id) const {
  Words words;
  for (size_t i = 0; i < words.size(); ++i) words[i] = entries_[id].key[i].load(std::memory_order_acquire);
  Key key;
  std::memcpy(&key, words.data(), sizeof(Key));
  return key;
}

template <typename Entry>
typename Entry::Key FlowTable<Entry>::reply_key_of(FlowId id) const {
  const Entry& entry = entries_[id];
  Words words;
  for (size_t i = 0; i < Entry::kAddressWords; ++i) {
    words[i] = entry.reply_addresses[i].load(std::memory_order_acquire);
  }
  FlowLastWord last = FlowLastWord::of(entry.key[Entry::kAddressWords].load(std::memory_order_acquire));
  last.ports = entry.body.reply_ports.load(std::memory_order_acquire);
  words.back() = std::bit_cast<uint64_t>(last);
  Key key;
  std::memcpy(&key, words.data(), sizeof(Key));
  return key;
}

template <typename Entry>
FlowHit FlowTable<Entry>::lookup(const Key& key, uint64_t hash, bool swapped) const {
  return find(placed(key, hash, swapped), swapped);
}

// Passes over the whole burst, so that the memory accesses of one pass overlap: bucket lines; candidates
// (and, where the first bucket has none, the second bucket's line); entries.
template <typename Entry>
void FlowTable<Entry>::lookup_burst(const Key* keys, const uint64_t* hashes, const bool* swapped,
                                    uint32_t count, FlowHit* hits) const {
  constexpr uint32_t kGroup = 64;
  const FlowBucket* buckets[kGroup];
  Entry* candidates[kGroup];
  uint8_t second[kGroup];
  uint32_t second_count = 0;
  for (uint32_t i = 0; i < count; ++i) buckets[i] = begin(hashes[i]);
  for (uint32_t i = 0; i < count; ++i) {
    candidates[i] = choose(buckets[i], hashes[i]);
    if (candidates[i] != nullptr) continue;
    fetch_second(hashes[i]);
    second[second_count++] = static_cast<uint8_t>(i);
  }
  for (uint32_t j = 0; j < second_count; ++j) candidates[second[j]] = choose_second(hashes[second[j]]);
  for (uint32_t i = 0; i < count; ++i) hits[i] = confirm(candidates[i], keys[i], hashes[i], swapped[i]);
}

// Release stores: a reader that copies without being registered (read()) must see kBuilding before any of the
// content.
template <typename Entry>
void FlowTable<Entry>::build(FlowId id, const Words& words, FlowWord word, const FlowInit& init) {
  Entry& entry = entries_[id];
  entry.body.state.store(word.pack(), std::memory_order_relaxed);
  for (size_t i = 0; i < words.size(); ++i) entry.key[i].store(words[i], std::memory_order_release);
  const FlowVerdict* verdicts[2] = {&init.original, &init.reply};
  for (size_t way = 0; way < 2; ++way) {
    entry.body.ingress[way].store(verdicts[way]->ingress.raw, std::memory_order_release);
    entry.body.way[way].store(way_word(*verdicts[way], init.now_seconds), std::memory_order_release);
    entry.body.tally[way].store(0, std::memory_order_release);
    spill_[2 * size_t{id} + way].store(0, std::memory_order_release);
  }
}

// Under the Guard of all places: makes a built entry be found by all of its tuples, or by none.
template <typename Entry>
FL_INLINE bool FlowTable<Entry>::link(FlowId id, const Placed& first, const Placed* reply, Lack& lack) {
  if (reply != nullptr) {
    Entry& entry = entries_[id];
    for (size_t i = 0; i < Entry::kAddressWords; ++i) {
      entry.reply_addresses[i].store(reply->words[i], std::memory_order_release);
    }
    entry.body.reply_ports.store(FlowLastWord::of(reply->words.back()).ports, std::memory_order_release);
    if (!index_.link(reply->place, {id | FlowSlot::kReplyTuple})) {
      lack = Lack::kReplySlot;
      return false;
    }
  }
  if (index_.link(first.place, {id})) return true;
  lack = Lack::kSlot;
  if (reply != nullptr) index_.unlink(reply->place, {id | FlowSlot::kReplyTuple});
  return false;
}

// Under the Guard of all places. What it takes it gives back unless all goes well; `lack` says what was
// missing.
template <typename Entry>
FL_INLINE InsertResult FlowTable<Entry>::insert_absent(const Placed& first, const Placed* reply,
                                                       const FlowInit& init, Lack& lack) {
  const FlowVerdict& owning = init.owner == FlowOwner::kReplyIngress ? init.reply : init.original;
  const bool counted = init.owner != FlowOwner::kNone;
  if (counted && !quota_.take(owning.ingress.id())) return {InsertOutcome::kQuota, {}};
  FlowWord word;
  FlowId id = 0;
  if (live_.fetch_add(1, std::memory_order_relaxed) >= capacity_) {
    lack = Lack::kCapacity;
  } else if (id = recycler_.take(word.incarnation); id == 0) {
    lack = Lack::kEntry;
  } else {
    word.life = FlowWord::kBuilding;
    word.protocol_state = init.state;
    word.owner = init.owner;
    word.original_swapped = init.swapped;
    word.has_reply_tuple = reply != nullptr;
    word.reply_swapped = reply != nullptr && reply->swapped;
    build(id, first.words, word, init);
    if (link(id, first, reply, lack)) {
      // Only now may it be erased: who erases must find it linked. An addition, as a packet may have moved
      // the state.
      entries_[id].body.state.fetch_add(FlowWord::kLive - FlowWord::kBuilding, std::memory_order_release);
      return {InsertOutcome::kInserted, {id, Direction::kOriginal, reply != nullptr}};
    }
    recycler_.give_back(id);
  }
  live_.fetch_sub(1, std::memory_order_relaxed);
  if (counted) quota_.give_back(owning.ingress.id());
  return {InsertOutcome::kFull, {}};
}

// Under the Guard of all places. An untranslated connection needs the tuple for both directions.
template <typename Entry>
FL_INLINE InsertResult FlowTable<Entry>::insert_guarded(const Placed& first, const Placed* reply,
                                                        const FlowInit& init, Lack& lack) {
  const auto holds = [this](const Placed& tuple) {
    return index_.find(tuple.place, [&](FlowSlot at) { return is_tuple(at, tuple.words); }).raw != 0;
  };
  if (holds(first)) [[unlikely]] {
    if (const FlowHit its = find(first, first.swapped); its.id != 0) return {InsertOutcome::kExists, its};
    const FlowHit other = reply == nullptr ? find(first, !first.swapped) : FlowHit{};
    if (other.id != 0) return {InsertOutcome::kTaken, other};
  }
  if (reply != nullptr) {
    if (const FlowHit other = find(*reply, reply->swapped); other.id != 0)
      return {InsertOutcome::kTaken, other};
  }
  return insert_absent(first, reply, init, lack);
}

template <typename Entry>
bool FlowTable<Entry>::make_room(Lack lack, const Placed& first, const Placed* reply, uint32_t now_seconds) {
  switch (lack) {
    case Lack::kCapacity:
      return evict_one(now_seconds);
    case Lack::kSlot:
      return evict_from(first.place, now_seconds);
    case Lack::kReplySlot:
      return evict_from(reply->place, now_seconds);
    case Lack::kEntry:
      recycler_.reclaim();
      return true;
    case Lack::kNothing:
      break;
  }
  return false;
}

// Room is made only for a tuple that was seen to be absent under its locks, and outside of them: who evicts
// takes the locks of others.
template <typename Entry>
template <bool kTranslated>
inline InsertResult FlowTable<Entry>::insert_tuples(const Placed& first, const Placed* reply,
                                                    const FlowInit& init) {
  constexpr unsigned kTries = 3;  // others may take the room that was made
  for (unsigned attempt = 0; attempt < kTries; ++attempt) {
    Lack lack = Lack::kNothing;
    InsertResult result;
    if constexpr (!kTranslated) {
      const FlowIndex::Guard guard(index_, first.place);
      result = insert_guarded(first, nullptr, init, lack);
    } else {
      const FlowIndex::PairGuard guard(index_, first.place, reply->place);
      result = insert_guarded(first, reply, init, lack);
    }
    if (lack == Lack::kNothing) return result;
    if (!make_room(lack, first, reply, init.now_seconds)) break;
  }
  return {InsertOutcome::kFull, {}};
}

template <typename Entry>
InsertResult FlowTable<Entry>::insert(const Key& key, uint64_t hash, const FlowInit& init) {
  return insert_tuples<false>(placed(key, hash, init.swapped), nullptr, init);
}

template <typename Entry>
InsertResult FlowTable<Entry>::insert(const Key& key, uint64_t hash, const FlowInit& init,
                                      const FlowTuple<Key>& reply) {
  const Placed its_reply = placed(reply.key, reply.hash, reply.swapped);
  return insert_tuples<true>(placed(key, hash, init.swapped), &its_reply, init);
}

template <typename Entry>
void FlowTable<Entry>::unlink(FlowId id, FlowWord word) {
  const FlowIndex::Place place = index_.place(hash(key_of(id)));
  {
    const FlowIndex::Guard guard(index_, place);
    index_.unlink(place, {id});
  }
  if (!word.has_reply_tuple) return;
  const FlowIndex::Place reply_place = index_.place(hash(reply_key_of(id)));
  const FlowIndex::Guard guard(index_, reply_place);
  index_.unlink(reply_place, {id | FlowSlot::kReplyTuple});
}

template <typename Entry>
void FlowTable<Entry>::return_quota(FlowId id, FlowOwner owner) {
  if (owner == FlowOwner::kNone) return;
  std::atomic<uint32_t>& ingress = body(id).ingress[owner == FlowOwner::kOriginalIngress ? 0 : 1];
  quota_.give_back(FlowIngress{ingress.exchange(kOwnerGone, std::memory_order_relaxed)}.id());
}

// Erases the entry if its state word still is what the caller has judged.
template <typename Entry>
bool FlowTable<Entry>::erase_if(FlowId id, uint32_t seen_state) {
  const FlowWord word = FlowWord::unpack(seen_state);
  if (word.life != FlowWord::kLive) return false;
  if (!entries_[id].body.state.compare_exchange_strong(seen_state, FlowWord::kDying,
                                                       std::memory_order_acq_rel)) {
    return false;
  }
  unlink(id, word);
  return_quota(id, word.owner);
  recycler_.retire(id);
  live_.fetch_sub(1, std::memory_order_relaxed);
  return true;
}

template <typename Entry>
bool FlowTable<Entry>::erase(FlowId id) {
  for (;;) {
    const uint32_t state = entries_[id].body.state.load(std::memory_order_acquire);
    if (FlowWord::unpack(state).life != FlowWord::kLive) return false;
    if (erase_if(id, state)) return true;
  }
}

template <typename Entry>
void FlowTable<Entry>::set_verdict(FlowId id, Direction direction, const FlowVerdict& verdict,
                                   uint32_t now_seconds) {
  FlowBody& flow = body(id);
  const size_t way = index_of(direction);
  const FlowWord word = FlowWord::unpack(flow.state.load(std::memory_order_relaxed));
  if (word.life != FlowWord::kLive && word.life != FlowWord::kBuilding) return;
  const FlowOwner owning =
      direction == Direction::kOriginal ? FlowOwner::kOriginalIngress : FlowOwner::kReplyIngress;
  if (word.owner != owning) {
    flow.ingress[way].store(verdict.ingress.raw, std::memory_order_relaxed);
  } else if (!change_owner(flow.ingress[way], verdict.ingress)) {
    return;
  }
  flow.way[way].store(way_word(verdict, now_seconds), std::memory_order_release);
}

// Moves the entry from one endpoint's quota to another's; false: it is being erased and counts nowhere any
// more.
template <typename Entry>
bool FlowTable<Entry>::change_owner(std::atomic<uint32_t>& ingress, FlowIngress next) {
  uint32_t old = ingress.load(std::memory_order_relaxed);
  if (old == next.raw) return true;
  quota_.take_unchecked(next.id());
  while (old != kOwnerGone) {
    if (!ingress.compare_exchange_weak(old, next.raw, std::memory_order_relaxed)) continue;
    quota_.give_back(FlowIngress{old}.id());
    return true;
  }
  quota_.give_back(next.id());
  return false;
}

template <typename Entry>
bool FlowTable<Entry>::move_tcp(FlowId id, Direction direction, uint8_t flags) {
  std::atomic<uint32_t>& state = body(id).state;
  uint32_t old = state.load(std::memory_order_relaxed);
  for (;;) {
    FlowWord word = FlowWord::unpack(old);
    if (word.life != FlowWord::kLive && word.life != FlowWord::kBuilding) return false;
    const TcpStep step = tcp_step(word.protocol_state, direction, flags);
    if (step.restart) return true;
    if (step.next == word.protocol_state) return false;
    word.protocol_state = step.next;
    if (state.compare_exchange_weak(old, word.pack(), std::memory_order_relaxed)) return false;
  }
}

template <typename Entry>
void FlowTable<Entry>::step_datagram(FlowId id, Direction direction) {
  std::atomic<uint32_t>& state = body(id).state;
  uint32_t old = state.load(std::memory_order_relaxed);
  for (;;) {
    FlowWord word = FlowWord::unpack(old);
    if (word.life != FlowWord::kLive && word.life != FlowWord::kBuilding) return;
    const FlowState next = datagram_step(word.protocol_state, direction);
    if (next == word.protocol_state) return;
    word.protocol_state = next;
    if (state.compare_exchange_weak(old, word.pack(), std::memory_order_relaxed)) return;
  }
}

template class FlowTable<FlowEntry4>;
template class FlowTable<FlowEntry6>;

}  // namespace fairlead::core
