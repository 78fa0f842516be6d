#pragma once

#include <benchmark/benchmark.h>
#include <rte_cycles.h>
#include <rte_eal.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <sys/prctl.h>
#include <vector>

namespace fairlead::bench {

// What the table benchmarks understand beyond Google Benchmark's own flags.
struct Options {
  bool large = false;   // --large: 10 M entries, too
  bool no_thp = false;  // --no_thp: no transparent huge pages for us either (the peers' memory has none)
};

// Starts DPDK without huge pages and devices, for its tables as peers. Ends the process with the reason when
// it cannot.
inline void start_eal(const char* program, const char* megabytes) {
  std::vector<std::string> words = {program,          "--no-huge", "--no-shconf", "--no-pci",
                                    "--no-telemetry", "-m",        megabytes,     "--log-level=4"};
  std::vector<char*> arguments;
  arguments.reserve(words.size());
  for (std::string& word : words) arguments.push_back(word.data());
  if (rte_eal_init(static_cast<int>(arguments.size()), arguments.data()) < 0) {
    std::fprintf(stderr, "DPDK does not start; run as root or see the messages above\n");
    std::exit(1);
  }
}

inline Options take_options(int& argc, char** argv) {
  Options options;
  int kept = 1;
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--large") == 0) {
      options.large = true;
    } else if (std::strcmp(argv[i], "--no_thp") == 0) {
      options.no_thp = true;
    } else {
      argv[kept++] = argv[i];
    }
  }
  argc = kept;
  if (options.no_thp) ::prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);
  return options;
}

// Cycles an operation: this thread's processor time at the time-stamp counter's rate, over all iterations of
// a benchmark's loop. Not the counter itself: that goes on while another process has the core.
class CycleMeter {
 public:
  void start() { start_ = thread_seconds(); }
  void stop(uint64_t operations) {
    seconds_ += thread_seconds() - start_;
    operations_ += operations;
  }
  void report(benchmark::State& state, const char* name) const {
    state.counters[name] =
        seconds_ * static_cast<double>(rte_get_tsc_hz()) / static_cast<double>(operations_);
    state.SetItemsProcessed(static_cast<int64_t>(operations_));
  }

 private:
  static double thread_seconds() {
    timespec now{};
    ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
  }

  double start_ = 0;
  double seconds_ = 0;
  uint64_t operations_ = 0;
};

}  // namespace fairlead::bench
