#include "dataplane/core/lpm4.hpp"

#include "dataplane/base/mapped_region.hpp"
#include "dataplane/core/lpm_prefix_set.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <deque>
#include <vector>

namespace fairlead::core {

namespace {

// An entry of any level: child flag (bit 31), how long its prefix is within the level (bits 26..30), value
// (bits 0..25). Code 0 below the root means: inherited from the level above (a middle node inherits nothing:
// its 0 defers to the root).
constexpr uint32_t kChildFlag = 1u << 31;
constexpr unsigned kCodeShift = 26;
constexpr unsigned kRootBits = 12;
constexpr unsigned kMiddleBits = 24;
constexpr uint32_t kRootSlots = 1u << 12;
constexpr uint32_t kMiddleSlots = 1u << 12;
constexpr uint32_t kLeafSlots = 1u << 8;

constexpr uint32_t make_entry(unsigned code, uint32_t value) {
  return (code << kCodeShift) | value;
}
constexpr unsigned code_of(uint32_t entry) {
  return (entry >> kCodeShift) & 0x1f;
}
constexpr uint32_t network(uint32_t address, unsigned length) {
  return length == 0 ? 0 : address & (~uint32_t{0} << (32 - length));
}

struct PrefixSlot4 {
  uint32_t bits = 0;
  uint32_t length_and_value = 0;

  static PrefixSlot4 make(uint32_t address, unsigned length, uint32_t value) {
    return {address, make_entry(0, value) | (length << 26)};
  }
  static size_t hash(uint32_t address, unsigned length) {
    const uint64_t mixed = (static_cast<uint64_t>(address) << 6 | length) * 0x9e3779b97f4a7c15;
    return static_cast<size_t>(mixed >> 24);
  }
  [[nodiscard]] uint32_t address() const { return bits; }
  [[nodiscard]] unsigned length() const { return length_and_value >> 26; }
  [[nodiscard]] uint32_t value() const { return length_and_value & Lpm4::kMaxValue; }
};

// Fixed-size blocks out of reserved address space: ids from 1, freed ones first.
template <typename Slot, uint32_t kSlots>
class BlockPool {
 public:
  explicit BlockPool(uint32_t blocks)
      : region_(MappedRegion::reserve((size_t{blocks} + 1) * kSlots * sizeof(Slot))), limit_(blocks) {}

  [[nodiscard]] Slot* base() const { return static_cast<Slot*>(region_.data()); }
  [[nodiscard]] Slot* at(uint32_t id) const { return base() + static_cast<size_t>(id) * kSlots; }
  [[nodiscard]] uint32_t available() const { return limit_ - used_ + static_cast<uint32_t>(free_.size()); }
  [[nodiscard]] size_t in_use_bytes() const { return size_t{used_ - free_.size()} * kSlots * sizeof(Slot); }

  // The content is whatever it was. The caller has looked at available().
  [[nodiscard]] uint32_t take() {
    assert(available() > 0);
    if (free_.empty()) return ++used_;
    const uint32_t id = free_.back();
    free_.pop_back();
    return id;
  }
  void give_back(uint32_t id) { free_.push_back(id); }

 private:
  MappedRegion region_;
  uint32_t limit_;
  uint32_t used_ = 0;
  std::vector<uint32_t> free_;
};

// What the writer knows about a node and readers need not.
struct NodeFacts {
  uint64_t owner = 0;      // the version it was made in: that version may write it
  uint32_t inherited = 0;  // leaf: the middle entry it stands in for
  uint32_t used = 0;       // middle: slots that are not 0; leaf: slots that are not inherited
};

template <typename T>
T& grown_at(std::vector<T>& list, uint32_t index) {
  if (index >= list.size()) list.resize(std::max<size_t>(index + 1, list.size() * 2));
  return list[index];
}

}  // namespace

struct Lpm4::Writer {
  using RootSlot = View::RootSlot;
  enum class Kind : uint8_t { kRoot, kMiddle, kLeaf };
  struct Retired {
    uint64_t version;
    Kind kind;
    uint32_t id;
  };
  // A node being written and where the level above refers to it.
  struct Path {
    RootSlot* root_slot;
    uint32_t middle;
  };

  explicit Writer(const Limits& limits)
      : roots(kRoots), middles(std::max(limits.middle_nodes, 2u)), leaves(std::max(limits.leaves, 2u)) {
    root = roots.take();
    std::fill_n(roots.at(root), kRootSlots, RootSlot{});
    grown_at(root_facts, root).owner = version;
  }

  // Readers that fall this many versions behind stop the writer; address space only.
  static constexpr uint32_t kRoots = 4096;

