#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace fairlead::core {

// Which way a packet goes through its connection: `original` is the way of the packet that made the entry.
enum class Direction : uint8_t { kOriginal = 0, kReply = 1 };

[[nodiscard]] constexpr Direction opposite(Direction direction) {
  return static_cast<Direction>(static_cast<uint8_t>(direction) ^ 1);
}

// How far a connection has come, as far as its packets show it.
enum class FlowState : uint8_t {
  kOneWay,          // UDP, ICMP echo, SCTP, ...: only the original direction has spoken
  kTwoWay,          // ... both have
  kTcpSynSent,      // SYN seen, no answer: may be a flood
  kTcpSynReceived,  // SYN|ACK (or the peer's SYN: simultaneous open) seen
  kTcpEstablished,
  kTcpMidstream,    // first packet seen was no SYN (table lost, route changed); one direction has spoken
  kTcpFinOriginal,  // half closed by the original side: the other may go on sending for long
  kTcpFinReply,     // half closed by the reply side
  kTcpClosed,       // both FINs seen
  kTcpReset,        // RST seen
  kCount
};

// new | established | closing | one-way | two-way: what people are shown.
[[nodiscard]] std::string_view text(FlowState state);

// May an entry in this state go first when the table is full? (Nothing is lost that a retry does not bring
// back.)
[[nodiscard]] constexpr bool evictable(FlowState state) {
  return state != FlowState::kTcpEstablished && state != FlowState::kTcpFinOriginal &&
         state != FlowState::kTcpFinReply && state != FlowState::kTwoWay;
}

// TCP flag bits as they stand in the header's 14th byte.
enum TcpFlag : uint8_t { kTcpFin = 0x01, kTcpSyn = 0x02, kTcpRst = 0x04, kTcpPsh = 0x08, kTcpAck = 0x10 };

// What a TCP packet makes of its connection.
struct TcpStep {
  FlowState next = FlowState::kTcpReset;
  bool restart = false;  // a SYN for a tuple whose connection is over: erase the entry and judge the packet
                         // as a first one
};

// The state a first packet with these flags gives an entry; `restart` unused.
// False: the packet starts nothing (RST, FIN without SYN): forward it without an entry.
[[nodiscard]] bool tcp_first(uint8_t flags, FlowState& first);

// The next state. Packets that fit nowhere (a SYN inside an established connection, a SYN|ACK from the
// original side, ...) change nothing: the endpoints answer them (RFC 5961 4.2) and an outsider cannot move
// the entry with one guess. A RST moves to kTcpReset, which only shortens the idle time: if the endpoints
// ignore a forged one, their packets keep it. RFC: 9293 3.3.2, 3.5; 5382 REQ-2 (simultaneous open), REQ-5
// (timeouts)
[[nodiscard]] TcpStep tcp_step(FlowState state, Direction direction, uint8_t flags);

// The same for everything but TCP.
[[nodiscard]] constexpr FlowState datagram_step(FlowState state, Direction direction) {
  return direction == Direction::kReply ? FlowState::kTwoWay : state;
}

// Idle seconds after which an entry goes; each at most kMaxTimeout.
//
// RFC: 5382 REQ-5 (established >= 2 h 4 min, transitory >= 4 min is for NAT; SYN-only is shorter on purpose:
// dataplane restarts nothing by forgetting it), 4787 REQ-5 (UDP >= 2 min), 5508 REQ-2 (ICMP >= 60 s).
struct FlowTimeouts {
  static constexpr uint16_t kMaxTimeout =
      43200;  // time-stamps are 16 bits of seconds: keep well below the wrap

  uint16_t tcp_syn_seconds = 10;
  uint16_t tcp_syn_received_seconds = 30;
  uint16_t tcp_established_seconds = 21600;
  uint16_t tcp_midstream_seconds = 60;
  uint16_t tcp_half_closed_seconds = 3600;
  uint16_t tcp_closed_seconds = 20;
  uint16_t tcp_reset_seconds = 10;
  uint16_t udp_one_way_seconds = 30;
  uint16_t udp_two_way_seconds = 180;
  uint16_t icmp_one_way_seconds = 10;
  uint16_t icmp_two_way_seconds = 60;
  uint16_t sctp_one_way_seconds = 10;
  uint16_t sctp_two_way_seconds = 3600;
  uint16_t other_seconds = 600;

  [[nodiscard]] uint16_t of(FlowState state, uint8_t protocol) const;
};

}  // namespace fairlead::core
