#include "tools/cli/bench_result.hpp"
#include "tools/cli/command.hpp"
#include "tools/cli/json.hpp"
#include "tools/cli/session.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <unistd.h>

namespace fairlead::cli {
namespace {

struct Outcome {
  int code = 0;
  std::string out, err;
};

Outcome run(const std::vector<std::string>& arguments) {
  std::ostringstream out, err;
  Terminal terminal{out, err};
  Outcome outcome;
  outcome.code = run_command(arguments, terminal);
  outcome.out = out.str();
  outcome.err = err.str();
  return outcome;
}

Json figure(const std::string& id, double median, double spread, const std::string& better = "higher") {
  return {{"id", id},
          {"title", id + " title"},
          {"unit", "Gb/s"},
          {"better", better},
          {"median", median},
          {"p05", median - spread},
          {"p95", median + spread},
          {"rounds", 5},
          {"parameters", {{"slice_s", 1}, {"system", id}}}};
}

Json with_peer(Json figure, const std::string& name, double ratio, double spread) {
  figure["peer"] = {{"name", name},
                    {"median", 1},
                    {"p05", 1},
                    {"p95", 1},
                    {"ratio", {{"median", ratio}, {"p05", ratio - spread}, {"p95", ratio + spread}}}};
  return figure;
}

Json result(const std::vector<Json>& figures, const std::string& cpu = "a cpu", bool quick = false) {
  return {{"schema", 1},
          {"kind", "fairlead-bench"},
          {"started", "2026-11-26T08:00:00Z"},
          {"duration_s", 10},
          {"quick", quick},
          {"machine",
           {{"cpu", cpu}, {"cores", 2}, {"kernel", "6.18"}, {"mitigations", "on"}, {"hugepages", false}}},
          {"figures", figures},
          {"notes", {"a note"}}};
}

class BenchTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "bench-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string write(const std::string& name, const std::string& text) {
    const std::string path = directory_ + "/" + name;
    std::ofstream(path) << text;
    return path;
  }
  std::string file(const std::string& name, const Json& json) { return write(name, json.dump()); }
  std::string program(const std::string& name, const std::string& text) {
    const std::string path = write(name, text);
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    return path;
  }

  std::string directory_;
};

TEST(BenchComparison, OverlappingBandsAreTheSameAndOthersSayByHowMuch) {
  const Json base = result({figure("a", 100, 5), figure("b", 100, 5), figure("c", 100, 5),
                            figure("d", 100, 5, "lower"), figure("e", 100, 0), figure("f", 100, 1)});
  const Json now = result({figure("a", 108, 5), figure("b", 80, 5), figure("c", 150, 5),
                           figure("d", 150, 5, "lower"), figure("e", 101, 0), figure("g", 1, 0)});
  const Comparison comparison = compare_bench_results(base, now, 2);
  ASSERT_EQ(comparison.figures.size(), 7u);
  const Verdict expected[] = {Verdict::kSame, Verdict::kWorse, Verdict::kBetter, Verdict::kWorse,
                              Verdict::kSame, Verdict::kGone,  Verdict::kNew};
  for (size_t i = 0; i < 7; ++i)
    EXPECT_EQ(comparison.figures[i].verdict, expected[i]) << comparison.figures[i].id;
  EXPECT_NEAR(comparison.figures[1].change_percent, -20, 1e-9);
  EXPECT_NEAR(comparison.figures[3].change_percent, 50, 1e-9);
  EXPECT_TRUE(comparison.has_regression());
  // One percent is outside of a band without width; without a tolerance it is a change.
  EXPECT_EQ(compare_bench_results(base, now, 0).figures[4].verdict, Verdict::kBetter);
}

TEST(BenchComparison, WhatRanBesideTheSamePeerIsJudgedByItsRatio) {
  // The machine became half as fast; against the peer in the same rounds nothing changed.
  const Json base = result({with_peer(figure("a", 100, 2), "kernel", 0.8, 0.05),
                            with_peer(figure("b", 10, 1, "lower"), "kernel", 0.8, 0.05)});
  const Json now = result({with_peer(figure("a", 50, 2), "kernel", 0.82, 0.05),
                           with_peer(figure("b", 10, 1, "lower"), "kernel", 0.5, 0.05)});
  const Comparison comparison = compare_bench_results(base, now, 2);
  EXPECT_EQ(comparison.figures[0].verdict, Verdict::kSame);
  EXPECT_EQ(comparison.figures[0].judged_by, "ratio to kernel");
  // Ratios are >= 1 where we win, also for figures of which less is better.
  EXPECT_EQ(comparison.figures[1].verdict, Verdict::kWorse);
  const Json other_peer = result({with_peer(figure("a", 50, 2), "another", 0.82, 0.05)});
  EXPECT_EQ(compare_bench_results(base, other_peer, 2).figures[0].judged_by, "value");
}

