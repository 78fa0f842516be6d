#include "dataplane/core/icmp_answer.hpp"
#include "dataplane/core/steps/apply.hpp"
#include "dataplane/core/steps/commit.hpp"
#include "dataplane/core/steps/path_mtu.hpp"
#include "dataplane/core/steps/slow_path.hpp"
#include "dataplane/core/steps/still_choosable.hpp"
#include "dataplane/core/tcp_reset.hpp"
#include "dataplane/core/worker_burst.hpp"

// The packet path for one packet that walks the steps: what its flow entry says, or the slow path and a new
// entry; and how it ends.

namespace fairlead::core {

namespace {

[[nodiscard]] auto key_function(const flow_key4&) {
  return &steps::key4_of;
}
[[nodiscard]] auto key_function(const flow_key6&) {
  return &steps::key6_of;
}

// A reply goes to whom the connection began with, not to an endpoint that has its address by now.
template <typename Table>
[[nodiscard]] bool leads_to_client(const Walk& walk, const Snapshot& snapshot, const Table& table,
                                   FlowHit hit) {
  const Side client = Side::from_raw(table.body(hit.id).verdict(Direction::kOriginal).ingress.raw);
  const Side far = snapshot.template_of(walk.template_id).far;
  return client.kind() != Side::kEndpoint || far.kind() != Side::kEndpoint || far == client;
}

// Moves the connection's state on. True: it is over and this packet begins the next one under the same tuple.
template <typename Table>
inline bool step_flow(Table& table, FlowHit hit, const Walk& walk) {
  if (walk.p.protocol == FL_PROTOCOL_TCP) return table.step_tcp(hit.id, hit.direction, walk.p.tcp_flags);
  table.step_datagram(hit.id, hit.direction);
  return false;
}

// The first segment of whoever opens a TCP connection.
inline bool begins_stream(const Walk& walk) {
  constexpr uint8_t kDeciding = FL_TCP_SYN | FL_TCP_ACK | FL_TCP_RST | FL_TCP_FIN;
  return walk.p.protocol == FL_PROTOCOL_TCP && (walk.p.tcp_flags & kDeciding) == FL_TCP_SYN;
}

// Would the packet begin the next connection under the tuple of one that is over? Changes nothing.
template <typename Table>
inline bool restarts(const Table& table, FlowHit hit, const Walk& walk) {
  if (walk.p.protocol != FL_PROTOCOL_TCP) return false;
  const FlowWord word = FlowWord::unpack(table.body(hit.id).state.load(std::memory_order_relaxed));
  return tcp_step(word.protocol_state, hit.direction, walk.p.tcp_flags).restart;
}

}  // namespace

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
  if (walk.p.is_fragment != 0 && burst.snapshot.translates) [[unlikely]]
    return decide_fragment(burst, walk, table, lookup.key);
  if (walk.p.is_icmp_error != 0) [[unlikely]] {
    steps::follow_quote(walk, table, key_function(lookup.key));
  }
  const FlowHit hit =
      walk.keyed ? table.confirm(lookup.entry, lookup.key, lookup.hash, plain.swapped) : FlowHit{};
  decide(burst, walk, table, lookup.key, hit);
}

template <typename Table, typename Key>
void Forwarder::Worker::Impl::decide(Burst& burst, Walk& walk, Table& table, const Key& key, FlowHit hit) {
  const Snapshot& snapshot = burst.snapshot;
  if (hit.id != 0) [[likely]] {
    if (hit.translated) walk.translation = steps::translation_of(table, hit);
    FlowBody& body = table.body(hit.id);
    const steps::FlowSays says = steps::FlowSays::read(body, hit.direction);
    if (steps::still_decides(says, walk, snapshot) && !step_flow(table, hit, walk)) [[likely]] {
      body.touch(hit.direction, burst.now_seconds);
      table.count(hit.id, hit.direction, 1, walk.p.l3_length);
      burst.counts.add(Counter::flow_hits);
      return finish(burst, walk, steps::apply(walk, snapshot.template_of(says.out.template_id)));
    }
  }
  burst.counts.add(Counter::flow_misses);
  judge_anew(burst, walk, table, key, hit, 0);
}

