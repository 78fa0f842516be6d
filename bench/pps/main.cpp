// fairlead-bench-pps: packets per second of the forwarder on the replay port, beside its peers on the same
// port.
#include "bench/pps/serve.hpp"
#include "bench/pps/suite.hpp"
#include "bench/pps/trial.hpp"
#include "dataplane/base/command_line.hpp"
#include "dataplane/base/version.hpp"

#include <charconv>
#include <cstdio>
#include <unistd.h>

namespace {

using namespace fairlead;

constexpr OptionSpec kTable[] = {
    {"quick", 0, "", "the main figures only, about 90 s"},
    {"output", 'o', "text|json", "how to print", "text"},
    {"only", 0, "PATH", "measure this path beside the floor: routed4, encap4, ..."},
    {"rounds", 0, "5..1000", "rounds of every figure", "20"},
    {"slice-ms", 0, "20..1000", "how long a contestant runs in a round", "100"},
    {"peer", 0, "NAME=PATH", "compare with, beyond dpdk-testpmd: l3fwd=PROGRAM, ovs=ROOT (/ when installed)",
     "", true},
    {"flows", 0, "1..16777216", "with --only", "16384"},
    {"size", 0, "BYTES", "with --only: 64..1518 or imix", "64"},
    {"workers", 0, "1..16", "with --only", "1"},
    {"burst", 0, "1..64", "with --only", "64"},
    {"routes", 0, "1..1048576", "with --only", "1"},
    {"services", 0, "1..100000", "with --only service...", "200"},
    {"backends", 0, "1..1000", "with --only service...: of each service", "1"},
    {"rate", 0, "MPPS", "with --only: one trial at this rate, what was due and what came out"},
    {"duration", 0, "SECONDS", "of the trial", "1"},
    {"serve", 0, "PATH", "run a path on the port, for the runner"},
    {"plugin", 0, "FILE", "with --serve: the port's driver"},
    {"source-page", 0, "FILE", "with --serve"},
    {"sink-page", 0, "FILE", "with --serve"},
    {"paced", 0, "", "with --serve: frames fall due at the page's pace"},
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
  load.services = static_cast<uint32_t>(line.number("services"));
  load.backends = static_cast<uint32_t>(line.number("backends"));
  if (load.path->is_reply && (load.services != bench::kServices || load.backends != 1))
    return Error{"FL6001", path + " with other services: which backend answers would not be known",
                 "--only service4 has --services and --backends"};
  return load;
}

Result<void> serve(const CommandLine& line) {
  auto load = load_of(line, line.text("serve"));
  if (!load) return load.error();
  bench::Serving serving;
  serving.load = *load;
  serving.load.paced = line.given("paced");
  serving.plugin = line.text("plugin");
  serving.source_page = line.text("source-page");
  serving.sink_page = line.text("sink-page");
  if (line.given("break")) serving.break_what = line.text("break");
  return bench::serve(serving);
}

// More than 0 and at most `most`.
Result<double> decimal_of(const CommandLine& line, const char* name, double most) {
  const std::string& text = line.text(name);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !(value > 0) || value > most) {
    return Error{"FL6001", "--" + std::string(name) + " " + text,
                 "a number above 0, at most " + std::to_string(static_cast<int>(most))};
  }
  return value;
}

Result<void> run_trial(const CommandLine& line, const bench::Load& load, bool as_json) {
  constexpr double kMostMpps = 1000, kMostSeconds = 3600;
  const auto mpps = decimal_of(line, "rate", kMostMpps);
  if (!mpps) return mpps.error();
  const auto seconds = decimal_of(line, "duration", kMostSeconds);
  if (!seconds) return seconds.error();
  return bench::print_trial(load, *mpps, *seconds, as_json);
}

Result<void> run(const CommandLine& line) {
  bench::Suite suite;
  suite.quick = line.given("quick");
  suite.as_json = line.text("output") == "json";
  suite.rounds.count = static_cast<unsigned>(line.number("rounds"));
  suite.rounds.slice_ms = static_cast<unsigned>(line.number("slice-ms"));
  // The distribution's package, when it is there.
  if (access("/usr/lib/openvswitch-switch-dpdk/ovs-vswitchd-dpdk", X_OK) == 0) suite.peers.ovs = "/";
  for (const std::string& peer : line.all("peer")) {
    const size_t equals = peer.find('=');
    const std::string name = peer.substr(0, equals);
    if (equals == std::string::npos || equals + 1 == peer.size() || (name != "l3fwd" && name != "ovs"))
      return Error{"FL6001", "--peer " + peer, "--peer l3fwd=PROGRAM, --peer ovs=ROOT"};
    (name == "ovs" ? suite.peers.ovs : suite.peers.l3fwd) = peer.substr(equals + 1);
  }
  if (!line.given("only")) {
    if (line.given("rate")) return Error{"FL6001", "--rate without a path", "name it with --only PATH"};
    return bench::run_suite(suite);
  }
  auto load = load_of(line, line.text("only"));
  if (!load) return load.error();
  return line.given("rate") ? run_trial(line, *load, suite.as_json) : bench::run_one(suite, *load);
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