TEST(BenchComparison, ValuesOfAnotherMachineAreNotJudged) {
  const Json base = result({figure("a", 100, 2), with_peer(figure("b", 100, 2), "kernel", 1, 0.01)});
  const Json now =
      result({figure("a", 10, 2), with_peer(figure("b", 10, 2), "kernel", 0.5, 0.01)}, "another cpu");
  const Comparison comparison = compare_bench_results(base, now, 2);
  EXPECT_EQ(comparison.figures[0].verdict, Verdict::kOtherMachine);
  EXPECT_EQ(comparison.figures[1].verdict, Verdict::kWorse);
  ASSERT_FALSE(comparison.notes.empty());
  EXPECT_NE(comparison.notes[0].find("different machines"), std::string::npos);
}

TEST(BenchComparison, AQuickRunMayHaveFewerFigures) {
  const Json base = result({figure("a", 100, 2), figure("b", 100, 2)});
  EXPECT_TRUE(compare_bench_results(base, result({figure("a", 100, 2)}), 2).has_regression());
  EXPECT_FALSE(compare_bench_results(base, result({figure("a", 100, 2)}, "a cpu", true), 2).has_regression());
}

TEST_F(BenchTest, CompareSaysTheVerdictAndExitsWithSeven) {
  const std::string base = file("base.json", result({figure("tcp.a", 100, 5), figure("tcp.b", 100, 5)}));
  const std::string worse = file("worse.json", result({figure("tcp.a", 50, 5), figure("tcp.b", 103, 5)}));
  const Outcome same = run({"bench", "compare", base, base});
  EXPECT_EQ(same.code, kOk) << same.err;
  EXPECT_NE(same.out.find("ok  0 worse, 0 better, 2 the same, 0 gone, 0 new"), std::string::npos) << same.out;
  const Outcome outcome = run({"bench", "compare", base, worse});
  EXPECT_EQ(outcome.code, kProblems);
  EXPECT_EQ(outcome.out,
            "FIGURE  BASE  ITS 5-95 %  NOW  ITS 5-95 %  UNIT   CHANGE  VERDICT  JUDGED BY\n"
            "tcp.a    100  95 .. 105    50  45 .. 55    Gb/s  -50.0 %  worse    value\n"
            "tcp.b    100  95 .. 105   103  98 .. 108   Gb/s   +3.0 %  same     value\n"
            "regression  1 worse, 0 better, 1 the same, 0 gone, 0 new\n");
  const Outcome as_json = run({"bench", "compare", base, worse, "-o", "json"});
  EXPECT_EQ(as_json.code, kProblems);
  const Json json = Json::parse(as_json.out);
  EXPECT_EQ(json["regression"], true);
  EXPECT_EQ(json["figures"][0]["verdict"], "worse");
  EXPECT_EQ(json["figures"][0]["changePercent"], -50.0);
}

TEST_F(BenchTest, WhatIsNoResultIsRefusedWithTheReason) {
  const std::string good = file("good.json", result({figure("tcp.a", 100, 5)}));
  Json schema = result({figure("a", 1, 0)}), kind = schema, no_band = schema, twice = schema,
       direction = schema;
  schema["schema"] = 2;
  kind["kind"] = "List";
  no_band["figures"][0].erase("p95");
  twice["figures"].push_back(twice["figures"][0]);
  direction["figures"][0]["better"] = "bigger";
  const std::pair<std::string, const char*> rows[] = {
      {directory_ + "/none.json", "cannot be read"},
      {write("text.json", "{\"schema\": 1,"), "is not JSON"},
      {write("list.json", "[1]"), "no result of a benchmark"},
      {file("schema.json", schema), "has schema 2, and this command knows 1"},
      {file("kind.json", kind), "kind is not fairlead-bench"},
      {file("band.json", no_band), "figures[0]: p95 is missing"},
      {file("twice.json", twice), "figures[1]: id a is there twice"},
      {file("direction.json", direction), "not lower or higher"},
  };
  for (const auto& [path, text] : rows) {
    for (const Outcome& outcome :
         {run({"bench", "compare", path, good}), run({"bench", "compare", good, path})}) {
      EXPECT_EQ(outcome.code, kFailed) << path;
      EXPECT_NE(outcome.err.find("error[FL6032]"), std::string::npos) << outcome.err;
      EXPECT_NE(outcome.err.find(text), std::string::npos) << outcome.err;
      EXPECT_EQ(outcome.out, "");
    }
  }
  const Outcome nothing =
      run({"bench", "compare", good, file("other.json", result({figure("idle.b", 1, 0)}))});
  EXPECT_EQ(nothing.code, kFailed);
  EXPECT_NE(nothing.err.find("FL6033"), std::string::npos);
}

