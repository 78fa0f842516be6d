#include "tests/golden/layer.hpp"

#include <cctype>
#include <cstdlib>
#include <stdexcept>

namespace fairlead::golden {

uint32_t Layer::number(const std::string& key, uint32_t otherwise) const {
  const auto found = values.find(key);
  if (found == values.end() || found->second == "*" || found->second == "bad" || found->second == "partial")
    return otherwise;
  return static_cast<uint32_t>(std::strtoul(found->second.c_str(), nullptr, 0));
}

bool Layer::is(const std::string& key, const std::string& value) const {
  const auto found = values.find(key);
  return found != values.end() && found->second == value;
}

std::vector<Layer> parse_layers(std::string_view text) {
  std::vector<Layer> layers;
  size_t at = 0;
  while (at < text.size()) {
    if (std::isspace(static_cast<unsigned char>(text[at])) != 0) {
      ++at;
      continue;
    }
    if (text[at] == '"') {
      const size_t end = text.find('"', at + 1);
      if (end == std::string_view::npos) throw std::invalid_argument("unclosed string");
      Layer layer;
      layer.name = "text";
      layer.words.emplace_back(text.substr(at + 1, end - at - 1));
      layers.push_back(layer);
      at = end + 1;
      continue;
    }
    const size_t open = text.find('(', at);
    const size_t close = open == std::string_view::npos ? open : text.find(')', open);
    if (close == std::string_view::npos)
      throw std::invalid_argument("expected name(...): " + std::string(text.substr(at)));
    Layer layer;
    layer.name = std::string(text.substr(at, open - at));
    std::string inside(text.substr(open + 1, close - open - 1));
    size_t position = 0;
    while (position < inside.size()) {
      const size_t start = inside.find_first_not_of(" ,", position);
      if (start == std::string::npos) break;
      size_t end = inside.find_first_of(" ,", start);
      if (end == std::string::npos) end = inside.size();
      const std::string word = inside.substr(start, end - start);
      const size_t equals = word.find('=');
      if (equals != std::string::npos) {
        layer.values[word.substr(0, equals)] = word.substr(equals + 1);
      } else if (word == "df" || word == "mf" || word == "critical" || word == "crc") {
        layer.values[word] = word;
      } else {
        layer.words.push_back(word);
      }
      position = end;
    }
    layers.push_back(layer);
    at = close + 1;
  }
  return layers;
}

}  // namespace fairlead::golden