// What becomes of a translated connection's packet that its entry does not decide: its translation is kept
// where that may be. Otherwise `hit` is taken away, to be judged as a first packet, and the connection
// becomes `over`; or the packet is refused.
//
// - Another endpoint now has the client's address: whatever it sends is no packet of that connection.
// - The backend is not the Service's any more: a datagram chooses anew, and so does who begins a stream;
//   the ends of one under way must hear of it.
template <typename Table>
Verdict Forwarder::Worker::Impl::keep_translation(Walk& walk, const Snapshot& snapshot, const Table& table,
                                                  FlowHit& hit, FlowHit& over) {
  const bool original = hit.direction == Direction::kOriginal;
  const auto anew = [&] {
    over = hit;
    hit = {};
    walk.translation = {};
    return Verdict::go_on();
  };
  const Side client = Side::from_raw(table.body(hit.id).verdict(Direction::kOriginal).ingress.raw);
  if (original && client.kind() == Side::kEndpoint && walk.side != client) return anew();
  if (steps::still_choosable(snapshot, steps::ends_of(table, hit.id, true), &walk.choice)) {
    walk.choice.needs_return = false;  // as it was decided then
    return Verdict::go_on();
  }
  if (original && (walk.p.protocol == FL_PROTOCOL_UDP || begins_stream(walk))) return anew();
  if (const Verdict verdict = steps::source_check(walk, snapshot); !verdict.goes_on()) return verdict;
  return original ? Verdict::refuse(DropReason::BACKEND_GONE) : Verdict::drop(DropReason::BACKEND_GONE);
}

// The slow path, and what it decides into the table.
template <typename Table, typename Key>
void Forwarder::Worker::Impl::judge_anew(Burst& burst, Walk& walk, Table& table, const Key& key, FlowHit hit,
                                         unsigned attempt) {
  const Snapshot& snapshot = burst.snapshot;
  FlowHit over;
  if (hit.id != 0 && restarts(table, hit, walk)) {
    std::swap(hit, over);
    walk.translation = {};
  }
  if (hit.translated) {
    const Verdict kept = keep_translation(walk, snapshot, table, hit, over);
    if (!kept.goes_on()) return finish(burst, walk, kept);
  }
  if (hit.id != 0) walk.kept = true;
  const steps::ServiceMemory memory{shared.affinity.get(), burst.now_seconds};
  Verdict verdict = steps::slow_path(walk, snapshot, memory);
  FlowState state;
  if (verdict.goes_on() && !walk.kept && steps::begins_flow(walk, &state) &&
      !steps::hold_affinity(walk, memory)) [[unlikely]] {
    walk.choice = {};
    walk.translation = {};
    verdict = steps::slow_path(walk, snapshot, memory);
    if (verdict.goes_on()) static_cast<void>(steps::hold_affinity(walk, memory));
  }
  if (!verdict.goes_on()) {
    if (steps::is_service_refusal(verdict.reason)) service_counters.add_refusal(walk.choice.service);
    return finish(burst, walk, verdict);
  }
  // Errors have no flow entry: each of them comes this way.
  if (walk.p.is_icmp_error != 0) [[unlikely]] {
    const steps::PathMtuReport report = steps::path_mtu(walk, snapshot);
    if (report.peer != 0) path_mtus.put(report.peer, report.mtu);
  }
  if (hit.translated && hit.direction == Direction::kReply && !leads_to_client(walk, snapshot, table, hit)) {
    table.erase(hit.id);
    return finish(burst, walk, Verdict::drop(DropReason::NO_FLOW));
  }
  if (hit.id != 0 && step_flow(table, hit, walk)) std::swap(hit, over);
  // What begins nothing does not end another's connection.
  if (over.id != 0 && steps::begins_flow(walk, &state)) table.erase(over.id);
  const steps::Committed done =
      steps::commit(walk, snapshot, table, key, key_function(key), hit, ports, burst.now_ns);
  if (!done.verdict.goes_on()) return finish(burst, walk, done.verdict);
  if (done.exists) {
    // Another worker's packet of this connection was faster: what it decided holds for this one, too.
    if (attempt != 0) return finish(burst, walk, Verdict::drop(DropReason::NO_FLOW));
    walk.choice = {};
    walk.kept = false;
    walk.translation = steps::translation_of(table, done.hit);
    return judge_anew(burst, walk, table, key, done.hit, attempt + 1);
  }
  if (done.hit.id != 0) table.count(done.hit.id, done.hit.direction, 1, walk.p.l3_length);
  if (done.created) {
    burst.counts.add(Counter::flows_created);
    if (walk.choice.service != 0) service_counters.add_connection(walk.choice.service);
  }
  finish(burst, walk, steps::apply(walk, snapshot.template_of(walk.template_id)));
}

