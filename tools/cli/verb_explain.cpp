#include "controlplane/manifests/schema.hpp"
#include "dataplane/base/diagnostic.hpp"
#include "dataplane/base/error_codes.hpp"
#include "dataplane/core/counters.hpp"
#include "tools/cli/verbs.hpp"

#include <algorithm>
#include <cctype>
#include <ostream>

namespace fairlead::cli {
namespace {

struct Topic {
  std::string name, kind, sentence;
};

template <typename Enum>
void add_all(std::vector<Topic>& topics, const char* kind) {
  for (size_t i = 0; i < static_cast<size_t>(Enum::kCount); ++i) {
    const core::NameAndSentence words = core::describe(static_cast<Enum>(i));
    topics.push_back({std::string(words.name), kind, std::string(words.sentence)});
  }
}

// Everything with one sentence. Codes and fields have more to say and are looked up on their own.
std::vector<Topic> all_topics() {
  std::vector<Topic> topics;
  add_all<core::DropReason>(topics, "drop reason");
  add_all<core::Counter>(topics, "counter");
  add_all<core::Step>(topics, "step");
  return topics;
}

bool same_word(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(),
                    [](unsigned char x, unsigned char y) { return std::tolower(x) == std::tolower(y); });
}

Exit list_all(Session& session) {
  session.out() << session.bold("drop reasons, counters, steps") << "\n";
  for (const Topic& topic : all_topics()) {
    session.out() << "  " << topic.name
                  << std::string(topic.name.size() < 26 ? 26 - topic.name.size() : 1, ' ') << topic.sentence
                  << "\n";
  }
  session.out() << session.bold("fields of ClusterNetwork") << "\n";
  for (const control::Field& field : control::cluster_network_fields())
    session.out() << "  " << field.path << "\n";
  session.out() << session.bold("error codes") << "\n";
  for (const ErrorCode& code : error_codes())
    session.out() << "  " << code.code << "  " << code.title << "\n";
  return kOk;
}

Exit print_topic(Session& session, const Topic& topic) {
  if (session.is_structured()) {
    session.print({{"name", topic.name}, {"kind", topic.kind}, {"text", topic.sentence}});
  } else {
    session.out() << session.bold(topic.name) << " (" << topic.kind << ")\n" << topic.sentence << "\n";
  }
  return kOk;
}

// Paragraphs in the tables are one line; a terminal's are not.
std::string wrapped(std::string_view text, size_t width) {
  std::string result;
  size_t column = 0;
  while (!text.empty()) {
    const size_t end = std::min(text.find(' '), text.size());
    if (column != 0 && column + 1 + end > width) {
      result += '\n';
      column = 0;
    } else if (column != 0) {
      result += ' ';
      ++column;
    }
    result += text.substr(0, end);
    column += end;
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return result;
}

}  // namespace

Exit run_explain(Session& session) {
  if (session.words() == 0) return list_all(session);
  const std::string& word = session.word(0);
  if (const ErrorCode* code = find_error_code(word)) {
    return print_topic(
        session, {std::string(code->code), "error code: " + std::string(code->title),
                  session.is_structured() ? std::string(code->paragraph) : wrapped(code->paragraph, 90)});
  }
  if (const control::Field* field = control::find_field(word)) {
    if (session.is_structured()) {
      session.print({{"name", field->path},
                     {"kind", "field"},
                     {"type", control::type_text(*field)},
                     {"default", field->default_text},
                     {"text", field->sentence}});
    } else {
      session.out() << control::explain(*field);
    }
    return kOk;
  }
  const std::vector<Topic> topics = all_topics();
  for (const Topic& topic : topics) {
    if (same_word(topic.name, word)) return print_topic(session, topic);
  }
  std::string upper = word;
  std::transform(upper.begin(), upper.end(), upper.begin(), [](unsigned char c) { return std::toupper(c); });
  std::vector<std::string_view> names;
  names.reserve(topics.size());
  for (const Topic& topic : topics) names.push_back(topic.name);
  std::string_view close = control::nearest_field(word);
  if (close.empty()) close = nearest(word, names);
  if (close.empty()) close = nearest(upper, names);
  return session.fail("nothing is known about \"" + word + "\"",
                      close.empty() ? "fairlead explain lists everything"
                                    : "did you mean: fairlead explain " + std::string(close));
}

}  // namespace fairlead::cli
