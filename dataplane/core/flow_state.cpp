#include "dataplane/core/flow_state.hpp"

namespace fairlead::core {

namespace {

constexpr uint8_t kProtocolIcmp = 1;
constexpr uint8_t kProtocolTcp = 6;
constexpr uint8_t kProtocolUdp = 17;
constexpr uint8_t kProtocolIcmpv6 = 58;
constexpr uint8_t kProtocolSctp = 132;

FlowState after_fin(FlowState state, Direction direction) {
  const bool original = direction == Direction::kOriginal;
  if (state == FlowState::kTcpFinOriginal) return original ? state : FlowState::kTcpClosed;
  if (state == FlowState::kTcpFinReply) return original ? FlowState::kTcpClosed : state;
  return original ? FlowState::kTcpFinOriginal : FlowState::kTcpFinReply;
}

// The handshake's second half and everything a packet with ACK (no SYN alone, no RST) means.
FlowState after_ack(FlowState state, Direction direction, uint8_t flags) {
  const bool original = direction == Direction::kOriginal;
  const bool syn = (flags & kTcpSyn) != 0;
  switch (state) {
    case FlowState::kTcpSynSent:
      return !original && syn ? FlowState::kTcpSynReceived : state;
    case FlowState::kTcpSynReceived:
      // The original side's ACK ends the handshake; in a simultaneous open it comes with its own SYN.
      if (original) return (flags & kTcpFin) != 0 ? FlowState::kTcpFinOriginal : FlowState::kTcpEstablished;
      return (flags & kTcpFin) != 0 ? FlowState::kTcpFinReply : state;
    case FlowState::kTcpMidstream:
      if ((flags & kTcpFin) != 0) return after_fin(state, direction);
      return original ? state : FlowState::kTcpEstablished;
    case FlowState::kTcpEstablished:
    case FlowState::kTcpFinOriginal:
    case FlowState::kTcpFinReply:
      return (flags & kTcpFin) != 0 && !syn ? after_fin(state, direction) : state;
    default:
      return state;
  }
}

}  // namespace

std::string_view text(FlowState state) {
  switch (state) {
    case FlowState::kOneWay:
      return "one-way";
    case FlowState::kTwoWay:
      return "two-way";
    case FlowState::kTcpSynSent:
    case FlowState::kTcpSynReceived:
      return "new";
    case FlowState::kTcpEstablished:
    case FlowState::kTcpMidstream:
      return "established";
    case FlowState::kTcpFinOriginal:
    case FlowState::kTcpFinReply:
    case FlowState::kTcpClosed:
    case FlowState::kTcpReset:
      return "closing";
    case FlowState::kCount:
      break;
  }
  return "unknown";
}

bool tcp_first(uint8_t flags, FlowState& first) {
  if ((flags & kTcpRst) != 0) return false;
  if ((flags & kTcpSyn) != 0) {
    if ((flags & kTcpFin) != 0) return false;
    // A SYN|ACK without its SYN: the SYN went another way or was seen by the process before us.
    first = (flags & kTcpAck) != 0 ? FlowState::kTcpMidstream : FlowState::kTcpSynSent;
    return true;
  }
  if ((flags & kTcpFin) != 0 || (flags & kTcpAck) == 0) return false;
  first = FlowState::kTcpMidstream;
  return true;
}

TcpStep tcp_step(FlowState state, Direction direction, uint8_t flags) {
  const bool over = state == FlowState::kTcpClosed || state == FlowState::kTcpReset;
  if ((flags & kTcpRst) != 0) return {FlowState::kTcpReset, false};
  if ((flags & (kTcpSyn | kTcpFin)) == (kTcpSyn | kTcpFin)) return {state, false};  // no endpoint sends that
  if ((flags & (kTcpSyn | kTcpAck)) == kTcpSyn) {
    if (over || state == FlowState::kTcpMidstream) return {state, true};
    // Simultaneous open: both sides send a SYN.
    if (state == FlowState::kTcpSynSent && direction == Direction::kReply)
      return {FlowState::kTcpSynReceived, false};
    return {state, false};
  }
  if (over || (flags & kTcpAck) == 0) return {state, false};
  return {after_ack(state, direction, flags), false};
}

uint16_t FlowTimeouts::of(FlowState state, uint8_t protocol) const {
  switch (state) {
    case FlowState::kTcpSynSent:
      return tcp_syn_seconds;
    case FlowState::kTcpSynReceived:
      return tcp_syn_received_seconds;
    case FlowState::kTcpEstablished:
      return tcp_established_seconds;
    case FlowState::kTcpMidstream:
      return tcp_midstream_seconds;
    case FlowState::kTcpFinOriginal:
    case FlowState::kTcpFinReply:
      return tcp_half_closed_seconds;
    case FlowState::kTcpClosed:
      return tcp_closed_seconds;
    case FlowState::kTcpReset:
      return tcp_reset_seconds;
    default:
      break;
  }
  const bool two_way = state == FlowState::kTwoWay;
  switch (protocol) {
    case kProtocolUdp:
      return two_way ? udp_two_way_seconds : udp_one_way_seconds;
    case kProtocolIcmp:
    case kProtocolIcmpv6:
      return two_way ? icmp_two_way_seconds : icmp_one_way_seconds;
    case kProtocolSctp:
      return two_way ? sctp_two_way_seconds : sctp_one_way_seconds;
    case kProtocolTcp:  // a TCP entry never holds a datagram state
    default:
      return other_seconds;
  }
}

}  // namespace fairlead::core
