#include "controlplane/manifests/yaml.hpp"

#include <yaml-cpp/anchor.h>
#include <yaml-cpp/emitterstyle.h>
#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <algorithm>
#include <array>
#include <istream>
#include <map>
#include <optional>
#include <streambuf>
#include <unordered_map>

namespace fairlead::control {
namespace {

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool all_digits(std::string_view text) {
  return !text.empty() && std::all_of(text.begin(), text.end(), is_digit);
}

template <std::size_t N>
bool one_of(std::string_view text, const std::array<std::string_view, N>& words) {
  return std::find(words.begin(), words.end(), text) != words.end();
}

constexpr std::array<std::string_view, 5> kNulls{"", "~", "null", "Null", "NULL"};
constexpr std::array<std::string_view, 6> kBools{"true", "True", "TRUE", "false", "False", "FALSE"};
constexpr std::array<std::string_view, 16> kYaml11Bools{"yes", "Yes", "YES", "no",  "No", "NO", "on", "On",
                                                        "ON",  "off", "Off", "OFF", "y",  "Y",  "n",  "N"};

// [0-9]*[.]?[0-9]*([eE][-+]?[0-9]+)? with at least one digit, and the words for infinity and not-a-number.
bool is_float(std::string_view t) {
  if (t == ".inf" || t == ".Inf" || t == ".INF" || t == ".nan" || t == ".NaN" || t == ".NAN") return true;
  std::size_t i = 0;
  std::size_t digits = 0;
  const auto run = [&] {
    while (i < t.size() && is_digit(t[i])) ++i, ++digits;
  };
  run();
  if (i < t.size() && t[i] == '.') ++i;
  run();
  if (digits == 0) return false;
  if (i < t.size() && (t[i] == 'e' || t[i] == 'E')) {
    ++i;
    if (i < t.size() && (t[i] == '-' || t[i] == '+')) ++i;
    if (i == t.size()) return false;
    run();
  }
  return i == t.size();
}

// A view as a stream buffer: yaml-cpp wants a stream, the text need not be copied for it.
class ViewBuffer : public std::streambuf {
 public:
  explicit ViewBuffer(std::string_view text) {
    char* begin = const_cast<char*>(text.data());  // a get area is never written to
    setg(begin, begin, begin + text.size());
  }
};

// Ends the reading of a text: what cannot go on is in the report already.
struct Stop {};

class Builder : public YAML::EventHandler {
 public:
  explicit Builder(YamlReport& report) : report_(report) {}

  std::optional<YamlDocument> take() {
    std::optional<YamlDocument> document;
    if (root_) document = YamlDocument{std::move(root_), std::move(doubts_)};
    reset();
    return document;
  }

  // The innermost bracket that is open: where an unclosed one is to be reported.
  [[nodiscard]] std::optional<std::pair<uint32_t, uint32_t>> open_flow() const {
    for (auto open = open_.rbegin(); open != open_.rend(); ++open) {
      if (open->is_flow) return std::pair{open->node->line, open->node->column};
    }
    return std::nullopt;
  }

