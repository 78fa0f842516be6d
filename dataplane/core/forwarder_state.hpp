#pragma once

#include "dataplane/core/affinity.hpp"
#include "dataplane/core/epoch.hpp"
#include "dataplane/core/flow_quota.hpp"
#include "dataplane/core/forwarder.hpp"
#include "dataplane/core/fragment_table.hpp"
#include "dataplane/core/icmp_limiter.hpp"
#include "dataplane/core/path_mtu_notes.hpp"
#include "dataplane/core/plain_packet.hpp"
#include "dataplane/core/plain_ways.hpp"
#include "dataplane/core/port_search.hpp"
#include "dataplane/core/service_counters.hpp"
#include "dataplane/core/snapshot_builder.hpp"
#include "dataplane/core/steps/flow_lookup.hpp"
#include "dataplane/core/wanted_neighbours.hpp"
#include "dataplane/core/worker_counters.hpp"

#include <atomic>
#include <map>
#include <memory>
#include <vector>

namespace fairlead::core {

// Packet::next_hop of on-link destinations that only packets asked for; below are those that templates wait
// for.
inline constexpr uint32_t kWantedBase = 1u << 24;

// How far the control thread is in holding one table's entries against the current Services.
struct FlowReconciliation {
  FlowId cursor = 1;
  uint32_t left = 0;  // entries to look at until all have been since the last change
};

struct Forwarder::State {
  explicit State(const ForwarderConfig& with);
  ~State();

  // Makes what the builder has ready the current snapshot; returns when no online worker uses an older one.
  void swap();
  // Brings what routers told the workers about tunnels into the next snapshot, and takes back what is too
  // old.
  void follow_path_mtus();
  // Holds every flow against the Services of the current snapshot: kReconcileAtOnce of them now, the rest in
  // reconcile(), `budget` entries a call. A flow whose backend may not go on is judged anew by its next
  // packet.
  void begin_reconciliation();
  void reconcile(uint32_t budget);

  static constexpr uint32_t kReconcileAtOnce = 1u << 18;
  static constexpr uint64_t kReconcileEvery_ns = 30'000'000'000;
  // Over all workers, since the process began.
  [[nodiscard]] ServiceCounts service_total(ServiceId service) const;
  // What was counted so far for the ids of Services that `delta` brings anew: those begin at zero.
  [[nodiscard]] std::map<ServiceId, ServiceCounts> counts_of_others(const NodeStateDelta& delta) const;

  ForwarderConfig config;
  SnapshotBuilder builder;                        // control thread
  std::atomic<const Snapshot*> current{nullptr};  // written: control, read: workers
  Epoch epoch;
  FlowQuota quota;
  FlowTables flows;
  std::unique_ptr<FragmentTable> fragments;
  WantedNeighbours wanted;
  std::unique_ptr<AffinityTable> affinity;
  std::map<ServiceId, ServiceCounts> counted_before;  // by others under this id; control thread
  flow_secret secret;                                 // of ICMP limits
  uint64_t now_ns = 0;                                // of the last age(); control thread
  FlowReconciliation reconciling4, reconciling6;      // control thread
  uint64_t reconciled_ns = 0;
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
  PortSearch ports;
  ServiceCounters service_counters;

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
  void decide_fragment(Burst& burst, Walk& walk, Table& table, Key key);
  template <typename Table, typename Key>
  void decide(Burst& burst, Walk& walk, Table& table, const Key& key, FlowHit hit);
  template <typename Table, typename Key>
  void judge_anew(Burst& burst, Walk& walk, Table& table, const Key& key, FlowHit hit, unsigned attempt);
  template <typename Table>
  [[nodiscard]] Verdict keep_translation(Walk& walk, const Snapshot& snapshot, const Table& table,
                                         FlowHit& hit, FlowHit& over);
  void finish(Burst& burst, Walk& walk, Verdict verdict);
  bool answer(Burst& burst, Walk& walk, DropReason reason);
  Verdict hold(Burst& burst, Walk& walk);
};

}  // namespace fairlead::core
