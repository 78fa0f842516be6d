#include "bench/pps/report.hpp"

#include "dataplane/base/version.hpp"

#include <rte_version.h>

#include <cstdio>
#include <ctime>
#include <fstream>
#include <sstream>
#include <sys/utsname.h>
#include <unistd.h>

namespace fairlead::bench {
namespace {

using nlohmann::json;

double now_seconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

std::string utc_now() {
  const time_t now = time(nullptr);
  tm parts{};
  gmtime_r(&now, &parts);
  char text[32];
  static_cast<void>(std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts));
  return text;
}

// The value behind "key : value" or "key: value kB".
std::string field_of(const char* path, const std::string& key) {
  std::ifstream file(path);
  std::string line;
  while (std::getline(file, line)) {
    if (line.compare(0, key.size(), key) != 0) continue;
    const size_t colon = line.find(':');
    const size_t begin =
        colon == std::string::npos ? std::string::npos : line.find_first_not_of(" \t", colon + 1);
    if (begin != std::string::npos) return line.substr(begin);
  }
  return "";
}

std::string mitigations() {
  std::ifstream file("/proc/cmdline");
  std::stringstream text;
  text << file.rdbuf();
  return text.str().find("mitigations=off") == std::string::npos ? "on" : "off";
}

}  // namespace

json machine() {
  utsname kernel{};
  uname(&kernel);
  constexpr double kKibPerGib = 1048576;
  const std::string memory = field_of("/proc/meminfo", "MemTotal");
  return {{"cpu", field_of("/proc/cpuinfo", "model name")},
          {"cores", sysconf(_SC_NPROCESSORS_ONLN)},
          {"tsc_ghz", tsc_ghz()},
          {"memory_gib", static_cast<int>(std::strtod(memory.c_str(), nullptr) / kKibPerGib)},
          {"kernel", kernel.release},
          {"hugepages", field_of("/proc/meminfo", "HugePages_Total") != "0"},
          {"mitigations", mitigations()},
          {"dpdk", std::string(rte_version()).substr(std::string("DPDK ").size())},
#ifdef __clang__
          {"compiler", "clang " __clang_version__},
#else
          {"compiler", "g++ " __VERSION__},
#endif
          {"fairlead", std::string(kVersion)}};
}

Report::Report(bool quick, bool as_json) : as_json_(as_json), started_at_(now_seconds()) {
  object_ = {{"schema", 1},          {"kind", "fairlead-bench"}, {"started", utc_now()},  {"quick", quick},
             {"machine", machine()}, {"figures", json::array()}, {"notes", json::array()}};
}

void Report::say(const std::string& text) const {
  std::fprintf(as_json_ ? stderr : stdout, "%s\n", text.c_str());
  static_cast<void>(std::fflush(as_json_ ? stderr : stdout));
}

void Report::note(const std::string& text) {
  object_["notes"].push_back(text);
  say("note: " + text);
}

void Report::add(const Figure& figure) {
  json row = {{"id", figure.id},         {"title", figure.title},         {"unit", figure.unit},
              {"better", figure.better}, {"median", figure.value.median}, {"p05", figure.value.p05},
              {"p95", figure.value.p95}, {"rounds", figure.value.rounds}, {"parameters", figure.parameters}};
  char text[256];
  std::snprintf(text, sizeof text, "%-34s %9.1f %-13s [%.1f .. %.1f]", figure.id.c_str(), figure.value.median,
                figure.unit.c_str(), figure.value.p05, figure.value.p95);
  std::string line = text;
  for (const Peer& peer : figure.peer) {
    row["peer"] = {
        {"name", peer.name},
        {"median", peer.value.median},
        {"p05", peer.value.p05},
        {"p95", peer.value.p95},
        {"ratio", {{"median", peer.ratio.median}, {"p05", peer.ratio.p05}, {"p95", peer.ratio.p95}}}};
    std::snprintf(text, sizeof text, "  %s %.1f, ratio %.2f [%.2f .. %.2f]", peer.name.c_str(),
                  peer.value.median, peer.ratio.median, peer.ratio.p05, peer.ratio.p95);
    line += text;
  }
  if (figure.at_most != 0 || figure.at_least != 0) {
    const bool held =
        figure.at_most != 0 ? figure.value.median <= figure.at_most : figure.value.median >= figure.at_least;
    row["target"] =
        figure.at_most != 0 ? json{{"at_most", figure.at_most}} : json{{"at_least", figure.at_least}};
    row["held"] = held;
    if (!held && !figure.limits.empty()) row["limits"] = figure.limits;
    std::snprintf(text, sizeof text, "  aim %s %g: %s",
                  figure.at_most != 0 ? "<=" : ">=", figure.at_most != 0 ? figure.at_most : figure.at_least,
                  held ? "met" : "missed");
    line += text;
  }
  object_["figures"].push_back(std::move(row));
  say(line);
}

void Report::finish() const {
  json whole = object_;
  whole["duration_s"] = now_seconds() - started_at_;
  if (as_json_) std::printf("%s\n", whole.dump(1).c_str());
}

}  // namespace fairlead::bench
