// Services: which one answers, who gets the connection, who had it last; and what a hundred thousand cost to
// load, to change and to keep.
//
// cycles = processor time an operation in cycles of the time-stamp counter. Lookups go over 2^16 random keys,
// one after the other, as the slow path does them. A Service has 10 backends and names as a cluster's have.

#include "bench/bench_main.hpp"
#include "dataplane/core/affinity.hpp"
#include "dataplane/core/choice_hash.hpp"
#include "dataplane/core/snapshot_builder.hpp"
#include "dataplane/core/steps/service.hpp"

#include <chrono>
#include <malloc.h>
#include <numeric>
#include <random>

namespace {

using namespace fairlead;
using namespace fairlead::core;
using fairlead::bench::CycleMeter;
using List = ServiceView::List;

constexpr uint32_t kKeys = 1 << 16;
constexpr uint32_t kBackends = 10;

IpAddress ipv4(uint32_t host) {
  return IpAddress::ipv4(to_be32(host).raw);
}

IpAddress cluster_ip(ServiceId id, bool is_ipv6) {
  if (!is_ipv6) return ipv4(0x0a600000 + id);  // 10.96.0.0/12
  IpAddress at = *IpAddress::parse("fd00:96::");
  for (unsigned i = 0; i < 4; ++i) at.bytes[15 - i] = static_cast<uint8_t>(id >> (8 * i));
  return at;
}

Name pod_name(uint32_t number) {
  return "pod/default/web-5d4f8c7b9-" + std::to_string(10000 + number % 90000);
}

// The first backend's port is `turn`'s, so that two turns of a Service differ.
// `pods`: so many pods there are, each of them the endpoint of many Services; 0: each endpoint is a pod of
// its own.
std::shared_ptr<const Service> make_service(ServiceId id, uint32_t backends, uint32_t turn = 0,
                                            bool is_ipv6 = false, const std::vector<Name>* pods = nullptr) {
  static const std::vector<Name> nodes = [] {
    std::vector<Name> all;
    for (uint32_t i = 0; i < 1000; ++i) all.emplace_back("node-" + std::to_string(i));
    return all;
  }();
  Service service;
  service.id = id;
  service.service_namespace = "default";
  service.name = "web-" + std::to_string(id);
  service.port_name = "http";
  service.protocol = 6;
  service.is_ipv6 = is_ipv6;
  service.frontends = {{FrontendKind::kClusterIp, cluster_ip(id, is_ipv6), 80}};
  service.backends.reserve(backends);
  service.cluster_backends.resize(backends);
  std::iota(service.cluster_backends.begin(), service.cluster_backends.end(), 0u);
  for (uint32_t i = 0; i < backends; ++i) {
    const uint32_t number = id * backends + i;
    Backend backend;
    backend.address = is_ipv6 ? cluster_ip(0x10000000 + number, true) : ipv4(0x0b000000 + number);
    backend.port = static_cast<uint16_t>(8080 + (i == 0 ? turn % 2 : 0));
    backend.object = pods != nullptr ? (*pods)[number % pods->size()] : pod_name(number);
    backend.node = nodes[number % nodes.size()];
    service.backends.push_back(backend);
  }
  return std::make_shared<const Service>(std::move(service));
}

NodeState state_of(uint32_t services, bool is_ipv6 = false, const std::vector<Name>* pods = nullptr) {
  NodeState state;
  state.generation = 1;
  state.settings.cluster_services = {*Prefix::parse("10.96.0.0/12"), *Prefix::parse("fd00:96::/108")};
  state.settings.cluster_pods = {*Prefix::parse("11.0.0.0/8")};
  state.settings.node_port_addresses = {*IpAddress::parse("192.0.2.1")};
  for (ServiceId id = 1; id <= services; ++id)
    state.services[id] = make_service(id, kBackends, 0, is_ipv6, pods);
  return state;
}

struct Loaded {
  explicit Loaded(uint32_t services, bool is_ipv6 = false) {
    if (!builder.publish(diff(NodeState(), state_of(services, is_ipv6))).ok()) std::abort();
    snapshot = builder.seal();
  }
  SnapshotBuilder builder;
  std::unique_ptr<const Snapshot> snapshot;
};

enum class Ask { kHit, kWrongPort, kNobody };

// The frontends alone: a Service's address and port, another port of it, an address of a pod.
void frontend_lookup(benchmark::State& state, Ask ask, bool is_ipv6) {
  const auto services = static_cast<uint32_t>(state.range(0));
  const Loaded loaded(services, is_ipv6);
  const Frontends& frontends = loaded.snapshot->frontends;
  std::mt19937 random(5);
  std::vector<ip_address> keys(kKeys);
  for (ip_address& key : keys) {
    const uint32_t number = static_cast<uint32_t>(random());
    const IpAddress at = ask != Ask::kNobody ? cluster_ip(1 + number % services, is_ipv6)
                         : is_ipv6 ? *IpAddress::parse("fd00:10:244:" + std::to_string(number % 9999) + "::2")
                                   : ipv4(0x0b000000 + number % 0xffffff);
    std::memcpy(&key, at.bytes.data(), sizeof(key));
  }
  const uint16_t port = ask == Ask::kWrongPort ? 81 : 80;
  const uint8_t version = is_ipv6 ? 6 : 4;
  uint64_t hits = 0;
  CycleMeter meter;
  for (auto _ : state) {
    meter.start();
    for (const ip_address& key : keys) {
      if (!frontends.may_concern(key, version)) continue;
      const Frontends::Found found = frontends.find(key, port, 6, version);
      hits += static_cast<uint64_t>(found.entry != nullptr);
    }
    meter.stop(keys.size());
  }
  if ((hits != 0) != (ask == Ask::kHit))
    state.SkipWithError("hits where there are none, or none where there are");
  meter.report(state, "cycles");
}

// The whole step, for new connections of one pod to random Services.
void service_step(benchmark::State& state) {
  const auto services = static_cast<uint32_t>(state.range(0));
  const Loaded loaded(services);
  std::mt19937 random(6);
  std::vector<parsed> packets(kKeys);
  for (parsed& p : packets) {
    p = {};
    p.ip_version = 4;
    p.protocol = 6;
    p.has_ports = 1;
    p.source.word[0] = to_be32(0x0b000001);
    p.destination.word[0] = to_be32(0x0a600000 + 1 + static_cast<uint32_t>(random()) % services);
    p.source_port = to_be16(static_cast<uint16_t>(random()));
    p.destination_port = to_be16(80);
  }
  Packet packet;
  Walk walk;
  uint64_t refused = 0;
  CycleMeter meter;
  for (auto _ : state) {
    meter.start();
    for (const parsed& p : packets) {
      walk.start(packet);
      walk.p = p;
      walk.side = walk.origin = Side::endpoint(1);
      refused += static_cast<uint64_t>(!core::steps::service(walk, *loaded.snapshot, {}).goes_on());
      benchmark::DoNotOptimize(walk.translation);
    }
    meter.stop(packets.size());
  }
  if (refused != 0) state.SkipWithError("a Service refused");
  meter.report(state, "cycles");
}

// Loading all of them into a builder that has none, and publishing that.
void services_load(benchmark::State& state) {
  const auto services = static_cast<uint32_t>(state.range(0));
  const NodeState target = state_of(services);
  const NodeStateDelta delta = diff(NodeState(), target);
  CycleMeter meter;
  double seconds = 0;
  for (auto _ : state) {
    auto builder = std::make_unique<SnapshotBuilder>();
    meter.start();
    const auto started = std::chrono::steady_clock::now();
    if (!builder->publish(delta).ok()) state.SkipWithError("refused");
    benchmark::DoNotOptimize(builder->seal());
    seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    meter.stop(services);
    state.PauseTiming();
    builder.reset();
    state.ResumeTiming();
  }
  meter.report(state, "cycles");
  state.counters["seconds"] = seconds;
}

// One backend of one Service moves at a time, as a live node sees it: delta, publish, seal.
void service_change(benchmark::State& state) {
  const auto services = static_cast<uint32_t>(state.range(0));
  const auto backends = static_cast<uint32_t>(state.range(1));
  Loaded loaded(services);
  NodeStateDelta big;
  big.from_generation = 1;
  big.to_generation = 2;
  big.upsert_services = {make_service(1, backends)};
  if (!loaded.builder.publish(big).ok()) std::abort();
  uint64_t generation = 2;
  CycleMeter meter;
  double worst = 0;
  for (auto _ : state) {
    NodeStateDelta delta;
    delta.from_generation = generation++;
    delta.to_generation = generation;
    delta.upsert_services = {make_service(1, backends, static_cast<uint32_t>(generation))};
    meter.start();
    const auto started = std::chrono::steady_clock::now();
    if (!loaded.builder.publish(delta).ok()) state.SkipWithError("refused");
    auto next = loaded.builder.seal();
    worst =
        std::max(worst, std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count());
    meter.stop(1);
    loaded.snapshot = std::move(next);
  }
  meter.report(state, "cycles");
  state.counters["us"] = state.counters["cycles"] / static_cast<double>(rte_get_tsc_hz()) * 1e6;
  state.counters["worst_us"] = worst * 1e6;
}

size_t heap_bytes() {
  const struct mallinfo2 info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
}

// What one Service takes of the heap, with its 10 backends, in the state and in the packet path.
void services_memory(benchmark::State& state) {
  const auto services = static_cast<uint32_t>(state.range(0));
  for (auto _ : state) {
    const size_t before = heap_bytes();
    std::vector<Name> pods;
    for (uint32_t i = 0; i < state.range(2); ++i) pods.push_back(pod_name(i));
    NodeState target = state_of(services, state.range(1) == 6, pods.empty() ? nullptr : &pods);
    const size_t values = heap_bytes();
    auto builder = std::make_unique<SnapshotBuilder>();
    if (!builder->publish(diff(NodeState(), target)).ok()) state.SkipWithError("refused");
    target = NodeState();  // the builder shares the Services and has a map of its own
    const auto snapshot = builder->seal();
    const size_t all = heap_bytes();
    state.counters["bytes_per_service"] = static_cast<double>(all - before) / services;
    state.counters["of_them_values"] = static_cast<double>(values - before) / services;
  }
}

void choose(benchmark::State& state) {
  const auto backends = static_cast<uint32_t>(state.range(0));
  const ServiceViewPtr view = ServiceView::make(make_service(1, backends), nullptr);
  std::mt19937_64 random(7);
  std::vector<uint64_t> choices(kKeys);
  for (uint64_t& choice : choices) choice = random();
  uint64_t sum = 0;
  CycleMeter meter;
  for (auto _ : state) {
    meter.start();
    for (const uint64_t choice : choices) sum += view->choose(List::kCluster, choice);
    meter.stop(choices.size());
  }
  benchmark::DoNotOptimize(sum);
  meter.report(state, "cycles");
}

void maglev_build(benchmark::State& state) {
  const auto count = static_cast<uint32_t>(state.range(0));
  std::mt19937 random(8);
  std::vector<uint32_t> ids(count);
  for (uint32_t& id : ids) id = static_cast<uint32_t>(random());
  CycleMeter meter;
  size_t size = 0;
  for (auto _ : state) {
    meter.start();
    const MaglevTable table(ids);
    meter.stop(1);
    size = table.size();
  }
  meter.report(state, "cycles");
  state.counters["us"] = state.counters["cycles"] / static_cast<double>(rte_get_tsc_hz()) * 1e6;
  state.counters["places"] = static_cast<double>(size);
}

// A known client's next connection: found, and its use noted; the second moves on every 2^16 lookups.
void affinity_hit(benchmark::State& state) {
  const auto clients = static_cast<uint32_t>(state.range(0));
  flow_secret secret;
  flow_secret_init(&secret, 9);
  AffinityTable table(clients, secret);
  const auto address_of = [](uint32_t number) {
    ip_address at{};
    at.word[0] = to_be32(0x0b000000 + number);
    return at;
  };
  for (uint32_t i = 0; i < clients; ++i) (void)table.hold(table.key(address_of(i), 1), 0, i + 1, 86400, 1);
  std::mt19937 random(9);
  std::vector<ip_address> asked(kKeys);
  for (ip_address& at : asked) at = address_of(static_cast<uint32_t>(random()) % clients);
  uint64_t found = 0;
  uint32_t now = 1;
  CycleMeter meter;
  for (auto _ : state) {
    ++now;
    meter.start();
    for (const ip_address& at : asked) {
      const uint64_t key = table.key(at, 1);
      const uint32_t backend = table.find(key, 86400, now);
      if (backend == 0) continue;
      found += static_cast<uint64_t>(table.hold(key, backend, backend, 86400, now) == backend);
    }
    meter.stop(asked.size());
  }
  meter.report(state, "cycles");
  state.counters["hit_share"] = static_cast<double>(found) / static_cast<double>(state.iterations() * kKeys);
}

// A new client every time, over and over in a table that is full.
void affinity_new(benchmark::State& state) {
  flow_secret secret;
  flow_secret_init(&secret, 9);
  AffinityTable table(static_cast<uint32_t>(state.range(0)), secret);
  uint32_t number = 0;
  CycleMeter meter;
  for (auto _ : state) {
    meter.start();
    for (uint32_t i = 0; i < kKeys; ++i) {
      ip_address at{};
      at.word[0] = to_be32(++number);
      const uint64_t key = table.key(at, 1);
      const uint32_t found = table.find(key, 60, 100);
      benchmark::DoNotOptimize(table.hold(key, found, 5, 60, 100));
    }
    meter.stop(kKeys);
  }
  meter.report(state, "cycles");
}

#define FL_SERVICES Arg(1)->Arg(100)->Arg(1000)->Arg(10'000)->Arg(100'000)
BENCHMARK_CAPTURE(frontend_lookup, ipv4_hit, Ask::kHit, false)->FL_SERVICES;
BENCHMARK_CAPTURE(frontend_lookup, ipv4_wrong_port, Ask::kWrongPort, false)->FL_SERVICES;
BENCHMARK_CAPTURE(frontend_lookup, ipv4_nobodys, Ask::kNobody, false)->FL_SERVICES;
BENCHMARK_CAPTURE(frontend_lookup, ipv6_hit, Ask::kHit, true)->FL_SERVICES;
BENCHMARK_CAPTURE(frontend_lookup, ipv6_nobodys, Ask::kNobody, true)->Arg(1)->Arg(100'000);
BENCHMARK(service_step)->FL_SERVICES;
BENCHMARK(choose)->Arg(1)->Arg(3)->Arg(10)->Arg(32)->Arg(33)->Arg(100)->Arg(1000)->Arg(10'000);
BENCHMARK(maglev_build)->Arg(33)->Arg(100)->Arg(1000)->Arg(10'000)->Unit(benchmark::kMicrosecond);
BENCHMARK(affinity_hit)->Arg(1000)->Arg(65'536)->Arg(1'000'000);
BENCHMARK(affinity_new)->Arg(65'536);
BENCHMARK(services_load)->Arg(1000)->Arg(100'000)->Unit(benchmark::kMillisecond)->Iterations(3);
BENCHMARK(service_change)
    ->Args({1000, 10})
    ->Args({100'000, 10})
    ->Args({100'000, 100})
    ->Args({100'000, 1000})
    ->Args({100'000, 10'000})
    ->Unit(benchmark::kMicrosecond);
BENCHMARK(services_memory)
    ->Args({100'000, 4, 0})
    ->Args({100'000, 6, 0})
    ->Args({100'000, 4, 150'000})
    ->Iterations(1)
    ->Unit(benchmark::kMillisecond);

}  // namespace

int main(int argc, char** argv) {
  fairlead::bench::start_eal(argv[0], "64");  // for the time-stamp counter's rate
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
