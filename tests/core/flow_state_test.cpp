#include "dataplane/core/flow_state.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>
#include <vector>

namespace fairlead::core {
namespace {

constexpr uint8_t kSyn = kTcpSyn;
constexpr uint8_t kSynAck = kTcpSyn | kTcpAck;
constexpr uint8_t kAck = kTcpAck;
constexpr uint8_t kData = kTcpPsh | kTcpAck;
constexpr uint8_t kFinAck = kTcpFin | kTcpAck;
constexpr uint8_t kRst = kTcpRst;
constexpr uint8_t kRstAck = kTcpRst | kTcpAck;
constexpr Direction kThere = Direction::kOriginal;
constexpr Direction kBack = Direction::kReply;

struct Seen {
  Direction direction;
  uint8_t flags;
};

FlowState after(FlowState state, const std::vector<Seen>& packets) {
  for (const Seen& packet : packets) {
    const TcpStep step = tcp_step(state, packet.direction, packet.flags);
    EXPECT_FALSE(step.restart);
    state = step.next;
  }
  return state;
}

TEST(TcpState, FirstPackets) {
  const auto first = [](uint8_t flags) -> std::string {
    FlowState state = FlowState::kCount;
    if (!tcp_first(flags, state)) return "nothing";
    return state == FlowState::kTcpSynSent     ? "syn-sent"
           : state == FlowState::kTcpMidstream ? "midstream"
                                               : "?";
  };
  EXPECT_EQ(first(kSyn), "syn-sent");
  EXPECT_EQ(first(kSynAck), "midstream");
  EXPECT_EQ(first(kAck), "midstream");
  EXPECT_EQ(first(kData), "midstream");
  for (const uint8_t flags : {kRst, kRstAck, kFinAck, uint8_t{kTcpFin}, uint8_t{0}, uint8_t{kTcpPsh},
                              uint8_t{kTcpSyn | kTcpFin}, uint8_t{kTcpSyn | kTcpRst}, uint8_t{0xff}}) {
    EXPECT_EQ(first(flags), "nothing") << int{flags};
  }
}

TEST(TcpState, OrdinaryLifeOfAConnection) {
  const FlowState open = after(FlowState::kTcpSynSent, {{kBack, kSynAck}, {kThere, kAck}});
  EXPECT_EQ(open, FlowState::kTcpEstablished);
  EXPECT_EQ(after(open, {{kThere, kData}, {kBack, kData}, {kBack, kAck}}), FlowState::kTcpEstablished);
  EXPECT_EQ(after(open, {{kThere, kFinAck}}), FlowState::kTcpFinOriginal);
  EXPECT_EQ(after(open, {{kBack, kFinAck}}), FlowState::kTcpFinReply);
  EXPECT_EQ(after(open, {{kThere, kFinAck}, {kBack, kAck}, {kBack, kData}, {kBack, kFinAck}, {kThere, kAck}}),
            FlowState::kTcpClosed);
  EXPECT_EQ(after(open, {{kBack, kFinAck}, {kThere, kFinAck}}), FlowState::kTcpClosed);
  EXPECT_EQ(after(open, {{kThere, kFinAck}, {kThere, kFinAck}}), FlowState::kTcpFinOriginal)
      << "a FIN sent again";
}

TEST(TcpState, SimultaneousOpen) {
  EXPECT_EQ(after(FlowState::kTcpSynSent, {{kBack, kSyn}, {kThere, kSynAck}, {kBack, kSynAck}}),
            FlowState::kTcpEstablished);
}

TEST(TcpState, AnsweringSideMayCloseDuringTheHandshake) {
  EXPECT_EQ(after(FlowState::kTcpSynSent, {{kBack, kSynAck}, {kBack, kFinAck}}), FlowState::kTcpFinReply);
  EXPECT_EQ(after(FlowState::kTcpSynSent, {{kBack, kSynAck}, {kThere, kFinAck}}), FlowState::kTcpFinOriginal);
}

TEST(TcpState, MidstreamNeedsBothSides) {
  EXPECT_EQ(after(FlowState::kTcpMidstream, {{kThere, kData}, {kThere, kAck}}), FlowState::kTcpMidstream);
  EXPECT_EQ(after(FlowState::kTcpMidstream, {{kBack, kAck}}), FlowState::kTcpEstablished);
  EXPECT_EQ(after(FlowState::kTcpMidstream, {{kThere, kFinAck}, {kBack, kFinAck}}), FlowState::kTcpClosed);
}

TEST(TcpState, WhatFitsNowhereChangesNothing) {
  const std::vector<std::pair<FlowState, Seen>> kIllegal = {
      {FlowState::kTcpSynSent, {kThere, kSyn}},        // sent again
      {FlowState::kTcpSynSent, {kThere, kSynAck}},     // answers itself
      {FlowState::kTcpSynSent, {kThere, kAck}},        // ACK scan
      {FlowState::kTcpSynSent, {kThere, kFinAck}},     //
      {FlowState::kTcpSynSent, {kBack, kAck}},         // challenge ACK of a half-open peer
      {FlowState::kTcpSynSent, {kBack, kFinAck}},      //
      {FlowState::kTcpSynReceived, {kBack, kSynAck}},  // sent again
      {FlowState::kTcpSynReceived, {kBack, kAck}},     //
      {FlowState::kTcpSynReceived, {kThere, kSyn}},    //
      {FlowState::kTcpEstablished, {kThere, kSyn}},    // RFC 5961: challenged by the endpoint
      {FlowState::kTcpEstablished, {kBack, kSyn}},    {FlowState::kTcpEstablished, {kBack, kSynAck}},
      {FlowState::kTcpFinOriginal, {kThere, kSyn}},   {FlowState::kTcpFinReply, {kThere, kSynAck}},
      {FlowState::kTcpClosed, {kThere, kData}},       {FlowState::kTcpClosed, {kBack, kSynAck}},
      {FlowState::kTcpReset, {kThere, kData}},        {FlowState::kTcpReset, {kBack, kFinAck}},
  };
  for (const auto& [state, packet] : kIllegal) {
    const TcpStep step = tcp_step(state, packet.direction, packet.flags);
    EXPECT_EQ(step.next, state) << static_cast<int>(state) << " " << int{packet.flags};
    EXPECT_FALSE(step.restart);
  }
  for (size_t state = static_cast<size_t>(FlowState::kTcpSynSent);
       state < static_cast<size_t>(FlowState::kCount); ++state) {
    for (const uint8_t flags : {uint8_t{0}, uint8_t{kTcpPsh}, uint8_t{kTcpFin}, uint8_t{kTcpSyn | kTcpFin},
                                uint8_t{kTcpSyn | kTcpFin | kTcpAck}}) {
      for (const Direction direction : {kThere, kBack}) {
        const TcpStep step = tcp_step(static_cast<FlowState>(state), direction, flags);
        EXPECT_EQ(step.next, static_cast<FlowState>(state)) << int{flags};
        EXPECT_FALSE(step.restart);
      }
    }
  }
}

TEST(TcpState, ResetEndsEveryState) {
  for (size_t state = static_cast<size_t>(FlowState::kTcpSynSent);
       state < static_cast<size_t>(FlowState::kCount); ++state) {
    for (const uint8_t flags : {kRst, kRstAck}) {
      EXPECT_EQ(tcp_step(static_cast<FlowState>(state), kBack, flags).next, FlowState::kTcpReset);
    }
  }
}

TEST(TcpState, SynOnATupleWhoseConnectionIsOverStartsAfresh) {
  for (const FlowState state : {FlowState::kTcpClosed, FlowState::kTcpReset, FlowState::kTcpMidstream}) {
    EXPECT_TRUE(tcp_step(state, kThere, kSyn).restart);
    EXPECT_TRUE(tcp_step(state, kBack, kSyn).restart) << "the other side may open the next one";
  }
}

TEST(DatagramState, TwoWayOnceBothHaveSpoken) {
  EXPECT_EQ(datagram_step(FlowState::kOneWay, kThere), FlowState::kOneWay);
  EXPECT_EQ(datagram_step(FlowState::kOneWay, kBack), FlowState::kTwoWay);
  EXPECT_EQ(datagram_step(FlowState::kTwoWay, kThere), FlowState::kTwoWay);
}

TEST(FlowTimeouts, EveryStateOfEveryProtocolHasOneThatFitsTheTimeStamp) {
  const FlowTimeouts timeouts;
  for (size_t state = 0; state < static_cast<size_t>(FlowState::kCount); ++state) {
    for (const uint8_t protocol : std::to_array<uint8_t>({1, 6, 17, 47, 58, 132})) {
      const uint16_t seconds = timeouts.of(static_cast<FlowState>(state), protocol);
      EXPECT_GT(seconds, 0);
      EXPECT_LE(seconds, FlowTimeouts::kMaxTimeout);
    }
  }
  EXPECT_LE(timeouts.of(FlowState::kTcpSynSent, 6), 30) << "a SYN flood must not stay";
  EXPECT_GE(timeouts.of(FlowState::kTcpEstablished, 6), 7440) << "RFC 5382 REQ-5";
  EXPECT_EQ(timeouts.of(FlowState::kTcpFinOriginal, 6), 3600);
  EXPECT_GE(timeouts.of(FlowState::kTwoWay, 17), 120) << "RFC 4787 REQ-5";
  EXPECT_GE(timeouts.of(FlowState::kTwoWay, 1), 60) << "RFC 5508 REQ-2";
}

TEST(FlowState, EveryStateHasAText) {
  for (size_t state = 0; state < static_cast<size_t>(FlowState::kCount); ++state) {
    EXPECT_NE(text(static_cast<FlowState>(state)), "unknown");
  }
  EXPECT_FALSE(evictable(FlowState::kTcpEstablished));
  EXPECT_FALSE(evictable(FlowState::kTwoWay));
  EXPECT_TRUE(evictable(FlowState::kTcpSynSent));
}

}  // namespace
}  // namespace fairlead::core
