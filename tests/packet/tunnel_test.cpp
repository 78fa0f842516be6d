#include "dataplane/packet/parse.h"
#include "tests/packet/frames.hpp"

#include <gtest/gtest.h>

namespace fairlead::test {
namespace {

struct Read {
  int error;
  tunnel inner;
};

Read read(const Bytes& frame, uint32_t kind) {
  GuardedFrame guarded(frame);
  parsed outer;
  EXPECT_EQ(parse_frame(guarded.begin(), guarded.end(), 0, &outer), FL_PARSE_OK);
  Read out{};
  out.error = parse_tunnel(guarded.begin(), guarded.end(), &outer, kind, &out.inner);
  return out;
}

const Bytes kInner = frame4({}, tcp(pattern(20)));

Bytes carry(const Bytes& payload) {
  return frame4({.protocol = 17, .fill_checksum = false}, udp(payload, 50000, 4789));
}

TEST(ParseTunnel, Vxlan) {
  const Read r = read(carry(vxlan(0x00fffe, kInner)) + Bytes(9, 0), FL_TUNNEL_VXLAN);
  ASSERT_EQ(r.error, FL_PARSE_OK);
  EXPECT_EQ(r.inner.vni, 0xfffeu);
  EXPECT_EQ(r.inner.inner_offset, 50u);
  EXPECT_EQ(r.inner.inner_length, kInner.size());  // without the padding
}

TEST(ParseTunnel, VxlanOddOnes) {
  for (unsigned flags = 0; flags < 256; ++flags) {
    EXPECT_EQ(read(carry(vxlan(100, kInner, static_cast<uint8_t>(flags))), FL_TUNNEL_VXLAN).error,
              flags == 8 ? FL_PARSE_OK : FL_PARSE_MALFORMED_TUNNEL)
        << flags;
  }
  for (const size_t reserved : {1u, 2u, 3u, 7u}) {
    Bytes payload = vxlan(100, kInner);
    payload[reserved] = 1;
    EXPECT_EQ(read(carry(payload), FL_TUNNEL_VXLAN).error, FL_PARSE_MALFORMED_TUNNEL) << reserved;
  }
}

TEST(ParseTunnel, CutAnywhere) {
  const Bytes whole[] = {vxlan(100, kInner), geneve(100, kInner), geneve(100, kInner, Bytes(24, 0))};
  for (const Bytes& payload : whole) {
    const uint32_t kind = &payload == &whole[0] ? FL_TUNNEL_VXLAN : FL_TUNNEL_GENEVE;
    const size_t header = payload.size() - kInner.size();
    for (size_t length = 0; length < payload.size(); ++length) {
      const Bytes cut(payload.begin(), payload.begin() + static_cast<long>(length));
      const int expected = length < header + 14 ? FL_PARSE_MALFORMED_TUNNEL : FL_PARSE_OK;
      EXPECT_EQ(read(carry(cut), kind).error, expected) << length;
      EXPECT_EQ(read(carry(cut) + Bytes(100), kind).error, expected) << length << " with padding";
    }
  }
}

TEST(ParseTunnel, GeneveOptionsAreSkippedByLength) {
  for (unsigned words = 0; words < 64; ++words) {
    const Read r = read(carry(geneve(0x123456, kInner, Bytes(words * 4, 0x7f))), FL_TUNNEL_GENEVE);
    ASSERT_EQ(r.error, FL_PARSE_OK) << words;
    EXPECT_EQ(r.inner.vni, 0x123456u);
    EXPECT_EQ(r.inner.inner_offset, 50u + words * 4);
    EXPECT_EQ(r.inner.inner_length, kInner.size());
  }
}

TEST(ParseTunnel, GeneveOddOnes) {
  const auto error = [](const Bytes& payload) { return read(carry(payload), FL_TUNNEL_GENEVE).error; };
  EXPECT_EQ(error(geneve(1, kInner, Bytes(4), 0x40)), FL_PARSE_MALFORMED_TUNNEL);  // a critical option
  EXPECT_EQ(error(geneve(1, kInner, {}, 0x80)), FL_PARSE_MALFORMED_TUNNEL);        // a control packet
  EXPECT_EQ(error(geneve(1, kInner, {}, 0x3f)), FL_PARSE_OK);  // reserved: ignored on receipt
  for (uint8_t version = 1; version < 4; ++version) {
    EXPECT_EQ(error(geneve(1, kInner, {}, 0, 0x6558, version)), FL_PARSE_MALFORMED_TUNNEL);
  }
  for (const uint16_t protocol : {0x0800, 0x86dd, 0x0000, 0x8847}) {
    EXPECT_EQ(error(geneve(1, kInner, {}, 0, protocol)), FL_PARSE_MALFORMED_TUNNEL);
  }
}

TEST(ParseTunnel, OnlyWholeUdpCarriesATunnel) {
  Bytes frame = carry(vxlan(1, kInner));
  parsed outer;
  ASSERT_EQ(parse_frame(frame.data(), frame.data() + frame.size(), 0, &outer), FL_PARSE_OK);
  tunnel out;
  parsed changed = outer;
  changed.is_fragment = 1;
  EXPECT_EQ(parse_tunnel(frame.data(), frame.data() + frame.size(), &changed, FL_TUNNEL_VXLAN, &out),
            FL_PARSE_MALFORMED_TUNNEL);
  changed = outer;
  changed.protocol = 6;
  EXPECT_EQ(parse_tunnel(frame.data(), frame.data() + frame.size(), &changed, FL_TUNNEL_VXLAN, &out),
            FL_PARSE_MALFORMED_TUNNEL);
}

TEST(ParseTunnel, UdpLengthShorterThanThePacketEndsTheTunnel) {
  Bytes frame = carry(vxlan(1, kInner));
  put(frame, 38, 8 + 8 + 14, 2);
  const Read r = read(frame, FL_TUNNEL_VXLAN);
  ASSERT_EQ(r.error, FL_PARSE_OK);
  EXPECT_EQ(r.inner.inner_length, 14u);
}

}  // namespace
}  // namespace fairlead::test
