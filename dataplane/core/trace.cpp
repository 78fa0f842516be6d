#include "dataplane/core/describe_service.hpp"
#include "dataplane/core/forwarder_state.hpp"
#include "dataplane/core/icmp_answer.hpp"
#include "dataplane/core/steps/apply.hpp"
#include "dataplane/core/steps/commit.hpp"
#include "dataplane/core/steps/decap.hpp"
#include "dataplane/core/steps/parse.hpp"
#include "dataplane/core/steps/slow_path.hpp"
#include "dataplane/core/trace_frame.hpp"

#include <algorithm>

// Forwarder::trace(): a hypothetical packet through the steps that forward() takes, saying at each what
// decided. The steps are the very functions of the packet path; only commit and the ICMP limit, which would
// leave traces, are left out.

namespace fairlead::core {

namespace {

std::string prefix_list(const std::vector<Prefix>& prefixes) {
  std::string text;
  for (const Prefix& prefix : prefixes) text += (text.empty() ? "" : ", ") + prefix.text();
  return text;
}

std::string_view verdict_name(Fate fate) {
  switch (fate) {
    case Fate::kForward:
      return "forward";
    case Fate::kAnswer:
      return "answer";
    case Fate::kPunt:
      return "punt";
    case Fate::kHold:
      return "hold";
    case Fate::kNone:
    case Fate::kDrop:
      break;
  }
  return "drop";
}

std::string drop_text(Verdict verdict) {
  const NameAndSentence why = describe(verdict.reason);
  return std::string(why.name) + ": " + std::string(why.sentence);
}

// One trace under way: the snapshot, the names, the packet and what has been said so far.
class Tracer {
 public:
  Tracer(const Snapshot& snapshot, const SnapshotBuilder& names, const FlowTables& flows,
         const steps::ServiceMemory& memory)
      : snapshot_(snapshot), names_(names), flows_(flows), memory_(memory) {}

  Trace run(TraceFrame& frame) {
    walk_.start(frame.packet);
    Verdict verdict = steps::parse(walk_, snapshot_);
    say(Step::parse, side_name(), verdict.goes_on() ? packet_text() : drop_text(verdict));
    if (verdict.goes_on()) {
      verdict = steps::decap(walk_, snapshot_);
      say(Step::decap, "", verdict.goes_on() ? "not tunnel traffic" : drop_text(verdict));
    }
    if (verdict.goes_on()) verdict = decide();
    return conclude(verdict);
  }

 private:
  void say(Step step, std::string object, std::string text) {
    trace_.steps.push_back({std::string(describe(step).name), std::move(object), std::move(text)});
  }

  Verdict decide() {
    const bool decided = look_up();
    const uint32_t by_entry = walk_.template_id;
    Verdict verdict = steps::slow_path(walk_, snapshot_, memory_,
                                       [&](Step step, Verdict said) { explain(step, said, decided); });
    if (decided) {
      // The slow path was walked for its reasons only.
      walk_.template_id = by_entry;
      return leave();
    }
    if (!verdict.goes_on()) return verdict;
    const steps::FlowPlan plan = steps::plan_flow(walk_, snapshot_);
    FlowState state;
    say(Step::commit, "",
        !steps::begins_flow(walk_, &state) ? "no flow entry for such a packet"
        : plan.reply.template_id == 0
            ? "would write a flow entry; its first reply would be judged by itself"
            : "would write a flow entry; replies to " +
                  names_.describe(snapshot_.template_of(plan.reply.template_id).owner));
    return leave();
  }

  // True when the connection's entry decides, as it would for a real packet.
  bool look_up() {
    steps::FlowSays says;
    if (walk_.p.ip_version == 4) {
      says = look_up_in(*flows_.v4, steps::key4_of);
    } else {
      says = look_up_in(*flows_.v6, steps::key6_of);
    }
    const FlowVerdict& found = says.out;
    const Template& out = snapshot_.template_of(found.template_id);
    const bool decides = steps::still_decides(says, walk_, snapshot_);
    if (!walk_.keyed) {
      say(Step::flow_lookup, "", "neither ports nor an echo id: no flow entry, the slow path decides");
    } else if (found.template_id == 0) {
      say(Step::flow_lookup, "", "no flow entry yet: the slow path decides");
    } else if (decides) {
      walk_.template_id = found.template_id;
      say(Step::flow_lookup, names_.describe(out.owner),
          "the connection's flow entry decides; the steps below say why");
    } else {
      say(Step::flow_lookup, names_.describe(out.owner),
          "the flow entry does not decide (any more): the slow path does");
    }
    return decides;
  }