  void OnDocumentStart(const YAML::Mark& mark) override {
    reset();
    // yaml-cpp gives empty documents without end where something stands that begins none: "{a: 1},".
    if (document_start_ == mark.pos) {
      report_.add_at("FL1002", line(mark), column(mark), 1, "this does not belong to the value before it",
                     "remove it, or begin a new document with ---");
      throw Stop{};
    }
    document_start_ = mark.pos;
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { leaf(make(mark), anchor); }

  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    std::shared_ptr<YamlNode> node = make(mark);
    node->text = value;
    node->is_quoted = tag == "!";  // yaml-cpp's word for "quoted, no tag"
    check_tag(*node, tag);
    node->scalar = node->is_quoted ? ScalarKind::kText : classify_plain(value);
    leaf(std::move(node), anchor);
  }

  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    const auto known = anchors_.find(anchor);
    if (known == anchors_.end()) {
      report_.add_at("FL1012", line(mark), column(mark), 1, "an alias stands inside the value that it names",
                     "write the value out");
      throw Stop{};
    }
    count(known->second->expanded, mark);
    add(known->second);
  }

  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value style) override {
    begin(mark, tag, anchor, style, YamlNode::Kind::kSequence);
  }
  void OnSequenceEnd() override { end(); }

  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value style) override {
    begin(mark, tag, anchor, style, YamlNode::Kind::kMapping);
  }
  void OnMapEnd() override {
    check_keys(*open_.back().node);
    end();
  }

 private:
  struct Open {
    std::shared_ptr<YamlNode> node;
    YAML::anchor_t anchor;
    bool is_flow;
    YamlPointer key;  // of a mapping: read, its value not yet
  };

  static uint32_t line(const YAML::Mark& mark) { return static_cast<uint32_t>(mark.line + 1); }
  static uint32_t column(const YAML::Mark& mark) { return static_cast<uint32_t>(mark.column + 1); }

  void reset() {
    root_.reset();
    doubts_.clear();
    open_.clear();
    anchors_.clear();
  }

  std::shared_ptr<YamlNode> make(const YAML::Mark& mark) {
    count(1, mark);
    auto node = std::make_shared<YamlNode>();
    node->line = line(mark);
    node->column = column(mark);
    return node;
  }

  void count(uint64_t more, const YAML::Mark& mark) {
    values_ += more;
    if (values_ <= kMaxYamlValues) return;
    report_.add_at("FL1011", line(mark), column(mark), 1,
                   "more than " + std::to_string(kMaxYamlValues) + " values, aliases expanded",
                   "split the file");
    throw Stop{};
  }

  void doubt(std::string code, const YamlNode& at, std::string what, std::string fix, std::string note = {}) {
    std::vector<Diagnostic>& reported = report_.diagnostics();
    report_.add(std::move(code), at, std::move(what), std::move(fix), std::move(note));
    doubts_.push_back(std::move(reported.back()));
    reported.pop_back();
  }

  void check_tag(const YamlNode& node, const std::string& tag) {
    if (tag.empty() || tag == "?" || tag == "!") return;
    doubt("FL1012", node, "the tag " + tag + " is not accepted",
          "remove the tag; quote the value if it is to be text");
  }

  void leaf(std::shared_ptr<YamlNode> node, YAML::anchor_t anchor) {
    if (anchor != YAML::NullAnchor) anchors_[anchor] = node;
    add(std::move(node));
  }

  void begin(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
             YAML::EmitterStyle::value style, YamlNode::Kind kind) {
    std::shared_ptr<YamlNode> node = make(mark);
    node->kind = kind;
    check_tag(*node, tag);
    if (open_.size() >= kMaxYamlDepth) {
      report_.add("FL1011", *node, "nested deeper than " + std::to_string(kMaxYamlDepth) + " levels",
                  "no object that we read nests that deep; check the indentation");
      throw Stop{};
    }
    open_.push_back({std::move(node), anchor, style == YAML::EmitterStyle::Flow, nullptr});
  }

  void end() {
    Open closed = std::move(open_.back());
    open_.pop_back();
    if (closed.anchor != YAML::NullAnchor) anchors_[closed.anchor] = closed.node;
    add(std::move(closed.node));
  }

  void add(YamlPointer value) {
    if (open_.empty()) {
      root_ = std::move(value);
      return;
    }
    Open& parent = open_.back();
    parent.node->expanded += value->expanded;
    if (parent.node->is_sequence()) {
      parent.node->items.push_back(std::move(value));
    } else if (!parent.key) {
      parent.key = std::move(value);
    } else {
      parent.node->members.push_back({std::move(parent.key), std::move(value)});
      parent.key = nullptr;
    }
  }

  void check_keys(const YamlNode& mapping) {
    std::unordered_map<std::string_view, const YamlNode*> seen;
    for (const YamlMember& member : mapping.members) {
      const YamlNode& key = *member.key;
      if (key.kind != YamlNode::Kind::kScalar) {
        doubt("FL1012", key, "a key is " + key.describe(), "keys are text");
        continue;
      }
      if (key.text == "<<" && !key.is_quoted) {
        doubt("FL1012", key, "the merge key << is not accepted", "write the fields out");
      }
      const auto [first, is_new] = seen.emplace(key.text, &key);
      if (!is_new) {
        doubt(
            "FL1003", key, "the key " + key.text + " stands here for the second time", "keep one of the two",
            "first at " + std::to_string(first->second->line) + ":" + std::to_string(first->second->column));
      }
    }
  }

  YamlReport& report_;
  YamlPointer root_;
  std::vector<Diagnostic> doubts_;
  std::vector<Open> open_;
  std::map<YAML::anchor_t, YamlPointer> anchors_;
  uint64_t values_ = 0;
  int document_start_ = -1;  // yaml-cpp's position of the current document
};

