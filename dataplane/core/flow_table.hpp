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
  bool translated = false;  // the connection's packets change their addresses: target_of() says to what
};

// A tuple by which packets of one direction are found.
template <typename Key>
struct FlowTuple {
  Key key{};
  uint64_t hash = 0;     // FlowTable::hash(key)
  bool swapped = false;  // the packet goes FL_FLOW_FROM_HIGH
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
  kTaken,   // a tuple is another connection's, of which this packet is none: `hit` is that entry
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
  bool translated = false;
  bool reply_swapped = false;  // translated
  Key reply_key{};             // translated: the tuple of its replies
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
// Threads: workers registered with the Epoch: all of lookup_burst, insert, erase, set_verdict, step_*, count.
// Any one control thread: age, reclaim, read, forget_verdicts, erase. No allocation after construction.
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
      return hash4_of(secret_, Bytes16::at(&key));
    } else {
      return hash6_of(secret_, key);
    }
  }
  [[nodiscard]] const flow_secret& secret() const { return secret_; }

  // Finds `count` (<= 64) tuples; `swapped[i]`: packet i goes FL_FLOW_FROM_HIGH. Misses get id 0.
  void lookup_burst(const Key* keys, const uint64_t* hashes, const bool* swapped, uint32_t count,
                    FlowHit* hits) const;
  [[nodiscard]] FlowHit lookup(const Key& key, uint64_t hash, bool swapped) const;

  // The same in three parts, for who has work to do between them: each begins to fetch what the next one
  // reads. 1. begin() with the hash gives the first bucket; 2. choose() an entry in it and, where there is
  // none (null), choose_second() (fetch_second() a while before), which says nobody's entry when it finds
  // none; 3. confirm() it, or look at it oneself. An entry is good until the worker's next quiescent().
  FL_INLINE const FlowBucket* begin(uint64_t hash) const {
    const FlowBucket* const bucket = &index_.bucket(index_.first(hash));
    __builtin_prefetch(bucket);
    return bucket;
  }
  FL_INLINE void fetch_second(uint64_t hash) const {
    __builtin_prefetch(&index_.bucket(index_.place(hash).second));
  }
  [[nodiscard]] FL_INLINE Entry* choose(const FlowBucket* bucket, uint64_t hash) const {
    const unsigned matches = bucket->match(FlowIndex::signature(hash));
    if (matches == 0) return nullptr;
    // 0 when the slot is just being emptied: nobody's entry.
    Entry* const entry = &entries_[bucket->at(static_cast<unsigned>(std::countr_zero(matches))).id()];
    __builtin_prefetch(entry);
    if constexpr (sizeof(Entry) > 64) __builtin_prefetch(&entry->body.tally);
    return entry;
  }
  [[nodiscard]] FL_INLINE Entry* choose_second(uint64_t hash) const {
    Entry* const entry = choose(&index_.bucket(index_.place(hash).second), hash);
    return entry != nullptr ? entry : entries_;
  }
  [[nodiscard]] FL_INLINE FlowHit confirm(const Entry* entry, const Key& key, uint64_t hash,
                                          bool swapped) const {
    if (entry == entries_) return {};
    if (has_key(*entry, &key)) [[likely]] {
      const FlowHit found = hit({id_of(*entry)}, swapped);
      if (found.id != 0) [[likely]]
        return found;
    }
    return lookup(key, hash, swapped);  // by the replies' tuple, or two tuples with one signature
  }
  // What choose_second() says when there is no candidate.
  [[nodiscard]] FL_INLINE bool is_nobodys(const Entry& entry) const { return &entry == entries_; }
  // Begins to fetch all that an insert() of a tuple reads of the index.
  FL_INLINE void fetch_both(uint64_t hash) const {
    (void)begin(hash);
    fetch_second(hash);
  }
  [[nodiscard]] FL_INLINE FlowId id_of(const Entry& entry) const {
    return static_cast<FlowId>(&entry - entries_);
  }

  [[nodiscard]] FlowBody& body(FlowId id) const { return entries_[id].body; }

  // Adds a connection; of several concurrent inserts of one tuple exactly one gets kInserted.
  // Full: the oldest evictable entry of a bounded sample goes first.
  [[nodiscard]] InsertResult insert(const Key& key, uint64_t hash, const FlowInit& init);
  // Adds a translated connection, whose replies have a tuple of their own. Both tuples are in the table
  // afterwards or neither is, and no reader finds it by one of them before. kTaken: choose another reply.
  //
  // A translated connection is found by a tuple only in the direction that the tuple is for: the same two
  // addresses and ports may at once be another connection's in the other direction.
  [[nodiscard]] InsertResult insert(const Key& key, uint64_t hash, const FlowInit& init,
                                    const FlowTuple<Key>& reply);
  // What packets of `direction` of a translated connection become: the reverse of this tuple.
  [[nodiscard]] Key target_of(FlowId id, Direction direction) const {
    return direction == Direction::kOriginal ? reply_key_of(id) : key_of(id);
  }
  // Is that tuple's own packet FL_FLOW_FROM_HIGH?
  [[nodiscard]] bool is_target_swapped(FlowId id, Direction direction) const {
    const uint32_t word = body(id).state.load(std::memory_order_relaxed);
    return FlowWord::is_swapped(word, direction == Direction::kOriginal ? 1 : 0) != 0;
  }
  // Lets the next packet of either direction be judged anew.
  void forget_verdicts(FlowId id) {
    for (std::atomic<uint64_t>& way : body(id).way) {
      way.fetch_and(~((uint64_t{1} << 48) - 1), std::memory_order_relaxed);
    }
  }
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
  FL_INLINE void count_packet(Entry& entry, unsigned direction, uint32_t bytes) {
    if (!FlowTally::add_small(entry.body.tally[direction], bytes)) [[unlikely]]
      count(id_of(entry), static_cast<Direction>(direction), 1, bytes);
  }
  [[gnu::noinline]] void count(FlowId id, Direction direction, uint32_t packets, uint32_t bytes) {
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
  // What an insert was short of.
  enum class Lack : uint8_t { kNothing, kCapacity, kEntry, kSlot, kReplySlot };
  using Words = FlowWords<Key>;
  static constexpr uint8_t kProtocolTcp = 6;

  FlowTable(const FlowTableConfig& config, const Layout& layout, Epoch& epoch, FlowQuota& quota,
            MappedRegion region);

  void start_empty(const Header& header, bool dirty);
  void adopt();
  [[nodiscard]] bool adopt_entry(FlowId id, FlowWord word);
  [[nodiscard]] Key key_of(FlowId id) const;
  [[nodiscard]] Key reply_key_of(FlowId id) const;
  // A tuple and where it stands in the index.
  struct Placed {
    Words words;
    FlowIndex::Place place;
    bool swapped;
  };
  [[nodiscard]] Placed placed(const Key& key, uint64_t hash, bool swapped) const {
    return {words_of(key), index_.place(hash), swapped};
  }
  [[nodiscard]] FL_INLINE bool is_tuple(FlowSlot slot, const Words& words) const {
    const Entry& entry = entries_[slot.id()];
    return slot.by_reply_tuple() ? has_reply_tuple(entry, words) : has_key(entry, words.data());
  }
  // The direction in which a packet is that was found by this slot; nothing when the entry is on its way out,
  // is not yet in the index by both of its tuples, or is found by a tuple that is for the other direction.
  [[nodiscard]] FL_INLINE FlowHit hit(FlowSlot slot, bool swapped) const {
    const uint32_t state = entries_[slot.id()].body.state.load(std::memory_order_acquire);
    const FlowWord word = FlowWord::unpack(state);
    if (word.life != FlowWord::kLive && (word.life != FlowWord::kBuilding || word.has_reply_tuple)) return {};
    if (!word.has_reply_tuple) {
      if (slot.by_reply_tuple()) return {};
      return {slot.id(), static_cast<Direction>(swapped != word.original_swapped), false};
    }
    if (swapped != (slot.by_reply_tuple() ? word.reply_swapped : word.original_swapped)) return {};
    return {slot.id(), static_cast<Direction>(slot.by_reply_tuple()), true};
  }
  // Whose packet is this? Nobody's: id 0.
  [[nodiscard]] FlowHit find(const Placed& tuple, bool swapped) const {
    FlowHit found;
    (void)index_.find(tuple.place, [&](FlowSlot at) {
      if (!is_tuple(at, tuple.words)) return false;
      found = hit(at, swapped);
      return found.id != 0;
    });
    return found;
  }
  template <bool kTranslated>
  [[nodiscard]] InsertResult insert_tuples(const Placed& first, const Placed* reply, const FlowInit& init);
  [[nodiscard]] InsertResult insert_guarded(const Placed& first, const Placed* reply, const FlowInit& init,
                                            Lack& lack);
  [[nodiscard]] InsertResult insert_absent(const Placed& first, const Placed* reply, const FlowInit& init,
                                           Lack& lack);
  [[nodiscard]] bool link(FlowId id, const Placed& first, const Placed* reply, Lack& lack);
  [[nodiscard]] bool make_room(Lack lack, const Placed& first, const Placed* reply, uint32_t now_seconds);
  void build(FlowId id, const Words& words, FlowWord word, const FlowInit& init);
  [[nodiscard]] bool erase_if(FlowId id, uint32_t seen_state);
  void unlink(FlowId id, FlowWord word);
  void return_quota(FlowId id, FlowOwner owner);
  [[nodiscard]] bool change_owner(std::atomic<uint32_t>& ingress, FlowIngress next);
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
