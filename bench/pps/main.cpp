// fairlead-bench-pps: packets per second of the forwarder on the replay port, beside its peers on the same
// port.
#include "bench/pps/serve.hpp"
#include "bench/pps/suite.hpp"
#include "dataplane/base/command_line.hpp"
#include "dataplane/base/version.hpp"

#include <cstdio>

namespace {

using namespace fairlead;

constexpr OptionSpec kTable[] = {
    {"quick", 0, "", "the main figures only, about 90 s"},
    {"output", 'o', "text|json", "how to print", "text"},
    {"only", 0, "PATH", "measure this path beside the floor: routed4, encap4, ..."},
    {"rounds", 0, "5..1000", "rounds of every figure", "20"},
    {"slice-ms", 0, "20..1000", "how long a contestant runs in a round", "100"},
    {"peer", 0, "l3fwd=PATH", "a program to compare with, beyond dpdk-testpmd", "", true},
    {"flows", 0, "1..16777216", "with --only", "16384"},
    {"size", 0, "BYTES", "with --only: 64..1518 or imix", "64"},
    {"workers", 0, "1..16", "with --only", "1"},
    {"burst", 0, "1..64", "with --only", "64"},
    {"routes", 0, "1..1048576", "with --only", "1"},
    {"serve", 0, "PATH", "run a path on the port, for the runner"},
    {"plugin", 0, "FILE", "with --serve: the port's driver"},
    {"source-page", 0, "FILE", "with --serve"},
    {"sink-page", 0, "FILE", "with --serve"},
    {"break", 0, "WHAT", "with --serve: send wrong frames, for tests"},
    {"help", 'h', "", "print this"},
    {"version", 0, "", "print the version"},
};

int fail(const Error& error) {
  std::fprintf(stderr, "%s\n", error.text().c_str());
  return error.code == "FL6001" ? 2 : 1;
}

Result<bench::Load> load_of(const CommandLine& line, const std::string& path) {
  bench::Load load;
  load.path = bench::find_path(path);
  if (load.path == nullptr)
    return Error{"FL6001", "there is no path \"" + path + "\"", "routed4, encap4, new4, ..."};
  load.flows = static_cast<uint32_t>(line.number("flows"));
  load.size = line.text("size");
  load.workers = static_cast<unsigned>(line.number("workers"));
  load.burst = static_cast<unsigned>(line.number("burst"));
  load.routes = static_cast<uint32_t>(line.number("routes"));
  return load;
}

Result<void> serve(const CommandLine& line) {
  auto load = load_of(line, line.text("serve"));
  if (!load) return load.error();
  bench::Serving serving;
  serving.load = *load;
  serving.plugin = line.text("plugin");
  serving.source_page = line.text("source-page");
  serving.sink_page = line.text("sink-page");
  if (line.given("break")) serving.break_what = line.text("break");
  return bench::serve(serving);
}

Result<void> run(const CommandLine& line) {
  bench::Suite suite;
  suite.quick = line.given("quick");
  suite.as_json = line.text("output") == "json";
  suite.rounds.count = static_cast<unsigned>(line.number("rounds"));
  suite.rounds.slice_ms = static_cast<unsigned>(line.number("slice-ms"));
  for (const std::string& peer : line.all("peer")) {
    constexpr std::string_view kL3fwd = "l3fwd=";
    if (peer.compare(0, kL3fwd.size(), kL3fwd) != 0)
      return Error{"FL6001", "--peer " + peer, "--peer l3fwd=PATH"};
    suite.l3fwd = peer.substr(kL3fwd.size());
  }
  if (!line.given("only")) return bench::run_suite(suite);
  auto load = load_of(line, line.text("only"));
  if (!load) return load.error();
  return bench::run_one(suite, *load);
}

}  // namespace

int main(int argc, char** argv) {
  const auto line = parse_command_line(kTable, {argv + 1, argv + argc});
  if (!line) return fail(line.error());
  if (line->given("help")) {
    std::printf("usage: fairlead-bench-pps [options]   (root)\n%s", options_help(kTable).c_str());
    return 0;
  }
  if (line->given("version")) {
    std::printf("fairlead-bench-pps %s\n", std::string(kVersion).c_str());
    return 0;
  }
  const Result<void> done = line->given("serve") ? serve(*line) : run(*line);
  return done ? 0 : fail(done.error());
}
