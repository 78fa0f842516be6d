#pragma once

#include "dataplane/core/epoch.hpp"
#include "dataplane/core/flow_quota.hpp"
#include "dataplane/core/forwarder.hpp"
#include "dataplane/core/icmp_limiter.hpp"
#include "dataplane/core/path_mtu_notes.hpp"
#include "dataplane/core/plain_packet.hpp"
#include "dataplane/core/plain_ways.hpp"
#include "dataplane/core/snapshot_builder.hpp"
#include "dataplane/core/steps/flow_lookup.hpp"
#include "dataplane/core/wanted_neighbours.hpp"
#include "dataplane/core/worker_counters.hpp"

#include <atomic>
#include <memory>
#include <vector>

namespace fairlead::core {

// Packet::next_hop of on-link destinations that only packets asked for; below are those that templates wait
// for.
inline constexpr uint32_t kWantedBase = 1u << 24;

struct Forwarder::State {
  explicit State(const ForwarderConfig& with);
  ~State();

  // Makes what the builder has ready the current snapshot; returns when no online worker uses an older one.
  void swap();
  // Brings what routers told the workers about tunnels into the next snapshot, and takes back what is too
  // old.
  void follow_path_mtus();

  ForwarderConfig config;
  SnapshotBuilder builder;                        // control thread
  std::atomic<const Snapshot*> current{nullptr};  // written: control, read: workers
  Epoch epoch;
  FlowQuota quota;
  FlowTables flows;
  WantedNeighbours wanted;
  flow_secret secret;      // of ICMP limits
  uint64_t now_ns = 0;     // of the last age(); control thread
  WorkerCounters control;  // what the control thread counts: expired flows
  std::vector<std::unique_ptr<Worker>> workers;
};

struct Forwarder::Worker::Impl {
  Impl(State& state, unsigned number)
      : shared(state),
        index(number),
        limiter(state.secret.finish + number, state.config.icmp_errors_per_second) {}

  void judge(std::span<Packet> packets, uint64_t now_ns, CounterBurst& counts);

  State& shared;
  const unsigned index;
  WorkerCounters counters;  // written: this worker, read: any
  IcmpLimiter limiter;
  PathMtuNotes path_mtus;  // written: this worker, taken: control

  std::array<Walk, kBurst> walks;
  Lookups<FlowTable4> lookups4;
  Lookups<FlowTable6> lookups6;
  PlainWays ways;
  std::array<PlainPort, 16> plain_ports;  // by the lower bits of the id
  uint64_t shortcuts_of = 0;              // the snapshot that these ports and `ways` are of

 private:
  struct Burst;  // what holds for all packets of one
  void read_headers(Burst& burst);
  [[nodiscard]] PlainPort& plain_port(const Snapshot& snapshot, PortId id);
  void walk_to_lookups(Burst& burst, Packet& packet);
  [[nodiscard]] Verdict walk_to_lookup(Burst& burst, Walk& walk, Packet& packet);
  template <typename Table, typename Key>
  void find_flow(Walk& walk, const Table& table, Key (*key_of)(const parsed&, bool*),
                 Lookups<Table>& lookups);
  template <typename Table>
  void choose_all(const Table& table, Lookups<Table>& lookups);
  template <typename Table>
  void decide_all(Burst& burst, Table& table, Lookups<Table>& lookups);
  template <typename Table>
  void decide_walk(Burst& burst, Table& table, const Lookup<Table>& lookup);
  template <typename Table, typename Key>
  void decide(Burst& burst, Walk& walk, Table& table, const Key& key, FlowHit hit);
  void finish(Burst& burst, Walk& walk, Verdict verdict);
  bool answer(Burst& burst, Walk& walk, DropReason reason);
  Verdict hold(Burst& burst, Walk& walk);
};

}  // namespace fairlead::core