  BlockPool<RootSlot, kRootSlots> roots;
  BlockPool<uint32_t, kMiddleSlots> middles;
  BlockPool<uint32_t, kLeafSlots> leaves;
  std::vector<NodeFacts> root_facts, middle_facts, leaf_facts;
  std::deque<Retired> retired;  // ascending versions
  LpmPrefixSet<PrefixSlot4> prefixes;
  uint64_t version = 1;  // the one being written
  uint32_t root = 0;

  void drop(Kind kind, uint32_t id) {
    switch (kind) {
      case Kind::kRoot:
        return roots.give_back(id);
      case Kind::kMiddle:
        return middles.give_back(id);
      case Kind::kLeaf:
        return leaves.give_back(id);
    }
  }

  // Takes a node out of the version being written; older ones may still use it.
  void release(Kind kind, uint32_t id, uint64_t owner) {
    if (owner == version) return drop(kind, id);
    retired.push_back({version, kind, id});
  }

  RootSlot* own_root() {
    if (root_facts[root].owner == version) return roots.at(root);
    const uint32_t copy = roots.take();
    std::memcpy(roots.at(copy), roots.at(root), kRootSlots * sizeof(RootSlot));
    grown_at(root_facts, copy).owner = version;
    release(Kind::kRoot, root, root_facts[root].owner);
    root = copy;
    return roots.at(root);
  }

  // The middle node under a slot of the owned root, made or copied as needed.
  uint32_t own_middle(RootSlot& slot) {
    if (slot.child != 0 && middle_facts[slot.child].owner == version) return slot.child;
    const uint32_t fresh = middles.take();
    NodeFacts& facts = grown_at(middle_facts, fresh);
    if (slot.child == 0) {
      std::memset(middles.at(fresh), 0, kMiddleSlots * sizeof(uint32_t));
      facts = {version, 0, 0};
    } else {
      std::memcpy(middles.at(fresh), middles.at(slot.child), kMiddleSlots * sizeof(uint32_t));
      facts = {version, 0, middle_facts[slot.child].used};
      release(Kind::kMiddle, slot.child, middle_facts[slot.child].owner);
    }
    slot.child = fresh;
    return fresh;
  }

  // The leaf under a slot of an owned middle node, made or copied as needed.
  uint32_t own_leaf(uint32_t middle, uint32_t& slot) {
    if ((slot & kChildFlag) != 0 && leaf_facts[slot & ~kChildFlag].owner == version)
      return slot & ~kChildFlag;
    const uint32_t fresh = leaves.take();
    NodeFacts& facts = grown_at(leaf_facts, fresh);
    if ((slot & kChildFlag) == 0) {
      std::fill_n(leaves.at(fresh), kLeafSlots, slot & kMaxValue);
      facts = {version, slot, 0};
      if (slot == 0) ++middle_facts[middle].used;
    } else {
      const uint32_t old = slot & ~kChildFlag;
      std::memcpy(leaves.at(fresh), leaves.at(old), kLeafSlots * sizeof(uint32_t));
      facts = leaf_facts[old];
      facts.owner = version;
      release(Kind::kLeaf, old, leaf_facts[old].owner);
    }
    slot = kChildFlag | fresh;
    return fresh;
  }

  // Is there room for every node that a change of this prefix may copy or make?
  [[nodiscard]] bool has_room(uint32_t prefix, unsigned length) const {
    if (roots.available() == 0) return false;
    if (length <= kRootBits) return true;
    if (middles.available() == 0) return false;
    if (length > kMiddleBits) return leaves.available() > 0;
    const uint32_t count = 1u << (kMiddleBits - length);
    if (leaves.available() >= count) return true;
    const uint32_t child = roots.at(root)[prefix >> 20].child;
    if (child == 0) return true;
    const uint32_t* slots = middles.at(child) + ((prefix >> 8) & 0xfff);
    return leaves.available() >=
           std::count_if(slots, slots + count, [](uint32_t entry) { return (entry & kChildFlag) != 0; });
  }

