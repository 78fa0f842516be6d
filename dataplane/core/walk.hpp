#pragma once

#include "dataplane/core/next_hop.hpp"
#include "dataplane/core/packet.hpp"
#include "dataplane/core/snapshot.hpp"
#include "dataplane/core/translation.hpp"
#include "dataplane/packet/parsed.h"

#include <cstdint>

namespace fairlead::core {

// What a step says: go on (fate kNone), or the packet's fate and why.
struct [[nodiscard]] Verdict {
  Fate fate = Fate::kNone;
  DropReason reason = DropReason::NONE;
  bool answerable = false;  // kDrop: an ICMP error shall say so, where one may be sent

  [[nodiscard]] bool goes_on() const { return fate == Fate::kNone; }
  static Verdict go_on() { return {}; }
  static Verdict drop(DropReason why) { return {Fate::kDrop, why, false}; }
  static Verdict refuse(DropReason why) { return {Fate::kDrop, why, true}; }
  static Verdict as_it_stands(Fate fate) { return {fate, DropReason::NONE, false}; }
};

// One packet on its way through the steps: what was read, and what has been decided so far.
//
// Each field says which step writes it. All deciding is done on this; the packet's bytes change in decap
// (which moves the start and merges ECN) and in apply.
struct Walk {
  Packet* packet = nullptr;
  parsed p{};                 // parse, decap: of the packet to be forwarded
  Side side;                  // parse, decap: where it came from
  Side origin;                // source_check: side, or the peer that a packet in plain belongs to
  uint64_t hash = 0;          // flow_lookup: of the connection; of the addresses alone for fragments
  bool keyed = false;         // flow_lookup: has a tuple that a flow entry can be found by
  bool swapped = false;       // flow_lookup: normalising the tuple swapped it
  bool decapsulated = false;  // decap
  bool kept = false;          // flow_lookup: `translation` is what the connection's entry says, and stays
  uint32_t next_hop = 0;      // route
  uint32_t template_id = 0;   // route; 0 with kHold for a neighbour nobody knows yet
  PortId hold_port = 0;       // route: where the unresolved neighbour is
  ServiceChoice choice;       // service
  Translation translation;    // service, masquerade, commit

  void start(Packet& with) {
    packet = &with;
    side = origin = Side();
    hash = 0;
    next_hop = template_id = 0;
    hold_port = 0;
    keyed = swapped = decapsulated = kept = false;
    choice = {};
    translation = {};
  }
  [[nodiscard]] uint8_t* l3() const { return packet->data + p.l3_offset; }
  // Where the packet goes, translated: what policy and route judge.
  [[nodiscard]] const ip_address& destination() const {
    return translation.translates_destination ? translation.destination : p.destination;
  }
  [[nodiscard]] be16 destination_port() const {
    return translation.translates_destination ? translation.destination_port : p.destination_port;
  }
  // The largest L3 packet this becomes on a wire: a super-packet leaves in segments.
  [[nodiscard]] uint32_t l3_size() const {
    const uint32_t segment = packet->offload.segment_size;
    return segment == 0 ? p.l3_length : p.payload_offset - p.l3_offset + segment;
  }
};

// May packets take this template now?
[[nodiscard]] inline bool usable(const Template& out) {
  return out.kind == TemplateKind::kEthernet || out.kind == TemplateKind::kTunnel ||
         out.kind == TemplateKind::kPunt;
}

}  // namespace fairlead::core
