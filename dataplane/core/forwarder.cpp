#include "dataplane/core/forwarder.hpp"

#include "dataplane/core/forwarder_state.hpp"

#include <cstdlib>
#include <random>
#include <stdexcept>

namespace fairlead::core {

namespace {

constexpr uint64_t kSecond = 1'000'000'000;
constexpr uint64_t kWantedFor =
    3 * kSecond;  // an on-link destination nobody sends to any more is not asked for

uint64_t seed_of(const ForwarderConfig& config) {
  if (config.seed != 0) return config.seed;
  std::random_device random;
  return static_cast<uint64_t>(random()) << 32 | random();
}

template <typename Table>
std::unique_ptr<Table> open_flows(uint32_t capacity, uint64_t seed, Epoch& epoch, FlowQuota& quota) {
  FlowTableConfig config;
  config.capacity = capacity;
  config.seed = seed;
  config.reply_tuples = true;
  auto table = Table::open(config, epoch, quota);
  if (!table) throw std::runtime_error(table.error().text());
  return std::move(*table);
}

// The rest of the entries for one endpoint: nobody may have more than half of the table.
uint32_t quota_of(const ForwarderConfig& config) {
  return config.flow_capacity / 2;
}

}  // namespace

Forwarder::State::State(const ForwarderConfig& with)
    : config(with), epoch(with.workers), quota(quota_of(with)) {
  const uint64_t seed = seed_of(config);
  flow_secret_init(&secret, ~seed);
  flows.v4 = open_flows<FlowTable4>(config.flow_capacity, seed, epoch, quota);
  affinity = std::make_unique<AffinityTable>(config.affinity_clients, secret);
  flows.v6 = open_flows<FlowTable6>(std::max(config.flow_capacity / 4, 64u), seed, epoch, quota);
  fragments = std::make_unique<FragmentTable>(secret);
  current.store(builder.seal().release(), std::memory_order_release);
}

Forwarder::State::~State() {
  delete current.load(std::memory_order_acquire);
}

void Forwarder::State::swap() {
  const Snapshot* next = builder.seal().release();
  const Snapshot* old = current.exchange(next, std::memory_order_acq_rel);
  epoch.synchronize();
  builder.reclaim(*next);
  delete old;
}

void Forwarder::State::follow_path_mtus() {
  bool changed = builder.forget_path_mtus(now_ns);
  for (const auto& worker : workers) {
    worker->impl_->path_mtus.take([&](PeerId peer, uint16_t mtu) {
      if (builder.learn_path_mtu(peer, mtu, now_ns)) changed = true;
    });
  }
  if (changed) swap();
}

Forwarder::Forwarder(const ForwarderConfig& config) : state_(std::make_unique<State>(config)) {
  for (unsigned index = 0; index < config.workers; ++index) {
    state_->workers.push_back(std::make_unique<Worker>());
    state_->workers.back()->impl_ = std::make_unique<Worker::Impl>(*state_, index);
  }
}

Forwarder::~Forwarder() = default;

ServiceCounts Forwarder::State::service_total(ServiceId service) const {
  ServiceCounts sum;
  for (const auto& worker : workers) sum += worker->impl_->service_counters.read(service);
  return sum;
}

std::map<ServiceId, ServiceCounts> Forwarder::State::counts_of_others(const NodeStateDelta& delta) const {
  std::map<ServiceId, ServiceCounts> counted;
  const auto& known = builder.node_state().services;
  for (const auto& service : delta.upsert_services) {
    if (service == nullptr) continue;
    const auto before = known.find(service->id);
    if (before != known.end() && name_of(*before->second) == name_of(*service) &&
        before->second->protocol == service->protocol && before->second->is_ipv6 == service->is_ipv6) {
      continue;
    }
    const ServiceCounts total = service_total(service->id);
    if (total != ServiceCounts{}) counted[service->id] = total;
  }
  return counted;
}

Result<void> Forwarder::publish(const NodeStateDelta& delta) {
  const std::map<ServiceId, ServiceCounts> others = state_->counts_of_others(delta);
  if (auto done = state_->builder.publish(delta); !done) return done;
  for (const auto& [id, counts] : others) state_->counted_before[id] = counts;
  state_->swap();
  const bool services_changed =
      delta.from_generation == 0 || !delta.upsert_services.empty() || !delta.remove_services.empty();
  // After the swap: no worker makes a flow by an older state any more.
  if (services_changed) state_->begin_reconciliation();
  return {};
}

Result<void> Forwarder::set_underlay(const Underlay& underlay) {
  if (auto done = state_->builder.set_underlay(underlay); !done) return done;
  state_->swap();
  return {};
}

Result<void> Forwarder::set_ports(std::span<const PortFacts> ports) {
  if (auto done = state_->builder.set_ports(ports); !done) return done;
  state_->swap();
  return {};
}

const NodeState& Forwarder::node_state() const {
  return state_->builder.node_state();
}

Forwarder::Worker& Forwarder::worker(unsigned index) {
  return *state_->workers.at(index);
}

Counters Forwarder::counters() const {
  Counters sum = state_->control.read();
  for (const auto& worker : state_->workers) sum += worker->impl_->counters.read();
  return sum;
}

ServiceCounts Forwarder::service_counts(ServiceId service) const {
  ServiceCounts counts = state_->service_total(service);
  const auto others = state_->counted_before.find(service);
  if (others != state_->counted_before.end()) counts -= others->second;
  return counts;
}

void Forwarder::age(uint64_t now_ns, uint32_t budget) {
  state_->now_ns = now_ns;
  state_->follow_path_mtus();
  if (now_ns - state_->reconciled_ns >= State::kReconcileEvery_ns) state_->begin_reconciliation();
  state_->reconcile(State::kReconcileAtOnce);
  const auto seconds = static_cast<uint32_t>(now_ns / kSecond);
  const uint64_t gone =
      uint64_t{state_->flows.v4->age(seconds, budget)} + state_->flows.v6->age(seconds, budget);
  if (gone == 0) return;
  CounterBurst counts;
  counts.add(Counter::flows_expired, gone);
  state_->control.add(counts);
}

std::vector<UnresolvedNextHop> Forwarder::unresolved_next_hops() const {
  std::vector<UnresolvedNextHop> wanted = state_->builder.unresolved();
  state_->wanted.each([&](uint32_t slot, PortId port, const IpAddress& address, uint64_t asked_ns) {
    if (state_->builder.resolved({port, address}) || asked_ns + kWantedFor < state_->now_ns) return true;
    wanted.push_back({kWantedBase + slot, port, address});
    return false;
  });
  return wanted;
}

}  // namespace fairlead::core
