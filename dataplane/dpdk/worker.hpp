#pragma once

#include "dataplane/core/forwarder.hpp"
#include "dataplane/dpdk/capture_ring.hpp"
#include "dataplane/dpdk/dpdk_engine.hpp"
#include "dataplane/dpdk/hold_table.hpp"
#include "dataplane/dpdk/port_set.hpp"
#include "dataplane/dpdk/sleeper.hpp"

#include <array>
#include <atomic>
#include <memory>
#include <string>
#include <thread>

namespace fairlead::dpdk {

struct PortCounters {
  std::atomic<uint64_t> rx_packets{0}, rx_bytes{0}, tx_packets{0}, tx_bytes{0}, tx_dropped{0};
};

// One forwarding thread: receives from its queues, lets core judge, hands every packet to where its fate
// says.
//
// Threads: run() is the worker's own; all public functions are the control thread's. Shared fields say who
// writes them.
class Worker {
 public:
  Worker(unsigned index, core::Forwarder& forwarder, const DpdkConfig& config);
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // FL2005: the thread could not be started or registered.
  Result<void> start(const PortSet* ports);
  void stop();

  // Returns when the worker uses `ports` and holds no pointer into what it used before.
  void use_ports(const PortSet* ports);
  // The underlay changed: held packets are judged again, at once.
  void judge_held_again();

  [[nodiscard]] uint64_t heartbeat_ns(uint64_t now_ns) const;
  [[nodiscard]] const PortCounters& counters(core::PortId port) const { return counters_[port]; }
  [[nodiscard]] uint64_t loops() const { return loops_.load(std::memory_order_relaxed); }

  // A mask of CaptureStage; 0: off. The ring is made with the first capture and kept.
  void set_capture(uint8_t stages, uint32_t snap_length);
  [[nodiscard]] CaptureRing* capture_ring() { return capture_ring_.get(); }

 private:
  struct Group {
    std::array<core::Packet*, core::kBurst> packets;
    unsigned count = 0;
    uint64_t bytes = 0;
  };

  void run();
  void loop(uint64_t now_ns, const PortSet& ports);
  unsigned serve(const PortSet::ReceiveQueue& queue, const PortSet& ports, uint64_t now_ns);
  void dispatch(std::span<core::Packet> burst, const PortSet& ports, uint64_t now_ns);
  bool dispatch_to_one(std::span<core::Packet> burst, const PortSet& ports);
  void collect(Port* port, core::PortId id, core::Packet& packet);
  void transmit(core::PortId id, Port& port, Group& group);
  void hold(const core::Packet& packet, uint64_t since_ns);
  void tend_held(const PortSet& ports, uint64_t now_ns);
  void drop(core::Packet& packet, core::DropReason reason);
  void fail(core::Packet& packet, core::DropReason reason);
  void capture(CaptureStage stage, core::PortId port, core::DropReason reason, const core::Packet& packet) {
    if ((capture_now_ & static_cast<uint8_t>(stage)) != 0) {
      capture_ring_->offer(stage, port, reason, packet.data, packet.length,
                           snap_length_.load(std::memory_order_relaxed));
    }
  }

  const unsigned index_;
  core::Forwarder::Worker& judge_;
  int cpu_ = -1;
  std::thread thread_;
  std::atomic<int> start_result_{-1};           // written: worker; -1 not yet, 0 good
  std::atomic<bool> stops_{false};              // written: control
  std::atomic<const PortSet*> ports_{nullptr};  // written: control
  std::atomic<uint64_t> ports_seen_{0};         // written: worker
  std::atomic<uint32_t> underlay_version_{0};   // written: control
  std::atomic<uint8_t> capture_stages_{0};      // written: control
  std::atomic<uint32_t> snap_length_{0};        // written: control, before capture_stages_
  std::atomic<uint64_t> loops_{0};              // written: worker
  std::atomic<uint64_t> last_loop_ns_{0};       // written: worker

  // The worker's own.
  Sleeper sleeper_;
  uint32_t underlay_seen_ = 0;
  uint8_t capture_now_ = 0;
  bool found_work_ = false;
  std::array<core::Packet, core::kBurst> burst_;
  std::array<Group, kPortIdEnd> groups_;
  std::array<core::PortId, kPortIdEnd> groups_used_;
  unsigned groups_used_count_ = 0;
  HoldTable held_;
  std::array<PortCounters, kPortIdEnd> counters_;  // written: worker, read: control
  std::unique_ptr<CaptureRing> capture_ring_;
};

}  // namespace fairlead::dpdk
