#pragma once

#include <atomic>
#include <compare>
#include <cstdint>
#include <cstring>
#include <new>
#include <string>
#include <string_view>
#include <utility>

namespace fairlead::core {

// A short text that never changes and that copies share: one pointer, where std::string takes 32 bytes.
//
// For names that exist a million times: with ten of them a Service, std::string alone would cost more than a
// Service may. Copies of one Name share its bytes, so that who has many of the same (a node's name) keeps one
// and copies it. Threads: as std::shared_ptr. Cost: none for the empty name, otherwise 8 bytes and the text.
class Name {
 public:
  Name() = default;
  Name(std::string_view text) : rep_(make(text)) {}    // NOLINT(google-explicit-constructor): stands where
  Name(const std::string& text) : rep_(make(text)) {}  // NOLINT(google-explicit-constructor) a std::string
  Name(const char* text) : rep_(make(text)) {}         // NOLINT(google-explicit-constructor) stood
  Name(const Name& other) noexcept : rep_(other.rep_) { share(); }
  Name(Name&& other) noexcept : rep_(std::exchange(other.rep_, nullptr)) {}
  Name& operator=(Name other) noexcept {
    std::swap(rep_, other.rep_);
    return *this;
  }
  ~Name() { release(); }

  [[nodiscard]] std::string_view view() const {
    return rep_ == nullptr ? std::string_view() : std::string_view(rep_->text(), rep_->length);
  }
  [[nodiscard]] std::string str() const { return std::string(view()); }
  operator std::string_view() const { return view(); }  // NOLINT(google-explicit-constructor)
  [[nodiscard]] bool empty() const { return rep_ == nullptr; }

  friend bool operator==(const Name& a, const Name& b) { return a.rep_ == b.rep_ || a.view() == b.view(); }
  friend bool operator==(const Name& a, std::string_view b) { return a.view() == b; }
  friend std::strong_ordering operator<=>(const Name& a, const Name& b) { return a.view() <=> b.view(); }

 private:
  struct Rep {
    std::atomic<uint32_t> owners{1};
    uint32_t length = 0;
    [[nodiscard]] char* text() { return reinterpret_cast<char*>(this + 1); }
  };

  static Rep* make(std::string_view text) {
    if (text.empty()) return nullptr;
    Rep* rep = new (::operator new(sizeof(Rep) + text.size())) Rep;
    rep->length = static_cast<uint32_t>(text.size());
    std::memcpy(rep->text(), text.data(), text.size());
    return rep;
  }
  void share() {
    if (rep_ != nullptr) rep_->owners.fetch_add(1, std::memory_order_relaxed);
  }
  void release() {
    if (rep_ == nullptr || rep_->owners.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
    rep_->~Rep();
    ::operator delete(rep_);
  }

  Rep* rep_ = nullptr;
};
static_assert(sizeof(Name) == sizeof(void*));

}  // namespace fairlead::core
