#pragma once

#include "dataplane/core/counters.hpp"
#include "dataplane/core/packet.hpp"

#include <cstdint>

namespace fairlead::core {

// What a transmit port cannot do itself: cut super-packets, complete checksums, fragment. Pure; no heap, lock
// or syscall; any thread. The packet is one that forward() let go: its headers were parsed and are trusted to
// be whole, but every offset that came with it (Offload) is checked again here.

// A buffer for one frame.
struct FrameBuffer {
  uint8_t* data = nullptr;  // nullptr: there is none
  uint32_t capacity = 0;    // writable bytes at `data`
  void* handle = nullptr;   // the engine's own
};

// Where frames come from and go to: plain functions, so that a caller without virtual functions and
// std::function on its packet path can hand them in.
struct FrameSink {
  void* context = nullptr;
  // A buffer of at least `length` bytes; data == nullptr when there is none.
  FrameBuffer (*allocate)(void* context, uint32_t length) = nullptr;
  // Takes the buffer over; its first `length` bytes are a frame, complete in every checksum. In wire order.
  void (*emit)(void* context, const FrameBuffer& buffer, uint32_t length) = nullptr;
};

struct FrameResult {
  DropReason reason = DropReason::NONE;  // NONE: all frames emitted
  uint32_t frames = 0;                   // how many were emitted, also when it stopped early
};

// More frames than this are never made of one packet: a sender that asks for one byte per segment pays, not
// we.
inline constexpr uint32_t kFramesMax = 2048;

// How many frames segment() will emit for the packet, so that buffers can be taken at once; 0 when it will
// refuse it.
[[nodiscard]] uint32_t segment_count(const Packet& packet);

// Cuts a super-packet (offload.segment_size != 0) into frames of at most segment_size payload bytes and emits
// them.
//
// The frame may carry a tunnel header (`encap_length` bytes); IPv4 or IPv6 on either side. Every segment gets
// the headers of the whole with its own lengths, IPv4 id (+1 each), TCP sequence and flags (CWR on the first
// only, FIN and PSH on the last only; RFC 3168 section 6.1.2), and complete checksums; UDP without checksum
// stays without, an outer UDP checksum is computed where the whole had one. `packet` and its bytes are not
// changed.
//
// Errors: MALFORMED_L4 (not the protocol its segment_kind says, a fragment, more than kFramesMax), or what
// the parser says about the inner frame, nothing emitted; NO_BUFFER when the sink ran out, after `frames`
// frames.
FrameResult segment(const Packet& packet, const FrameSink& sink);

// Completes a partial L4 checksum in place (offload.checksum_partial; RFC 1071) and clears the flag. True
// when the checksum is complete now, also when it was before; false when the offsets do not fit the frame,
// nothing changed.
//
// An outer UDP checksum, when there is one, stays right: encap_finish_udp6() reckoned with it.
[[nodiscard]] bool finish_checksum(Packet& packet);

// Cuts an IPv4 packet without DF into fragments whose (outer) L3 length is at most `tx_mtu`, and emits them;
// RFC 791 section 3.2. With a tunnel header the inner packet is fragmented and each fragment gets a tunnel
// header of its own. A packet that is a fragment already is cut further. The packet fits: it is emitted
// whole.
//
// The L4 checksum must be complete, and the packet no super-packet. Errors, nothing emitted: TOO_BIG (DF,
// IPv6, or an MTU that leaves less than 8 bytes), or what the parser says; NO_BUFFER after `frames` frames.
FrameResult fragment_ipv4(const Packet& packet, uint32_t tx_mtu, const FrameSink& sink);

}  // namespace fairlead::core
