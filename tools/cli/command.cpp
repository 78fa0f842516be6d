#include "tools/cli/command.hpp"

#include "dataplane/base/diagnostic.hpp"
#include "tools/cli/verbs.hpp"

#include <algorithm>
#include <optional>
#include <ostream>

namespace fairlead::cli {
namespace {

std::string overview() {
  std::string text =
      "fairlead: look at and steer this node's pod network.\n\nusage: fairlead VERB [ARGUMENTS] "
      "[OPTIONS]\n\n";
  size_t width = 0;
  for (const Verb& verb : verbs()) width = std::max(width, verb.name.size());
  for (const Verb& verb : verbs()) {
    text += "  " + std::string(verb.name) + std::string(width - verb.name.size() + 2, ' ') +
            std::string(verb.summary) + "\n";
  }
  return text + "\n" + options_help(common_options()) + "\nfairlead VERB --help says more about one.\n";
}

std::string verb_help(const Verb& verb) {
  std::string text = "fairlead " + std::string(verb.name) + ": " + std::string(verb.summary) +
                     "\n\nusage: fairlead " + std::string(verb.name) + (verb.arguments.empty() ? "" : " ") +
                     std::string(verb.arguments) + "\n\n";
  if (!verb.details.empty()) text += std::string(verb.details) + "\n\n";
  if (!verb.options.empty()) text += options_help(verb.options) + "\n";
  return text + options_help(common_options());
}

bool takes_value(const std::string& token) {
  for (const OptionSpec& option : common_options()) {
    if (option.value.empty()) continue;
    if (token == "--" + std::string(option.name)) return true;
    if (option.letter != 0 && token == std::string("-") + option.letter) return true;
  }
  return false;
}

// Where the verb stands: the first word that is neither an option nor the value of a common one in front of
// it.
std::optional<size_t> verb_position(const std::vector<std::string>& arguments) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i].empty() || arguments[i][0] != '-' || arguments[i] == "-") return i;
    if (takes_value(arguments[i])) ++i;
  }
  return std::nullopt;
}

// Before the options are known to be right, errors still go where the user asked for them.
bool wants_json(const std::vector<std::string>& arguments) {
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (arguments[i] == "-ojson" || arguments[i] == "--output=json") return true;
    if ((arguments[i] == "-o" || arguments[i] == "--output") && i + 1 < arguments.size() &&
        arguments[i + 1] == "json") {
      return true;
    }
  }
  return false;
}

int usage_error(const Error& error, const std::vector<std::string>& arguments, Terminal& terminal) {
  if (wants_json(arguments)) {
    const Json json{{"error", {{"code", error.code}, {"what", error.what}, {"fix", error.fix}}}};
    terminal.out << json.dump(2, ' ', false, Json::error_handler_t::replace) << "\n";
  } else {
    terminal.err << render(error, terminal.colour_err);
  }
  return kUsage;
}

Error unknown_verb(const std::string& word) {
  std::vector<std::string_view> names;
  for (const Verb& verb : verbs()) names.push_back(verb.name);
  const std::string_view close = nearest(word, names);
  return {"FL6001", "there is no verb \"" + word + "\"",
          close.empty() ? "fairlead --help lists them" : "did you mean: fairlead " + std::string(close)};
}

}  // namespace

int run_command(const std::vector<std::string>& arguments, Terminal& terminal) {
  const std::optional<size_t> position = verb_position(arguments);
  if (!position) {
    if (arguments.empty()) {
      terminal.err << overview();
      return kUsage;
    }
    const Result<CommandLine> line = parse_command_line(common_options(), arguments);
    if (!line) return usage_error(line.error(), arguments, terminal);
    if (!line->given("help"))
      return usage_error({"FL6001", "no verb is given", "fairlead --help lists them"}, arguments, terminal);
    terminal.out << overview();
    return kOk;
  }
  std::vector<std::string> rest = arguments;
  const std::string name = rest[*position];
  rest.erase(rest.begin() + static_cast<std::ptrdiff_t>(*position));
  if (name == "help") {
    const Verb* verb = rest.empty() ? nullptr : find_verb(rest.front());
    if (!rest.empty() && verb == nullptr) return usage_error(unknown_verb(rest.front()), arguments, terminal);
    terminal.out << (verb == nullptr ? overview() : verb_help(*verb));
    return kOk;
  }
  const Verb* verb = find_verb(name);
  if (verb == nullptr) return usage_error(unknown_verb(name), arguments, terminal);

  std::vector<OptionSpec> table(verb->options.begin(), verb->options.end());
  table.insert(table.end(), common_options().begin(), common_options().end());
  const Result<CommandLine> line = parse_command_line(table, rest);
  if (!line) {
    Error error = line.error();
    if (error.fix == "--help lists the options") error.fix = "fairlead " + name + " --help lists the options";
    return usage_error(error, arguments, terminal);
  }
  if (line->given("help")) {
    terminal.out << verb_help(*verb);
    return kOk;
  }
  if (line->words().size() < verb->least_words || line->words().size() > verb->most_words) {
    const bool few = line->words().size() < verb->least_words;
    return usage_error(
        {"FL6001",
         "fairlead " + name +
             (few ? " needs more arguments" : " takes no \"" + line->words()[verb->most_words] + "\""),
         "usage: fairlead " + name + " " + std::string(verb->arguments)},
        arguments, terminal);
  }
  Session session(*line, terminal);
  return verb->run(session);
}

}  // namespace fairlead::cli
