#include "dataplane/ebpf/libbpf_words.hpp"

#include <bpf/libbpf.h>

#include <cstdarg>
#include <cstdio>
#include <string_view>

namespace fairlead::ebpf {
namespace {

constexpr size_t kKeptBytes = 64 * 1024;  // a verifier log's end says what is wrong
constexpr size_t kToldLines = 6;

thread_local bool collecting = false;
thread_local std::string words;

__attribute__((format(printf, 2, 0))) int take_words(libbpf_print_level level, const char* format,
                                                     va_list arguments) {
  if (!collecting || level == LIBBPF_DEBUG) return 0;
  char line[4096];
  const int length = std::vsnprintf(line, sizeof(line), format, arguments);
  if (length > 0) words += line;
  if (words.size() > 2 * kKeptBytes) words.erase(0, words.size() - kKeptBytes);
  return length;
}

}  // namespace

LibbpfWords::LibbpfWords() {
  static const libbpf_print_fn_t previous = libbpf_set_print(take_words);
  (void)previous;
  words.clear();
  collecting = true;
}

LibbpfWords::~LibbpfWords() {
  collecting = false;
}

std::string LibbpfWords::text() const {
  std::string_view rest = words;
  std::string told;
  for (size_t i = 0; i < kToldLines && !rest.empty();) {
    while (!rest.empty() && rest.back() == '\n') rest.remove_suffix(1);
    const size_t start = rest.rfind('\n') == std::string_view::npos ? 0 : rest.rfind('\n') + 1;
    const std::string_view line = rest.substr(start);
    if (!line.empty()) {
      told = std::string(line) + (told.empty() ? "" : "; " + told);
      ++i;
    }
    rest = rest.substr(0, start);
  }
  return told;
}

}  // namespace fairlead::ebpf
