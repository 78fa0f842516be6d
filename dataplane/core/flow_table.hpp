#pragma once

#include "dataplane/base/mapped_region.hpp"
#include "dataplane/base/result.hpp"
#include "dataplane/core/epoch.hpp"
#include "dataplane/core/flow_entry.hpp"
#include "dataplane/core/flow_index.hpp"
#include "dataplane/core/flow_quota.hpp"
#include "dataplane/core/flow_recycler.hpp"
#include "dataplane/core/flow_tally.hpp"
#include "dataplane/packet/flow_hash.h"

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <type_traits>

namespace fairlead::core {

struct FlowTableConfig {
  uint32_t capacity = 1u << 16;  // connections; fixed for the table's life
  bool reply_tuples =
      false;          // room in the index for a second tuple of every connection (address translation)
  uint64_t seed = 0;  // secret of the flow hash; a table adopted from a file keeps its own: ask seed()
  std::string path;   // a shared-memory file to keep the table in over restarts; empty: private memory
  FlowTimeouts timeouts;
};

// Where a tuple was found.
struct FlowHit {
  FlowId id = 0;  // 0: not in the table
  Direction direction = Direction::kOriginal;
};

// An entry under a worker's eyes, good until its next quiescent(): where a tuple was found, `state` (packed
// FlowWord) as it was then, 1 for the reply direction.
template <typename Entry>
struct FlowFound {
  Entry* entry = nullptr;
  uint32_t state = 0;
  unsigned direction = 0;
};

// What the slow path knows about a new connection.
struct FlowInit {
  bool swapped = false;  // this (the original) packet goes FL_FLOW_FROM_HIGH with respect to its key
  FlowState state = FlowState::kOneWay;
  FlowVerdict original = {};  // of this packet's direction
  FlowVerdict reply = {};
  FlowOwner owner = FlowOwner::kNone;
  uint32_t now_seconds = 0;
};

enum class InsertOutcome : uint8_t {
  kInserted,
  kExists,  // somebody was faster (or the caller did not look): `hit` is that entry, untouched
  kFull,    // no room and nothing to evict: drop FLOW_TABLE_FULL or forward without an entry
  kQuota,   // the owner has used up its quota
};

struct InsertResult {
  InsertOutcome outcome = InsertOutcome::kFull;
  FlowHit hit;
};

// One connection as each_flow() shows it: a consistent copy.
template <typename Key>
struct FlowCopy {
  Key key{};
  bool original_swapped = false;
  FlowState state = FlowState::kOneWay;
  FlowVerdict verdict[2];
  uint64_t packets[2] = {0, 0};
  uint64_t bytes[2] = {0, 0};
  uint16_t idle_seconds = 0;
};

// The connections of one address family.
//
// Index: buckets of one cache line (eight 16-bit signatures, eight entry ids, a lock), two candidate buckets
// a tuple, the second derived from the first and the signature. Lookups take no lock and
// write nothing; a writer locks the one or two buckets of its tuple for some tens of nanoseconds.
//
// Safety of lock-free reading: an entry taken out of the index is used again only after every worker was
// quiescent (Epoch), so a FlowId from lookup_burst() stays this connection's until the worker's next
// quiescent(), and its key, once visible in the index, does not change while anybody can compare it. Ids held
// longer must be looked up again.
//
// Memory per connection: IPv4 64 B entry + 16 B byte and packet counters + 10..20 B index (twice with
// reply_tuples).
//
// Threads: workers registered with the Epoch: all of lookup_burst, insert, erase, set_verdict,
// add_reply_tuple, step_*, count. Any one control thread: age, reclaim, read. No allocation after
// construction.
template <typename Entry>
class FlowTable {
 public:
  using Key = typename Entry::Key;
  using EntryType = Entry;

  // Private memory, or the file of config.path adopted or created. A file that is not ours, of another
  // layout, capacity or with a bad checksum is not used: the table starts empty and note() says why. Errors:
  // FL2205 (file, memory).
  [[nodiscard]] static Result<std::unique_ptr<FlowTable>> open(const FlowTableConfig& config, Epoch& epoch,
                                                               FlowQuota& quota);
  FlowTable(const FlowTable&) = delete;
  FlowTable& operator=(const FlowTable&) = delete;

  [[nodiscard]] uint64_t seed() const { return seed_; }
  // "adopted 1234 flows", "started empty: layout version 3, this build writes 1", or empty for private
  // memory.
  [[nodiscard]] const std::string& note() const { return note_; }
  [[nodiscard]] uint32_t capacity() const { return capacity_; }
  [[nodiscard]] uint32_t size() const { return live_.load(std::memory_order_relaxed); }
  [[nodiscard]] size_t memory_bytes() const { return region_.size(); }

