// Services through the control plane, in one process: from events to what the dataplane is sent and takes.
#include "controlplane/calc/compile.hpp"
#include "dataplane/rpc/convert.hpp"
#include "dataplane/rpc/parts.hpp"

#include <benchmark/benchmark.h>

#include <fstream>
#include <malloc.h>
#include <memory>
#include <string>
#include <vector>

namespace fairlead::control {
namespace {

core::IpAddress ipv4(uint32_t value) {
  core::IpAddress address;
  address.family = core::Family::kIpv4;
  for (int i = 0; i < 4; ++i)
    address.bytes[static_cast<size_t>(i)] = static_cast<uint8_t>(value >> (24 - 8 * i));
  return address;
}

// Service `i`: one TCP port, `endpoints` endpoints on 100 nodes, one slice.
ServiceObject service_of(uint32_t i) {
  ServiceObject service;
  service.service_namespace = "ns-" + std::to_string(i % 100);
  service.name = "service-" + std::to_string(i);
  service.created = 1'700'000'000 + i;
  service.cluster_ips = {ipv4(0x0a600000 + 2 + i)};  // 10.96.0.0/12
  service.ports = {{"http", 6, 80, 0}};
  return service;
}

std::vector<core::Name> node_names() {
  std::vector<core::Name> names;
  for (int i = 0; i < 100; ++i) names.emplace_back("node-" + std::to_string(i));
  return names;
}

EndpointSliceObject slice_of(uint32_t i, uint32_t endpoints) {
  static const std::vector<core::Name> kNodes = node_names();
  EndpointSliceObject slice;
  slice.slice_namespace = "ns-" + std::to_string(i % 100);
  slice.service = "service-" + std::to_string(i);
  slice.name = slice.service + "-abcde";
  slice.ports = {{"http", 6, 8080}};
  slice.endpoints.reserve(endpoints);
  for (uint32_t e = 0; e < endpoints; ++e) {
    SliceEndpoint endpoint;
    endpoint.address = ipv4(0x0a800000 + i * endpoints + e);  // 10.128.0.0/9
    endpoint.node = kNodes[(i + e) % kNodes.size()];
    endpoint.object = "pod/" + slice.slice_namespace + "/" + slice.service + "-7d4b9c" + std::to_string(e);
    slice.endpoints.push_back(std::move(endpoint));
  }
  return slice;
}

Intent cluster_of(uint32_t services, uint32_t endpoints) {
  Intent intent;
  intent.self = "node-0";
  intent.network.pods = {*core::Prefix::parse("10.128.0.0/9")};
  intent.network.services = {*core::Prefix::parse("10.96.0.0/12")};
  intent.host = {.uplink = "eth0", .uplink_mtu = 1500, .on_link = {}, .local_addresses = {ipv4(0xc0000201)}};
  NodeObject self;
  self.name = "node-0";
  self.internal_ips = {ipv4(0xc0000201)};
  self.pod_cidrs = {*core::Prefix::parse("10.128.0.0/24")};
  apply(intent, NodeUpserted{self});
  for (uint32_t i = 0; i < services; ++i) {
    apply(intent, ServiceUpserted{service_of(i)});
    apply(intent, EndpointSliceUpserted{slice_of(i, endpoints)});
  }
  return intent;
}

double resident_mib() {
  malloc_trim(0);
  std::ifstream status("/proc/self/statm");
  double total = 0, resident = 0;
  status >> total >> resident;
  return resident * 4096 / (1 << 20);
}

// Everything at once: the first compile, the difference, and what the core makes of it.
void bulk_sync(benchmark::State& bench) {
  const auto services = static_cast<uint32_t>(bench.range(0));
  const Intent intent = cluster_of(services, static_cast<uint32_t>(bench.range(1)));
  for (auto _ : bench) {
    auto compiler = std::make_unique<NodeCompiler>();
    benchmark::DoNotOptimize(compiler->update(intent).services.upserts.size());
    core::NodeState wanted = compiler->state(), programmed;
    wanted.generation = 1;
    const std::string wrong = core::apply(programmed, core::diff(programmed, wanted));
    if (!wrong.empty() || programmed.services.size() != services) bench.SkipWithError(wrong.c_str());
    bench.PauseTiming();
    compiler.reset();
    bench.ResumeTiming();
  }
}
BENCHMARK(bulk_sync)->Args({1'000, 10})->Args({100'000, 10})->Unit(benchmark::kMillisecond)->UseRealTime();

// The same as the dataplane gets it: in parts, encoded and read again.
void bulk_messages(benchmark::State& bench) {
  const Intent intent =
      cluster_of(static_cast<uint32_t>(bench.range(0)), static_cast<uint32_t>(bench.range(1)));
  NodeCompiler compiler;
  static_cast<void>(compiler.update(intent));
  core::NodeState wanted = compiler.state();
  wanted.generation = 1;
  size_t bytes = 0;
  for (auto _ : bench) {
    const core::NodeStateDelta delta = core::diff({}, wanted);
    ipc::DeltaParts parts;
    bytes = 0;
    for (size_t next = 0;;) {
      rpc::PublishRequest sent, received;
      *sent.mutable_delta() = ipc::next_part(delta, next);
      sent.set_more(next < delta.upsert_services.size());
      const std::string wire = sent.SerializeAsString();
      bytes += wire.size();
      if (!received.ParseFromString(wire)) bench.SkipWithError("does not parse");
      auto whole = parts.add(received);
      if (!whole) bench.SkipWithError(whole.error().what.c_str());
      if (whole->has_value()) break;
    }
  }
  bench.counters["MiB"] = static_cast<double>(bytes) / (1 << 20);
}
BENCHMARK(bulk_messages)->Args({100'000, 10})->Unit(benchmark::kMillisecond)->UseRealTime();

// One endpoint of one Service becomes ready or not: event to a message that the core has applied.
void one_change(benchmark::State& bench) {
  const auto services = static_cast<uint32_t>(bench.range(0));
  const auto endpoints = static_cast<uint32_t>(bench.range(1));
  const double before = resident_mib();
  Intent intent = cluster_of(services, endpoints);
  const double with_intent = resident_mib();
  NodeCompiler compiler;
  static_cast<void>(compiler.update(intent));
  core::NodeState programmed = compiler.state();
  programmed.generation = 1;
  const double with_state = resident_mib();
  uint32_t turn = 0;
  for (auto _ : bench) {
    bench.PauseTiming();
    EndpointSliceUpserted event{slice_of(turn * 7919 % services, endpoints)};
    event.slice.endpoints[turn % endpoints].ready = (turn / services) % 2 != 0;
    event.slice.endpoints[turn % endpoints].terminating = true;  // never as it is
    ++turn;
    bench.ResumeTiming();
    const Event change(std::move(event));
    apply(intent, change);
    compiler.changed(change);
    const NodeCompiler::Changes changes = compiler.update(intent);
    core::NodeStateDelta delta;
    delta.from_generation = programmed.generation;
    delta.to_generation = programmed.generation + 1;
    delta.upsert_services = changes.services.upserts;
    size_t next = 0;
    const std::string wire = ipc::next_part(delta, next).SerializeAsString();
    benchmark::DoNotOptimize(wire.data());
    const std::string wrong = core::apply(programmed, delta);
    if (!wrong.empty() || changes.services.upserts.size() != 1) bench.SkipWithError("not one change");
  }
  bench.counters["MiB_intent"] = with_intent - before;
  bench.counters["MiB_state"] = with_state - with_intent;
}
BENCHMARK(one_change)->Args({1'000, 10})->Args({100'000, 10})->Unit(benchmark::kMicrosecond)->UseRealTime();

}  // namespace
}  // namespace fairlead::control