TEST_F(BenchTest, RunsTheLaboratoryAndPrintsMachineParametersAndFigures) {
  Json answer = result({with_peer(figure("tcp.stream.a.gbps", 2.5, 0.1), "kernel", 0.625, 0.02)});
  answer["figures"][0]["target"] = {{"at_least", 0.7}, {"of", "peer"}};
  answer["figures"][0]["held"] = false;
  answer["figures"][0]["limits"] = "two copies more";
  file("answer.json", answer);
  write("bench.py",
        "import pathlib, sys\nhere = pathlib.Path(__file__).parent\n(here / 'asked').write_text(' "
        "'.join(sys.argv[1:]))\n"
        "print((here / 'answer.json').read_text())\n");
  const std::string written = directory_ + "/out.json";
  const Outcome outcome = run({"bench", "tcp", "--quick", "--lab", directory_, "-w", written});
  EXPECT_EQ(outcome.code, kOk) << outcome.err;
  for (const char* text :
       {"machine      a cpu, 2 cores, kernel 6.18, no huge pages\n", "mitigations  on\n",
        "parameters   tcp.stream: slice_s=1 system=tcp.stream.a.gbps\n",
        "tcp.stream.a.gbps     2.5  Gb/s  2.4 .. 2.6       5  kernel       1  0.625  0.605 .. 0.645  "
        ">= 0.7 x peer  NOT HELD\n",
        "what limits the targets not held\n  two copies more\n", "note: a note\n"})
    EXPECT_NE(outcome.out.find(text), std::string::npos) << text << "\n" << outcome.out;
  std::ifstream asked(directory_ + "/asked");
  std::string line;
  std::getline(asked, line);
  EXPECT_TRUE(line.starts_with("tcp -o json --quick")) << line;
  const Json as_json = Json::parse(run({"bench", "tcp", "--lab", directory_, "-o", "json"}).out);
  EXPECT_EQ(as_json["figures"], answer["figures"]);
  const Result<Json> read = read_bench_result(written);
  ASSERT_TRUE(read);
  EXPECT_EQ((*read)["figures"], answer["figures"]);
  // A base alone: what it has is measured now.
  EXPECT_EQ(run({"bench", "compare", written, "--lab", directory_}).code, kOk);
}

TEST_F(BenchTest, MergesTheParts) {
  Json pps = result({figure("pps.routed4.cycles", 60, 1, "lower")});
  pps["machine"] = {{"tsc_ghz", 2.445}, {"cpu", "a cpu"}};
  pps["started"] = "2026-11-26T07:59:00Z";
  const Json merged = merge_bench_results({result({figure("tcp.a", 1, 0)}), pps});
  EXPECT_EQ(merged["figures"].size(), 2u);
  EXPECT_EQ(merged["machine"]["tsc_ghz"], 2.445);
  EXPECT_EQ(merged["machine"]["cores"], 2);
  EXPECT_EQ(merged["started"], "2026-11-26T07:59:00Z");
  EXPECT_EQ(merged["duration_s"], 20.0);
  EXPECT_EQ(merged["notes"].size(), 1u);
  EXPECT_TRUE(parse_bench_result(merged.dump(), "merged"));
}

