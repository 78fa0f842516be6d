#pragma once

#include "dataplane/base/result.hpp"
#include "dataplane/core/address.hpp"

#include <google/protobuf/repeated_field.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fairlead::ipc {

// A word of the schema and the value it stands for; the tables of convert.cpp are read both ways.
template <typename Enum>
struct Word {
  std::string_view text;
  Enum value;
};

template <typename Enum, size_t kSize>
[[nodiscard]] std::string_view word_for(const Word<Enum> (&words)[kSize], Enum value) {
  for (const Word<Enum>& word : words) {
    if (word.value == value) return word.text;
  }
  return "?";
}

[[nodiscard]] inline std::string indexed(std::string_view field, int index) {
  return std::string(field) + "[" + std::to_string(index) + "]";
}

// Reads typed values out of a message's fields and remembers the first that is wrong, with its path. Every
// read returns a value, so that conversions stay straight lines; nobody uses what was read unless ok() at the
// end.
class Reader {
 public:
  explicit Reader(std::string root) : path_(std::move(root)) {}

  // Fields read while it lives are below `name`.
  class Scope {
   public:
    Scope(Reader& reader, const std::string& name) : reader_(reader), length_(reader.path_.size()) {
      if (!reader.path_.empty()) reader.path_ += ".";
      reader.path_ += name;
    }
    ~Scope() { reader_.path_.resize(length_); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Reader& reader_;
    size_t length_;
  };

  [[nodiscard]] bool ok() const { return error_.code.empty(); }
  [[nodiscard]] const Error& error() const { return error_; }

  void fail(std::string_view field, std::string_view found, std::string_view wanted);

  [[nodiscard]] core::IpAddress address(std::string_view field, const std::string& text);
  // Empty text is "none". With `family`, no other one is accepted.
  [[nodiscard]] core::IpAddress optional_address(std::string_view field, const std::string& text,
                                                 core::Family family = core::Family::kNone);
  [[nodiscard]] std::vector<core::IpAddress> addresses(
      std::string_view field, const google::protobuf::RepeatedPtrField<std::string>& texts);
  [[nodiscard]] core::MacAddress mac(std::string_view field, const std::string& text);
  [[nodiscard]] core::Prefix prefix(std::string_view field, const std::string& text);
  [[nodiscard]] std::vector<core::Prefix> prefixes(
      std::string_view field, const google::protobuf::RepeatedPtrField<std::string>& texts);

  template <typename Number>
  [[nodiscard]] Number number(std::string_view field, uint64_t value, uint64_t least, uint64_t most) {
    if (value < least || value > most) {
      fail(field, std::to_string(value),
           "a number from " + std::to_string(least) + " to " + std::to_string(most));
      return Number{};
    }
    return static_cast<Number>(value);
  }

  template <typename Enum, size_t kSize>
  [[nodiscard]] Enum word(std::string_view field, const std::string& text, const Word<Enum> (&words)[kSize]) {
    std::string wanted;
    for (const Word<Enum>& candidate : words) {
      if (candidate.text == text) return candidate.value;
      wanted += (wanted.empty() ? "" : " or ") + std::string(candidate.text);
    }
    fail(field, text, wanted);
    return words[0].value;
  }

 private:
  std::string path_;
  Error error_;
};

}  // namespace fairlead::ipc
