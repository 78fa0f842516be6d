#include "dataplane/base/command_line.hpp"

#include "dataplane/base/diagnostic.hpp"

#include <boost/program_options.hpp>

#include <algorithm>
#include <charconv>

namespace fairlead {
namespace {

namespace options = boost::program_options;

constexpr const char* kWrongUse = "FL6001";

const OptionSpec* find(std::span<const OptionSpec> table, std::string_view name) {
  const auto row =
      std::find_if(table.begin(), table.end(), [&](const OptionSpec& o) { return o.name == name; });
  return row == table.end() ? nullptr : &*row;
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (size_t start = 0;;) {
    const size_t end = text.find(separator, start);
    parts.push_back(text.substr(start, end - start));
    if (end == std::string_view::npos) return parts;
    start = end + 1;
  }
}

// "1..64": both bounds, or false when the row's value is no range.
bool range_of(std::string_view value, uint64_t& least, uint64_t& most) {
  const size_t dots = value.find("..");
  if (dots == std::string_view::npos) return false;
  const std::string_view low = value.substr(0, dots), high = value.substr(dots + 2);
  return std::from_chars(low.data(), low.data() + low.size(), least).ec == std::errc{} &&
         std::from_chars(high.data(), high.data() + high.size(), most).ec == std::errc{};
}

Result<void> check_value(const OptionSpec& option, const std::string& value) {
  const std::string flag = "--" + std::string(option.name);
  uint64_t least = 0, most = 0;
  if (range_of(option.value, least, most)) {
    if (const Result<uint64_t> number = parse_number(value, least, most, flag); !number)
      return number.error();
    return {};
  }
  if (option.value.find('|') == std::string_view::npos) {
    if (value.empty())
      return Error{kWrongUse, flag + " is given an empty value", "give it a " + std::string(option.value)};
    return {};
  }
  const std::vector<std::string_view> words = split(option.value, '|');
  if (std::find(words.begin(), words.end(), value) != words.end()) return {};
  const std::string_view close = nearest(value, words);
  return Error{kWrongUse, flag + " \"" + value + "\" is not one of " + std::string(option.value),
               close.empty() ? "" : "did you mean: " + flag + " " + std::string(close)};
}

Error unknown(std::span<const OptionSpec> table, const std::string& token) {
  std::string written = token.substr(0, token.find('='));
  std::string bare = written;
  bare.erase(0, bare.find_first_not_of('-'));
  std::vector<std::string_view> names;
  for (const OptionSpec& option : table) names.push_back(option.name);
  // A prefix is not taken for the option, but it is a good guess at what was meant.
  std::string_view close = nearest(bare, names);
  for (const std::string_view name : names) {
    if (close.empty() && bare.size() >= 2 && name.starts_with(bare)) close = name;
  }
  return {kWrongUse, "unknown option " + written,
          close.empty() ? "--help lists the options" : "did you mean: --" + std::string(close)};
}

Error from_library(std::span<const OptionSpec> table, const options::error_with_option_name& error) {
  using Syntax = options::invalid_command_line_syntax;
  const std::string name = error.get_option_name();
  const OptionSpec* option = find(table, name.substr(std::min(name.find_first_not_of('-'), name.size())));
  if (const auto* syntax = dynamic_cast<const Syntax*>(&error)) {
    if (syntax->kind() == Syntax::missing_parameter || syntax->kind() == Syntax::empty_adjacent_parameter) {
      return {kWrongUse, name + " needs a value" + (option ? ": " + std::string(option->value) : ""), ""};
    }
    if (syntax->kind() == Syntax::extra_parameter)
      return {kWrongUse, name + " takes no value", "write it alone"};
  }
  return {kWrongUse, error.what(), "--help lists the options"};
}

}  // namespace

const std::string& CommandLine::text(std::string_view name) const {
  const auto value = values_.find(std::string(name));
  return value == values_.end() ? fallbacks_.find(name)->second : value->second.back();
}

uint64_t CommandLine::number(std::string_view name) const {
  const std::string& digits = text(name);
  uint64_t value = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), value);
  return value;
}

