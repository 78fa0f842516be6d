#include "dataplane/core/lpm6.hpp"

#include "dataplane/base/mapped_region.hpp"
#include "dataplane/core/lpm6_node.hpp"
#include "dataplane/core/lpm_prefix_set.hpp"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <deque>
#include <vector>

namespace fairlead::core {

using namespace lpm6;  // private node types of this file's class

namespace {

constexpr unsigned kSlots = 256;
constexpr unsigned kMostLines = 1 + kSlots * sizeof(Run) / 64;
// A change copies at most one node and makes at most one node and one leaf a level.
constexpr size_t kMostBytesPerChange = 17 * (size_t{kMostLines} + 3) * 64;

struct PrefixSlot6 {
  Ipv6Words bits;
  uint32_t stored_value = 0;
  uint32_t stored_length = 0;

  static PrefixSlot6 make(const Ipv6Words& address, unsigned length, uint32_t value) {
    return {address, value, length};
  }
  static size_t hash(const Ipv6Words& address, unsigned length) {
    uint64_t mixed = (address.high ^ length) * 0x9e3779b97f4a7c15;
    mixed = (mixed ^ (mixed >> 32) ^ address.low) * 0xc2b2ae3d27d4eb4f;
    return static_cast<size_t>(mixed >> 24);
  }
  [[nodiscard]] Ipv6Words address() const { return bits; }
  [[nodiscard]] unsigned length() const { return stored_length; }
  [[nodiscard]] uint32_t value() const { return stored_value; }
};

// A prefix and the stride it ends in.
struct Item {
  Ipv6Words address;
  unsigned length;  // 1..128
  uint32_t value;

  [[nodiscard]] unsigned depth() const { return (length - 1) / 8; }
  [[nodiscard]] unsigned code() const { return length - 8 * depth(); }
  [[nodiscard]] unsigned first_slot() const { return address.byte(depth()); }
  [[nodiscard]] unsigned slots() const { return 1u << (8 - code()); }
};

// How many leading bytes two addresses share.
unsigned common_bytes(const Ipv6Words& a, const Ipv6Words& b) {
  const uint64_t high = a.high ^ b.high;
  const uint64_t low = a.low ^ b.low;
  const int bits = high != 0 ? std::countl_zero(high) : 64 + std::countl_zero(low);
  return static_cast<unsigned>(bits) / 8;
}

unsigned lines_for(unsigned runs) {
  return 1 + (runs + 7) / 8;
}

// Nodes of 2..33 cache lines and leaves of half a one out of reserved address space.
class Arena {
 public:
  explicit Arena(size_t bytes) : region_(MappedRegion::reserve(std::max(bytes, 2 * kMostBytesPerChange))) {}

  [[nodiscard]] uint8_t* base() const { return static_cast<uint8_t*>(region_.data()); }
  [[nodiscard]] size_t room() const { return region_.size() - top_; }
  [[nodiscard]] size_t in_use_bytes() const { return in_use_; }

  [[nodiscard]] Ref take_node(unsigned lines) {
    in_use_ += size_t{lines} * 64;
    return take(lines, 64 * size_t{lines});
  }
  [[nodiscard]] Ref take_leaf() {
    in_use_ += kGranule;
    if (free_[0].empty()) {  // bump in whole lines, so that nodes stay aligned
      const Ref pair = take(1, 64);
      free_[0].push_back(pair + 1);
      return pair | kLeafFlag;
    }
    const Ref ref = free_[0].back();
    free_[0].pop_back();
    return ref | kLeafFlag;
  }
  void give_back(Ref ref, unsigned lines) {
    in_use_ -= lines == 0 ? kGranule : size_t{lines} * 64;
    free_[lines].push_back(ref & ~kLeafFlag);
  }

 private:
  Ref take(unsigned lines, size_t bytes) {
    if (lines != 1 && !free_[lines].empty()) {
      const Ref ref = free_[lines].back();
      free_[lines].pop_back();
      return ref;
    }
    const Ref ref = static_cast<Ref>(top_ / kGranule);
    top_ += bytes;
    assert(top_ <= region_.size());  // set() and clear() have asked room()
    return ref;
  }

