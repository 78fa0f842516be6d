#pragma once

#include "dataplane/core/flow_table.hpp"
#include "dataplane/core/walk.hpp"
#include "dataplane/packet/crc32c.h"
#include "dataplane/packet/rewrite.h"

namespace fairlead::core::steps {

// Addresses and ports of a packet that goes against `key`'s own direction.
[[nodiscard]] inline Translation reverse_of(const flow_key4& key, bool swapped) {
  Translation to;
  to.translates_source = to.translates_destination = true;
  to.source.word[0] = swapped ? key.low_address : key.high_address;
  to.destination.word[0] = swapped ? key.high_address : key.low_address;
  to.source_port = swapped ? key.low_port : key.high_port;
  to.destination_port = swapped ? key.high_port : key.low_port;
  return to;
}
[[nodiscard]] inline Translation reverse_of(const flow_key6& key, bool swapped) {
  Translation to;
  to.translates_source = to.translates_destination = true;
  to.source = swapped ? key.low_address : key.high_address;
  to.destination = swapped ? key.high_address : key.low_address;
  to.source_port = swapped ? key.low_port : key.high_port;
  to.destination_port = swapped ? key.high_port : key.low_port;
  return to;
}

// What the packets become that were found by `hit`: an original packet the reverse of the reply, a reply the
// reverse of the original packet. Nothing else need be remembered.
template <typename Table>
[[nodiscard]] inline Translation translation_of(const Table& table, FlowHit hit) {
  if (!hit.translated) return {};
  return reverse_of(table.target_of(hit.id, hit.direction), table.is_target_swapped(hit.id, hit.direction));
}

// Writes walk.translation into the packet: addresses, ports (ICMP echo: the id) and every checksum. Of a
// later fragment only the addresses; its ports and checksum travel in the first.
//
// Partial checksums (Offload::checksum_partial) stay partial, a UDP checksum of zero stays zero, SCTP's CRC
// is carried on. Super-packets are as any other: whoever cuts them derives each checksum from the headers.
//
// Drops: UNTRANSLATABLE, with nothing changed: a fragment of an SCTP packet whose ports would change, as its
//        CRC covers bytes that are not there
// RFC:   1624, 3022 section 4.1, 9260 section 6.8
[[nodiscard]] inline Verdict translate(const Walk& walk) {
  const parsed& p = walk.p;
  const Translation& to = walk.translation;
  uint8_t* const frame = walk.packet->data;
  const be16 source_port = to.translates_source ? to.source_port : p.source_port;
  const be16 destination_port = to.translates_destination ? to.destination_port : p.destination_port;
  const bool is_sctp = p.protocol == FL_PROTOCOL_SCTP && parsed_has_l4_header(&p) != 0;
  if (is_sctp) {
    const bool same = source_port == p.source_port && destination_port == p.destination_port;
    if (!same && p.is_fragment != 0) return Verdict::drop(DropReason::UNTRANSLATABLE);
    rewrite_sctp(frame + p.l4_offset, p.l3_offset + p.l3_length - p.l4_offset, source_port, destination_port);
  }
  const int partial = walk.packet->offload.checksum_partial ? 1 : 0;
  if (p.ip_version == 4) {
    const rewrite4 fields{to.translates_source ? to.source.word[0] : p.source.word[0],
                          to.translates_destination ? to.destination.word[0] : p.destination.word[0],
                          source_port, destination_port};
    (void)rewrite_frame4(frame, &p, &fields, partial);
  } else {
    const rewrite6 fields{to.translates_source ? to.source : p.source,
                          to.translates_destination ? to.destination : p.destination, source_port,
                          destination_port};
    (void)rewrite_frame6(frame, &p, &fields, partial);
  }
  return Verdict::go_on();
}

}  // namespace fairlead::core::steps
