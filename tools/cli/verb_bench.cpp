#include "dataplane/base/diagnostic.hpp"
#include "tools/cli/bench_print.hpp"
#include "tools/cli/bench_result.hpp"
#include "tools/cli/bench_search.hpp"
#include "tools/cli/child.hpp"
#include "tools/cli/verbs.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <ostream>
#include <unistd.h>

namespace fairlead::cli {
namespace {

constexpr std::array<std::string_view, 4> kParts{"pps", "tcp", "idle", "search"};
// Part of another one that can be asked for alone: of tcp.
constexpr std::string_view kService = "service";

// Whether a figure comes of a part.
bool is_of(std::string_view id, std::string_view part) {
  const std::string_view family = id.substr(0, id.find('.'));
  return family == part || (part == "pps" && family == "memory") || (part == "tcp" && family == kService);
}

Error not_found(const std::string& what, const std::string& fix) {
  return {"FL6031", what, fix};
}

// The packet benchmark: --program, or beside this command, or on PATH.
Result<std::string> pps_program(const Session& session) {
  const std::string& given = session.line().text("program");
  std::string program = given.empty() ? find_program("fairlead-bench-pps") : given;
  if (!program.empty() && access(program.c_str(), X_OK) == 0) return program;
  return not_found(given.empty() ? "fairlead-bench-pps is neither beside this command nor on PATH"
                                 : given + " is no program",
                   "tools/bench builds and runs it; or name one with --program FILE");
}

// The laboratory: --lab, or in the tree above the build that this command lies in.
Result<std::string> lab_program(const Session& session) {
  const std::string& given = session.line().text("lab");
  std::error_code ignored;
  if (!given.empty()) {
    const std::string program = given + "/bench.py";
    if (std::filesystem::exists(program, ignored)) return program;
    return not_found(given + " has no bench.py", "name the folder tools/lab of the source tree with --lab");
  }
  std::filesystem::path directory = self_directory();
  for (int level = 0; level < 4 && directory.has_relative_path(); ++level) {
    directory = directory.parent_path();
    const std::filesystem::path program = directory / "tools/lab/bench.py";
    if (std::filesystem::exists(program, ignored)) return program.string();
  }
  return not_found("the laboratory is not beside this command's build tree",
                   "run it in the source tree with tools/bench, or name its folder tools/lab with --lab DIR");
}

// Runs a program that prints the object of a benchmark, or its error as this command does with -o json.
Result<Json> run_producer(const std::vector<std::string>& arguments, const std::string& name) {
  const Result<ChildOutcome> child = run_child(arguments);
  if (!child) return child.error();
  if (child->interrupted) return Error{"FL6030", name + ": interrupted", ""};
  if (child->exit_code != 0) {
    const Json answer = Json::parse(child->out, nullptr, false);
    if (answer.is_object() && answer.contains("error") && answer["error"].is_object()) {
      const Json& error = answer["error"];
      return Error{error.value("code", "FL6030"), name + ": " + error.value("what", ""),
                   error.value("fix", "")};
    }
    return Error{"FL6030", name + " ended with " + std::to_string(child->exit_code), "what it said is above"};
  }
  return parse_bench_result(child->out, "what " + name + " printed");
}

Result<Json> run_part(const Session& session, std::string_view part, bool quick) {
  if (part == "search" || part == "pps") {
    const Result<std::string> program = pps_program(session);
    if (!program) return program.error();
    if (part == "search") return search_throughput(*program, session.line().text("path"), quick);
    std::vector<std::string> arguments{*program, "-o", "json"};
    if (quick) arguments.emplace_back("--quick");
    for (const std::string& peer : session.line().all("peer")) {
      arguments.emplace_back("--peer");
      arguments.push_back(peer);
    }
    return run_producer(arguments, "fairlead-bench-pps");
  }
  const Result<std::string> program = lab_program(session);
  if (!program) return program.error();
  std::vector<std::string> arguments{"python3", *program, std::string(part), "-o", "json"};
  if (quick) arguments.emplace_back("--quick");
  // The laboratory runs the programs that were built with this command.
  if (access((self_directory() + "/fairlead-dataplane").c_str(), X_OK) == 0) {
    arguments.emplace_back("--build");
    arguments.push_back(std::filesystem::path(self_directory()).parent_path().string());
  }
  return run_producer(arguments, *program);
}

struct Ran {
  std::vector<Json> results;
  std::optional<Error> failed;  // the last part that failed, after all others were run
};

// A part whose program is not there is left out with a note when others were asked for, too; one that failed
// is an error, but does not keep the others from running.
Ran run_parts(Session& session, const std::vector<std::string_view>& parts, bool quick) {
  Ran ran;
  std::vector<std::string> left_out;
  for (const std::string_view part : parts) {
    Result<Json> result = run_part(session, part, quick);
    if (result) {
      ran.results.push_back(std::move(*result));
      continue;
    }
    const Error& error = result.error();
    if (error.code == "FL6031" && parts.size() > 1) {
      left_out.push_back(std::string(part) + " left out: " + error.what);
      continue;
    }
    if (ran.failed) session.err() << render(*ran.failed, false);
    ran.failed = error;
    if (error.what.ends_with("interrupted")) break;
  }
  if (ran.results.empty() && !ran.failed) {
    ran.failed = not_found(
        "none of the benchmarks' programs is there: " + (left_out.empty() ? std::string() : left_out.front()),
        "tools/bench builds and runs everything");
  }
  if (!ran.results.empty()) {
    for (const std::string& note : left_out) ran.results.front()["notes"].push_back(note);
  }
  return ran;
}

Result<void> write_result(const std::string& path, const Json& result) {
  std::ofstream file(path, std::ios::trunc);
  file << result.dump(1, ' ', false, Json::error_handler_t::replace) << "\n";
  file.close();
  if (!file) return Error{"FL6003", path + " could not be written", ""};
  return {};
}

Exit run_and_print(Session& session, const std::vector<std::string_view>& parts) {
  const Ran ran = run_parts(session, parts, session.line().given("quick"));
  if (ran.results.empty()) return session.fail(*ran.failed);
  const Json result = merge_bench_results(ran.results);
  const std::string& path = session.line().text("write");
  if (session.line().given("write")) {
    if (const Result<void> written = write_result(path, result); !written)
      return session.fail(written.error());
  }
  print_bench_result(session, result);
  if (!ran.failed) return kOk;
  // The figures that there are stand on standard output; what is missing is said beside them.
  session.err() << render(*ran.failed, false);
  return exit_for(*ran.failed);
}

// Without a second file: what the base has is measured now.
Result<Json> measure_like(Session& session, const Json& base) {
  std::vector<std::string_view> parts;
  for (const std::string_view part : kParts) {
    const bool wanted =
        std::any_of(base["figures"].begin(), base["figures"].end(),
                    [part](const Json& figure) { return is_of(figure["id"].get<std::string>(), part); });
    if (wanted) parts.push_back(part);
  }
  if (parts.empty())
    return Error{"FL6033", "the base has no figure that this command measures", "name a second file"};
  const Ran ran = run_parts(session, parts, base.value("quick", false));
  if (ran.failed) return *ran.failed;
  const Json now = merge_bench_results(ran.results);
  if (session.line().given("write")) {
    if (const Result<void> written = write_result(session.line().text("write"), now); !written)
      return written.error();
  }
  return now;
}

Exit compare(Session& session) {
  if (session.words() < 2)
    return session.fail("fairlead bench compare needs the result to compare with",
                        "usage: fairlead bench compare BASE.json [NEW.json]", "FL6001");
  const Result<Json> base = read_bench_result(session.word(1));
  if (!base) return session.fail(base.error());
  const Result<Json> now =
      session.words() > 2 ? read_bench_result(session.word(2)) : measure_like(session, *base);
  if (!now) return session.fail(now.error());
  const Comparison comparison =
      compare_bench_results(*base, *now, static_cast<double>(session.line().number("tolerance")));
  const size_t judged = comparison.count(Verdict::kSame) + comparison.count(Verdict::kBetter) +
                        comparison.count(Verdict::kWorse);
  if (judged == 0)
    return session.fail(comparison.same_machine
                            ? "the two results have no figure in common"
                            : "the results are of different machines and have no ratio in common",
                        "compare runs of the same benchmarks", "FL6033");
  print_comparison(session, comparison);
  return comparison.has_regression() ? kProblems : kOk;
}

}  // namespace

Exit run_bench(Session& session) {
  if (session.words() == 0) return run_and_print(session, {kParts.begin(), kParts.end()});
  const std::string& what = session.word(0);
  if (what == "compare") return compare(session);
  std::vector<std::string_view> names(kParts.begin(), kParts.end());
  names.push_back(kService);
  const auto part = std::find(names.begin(), names.end(), what);
  if (part == names.end()) {
    names.emplace_back("compare");
    const std::string_view close = nearest(what, names);
    return session.fail("there is no benchmark \"" + what + "\"",
                        close.empty() ? "fairlead bench pps|tcp|service|idle|search|compare"
                                      : "did you mean: fairlead bench " + std::string(close),
                        "FL6001");
  }
  if (session.words() > 1)
    return session.fail("fairlead bench " + what + " takes no \"" + session.word(1) + "\"",
                        "fairlead bench --help", "FL6001");
  return run_and_print(session, {*part});
}

}  // namespace fairlead::cli
