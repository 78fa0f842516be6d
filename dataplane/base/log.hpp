#pragma once

#include <string>
#include <string_view>

namespace fairlead {

enum class LogFormat { kText, kJson };

// Sends spdlog's default logger to standard error: a line a message, either for people or as one JSON object
// {"time","level","process","message"} with everything escaped. Call once, first thing in main().
void start_log(std::string_view process, LogFormat format, bool verbose = false);

// The inside of a JSON string: quotes, backslashes and control characters escaped; invalid UTF-8 replaced.
[[nodiscard]] std::string json_escaped(std::string_view text);

}  // namespace fairlead