  void set(uint32_t prefix, unsigned length, uint32_t value);
  void set_in_middle(uint32_t middle, uint32_t prefix, unsigned length, uint32_t value);
  void set_in_leaf(uint32_t leaf, uint32_t prefix, unsigned length, uint32_t value);
  void set_inherited(uint32_t leaf, uint32_t entry);
  [[nodiscard]] uint32_t covering(uint32_t prefix, unsigned length, unsigned shortest) const;
  void clear(uint32_t prefix, unsigned length);
  void clear_in_root(RootSlot* slots, uint32_t prefix, unsigned length);
  void clear_in_middle(uint32_t middle, uint32_t prefix, unsigned length);
  void clear_in_leaf(uint32_t middle, uint32_t& slot, uint32_t prefix, unsigned length);
};

void Lpm4::Writer::set_inherited(uint32_t leaf, uint32_t entry) {
  leaf_facts[leaf].inherited = entry;
  uint32_t* slots = leaves.at(leaf);
  for (uint32_t i = 0; i < kLeafSlots; ++i) {
    if (code_of(slots[i]) == 0) slots[i] = entry & kMaxValue;
  }
}

void Lpm4::Writer::set_in_leaf(uint32_t leaf, uint32_t prefix, unsigned length, uint32_t value) {
  const unsigned code = length - kMiddleBits;
  uint32_t* slots = leaves.at(leaf) + (prefix & 0xff);
  for (uint32_t i = 0; i < 1u << (32 - length); ++i) {
    if (code_of(slots[i]) > code) continue;
    if (code_of(slots[i]) == 0) ++leaf_facts[leaf].used;
    slots[i] = make_entry(code, value);
  }
}

void Lpm4::Writer::set_in_middle(uint32_t middle, uint32_t prefix, unsigned length, uint32_t value) {
  const unsigned code = length - kRootBits;
  uint32_t* slots = middles.at(middle) + ((prefix >> 8) & 0xfff);
  for (uint32_t i = 0; i < 1u << (kMiddleBits - length); ++i) {
    if ((slots[i] & kChildFlag) != 0) {
      if (code_of(leaf_facts[slots[i] & ~kChildFlag].inherited) > code) continue;
      set_inherited(own_leaf(middle, slots[i]), make_entry(code, value));
    } else if (code_of(slots[i]) <= code) {
      if (slots[i] == 0) ++middle_facts[middle].used;
      slots[i] = make_entry(code, value);
    }
  }
}

void Lpm4::Writer::set(uint32_t prefix, unsigned length, uint32_t value) {
  RootSlot* slots = own_root() + (prefix >> 20);
  if (length <= kRootBits) {
    for (uint32_t i = 0; i < 1u << (kRootBits - length); ++i) {
      if (code_of(slots[i].entry) <= length) slots[i].entry = make_entry(length, value);
    }
    return;
  }
  const uint32_t middle = own_middle(*slots);
  if (length <= kMiddleBits) return set_in_middle(middle, prefix, length, value);
  uint32_t& slot = middles.at(middle)[(prefix >> 8) & 0xfff];
  set_in_leaf(own_leaf(middle, slot), prefix, length, value);
}

// The longest prefix of `shortest` bits or more that covers prefix/length without being it, as an entry with
// code relative to that level; 0: none.
uint32_t Lpm4::Writer::covering(uint32_t prefix, unsigned length, unsigned shortest) const {
  for (unsigned shorter = length; shorter-- > shortest;) {
    const uint32_t value = prefixes.get(network(prefix, shorter), shorter);
    if (value != 0) return make_entry(shortest == 0 ? shorter : shorter - shortest + 1, value);
  }
  return 0;
}

void Lpm4::Writer::clear_in_root(RootSlot* slots, uint32_t prefix, unsigned length) {
  const uint32_t under = covering(prefix, length, 0);
  for (uint32_t i = 0; i < 1u << (kRootBits - length); ++i) {
    if (slots[i].entry != 0 && code_of(slots[i].entry) == length) slots[i].entry = under;
  }
}

void Lpm4::Writer::clear_in_middle(uint32_t middle, uint32_t prefix, unsigned length) {
  const unsigned code = length - kRootBits;
  const uint32_t under = covering(prefix, length, kRootBits + 1);
  uint32_t* slots = middles.at(middle) + ((prefix >> 8) & 0xfff);
  for (uint32_t i = 0; i < 1u << (kMiddleBits - length); ++i) {
    if ((slots[i] & kChildFlag) != 0) {
      if (code_of(leaf_facts[slots[i] & ~kChildFlag].inherited) != code) continue;
      set_inherited(own_leaf(middle, slots[i]), under);
    } else if (code_of(slots[i]) == code) {
      slots[i] = under;
      if (under == 0) --middle_facts[middle].used;
    }
  }
}

void Lpm4::Writer::clear_in_leaf(uint32_t middle, uint32_t& slot, uint32_t prefix, unsigned length) {
  const uint32_t leaf = own_leaf(middle, slot);
  NodeFacts& facts = leaf_facts[leaf];
  const unsigned code = length - kMiddleBits;
  uint32_t under = covering(prefix, length, kMiddleBits + 1);
  if (under == 0) under = facts.inherited & kMaxValue;
  uint32_t* slots = leaves.at(leaf) + (prefix & 0xff);
  for (uint32_t i = 0; i < 1u << (32 - length); ++i) {
    if (code_of(slots[i]) != code) continue;
    slots[i] = under;
    if (code_of(under) == 0) --facts.used;
  }
  if (facts.used != 0) return;
  slot = facts.inherited;
  if (slot == 0) --middle_facts[middle].used;
  release(Kind::kLeaf, leaf, facts.owner);
}

void Lpm4::Writer::clear(uint32_t prefix, unsigned length) {
  RootSlot* slots = own_root() + (prefix >> 20);
  if (length <= kRootBits) return clear_in_root(slots, prefix, length);
  const uint32_t middle = own_middle(*slots);
  if (length <= kMiddleBits) {
    clear_in_middle(middle, prefix, length);
  } else {
    clear_in_leaf(middle, middles.at(middle)[(prefix >> 8) & 0xfff], prefix, length);
  }
  if (middle_facts[middle].used != 0) return;
  slots->child = 0;
  release(Kind::kMiddle, middle, middle_facts[middle].owner);
}

Lpm4::Lpm4() : Lpm4(Limits{}) {}
Lpm4::Lpm4(const Limits& limits) : writer_(std::make_unique<Writer>(limits)) {}
Lpm4::~Lpm4() = default;

bool Lpm4::set(uint32_t prefix, uint8_t length, uint32_t value) {
  assert(length <= 32 && network(prefix, length) == prefix && value != 0 && value <= kMaxValue);
  if (!writer_->has_room(prefix, length)) return false;
  writer_->set(prefix, length, value);
  writer_->prefixes.set(prefix, length, value);
  return true;
}

bool Lpm4::clear(uint32_t prefix, uint8_t length) {
  if (writer_->prefixes.get(prefix, length) == 0 || !writer_->has_room(prefix, length)) return false;
  writer_->clear(prefix, length);
  return writer_->prefixes.erase(prefix, length);
}

uint32_t Lpm4::get(uint32_t prefix, uint8_t length) const {
  return writer_->prefixes.get(prefix, length);
}

size_t Lpm4::size() const {
  return writer_->prefixes.size();
}

void Lpm4::each(const std::function<void(uint32_t, uint8_t, uint32_t)>& visit) const {
  writer_->prefixes.each(visit);
}

Lpm4::View Lpm4::seal() {
  View view;
  view.root_ = writer_->roots.at(writer_->root);
  view.middle_ = writer_->middles.base();
  view.leaves_ = writer_->leaves.base();
  view.version_ = writer_->version++;
  return view;
}

void Lpm4::reclaim(uint64_t version) {
  std::deque<Writer::Retired>& retired = writer_->retired;
  for (; !retired.empty() && retired.front().version <= version; retired.pop_front()) {
    writer_->drop(retired.front().kind, retired.front().id);
  }
}

size_t Lpm4::memory_bytes() const {
  return writer_->roots.in_use_bytes() + writer_->middles.in_use_bytes() + writer_->leaves.in_use_bytes() +
         writer_->prefixes.memory_bytes();
}

void Lpm4::View::lookup_burst(const uint32_t* addresses, uint32_t count, uint32_t* values) const {
  constexpr uint32_t kGroup = 64;
  const uint32_t* next[kGroup];  // the entry to read in the coming pass; null: done
  for (; count != 0;) {
    const uint32_t group = std::min(count, kGroup);
    for (uint32_t i = 0; i < group; ++i) {
      const RootSlot slot = root_[addresses[i] >> 20];
      values[i] = slot.entry & kMaxValue;
      // Child 0 does not exist as a node: its block is all zero, so reading it changes nothing and needs no
      // branch.
      next[i] = middle_ + ((static_cast<size_t>(slot.child) << 12) + ((addresses[i] >> 8) & 0xfff));
      __builtin_prefetch(next[i]);
    }
    uint32_t deeper = 0;
    uint8_t left[kGroup];
    for (uint32_t i = 0; i < group; ++i) {
      const uint32_t entry = *next[i];
      if ((entry & kChildFlag) != 0) {
        next[i] = leaves_ + ((static_cast<size_t>(entry & ~kChildFlag) << 8) + (addresses[i] & 0xff));
        __builtin_prefetch(next[i]);
        left[deeper++] = static_cast<uint8_t>(i);
      } else if (entry != 0) {
        values[i] = entry & kMaxValue;
      }
    }
    for (uint32_t j = 0; j < deeper; ++j) {
      const uint32_t entry = *next[left[j]];
      if (entry != 0) values[left[j]] = entry & kMaxValue;
    }
    addresses += group;
    values += group;
    count -= group;
  }
}

}  // namespace fairlead::core
