#include "dataplane/base/diagnostic.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <map>
#include <numeric>
#include <tuple>

namespace fairlead {
namespace {

struct Colours {
  const char *error, *bold, *dim, *caret, *reset;
};
constexpr Colours kPlain{"", "", "", "", ""};
constexpr Colours kTerminal{"\033[1;31m", "\033[1m", "\033[2m", "\033[1;31m", "\033[0m"};

bool is_continuation(char c) {
  return (static_cast<unsigned char>(c) & 0xc0) == 0x80;
}

// Terminal columns of `text`, one per code point.
std::size_t columns(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return !is_continuation(c); }));
}

std::string printable(std::string_view text) {
  std::string shown(text);
  for (char& c : shown) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return shown;
}

// A long line is shown around its caret only.
constexpr std::size_t kMaxExcerpt = 160;

struct Window {
  std::string text;
  std::size_t before = 0;  // columns in front of the caret
  std::size_t under = 1;   // columns underlined
};

Window window_of(const Diagnostic& d) {
  const std::size_t at = std::min<std::size_t>(d.column > 0 ? d.column - 1 : 0, d.excerpt.size());
  std::size_t begin = 0;
  std::size_t end = d.excerpt.size();
  std::string head, tail;
  if (d.excerpt.size() > kMaxExcerpt) {
    begin = at > kMaxExcerpt / 2 ? at - kMaxExcerpt / 2 : 0;
    end = std::min(d.excerpt.size(), begin + kMaxExcerpt);
    while (begin > 0 && is_continuation(d.excerpt[begin])) --begin;
    while (end < d.excerpt.size() && is_continuation(d.excerpt[end])) ++end;
    if (begin > 0) head = "...";
    if (end < d.excerpt.size()) tail = "...";
  }
  const std::string_view line(d.excerpt);
  const std::size_t last = std::min<std::size_t>(at + std::max<uint32_t>(d.length, 1), end);
  Window w;
  w.text = head + printable(line.substr(begin, end - begin)) + tail;
  w.before = head.size() + columns(line.substr(begin, at - begin));
  w.under = std::max<std::size_t>(1, columns(line.substr(at, last - at)));
  return w;
}

std::string position(const Diagnostic& d) {
  std::string text = d.file;
  if (d.line > 0) text += ":" + std::to_string(d.line) + ":" + std::to_string(d.column);
  return text;
}

void sort(std::vector<Diagnostic>& diagnostics) {
  std::stable_sort(diagnostics.begin(), diagnostics.end(), [](const Diagnostic& a, const Diagnostic& b) {
    return std::tie(a.file, a.line, a.column) < std::tie(b.file, b.line, b.column);
  });
}

// The rest of a fix that takes several lines stands under its first.
std::string indented(std::string_view text) {
  std::string result;
  for (char c : text) {
    result += c;
    if (c == '\n') result += "        ";
  }
  return result;
}

}  // namespace

std::string render(const Diagnostic& d, bool colour) {
  const Colours& c = colour ? kTerminal : kPlain;
  std::string out = std::string(c.error) + "error[" + d.code + "]" + c.reset + c.bold + ": ";
  const std::string where = position(d);
  if (!where.empty()) out += where + ": ";
  out += d.what + c.reset + "\n";
  if (d.line > 0) {
    const Window w = window_of(d);
    std::string number = std::to_string(d.line);
    if (number.size() < 5) number.insert(0, 5 - number.size(), ' ');
    out += std::string(c.dim) + number + " | " + c.reset + w.text + "\n";
    out += std::string(c.dim) + std::string(number.size(), ' ') + " | " + c.reset +
           std::string(w.before, ' ') + c.caret + std::string(w.under, '^') + c.reset +
           (d.note.empty() ? "" : " " + d.note) + "\n";
  } else if (!d.note.empty()) {
    out += "  note: " + d.note + "\n";
  }
  if (!d.fix.empty()) out += "  fix:  " + indented(d.fix) + "\n";
  return out;
}

std::string render(const Error& error, bool colour) {
  return render(Diagnostic{.code = error.code, .file = {}, .what = error.what, .fix = error.fix}, colour);
}

std::string render(std::vector<Diagnostic> diagnostics, bool colour) {
  sort(diagnostics);
  std::map<std::string, std::size_t> seen;
  std::string out;
  for (std::size_t i = 0; i < diagnostics.size(); ++i) {
    const std::string& file = diagnostics[i].file;
    const std::size_t shown = ++seen[file];
    if (shown <= kMaxDiagnosticsShown) out += render(diagnostics[i], colour);
    const bool is_last_of_file = i + 1 == diagnostics.size() || diagnostics[i + 1].file != file;
    if (is_last_of_file && shown > kMaxDiagnosticsShown) {
      out += "... and " + std::to_string(shown - kMaxDiagnosticsShown) + " more in " + file + "\n";
    }
  }
  return out;
}

nlohmann::json to_json(const Diagnostic& d) {
  nlohmann::json j = {{"code", d.code}, {"what", d.what}};
  if (!d.file.empty()) j["file"] = d.file;
  if (d.line > 0) {
    j["line"] = d.line;
    j["column"] = d.column;
    j["length"] = d.length;
    j["excerpt"] = d.excerpt;
  }
  if (!d.note.empty()) j["note"] = d.note;
  if (!d.fix.empty()) j["fix"] = d.fix;
  return j;
}

nlohmann::json to_json(const Error& error) {
  nlohmann::json j = {{"code", error.code}, {"what", error.what}};
  if (!error.fix.empty()) j["fix"] = error.fix;
  return j;
}

nlohmann::json to_json(std::vector<Diagnostic> diagnostics) {
  sort(diagnostics);
  nlohmann::json list = nlohmann::json::array();
  for (const Diagnostic& d : diagnostics) list.push_back(to_json(d));
  return list;
}

Error to_error(const Diagnostic& d) {
  const std::string where = position(d);
  return Error{d.code,
               (where.empty() ? "" : where + ": ") + d.what + (d.note.empty() ? "" : " (" + d.note + ")"),
               d.fix};
}

std::string_view nearest(std::string_view word, const std::vector<std::string_view>& candidates) {
  std::string_view best;
  std::size_t best_distance = std::max<std::size_t>(2, word.size() / 3) + 1;
  for (std::string_view candidate : candidates) {
    // Optimal string alignment: a swap of two neighbours is one slip.
    std::vector<std::size_t> before(candidate.size() + 1), previous(candidate.size() + 1),
        row(candidate.size() + 1);
    std::iota(previous.begin(), previous.end(), std::size_t{0});
    const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
    for (std::size_t i = 1; i <= word.size(); ++i) {
      row[0] = i;
      for (std::size_t j = 1; j <= candidate.size(); ++j) {
        const bool same = lower(word[i - 1]) == lower(candidate[j - 1]);
        row[j] = std::min({previous[j] + 1, row[j - 1] + 1, previous[j - 1] + (same ? 0 : 1)});
        if (i > 1 && j > 1 && lower(word[i - 1]) == lower(candidate[j - 2]) &&
            lower(word[i - 2]) == lower(candidate[j - 1])) {
          row[j] = std::min(row[j], before[j - 2] + 1);
        }
      }
      before.swap(previous);
      previous.swap(row);
    }
    const std::size_t distance = previous[candidate.size()];
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

}  // namespace fairlead
