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
  read_headers(burst);
  choose_all(*shared.flows.v4, lookups4);
  choose_all(*shared.flows.v6, lookups6);
  decide_all(burst, *shared.flows.v4, lookups4);
  decide_all(burst, *shared.flows.v6, lookups6);
}

PlainPort& Forwarder::Worker::Impl::plain_port(const Snapshot& snapshot, PortId id) {
  if (ports_of != snapshot.serial) {
    ports_of = snapshot.serial;
    plain_ports.fill({});
    ways.follow(snapshot);
  }
  PlainPort& port = plain_ports[id % plain_ports.size()];
  if (port.id != id || !port.takes) {
    port = PlainPort::of(snapshot, id);
    if (!shared.config.reads_plain) port.takes = false;
  }
  return port;
}

// The steps before the lookup, for a packet that is not plain or that its flow entry does not decide.
Verdict Forwarder::Worker::Impl::walk_to_lookup(Burst& burst, size_t which) {
  Packet& packet = burst.packets[which];
  packet.fate = Fate::kNone;
  packet.reason = DropReason::NONE;
  packet.tx_port = 0;
  packet.encap_length = packet.tx_mtu = 0;
  packet.next_hop = 0;
  Walk& walk = walks[which];
  walk.start(packet);
  Verdict verdict = steps::parse(walk, burst.snapshot);
  if (verdict.goes_on()) verdict = steps::decap(walk, burst.snapshot);
  if (walk.decapsulated) burst.counts.add(Counter::decapsulated);
  return verdict;
}

template <typename Table, typename Key>
inline void Forwarder::Worker::Impl::find_flow(Walk& walk, size_t which, const Table& table,
                                               Key (*key_of)(const parsed&, bool*), Lookups<Table>& lookups) {
  Lookup<Table>& lookup = lookups.all[lookups.count++];
  steps::find_tuple(walk, table, key_of, &lookup.key);
  lookup.hash = walk.hash;
  table.begin(walk.hash);
  lookup.plain.l3 = nullptr;
  lookup.plain.swapped = walk.swapped;
  lookup.plain.which = static_cast<uint8_t>(which);
}

// Reads a plain packet into the next place of its family's lookups; false: it walks the steps, and nothing
// has been changed.
FL_INLINE bool Forwarder::Worker::Impl::read_plain(Burst& burst, PlainPort& port, const Packet& packet,
                                                   uint8_t which) {
  if (packet.length < 14 + 28 || packet.offload.segment_size != 0) [[unlikely]]
    return false;
  uint8_t* const l2 = packet.data;
  const auto sender = detail::load<uint64_t>(l2 + 6);
  if ((l2[0] & port.group_mask) != 0) [[unlikely]]
    return false;
  Lookup<FlowTable4>& lookup = lookups4.all[lookups4.count];
  lookup.plain.side = port.side | (FL_SWAP32(static_cast<uint32_t>(sender >> 16)) & port.id_mask);
  lookup.plain.which = which;
  lookup.plain.tunnelled = 0;
  if ((sender & port.mask) != port.value4) [[unlikely]] {
    return (sender & port.mask) == port.value6 &&
           read_plain6(l2 + 14, packet.length - 14, lookup.plain, 0, port.tunnel_port);
  }
  detail::PlainL4 l4;
  if (!read_plain4(l2 + 14, packet.length - 14, &lookup.plain, &l4)) [[unlikely]]
    return false;
  if (l4.ports >> 16 == port.tunnel_port && l4.protocol == FL_PROTOCOL_UDP) {
    return !packet.offload.checksum_partial && read_tunnelled(burst, port, lookup, l4);
  }
  put_plain4(*shared.flows.v4, lookup, l4);
  return true;
}

// The same for what is in the tunnel packet that was read as `lookup`, which becomes the inner packet's.
FL_INLINE bool Forwarder::Worker::Impl::read_tunnelled(Burst& burst, PlainPort& port,
                                                       Lookup<FlowTable4>& lookup, detail::PlainL4& l4) {
  const uint8_t* const outer = lookup.plain.l3;
  lookup.plain.side = plain_tunnel_side(port, burst.snapshot, outer, l4);
  lookup.plain.tunnelled = 1;
  if (lookup.plain.side == 0) [[unlikely]]
    return false;
  uint8_t* const l3 = lookup.plain.l3 + kPlainTunnelLength + 14;
  const uint32_t room = l4.length - 16 - 14;
  const auto ethertype = detail::load<uint16_t>(l3 - 2);
  if (ethertype == to_be16(FL_ETHERTYPE_IPV6).raw) {
    return read_plain6(l3, room, lookup.plain, outer[1], PlainPort::kNoTunnels);
  }
  if (ethertype != to_be16(FL_ETHERTYPE_IPV4).raw || !read_plain4(l3, room, &lookup.plain, &l4) ||
      decap_tos(outer[1], l3[1]) != l3[1]) [[unlikely]] {
    return false;
  }
  put_plain4(*shared.flows.v4, lookup, l4);
  return true;
}