  MappedRegion region_;
  size_t top_ = 64;  // offset 0 is "nowhere"
  size_t in_use_ = 0;
  std::array<std::vector<Ref>, kMostLines + 1> free_;  // [0]: leaves
};

void count_before(Node& node) {
  unsigned sum = 0;
  for (unsigned word = 0; word < 4; ++word) {
    node.before[word] = static_cast<uint8_t>(sum);
    sum += static_cast<unsigned>(std::popcount(node.first[word]));
  }
  node.run_count = static_cast<uint16_t>(sum);
}

// Makes a run begin at `slot`; the node has capacity. 256: the end, nothing to do.
void split(Node& node, unsigned slot) {
  if (slot == kSlots || node.begins(slot)) return;
  const unsigned index = node.index_of(slot);
  Run* runs = node.runs();
  std::memmove(runs + index + 1, runs + index, (node.run_count - index) * sizeof(Run));
  node.first[slot >> 6] |= uint64_t{1} << (slot & 63);
  count_before(node);
}

// Joins runs that begin in from..to with an equal one before them: one shape for one content.
void join(Node& node, unsigned from, unsigned to) {
  for (unsigned slot = std::max(from, 1u); slot <= std::min(to, kSlots - 1); ++slot) {
    if (!node.begins(slot)) continue;
    const unsigned index = node.index_of(slot);
    Run* runs = node.runs();
    if (runs[index].child != 0 || !(runs[index] == runs[index - 1])) continue;
    std::memmove(runs + index, runs + index + 1, (node.run_count - index - 1u) * sizeof(Run));
    node.first[slot >> 6] &= ~(uint64_t{1} << (slot & 63));
    count_before(node);
  }
}

}  // namespace

struct Lpm6::Writer {
  struct Retired {
    uint64_t version;
    Ref ref;
    unsigned lines;  // 0: a leaf
  };

  explicit Writer(const Limits& limits) : arena(limits.node_bytes) {}

  Arena arena;
  std::deque<Retired> retired;  // ascending versions
  LpmPrefixSet<PrefixSlot6> prefixes;
  uint64_t version = 1;  // the one being written
  Ref root = 0;
  uint32_t default_value = 0;

  [[nodiscard]] Node& node(Ref ref) const { return const_cast<Node&>(node_at(arena.base(), ref)); }
  [[nodiscard]] Leaf& leaf(Ref ref) const { return const_cast<Leaf&>(leaf_at(arena.base(), ref)); }

  void release(Ref ref) {
    const bool is_leaf = (ref & kLeafFlag) != 0;
    const unsigned lines = is_leaf ? 0 : node(ref).lines;
    if ((is_leaf ? leaf(ref).owner : node(ref).owner) == version) return arena.give_back(ref, lines);
    retired.push_back({version, ref, lines});
  }

  [[nodiscard]] Ref make_leaf(const Item& item) {
    const Ref ref = arena.take_leaf();
    leaf(ref) = {item.address, item.value, item.length, version};
    return ref;
  }

  // A node without anything in it.
  [[nodiscard]] Ref make_node(unsigned depth, const Ipv6Words& address) {
    const unsigned lines = lines_for(5);
    const Ref ref = arena.take_node(lines);
    Node& fresh = node(ref);
    fresh.first = {1, 0, 0, 0};
    fresh.path = masked(address, 8 * depth);
    fresh.owner = version;
    fresh.depth = static_cast<uint8_t>(depth);
    fresh.lines = static_cast<uint8_t>(lines);
    fresh.runs()[0] = {0, 0};
    count_before(fresh);
    return ref;
  }

