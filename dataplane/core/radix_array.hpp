#pragma once

#include <array>
#include <cstdint>
#include <memory>

namespace fairlead::core {

namespace detail {

inline constexpr unsigned kRadixBits = 6;
inline constexpr unsigned kRadixFan = 1u << kRadixBits;

template <typename T, unsigned Level>
struct RadixNode {
  using Child = RadixNode<T, Level - 1>;
  std::array<std::shared_ptr<Child>, kRadixFan> children{};
};

template <typename T>
struct RadixNode<T, 0> {
  std::array<T, kRadixFan> values{};
};

}  // namespace detail

// An array of 64^Levels elements whose copies share what did not change.
//
// Copying costs one reference count. set() copies the path to the element unless this copy is its only owner,
// so that a batch of changes to the next snapshot copies every node at most once. Elements never set read as
// a default T.
//
// Threads: a copy that is only read may be read by all; set() by the one that owns this copy.
template <typename T, unsigned Levels = 3>
class RadixArray {
 public:
  static constexpr uint32_t kCapacity = 1u << (detail::kRadixBits * Levels);

  // Null when nothing near `index` was ever set (or it is out of range).
  [[nodiscard]] const T* find(uint32_t index) const {
    return index < kCapacity ? find_in<Levels - 1>(root_.get(), index) : nullptr;
  }

  void set(uint32_t index, const T& value) { *slot<Levels - 1>(root_, index) = value; }

  // Back to a default T, without growing anything.
  void reset(uint32_t index) {
    if (find(index) != nullptr) set(index, T{});
  }

 private:
  template <unsigned Level>
  using Node = detail::RadixNode<T, Level>;

  template <unsigned Level>
  static constexpr uint32_t at(uint32_t index) {
    return (index >> (detail::kRadixBits * Level)) & (detail::kRadixFan - 1);
  }

  template <unsigned Level>
  static const T* find_in(const Node<Level>* node, uint32_t index) {
    if (node == nullptr) return nullptr;
    if constexpr (Level == 0) {
      return &node->values[at<0>(index)];
    } else {
      return find_in<Level - 1>(node->children[at<Level>(index)].get(), index);
    }
  }

  template <unsigned Level>
  static T* slot(std::shared_ptr<Node<Level>>& node, uint32_t index) {
    if (node == nullptr) {
      node = std::make_shared<Node<Level>>();
    } else if (node.use_count() != 1) {
      node = std::make_shared<Node<Level>>(*node);
    }
    if constexpr (Level == 0) {
      return &node->values[at<0>(index)];
    } else {
      return slot<Level - 1>(node->children[at<Level>(index)], index);
    }
  }

  std::shared_ptr<Node<Levels - 1>> root_;
};

}  // namespace fairlead::core
