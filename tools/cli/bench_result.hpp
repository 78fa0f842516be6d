#pragma once

#include "dataplane/base/result.hpp"
#include "tools/cli/json.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace fairlead::cli {

// The object that every benchmark prints (bench/README.md has its shape), checked as far as it is read here:
// kind, schema, and of each figure id, unit, direction, median and band, and the same of its peer.
// `name` is what the message calls it. Errors: FL6032.
[[nodiscard]] Result<Json> parse_bench_result(std::string_view text, const std::string& name);
[[nodiscard]] Result<Json> read_bench_result(const std::string& path);

// One object of several: figures and notes one after the other, times added up, of the machine what each
// knows.
[[nodiscard]] Json merge_bench_results(const std::vector<Json>& results);

enum class Verdict { kSame, kBetter, kWorse, kGone, kNew, kOtherMachine };
[[nodiscard]] std::string_view verdict_name(Verdict verdict);

struct Band {
  double median = 0, p05 = 0, p95 = 0;
};

struct ComparedFigure {
  std::string id, unit, judged_by;  // "value", or "ratio to kernel VXLAN"
  Band base, now;
  double change_percent = 0;  // of the median, + is more, whichever direction is better
  Verdict verdict = Verdict::kSame;
};

struct Comparison {
  std::vector<ComparedFigure> figures;  // in the order of the base; new ones last
  std::vector<std::string> notes;
  bool same_machine = true, same_length = true;

  [[nodiscard]] size_t count(Verdict verdict) const;
  // Something is worse, or a figure of the base is no longer measured by a run of the same length.
  [[nodiscard]] bool has_regression() const;
};

// What changed from `base` to `now`, both of parse_bench_result(). A figure that ran beside the same peer in
// both is judged by its ratio to it: a machine that drifts does so for both. Others are judged by value, and
// only on the same machine. Bands that overlap, or medians within `tolerance_percent`, are the same.
[[nodiscard]] Comparison compare_bench_results(const Json& base, const Json& now, double tolerance_percent);

}  // namespace fairlead::cli