  // The node itself, or a copy of it that this version may write, with room for `more` runs.
  [[nodiscard]] Ref own(Ref ref, unsigned more) {
    const Node& old = node(ref);
    const unsigned needed = std::min<unsigned>(old.run_count + more, kSlots);
    if (old.owner == version && old.capacity() >= needed) return ref;
    const unsigned lines = lines_for(needed);
    const Ref copy = arena.take_node(lines);
    Node& fresh = node(copy);
    std::memcpy(static_cast<void*>(&fresh), &old, sizeof(Node) + old.run_count * sizeof(Run));
    fresh.owner = version;
    fresh.lines = static_cast<uint8_t>(lines);
    release(ref);
    return copy;
  }

  [[nodiscard]] Ref child_of(Ref ref, unsigned slot) const {
    const Node& parent = node(ref);
    return parent.runs()[parent.index_of(slot)].child;
  }

  [[nodiscard]] Ref set_child(Ref ref, unsigned slot, Ref child) {
    if (child_of(ref, slot) == child) return ref;
    ref = own(ref, 2);
    Node& parent = node(ref);
    split(parent, slot);
    split(parent, slot + 1);
    parent.runs()[parent.index_of(slot)].child = child;
    join(parent, slot, slot + 1);
    return ref;
  }

  // Rewrites the entries of the slots that `item`, which ends in this node, covers.
  template <typename Change>
  [[nodiscard]] Ref change_entries(Ref ref, const Item& item, const Change& change) {
    ref = own(ref, 2);
    Node& at = node(ref);
    const unsigned first = item.first_slot();
    split(at, first);
    split(at, first + item.slots());
    Run* const end = at.runs() + at.index_of(first + item.slots() - 1) + 1;
    for (Run* run = at.runs() + at.index_of(first); run != end; ++run) change(run->entry);
    join(at, first, first + item.slots());
    return ref;
  }

