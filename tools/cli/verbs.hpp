#pragma once

#include "dataplane/base/command_line.hpp"
#include "tools/cli/session.hpp"

#include <span>
#include <string_view>

namespace fairlead::cli {

// One verb of the command. Parsing, --help and completion are made from this table alone.
struct Verb {
  std::string_view name;
  std::string_view arguments;  // as in the usage line
  std::string_view summary;    // one line
  std::string_view details;    // paragraphs of its own help, may be empty
  std::span<const OptionSpec> options;
  std::span<const std::string_view> words;  // what completion offers after the verb
  size_t least_words, most_words;           // after the verb
  Exit (*run)(Session& session);            // session.word(0) is the first one after the verb
};

[[nodiscard]] std::span<const Verb> verbs();
[[nodiscard]] const Verb* find_verb(std::string_view name);
// Options that every verb takes.
[[nodiscard]] std::span<const OptionSpec> common_options();

Exit run_status(Session& session);
Exit run_get(Session& session);
Exit run_drops(Session& session);
Exit run_trace(Session& session);
Exit run_capture(Session& session);
Exit run_mode(Session& session);
Exit run_wait(Session& session);
Exit run_bench(Session& session);
Exit run_validate(Session& session);
Exit run_explain(Session& session);
Exit run_completion(Session& session);
Exit run_version(Session& session);

}  // namespace fairlead::cli
