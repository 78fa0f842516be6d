#include "tools/cli/bench_result.hpp"

#include <algorithm>
#include <cmath>
#include <fstream>
#include <map>
#include <optional>
#include <set>
#include <sstream>

namespace fairlead::cli {
namespace {

constexpr int kSchema = 1;
constexpr const char* kKind = "fairlead-bench";

Error not_a_result(const std::string& name, const std::string& what) {
  return {"FL6032", name + ": " + what, "make it with: fairlead bench -o json -w FILE"};
}

// The first number of a band that is missing, or "" when it is whole.
std::string missing_in_band(const Json& of) {
  for (const char* key : {"median", "p05", "p95"}) {
    if (!of.contains(key) || !of[key].is_number()) return key;
  }
  return {};
}

std::string wrong_in_figure(const Json& figure) {
  if (!figure.is_object()) return "is no object";
  for (const char* key : {"id", "title", "unit", "better"}) {
    if (!figure.contains(key) || !figure[key].is_string()) return std::string(key) + " is missing";
  }
  if (figure["better"] != "lower" && figure["better"] != "higher")
    return "better is \"" + figure["better"].get<std::string>() + "\", not lower or higher";
  if (const std::string missing = missing_in_band(figure); !missing.empty()) return missing + " is missing";
  if (!figure.contains("peer")) return {};
  const Json& peer = figure["peer"];
  if (!peer.is_object() || !peer.contains("name") || !peer["name"].is_string()) return "peer has no name";
  if (const std::string missing = missing_in_band(peer); !missing.empty())
    return "peer." + missing + " is missing";
  if (peer.contains("ratio")) {
    if (const std::string missing = missing_in_band(peer["ratio"]); !missing.empty())
      return "peer.ratio." + missing + " is missing";
  }
  return {};
}

Band band_of(const Json& of) {
  return {of["median"].get<double>(), of["p05"].get<double>(), of["p95"].get<double>()};
}

// The ratio to a peer, where both runs have one to the same peer.
bool share_peer(const Json& base, const Json& now) {
  return base.contains("peer") && now.contains("peer") && base["peer"].contains("ratio") &&
         now["peer"].contains("ratio") && base["peer"]["name"] == now["peer"]["name"];
}

Verdict judge(const ComparedFigure& figure, bool more_is_better, double tolerance_percent) {
  const bool overlap = std::max(figure.base.p05, figure.now.p05) <= std::min(figure.base.p95, figure.now.p95);
  if (overlap || std::abs(figure.change_percent) < tolerance_percent) return Verdict::kSame;
  return (figure.now.median > figure.base.median) == more_is_better ? Verdict::kBetter : Verdict::kWorse;
}

ComparedFigure compare_figure(const Json& base, const Json& now, bool same_machine,
                              double tolerance_percent) {
  ComparedFigure figure;
  figure.id = base["id"];
  const bool by_ratio = share_peer(base, now);
  const bool is_ratio = by_ratio || base["unit"] == "ratio";
  figure.unit = is_ratio ? "ratio" : base["unit"].get<std::string>();
  figure.judged_by = by_ratio ? "ratio to " + base["peer"]["name"].get<std::string>() : "value";
  figure.base = band_of(by_ratio ? base["peer"]["ratio"] : base);
  figure.now = band_of(by_ratio ? now["peer"]["ratio"] : now);
  if (figure.base.median != 0) figure.change_percent = (figure.now.median / figure.base.median - 1) * 100;
  // Ratios to a peer are >= 1 where we win, whatever the figure's own direction.
  const bool more_is_better = by_ratio || base["better"] == "higher";
  figure.verdict =
      !same_machine && !is_ratio ? Verdict::kOtherMachine : judge(figure, more_is_better, tolerance_percent);
  return figure;
}

std::string machine_text(const Json& result, const char* key) {
  if (!result.contains("machine") || !result["machine"].contains(key)) return "unknown";
  const Json& value = result["machine"][key];
  return value.is_string() ? value.get<std::string>() : value.dump();
}

}  // namespace

Result<Json> parse_bench_result(std::string_view text, const std::string& name) {
  Json result = Json::parse(text, nullptr, false);
  if (result.is_discarded()) return not_a_result(name, "is not JSON");
  if (!result.is_object() || !result.contains("kind") || result["kind"] != kKind)
    return not_a_result(name, std::string("is no result of a benchmark: kind is not ") + kKind);
  if (!result.contains("schema") || result["schema"] != kSchema) {
    return not_a_result(name, "has schema " +
                                  (result.contains("schema") ? result["schema"].dump() : "of no number") +
                                  ", and this command knows " + std::to_string(kSchema));
  }
  if (!result.contains("figures") || !result["figures"].is_array())
    return not_a_result(name, "has no list of figures");
  std::set<std::string> ids;
  for (size_t i = 0; i < result["figures"].size(); ++i) {
    const Json& figure = result["figures"][i];
    std::string wrong = wrong_in_figure(figure);
    if (wrong.empty() && !ids.insert(figure["id"]).second)
      wrong = "id " + figure["id"].get<std::string>() + " is there twice";
    if (!wrong.empty()) return not_a_result(name, "figures[" + std::to_string(i) + "]: " + wrong);
  }
  return result;
}

Result<Json> read_bench_result(const std::string& path) {
  std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  if (!file) return not_a_result(path, "cannot be read, or is empty");
  return parse_bench_result(text.str(), path);
}

Json merge_bench_results(const std::vector<Json>& results) {
  Json merged{{"schema", kSchema},        {"kind", kKind},         {"started", nullptr},
              {"duration_s", 0.0},        {"quick", false},        {"machine", Json::object()},
              {"figures", Json::array()}, {"notes", Json::array()}};
  double duration_s = 0;
  for (const Json& result : results) {
    const std::string started = result.value("started", "");
    if (merged["started"].is_null() || started < merged["started"].get<std::string>())
      merged["started"] = started;
    duration_s += result.value("duration_s", 0.0);
    if (result.value("quick", false)) merged["quick"] = true;
    const Json machine = result.value("machine", Json::object());
    for (const auto& [key, value] : machine.items()) {
      if (!merged["machine"].contains(key) || merged["machine"][key].is_null())
        merged["machine"][key] = value;
    }
    for (const Json& figure : result["figures"]) merged["figures"].push_back(figure);
    for (const Json& note : result.value("notes", Json::array())) {
      const Json& notes = merged["notes"];
      if (std::find(notes.begin(), notes.end(), note) == notes.end()) merged["notes"].push_back(note);
    }
  }
  merged["duration_s"] = std::round(duration_s * 10) / 10;
  return merged;
}

std::string_view verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kSame:
      return "same";
    case Verdict::kBetter:
      return "better";
    case Verdict::kWorse:
      return "worse";
    case Verdict::kGone:
      return "gone";
    case Verdict::kNew:
      return "new";
    case Verdict::kOtherMachine:
      return "other machine";
  }
  return "";
}

