#pragma once

#include "dataplane/core/counters.hpp"
#include "dataplane/core/node_state.hpp"

#include <cstddef>
#include <cstdint>

namespace fairlead::core {

// What is still to be done to a packet before it may stand on a wire (the meaning of virtio_net_hdr).
//
// Offsets count from the frame's first byte and move with every push and pull.
struct Offload {
  bool checksum_partial = false;   // the L4 checksum field holds the pseudo-header sum only
  bool checksum_verified = false;  // the device has verified it
  uint8_t segment_kind = 0;        // SegmentKind
  uint16_t segment_size = 0;       // payload bytes per segment; 0: one packet
  uint16_t checksum_start = 0;     // checksum_partial: where summing begins
  uint16_t checksum_offset = 0;    // checksum_partial: the field, from checksum_start
};

enum SegmentKind : uint8_t { kSegmentNone = 0, kSegmentTcp4 = 1, kSegmentTcp6 = 2, kSegmentUdp = 3 };

enum class Fate : uint8_t {
  kNone,     // not judged yet
  kForward,  // to tx_port, as it stands
  kAnswer,   // turned into an ICMP error because of `reason`, to tx_port
  kPunt,     // to the host port (tx_port), as it stands
  kHold,     // tx_port known, MAC of `next_hop` not: bytes untouched, the engine keeps it a moment, then
             // release_held()
  kDrop,     // `reason`
};

// One packet of a burst. The bytes belong to the engine; forward() rewrites them in place.
//
// The frame is one contiguous piece of up to 65,407 bytes with `headroom` writable bytes before it. A TCP
// super-packet (Offload::segment_size != 0) is one packet here; the engine segments it when the tx port
// cannot.
struct Packet {
  uint8_t* data = nullptr;  // first byte of the Ethernet header
  void* buffer = nullptr;   // the engine's own handle; forward() never touches it
  uint32_t length = 0;      // bytes from `data`
  uint16_t headroom = 0;    // bytes that may be pushed in front of `data`
  uint16_t tailroom = 0;
  // What forward() says. In one word: flows with one fate share it, and a hit stores it at once.
  alignas(8) PortId tx_port = 0;  // with kForward, kAnswer, kPunt, kHold
  Fate fate = Fate::kNone;
  DropReason reason = DropReason::NONE;
  uint16_t encap_length = 0;  // bytes of tunnel header pushed in front of the inner Ethernet header; 0: none
  uint16_t tx_mtu = 0;        // L3 bytes allowed per frame on tx_port (outer, when encapsulated)
  uint32_t next_hop = 0;      // kHold: index of the unresolved next hop
  PortId rx_port = 0;
  Offload offload;
};
static_assert(sizeof(Packet) == 48 && offsetof(Packet, tx_port) == 24 && offsetof(Packet, next_hop) == 32);

inline constexpr unsigned kBurst = 64;

}  // namespace fairlead::core
