#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace fairlead::golden {

// One `name(words key=value)` of a frame's text.
struct Layer {
  std::string name;
  std::vector<std::string> words;             // positional
  std::map<std::string, std::string> values;  // key=value; a flag is its own value

  [[nodiscard]] bool has(const std::string& key) const { return values.contains(key); }
  [[nodiscard]] uint32_t number(const std::string& key, uint32_t otherwise) const;
  [[nodiscard]] bool any(const std::string& key) const { return is(key, "*"); }
  [[nodiscard]] bool bad(const std::string& key) const { return is(key, "bad"); }
  [[nodiscard]] bool is(const std::string& key, const std::string& value) const;
};

// Throws std::invalid_argument.
[[nodiscard]] std::vector<Layer> parse_layers(std::string_view text);

}  // namespace fairlead::golden