  // The hash every other call wants: of the normalised key, under this table's secret. Any flow of packets
  // may use it for other purposes (tunnel source port, ECMP), too.
  [[nodiscard]] uint64_t hash(const Key& key) const {
    if constexpr (std::is_same_v<Key, flow_key4>) {
      return flow_hash4(&secret_, &key);
    } else {
      return flow_hash6(&secret_, &key);
    }
  }

  // Finds `count` (<= 64) tuples; `swapped[i]`: packet i goes FL_FLOW_FROM_HIGH. Misses get id 0.
  void lookup_burst(const Key* keys, const uint64_t* hashes, const bool* swapped, uint32_t count,
                    FlowHit* hits) const;
  [[nodiscard]] FlowHit lookup(const Key& key, uint64_t hash, bool swapped) const;

  // The same in three parts, for who has work to do between them: each begins to fetch what the next one
  // reads. 1. begin() with the hash; 2. choose() in the first bucket and, where that says no, choose_second()
  // (fetch_second() a while before); 3. confirm() the candidate.
  FL_INLINE void begin(uint64_t hash) const { __builtin_prefetch(&index_.bucket(index_.first(hash))); }
  FL_INLINE void fetch_second(uint64_t hash) const {
    __builtin_prefetch(&index_.bucket(index_.place(hash).second));
  }
  // False: the bucket has nothing of this signature (or only what is just being taken out).
  [[nodiscard]] FL_INLINE bool choose(uint64_t hash, FlowSlot* candidate) const {
    return choose_in(index_.first(hash), hash, candidate);
  }
  [[nodiscard]] FL_INLINE bool choose_second(uint64_t hash, FlowSlot* candidate) const {
    return choose_in(index_.place(hash).second, hash, candidate);
  }
  // confirm() for who goes on with the entry itself; false: not this one, ask confirm().
  [[nodiscard]] FL_INLINE bool confirm_entry(FlowSlot candidate, const Key& key, bool swapped,
                                             FlowFound<Entry>* found) const {
    Entry& entry = entries_[candidate.id()];
    if (candidate.raw == 0 || candidate.by_reply_tuple() || !has_key(entry, words_of(key))) [[unlikely]]
      return false;
    found->entry = &entry;
    found->state = entry.body.state.load(std::memory_order_relaxed);
    found->direction = FlowWord::is_reply(found->state, swapped);
    return true;
  }
  [[nodiscard]] FL_INLINE FlowHit confirm(FlowSlot candidate, const Key& key, uint64_t hash,
                                          bool swapped) const {
    if (candidate.raw == 0) return {};
    if (is_tuple(candidate, words_of(key))) [[likely]]
      return hit(candidate, swapped);
    return lookup(key, hash, swapped);  // two tuples with one signature: look at all of them
  }

  [[nodiscard]] FlowBody& body(FlowId id) const { return entries_[id].body; }

  // Adds a connection; of several concurrent inserts of one tuple exactly one gets kInserted.
  // Full: the oldest evictable entry of a bounded sample goes first.
  [[nodiscard]] InsertResult insert(const Key& key, uint64_t hash, const FlowInit& init);
  // Lets the entry also be found by the reply's own tuple. False: another entry has it (choose another port),
  // or no room.
  [[nodiscard]] bool add_reply_tuple(FlowId id, const Key& key, uint64_t hash, bool swapped);
  // Takes the connection out. False: somebody else did (or is doing) so.
  bool erase(FlowId id);

  // Writes what the slow path has (again) decided for one direction.
  void set_verdict(FlowId id, Direction direction, const FlowVerdict& verdict, uint32_t now_seconds);
  // Moves the TCP state; true: the connection is over and this SYN starts a new one: erase(id) and judge it
  // afresh.
  [[nodiscard]] bool step_tcp(FlowId id, Direction direction, uint8_t flags) {
    const FlowWord word = FlowWord::unpack(body(id).state.load(std::memory_order_relaxed));
    if (word.protocol_state == FlowState::kTcpEstablished && (flags & (kTcpSyn | kTcpFin | kTcpRst)) == 0)
      return false;
    return move_tcp(id, direction, flags);
  }
  void step_datagram(FlowId id, Direction direction);
  // Either of them, by `protocol`. False: as a true step_tcp(), and nothing has been changed.
  [[nodiscard]] bool step(FlowId id, Direction direction, uint8_t tcp_flags, uint8_t protocol) {
    if (protocol == kProtocolTcp) return !step_tcp(id, direction, tcp_flags);
    step_datagram(id, direction);
    return true;
  }

  // Adds to the direction's counters. Two workers counting the same direction in the same instant may lose
  // one of the two.
  void count(FlowId id, Direction direction, uint32_t packets, uint32_t bytes) {
    const auto way = static_cast<size_t>(direction);
    FlowTally::add(body(id).tally[way], spill_[2 * size_t{id} + way], packets, bytes);
  }