  [[nodiscard]] Ref put(Ref ref, const Item& item);
  [[nodiscard]] Ref insert(Ref ref, const Item& item);
  [[nodiscard]] Ref remove(Ref ref, const Item& item);
  [[nodiscard]] Ref tidy(Ref ref);
  [[nodiscard]] uint32_t covering(const Item& item) const;
};

// `item` passes through or ends in this node.
Ref Lpm6::Writer::put(Ref ref, const Item& item) {
  if (item.depth() > node(ref).depth) {
    const unsigned slot = item.address.byte(node(ref).depth);
    return set_child(ref, slot, insert(child_of(ref, slot), item));
  }
  return change_entries(ref, item, [&](uint32_t& entry) {
    if (code_of(entry) <= item.code()) entry = make_entry(item.code(), item.value);
  });
}

Ref Lpm6::Writer::insert(Ref ref, const Item& item) {
  if (ref == 0) return make_leaf(item);
  if ((ref & kLeafFlag) != 0) {
    const Leaf old = leaf(ref);
    if (old.length == item.length && old.address == item.address) {
      release(ref);
      return make_leaf(item);
    }
    const Item other{old.address, old.length, old.value};
    const unsigned depth = std::min({common_bytes(old.address, item.address), other.depth(), item.depth()});
    Ref parent = make_node(depth, item.address);
    parent = other.depth() > depth ? set_child(parent, other.address.byte(depth), ref) : put(parent, other);
    if (other.depth() == depth) release(ref);
    return put(parent, item);
  }
  const Node& at = node(ref);
  const unsigned depth = std::min({common_bytes(at.path, item.address), unsigned{at.depth}, item.depth()});
  if (depth == at.depth) return put(ref, item);
  const Ref parent = make_node(depth, item.address);
  return put(set_child(parent, at.path.byte(depth), ref), item);
}

// The entry that shows when `item` goes: of the longest shorter prefix that ends in the same stride, or none.
uint32_t Lpm6::Writer::covering(const Item& item) const {
  for (unsigned length = item.length - 1; length > 8 * item.depth(); --length) {
    const uint32_t value = prefixes.get(masked(item.address, length), length);
    if (value != 0) return make_entry(length - 8 * item.depth(), value);
  }
  return 0;
}

Ref Lpm6::Writer::remove(Ref ref, const Item& item) {
  if ((ref & kLeafFlag) != 0) {
    release(ref);
    return 0;
  }
  if (item.depth() > node(ref).depth) {
    const unsigned slot = item.address.byte(node(ref).depth);
    return tidy(set_child(ref, slot, remove(child_of(ref, slot), item)));
  }
  const uint32_t under = covering(item);
  return tidy(change_entries(ref, item, [&](uint32_t& entry) {
    if (code_of(entry) == item.code()) entry = under;
  }));
}

// A node that no longer branches becomes what is left of it: nothing, its only child, or a leaf.
Ref Lpm6::Writer::tidy(Ref ref) {
  const Node& at = node(ref);
  if (at.run_count > 3) return ref;
  unsigned children = 0, entries = 0, only_slot = 0, only_width = 0, next = kSlots;
  Run only{0, 0};
  for (unsigned slot = kSlots; slot-- > 0;) {
    if (!at.begins(slot)) continue;
    const Run run = at.runs()[at.index_of(slot)];
    if (run.child != 0) ++children;
    if (run.entry != 0) ++entries;
    if (run.child != 0 || run.entry != 0) {
      only = run;
      only_slot = slot;
      only_width = next - slot;
    }
    next = slot;
  }
  if (children + entries == 0) {
    release(ref);
    return 0;
  }
  if (children == 1 && entries == 0) {
    release(ref);
    return only.child;
  }
  // Wider than its prefix: two neighbours with the same value look like one run.
  if (children != 0 || entries != 1 || only_width != 1u << (8 - code_of(only.entry))) return ref;
  Item item{at.path, 8u * at.depth + code_of(only.entry), only.entry & kMaxValue};
  const unsigned shift = 56 - 8 * (at.depth & 7u);
  (at.depth < 8 ? item.address.high : item.address.low) |= uint64_t{only_slot} << shift;
  release(ref);
  return make_leaf(item);
}

Lpm6::Lpm6() : Lpm6(Limits{}) {}
Lpm6::Lpm6(const Limits& limits) : writer_(std::make_unique<Writer>(limits)) {}
Lpm6::~Lpm6() = default;

bool Lpm6::set(const Ipv6Words& prefix, uint8_t length, uint32_t value) {
  assert(length <= 128 && masked(prefix, length) == prefix && value != 0 && value <= kMaxValue);
  if (writer_->arena.room() < kMostBytesPerChange) return false;
  if (length == 0) {
    writer_->default_value = value;
  } else {
    writer_->root = writer_->insert(writer_->root, {prefix, length, value});
  }
  writer_->prefixes.set(prefix, length, value);
  return true;
}

bool Lpm6::clear(const Ipv6Words& prefix, uint8_t length) {
  if (writer_->prefixes.get(prefix, length) == 0 || writer_->arena.room() < kMostBytesPerChange) return false;
  if (length == 0) {
    writer_->default_value = 0;
  } else {
    writer_->root = writer_->remove(writer_->root, {prefix, length, 0});
  }
  return writer_->prefixes.erase(prefix, length);
}

uint32_t Lpm6::get(const Ipv6Words& prefix, uint8_t length) const {
  return writer_->prefixes.get(prefix, length);
}

size_t Lpm6::size() const {
  return writer_->prefixes.size();
}

void Lpm6::each(const std::function<void(const Ipv6Words&, uint8_t, uint32_t)>& visit) const {
  writer_->prefixes.each(visit);
}

Lpm6::View Lpm6::seal() {
  View view;
  view.base_ = writer_->arena.base();
  view.root_ = writer_->root;
  view.default_value_ = writer_->default_value;
  view.version_ = writer_->version++;
  return view;
}

void Lpm6::reclaim(uint64_t version) {
  std::deque<Writer::Retired>& retired = writer_->retired;
  for (; !retired.empty() && retired.front().version <= version; retired.pop_front()) {
    writer_->arena.give_back(retired.front().ref, retired.front().lines);
  }
}

size_t Lpm6::memory_bytes() const {
  return writer_->arena.in_use_bytes() + writer_->prefixes.memory_bytes();
}

}  // namespace fairlead::core