FL_INLINE void Forwarder::Worker::Impl::put_plain4(const FlowTable4& table, Lookup<FlowTable4>& lookup,
                                                   const detail::PlainL4& l4) {
  __u64 key[2];
  lookup.plain.swapped = flow_key4_words(l4.addresses, l4.ports, l4.protocol, key) == FL_FLOW_FROM_HIGH;
  std::memcpy(&lookup.key, key, sizeof(lookup.key));
  flow_key4 in_registers;
  std::memcpy(&in_registers, key, sizeof(in_registers));
  lookup.hash = table.hash(in_registers);
  table.begin(lookup.hash);
  ++lookups4.count;
}

// `from`: side, which and tunnelled of the packet.
FL_INLINE bool Forwarder::Worker::Impl::read_plain6(uint8_t* l3, uint32_t room, const PlainPacket& from,
                                                    uint8_t outer_tos, uint32_t tunnel_port) {
  Lookup<FlowTable6>& lookup = lookups6.all[lookups6.count];
  detail::PlainL4 l4;
  lookup.plain = from;
  if (!core::read_plain6(l3, room, &lookup.plain, &lookup.key, &l4) ||
      (l4.ports >> 16 == tunnel_port && l4.protocol == FL_PROTOCOL_UDP)) [[unlikely]] {
    return false;
  }
  const uint8_t tos = plain_tos<6>(l3);
  if (decap_tos(outer_tos, tos) != tos) [[unlikely]]
    return false;
  ++lookups6.count;
  return true;
}

void Forwarder::Worker::Impl::read_headers(Burst& burst) {
  constexpr size_t kAhead = 4;
  const std::span<Packet> packets = burst.packets;
  lookups4.count = lookups6.count = 0;
  PlainPort* port = nullptr;
  for (size_t i = 0; i < packets.size(); ++i) {
    if (i + kAhead < packets.size()) __builtin_prefetch(packets[i + kAhead].data);
    const PortId id = packets[i].rx_port;
    if (port == nullptr || port->id != id) [[unlikely]]
      port = &plain_port(burst.snapshot, id);
    if (port->takes && read_plain(burst, *port, packets[i], static_cast<uint8_t>(i))) [[likely]]
      continue;
    const Verdict verdict = walk_to_lookup(burst, i);
    Walk& walk = walks[i];
    if (!verdict.goes_on()) [[unlikely]] {
      finish(burst, walk, verdict);
    } else if (walk.p.ip_version == 4) {
      find_flow(walk, i, *shared.flows.v4, steps::key4_of, lookups4);
    } else {
      find_flow(walk, i, *shared.flows.v6, steps::key6_of, lookups6);
    }
  }
}

// The two passes of a lookup over the burst. IPv4 has been hashed when it was read, so that its memory
// accesses start early; IPv6's hash is a longer chain of multiplications, and more of them are under way at
// once in a pass of their own (both measured: bench/README.md).
template <typename Table>
void Forwarder::Worker::Impl::choose_all(const Table& table, Lookups<Table>& lookups) {
  uint32_t second_count = 0;
  if constexpr (std::is_same_v<Table, FlowTable6>) {
    for (uint32_t i = 0; i < lookups.count; ++i) {
      Lookup<Table>& lookup = lookups.all[i];
      lookup.hash = table.hash(lookup.key);
      table.begin(lookup.hash);
    }
  }
  for (uint32_t i = 0; i < lookups.count; ++i) {
    Lookup<Table>& lookup = lookups.all[i];
    if (table.choose(lookup.hash, &lookup.candidate)) [[likely]]
      continue;
    table.fetch_second(lookup.hash);
    lookups.second[second_count++] = static_cast<uint8_t>(i);
  }
  for (uint32_t j = 0; j < second_count; ++j) {
    Lookup<Table>& lookup = lookups.all[lookups.second[j]];
    (void)table.choose_second(lookup.hash, &lookup.candidate);
  }
}

template <typename Table>
void Forwarder::Worker::Impl::decide_all(Burst& burst, Table& table, Lookups<Table>& lookups) {
  PlainDecider<Table> decider{table, ways.view(burst.snapshot), burst.packets.data(), burst.now_seconds};
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
  Walk& walk = walks[plain.which];
  if (plain.l3 != nullptr) {
    const Verdict verdict = walk_to_lookup(burst, plain.which);
    if (!verdict.goes_on()) return finish(burst, walk, verdict);  // cannot be: it was read as plain
    walk.keyed = true;
    walk.swapped = plain.swapped;
    walk.hash = lookup.hash;
  }
  const FlowHit hit =
      walk.keyed ? table.confirm(lookup.candidate, lookup.key, lookup.hash, plain.swapped) : FlowHit{};
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