// A fragment, on a node that translates: a packet of the connection that its datagram's first one names.
template <typename Table, typename Key>
void Forwarder::Worker::Impl::decide_fragment(Burst& burst, Walk& walk, Table& table, Key key) {
  // Before anything is noted: who does not own the source must not speak for a datagram of who does.
  if (const Verdict verdict = steps::source_check(walk, burst.snapshot); !verdict.goes_on())
    return finish(burst, walk, verdict);
  switch (shared.fragments->follow(walk.p, burst.now_seconds)) {
    case FragmentTable::Outcome::kFollow:
      break;
    case FragmentTable::Outcome::kUnknown:
      return finish(burst, walk, Verdict::drop(DropReason::FRAGMENT_UNKNOWN));
    case FragmentTable::Outcome::kOverlap:
      return finish(burst, walk, Verdict::drop(DropReason::FRAGMENT_OVERLAP));
  }
  FlowHit hit;
  if (walk.p.has_ports != 0) {
    walk.keyed = true;
    key = key_function(key)(walk.p, &walk.swapped);
    walk.hash = table.hash(key);
    hit = table.lookup(key, walk.hash, walk.swapped);
  }
  decide(burst, walk, table, key, hit);
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

// The packet becomes an ICMP error or a TCP reset back to its sender, when it may be answered, the sender has
// not had enough of them, and the way back is clear.
bool Forwarder::Worker::Impl::answer(Burst& burst, Walk& walk, DropReason reason) {
  if (!may_be_answered(walk)) return false;
  const bool is_tcp = walk.p.protocol == FL_PROTOCOL_TCP;
  const bool resets = is_tcp && resets_tcp(reason) && may_be_reset(walk);
  // A reset is answered by nothing.
  if (is_tcp && resets_tcp(reason) && (walk.p.tcp_flags & FL_TCP_RST) != 0) return false;
  const Snapshot& snapshot = burst.snapshot;
  const Template& out = way_back(walk, snapshot);
  if (!can_carry_answer(out)) return false;

  flow_key6 source{};
  source.low_address = walk.p.source;
  if (!limiter.admit(flow_hash6(&shared.secret, &source), burst.now_ns)) return false;
  if (resets) return write_tcp_reset(walk, out.encap.length) && !steps::push(walk, out).goes_on();
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
  const IpAddress address = address_of(walk.destination(), walk.p.ip_version);
  const uint32_t slot = shared.wanted.want(walk.hold_port, address, AddressHash{}(address), burst.now_ns);
  if (slot == WantedNeighbours::kNone) return Verdict::drop(DropReason::NEIGHBOUR_UNRESOLVED);
  packet.next_hop = kWantedBase + slot;
  return Verdict::as_it_stands(Fate::kHold);
}

template void Forwarder::Worker::Impl::decide_walk(Burst&, FlowTable4&, const Lookup<FlowTable4>&);
template void Forwarder::Worker::Impl::decide_walk(Burst&, FlowTable6&, const Lookup<FlowTable6>&);

}  // namespace fairlead::core
