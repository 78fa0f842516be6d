#pragma once

#include "dataplane/base/diagnostic.hpp"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace fairlead::control {

// The strict layer over yaml-cpp. It reads yaml-cpp's *events*, not its nodes, so that what the library lets
// pass (duplicate keys, `010` as 8, `yes` as true, later documents ignored) is seen here.

// What a plain (unquoted) scalar means, by the rules of the Kubernetes API server's reader. Quoted ones are
// always kText.
enum class ScalarKind : uint8_t { kNull, kBool, kInteger, kNumber, kText, kAmbiguous };

struct YamlNode;
using YamlPointer = std::shared_ptr<const YamlNode>;

struct YamlMember {
  YamlPointer key;
  YamlPointer value;
};

// One value of a document and where it stands. Aliases share the node they name.
struct YamlNode {
  enum class Kind : uint8_t { kScalar, kSequence, kMapping };

  Kind kind = Kind::kScalar;
  ScalarKind scalar = ScalarKind::kNull;
  bool is_quoted = false;
  std::string text;                 // scalar
  std::vector<YamlPointer> items;   // sequence
  std::vector<YamlMember> members;  // mapping, in the order of the text
  uint32_t line = 0, column = 0;    // from 1; column in bytes
  uint64_t expanded = 1;            // values in here, aliases expanded

  [[nodiscard]] bool is_null() const { return kind == Kind::kScalar && scalar == ScalarKind::kNull; }
  [[nodiscard]] bool is_mapping() const { return kind == Kind::kMapping; }
  [[nodiscard]] bool is_sequence() const { return kind == Kind::kSequence; }
  // The value of `key`; nullptr when absent or null, as the API treats it.
  [[nodiscard]] const YamlNode* find(std::string_view key) const;
  // "the text \"a\"", "the number 10", "a list": for messages.
  [[nodiscard]] std::string describe() const;
};

// Collects diagnostics about one text.
class YamlReport {
 public:
  YamlReport(std::string_view text, std::string file);

  void add(std::string code, const YamlNode& at, std::string what, std::string fix = {},
           std::string note = {});
  void add_at(std::string code, uint32_t line, uint32_t column, uint32_t length, std::string what,
              std::string fix = {}, std::string note = {});
  void add_file(std::string code, std::string what, std::string fix = {});

  [[nodiscard]] const std::string& file() const { return file_; }
  [[nodiscard]] std::string_view line(
      uint32_t number) const;  // from 1, without its end; empty beyond the text
  [[nodiscard]] std::size_t offset(uint32_t line, uint32_t column) const;  // in bytes, from 0
  [[nodiscard]] bool clean() const { return diagnostics_.empty(); }
  [[nodiscard]] std::vector<Diagnostic>& diagnostics() { return diagnostics_; }

 private:
  [[nodiscard]] uint32_t token_length(uint32_t line, uint32_t column, std::size_t fallback) const;

  std::string_view text_;
  std::string file_;
  std::vector<std::size_t> starts_;  // of each line
  std::vector<Diagnostic> diagnostics_;
};

// One document. `doubts` are about its YAML (duplicate keys, merge keys, tags): they matter only if the
// document is one we read.
struct YamlDocument {
  YamlPointer root;
  std::vector<Diagnostic> doubts;
};

inline constexpr std::size_t kMaxYamlDepth = 64;
inline constexpr uint64_t kMaxYamlValues = 400'000;  // of a file, aliases expanded

// Every document of `text` that could be read; what could not goes to `report`.
[[nodiscard]] std::vector<YamlDocument> read_yaml(std::string_view text, YamlReport& report);

// How the API server's reader takes a plain scalar; kAmbiguous where YAML 1.1 and 1.2 readers disagree.
[[nodiscard]] ScalarKind classify_plain(std::string_view text);

}  // namespace fairlead::control
