#include "dataplane/dpdk/worker.hpp"

#include "dataplane/dpdk/buffers.hpp"

#include <rte_errno.h>
#include <rte_lcore.h>
#include <rte_prefetch.h>

#include <cstddef>
#include <cstring>
#include <ctime>
#include <pthread.h>
#include <sched.h>
#include <sys/resource.h>

namespace fairlead::dpdk {
namespace {

using core::DropReason;
using core::Fate;

uint64_t monotonic_ns() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

constexpr int kWorkerNice = -10;

// One writer each: a plain add would do, were it not for readers on other cores.
void add(std::atomic<uint64_t>& counter, uint64_t value) {
  counter.store(counter.load(std::memory_order_relaxed) + value, std::memory_order_relaxed);
}

// Port, fate and reason in one word.
uint32_t where_to(const core::Packet& packet) {
  static_assert(offsetof(core::Packet, reason) + sizeof(packet.reason) ==
                offsetof(core::Packet, tx_port) + 4);
  uint32_t word;
  std::memcpy(&word, &packet.tx_port, sizeof(word));
  return word;
}

}  // namespace

Worker::Worker(unsigned index, core::Forwarder& forwarder, const DpdkConfig& config)
    : index_(index),
      judge_(forwarder.worker(index)),
      cpu_(index < config.worker_cpus.size() ? static_cast<int>(config.worker_cpus[index]) : -1),
      sleeper_(config.polling, uint64_t{config.longest_poll_us} * 1000) {}

Worker::~Worker() {
  stop();
}

Result<void> Worker::start(const PortSet* ports) {
  ports_.store(ports, std::memory_order_release);
  thread_ = std::thread([this] { run(); });
  start_result_.wait(-1);
  const int error = start_result_.load();
  if (error == 0) return {};
  thread_.join();
  return Error{"FL2005",
               "worker " + std::to_string(index_) + " cannot run" +
                   (cpu_ >= 0 ? " on CPU " + std::to_string(cpu_) : std::string()) + ": " +
                   rte_strerror(error),
               "choose CPUs that this process may use (--worker-cpus), and at most 127 workers"};
}

void Worker::stop() {
  if (!thread_.joinable()) return;
  stops_.store(true, std::memory_order_release);
  sleeper_.wake();
  thread_.join();
}

void Worker::use_ports(const PortSet* ports) {
  ports_.store(ports, std::memory_order_release);
  sleeper_.wake();
  while (ports_seen_.load(std::memory_order_acquire) != ports->version) sched_yield();
}

void Worker::judge_held_again() {
  underlay_version_.fetch_add(1, std::memory_order_release);
  sleeper_.wake();
}

uint64_t Worker::heartbeat_ns(uint64_t now_ns) const {
  if (sleeper_.asleep_until_ns() > now_ns) return now_ns;
  return last_loop_ns_.load(std::memory_order_relaxed);
}

void Worker::set_capture(uint8_t stages, uint32_t snap_length) {
  if (stages != 0 && capture_ring_ == nullptr) capture_ring_ = std::make_unique<CaptureRing>();
  snap_length_.store(snap_length, std::memory_order_relaxed);
  capture_stages_.store(stages, std::memory_order_release);
}

void Worker::run() {
  pthread_setname_np(pthread_self(), ("fl-worker-" + std::to_string(index_)).c_str());
  int error = 0;
  if (cpu_ >= 0) {
    cpu_set_t cpus;
    CPU_ZERO(&cpus);
    CPU_SET(static_cast<unsigned>(cpu_), &cpus);
    error = pthread_setaffinity_np(pthread_self(), sizeof cpus, &cpus);
  }
  // Every packet of the node waits for this thread: where CPUs are shared it goes before what merely
  // computes. Without CAP_SYS_NICE it runs like everybody else.
  setpriority(PRIO_PROCESS, 0, kWorkerNice);
  // Gives the thread a DPDK identity, and with it a cache in every buffer pool.
  if (error == 0 && rte_thread_register() != 0) error = rte_errno;
  start_result_.store(error);
  start_result_.notify_all();
  if (error != 0) return;

  judge_.online();
  while (!stops_.load(std::memory_order_acquire)) {
    const PortSet* ports = ports_.load(std::memory_order_acquire);
    if (ports_seen_.load(std::memory_order_relaxed) != ports->version) {
      sleeper_.follow(*ports, index_);
      ports_seen_.store(ports->version, std::memory_order_release);
    }
    const uint64_t now_ns = monotonic_ns();
    last_loop_ns_.store(now_ns, std::memory_order_relaxed);
    add(loops_, 1);
    loop(now_ns, *ports);
    judge_.quiescent();
    if (found_work_) {
      sleeper_.worked(now_ns);
    } else if (sleeper_.idle(now_ns)) {
      judge_.offline();
      sleeper_.sleep(now_ns, held_.empty() ? Sleeper::kSleepNs : HoldTable::kWaitNs / 20);
      judge_.online();
    }
  }
  core::Packet packet;
  uint64_t since_ns;
  while (held_.take(packet, since_ns)) fail(packet, DropReason::NEIGHBOUR_UNRESOLVED);
  judge_.offline();
  rte_thread_unregister();
}

void Worker::loop(uint64_t now_ns, const PortSet& ports) {
  capture_now_ = capture_stages_.load(std::memory_order_acquire);
  found_work_ = false;
  if (!held_.empty()) tend_held(ports, now_ns);
  for (const PortSet::ReceiveQueue& queue : ports.receive_queues[index_]) {
    if (serve(queue, ports, now_ns) != 0) found_work_ = true;
  }
}

unsigned Worker::serve(const PortSet::ReceiveQueue& queue, const PortSet& ports, uint64_t now_ns) {
  const unsigned count = queue.port->receive(queue.queue, burst_);
  if (count == 0) return 0;
  const std::span<core::Packet> burst(burst_.data(), count);
  uint64_t bytes = 0;
  for (const core::Packet& packet : burst) {
    rte_prefetch0(packet.data);
    bytes += packet.length;
  }
  const core::PortId id = queue.port->spec().id;
  add(counters_[id].rx_packets, count);
  add(counters_[id].rx_bytes, bytes);
  if (capture_now_ != 0) {
    for (const core::Packet& packet : burst) capture(CaptureStage::kRx, id, DropReason::NONE, packet);
  }
  judge_.forward(burst, now_ns);
  dispatch(burst, ports, now_ns);
  return count;
}

// Counted by core already, and gone now.
void Worker::drop(core::Packet& packet, DropReason reason) {
  if (capture_now_ != 0) capture(CaptureStage::kDrop, packet.rx_port, reason, packet);
  free_packet(packet);
}

// Core counted the packet under its fate; it did not come to that.
void Worker::fail(core::Packet& packet, DropReason reason) {
  judge_.undo(packet.fate, reason, 1, packet.fate == Fate::kAnswer ? packet.reason : DropReason::NONE);
  drop(packet, reason);
}

void Worker::collect(Port* port, core::PortId id, core::Packet& packet) {
  if (port == nullptr) return fail(packet, DropReason::NO_UPLINK);
  Group& group = groups_[id];
  if (group.count == 0) groups_used_[groups_used_count_++] = id;
  group.packets[group.count++] = &packet;
  group.bytes += packet.length;
}

// The usual case: the whole burst is forwarded to one port. False: nothing has been done.
bool Worker::dispatch_to_one(std::span<core::Packet> burst, const PortSet& ports) {
  if (burst.empty()) return true;
  const core::PortId id = burst.front().tx_port;
  if (id >= kPortIdEnd || ports.by_id[id] == nullptr || burst.front().fate != Fate::kForward) return false;
  Group& group = groups_[id];
  const uint32_t told = where_to(burst.front());
  uint64_t bytes = 0;
  core::Packet** place = group.packets.data();
  for (core::Packet& packet : burst) {
    if (where_to(packet) != told) return false;
    *place++ = &packet;
    bytes += packet.length;
  }
  group.count = static_cast<unsigned>(burst.size());
  group.bytes = bytes;
  transmit(id, *ports.by_id[id], group);
  return true;
}

void Worker::dispatch(std::span<core::Packet> burst, const PortSet& ports, uint64_t now_ns) {
  if (dispatch_to_one(burst, ports)) return;
  groups_used_count_ = 0;
  for (core::Packet& packet : burst) {
    switch (packet.fate) {
      case Fate::kForward:
      case Fate::kAnswer:
        collect(packet.tx_port < kPortIdEnd ? ports.by_id[packet.tx_port] : nullptr, packet.tx_port, packet);
        break;
      case Fate::kPunt:
        collect(ports.host, ports.host == nullptr ? core::PortId{0} : ports.host->spec().id, packet);
        break;
      case Fate::kHold:
        hold(packet, now_ns);
        break;
      case Fate::kDrop:
        drop(packet, packet.reason);
        break;
      case Fate::kNone:
        free_packet(packet);
        break;  // cannot happen: forward() judges every packet
    }
  }
  for (unsigned i = 0; i < groups_used_count_; ++i) {
    const core::PortId id = groups_used_[i];
    transmit(id, *ports.by_id[id], groups_[id]);
  }
}

void Worker::transmit(core::PortId id, Port& port, Group& group) {
  std::array<DropReason, core::kBurst> outcome{};
  const std::span<core::Packet* const> packets(group.packets.data(), group.count);
  if (capture_now_ != 0) {
    for (const core::Packet* packet : packets) capture(CaptureStage::kTx, id, DropReason::NONE, *packet);
  }
  port.transmit(index_, packets, std::span(outcome.data(), group.count));
  unsigned failed = 0;
  if (outcome != decltype(outcome){}) [[unlikely]] {
    for (unsigned i = 0; i < group.count; ++i) {
      if (outcome[i] == DropReason::NONE) continue;
      ++failed;
      group.bytes -= packets[i]->length;
      fail(*packets[i], outcome[i]);
    }
    add(counters_[id].tx_dropped, failed);
  }
  add(counters_[id].tx_packets, group.count - failed);
  add(counters_[id].tx_bytes, group.bytes);
  group.count = 0;
  group.bytes = 0;
}

void Worker::hold(const core::Packet& packet, uint64_t since_ns) {
  core::Packet dropped;
  if (held_.add(packet, since_ns, dropped)) fail(dropped, DropReason::NEIGHBOUR_UNRESOLVED);
}

// Judges held packets again after the underlay changed, and gives up those that have waited too long.
void Worker::tend_held(const PortSet& ports, uint64_t now_ns) {
  core::Packet expired;
  while (held_.expire(now_ns, expired)) fail(expired, DropReason::NEIGHBOUR_UNRESOLVED);

  const uint32_t version = underlay_version_.load(std::memory_order_acquire);
  if (version == underlay_seen_) return;
  underlay_seen_ = version;
  unsigned left = held_.size();
  while (left != 0) {
    std::array<uint64_t, core::kBurst> since;
    unsigned count = 0;
    while (count < burst_.size() && left != 0) {
      static_cast<void>(held_.take(burst_[count], since[count]));
      ++count;
      --left;
    }
    judge_.release_held(std::span(burst_.data(), count), now_ns);
    unsigned leaving = 0;
    for (unsigned i = 0; i < count; ++i) {
      if (burst_[i].fate == Fate::kHold) {
        hold(burst_[i], since[i]);
      } else {
        burst_[leaving++] = burst_[i];
      }
    }
    dispatch(std::span(burst_.data(), leaving), ports, now_ns);
  }
}

}  // namespace fairlead::dpdk