  // Visits the next `budget` entries and erases those that were idle too long; returns how many. Also
  // reclaim()s.
  uint32_t age(uint32_t now_seconds, uint32_t budget);
  // Makes erased entries usable again whose readers are gone. Cheap; age() and a full insert() do it too.
  void reclaim();

  // Ids to walk over: 1 .. last_id().
  [[nodiscard]] FlowId last_id() const { return recycler_.touched_end() - 1; }
  // A consistent copy of a live entry; false when there is none under this id. Any thread.
  [[nodiscard]] bool read(FlowId id, uint32_t now_seconds, FlowCopy<Key>& copy) const;

 private:
  struct Header;
  struct Layout;
  enum class Lack : uint8_t { kNothing, kCapacity, kEntry, kSlot };  // what an insert was short of
  using Words = FlowWords<Key>;
  static constexpr uint8_t kProtocolTcp = 6;

  FlowTable(const FlowTableConfig& config, const Layout& layout, Epoch& epoch, FlowQuota& quota,
            MappedRegion region);

  void start_empty(const Header& header, bool dirty);
  void adopt();
  [[nodiscard]] bool adopt_entry(FlowId id, FlowWord word);
  [[nodiscard]] Key key_of(FlowId id) const;
  [[nodiscard]] Key reply_key_of(FlowId id) const;
  [[nodiscard]] FL_INLINE bool is_tuple(FlowSlot slot, const Words& words) const {
    const Entry& entry = entries_[slot.id()];
    return slot.by_reply_tuple() ? has_reply_tuple(entry, words) : has_key(entry, words);
  }
  // The direction in which a packet is that was found by this slot; nothing when the entry is on its way out.
  [[nodiscard]] FL_INLINE FlowHit hit(FlowSlot slot, bool swapped) const {
    const FlowWord word = FlowWord::unpack(entries_[slot.id()].body.state.load(std::memory_order_relaxed));
    if (word.life != FlowWord::kLive && word.life != FlowWord::kBuilding) return {};
    const bool is_reply =
        slot.by_reply_tuple() ? swapped == word.reply_swapped : swapped != word.original_swapped;
    return {slot.id(), static_cast<Direction>(is_reply)};
  }
  [[nodiscard]] FL_INLINE bool choose_in(uint32_t bucket_index, uint64_t hash, FlowSlot* candidate) const {
    const FlowBucket& bucket = index_.bucket(bucket_index);
    const unsigned matches = bucket.match(FlowIndex::signature(hash));
    *candidate = matches == 0 ? FlowSlot{} : bucket.at(static_cast<unsigned>(std::countr_zero(matches)));
    if (candidate->raw == 0) return false;
    const Entry& entry = entries_[candidate->id()];
    __builtin_prefetch(&entry);
    if constexpr (sizeof(Entry) > 64) __builtin_prefetch(&entry.body.tally);
    return true;
  }
  [[nodiscard]] InsertResult insert_absent(const FlowIndex::Place& place, const Words& words,
                                           const FlowInit& init, Lack& lack);
  [[nodiscard]] bool make_room(Lack lack, const FlowIndex::Place& place, uint32_t now_seconds);
  void build(FlowId id, const Words& words, FlowWord word, const FlowInit& init);
  [[nodiscard]] bool erase_if(FlowId id, uint32_t seen_state);
  void unlink(FlowId id, FlowWord word);
  void return_quota(FlowId id, FlowOwner owner);
  [[nodiscard]] bool change_owner(std::atomic<uint32_t>& ingress, FlowIngress next);
  [[nodiscard]] bool mark_reply_tuple(FlowId id, bool has_it, bool swapped);
  bool evict_one(uint32_t now_seconds);
  bool evict_from(const FlowIndex::Place& place, uint32_t now_seconds);
  [[nodiscard]] bool move_tcp(FlowId id, Direction direction, uint8_t flags);

  FlowQuota& quota_;
  FlowTimeouts timeouts_;
  flow_secret secret_{};
  MappedRegion region_;
  uint64_t seed_ = 0;
  std::string note_;
  uint32_t capacity_ = 0;
  uint32_t slots_ = 0;  // entries: id 0, `capacity_` and a reserve for those that wait for their grace period
  FlowIndex index_;
  Entry* entries_ = nullptr;
  std::atomic<uint64_t>* spill_ = nullptr;  // two words an entry: packets and bytes in large units
  FlowId age_cursor_ = 1;                   // written: control
  FlowRecycler recycler_;

  alignas(64) std::atomic<uint32_t> live_{0};
  std::atomic<uint32_t> evict_cursor_{0};
};

using FlowTable4 = FlowTable<FlowEntry4>;
using FlowTable6 = FlowTable<FlowEntry6>;

}  // namespace fairlead::core
