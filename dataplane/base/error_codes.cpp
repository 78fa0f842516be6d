#include "dataplane/base/error_codes.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <string>

namespace fairlead {
namespace {

constexpr std::array kCodes = {
#define FL_ERROR(code, title, paragraph) ErrorCode{#code, title, paragraph},
#include "dataplane/base/error_codes.def"
#undef FL_ERROR
};

constexpr bool ascending() {
  for (std::size_t i = 1; i < kCodes.size(); ++i) {
    if (!(kCodes[i - 1].code < kCodes[i].code)) return false;
  }
  return true;
}
static_assert(ascending(), "error_codes.def: codes must ascend, each once");

}  // namespace

std::span<const ErrorCode> error_codes() {
  return kCodes;
}

const ErrorCode* find_error_code(std::string_view code) {
  std::string wanted;
  for (char c : code) wanted += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  if (!wanted.starts_with("FL")) wanted = "FL" + wanted;
  const auto found =
      std::find_if(kCodes.begin(), kCodes.end(), [&](const ErrorCode& row) { return row.code == wanted; });
  return found == kCodes.end() ? nullptr : &*found;
}

}  // namespace fairlead
