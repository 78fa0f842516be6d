#include "dataplane/dpdk/dpdk_engine.hpp"

#include "dataplane/dpdk/buffers.hpp"
#include "dataplane/dpdk/eal.hpp"
#include "dataplane/dpdk/open_port.hpp"
#include "dataplane/dpdk/tap_port.hpp"
#include "dataplane/dpdk/worker.hpp"

#include <algorithm>
#include <ctime>
#include <map>
#include <utility>

namespace fairlead::dpdk {
namespace {

constexpr unsigned kSmallBuffers = 8192 - 1;
constexpr uint64_t kLinkCheckNs = 500'000'000;
constexpr uint32_t kAgeBudget = 4096;

bool engine_lives = false;  // control thread

uint64_t monotonic_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

bool same_request(const PortSpec& a, const PortSpec& b) {
  return a.kind == b.kind && a.device == b.device && a.driver == b.driver && a.queues == b.queues &&
         a.mtu == b.mtu;
}

}  // namespace

struct DpdkEngine::State {
  struct OpenPort {
    PortSpec requested;
    std::unique_ptr<Port> port;
    bool up = true;
  };

  DpdkConfig config;
  std::vector<std::string> notes;
  PortResources resources;
  std::unique_ptr<core::Forwarder> forwarder;
  std::map<core::PortId, OpenPort> ports;
  std::unique_ptr<PortSet> port_set = std::make_unique<PortSet>();
  std::vector<std::unique_ptr<Worker>> workers;
  std::map<core::PortId, core::UnderlayLink> links;
  uint64_t next_link_check_ns = 0;

