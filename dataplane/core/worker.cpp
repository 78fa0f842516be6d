#include "dataplane/core/plain_decide.hpp"
#include "dataplane/core/steps/decap.hpp"
#include "dataplane/core/steps/parse.hpp"
#include "dataplane/core/worker_burst.hpp"

// The packet path over a burst: parse, decap, lookup, and plain packets that their flow entry decides.
// worker_walk.cpp has the rest. README.md tells the life of a packet in the same order.

namespace fairlead::core {

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
