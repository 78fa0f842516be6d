#include "tools/cli/bench_search.hpp"

#include "bench/search/mlr_search.hpp"
#include "tools/cli/bench_result.hpp"
#include "tools/cli/child.hpp"

#include <chrono>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <unistd.h>

namespace fairlead::cli {
namespace {

using search::TrialResult;

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6f", value);
  return text;
}

// The most any port of this machine could be offered: twice what one core forwards at best.
constexpr double kMostMpps = 100;

search::Config config_of(bool quick) {
  search::Config config;
  config.most_load = kMostMpps;
  config.goals = {{.name = "ndr", .loss_ratio = 0}, {.name = "pdr", .loss_ratio = 0.005}};
  for (search::Goal& goal : config.goals) {
    if (!quick) continue;
    goal.width = 0.02;
    goal.trial_s = 0.2;
    goal.duration_sum_s = 1;
  }
  return config;
}

struct TrialAnswer {
  TrialResult result;
  Json machine;
};

Result<TrialAnswer> run_trial(const std::string& program, const std::string& path,
                              const search::Trial& trial) {
  const Result<ChildOutcome> child = run_child({program, "--only", path, "--rate", number(trial.load),
                                                "--duration", number(trial.duration_s), "-o", "json"});
  if (!child) return child.error();
  if (child->interrupted) return Error{"FL6030", "interrupted", ""};
  const Json answer = Json::parse(child->out, nullptr, false);
  if (child->exit_code == 2)
    return Error{"FL6031", program + " cannot run single trials at a rate",
                 "build this tree's own: tools/build release fairlead-bench-pps"};
  if (child->exit_code != 0)
    return Error{"FL6030", program + " ended with " + std::to_string(child->exit_code),
                 "what it said is above"};
  if (!answer.is_object() || answer.value("kind", "") != "fairlead-trial" ||
      !answer.value("sent", Json()).is_number() || !answer.value("received", Json()).is_number() ||
      !answer.value("duration_s", Json()).is_number())
    return Error{"FL6030", program + " did not print the result of a trial", "bench/README.md has its shape"};
  return TrialAnswer{{trial.load, trial.duration_s, answer["sent"].get<double>(),
                      answer["received"].get<double>(), answer["duration_s"].get<double>()},
                     answer.value("machine", Json::object())};
}

Json figure_of(const search::Found& found, const std::string& path, const search::Goal& goal, size_t trials) {
  const bool is_open = std::isinf(found.upper);
  Json figure{{"id", "search." + found.goal + "." + path + ".mpps"},
              {"title", path + (goal.loss_ratio == 0 ? ", highest load without loss"
                                                     : ", highest load with at most 0.5 % loss")},
              {"unit", "Mpps"},
              {"better", "higher"},
              {"median", found.lower},
              {"p05", found.lower},
              {"p95", is_open ? found.lower : found.upper},
              {"rounds", found.trials},
              {"parameters",
               {{"loss_ratio", goal.loss_ratio},
                {"width", goal.width},
                {"trial_s", goal.trial_s},
                {"duration_sum_s", goal.duration_sum_s},
                {"exceed_ratio", goal.exceed_ratio},
                {"trials", trials}}}};
  return figure;
}

}  // namespace

Result<Json> search_throughput(const std::string& program, const std::string& path, bool quick) {
  const auto started = std::chrono::steady_clock::now();
  const std::time_t clock = std::time(nullptr);
  char started_text[32];
  std::tm utc{};
  std::strftime(started_text, sizeof started_text, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&clock, &utc));

  const search::Config config = config_of(quick);
  search::MlrSearch searched(config);
  Json machine = Json::object();
  const bool show = isatty(STDERR_FILENO) == 1;
  while (const std::optional<search::Trial> trial = searched.next()) {
    if (show)
      std::fprintf(stderr, "\r[search %s] trial %zu: %.4f Mpps for %.2f s   ", path.c_str(),
                   searched.trials() + 1, trial->load, trial->duration_s);
    const Result<TrialAnswer> answer = run_trial(program, path, *trial);
    if (!answer) return answer.error();
    if (machine.empty()) machine = answer->machine;
    searched.add(answer->result);
  }
  if (show) std::fprintf(stderr, "\r%70s\r", "");

  Json figures = Json::array(), notes = Json::array();
  const std::vector<search::Found> all = searched.found();
  for (size_t i = 0; i < all.size(); ++i) {
    figures.push_back(figure_of(all[i], path, config.goals[i], searched.trials()));
    if (std::isinf(all[i].upper))
      notes.push_back("search " + path + ": " + all[i].goal + " is at least what could be offered, " +
                      number(kMostMpps) + " Mpps");
  }
  const double took_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  return Json{{"schema", 1},    {"kind", "fairlead-bench"}, {"started", started_text}, {"duration_s", took_s},
              {"quick", quick}, {"machine", machine},       {"figures", figures},      {"notes", notes}};
}

}  // namespace fairlead::cli
