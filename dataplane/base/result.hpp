#pragma once

#include <string>
#include <utility>
#include <variant>

namespace fairlead {

// What went wrong, in a sentence a person can act on.
//
// `code` is stable (FL1042) and known to `fairlead explain`; `what` says where, what was found and what was
// wanted; `fix` is the next step, empty only where there is none.
struct Error {
  std::string code;
  std::string what;
  std::string fix = {};

  [[nodiscard]] std::string text() const {
    return "error[" + code + "]: " + what + (fix.empty() ? "" : "\n  fix:  " + fix);
  }
};

// A value or the reason there is none. Control path only: the packet path has verdicts.
template <typename T = void>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // implicit by design
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // implicit by design

  [[nodiscard]] bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }
  [[nodiscard]] T& value() { return std::get<0>(state_); }
  [[nodiscard]] const T& value() const { return std::get<0>(state_); }
  [[nodiscard]] const Error& error() const { return std::get<1>(state_); }
  T& operator*() { return value(); }
  const T& operator*() const { return value(); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }

 private:
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)), ok_(false) {}  // implicit by design

  [[nodiscard]] bool ok() const { return ok_; }
  explicit operator bool() const { return ok_; }
  [[nodiscard]] const Error& error() const { return error_; }

 private:
  Error error_;
  bool ok_ = true;
};

}  // namespace fairlead
