#pragma once

#include "dataplane/base/result.hpp"
#include "dataplane/core/counters.hpp"
#include "dataplane/core/node_state.hpp"
#include "dataplane/core/packet.hpp"
#include "dataplane/core/service_counters.hpp"
#include "dataplane/core/underlay.hpp"
#include "dataplane/engine.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace fairlead::core {

struct ForwarderConfig {
  unsigned workers = 1;
  uint32_t flow_capacity = 1u << 18;      // connections, IPv4; IPv6 gets a quarter
  uint64_t seed = 0;                      // secret of the flow hash; 0: from the system, per boot
  uint32_t icmp_errors_per_second = 100;  // per source; TCP resets are of the same
  uint32_t affinity_clients = 1u << 16;   // remembered at once, over all Services with session affinity
  bool reads_plain = true;                // false: every packet walks all steps, as a test compares them
};

// What core knows about a port.
struct PortFacts {
  PortId id = 0;
  PortKind kind = PortKind::kUplink;
  MacAddress mac{};
  uint16_t mtu = 1500;
  bool up = true;
  bool exclusive = false;  // uplink the kernel does not see: its ARP and ND and whatever is not ours is
                           // punted as it stands
};

// A next hop whose MAC address the kernel has not told us (yet). `next_hop` is what held packets carry.
struct UnresolvedNextHop {
  uint32_t next_hop = 0;
  PortId port = 0;
  IpAddress address;
};

// The state all workers of one engine share, and the workers.
//
// Threads: publish(), set_underlay(), set_ports(), each_flow(), age() from one control thread; Worker i from
// its own thread. publish() and set_underlay() build the next snapshot beside the current one (sharing what
// did not change), swap one pointer and return when every online worker has passed a quiescent point; only
// then is what was replaced freed.
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
  [[nodiscard]] Counters counters() const;  // any thread
  // Since this Service was first published under its id. Control thread.
  [[nodiscard]] ServiceCounts service_counts(ServiceId service) const;
  void each_flow(const FlowFilter& filter, const FlowVisitor& visit) const;
  [[nodiscard]] Result<Trace> trace(const TraceRequest& request) const;
  // A slice of incremental ageing, at most `budget` entries; call about every 10 ms. Also follows the path
  // MTUs of tunnels: takes up what routers told the workers since, forgets what is older than ten minutes.
  void age(uint64_t now_ns, uint32_t budget);
  // Next hops whose MAC is unknown and which a peer, a route or a recent packet needs: the engine asks the
  // kernel to resolve them. What the kernel learns comes back through set_underlay().
  [[nodiscard]] std::vector<UnresolvedNextHop> unresolved_next_hops() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The packet path of one thread.
class Forwarder::Worker {
 public:
  Worker();
  ~Worker();
  Worker(const Worker&) = delete;
  Worker& operator=(const Worker&) = delete;

  // Judges and rewrites a burst of at most kBurst packets in place: every one leaves with a Fate.
  //
  // Counts `in` and the fates at once, so that conservation holds whenever counters() reads. `now_ns` is the
  // monotonic clock. No allocation, lock, syscall or exception.
  void forward(std::span<Packet> burst, uint64_t now_ns);

  // Judges packets again that left forward() with kHold (bytes and rx_port untouched since), best after
  // set_underlay(): each leaves with any Fate and is counted under it; kHold again means that it still waits.
  // At most kBurst at a time.
  void release_held(std::span<Packet> held, uint64_t now_ns);
  // Turns `count` already counted as forwarded, answered, punted or held into drops of `reason` (tx queue
  // full, no buffer, waited too long for a neighbour: kHold and NEIGHBOUR_UNRESOLVED, ...). `answered_for` is
  // Packet::reason of an answer.
  void undo(Fate counted_as, DropReason reason, uint32_t count, DropReason answered_for = DropReason::NONE);

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
