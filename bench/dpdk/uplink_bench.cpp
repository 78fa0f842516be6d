// The engine with three ports between namespaces: what it costs when idle, how fast it wakes, what TCP gets
// through it.
//
// usage: uplink_bench [af_xdp|af_packet ...]   (root)
#include "tests/dpdk/uplink_lab.hpp"

#include <array>
#include <cstdio>
#include <ctime>
#include <regex>
#include <string>
#include <vector>

namespace {

using namespace fairlead;

double cpu_seconds() {
  timespec used;
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
  return static_cast<double>(used.tv_sec) + static_cast<double>(used.tv_nsec) * 1e-9;
}

std::string output_of(const std::string& command) {
  std::string text;
  FILE* pipe = popen((command + " 2>&1").c_str(), "r");
  std::array<char, 4096> room;
  while (pipe != nullptr && fgets(room.data(), room.size(), pipe) != nullptr) text += room.data();
  if (pipe != nullptr) pclose(pipe);
  return text;
}

std::string matched(const std::string& text, const char* expression) {
  std::smatch found;
  return std::regex_search(text, found, std::regex(expression)) ? found[1].str() : std::string("?");
}

std::string tcp_gbps(const test::Netns& from, const test::Netns& to, const std::string& address,
                     double& cpu) {
  test::sh(to.exec("iperf3 -s -1 -D -B " + address));
  usleep(300'000);
  const double before = cpu_seconds();
  const std::string said = output_of(from.exec("timeout 20 iperf3 -f g -t 4 -O 1 -c " + address));
  cpu = (cpu_seconds() - before) / 5;
  return matched(said, "([0-9.]+) Gbits/sec +receiver");
}

void measure(const std::string& driver, core::Transport transport) {
  test::UplinkLab lab;
  lab.start(driver, transport);
  if (!lab.uplink_result.ok()) {
    std::printf("%s: %s\n", driver.c_str(), lab.uplink_result.error().text().c_str());
    return;
  }
  {
    const test::Netns::Entered inside(lab.node());
    PortSpec host;
    host.id = 3;
    host.kind = PortKind::kHost;
    host.device = "fairlead0";
    const auto added = lab.engine->add_port(host);
    if (!added.ok()) std::printf("%s\n", added.error().text().c_str());
  }
  const double before = cpu_seconds();
  for (int i = 0; i < 300; ++i) {  // the daemon's ticks are part of it
    usleep(10'000);
    timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    lab.engine->tick(static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec));
  }
  const double idle = (cpu_seconds() - before) / 3.0 * 100;
  const std::string ping = output_of(lab.pod().exec("ping -q -c 200 -i 0.005 10.244.2.9"));
  double cpu_out = 0, cpu_in = 0;
  const std::string out = tcp_gbps(lab.pod(), lab.peer(), "10.244.2.9", cpu_out);
  const std::string in = tcp_gbps(lab.peer(), lab.pod(), "10.244.1.5", cpu_in);
  const core::Counters counters = lab.engine->counters();
  std::printf(
      "%-10s %-8s idle %.2f %% of a core   rtt %s ms   tcp out %s Gb/s (cpu %.2f)   in %s Gb/s (cpu %.2f)   "
      "drops %llu\n",
      driver.c_str(), transport == core::Transport::kRouted ? "routed" : "overlay", idle,
      matched(ping, "= [0-9.]+/([0-9.]+)/").c_str(), out.c_str(), cpu_out, in.c_str(), cpu_in,
      static_cast<unsigned long long>(counters.drops_total()));
  for (size_t i = 0; i < counters.drops.size(); ++i) {
    if (counters.drops[i] == 0) continue;
    std::printf("           %llu %s\n", static_cast<unsigned long long>(counters.drops[i]),
                std::string(core::describe(static_cast<core::DropReason>(i)).name).c_str());
  }
}

}  // namespace

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  if (!test::is_root()) {
    std::fprintf(stderr, "uplink_bench makes network namespaces: run it as root\n");
    return 1;
  }
  std::vector<std::string> drivers(argv + 1, argv + argc);
  if (drivers.empty()) drivers = {"af_xdp", "af_packet"};
  for (const std::string& driver : drivers) {
    measure(driver, core::Transport::kRouted);
    measure(driver, core::Transport::kOverlay);
  }
  return 0;
}