  template <typename Table, typename Key>
  steps::FlowSays look_up_in(const Table& table, Key (*key_of)(const parsed&, bool*)) {
    Key key;
    steps::find_tuple(walk_, table, key_of, &key);
    const FlowHit hit = walk_.keyed ? table.lookup(key, walk_.hash, walk_.swapped) : FlowHit{};
    if (hit.id == 0) return {};
    walk_.translation = steps::translation_of(table, hit);
    walk_.kept = true;
    return steps::FlowSays::read(table.body(hit.id), hit.direction);
  }

  void explain(Step step, Verdict verdict, bool only_why) {
    std::string object, text;
    if (step == Step::source_check) {
      object = side_name();
      text = source_text();
    } else if (step == Step::service) {
      ServiceStory story = tell_service(walk_, snapshot_);
      object = std::move(story.object);
      text = std::move(story.text);
    } else if (step == Step::policy) {
      text = "no policies: allowed";
    } else if (step == Step::masquerade) {
      const Translation& to = walk_.translation;
      text = to.translates_source ? "source becomes " + address_of(to.source, walk_.p.ip_version).text() +
                                        ", port chosen at commit"
                                  : "the source stays";
    } else {
      const IpAddress destination = address_of(walk_.destination(), walk_.p.ip_version);
      object = names_.describe_route(destination);
      text = route_text(destination);
    }
    if (!verdict.goes_on() && verdict.fate == Fate::kDrop) text = drop_text(verdict);
    if (verdict.fate == Fate::kHold) {
      text = "MAC address not known on port " + std::to_string(walk_.hold_port) +
             ": waits for the kernel to resolve it";
    }
    if (only_why) text += " (not walked: the flow entry decided)";
    say(step, std::move(object), std::move(text));
  }

  Verdict leave() {
    const Template& out = snapshot_.template_of(walk_.template_id);
    const uint32_t l3_length = walk_.p.l3_length;
    const Verdict verdict = steps::apply(walk_, out);
    if (verdict.fate == Fate::kDrop) {
      say(Step::apply, "", drop_text(verdict));
      return verdict;
    }
    const Packet& packet = *walk_.packet;
    trace_.pushed_header.assign(packet.data, packet.data + packet.length - l3_length);
    std::string text = translation_text();
    text += out.kind == TemplateKind::kPunt ? "TTL kept" : "TTL " + std::to_string(walk_.p.ttl - 1);
    if (packet.encap_length != 0) {
      text += ", " + std::to_string(packet.encap_length) + " bytes of tunnel header pushed";
    } else {
      text += ", Ethernet addresses written";
    }
    if (walk_.l3_size() > out.l3_mtu) text += ", fragmented for MTU " + std::to_string(out.l3_mtu);
    say(Step::apply, names_.describe(out.owner), std::move(text));
    return verdict;
  }

  Trace conclude(Verdict verdict) {
    if (verdict.answerable && answerable()) verdict.fate = Fate::kAnswer;
    trace_.verdict = verdict_name(verdict.fate);
    if (verdict.reason != DropReason::NONE) trace_.drop_reason = describe(verdict.reason).name;
    PortId port = walk_.packet->tx_port;
    if (verdict.fate == Fate::kHold) port = walk_.hold_port;
    if (verdict.fate == Fate::kAnswer) port = answer_port_;
    if (verdict.fate != Fate::kDrop) trace_.port = port_name(port);
    return std::move(trace_);
  }

  // Would the sender be told? As Worker::Impl::answer(), without its memory of how often it was.
  bool answerable() {
    if (!may_be_answered(walk_)) return false;
    const Template& out = way_back(walk_, snapshot_);
    answer_port_ = out.tx_port;
    return can_carry_answer(out);
  }

  std::string port_name(PortId id) const {
    const PortView* port = snapshot_.port(id);
    if (port == nullptr) return "port " + std::to_string(id);
    static constexpr const char* kNames[] = {"uplink", "trunk", "host", "fast"};
    return std::string(kNames[static_cast<size_t>(port->kind)]) + " (port " + std::to_string(id) + ")";
  }

  std::string side_name() const {
    switch (walk_.side.kind()) {
      case Side::kEndpoint: {
        const Endpoint* endpoint = snapshot_.endpoint(walk_.side.id());
        return endpoint != nullptr ? "pod " + endpoint->pod_namespace + "/" + endpoint->pod_name
                                   : "unknown endpoint";
      }
      case Side::kPeer: {
        const Peer* peer = snapshot_.peer(static_cast<PeerId>(walk_.side.id()));
        return peer != nullptr ? "node " + peer->node : "unknown node";
      }
      case Side::kUplink:
        return "uplink";
      case Side::kHost:
        return "host";
      case Side::kNone:
        break;
    }
    return "unknown port";
  }

