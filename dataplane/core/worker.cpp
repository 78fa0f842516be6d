#include "dataplane/core/forwarder_state.hpp"
#include "dataplane/core/icmp_answer.hpp"
#include "dataplane/core/plain_decide.hpp"
#include "dataplane/core/steps/apply.hpp"
#include "dataplane/core/steps/commit.hpp"
#include "dataplane/core/steps/decap.hpp"
#include "dataplane/core/steps/parse.hpp"
#include "dataplane/core/steps/path_mtu.hpp"
#include "dataplane/core/steps/slow_path.hpp"

// The packet path: parse, decap, burst lookup; then per packet either what the flow entry says, or the slow
// path and a new entry. README.md tells the life of a packet in the same order.

namespace fairlead::core {

struct Forwarder::Worker::Impl::Burst {
  const Snapshot& snapshot;
  std::span<Packet> packets;
  CounterBurst& counts;
  uint64_t now_ns;
  uint32_t now_seconds;
};

void Forwarder::Worker::Impl::judge(std::span<Packet> packets, uint64_t now_ns, CounterBurst& counts) {
  Burst burst{*shared.current.load(std::memory_order_acquire), packets, counts, now_ns,
              static_cast<uint32_t>(now_ns / 1'000'000'000)};
  if (shortcuts_of != burst.snapshot.serial) {
    shortcuts_of = burst.snapshot.serial;
    plain_ports.fill({});
    ways.clear();
  }
  ways.follow(burst.now_seconds);
  read_headers(burst);
  choose_all(*shared.flows.v4, lookups4);
  choose_all(*shared.flows.v6, lookups6);
  decide_all(burst, *shared.flows.v4, lookups4);
  decide_all(burst, *shared.flows.v6, lookups6);
}

PlainPort& Forwarder::Worker::Impl::plain_port(const Snapshot& snapshot, PortId id) {
  PlainPort& port = plain_ports[id % plain_ports.size()];
  if (port.id != id || port.length_least == UINT32_MAX) {
    port = PlainPort::of(snapshot, id);
    if (!shared.config.reads_plain) port.length_least = UINT32_MAX;
  }
  return port;
}

// The steps before the lookup, for a packet that is not plain or that its flow entry does not decide.
Verdict Forwarder::Worker::Impl::walk_to_lookup(Burst& burst, Walk& walk, Packet& packet) {
  packet.fate = Fate::kNone;
  packet.reason = DropReason::NONE;
  packet.tx_port = 0;
  packet.encap_length = packet.tx_mtu = 0;
  packet.next_hop = 0;
  walk.start(packet);
  Verdict verdict = steps::parse(walk, burst.snapshot);
  if (verdict.goes_on()) verdict = steps::decap(walk, burst.snapshot);
  if (walk.decapsulated) burst.counts.add(Counter::decapsulated);
  return verdict;
}

template <typename Table, typename Key>
inline void Forwarder::Worker::Impl::find_flow(Walk& walk, const Table& table,
                                               Key (*key_of)(const parsed&, bool*), Lookups<Table>& lookups) {
  Lookup<Table>& lookup = lookups.all[lookups.count++];
  steps::find_tuple(walk, table, key_of, &lookup.key);
  lookup.hash = walk.hash;
  lookup.bucket = table.begin(walk.hash);
  lookup.plain = {.packet = walk.packet, .side = PlainPacket::kNoSide, .swapped = walk.swapped};
}

// A packet that is not plain, up to where connections are looked up.
void Forwarder::Worker::Impl::walk_to_lookups(Burst& burst, Packet& packet) {
  Walk& walk = walks[static_cast<size_t>(&packet - burst.packets.data())];
  const Verdict verdict = walk_to_lookup(burst, walk, packet);
  if (!verdict.goes_on()) [[unlikely]]
    return finish(burst, walk, verdict);
  if (walk.p.ip_version == 4) {
    find_flow(walk, *shared.flows.v4, steps::key4_of, lookups4);
  } else {
    find_flow(walk, *shared.flows.v6, steps::key6_of, lookups6);
  }
}

void Forwarder::Worker::Impl::read_headers(Burst& burst) {
  lookups4.count = lookups6.count = 0;
  if (burst.packets.empty()) return;
  PlainReader reader(burst.snapshot, *shared.flows.v4, *shared.flows.v6, lookups4, lookups6);
  PlainPort* port = &plain_port(burst.snapshot, burst.packets.front().rx_port);
  for (Packet& packet : burst.packets) {
    if (port->id != packet.rx_port) [[unlikely]]
      port = &plain_port(burst.snapshot, packet.rx_port);
    if (reader.read(*port, packet)) [[likely]]
      continue;
    reader.pause();
    walk_to_lookups(burst, packet);
    reader.resume();
  }
  reader.pause();
  burst.counts.add(Counter::decapsulated, reader.decapsulated());
}

// The passes of a lookup over the burst: keys have been hashed when they were read, so that fetching buckets
// began early.
template <typename Table>
void Forwarder::Worker::Impl::choose_all(const Table& table, Lookups<Table>& lookups) {
  uint32_t second_count = 0;
  Lookup<Table>* const begin = lookups.all.data();
  Lookup<Table>* const end = begin + lookups.count;
  for (Lookup<Table>* lookup = begin; lookup != end; ++lookup) {
    lookup->entry = table.choose(lookup->bucket, lookup->hash);
    if (lookup->entry != nullptr) [[likely]]
      continue;
    table.fetch_second(lookup->hash);
    lookups.second[second_count++] = static_cast<uint8_t>(lookup - begin);
  }
  for (uint32_t j = 0; j < second_count; ++j) {
    Lookup<Table>& lookup = begin[lookups.second[j]];
    lookup.entry = table.choose_second(lookup.hash);
  }
}

template <typename Table>
void Forwarder::Worker::Impl::decide_all(Burst& burst, Table& table, Lookups<Table>& lookups) {
  PlainDecider<Table> decider{table, ways, burst.snapshot, burst.now_seconds};
  Lookup<Table>* const end = lookups.all.data() + lookups.count;
  for (Lookup<Table>* lookup = lookups.all.data(); lookup != end; ++lookup) {
    if (decider.decide(*lookup)) [[likely]]
      continue;
    decide_walk(burst, table, *lookup);
  }
  decider.add_counts(burst.counts);
}

// A packet whose entry did not decide at once, or that is not plain: it walks the steps. One that was read as
// plain has not walked yet.
template <typename Table>
void Forwarder::Worker::Impl::decide_walk(Burst& burst, Table& table, const Lookup<Table>& lookup) {
  const PlainPacket& plain = lookup.plain;
  Packet& packet = *plain.packet;
  Walk& walk = walks[static_cast<size_t>(&packet - burst.packets.data())];
  if (plain.l3 != nullptr) {
    // A tunnel packet was counted when it was read; the walk counts it again.
    if (plain.l3 - packet.data > 14) burst.counts.add(Counter::decapsulated, ~uint64_t{0});
    const Verdict verdict = walk_to_lookup(burst, walk, packet);
    if (!verdict.goes_on()) return finish(burst, walk, verdict);  // a sender without a number
    walk.keyed = true;
    walk.swapped = plain.swapped;
    walk.hash = lookup.hash;
  }
  const FlowHit hit =
      walk.keyed ? table.confirm(lookup.entry, lookup.key, lookup.hash, plain.swapped) : FlowHit{};
  decide(burst, walk, table, lookup.key, hit);
}

// Moves the connection's state on. True: it is over and this packet begins the next one under the same tuple.
template <typename Table>
inline bool step_flow(Table& table, FlowHit hit, const Walk& walk) {
  if (walk.p.protocol == FL_PROTOCOL_TCP) return table.step_tcp(hit.id, hit.direction, walk.p.tcp_flags);
  table.step_datagram(hit.id, hit.direction);
  return false;
}

template <typename Table, typename Key>
void Forwarder::Worker::Impl::decide(Burst& burst, Walk& walk, Table& table, const Key& key, FlowHit hit) {
  const Snapshot& snapshot = burst.snapshot;
  if (hit.id != 0) [[likely]] {
    FlowBody& body = table.body(hit.id);
    const steps::FlowSays says = steps::FlowSays::read(body, hit.direction);
    if (steps::still_decides(says, walk, snapshot)) [[likely]] {
      if (!step_flow(table, hit, walk)) [[likely]] {
        body.touch(hit.direction, burst.now_seconds);
        table.count(hit.id, hit.direction, 1, walk.p.l3_length);
        burst.counts.add(Counter::flow_hits);
        return finish(burst, walk, steps::apply(walk, snapshot.template_of(says.out.template_id)));
      }
      table.erase(hit.id);
      hit = {};
    }
  }

  burst.counts.add(Counter::flow_misses);
  Verdict verdict = steps::slow_path(walk, snapshot);
  if (!verdict.goes_on()) return finish(burst, walk, verdict);
  // Errors have no flow entry: each of them comes this way.
  if (walk.p.is_icmp_error != 0) [[unlikely]] {
    const steps::PathMtuReport report = steps::path_mtu(walk, snapshot);
    if (report.peer != 0) path_mtus.put(report.peer, report.mtu);
  }
  if (hit.id != 0 && step_flow(table, hit, walk)) {
    table.erase(hit.id);
    hit = {};
  }
  bool created = false;
  hit = steps::commit(walk, snapshot, table, key, hit, burst.now_seconds, &created);
  if (hit.id != 0) table.count(hit.id, hit.direction, 1, walk.p.l3_length);
  if (created) burst.counts.add(Counter::flows_created);
  finish(burst, walk, steps::apply(walk, snapshot.template_of(walk.template_id)));
}

// Gives the packet its fate and counts it; the one place that does.
void Forwarder::Worker::Impl::finish(Burst& burst, Walk& walk, Verdict verdict) {
  Packet& packet = *walk.packet;
  if (verdict.fate == Fate::kHold) verdict = hold(burst, walk);
  if (verdict.answerable && answer(burst, walk, verdict.reason)) verdict.fate = Fate::kAnswer;
  packet.fate = verdict.fate;
  packet.reason = verdict.reason;
  switch (verdict.fate) {
    case Fate::kForward:
      burst.counts.add(Counter::forwarded);
      break;
    case Fate::kPunt:
      burst.counts.add(Counter::punted);
      break;
    case Fate::kHold:
      burst.counts.add(Counter::held);
      break;
    case Fate::kAnswer:
      burst.counts.answer(verdict.reason);
      break;
    case Fate::kNone:  // no step ends so
    case Fate::kDrop:
      packet.fate = Fate::kDrop;
      burst.counts.drop(verdict.reason);
      return;
  }
  if (packet.encap_length != 0) burst.counts.add(Counter::encapsulated);
}

// The packet becomes an ICMP error back to its sender, when it may be answered, the sender has not had enough
// of them, and the way back is clear.
bool Forwarder::Worker::Impl::answer(Burst& burst, Walk& walk, DropReason reason) {
  if (!may_be_answered(walk)) return false;
  const Snapshot& snapshot = burst.snapshot;
  const Template& out = way_back(walk, snapshot);
  if (!can_carry_answer(out)) return false;

  flow_key6 source{};
  source.low_address = walk.p.source;
  if (!limiter.admit(flow_hash6(&shared.secret, &source), burst.now_ns)) return false;
  const uint16_t mtu = snapshot.template_of(walk.template_id).l3_mtu;
  const IcmpError error = icmp_error_for(reason, walk.p.ip_version, mtu);
  if (!write_icmp_error(walk, snapshot, error, out.encap.length)) return false;
  return !steps::push(walk, out).goes_on();
}

// The packet waits, untouched, for its next hop's MAC address.
Verdict Forwarder::Worker::Impl::hold(Burst& burst, Walk& walk) {
  Packet& packet = *walk.packet;
  packet.tx_port = walk.hold_port;
  if (walk.template_id != 0) {
    packet.next_hop = burst.snapshot.template_of(walk.template_id).next_hop;
    return Verdict::as_it_stands(Fate::kHold);
  }
  const IpAddress address = address_of(walk.p.destination, walk.p.ip_version);
  const uint32_t slot = shared.wanted.want(walk.hold_port, address, AddressHash{}(address), burst.now_ns);
  if (slot == WantedNeighbours::kNone) return Verdict::drop(DropReason::NEIGHBOUR_UNRESOLVED);
  packet.next_hop = kWantedBase + slot;
  return Verdict::as_it_stands(Fate::kHold);
}

Forwarder::Worker::Worker() = default;
Forwarder::Worker::~Worker() = default;

void Forwarder::Worker::forward(std::span<Packet> burst, uint64_t now_ns) {
  CounterBurst counts;
  counts.add(Counter::in, burst.size());
  impl_->judge(burst, now_ns, counts);
  impl_->counters.add(counts);
}

void Forwarder::Worker::release_held(std::span<Packet> held, uint64_t now_ns) {
  CounterBurst counts;
  counts.add(Counter::held, uint64_t{0} - held.size());
  impl_->judge(held, now_ns, counts);
  impl_->counters.add(counts);
}

void Forwarder::Worker::undo(Fate counted_as, DropReason reason, uint32_t count, DropReason answered_for) {
  CounterBurst counts;
  const uint64_t less = uint64_t{0} - count;
  switch (counted_as) {
    case Fate::kForward:
      counts.add(Counter::forwarded, less);
      break;
    case Fate::kPunt:
      counts.add(Counter::punted, less);
      break;
    case Fate::kHold:
      counts.add(Counter::held, less);
      break;
    case Fate::kAnswer:
      counts.answer(answered_for, less);
      break;
    case Fate::kNone:
    case Fate::kDrop:
      return;  // a drop stays what it was
  }
  counts.drop(reason, count);
  impl_->counters.add(counts);
}

void Forwarder::Worker::quiescent() {
  impl_->shared.epoch.quiescent(impl_->index);
}
void Forwarder::Worker::offline() {
  impl_->shared.epoch.offline(impl_->index);
}
void Forwarder::Worker::online() {
  impl_->shared.epoch.online(impl_->index);
}

}  // namespace fairlead::core
