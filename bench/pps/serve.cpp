#include "bench/pps/serve.hpp"

#include "bench/pps/world.hpp"
#include "dataplane/dpdk/dpdk_engine.hpp"
#include "dataplane/dpdk/eal.hpp"

#include <rte_dev.h>
#include <rte_errno.h>
#include <rte_ethdev.h>
#include <rte_lcore.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <memory>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <thread>
#include <unistd.h>

namespace fairlead::bench {
namespace {

constexpr uint64_t kTickNs = 10'000'000;
constexpr uint64_t kHourNs = 3'600'000'000'000;
constexpr uint32_t kAgedPerTick = 4096;  // of the engine

uint64_t monotonic_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

bool pin_this_thread(unsigned cpu) {
  cpu_set_t cpus;
  CPU_ZERO(&cpus);
  CPU_SET(cpu, &cpus);
  return pthread_setaffinity_np(pthread_self(), sizeof cpus, &cpus) == 0;
}

uint64_t resident_bytes() {
  uint64_t size = 0, resident = 0;
  std::ifstream("/proc/self/statm") >> size >> resident;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

// What the runner asks a contestant, and its periodic work.
class Served {
 public:
  virtual ~Served() = default;
  virtual std::string answer(const std::string& question) = 0;
  virtual void tick() {}
};

void answer_until_end(Served& served) {
  std::string line;
  pollfd input{STDIN_FILENO, POLLIN, 0};
  for (;;) {
    served.tick();
    if (poll(&input, 1, kTickNs / 1'000'000) <= 0) continue;
    char byte;
    const ssize_t got = read(STDIN_FILENO, &byte, 1);
    if (got <= 0) return;
    if (byte != '\n') {
      line += byte;
      continue;
    }
    std::printf("%s\n", served.answer(line).c_str());
    static_cast<void>(std::fflush(stdout));
    line.clear();
  }
}

dpdk::DpdkConfig config_of(const Serving& serving) {
  dpdk::DpdkConfig config;
  config.workers = serving.load.workers;
  for (unsigned i = 0; i < serving.load.workers; ++i) config.worker_cpus.push_back(serving.first_cpu + i);
  config.polling = dpdk::Polling::kBusy;
  config.memory_mib = 512;
  config.eal_arguments = {"-d", serving.plugin};
  config.big_buffers = 64;
  // IPv6 gets a quarter of it.
  const uint64_t room = uint64_t{serving.load.flows} * (replay::is_inner_ipv6(serving.load.path->in) ? 5 : 1);
  // A translated connection is in the index twice, which refuses before it is quite full.
  const uint64_t spare = room / (serving.load.path->to_service ? 2 : 8);
  config.forwarder.flow_capacity = static_cast<uint32_t>(std::max<uint64_t>(room + spare, 1u << 16));
  config.forwarder.seed = 42;
  return config;
}

// The dataplane as it is, with replay ports for trunk and uplink.
class ServedEngine final : public Served {
 public:
  Result<void> start(const Serving& serving) {
    load_ = serving.load;
    auto made = dpdk::DpdkEngine::create(config_of(serving));
    if (!made) return made.error();
    engine_ = std::move(*made);
    const std::string source = load_.source_arguments(serving.source_page);
    const std::string sink = load_.sink_arguments(serving.sink_page);
    const bool from_uplink = load_.path->from_uplink;
    if (auto added = add(kUplink, PortKind::kUplink, from_uplink ? source : sink); !added) return added;
    core::MacAddress mac;
    for (const PortStatus& port : engine_->ports()) mac = port.mac;
    if (auto done = engine_->set_underlay(underlay(mac)); !done) return done;
    if (auto done = engine_->publish(diff(core::NodeState{}, node_state(load_))); !done) return done;
    if (auto added = add(kTrunk, PortKind::kTrunk, from_uplink ? sink : source); !added) return added;
    return load_.path->is_reply ? await_connections() : Result<void>{};
  }

  std::string answer(const std::string& question) override {
    if (question == "rss") return std::to_string(resident_bytes());
    if (question == "flush") {
      for (uint64_t swept = 0; swept < 4 * uint64_t{load_.flows}; swept += kAgedPerTick) {
        engine_->tick(monotonic_ns() + kHourNs);
      }
      return "flushed";
    }
    const core::Counters counters = engine_->counters();
    std::string text = "hits " + std::to_string(counters[core::Counter::flow_hits]) + " misses " +
                       std::to_string(counters[core::Counter::flow_misses]) + " created " +
                       std::to_string(counters[core::Counter::flows_created]) + " drops " +
                       std::to_string(counters.drops_total());
    for (size_t i = 0; i < counters.drops.size(); ++i) {
      if (counters.drops[i] == 0) continue;
      text += " " + std::string(core::describe(static_cast<core::DropReason>(i)).name) + "=" +
              std::to_string(counters.drops[i]);
    }
    return text;
  }

  void tick() override { engine_->tick(monotonic_ns()); }

 private:
  // The trunk hands out every flow once; the uplink is held until this has returned.
  Result<void> await_connections() {
    constexpr int kTries = 6000;
    for (int tries = 0; tries < kTries; ++tries) {
      if (engine_->counters()[core::Counter::flows_created] >= load_.flows) return {};
      usleep(10'000);
    }
    return Error{"FL6105", "the connections whose answers are measured were not made: " + answer("counters"),
                 ""};
  }

  Result<void> add(core::PortId id, PortKind kind, const std::string& arguments) {
    PortSpec spec;
    spec.id = id;
    spec.kind = kind;
    spec.device = "net_replay" + std::to_string(id) + "," + arguments;
    spec.driver = "devargs-shared";
    spec.queues = static_cast<uint16_t>(load_.workers);
    spec.mtu = 1600;
    return engine_->add_port(spec);
  }

  Load load_;
  std::unique_ptr<dpdk::DpdkEngine> engine_;
};

// The port alone: frames from one device to the other, by nothing but rte_eth_rx_burst() and
// rte_eth_tx_burst(). With `break_what`, one byte in a thousand packets is wrong, or one packet in a
// million is not sent, which has to be noticed.
class ServedFloor final : public Served {
 public:
  ~ServedFloor() override {
    stops_.store(true);
    for (std::thread& thread : threads_) thread.join();
  }

  Result<void> start(const Serving& serving) {
    auto started = dpdk::start_eal(config_of(serving));
    if (!started) return started.error();
    auto source =
        open("net_replay1," + serving.load.source_arguments(serving.source_page), serving.load.workers);
    if (!source) return source.error();
    auto sink = open("net_replay2," + serving.load.sink_arguments(serving.sink_page), serving.load.workers);
    if (!sink) return sink.error();
    for (unsigned i = 0; i < serving.load.workers; ++i) {
      threads_.emplace_back([this, from = *source, to = *sink, queue = static_cast<uint16_t>(i),
                             cpu = serving.first_cpu + i, breaks = serving.break_what] {
        if (!pin_this_thread(cpu) || rte_thread_register() != 0) return;
        breaks.empty() ? forward(from, to, queue) : forward_wrongly(from, to, queue, breaks);
        rte_thread_unregister();
      });
    }
    return {};
  }

  std::string answer(const std::string& question) override {
    return question == "rss" ? std::to_string(resident_bytes()) : "hits 0 misses 0 created 0 drops 0";
  }

 private:
  static Result<uint16_t> open(const std::string& devargs, unsigned queues) {
    const auto failed = [&](int error) {
      const std::string said = dpdk::first_dpdk_error();
      return Error{"FL2013", devargs + ": " + (said.empty() ? rte_strerror(std::abs(error)) : said), ""};
    };
    if (const int error = rte_dev_probe(devargs.c_str()); error != 0) return failed(error);
    uint16_t port = 0;
    if (const int error = rte_eth_dev_get_port_by_name(devargs.substr(0, devargs.find(',')).c_str(), &port);
        error != 0) {
      return failed(error);
    }
    rte_eth_conf configuration{};
    const auto count = static_cast<uint16_t>(queues);
    if (const int error = rte_eth_dev_configure(port, count, count, &configuration); error != 0)
      return failed(error);
    rte_mempool* pool = rte_pktmbuf_pool_create(("floor" + std::to_string(port)).c_str(), 255, 0, 0,
                                                RTE_MBUF_DEFAULT_BUF_SIZE, SOCKET_ID_ANY);
    if (pool == nullptr) return failed(rte_errno);
    for (uint16_t queue = 0; queue < count; ++queue) {
      int error = rte_eth_rx_queue_setup(port, queue, 512, SOCKET_ID_ANY, nullptr, pool);
      if (error == 0) error = rte_eth_tx_queue_setup(port, queue, 512, SOCKET_ID_ANY, nullptr);
      if (error != 0) return failed(error);
    }
    if (const int error = rte_eth_dev_start(port); error != 0) return failed(error);
    return port;
  }

  void forward(uint16_t from, uint16_t to, uint16_t queue) {
    rte_mbuf* mbufs[core::kBurst];
    while (!stops_.load(std::memory_order_relaxed)) {
      const uint16_t got = rte_eth_rx_burst(from, queue, mbufs, core::kBurst);
      if (got != 0) rte_eth_tx_burst(to, queue, mbufs, got);
    }
  }

  void forward_wrongly(uint16_t from, uint16_t to, uint16_t queue, const std::string& what) {
    rte_mbuf* mbufs[core::kBurst];
    uint64_t packets = 0;
    constexpr uint64_t kOneOf = 1000, kOneLostOf = 1'000'000;
    while (!stops_.load(std::memory_order_relaxed)) {
      const uint16_t got = rte_eth_rx_burst(from, queue, mbufs, core::kBurst);
      uint16_t kept = 0;
      for (uint16_t i = 0; i < got; ++i) {
        if (what == "lose") {
          if (++packets % kOneLostOf == 0) {
            rte_pktmbuf_free(mbufs[i]);
          } else {
            mbufs[kept++] = mbufs[i];
          }
          continue;
        }
        ++kept;
        if (packets++ % kOneOf != 0) continue;
        if (what == "length") {
          rte_pktmbuf_trim(mbufs[i], 2);
        } else {
          ++rte_pktmbuf_mtod(mbufs[i], uint8_t*)[what == "ttl" ? 22 : 40];  // IPv4 TTL; UDP checksum
        }
      }
      if (kept != 0) rte_eth_tx_burst(to, queue, mbufs, kept);
    }
  }

  std::atomic<bool> stops_{false};
  std::vector<std::thread> threads_;
};

template <typename Kind>
Result<void> serve_as(const Serving& serving) {
  Kind served;
  if (auto started = served.start(serving); !started) return started;
  answer_until_end(served);
  return {};
}

}  // namespace

Result<void> serve(const Serving& serving) {
  if (!pin_this_thread(serving.control_cpu)) {
    return Error{"FL2005", "there is no CPU " + std::to_string(serving.control_cpu), ""};
  }
  return serving.load.path->name == "floor" ? serve_as<ServedFloor>(serving)
                                            : serve_as<ServedEngine>(serving);
}

}  // namespace fairlead::bench
