#pragma once

#include "dataplane/core/port_search.hpp"
#include "dataplane/core/steps/flow_lookup.hpp"
#include "dataplane/core/steps/route.hpp"
#include "dataplane/packet/icmp.h"

namespace fairlead::core::steps {

// What the flow entry of a judged packet says.
struct FlowPlan {
  FlowVerdict original;
  FlowVerdict reply;  // template 0: the way back is not clear now, so that no packet is decided by the entry
  FlowOwner owner = FlowOwner::kNone;
};

// Compiles the decision into an entry for both directions.
//
// Reads: FIB, next_hops, templates
[[nodiscard]] inline FlowPlan plan_flow(const Walk& walk, const Snapshot& snapshot) {
  const Template& out = snapshot.template_of(walk.template_id);
  FlowPlan plan;
  plan.original = {walk.template_id, out.generation, {walk.origin.raw()}};
  const NextHop& back = snapshot.next_hop(snapshot.route(walk.p.source, walk.p.ip_version));
  const Way way = choose_way(snapshot, back, walk.hash, walk.p.source, walk.p.ip_version);
  const Template& reply = snapshot.template_of(way.template_id);
  plan.reply.ingress = {out.far.raw()};
  // What the host sends from an address that is not its own: its answers would be forwarded between uplinks,
  // which is the slow path's to refuse.
  const bool transits = (back.kind == NextHopKind::kPeer || back.kind == NextHopKind::kGateway) &&
                        out.far.kind() != Side::kEndpoint && out.far.kind() != Side::kHost &&
                        !walk.translation.any();
  if (usable(reply) && !transits) {
    plan.reply.template_id = way.template_id;
    plan.reply.generation = reply.generation;
  }
  if (walk.origin.kind() == Side::kEndpoint) {
    plan.owner = FlowOwner::kOriginalIngress;
  } else if (out.far.kind() == Side::kEndpoint) {
    plan.owner = FlowOwner::kReplyIngress;
  }
  return plan;
}

[[nodiscard]] inline bool is_echo_reply(const parsed& p) {
  const bool v6 = p.ip_version == 6;
  return p.protocol == (v6 ? uint8_t{FL_PROTOCOL_ICMPV6} : uint8_t{FL_PROTOCOL_ICMP}) &&
         icmp_is_echo_reply(p.icmp_type, v6) != 0;
}

// May this packet begin an entry, and in which state? What nobody asked for begins nothing: an echo reply's
// entry would make the next request from there look like an answer.
[[nodiscard]] inline bool begins_flow(const Walk& walk, FlowState* state) {
  *state = FlowState::kOneWay;
  if (!walk.keyed || is_echo_reply(walk.p)) return false;
  return walk.p.protocol != FL_PROTOCOL_TCP || tcp_first(walk.p.tcp_flags, *state);
}

// What commit did.
struct Committed {
  FlowHit hit;  // id 0: the packet goes without an entry
  bool created = false;
  bool exists = false;  // another packet was faster: `hit` is its entry, which decides
  Verdict verdict;
};

// One connection on its way into the table.
template <typename Table, typename Key>
class Commit {
 public:
  Commit(Walk& walk, Table& table, const Key& key, Key (*key_of)(const parsed&, bool*), const FlowInit& init)
      : walk_(walk), table_(table), key_(key), key_of_(key_of), init_(init) {}

  // Begins to fetch what translated() will read.
  void fetch() const {
    if (!walk_.translation.translates_source)
      table_.fetch_both(reply_of(from_be16(walk_.p.source_port)).hash);
  }

  // Two first packets of one tuple make one entry, of which either goes. A full table or a used-up quota
  // costs an untranslated connection its fast path, not its packets: they would all be judged alike.
  [[nodiscard]] Committed untranslated(const Snapshot& snapshot, PortSearch& ports, uint64_t now_ns) {
    InsertResult result = table_.insert(key_, walk_.hash, init_);
    if (result.outcome == InsertOutcome::kTaken && makes_way(result.hit)) {
      result = table_.insert(key_, walk_.hash, init_);
    }
    // The tuple is that of a translated connection's replies, the other way round: this connection must look
    // different, and has its own address to do so.
    if (result.outcome == InsertOutcome::kTaken) return with_own_address(snapshot, ports, now_ns);
    if (result.outcome == InsertOutcome::kExists && !result.hit.translated)
      return {result.hit, false, false, {}};
    return conclude(result, false);
  }

  [[nodiscard]] Committed translated(const Snapshot& snapshot, PortSearch& ports, uint64_t now_ns) {
    if (walk_.translation.translates_source) return search(snapshot, ports, now_ns);
    const FlowTuple<Key> reply = reply_of(from_be16(walk_.p.source_port));
    InsertResult result = table_.insert(key_, walk_.hash, init_, reply);
    if (result.outcome == InsertOutcome::kTaken && makes_way(result.hit)) {
      result = table_.insert(key_, walk_.hash, init_, reply);
    }
    if (result.outcome == InsertOutcome::kTaken) return with_own_address(snapshot, ports, now_ns);
    return conclude(result, true);
  }

 private:
  // The client speaks to this backend from this port already, by another Service or directly: another source
  // port at its own address tells the two apart.
  [[nodiscard]] Committed with_own_address(const Snapshot& snapshot, PortSearch& ports, uint64_t now_ns) {
    walk_.translation.translates_source = true;
    walk_.translation.source = walk_.p.source;
    return search(snapshot, ports, now_ns);
  }

