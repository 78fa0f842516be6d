#pragma once

#include <span>
#include <string_view>

namespace fairlead {

// One row of error_codes.def: what `fairlead explain FL1042` prints.
struct ErrorCode {
  std::string_view code;       // FL1042
  std::string_view title;      // a few words
  std::string_view paragraph;  // what it means, why it is refused, what to do
};

// Every code, in ascending order.
[[nodiscard]] std::span<const ErrorCode> error_codes();

// The row of `code` ("FL1042", any case, with or without "FL"); nullptr when there is none.
[[nodiscard]] const ErrorCode* find_error_code(std::string_view code);

}  // namespace fairlead