  std::string packet_text() const {
    const parsed& p = walk_.p;
    const bool ports = p.has_ports != 0 && p.protocol != FL_PROTOCOL_ICMP && p.protocol != FL_PROTOCOL_ICMPV6;
    const auto side = [&](const ip_address& address, be16 port) {
      std::string text = address_of(address, p.ip_version).text();
      if (!ports) return text;
      return (p.ip_version == 6 ? "[" + text + "]" : text) + ":" + std::to_string(from_be16(port));
    };
    return side(p.source, p.source_port) + " -> " + side(p.destination, p.destination_port) + ", protocol " +
           std::to_string(p.protocol) + ", " + std::to_string(p.l3_length) + " bytes, TTL " +
           std::to_string(p.ttl);
  }

  // "10.244.1.2:4000 -> 10.244.1.3:5353, ", or nothing where nothing is translated.
  std::string translation_text() const {
    const Translation& to = walk_.translation;
    const parsed& p = walk_.p;
    if (!to.any()) return {};
    const auto side = [&](const ip_address& address, be16 port, const char* unknown) {
      const std::string text = address_of(address, p.ip_version).text();
      const std::string number = port.raw == 0 ? unknown : std::to_string(from_be16(port));
      return (p.ip_version == 6 ? "[" + text + "]" : text) + ":" + number;
    };
    const bool source = to.translates_source, destination = to.translates_destination;
    return side(source ? to.source : p.source, source ? to.source_port : p.source_port, "?") + " -> " +
           side(destination ? to.destination : p.destination,
                destination ? to.destination_port : p.destination_port, "0") +
           ", ";
  }

  std::string source_text() const {
    const std::string source = address_of(walk_.p.source, walk_.p.ip_version).text();
    if (walk_.side.kind() == Side::kEndpoint) return source + " is the pod's address";
    if (walk_.side.kind() == Side::kPeer || walk_.origin.kind() == Side::kPeer) {
      const Peer* peer = snapshot_.peer(static_cast<PeerId>(walk_.origin.id()));
      if (peer != nullptr) return source + " is in " + peer->node + "'s " + prefix_list(peer->pod_cidrs);
    }
    return walk_.side == Side::host() ? "the node's own stack is trusted" : source + " may come from outside";
  }

  std::string route_text(const IpAddress& destination) const {
    const NextHop& to = snapshot_.next_hop(walk_.next_hop);
    const Template& out = snapshot_.template_of(walk_.template_id);
    if (to.kind == NextHopKind::kPeer) {
      const Peer* peer = snapshot_.peer(static_cast<PeerId>(to.id));
      if (peer == nullptr) return {};
      const std::string node = "node " + peer->node;
      if (peer->transport == Transport::kOverlay) {
        std::string text = node + ", tunnel to " + peer->vtep.text() + ", MTU " + std::to_string(out.l3_mtu);
        const uint16_t learned = names_.learned_path_mtu(peer->id);
        if (learned != 0) text += " (path MTU " + std::to_string(learned) + " learned from a router)";
        return text;
      }
      const IpAddress& next_hop = destination.is_ipv4() ? peer->next_hop4 : peer->next_hop6;
      return node + ", routed by " + next_hop.text() + ", MTU " + std::to_string(out.l3_mtu);
    }
    if (out.kind == TemplateKind::kPunt) return "to the node's own stack";
    return "by port " + std::to_string(out.tx_port) + ", MTU " + std::to_string(out.l3_mtu);
  }

  const Snapshot& snapshot_;
  const SnapshotBuilder& names_;
  const FlowTables& flows_;
  const steps::ServiceMemory memory_;
  Walk walk_;
  Trace trace_;
  PortId answer_port_ = 0;
};

}  // namespace

Result<Trace> Forwarder::trace(const TraceRequest& request) const {
  const Snapshot& snapshot = *state_->current.load(std::memory_order_acquire);
  Result<TraceFrame> frame = build_trace_frame(request, snapshot);
  if (!frame) return frame.error();
  const steps::ServiceMemory memory{state_->affinity.get(),
                                    static_cast<uint32_t>(state_->now_ns / 1'000'000'000)};
  return Tracer(snapshot, state_->builder, state_->flows, memory).run(*frame);
}

}  // namespace fairlead::core