  // The first port of the sweep whose reply nobody has. Looking first spares the locks where it is taken.
  [[nodiscard]] Committed search(const Snapshot& snapshot, PortSearch& ports, uint64_t now_ns) {
    const uint64_t pool = reply_of(0).hash;
    PortSearch::Sweep sweep = ports.sweep(snapshot.snat_port_first, snapshot.snat_port_last,
                                          from_be16(walk_.p.source_port), walk_.hash, pool, now_ns);
    uint16_t port = 0;
    while (sweep.next(&port)) {
      if (is_reserved(snapshot, port)) continue;
      const FlowTuple<Key> reply = reply_of(port);
      if (table_.lookup(reply.key, reply.hash, reply.swapped).id != 0) continue;
      const InsertResult result = table_.insert(key_, walk_.hash, init_, reply);
      if (result.outcome == InsertOutcome::kTaken) continue;
      walk_.translation.source_port = to_be16(port);
      return conclude(result, true);
    }
    ports.found_none(sweep, pool, now_ns);
    return {{}, false, false, Verdict::drop(DropReason::SNAT_EXHAUSTED)};
  }

  // Does somebody else answer on this port of ours: a NodePort, the tunnel? Asked of every address: a
  // client's own reaches us by the same ways.
  [[nodiscard]] bool is_reserved(const Snapshot& snapshot, uint16_t port) const {
    const uint8_t protocol = walk_.p.protocol;
    if (protocol == FL_PROTOCOL_UDP && port == snapshot.tunnel_port) return true;
    return protocol != FL_PROTOCOL_ICMP && protocol != FL_PROTOCOL_ICMPV6 &&
           snapshot.frontends.is_node_port(port, protocol);
  }

  // The tuple of a reply to this packet once it is translated, to source port `port`.
  [[nodiscard]] FlowTuple<Key> reply_of(uint16_t port) const {
    parsed reply{};
    reply.ip_version = walk_.p.ip_version;
    reply.protocol = walk_.p.protocol;
    reply.source = walk_.destination();
    reply.destination = walk_.translation.translates_source ? walk_.translation.source : walk_.p.source;
    reply.destination_port = to_be16(port);
    reply.source_port = walk_.destination_port();
    FlowTuple<Key> tuple;
    tuple.key = key_of_(reply, &tuple.swapped);
    tuple.hash = table_.hash(tuple.key);
    return tuple;
  }

  // Out of the way with a connection that is over, or of which only one side has been heard: such an entry
  // may be made by a stray packet, and must not keep a real connection from being translated.
  [[nodiscard]] bool makes_way(FlowHit other) {
    const FlowWord word = FlowWord::unpack(table_.body(other.id).state.load(std::memory_order_relaxed));
    const bool over =
        word.protocol_state == FlowState::kTcpClosed || word.protocol_state == FlowState::kTcpReset;
    return (over || (!other.translated && evictable(word.protocol_state))) && table_.erase(other.id);
  }

  [[nodiscard]] Committed conclude(const InsertResult& result, bool translated) {
    switch (result.outcome) {
      case InsertOutcome::kInserted:
        return {{result.hit.id, Direction::kOriginal, translated}, true, false, {}};
      case InsertOutcome::kExists:
        return {result.hit, false, true, {}};
      case InsertOutcome::kQuota:
        return {{}, false, false, translated ? Verdict::drop(DropReason::FLOW_QUOTA) : Verdict::go_on()};
      case InsertOutcome::kTaken:
      case InsertOutcome::kFull:
        break;
    }
    return {{}, false, false, translated ? Verdict::drop(DropReason::FLOW_TABLE_FULL) : Verdict::go_on()};
  }

  Walk& walk_;
  Table& table_;
  const Key& key_;
  Key (*const key_of_)(const parsed&, bool*);
  const FlowInit& init_;
};

// Writes the decision where the connection's next packets find it: a new entry, or the one that is there but
// did not decide any more.
//
// A translated connection without an entry cannot be: nothing of it leaves then.
//
// Reads:  FIB, next_hops, templates, snat ports
// Writes: flow table; walk.translation (the source port; or a source after all, where tuples collide)
// Drops:  FLOW_TABLE_FULL, FLOW_QUOTA, SNAT_EXHAUSTED, NO_FLOW (nothing that begins a connection),
// UNTRANSLATABLE
template <typename Table, typename Key>
[[nodiscard]] inline Committed commit(Walk& walk, const Snapshot& snapshot, Table& table, const Key& key,
                                      Key (*key_of)(const parsed&, bool*), FlowHit known, PortSearch& ports,
                                      uint64_t now_ns) {
  const auto now_seconds = static_cast<uint32_t>(now_ns / 1'000'000'000);
  const bool translated = walk.translation.any();
  if (walk.p.is_icmp_error != 0) return {};  // itself no packet of a connection
  FlowInit init;
  if (known.id == 0 && !begins_flow(walk, &init.state)) {
    if (!translated) return {};
    return {{}, false, false, Verdict::drop(walk.keyed ? DropReason::NO_FLOW : DropReason::UNTRANSLATABLE)};
  }
  Commit<Table, Key> entry(walk, table, key, key_of, init);
  if (translated && known.id == 0) entry.fetch();
  const FlowPlan plan = plan_flow(walk, snapshot);
  Committed done{known, false, false, {}};
  if (known.id == 0) {
    init.swapped = walk.swapped;
    init.original = plan.original;
    init.reply = plan.reply;
    init.owner = plan.owner;
    init.now_seconds = now_seconds;
    done =
        translated ? entry.translated(snapshot, ports, now_ns) : entry.untranslated(snapshot, ports, now_ns);
    if (done.created || done.exists || done.hit.id == 0) return done;
  }
  table.set_verdict(done.hit.id, done.hit.direction, plan.original, now_seconds);
  table.set_verdict(done.hit.id, opposite(done.hit.direction), plan.reply, now_seconds);
  return done;
}

}  // namespace fairlead::core::steps
