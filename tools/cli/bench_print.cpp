#include "tools/cli/bench_print.hpp"

#include "tools/cli/table.hpp"

#include <algorithm>
#include <cstdio>
#include <map>
#include <ostream>

namespace fairlead::cli {
namespace {

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.4g", value);
  return text;
}

std::string band_text(double p05, double p95) {
  return number(p05) + " .. " + number(p95);
}

std::string plain(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_number_float()) return number(value.get<double>());
  return value.dump();
}

std::string machine_line(const Json& machine) {
  std::string text;
  const auto add = [&](const char* key, const std::string& before, const std::string& after) {
    if (!machine.contains(key) || machine[key].is_null()) return;
    text += (text.empty() ? "" : ", ") + before + plain(machine[key]) + after;
  };
  add("cpu", "", "");
  add("cores", "", " cores");
  add("tsc_ghz", "TSC ", " GHz");
  add("memory_gib", "", " GiB");
  add("kernel", "kernel ", "");
  add("dpdk", "DPDK ", "");
  add("compiler", "", "");
  add("fairlead", "fairlead ", "");
  if (machine.contains("hugepages") && machine["hugepages"].is_boolean())
    text += machine["hugepages"].get<bool>() ? ", huge pages" : ", no huge pages";
  return text;
}

// "tcp.stream" of "tcp.stream.kernel_vxlan.gbps".
std::string family_of(const std::string& id) {
  return id.substr(0, id.find('.', id.find('.') + 1));
}

Json parameters_of(const Json& figure) {
  const Json parameters = figure.value("parameters", Json::object());
  return parameters.is_object() ? parameters : Json::object();
}

// Of each family, the parameters that all its figures share.
std::vector<std::pair<std::string, Json>> common_parameters(const Json& figures) {
  std::vector<std::pair<std::string, Json>> families;
  for (const Json& figure : figures) {
    const std::string family = family_of(figure["id"]);
    const Json parameters = parameters_of(figure);
    const auto found = std::find_if(families.begin(), families.end(),
                                    [&family](const auto& entry) { return entry.first == family; });
    if (found == families.end()) {
      families.emplace_back(family, parameters);
      continue;
    }
    Json shared = Json::object();
    for (const auto& [key, value] : found->second.items()) {
      if (parameters.contains(key) && parameters[key] == value) shared[key] = value;
    }
    found->second = shared;
  }
  return families;
}

std::string parameter_text(const Json& parameters) {
  std::string text;
  for (const auto& [key, value] : parameters.items())
    text += (text.empty() ? "" : " ") + key + "=" + plain(value);
  return text;
}

std::string target_text(const Json& figure) {
  if (!figure.contains("target") || !figure["target"].is_object()) return {};
  const Json& target = figure["target"];
  const bool at_most = target.contains("at_most");
  if (!at_most && !target.contains("at_least")) return {};
  std::string text = (at_most ? "<= " : ">= ") + plain(target[at_most ? "at_most" : "at_least"]);
  if (target.contains("of")) text += " x " + plain(target["of"]);
  if (figure.contains("held") && figure["held"].is_boolean())
    text += figure["held"].get<bool>() ? "  held" : "  NOT HELD";
  return text;
}

void print_limits(Session& session, const Json& figures) {
  // Figures that the same thing limits are named together.
  std::vector<std::pair<std::string, std::string>> limits;
  for (const Json& figure : figures) {
    if (!figure.contains("limits") || !figure["limits"].is_string()) continue;
    const std::string why = figure["limits"];
    const auto found =
        std::find_if(limits.begin(), limits.end(), [&why](const auto& entry) { return entry.first == why; });
    const std::string id = figure["id"];
    if (found == limits.end())
      limits.emplace_back(why, id);
    else
      found->second += ", " + id;
  }
  if (!limits.empty()) session.out() << "\n" << session.bold("what limits the targets not held") << "\n";
  for (const auto& [why, ids] : limits) session.out() << "  " << why << "\n    " << session.dim(ids) << "\n";
}

}  // namespace

