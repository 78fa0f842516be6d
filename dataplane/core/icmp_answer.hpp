#pragma once

#include "dataplane/core/walk.hpp"

#include <cstdint>

namespace fairlead::core {

// What an ICMP error says.
struct IcmpError {
  uint8_t type = 0;
  uint8_t code = 0;
  uint16_t mtu = 0;  // too big: the largest packet the way takes
};

// The error that tells a sender why its packet was refused; `mtu` is the next hop's, for TOO_BIG.
[[nodiscard]] IcmpError icmp_error_for(DropReason reason, uint8_t ip_version, uint16_t mtu);

// May this packet be answered with an error at all? Not: errors, later fragments, what came from or went to
// more than one.
//
// RFC: 1122 section 3.2.2, 1812 section 4.3.2.7, 4443 section 2.4 (e)
[[nodiscard]] bool may_be_answered(const Walk& walk);

// Does the way back take an error of any length we write?
[[nodiscard]] inline bool can_carry_answer(const Template& out) {
  return usable(out) && out.l3_mtu >= 1280;
}

// The template by which an error gets back to where the packet came from: the host's through the host,
// everybody else's by the FIB (whether in the tunnel or in plain, receivers accept both).
[[nodiscard]] const Template& way_back(const Walk& walk, const Snapshot& snapshot);

// Makes `wanted` bytes of room in front of the L3 header, by headroom or by moving the packet back, of which
// `kept_length` bytes from the L3 header on are still wanted. False, with nothing changed, when there is
// none.
[[nodiscard]] bool make_room_for_answer(Packet& packet, uint32_t l3_offset, uint32_t kept_length,
                                        uint32_t wanted);

// Turns the packet, in place, into an ICMP error from this node to its sender, Ethernet header not yet
// written: walk.p describes the new packet, its source and destination are set, offload is cleared. The quote
// is as long as RFC 1812 section 4.3.2.3 (576 bytes in all) and RFC 4443 section 2.4 (c) (1,280) allow.
// Leaves room for a header of `header_length` bytes in front; false, with nothing changed, when the buffer
// has no such room.
[[nodiscard]] bool write_icmp_error(Walk& walk, const Snapshot& snapshot, const IcmpError& error,
                                    uint32_t header_length);

}  // namespace fairlead::core
