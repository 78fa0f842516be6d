#include "tools/cli/verbs.hpp"

#include <ostream>

namespace fairlead::cli {
namespace {

std::string option_words(std::span<const OptionSpec> table) {
  std::string words;
  for (const OptionSpec& option : table) words += (words.empty() ? "--" : " --") + std::string(option.name);
  return words;
}

// Cases for options whose value is one of a few words.
void value_cases(std::ostream& out, std::span<const OptionSpec> table) {
  for (const OptionSpec& option : table) {
    if (option.value.find('|') == std::string_view::npos) continue;
    std::string words(option.value);
    for (char& c : words) c = c == '|' ? ' ' : c;
    out << "    --" << option.name;
    if (option.letter != 0) out << "|-" << option.letter;
    out << ") COMPREPLY=($(compgen -W \"" << words << "\" -- \"$current\")); return ;;\n";
  }
}

}  // namespace

Exit run_completion(Session& session) {
  if (session.word(0) != "bash") {
    return session.fail("there is no completion for \"" + session.word(0) + "\"", "fairlead completion bash",
                        "FL6001");
  }
  std::ostream& out = session.out();
  std::string names;
  for (const Verb& verb : verbs()) names += (names.empty() ? "" : " ") + std::string(verb.name);
  out << "# bash completion for fairlead, made from its table of verbs and options\n"
         "_fairlead() {\n"
         "  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD-1]} verb= words= i\n"
         "  for ((i = 1; i < COMP_CWORD; i++)); do\n"
         "    case \" "
      << names
      << " \" in *\" ${COMP_WORDS[i]} \"*) verb=${COMP_WORDS[i]}; break ;; esac\n"
         "  done\n"
         "  case $previous in\n";
  value_cases(out, common_options());
  for (const Verb& verb : verbs()) value_cases(out, verb.options);
  out << "    --write|-w|--run-dir) COMPREPLY=($(compgen -f -- \"$current\")); return ;;\n  esac\n  case "
         "$verb in\n";
  for (const Verb& verb : verbs()) {
    std::string words;
    for (const std::string_view word : verb.words) words += std::string(word) + " ";
    out << "    " << verb.name << ") words=\"" << words << option_words(verb.options) << "\" ;;\n";
  }
  out << "    *) words=\"" << names << " help\" ;;\n  esac\n"
      << "  COMPREPLY=($(compgen -W \"$words " << option_words(common_options())
      << "\" -- \"$current\"))\n"
         "  [ \"$verb\" != validate ] || COMPREPLY+=($(compgen -f -- \"$current\"))\n"
         "}\n"
         "complete -F _fairlead fairlead\n";
  return kOk;
}

}  // namespace fairlead::cli