void print_bench_result(Session& session, const Json& result) {
  if (session.is_structured()) {
    session.print(result);
    return;
  }
  std::ostream& out = session.out();
  if (session.format() == Format::kName) {
    for (const Json& figure : result["figures"]) out << "figure/" << figure["id"].get<std::string>() << "\n";
    return;
  }
  const Json machine = result.value("machine", Json::object());
  out << "machine      " << machine_line(machine) << "\n";
  if (machine.contains("mitigations")) out << "mitigations  " << plain(machine["mitigations"]) << "\n";
  out << "run          " << (result.value("quick", false) ? "quick, " : "") << "started "
      << result.value("started", "?") << ", took " << number(result.value("duration_s", 0.0)) << " s\n";
  for (const auto& [family, parameters] : common_parameters(result["figures"])) {
    if (!parameters.empty()) out << "parameters   " << family << ": " << parameter_text(parameters) << "\n";
  }
  Table table({{"FIGURE"},
               {"MEDIAN", true},
               {"UNIT"},
               {"5-95 %"},
               {"ROUNDS", true},
               {"PEER"},
               {"PEER'S", true},
               {"RATIO", true},
               {"ITS 5-95 %"},
               {"TARGET"},
               {"WHAT", false, true},
               {"PARAMETERS", false, true}},
              session.format() == Format::kWide);
  for (const Json& figure : result["figures"]) {
    const Json peer = figure.value("peer", Json::object());
    const Json ratio = peer.value("ratio", Json::object());
    table.add({figure["id"], number(figure["median"]), figure["unit"],
               band_text(figure["p05"], figure["p95"]),
               figure.contains("rounds") ? plain(figure["rounds"]) : "", peer.value("name", ""),
               peer.empty() ? "" : number(peer["median"]), ratio.empty() ? "" : number(ratio["median"]),
               ratio.empty() ? "" : band_text(ratio["p05"], ratio["p95"]), target_text(figure),
               figure["title"], parameter_text(parameters_of(figure))});
  }
  out << "\n" << table.text();
  print_limits(session, result["figures"]);
  for (const Json& note : result.value("notes", Json::array())) out << "note: " << plain(note) << "\n";
}

void print_comparison(Session& session, const Comparison& comparison) {
  const auto counted = [&comparison](Verdict verdict) { return comparison.count(verdict); };
  if (session.is_structured()) {
    const auto band_json = [](const Band& band) {
      return Json{{"median", band.median}, {"p05", band.p05}, {"p95", band.p95}};
    };
    Json figures = Json::array();
    for (const ComparedFigure& figure : comparison.figures) {
      Json row{{"id", figure.id}, {"unit", figure.unit}, {"judgedBy", figure.judged_by}};
      row["base"] = figure.verdict == Verdict::kNew ? Json(nullptr) : band_json(figure.base);
      row["now"] = figure.verdict == Verdict::kGone ? Json(nullptr) : band_json(figure.now);
      row["changePercent"] = figure.change_percent;
      row["verdict"] = verdict_name(figure.verdict);
      figures.push_back(row);
    }
    session.print({{"kind", "fairlead-bench-comparison"},
                   {"sameMachine", comparison.same_machine},
                   {"regression", comparison.has_regression()},
                   {"figures", figures},
                   {"notes", comparison.notes}});
    return;
  }
  Table table({{"FIGURE"},
               {"BASE", true},
               {"ITS 5-95 %"},
               {"NOW", true},
               {"ITS 5-95 %"},
               {"UNIT"},
               {"CHANGE", true},
               {"VERDICT"},
               {"JUDGED BY"}},
              session.format() == Format::kWide);
  for (const ComparedFigure& figure : comparison.figures) {
    const bool has_base = figure.verdict != Verdict::kNew, has_now = figure.verdict != Verdict::kGone;
    char change[32];
    std::snprintf(change, sizeof change, "%+.1f %%", figure.change_percent);
    table.add({figure.id, has_base ? number(figure.base.median) : "",
               has_base ? band_text(figure.base.p05, figure.base.p95) : "",
               has_now ? number(figure.now.median) : "",
               has_now ? band_text(figure.now.p05, figure.now.p95) : "", figure.unit,
               has_base && has_now ? change : "", std::string(verdict_name(figure.verdict)),
               figure.judged_by});
  }
  session.out() << table.text();
  for (const std::string& note : comparison.notes) session.out() << "note: " << note << "\n";
  const std::string summary =
      grouped(counted(Verdict::kWorse)) + " worse, " + grouped(counted(Verdict::kBetter)) + " better, " +
      grouped(counted(Verdict::kSame)) + " the same, " + grouped(counted(Verdict::kGone)) + " gone, " +
      grouped(counted(Verdict::kNew)) + " new\n";
  session.out() << (comparison.has_regression() ? session.red("regression") : session.green("ok")) << "  "
                << summary;
}

}  // namespace fairlead::cli