std::vector<std::string> CommandLine::all(std::string_view name) const {
  const auto value = values_.find(std::string(name));
  return value == values_.end() ? std::vector<std::string>{} : value->second;
}

Result<uint64_t> parse_number(std::string_view text, uint64_t least, uint64_t most, std::string_view what) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  const bool digits_only = error != std::errc::invalid_argument && end == text.data() + text.size() &&
                           !text.empty() && text[0] >= '0' && text[0] <= '9';
  const bool leading_zero = text.size() > 1 && text[0] == '0';
  if (digits_only && !leading_zero && error == std::errc{} && value >= least && value <= most) return value;
  return Error{kWrongUse,
               std::string(what) + " is given \"" + std::string(text) + "\"; it takes a whole number from " +
                   std::to_string(least) + " to " + std::to_string(most),
               leading_zero && digits_only ? "write it without leading zeros" : ""};
}

Result<CommandLine> parse_command_line(std::span<const OptionSpec> table,
                                       const std::vector<std::string>& arguments) {
  // Program_options splits tokens; what they may be is decided here, so that none of its conversions is
  // involved.
  options::options_description description;
  for (const OptionSpec& option : table) {
    std::string names(option.name);
    if (option.letter != 0) names += std::string(",") + option.letter;
    if (option.value.empty())
      description.add_options()(names.c_str(), "");
    else
      description.add_options()(names.c_str(), options::value<std::vector<std::string>>(), "");
  }
  namespace style = options::command_line_style;
  constexpr int kStyle = style::allow_long | style::long_allow_next | style::long_allow_adjacent |
                         style::allow_short | style::allow_dash_for_short | style::short_allow_next |
                         style::short_allow_adjacent;
  CommandLine line;
  for (const OptionSpec& option : table) line.fallbacks_.emplace(option.name, option.fallback);
  try {
    const auto parsed =
        options::command_line_parser(arguments).options(description).style(kStyle).allow_unregistered().run();
    for (const options::option& token : parsed.options) {
      if (token.unregistered) return unknown(table, token.original_tokens.front());
      if (token.position_key >= 0) {
        line.words_.insert(line.words_.end(), token.value.begin(), token.value.end());
        continue;
      }
      const OptionSpec* option = find(table, token.string_key);
      if (option == nullptr) return unknown(table, token.original_tokens.front());
      std::vector<std::string>& values = line.values_[token.string_key];
      if (!values.empty() && !option->repeatable) {
        return Error{kWrongUse, "--" + token.string_key + " is given twice", "keep one of them"};
      }
      const std::string value = option->value.empty() ? "true"
                                : token.value.empty() ? ""
                                                      : token.value.front();
      if (!option->value.empty()) {
        if (Result<void> checked = check_value(*option, value); !checked) return checked.error();
      }
      values.push_back(value);
    }
  } catch (const options::error_with_option_name& error) {
    return from_library(table, error);
  } catch (const options::error& error) {
    return Error{kWrongUse, error.what(), "--help lists the options"};
  }
  return line;
}

std::string options_help(std::span<const OptionSpec> table) {
  size_t width = 0;
  std::vector<std::string> left;
  for (const OptionSpec& option : table) {
    std::string text = option.letter != 0 ? std::string("  -") + option.letter + ", --" : "      --";
    text += std::string(option.name) + (option.value.empty() ? "" : " " + std::string(option.value));
    width = std::max(width, text.size());
    left.push_back(std::move(text));
  }
  std::string help;
  for (size_t i = 0; i < table.size(); ++i) {
    help += left[i] + std::string(width - left[i].size() + 2, ' ') + std::string(table[i].help);
    if (table[i].repeatable) help += " (may be repeated)";
    if (!table[i].fallback.empty()) help += " [" + std::string(table[i].fallback) + "]";
    help += "\n";
  }
  return help;
}

}  // namespace fairlead