// yaml-cpp's words for what people meet most, in ours.
std::string plain_words(const std::string& message) {
  if (message.find("end of map not found") != std::string::npos)
    return "this line does not fit the indentation around it";
  if (message.find("illegal map value") != std::string::npos)
    return "a value with ': ' in it has to be quoted, or the indentation is wrong";
  if (message.find("unknown token") != std::string::npos) return "this character cannot begin a value";
  return message;
}

void report_syntax(const YAML::Exception& error, const Builder& builder, YamlReport& report) {
  auto line = static_cast<uint32_t>(error.mark.line + 1);
  auto column = static_cast<uint32_t>(error.mark.column + 1);
  if (error.msg.find("flow") != std::string::npos) {
    if (const auto open = builder.open_flow()) {
      report.add_at("FL1002", open->first, open->second, 1, "this bracket is not closed", "close it",
                    "noticed at " + std::to_string(line) + ":" + std::to_string(column));
      return;
    }
  }
  if (error.mark.is_null()) line = column = 1;
  std::string fix = "correct the YAML";
  if (report.line(line).substr(0, column).find('\t') != std::string_view::npos)
    fix = "indent with blanks, not tabs";
  report.add_at("FL1002", line, column, 1, plain_words(error.msg), fix);
}

}  // namespace

ScalarKind classify_plain(std::string_view text) {
  if (one_of(text, kNulls)) return ScalarKind::kNull;
  if (one_of(text, kBools)) return ScalarKind::kBool;
  if (one_of(text, kYaml11Bools)) return ScalarKind::kAmbiguous;
  std::string_view t = text;
  const bool has_sign = t.front() == '-' || t.front() == '+';
  if (has_sign) t.remove_prefix(1);
  if (t.empty()) return ScalarKind::kText;
  if (all_digits(t)) {
    return (t.size() > 1 && t.front() == '0') || text.front() == '+' ? ScalarKind::kAmbiguous
                                                                     : ScalarKind::kInteger;
  }
  if (t.size() > 2 && t[0] == '0' && (t[1] == 'x' || t[1] == 'o' || t[1] == 'b')) {
    const std::string_view digits = t.substr(2);
    const std::string_view set = t[1] == 'x' ? "0123456789abcdefABCDEF_" : t[1] == 'o' ? "01234567_" : "01_";
    if (digits.find_first_not_of(set) == std::string_view::npos) return ScalarKind::kAmbiguous;
  }
  if (is_digit(t.front()) && t.find('_') != std::string_view::npos &&
      t.find_first_not_of("0123456789_") == std::string_view::npos) {
    return ScalarKind::kAmbiguous;
  }
  return is_float(t) ? ScalarKind::kNumber : ScalarKind::kText;
}

const YamlNode* YamlNode::find(std::string_view key) const {
  for (const YamlMember& member : members) {
    if (member.key->kind == Kind::kScalar && member.key->text == key) {
      return member.value->is_null() ? nullptr : member.value.get();
    }
  }
  return nullptr;
}