  Result<void> start();
  void stop();
  // Hands the workers the ports as they are now; `leaving` is not among them any more.
  void renew_port_set(const Port* leaving = nullptr);
  [[nodiscard]] core::MacAddress mac_of(const Port& port) const;
  Result<void> tell_forwarder();
  Result<void> let_host_stand_for_uplink();
  Result<void> follow(const core::NodeSettings& settings);
};

Result<void> DpdkEngine::State::start() {
  auto eal = start_eal(config);
  if (!eal) return eal.error();
  notes = eal->notes;
  auto big = create_pool("fl_big", config.big_buffers, kBigFrameMax);
  if (!big) return big.error();
  auto small = create_pool("fl_small", kSmallBuffers, kSmallFrameRoom);
  if (!small) return small.error();
  resources = {*big, *small, config.workers, config.xdp_object};
  config.forwarder.workers = config.workers;
  forwarder = std::make_unique<core::Forwarder>(config.forwarder);
  port_set->receive_queues.resize(config.workers);
  port_set->version = 1;
  for (unsigned i = 0; i < config.workers; ++i) {
    workers.push_back(std::make_unique<Worker>(i, *forwarder, config));
    if (auto started = workers.back()->start(port_set.get()); !started) return started;
  }
  return {};
}

// Workers first: nothing below them may go while they run.
void DpdkEngine::State::stop() {
  for (auto& worker : workers) worker->stop();
  ports.clear();
  workers.clear();
}

void DpdkEngine::State::renew_port_set(const Port* leaving) {
  auto next = std::make_unique<PortSet>();
  next->version = port_set->version + 1;
  next->receive_queues.resize(workers.size());
  unsigned turn = 0;
  for (auto& [id, open] : ports) {
    if (open.port.get() == leaving) continue;
    next->by_id[id] = open.port.get();
    if (open.port->spec().kind == PortKind::kHost && next->host == nullptr) next->host = open.port.get();
    for (unsigned queue = 0; queue < open.port->queues(); ++queue) {
      next->receive_queues[turn++ % workers.size()].push_back({open.port.get(), queue});
    }
  }
  for (auto& worker : workers) worker->use_ports(next.get());
  port_set = std::move(next);
}

// Devices without a MAC address of their own (rings, pcap files) have the one their link is said to have.
core::MacAddress DpdkEngine::State::mac_of(const Port& port) const {
  if (port.mac() != core::MacAddress{}) return port.mac();
  const auto link = links.find(port.spec().id);
  if (link != links.end()) return link->second.mac;
  return {{0x02, 0, 0, 0, 0, static_cast<uint8_t>(port.spec().id)}};
}

Result<void> DpdkEngine::State::tell_forwarder() {
  std::vector<core::PortFacts> facts;
  for (const auto& [id, open] : ports) {
    facts.push_back({id, open.port->spec().kind, mac_of(*open.port), open.port->spec().mtu, open.up,
                     open.port->is_exclusive()});
  }
  return forwarder->set_ports(facts);
}

// An uplink the kernel does not see needs a host port that looks like the NIC to it.
Result<void> DpdkEngine::State::let_host_stand_for_uplink() {
  const Port* uplink = nullptr;
  TapPort* host = nullptr;
  for (auto& [id, open] : ports) {
    if (open.port->is_exclusive() && uplink == nullptr) uplink = open.port.get();
    if (open.port->spec().kind == PortKind::kHost) host = dynamic_cast<TapPort*>(open.port.get());
  }
  if (uplink == nullptr || host == nullptr || host->mac() == uplink->mac()) return {};
  return host->stand_for(uplink->mac());
}

Result<void> DpdkEngine::State::follow(const core::NodeSettings& settings) {
  for (auto& [id, open] : ports) {
    if (auto followed = open.port->follow(settings); !followed) return followed;
  }
  return {};
}

DpdkEngine::DpdkEngine(std::unique_ptr<State> state) : state_(std::move(state)) {}

DpdkEngine::~DpdkEngine() {
  state_->stop();
  engine_lives = false;
}

Result<std::unique_ptr<DpdkEngine>> DpdkEngine::create(const DpdkConfig& config) {
  if (engine_lives) return Error{"FL2004", "another DPDK engine lives in this process", ""};
  auto state = std::make_unique<State>();
  state->config = config;
  state->config.workers = std::clamp(config.workers, 1u, 64u);
  if (auto started = state->start(); !started) {
    state->stop();
    return started.error();
  }
  engine_lives = true;
  return std::unique_ptr<DpdkEngine>(new DpdkEngine(std::move(state)));
}

void DpdkEngine::settle() {
  // A worker takes up a new set at the top of a loop, before it tends to held packets: the second one says
  // that this loop, too, has ended.
  state_->renew_port_set();
  state_->renew_port_set();
}

Result<void> DpdkEngine::add_port(const PortSpec& spec) {
  if (spec.id == 0 || spec.id >= kPortIdEnd) {
    return Error{
        "FL2014",
        "port id " + std::to_string(spec.id) + " is not between 1 and " + std::to_string(kPortIdEnd - 1), ""};
  }
  if (const auto found = state_->ports.find(spec.id); found != state_->ports.end()) {
    if (same_request(found->second.requested, spec)) return {};
    return Error{"FL2014",
                 "port " + std::to_string(spec.id) + " is already " + found->second.requested.device,
                 "remove it first"};
  }
  auto port = open_port(spec, state_->resources);
  if (!port) return port.error();
  if (state_->forwarder->node_state().generation != 0) {
    if (auto followed = (*port)->follow(state_->forwarder->node_state().settings); !followed) return followed;
  }
  state_->ports[spec.id] = {spec, std::move(*port), true};
  Result<void> done = state_->let_host_stand_for_uplink();
  if (done.ok()) done = state_->tell_forwarder();
  if (!done.ok()) {
    state_->ports.erase(spec.id);
    return done;
  }
  state_->renew_port_set();
  return {};
}

Result<void> DpdkEngine::remove_port(core::PortId id) {
  const auto found = state_->ports.find(id);
  if (found == state_->ports.end()) return {};
  state_->renew_port_set(found->second.port.get());
  state_->ports.erase(found);
  return state_->tell_forwarder();
}

Result<void> DpdkEngine::publish(const core::NodeStateDelta& delta) {
  // Ports first: what they then let through early, the old state still judges. Back again if the state is
  // refused.
  const core::NodeSettings before = state_->forwarder->node_state().settings;
  const bool had_state = state_->forwarder->node_state().generation != 0;
  Result<void> done = delta.has_settings ? state_->follow(delta.settings) : Result<void>{};
  if (done.ok()) done = state_->forwarder->publish(delta);
  if (!done.ok()) {
    if (delta.has_settings && had_state) {
      if (auto restored = state_->follow(before); !restored) {
        return Error{done.error().code,
                     done.error().what + "; and going back failed: " + restored.error().what,
                     done.error().fix};
      }
    }
    return done;
  }
  for (auto& worker : state_->workers) worker->judge_held_again();
  return {};
}

Result<void> DpdkEngine::set_underlay(const core::Underlay& underlay) {
  if (state_->links != underlay.links) {
    state_->links = underlay.links;
    if (auto told = state_->tell_forwarder(); !told) return told;
  }
  auto done = state_->forwarder->set_underlay(underlay);
  if (!done) return done;
  for (auto& worker : state_->workers) worker->judge_held_again();
  return {};
}

core::Counters DpdkEngine::counters() const {
  return state_->forwarder->counters();
}

void DpdkEngine::each_flow(const FlowFilter& filter, const FlowVisitor& visit) const {
  state_->forwarder->each_flow(filter, visit);
}

Result<Trace> DpdkEngine::trace(const TraceRequest& request) const {
  return state_->forwarder->trace(request);
}

std::vector<PortStatus> DpdkEngine::ports() const {
  std::vector<PortStatus> all;
  for (const auto& [id, open] : state_->ports) {
    PortStatus status;
    status.spec = open.port->spec();
    status.driver = open.port->driver();
    status.note = open.port->note();
    status.mac = state_->mac_of(*open.port);
    status.up = open.port->link_up();
    status.rx_missed = open.port->missed();
    for (const auto& worker : state_->workers) {
      const PortCounters& counted = worker->counters(id);
      status.rx_packets += counted.rx_packets.load(std::memory_order_relaxed);
      status.rx_bytes += counted.rx_bytes.load(std::memory_order_relaxed);
      status.tx_packets += counted.tx_packets.load(std::memory_order_relaxed);
      status.tx_bytes += counted.tx_bytes.load(std::memory_order_relaxed);
      status.tx_dropped += counted.tx_dropped.load(std::memory_order_relaxed);
    }
    all.push_back(std::move(status));
  }
  return all;
}

EngineInfo DpdkEngine::info() const {
  return {"dpdk", state_->notes, static_cast<unsigned>(state_->workers.size())};
}

void DpdkEngine::tick(uint64_t now_ns) {
  state_->forwarder->age(now_ns, kAgeBudget);
  if (now_ns < state_->next_link_check_ns) return;
  state_->next_link_check_ns = now_ns + kLinkCheckNs;
  bool changed = false;
  for (auto& [id, open] : state_->ports) {
    const bool up = open.port->link_up();
    changed = changed || up != open.up;
    open.up = up;
  }
  // Refused only for what add_port() has accepted before: there is nothing new to say.
  if (changed) static_cast<void>(state_->tell_forwarder());
}

uint64_t DpdkEngine::heartbeat_ns() const {
  const uint64_t now_ns = monotonic_ns();
  uint64_t slowest = now_ns;
  for (const auto& worker : state_->workers) slowest = std::min(slowest, worker->heartbeat_ns(now_ns));
  return slowest;
}

std::vector<std::pair<core::PortId, core::IpAddress>> DpdkEngine::unresolved_next_hops() const {
  std::vector<std::pair<core::PortId, core::IpAddress>> wanted;
  for (const core::UnresolvedNextHop& hop : state_->forwarder->unresolved_next_hops()) {
    wanted.emplace_back(hop.port, hop.address);
  }
  return wanted;
}

Result<void> DpdkEngine::set_capture(uint8_t stages, uint32_t snap_length) {
  for (auto& worker : state_->workers)
    worker->set_capture(stages, snap_length == 0 ? UINT16_MAX : snap_length);
  return {};
}

unsigned DpdkEngine::drain_capture(const CaptureVisitor& visit, unsigned budget) {
  unsigned count = 0;
  for (auto& worker : state_->workers) {
    if (worker->capture_ring() != nullptr) count += worker->capture_ring()->drain(visit, budget - count);
  }
  return count;
}

uint64_t DpdkEngine::capture_lost() const {
  uint64_t lost = 0;
  for (auto& worker : state_->workers) {
    if (worker->capture_ring() != nullptr) lost += worker->capture_ring()->lost();
  }
  return lost;
}

}  // namespace fairlead::dpdk
