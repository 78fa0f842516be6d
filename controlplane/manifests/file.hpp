#pragma once

#include "dataplane/base/result.hpp"

#include <string>
#include <string_view>

namespace fairlead::control {

// The whole file, at most `limit` bytes. Errors: FL1001 with the kernel's reason.
[[nodiscard]] Result<std::string> read_whole_file(const std::string& path, std::size_t limit);

// Replaces `path` in one step: a new file beside it, flushed, renamed over it. Owner and permissions are kept
// where the file exists (otherwise 0644). Errors carry `code`.
[[nodiscard]] Result<void> replace_file(const std::string& path, std::string_view text,
                                        const std::string& code);

}  // namespace fairlead::control
