#pragma once

#include <bit>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

namespace fairlead::core {

// A map whose copies share what did not change: a hash array mapped trie (Bagwell, "Ideal Hash Trees", 2001).
//
// `Hash` maps a Key to 32 well-mixed bits; keys whose 30 used bits agree share a bucket that is searched in
// order. Copying costs one reference count; set() and erase() cost O(log64 size) nodes, or nothing but the
// write where this copy is the only owner. Threads: as RadixArray.
template <typename Key, typename Value, typename Hash>
class HashTrie {
 public:
  [[nodiscard]] const Value* find(const Key& key) const {
    uint32_t hash = Hash{}(key);
    const Node* node = root_.get();
    for (unsigned depth = 0; node != nullptr && depth < kDepth; ++depth, hash >>= kBits) {
      const uint64_t bit = 1ull << (hash & kMask);
      if ((node->map & bit) == 0) return nullptr;
      const Slot& slot = node->slots[index(node->map, bit)];
      if (slot.child == nullptr) return slot.key == key ? &slot.value : nullptr;
      node = slot.child.get();
    }
    if (node == nullptr) return nullptr;
    for (const Slot& slot : node->slots) {
      if (slot.key == key) return &slot.value;
    }
    return nullptr;
  }

  void set(const Key& key, Value value) { set_in(root_, Hash{}(key), 0, key, std::move(value)); }

  void erase(const Key& key) {
    if (find(key) != nullptr) erase_in(root_, Hash{}(key), 0, key);
  }

 private:
  static constexpr unsigned kBits = 6, kDepth = 5, kMask = 63;

  struct Node;
  struct Slot {
    std::shared_ptr<Node> child;  // null: this is an entry
    Key key{};
    Value value{};
  };
  struct Node {
    uint64_t map = 0;         // which of the 64 places are taken; unused in buckets (depth kDepth)
    std::vector<Slot> slots;  // dense, in the order of the bits
  };

  static unsigned index(uint64_t map, uint64_t bit) {
    return static_cast<unsigned>(std::popcount(map & (bit - 1)));
  }

  static Node& own(std::shared_ptr<Node>& node) {
    if (node == nullptr) {
      node = std::make_shared<Node>();
    } else if (node.use_count() != 1) {
      node = std::make_shared<Node>(*node);
    }
    return *node;
  }

  static void set_in(std::shared_ptr<Node>& at, uint32_t hash, unsigned depth, const Key& key, Value value) {
    Node& node = own(at);
    if (depth == kDepth) {
      for (Slot& slot : node.slots) {
        if (slot.key == key) return void(slot.value = std::move(value));
      }
      node.slots.push_back({nullptr, key, std::move(value)});
      return;
    }
    const uint64_t bit = 1ull << (hash & kMask);
    const unsigned place = index(node.map, bit);
    if ((node.map & bit) == 0) {
      node.map |= bit;
      node.slots.reserve(node.slots.size() + 1);  // exactly: there are many nodes, and few slots in each
      node.slots.insert(node.slots.begin() + place, {nullptr, key, std::move(value)});
      return;
    }
    Slot& slot = node.slots[place];
    if (slot.child == nullptr) {
      if (slot.key == key) return void(slot.value = std::move(value));
      // Two keys at one place: the one that was here moves a level down.
      std::shared_ptr<Node> child;
      set_in(child, Hash{}(slot.key) >> (kBits * (depth + 1)), depth + 1, slot.key, std::move(slot.value));
      slot = {std::move(child), Key{}, Value{}};
    }
    set_in(slot.child, hash >> kBits, depth + 1, key, std::move(value));
  }

  // The key is there. A node left empty stays; nothing points at it but its parent, and it is used again.
  static void erase_in(std::shared_ptr<Node>& at, uint32_t hash, unsigned depth, const Key& key) {
    Node& node = own(at);
    if (depth == kDepth) {
      std::erase_if(node.slots, [&](const Slot& slot) { return slot.key == key; });
      return;
    }
    const uint64_t bit = 1ull << (hash & kMask);
    const unsigned place = index(node.map, bit);
    Slot& slot = node.slots[place];
    if (slot.child != nullptr) return erase_in(slot.child, hash >> kBits, depth + 1, key);
    node.slots.erase(node.slots.begin() + place);
    node.map &= ~bit;
  }

  std::shared_ptr<Node> root_;
};

}  // namespace fairlead::core
