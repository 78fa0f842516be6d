#include "bench/pps/trial.hpp"

#include "bench/pps/contestant.hpp"
#include "bench/pps/report.hpp"
#include "bench/pps/rounds.hpp"
#include "bench/pps/stage.hpp"

#include <cstdio>
#include <unistd.h>
#include <x86intrin.h>

namespace fairlead::bench {
namespace {

// Between the order and the first frame: time to get the process going again.
constexpr double kLeadSeconds = 0.02;

void sleep_seconds(double seconds) {
  usleep(static_cast<useconds_t>(seconds * 1e6));
}

Error wrong_trial(const Contestant& contestant, const std::string& what) {
  const std::string first = contestant.first_wrong();
  return {"FL6102", contestant.name() + ": " + what + (first.empty() ? "" : "; the first: " + first),
          "a rate of packets that were wrong would mean nothing"};
}

}  // namespace

Result<Trial> run_trial(const std::string& program, const Load& load, double mpps, double seconds) {
  if (load.path->is_new)
    return Error{"FL6001", "new flows at a rate", "--only new4 without --rate measures them"};
  auto stage = Stage::open(program);
  if (!stage) return stage.error();
  Load paced = load;
  paced.paced = true;
  auto started = Contestant::start(stage->ours(paced));
  if (!started) return started.error();
  Contestant& contestant = *started;
  while (contestant.is_alive() && contestant.totals().rx_packets < 2 * uint64_t{load.flows}) usleep(1'000);
  contestant.pause();

  const double cycles_per_second = tsc_ghz() * 1e9;
  const replay::Totals before = contestant.totals();
  replay::Pace pace;
  pace.start = __rdtsc() + static_cast<uint64_t>(kLeadSeconds * cycles_per_second);
  pace.end = pace.start + static_cast<uint64_t>(seconds * cycles_per_second);
  pace.per_cycle = mpps * 1e6 / cycles_per_second / load.workers;
  contestant.begin_pace(pace);
  sleep_seconds(kLeadSeconds + seconds);
  // As a NIC's ring, the port hands out what still waits; then all queues have seen all of it.
  Trial trial;
  trial.sent = pace.due_in_all() * load.workers;
  trial.duration_s = seconds;
  replay::Totals done;
  constexpr int kDrainTries = 2'000;
  for (int tries = 0; tries < kDrainTries && contestant.is_alive(); ++tries) {
    done = contestant.totals();
    done -= before;
    if (done.rx_packets + done.missed >= trial.sent) break;
    usleep(1'000);
  }
  contestant.pause();
  if (!contestant.is_alive()) return wrong_trial(contestant, "it has ended");
  done = contestant.totals();
  done -= before;
  if (done.wrong() != 0)
    return wrong_trial(contestant, std::to_string(done.wrong()) + " frames came out wrong");
  if (done.rx_packets + done.missed != trial.sent) {
    return wrong_trial(contestant, std::to_string(trial.sent) + " frames were due, " +
                                       std::to_string(done.rx_packets) + " were taken and " +
                                       std::to_string(done.missed) + " missed");
  }
  trial.received = done.tx_packets;
  trial.missed = done.missed;
  return trial;
}

Result<void> print_trial(const Load& load, double mpps, double seconds, bool as_json) {
  stay_off_the_measured_cpu();
  const auto trial = run_trial(own_program(), load, mpps, seconds);
  if (!trial) return trial.error();
  if (as_json) {
    const nlohmann::json object = {{"kind", "fairlead-trial"}, {"path", load.path->name},
                                   {"sent", trial->sent},      {"received", trial->received},
                                   {"missed", trial->missed},  {"duration_s", trial->duration_s},
                                   {"machine", machine()}};
    std::printf("%s\n", object.dump().c_str());
    return {};
  }
  const double lost = static_cast<double>(trial->sent - trial->received);
  std::printf("%s at %g Mpps for %g s: %llu packets due, %llu came out, %.6f %% lost\n",
              std::string(load.path->name).c_str(), mpps, seconds,
              static_cast<unsigned long long>(trial->sent), static_cast<unsigned long long>(trial->received),
              trial->sent == 0 ? 0 : 100 * lost / static_cast<double>(trial->sent));
  return {};
}

}  // namespace fairlead::bench
