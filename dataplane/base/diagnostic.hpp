#pragma once

#include "dataplane/base/result.hpp"

#include <nlohmann/json_fwd.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace fairlead {

// One thing that is wrong in a text a person wrote, with everything needed to show it.
//
//   error[FL1042]: cluster.yaml:14:10: spec.overlay.mtu 9500 does not fit uplink ens1f0
//      14 |     mtu: 9500
//         |          ^^^^ uplink MTU 9000 minus VXLAN 50 allows 1280..8950
//     fix:  set mtu: 8950 (or remove the key: it is computed)
struct Diagnostic {
  std::string code;  // a row of error_codes.def
  std::string file;
  uint32_t line = 0;      // from 1; 0: the file as a whole, no excerpt
  uint32_t column = 0;    // from 1, in bytes of the line
  uint32_t length = 1;    // bytes underlined, cut at the end of the line
  std::string what;       // found and wanted
  std::string note = {};  // beside the caret
  std::string fix = {};
  std::string excerpt = {};  // the line itself, without its end

  bool operator==(const Diagnostic&) const = default;
};

// The text form above, ending in a newline. Control characters of the excerpt are shown as blanks; `colour`
// is for terminals.
[[nodiscard]] std::string render(const Diagnostic& diagnostic, bool colour = false);

// The same form for an error that has no place in a file.
[[nodiscard]] std::string render(const Error& error, bool colour = false);

// {"code","file","line","column","what","note","fix","excerpt"}; empty facts are left out.
[[nodiscard]] nlohmann::json to_json(const Diagnostic& diagnostic);
[[nodiscard]] nlohmann::json to_json(const Error& error);

// The first thing of the list as an Error whose `what` starts with its position: for callers that can carry
// only one.
[[nodiscard]] Error to_error(const Diagnostic& diagnostic);

inline constexpr std::size_t kMaxDiagnosticsShown = 20;

// All that is wrong, sorted by file, line and column; at most kMaxDiagnosticsShown of a file, then "... and N
// more".
[[nodiscard]] std::string render(std::vector<Diagnostic> diagnostics, bool colour = false);
[[nodiscard]] nlohmann::json to_json(std::vector<Diagnostic> diagnostics);

// The candidate nearest to `word` by edit distance, if near enough to be a slip; empty otherwise.
[[nodiscard]] std::string_view nearest(std::string_view word,
                                       const std::vector<std::string_view>& candidates);

}  // namespace fairlead
