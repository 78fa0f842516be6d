#pragma once

#include "dataplane/base/result.hpp"

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace fairlead {

// One option of a command, as the program's one table of them has it: parsing, help and completion read it.
struct OptionSpec {
  std::string_view name;  // run-dir
  char letter = 0;        // -o; 0: none
  std::string_view value =
      {};  // DIR, "text|json" (exactly these words), "1..64" (a number within); empty: a switch
  std::string_view help = {};      // a clause, no full stop
  std::string_view fallback = {};  // what holds when it is not given; "" none
  bool repeatable = false;
};

// What was given, checked: a number is within its range, a word is one of those allowed.
class CommandLine {
 public:
  [[nodiscard]] bool given(std::string_view name) const { return values_.contains(std::string(name)); }
  // The value, or the fallback of the option's row. Only for names of the table.
  [[nodiscard]] const std::string& text(std::string_view name) const;
  [[nodiscard]] uint64_t number(std::string_view name) const;
  [[nodiscard]] std::vector<std::string> all(std::string_view name) const;
  [[nodiscard]] const std::vector<std::string>& words() const { return words_; }

 private:
  friend Result<CommandLine> parse_command_line(std::span<const OptionSpec>, const std::vector<std::string>&);
  std::map<std::string, std::vector<std::string>> values_;
  std::map<std::string, std::string, std::less<>> fallbacks_;
  std::vector<std::string> words_;
};

// Strict: nothing is guessed from a prefix, an option is given once unless repeatable, a switch takes no
// value, numbers are plain decimal digits within their range. Everything that is no option is in words(), in
// order; "--" ends the options.
//
// Errors: FL6001, with the nearest option's name when one was misspelt.
[[nodiscard]] Result<CommandLine> parse_command_line(std::span<const OptionSpec> table,
                                                     const std::vector<std::string>& arguments);

// The table as a person reads it, two columns, ending in a newline.
[[nodiscard]] std::string options_help(std::span<const OptionSpec> table);

// A number within [least, most], or the FL6001 that says what was found. `what` names it: "--mtu".
[[nodiscard]] Result<uint64_t> parse_number(std::string_view text, uint64_t least, uint64_t most,
                                            std::string_view what);

}  // namespace fairlead