std::string YamlNode::describe() const {
  if (is_mapping()) return "a mapping";
  if (is_sequence()) return "a list";
  const std::string shown = text.size() <= 60 ? text : text.substr(0, 57) + "...";
  switch (scalar) {
    case ScalarKind::kNull:
      return "nothing";
    case ScalarKind::kBool:
      return "the truth value " + shown;
    case ScalarKind::kInteger:
    case ScalarKind::kNumber:
      return "the number " + shown;
    case ScalarKind::kAmbiguous:
      return "the ambiguous " + shown;
    case ScalarKind::kText:
      break;
  }
  return "the text \"" + shown + "\"";
}

YamlReport::YamlReport(std::string_view text, std::string file) : text_(text), file_(std::move(file)) {
  starts_.push_back(0);
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\n') starts_.push_back(i + 1);
  }
}

std::string_view YamlReport::line(uint32_t number) const {
  if (number == 0 || number > starts_.size()) return {};
  const std::size_t begin = starts_[number - 1];
  std::size_t end = number < starts_.size() ? starts_[number] - 1 : text_.size();
  if (end > begin && text_[end - 1] == '\r') --end;
  return text_.substr(begin, end - begin);
}

std::size_t YamlReport::offset(uint32_t line_number, uint32_t column) const {
  if (line_number == 0 || line_number > starts_.size()) return text_.size();
  return std::min(text_.size(), starts_[line_number - 1] + column - 1);
}

uint32_t YamlReport::token_length(uint32_t line_number, uint32_t column, std::size_t fallback) const {
  const std::string_view rest =
      line(line_number).substr(std::min<std::size_t>(column - 1, line(line_number).size()));
  if (rest.empty()) return 1;
  if (rest[0] == '"' || rest[0] == '\'') {
    for (std::size_t i = 1; i < rest.size(); ++i) {
      if (rest[i] == '\\' && rest[0] == '"')
        ++i;
      else if (rest[i] == rest[0])
        return static_cast<uint32_t>(i + 1);
    }
    return static_cast<uint32_t>(rest.size());
  }
  return static_cast<uint32_t>(std::min(std::max<std::size_t>(fallback, 1), rest.size()));
}

void YamlReport::add(std::string code, const YamlNode& at, std::string what, std::string fix,
                     std::string note) {
  const std::size_t fallback = at.kind == YamlNode::Kind::kScalar ? at.text.size() : 1;
  add_at(std::move(code), at.line, at.column, token_length(at.line, at.column, fallback), std::move(what),
         std::move(fix), std::move(note));
}

void YamlReport::add_at(std::string code, uint32_t line_number, uint32_t column, uint32_t length,
                        std::string what, std::string fix, std::string note) {
  diagnostics_.push_back({.code = std::move(code),
                          .file = file_,
                          .line = line_number,
                          .column = column,
                          .length = length,
                          .what = std::move(what),
                          .note = std::move(note),
                          .fix = std::move(fix),
                          .excerpt = std::string(line(line_number))});
}

void YamlReport::add_file(std::string code, std::string what, std::string fix) {
  diagnostics_.push_back(
      {.code = std::move(code), .file = file_, .what = std::move(what), .fix = std::move(fix)});
}

std::vector<YamlDocument> read_yaml(std::string_view text, YamlReport& report) {
  std::vector<YamlDocument> documents;
  if (const std::size_t zero = text.find('\0'); zero != std::string_view::npos) {
    report.add_file("FL1002", "is not UTF-8 text: byte " + std::to_string(zero) + " is zero",
                    "save it as UTF-8");
    return documents;
  }
  ViewBuffer buffer(text);
  std::istream stream(&buffer);
  Builder builder(report);
  try {
    YAML::Parser parser(stream);
    while (parser.HandleNextDocument(builder)) {
      if (auto document = builder.take()) documents.push_back(std::move(*document));
    }
  } catch (const Stop&) {
    // said already
  } catch (const YAML::Exception& error) {
    report_syntax(error, builder, report);
  }
  return documents;
}

}  // namespace fairlead::control
