#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "dataplane/base/result.hpp"
#include "dataplane/core/counters.hpp"
#include "dataplane/core/node_state.hpp"
#include "dataplane/core/packet.hpp"
#include "dataplane/core/underlay.hpp"
#include "dataplane/engine.hpp"

namespace fairlead::core {

struct ForwarderConfig {
  unsigned workers = 1;
  uint32_t flow_capacity = 1u << 18;  // connections, IPv4; IPv6 gets a quarter
  uint64_t seed = 0;                  // secret of the flow hash; 0: from the system, per boot
  uint32_t icmp_errors_per_second = 100;  // per source
};

// What core knows about a port.
struct PortFacts {
  PortId id = 0;
  PortKind kind = PortKind::kUplink;
  MacAddress mac;
  uint16_t mtu = 1500;
  bool up = true;
};

// The state all workers of one engine share, and the workers.
//
// Threads: publish(), set_underlay(), set_ports(), each_flow(), age() from one control thread; Worker i from its own thread.
// publish() and set_underlay() build the next snapshot beside the current one (sharing what did not change), swap one pointer
// and return when every online worker has passed a quiescent point; only then is what was replaced freed.
class Forwarder {
 public:
  class Worker;

  explicit Forwarder(const ForwarderConfig& config);
  ~Forwarder();
  Forwarder(const Forwarder&) = delete;
  Forwarder& operator=(const Forwarder&) = delete;

  Result<void> publish(const NodeStateDelta& delta);
  Result<void> set_underlay(const Underlay& underlay);
  Result<void> set_ports(std::span<const PortFacts> ports);

  [[nodiscard]] const NodeState& node_state() const;  // control thread
  [[nodiscard]] Worker& worker(unsigned index);
  [[nodiscard]] Counters counters() const;            // any thread
  void each_flow(const FlowFilter& filter, const FlowVisitor& visit) const;
  [[nodiscard]] Result<Trace> trace(const TraceRequest& request) const;
  // A slice of incremental ageing, at most `budget` entries; call about every 10 ms.
  void age(uint64_t now_ns, uint32_t budget);
  // Next hops whose MAC is unknown: the engine asks the kernel to resolve them (their `Packet::next_hop` is the index).
  [[nodiscard]] std::vector<std::pair<PortId, IpAddress>> unresolved_next_hops() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The packet path of one thread.
class Forwarder::Worker {
 public:
  // Judges and rewrites a burst of at most kBurst packets in place: every one leaves with a Fate.
  //
  // Counts `in` and the fates at once, so that conservation holds whenever counters() reads. `now_ns` is the monotonic clock.
  // No allocation, lock, syscall or exception.
  void forward(std::span<Packet> burst, uint64_t now_ns);

  // What the engine must say afterwards about packets it was told to forward, answer, hold or punt.
  // A held packet is either released (judged again: becomes kForward or kDrop, counted) or dropped.
  void release_held(std::span<Packet> held, uint64_t now_ns);
  // Turns `count` already counted as forwarded/answered/punted into drops of `reason` (tx queue full, no buffer, ...).
  void undo(Fate counted_as, DropReason reason, uint32_t count);

  // Called once a loop: this worker holds no pointer into an older snapshot.
  void quiescent();
  // Around sleeping: an offline worker is not waited for.
  void offline();
  void online();

  struct Impl;

 private:
  friend class Forwarder;
  std::unique_ptr<Impl> impl_;
};

}  // namespace fairlead::core
