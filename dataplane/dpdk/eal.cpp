#include "dataplane/dpdk/eal.hpp"

#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_log.h>
#include <spdlog/spdlog.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <mutex>
#include <optional>
#include <sched.h>
#include <sys/resource.h>
#include <unistd.h>

namespace fairlead::dpdk {
namespace {

// DPDK's log goes line by line to ours; the first error is kept (the others follow from it) because drivers
// return only an errno.
class DpdkLog {
 public:
  static DpdkLog& instance() {
    static DpdkLog log;
    return log;
  }

  bool install() {
    cookie_io_functions_t functions = {};
    functions.write = [](void*, const char* text, size_t size) -> ssize_t {
      instance().take({text, size});
      return static_cast<ssize_t>(size);
    };
    FILE* stream = fopencookie(nullptr, "w", functions);
    if (stream == nullptr) return false;
    setvbuf(stream, nullptr, _IOLBF, 512);
    return rte_openlog_stream(stream) == 0;
  }

  std::string first_error() {
    std::lock_guard lock(mutex_);
    return first_error_;
  }
  void forget() {
    std::lock_guard lock(mutex_);
    first_error_.clear();
  }

 private:
  void take(std::string_view text) {
    std::lock_guard lock(mutex_);
    for (char c : text) {
      if (c != '\n') {
        line_ += c;
        continue;
      }
      const int level = rte_log_cur_msg_loglevel();
      if (level > 0 && level <= static_cast<int>(RTE_LOG_ERR)) {
        if (first_error_.empty()) first_error_ = line_;
      }
      // At debug level of ours whatever DPDK calls it: what matters becomes a Result, which people do see.
      if (!line_.empty()) spdlog::debug("dpdk: {}", line_);
      line_.clear();
    }
  }

  std::mutex mutex_;
  std::string line_;
  std::string first_error_;
};

uint64_t free_huge_bytes() {
  uint64_t bytes = 0;
  std::error_code ignored;
  for (const auto& size : std::filesystem::directory_iterator("/sys/kernel/mm/hugepages", ignored)) {
    const std::string name = size.path().filename();  // hugepages-2048kB
    uint64_t free_pages = 0;
    std::ifstream(size.path() / "free_hugepages") >> free_pages;
    const size_t dash = name.find('-');
    if (dash != std::string::npos)
      bytes += free_pages * std::strtoull(name.c_str() + dash + 1, nullptr, 10) * 1024;
  }
  return bytes;
}

// "0@(0-1)": one EAL thread (ours), floating over every CPU the process may use.
std::string floating_lcores() {
  cpu_set_t set;
  CPU_ZERO(&set);
  std::string cpus;
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
      if (CPU_ISSET(cpu, &set)) cpus += (cpus.empty() ? "" : ",") + std::to_string(cpu);
    }
  }
  return "0@(" + (cpus.empty() ? "0" : cpus) + ")";
}

Error explain_failure(int error) {
  const std::string said = first_dpdk_error();
  const std::string reason = (said.empty() ? std::string(rte_strerror(error)) : said);
  switch (error) {
    case EACCES:
    case EPERM:
      return {"FL2001", "DPDK may not use what it needs: " + reason, "run the dataplane as root"};
    case ENOMEM:
      return {"FL2002", "DPDK got no memory: " + reason,
              "reserve huge pages (sysctl vm.nr_hugepages=256) or lower --memory"};
    default:
      return {"FL2003", "DPDK did not start: " + reason, "see the log at level debug for what DPDK said"};
  }
}

}  // namespace

std::string first_dpdk_error() {
  return DpdkLog::instance().first_error();
}
void forget_dpdk_errors() {
  DpdkLog::instance().forget();
}

Result<EalStart> start_eal(const DpdkConfig& config) {
  static std::optional<EalStart> started;
  if (started) return *started;

  EalStart start;
  const uint64_t wanted = uint64_t{config.memory_mib} << 20;
  start.huge_pages = config.huge_pages && free_huge_bytes() >= wanted;
  if (!start.huge_pages) {
    start.notes.emplace_back(config.huge_pages ? "no huge pages: --no-huge (not enough are free for " +
                                                     std::to_string(config.memory_mib) + " MiB)"
                                               : "no huge pages: --no-huge (as configured)");
  }
  // AF_XDP pins its buffers and old kernels count BPF maps against this limit.
  rlimit unlimited{RLIM_INFINITY, RLIM_INFINITY};
  // CAP_IPC_LOCK lifts the limit by itself; where both are missing, opening the port says so.
  setrlimit(RLIMIT_MEMLOCK, &unlimited);

  // AF_XDP without libxdp's dispatcher: one program, ours, and no second way into the NIC. Read by threads
  // that do not exist yet.
  setenv("LIBXDP_SKIP_DISPATCHER", "1", 1);

  std::vector<std::string> words = {"fairlead-dataplane",
                                    "--no-telemetry",
                                    "--log-level=lib.*:info",
                                    "--file-prefix=fairlead-" + std::to_string(getpid()),
                                    "--lcores=" + floating_lcores(),
                                    "-m",
                                    std::to_string(config.memory_mib)};
  // Nothing of ours in the file system; DPDK 22.11 has one option for each kind of memory.
  words.emplace_back(start.huge_pages ? "--in-memory" : "--no-shconf");
  if (!start.huge_pages) words.emplace_back("--no-huge");
  if (!config.pci) {
    words.emplace_back("--no-pci");
    words.emplace_back("--iova-mode=va");
  }
  words.insert(words.end(), config.eal_arguments.begin(), config.eal_arguments.end());
  std::vector<char*> arguments;
  arguments.reserve(words.size());
  for (std::string& word : words) arguments.push_back(word.data());

  if (!DpdkLog::instance().install()) {
    start.notes.emplace_back("DPDK's log could not be redirected: it goes to syslog");
  }
  const bool initialised = rte_eal_init(static_cast<int>(arguments.size()), arguments.data()) >= 0;
  const int error = rte_errno;
  // DPDK makes a directory even for those who share nothing, and leaves it.
  rmdir(rte_eal_get_runtime_dir());
  if (!initialised) return explain_failure(error);
  started = start;
  return start;
}

}  // namespace fairlead::dpdk
