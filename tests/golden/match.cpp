#include "tests/golden/frame.hpp"

#include <algorithm>
#include <optional>
#include <sstream>
#include <stdexcept>

namespace fairlead::golden {
namespace {

std::vector<std::string> parts_of(const std::string& text, char separator) {
  std::vector<std::string> parts;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, separator);) parts.push_back(part);
  return parts;
}

// One value of a set: an address, a port, or two ports with a dash between.
bool is_one_of(const std::string& value, const std::string& set) {
  const auto same = [&](const std::string& one) {
    const bool address = value.find_first_of(".:") != std::string::npos;
    if (address) return parse_address(one) == parse_address(value);
    const size_t dash = one.find('-');
    const unsigned long number = std::stoul(value), low = std::stoul(one.substr(0, dash));
    return dash == std::string::npos ? number == low
                                     : number >= low && number <= std::stoul(one.substr(dash + 1));
  };
  const std::vector<std::string> values = parts_of(set, '|');
  return std::any_of(values.begin(), values.end(), same);
}

bool is_allowed(const Variable& variable, const std::string& value, const Names& names,
                const Bindings& bindings) {
  const std::vector<std::string> parts = parts_of(variable.allowed, '!');
  for (size_t at = 1; at < parts.size(); ++at) {
    const auto other = bindings.find("$" + parts[at]);
    if (other == bindings.end()) throw std::invalid_argument("$" + parts[at] + " has no value yet");
    if (other->second == value) return false;
  }
  if (parts.empty() || parts[0].empty()) return true;
  const auto named = names.find(parts[0]);
  return is_one_of(value, named == names.end() ? parts[0] : named->second);
}

std::string value_of(const Variable& variable, const Bytes& frame) {
  const Bytes bytes(frame.begin() + static_cast<std::ptrdiff_t>(variable.at),
                    frame.begin() + static_cast<std::ptrdiff_t>(variable.at + variable.length));
  return variable.length == 2 ? std::to_string(bytes[0] << 8 | bytes[1]) : address_text(bytes);
}

}  // namespace

bool match_frame(std::string_view text, const Names& names, Bindings& bindings, const Bytes& frame,
                 const Bytes& mask) {
  Bindings bound = bindings;
  Frame wanted = build_frame(text, names, bound);
  if (wanted.bytes.size() != frame.size()) return false;
  if (!wanted.open.empty()) {
    for (const Variable& variable : wanted.open) {
      const std::string value = value_of(variable, frame);
      const auto [known, is_new] = bound.emplace(variable.name, value);
      if (known->second != value || (is_new && !is_allowed(variable, value, names, bindings))) return false;
    }
    wanted = build_frame(text, names, bound);
  }
  for (size_t at = 0; at < mask.size(); ++at) wanted.mask[at] &= mask[at];
  if (!wanted.matches(frame)) return false;
  bindings = bound;
  return true;
}

bool Frame::matches(const Bytes& other) const {
  if (other.size() != bytes.size()) return false;
  for (size_t at = 0; at < bytes.size(); ++at) {
    if (((bytes[at] ^ other[at]) & mask[at]) != 0) return false;
  }
  return true;
}

std::string Frame::difference(const Bytes& other) const {
  std::string text =
      "  wanted " + std::to_string(bytes.size()) + " bytes, got " + std::to_string(other.size()) + "\n";
  const size_t longest = std::max(bytes.size(), other.size());
  for (size_t line = 0; line < longest; line += 16) {
    std::string want, got, mark;
    bool differs = false;
    for (size_t at = line; at < std::min(line + 16, longest); ++at) {
      const bool in_want = at < bytes.size(), in_got = at < other.size();
      want += in_want ? (mask[at] != 0 ? hex({bytes[at]}) : "**") + " " : "   ";
      got += in_got ? hex({other[at]}) + " " : "   ";
      const bool bad = in_want != in_got || (in_want && ((bytes[at] ^ other[at]) & mask[at]) != 0);
      mark += bad ? "^^ " : "   ";
      differs |= bad;
    }
    if (differs)
      text += "  at " + std::to_string(line) + "\n    want " + want + "\n    got  " + got + "\n         " +
              mark + "\n";
  }
  return text;
}

}  // namespace fairlead::golden
