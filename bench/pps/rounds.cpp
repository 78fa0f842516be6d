#include "bench/pps/rounds.hpp"

#include <algorithm>
#include <cmath>
#include <ctime>
#include <fstream>
#include <numeric>
#include <pthread.h>
#include <random>
#include <sched.h>
#include <sstream>
#include <thread>
#include <unistd.h>
#include <x86intrin.h>

namespace fairlead::bench {
namespace {

double quantile(const std::vector<double>& sorted, double part) {
  const double at = part * static_cast<double>(sorted.size() - 1);
  const auto below = static_cast<size_t>(at);
  const size_t above = std::min(below + 1, sorted.size() - 1);
  return sorted[below] + (at - std::floor(at)) * (sorted[above] - sorted[below]);
}

// Ticks of the CPU that the hypervisor gave to others.
uint64_t stolen_ticks(unsigned cpu) {
  std::ifstream file("/proc/stat");
  std::string line;
  const std::string name = "cpu" + std::to_string(cpu);
  while (std::getline(file, line)) {
    std::istringstream words(line);
    std::string key;
    words >> key;
    if (key != name) continue;
    uint64_t value = 0;
    constexpr int kStealField = 8;
    for (int field = 0; field < kStealField; ++field) words >> value;
    return value;
  }
  return 0;
}

double monotonic_seconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC_RAW, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

void sleep_ms(unsigned milliseconds) {
  const timespec time{milliseconds / 1000, static_cast<long>(milliseconds % 1000) * 1'000'000};
  nanosleep(&time, nullptr);
}

Error broken(const Contestant& contestant, const std::string& what) {
  const std::string wrong = contestant.first_wrong();
  return {"FL6102", contestant.name() + ": " + what + (wrong.empty() ? "" : "; the first: " + wrong),
          "a figure about packets that were lost or wrong would mean nothing"};
}

// The counters at a moment, which is not one when somebody else got the CPU while they were read.
struct Reading {
  replay::Totals totals;
  uint64_t cycles = 0;
  bool is_late = false;
};
Reading read_totals(const Contestant& contestant) {
  constexpr double kLateUs = 50;
  Reading reading;
  reading.cycles = __rdtsc();
  reading.totals = contestant.totals();
  reading.is_late = static_cast<double>(__rdtsc() - reading.cycles) > kLateUs * 1e3 * tsc_ghz();
  return reading;
}

}  // namespace

Spread spread(std::vector<double> values) {
  if (values.empty()) return {};
  std::sort(values.begin(), values.end());
  return {quantile(values, 0.5), quantile(values, 0.05), quantile(values, 0.95),
          static_cast<unsigned>(values.size())};
}

Spread Measured::difference(size_t contestant, size_t floor) const {
  std::vector<double> values;
  for (size_t i = 0; i < cycles.at(contestant).size(); ++i) {
    values.push_back(cycles.at(contestant)[i] - cycles.at(floor)[i]);
  }
  return spread(std::move(values));
}

Spread Measured::ratio(size_t above, size_t below) const {
  std::vector<double> values;
  for (size_t i = 0; i < cycles.at(above).size(); ++i) {
    values.push_back(cycles.at(above)[i] / cycles.at(below)[i]);
  }
  return spread(std::move(values));
}

double tsc_ghz() {
  static const double ghz = [] {
    const double start = monotonic_seconds();
    const uint64_t first = __rdtsc();
    sleep_ms(100);
    const uint64_t last = __rdtsc();
    return static_cast<double>(last - first) / (monotonic_seconds() - start) * 1e-9;
  }();
  return ghz;
}

double core_per_tsc(unsigned cpu) {
  double ratio = 0;
  std::thread([&] {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(cpu, &cpus);
    if (pthread_setaffinity_np(pthread_self(), sizeof cpus, &cpus) != 0) return;
    constexpr uint64_t kTurns = 50'000;
    constexpr uint64_t kAddsPerTurn = 10;
    double best = 0;
    for (int again = 0; again < 5; ++again) {
      uint64_t value = 1, left = kTurns;
      const uint64_t start = __rdtsc();
      __asm__ volatile(
          "1:\n\tadd %0, %0\n\tadd %0, %0\n\tadd %0, %0\n\tadd %0, %0\n\tadd %0, %0\n\tadd %0, %0\n\tadd %0, "
          "%0\n\t"
          "add %0, %0\n\tadd %0, %0\n\tadd %0, %0\n\tdec %1\n\tjnz 1b"
          : "+r"(value), "+r"(left));
      const uint64_t cycles = __rdtsc() - start;
      best = std::max(best, static_cast<double>(kTurns * kAddsPerTurn) / static_cast<double>(cycles));
    }
    ratio = best;
  }).join();
  return ratio;
}

Result<Slice> run_slice(Contestant& contestant, const Rounds& rounds) {
  const replay::Totals at_rest = contestant.totals();
  const int64_t lost = contestant.lost();
  contestant.resume();
  sleep_ms(rounds.warm_ms);
  const uint64_t switches = contestant.switches();
  const uint64_t stolen = stolen_ticks(rounds.cpu);
  const Reading first = read_totals(contestant);
  sleep_ms(rounds.slice_ms);
  const Reading last = read_totals(contestant);
  const bool disturbed = first.is_late || last.is_late ||
                         contestant.switches() > switches + rounds.tolerated_switches ||
                         stolen_ticks(rounds.cpu) != stolen;
  contestant.pause();
  if (!contestant.is_alive()) return broken(contestant, "it has ended");
  replay::Totals all = contestant.totals();
  all -= at_rest;
  if (all.wrong() != 0) return broken(contestant, std::to_string(all.wrong()) + " frames came out wrong");
  if (all.rx_packets == 0) return broken(contestant, "it received nothing");
  if (contestant.lost() != lost) {
    const int64_t missing = contestant.lost() - lost;
    const std::string counters = contestant.counters();
    return broken(contestant, std::to_string(missing) + " of " + std::to_string(all.rx_packets) +
                                  " frames did not come out" +
                                  (counters.empty() ? "" : "; its counters: " + counters));
  }
  const uint64_t packets = last.totals.tx_packets - first.totals.tx_packets;
  if (packets == 0) return Slice{.disturbed = true};  // it did not get the core at all
  return Slice{static_cast<double>(last.cycles - first.cycles) / static_cast<double>(packets), packets,
               disturbed};
}

Result<Measured> measure(const std::vector<Contestant*>& contestants, const Rounds& rounds) {
  Measured measured;
  measured.cycles.resize(contestants.size());
  measured.tsc_ghz = tsc_ghz();
  std::vector<double> clocks;
  std::vector<size_t> order(contestants.size());
  std::iota(order.begin(), order.end(), 0);
  std::mt19937 random(1);
  unsigned kept = 0;
  while (kept < rounds.count) {
    if (measured.discarded > rounds.count) {
      return Error{"FL6103",
                   "more than half of the rounds were disturbed: something else runs on CPU " +
                       std::to_string(rounds.cpu),
                   "run it when the machine is quiet"};
    }
    std::shuffle(order.begin(), order.end(), random);
    std::vector<double> cycles(contestants.size());
    const double clock = core_per_tsc(rounds.cpu);
    constexpr double kClockMayDiffer = 0.05;
    bool disturbed = !clocks.empty() && std::abs(clock / spread(clocks).median - 1) > kClockMayDiffer;
    clocks.push_back(clock);
    for (const size_t i : order) {
      constexpr unsigned kTries = 4;
      for (unsigned tries = 0; tries < kTries; ++tries) {
        auto slice = run_slice(*contestants[i], rounds);
        if (!slice) return slice.error();
        cycles[i] = slice->cycles_per_packet;
        if (!slice->disturbed) break;
        ++measured.disturbed_slices;
        disturbed = disturbed || tries + 1 == kTries;
      }
    }
    if (disturbed) {
      ++measured.discarded;
      continue;
    }
    ++kept;
    for (size_t i = 0; i < contestants.size(); ++i) measured.cycles[i].push_back(cycles[i]);
  }
  measured.core_per_tsc = spread(clocks).median;
  return measured;
}

}  // namespace fairlead::bench