size_t Comparison::count(Verdict verdict) const {
  return static_cast<size_t>(std::count_if(
      figures.begin(), figures.end(), [verdict](const ComparedFigure& f) { return f.verdict == verdict; }));
}

bool Comparison::has_regression() const {
  return count(Verdict::kWorse) != 0 || (same_length && count(Verdict::kGone) != 0);
}

Comparison compare_bench_results(const Json& base, const Json& now, double tolerance_percent) {
  Comparison comparison;
  for (const char* key : {"cpu", "cores"}) {
    if (machine_text(base, key) != machine_text(now, key)) comparison.same_machine = false;
  }
  if (!comparison.same_machine) {
    comparison.notes.push_back("made on different machines (" + machine_text(base, "cpu") + ", " +
                               machine_text(base, "cores") + " cores; " + machine_text(now, "cpu") + ", " +
                               machine_text(now, "cores") +
                               " cores): only ratios to a peer in the same run are judged");
  }
  for (const char* key : {"kernel", "mitigations", "hugepages", "dpdk", "compiler"}) {
    if (machine_text(base, key) != machine_text(now, key))
      comparison.notes.push_back(std::string(key) + " differs: " + machine_text(base, key) + ", now " +
                                 machine_text(now, key));
  }
  comparison.same_length = base.value("quick", false) == now.value("quick", false);
  if (!comparison.same_length)
    comparison.notes.emplace_back(
        "one is a quick run and the other is not: what only one of them has is not judged");

  std::map<std::string, const Json*> remaining;
  for (const Json& figure : now["figures"]) remaining[figure["id"]] = &figure;
  for (const Json& figure : base["figures"]) {
    const auto found = remaining.find(figure["id"]);
    if (found == remaining.end()) {
      comparison.figures.push_back(
          {figure["id"], figure["unit"], "value", band_of(figure), {}, 0, Verdict::kGone});
      continue;
    }
    comparison.figures.push_back(
        compare_figure(figure, *found->second, comparison.same_machine, tolerance_percent));
    remaining.erase(found);
  }
  for (const Json& figure : now["figures"]) {
    if (remaining.contains(figure["id"]))
      comparison.figures.push_back(
          {figure["id"], figure["unit"], "value", {}, band_of(figure), 0, Verdict::kNew});
  }
  return comparison;
}

}  // namespace fairlead::cli