TEST_F(BenchTest, SaysWhatIsMissingAndWhatFailed) {
  const std::string broken = program("broken", "#!/bin/sh\nexit 9\n");
  const std::string talks = program("talks", "#!/bin/sh\necho nonsense\n");
  write("bench.py",
        "print('{\"error\": {\"code\": \"FL6010\", \"what\": \"needs root\", \"fix\": \"be root\"}}')\nraise "
        "SystemExit(4)\n");
  struct Row {
    std::vector<std::string> arguments;
    int code;
    const char* text;
  };
  const Row rows[] = {
      {{"bench", "tpc"}, kUsage, "did you mean: fairlead bench tcp"},
      {{"bench", "tcp", "now"}, kUsage, "takes no \"now\""},
      {{"bench", "service", "now"}, kUsage, "takes no \"now\""},
      {{"bench", "servce"}, kUsage, "did you mean: fairlead bench service"},
      {{"bench", "compare"}, kUsage, "needs the result to compare with"},
      {{"bench", "--tolerance", "200", "compare", "x"}, kUsage, "from 0 to 100"},
      {{"bench", "tcp", "--lab", "/nonexistent"}, kFailed, "error[FL6031]: /nonexistent has no bench.py"},
      {{"bench", "pps", "--program", "/nonexistent"}, kFailed, "error[FL6031]: /nonexistent is no program"},
      {{"bench", "pps", "--program", broken}, kFailed, "error[FL6030]: fairlead-bench-pps ended with 9"},
      {{"bench", "pps", "--program", talks},
       kFailed,
       "error[FL6032]: what fairlead-bench-pps printed: is not JSON"},
      {{"bench", "search", "--program", talks}, kFailed, "did not print the result of a trial"},
      {{"bench", "idle", "--lab", directory_}, kPreflight, "needs root"},
  };
  for (const Row& row : rows) {
    const Outcome outcome = run(row.arguments);
    EXPECT_EQ(outcome.code, row.code) << outcome.err;
    EXPECT_NE(outcome.err.find(row.text), std::string::npos) << outcome.err;
    EXPECT_EQ(outcome.out, "");
  }
}

TEST_F(BenchTest, APartThatIsNotThereIsLeftOutOfAllWithANote) {
  const std::string pps = program(
      "pps", "#!/bin/sh\ncase \"$*\" in *--rate*) exit 2;; esac\ncat " + directory_ + "/answer.json\n");
  file("answer.json", result({figure("pps.routed4.mpps", 20, 1)}));
  const Outcome outcome = run({"bench", "--lab", "/nonexistent", "--program", pps, "-o", "json"});
  EXPECT_EQ(outcome.code, kOk) << outcome.err;
  const Json json = Json::parse(outcome.out);
  EXPECT_EQ(json["figures"].size(), 1u);
  EXPECT_NE(json["notes"].dump().find("tcp left out: /nonexistent has no bench.py"), std::string::npos);
  EXPECT_NE(json["notes"].dump().find("search left out"), std::string::npos);
  EXPECT_EQ(run({"bench", "--lab", "/nonexistent", "--program", "/nonexistent"}).code, kFailed);
}

TEST_F(BenchTest, SearchFindsTheCapacityOfAProgram) {
  // A device that forwards 12.5 Mpps.
  const std::string device =
      program("device",
              "#!/bin/sh\n"
              "exec awk -v rate=\"$4\" -v time=\"$6\" 'BEGIN {\n"
              "  sent = int(rate * time * 1e6); able = int(12.5 * time * 1e6)\n"
              "  printf "
              "\"{\\\"kind\\\":\\\"fairlead-trial\\\",\\\"sent\\\":%.0f,\\\"received\\\":%.0f,\\\"duration_"
              "s\\\":%s}\\n\", sent, (sent < able ? sent : able), time }'\n");
  const Outcome outcome =
      run({"bench", "search", "--quick", "--path", "encap4", "--program", device, "-o", "json"});
  ASSERT_EQ(outcome.code, kOk) << outcome.out << outcome.err;
  const Json figures = Json::parse(outcome.out)["figures"];
  ASSERT_EQ(figures.size(), 2u);
  EXPECT_EQ(figures[0]["id"], "search.ndr.encap4.mpps");
  EXPECT_LE(figures[0]["median"], 12.5);
  EXPECT_GE(figures[0]["median"], 12.5 * 0.98);
  EXPECT_EQ(figures[1]["id"], "search.pdr.encap4.mpps");
  EXPECT_NEAR(figures[1]["median"].get<double>(), 12.5 / 0.995, 12.5 * 0.02);
}

}  // namespace
}  // namespace fairlead::cli
