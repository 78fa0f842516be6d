#include "dataplane/core/segment.hpp"

#include "tests/packet/wire_check.hpp"

#include <gtest/gtest.h>

#include <deque>
#include <random>

namespace fairlead::core {
namespace {

using namespace fairlead::test;

// Collects frames in buffers of exactly the length asked for, so that ASan sees a byte too many.
struct Collector {
  std::deque<Bytes> buffers;
  std::vector<Bytes> frames;
  size_t limit = SIZE_MAX;

  FrameSink sink() {
    return {this,
            [](void* context, uint32_t length) -> FrameBuffer {
              auto* self = static_cast<Collector*>(context);
              if (self->buffers.size() >= self->limit) return {};
              self->buffers.emplace_back(length, 0xee);
              return {self->buffers.back().data(), length, &self->buffers.back()};
            },
            [](void* context, const FrameBuffer& buffer, uint32_t length) {
              const auto* bytes = static_cast<const Bytes*>(buffer.handle);
              static_cast<Collector*>(context)->frames.emplace_back(bytes->begin(), bytes->begin() + length);
            }};
  }
};

enum class Outer { kNone, kVxlan4, kVxlan6, kGeneve4, kGeneve6, kVxlan6Summed };

// `frame` as the encapsulation leaves it: a tunnel header in front, by other code than the dataplane's.
Bytes tunnelled(Outer outer, const Bytes& frame) {
  const bool is_geneve = outer == Outer::kGeneve4 || outer == Outer::kGeneve6;
  const Bytes payload = udp(is_geneve ? geneve(77, frame) : vxlan(77, frame), 50505, is_geneve ? 6081 : 4789);
  Ip ip{.source = "192.0.2.1",
        .destination = "192.0.2.7",
        .protocol = 17,
        .tos = 0xb8,
        .id = 0,
        .fill_checksum = false};
  switch (outer) {
    case Outer::kNone:
      return frame;
    case Outer::kVxlan4:
    case Outer::kGeneve4:
      return frame4(ip, payload);
    default:
      break;
  }
  ip.source = "2001:db8::1";
  ip.destination = "2001:db8::7";
  ip.fill_checksum = outer == Outer::kVxlan6Summed;
  return frame6(ip, payload);
}

uint16_t encap_length(Outer outer) {
  if (outer == Outer::kNone) return 0;
  return outer == Outer::kVxlan4 || outer == Outer::kGeneve4 ? 50 : 70;
}

struct Case {
  Outer outer = Outer::kNone;
  bool ipv6 = false;
  uint8_t protocol = 6;
  size_t payload = 5000;
  uint16_t size = 1400;
  uint8_t tcp_flags = 0x10;
  size_t tcp_options = 12;
  bool partial = true;
  bool extension = false;  // IPv6: hop-by-hop in front
  size_t padding = 0;
};

struct Super {
  Bytes frame;
  Packet packet;
};

Super make(const Case& c) {
  const Bytes payload = pattern(c.payload, 3);
  Bytes l4 = c.protocol == 6 ? tcp(payload, c.tcp_flags, Bytes(c.tcp_options, 1), 0xfffff000) : udp(payload);
  Ip ip{.protocol = c.protocol, .tos = 0x2a, .id = 0xfffe, .fill_checksum = !c.partial};
  const auto field = static_cast<size_t>(l4_checksum_offset(c.protocol));
  if (c.partial) {
    const Bytes source = address(c.ipv6 ? "fd00:1::5" : "10.1.0.5"),
                destination = address(c.ipv6 ? "fd00:2::9" : "10.2.0.9");
    put(l4, field, slow_pseudo_sum(source, destination, c.protocol, l4.size()), 2);
  }
  if (c.extension) ip.extensions = {{0, options_header(16)}};
  Super out;
  out.frame = tunnelled(c.outer, c.ipv6 ? frame6(ip, l4) : frame4(ip, l4)) + Bytes(c.padding, 0);
  out.packet.data = out.frame.data();
  out.packet.length = static_cast<uint32_t>(out.frame.size());
  out.packet.encap_length = encap_length(c.outer);
  Offload& offload = out.packet.offload;
  offload.checksum_partial = c.partial;
  offload.checksum_start =
      static_cast<uint16_t>(out.packet.encap_length + 14 + (c.ipv6 ? 40 : 20) + (c.extension ? 16 : 0));
  offload.checksum_offset = static_cast<uint16_t>(field);
  offload.segment_size = c.size;
  offload.segment_kind = c.protocol == 17 ? kSegmentUdp : c.ipv6 ? kSegmentTcp6 : kSegmentTcp4;
  return out;
}

// What a receiver may demand of the segments of `whole`.
void check_segments(const Case& c, const Super& whole, const std::vector<Bytes>& frames) {
  const size_t expected = std::max<size_t>(1, (c.payload + c.size - 1) / c.size);
  ASSERT_EQ(frames.size(), expected);
  Bytes payload;
  for (size_t i = 0; i < frames.size(); ++i) {
    const Bytes& frame = frames[i];
    const WireView view = check_wire(frame);
    ASSERT_EQ(view.complaint, "") << "frame " << i << " of " << frames.size();
    ASSERT_EQ(view.outer_version, c.outer == Outer::kNone ? 0 : encap_length(c.outer) == 50 ? 4 : 6);
    ASSERT_LE(view.end - view.payload, c.size);
    const bool first = i == 0, last = i + 1 == frames.size();

    // Every header byte is the whole's but for lengths, ids, sequence, flags and checksums.
    Bytes expected_header(whole.frame.begin(), whole.frame.begin() + static_cast<long>(view.payload));
    Bytes header(frame.begin(), frame.begin() + static_cast<long>(view.payload));
    const auto equalise = [&](size_t at, unsigned width) {
      put(header, at, get(expected_header, at, width), width);
    };
    if (view.outer_l3 != 0) {
      if (view.outer_version == 4) {
        ASSERT_EQ(get(header, view.outer_l3 + 6, 2), 0x4000u);
        equalise(view.outer_l3 + 2, 2), equalise(view.outer_l3 + 10, 2);
      } else {
        equalise(view.outer_l3 + 4, 2);
      }
      const size_t udp_at = view.outer_l3 + (view.outer_version == 4 ? 20 : 40);
      ASSERT_EQ(get(header, udp_at + 6, 2) != 0, c.outer == Outer::kVxlan6Summed);
      equalise(udp_at + 4, 2), equalise(udp_at + 6, 2);
    }
    if (view.ip_version == 4) {
      ASSERT_EQ(get(header, view.l3 + 4, 2), (0xfffe + i) & 0xffff);
      equalise(view.l3 + 2, 4), equalise(view.l3 + 10, 2);
    } else {
      equalise(view.l3 + 4, 2);
    }
    if (c.protocol == 6) {
      ASSERT_EQ(get(header, view.l4 + 4, 4), static_cast<uint32_t>(0xfffff000 + i * c.size));
      uint8_t flags = c.tcp_flags;
      if (!first) flags &= 0x7f;
      if (!last) flags &= static_cast<uint8_t>(~0x09);
      ASSERT_EQ(header[view.l4 + 13], flags);
      equalise(view.l4 + 4, 4), equalise(view.l4 + 13, 1), equalise(view.l4 + 16, 2);
    } else {
      equalise(view.l4 + 4, 4);
    }
    ASSERT_EQ(header, expected_header) << "frame " << i;
    payload.insert(payload.end(), frame.begin() + static_cast<long>(view.payload),
                   frame.begin() + static_cast<long>(view.end));
  }
  ASSERT_EQ(payload, pattern(c.payload, 3));
}

void run(const Case& c) {
  SCOPED_TRACE(testing::Message() << "outer " << int(c.outer) << " ipv6 " << c.ipv6 << " protocol "
                                  << int{c.protocol} << " payload " << c.payload << " size " << c.size
                                  << " partial " << c.partial);
  const Super whole = make(c);
  const Bytes before = whole.frame;
  ASSERT_EQ(segment_count(whole.packet), std::max<size_t>(1, (c.payload + c.size - 1) / c.size));
  Collector collector;
  const FrameResult result = segment(whole.packet, collector.sink());
  ASSERT_EQ(result.reason, DropReason::NONE);
  ASSERT_EQ(result.frames, collector.frames.size());
  ASSERT_EQ(collector.buffers.size(), collector.frames.size());
  ASSERT_EQ(whole.frame, before) << "the packet was changed";
  check_segments(c, whole, collector.frames);
}

constexpr Outer kOuters[] = {Outer::kNone,    Outer::kVxlan4,  Outer::kVxlan6,
                             Outer::kGeneve4, Outer::kGeneve6, Outer::kVxlan6Summed};

TEST(Segment, EveryNestingAndProtocol) {
  for (const Outer outer : kOuters) {
    for (const bool ipv6 : {false, true}) {
      for (const uint8_t protocol : {6, 17}) {
        for (const size_t payload : {0u, 1u, 1399u, 1400u, 1401u, 2800u, 2801u, 40000u}) {
          run({.outer = outer, .ipv6 = ipv6, .protocol = protocol, .payload = payload});
        }
      }
    }
  }
}

TEST(Segment, RandomSizes) {
  std::mt19937 random(3168);
  for (int round = 0; round < 300; ++round) {
    Case c{.outer = kOuters[random() % std::size(kOuters)],
           .ipv6 = random() % 2 == 0,
           .protocol = static_cast<uint8_t>(random() % 3 == 0 ? 17 : 6),
           .payload = random() % 65000,
           .size = static_cast<uint16_t>(48 + random() % 9000),
           .tcp_flags = static_cast<uint8_t>(random()),
           .tcp_options = random() % 11 * 4,
           .partial = random() % 4 != 0,
           .extension = false,
           .padding = random() % 3 == 0 ? random() % 20 : 0};
    c.extension = c.ipv6 && random() % 4 == 0;
    run(c);
    if (HasFatalFailure()) return;
  }
}

TEST(Segment, FlagsAreOnTheRightSegments) {
  const Case c{
      .payload = 3000, .size = 1000, .tcp_flags = 0x80 | 0x40 | 0x10 | 0x08 | 0x01};  // CWR ECE ACK PSH FIN
  const Super whole = make(c);
  Collector collector;
  segment(whole.packet, collector.sink());
  ASSERT_EQ(collector.frames.size(), 3u);
  EXPECT_EQ(collector.frames[0][34 + 13], 0x80 | 0x40 | 0x10);
  EXPECT_EQ(collector.frames[1][34 + 13], 0x40 | 0x10);
  EXPECT_EQ(collector.frames[2][34 + 13], 0x40 | 0x10 | 0x08 | 0x01);
}

TEST(Segment, UdpWithoutChecksumStaysWithout) {
  Super whole = make({.protocol = 17, .partial = false});
  put(whole.frame, 40, 0, 2);
  Collector collector;
  ASSERT_EQ(segment(whole.packet, collector.sink()).reason, DropReason::NONE);
  for (const Bytes& frame : collector.frames) {
    EXPECT_EQ(get(frame, 40, 2), 0u);
    EXPECT_EQ(check_wire(frame).complaint, "");
  }
}

TEST(Segment, RefusesWhatIsNotWhatItSays) {
  const auto reason = [](Super whole, auto change) {
    whole.packet.data = whole.frame.data();
    change(whole);
    Collector collector;
    const FrameResult result = segment(whole.packet, collector.sink());
    EXPECT_EQ(segment_count(whole.packet), 0u);
    EXPECT_EQ(result.frames, 0u);
    EXPECT_TRUE(collector.buffers.empty());
    return result.reason;
  };
  EXPECT_EQ(reason(make({}), [](Super& s) { s.packet.offload.segment_kind = kSegmentTcp6; }),
            DropReason::MALFORMED_L4);
  EXPECT_EQ(reason(make({}), [](Super& s) { s.packet.offload.segment_kind = kSegmentUdp; }),
            DropReason::MALFORMED_L4);
  EXPECT_EQ(reason(make({}), [](Super& s) { s.packet.offload.segment_kind = 9; }), DropReason::MALFORMED_L4);
  EXPECT_EQ(reason(make({}), [](Super& s) { s.packet.offload.segment_size = 0; }), DropReason::MALFORMED_L4);
  EXPECT_EQ(reason(make({.payload = 60000}), [](Super& s) { s.packet.offload.segment_size = 29; }),
            DropReason::MALFORMED_L4);
  EXPECT_EQ(reason(make({.payload = 4000}), [](Super& s) { put(s.frame, 20, 0x2000, 2); }),
            DropReason::MALFORMED_L4);
  EXPECT_EQ(reason(make({}), [](Super& s) { s.packet.length = 13; }), DropReason::MALFORMED_ETHERNET);
  EXPECT_EQ(reason(make({}), [](Super& s) { s.packet.length = 2000; }), DropReason::MALFORMED_IPV4);
  EXPECT_EQ(reason(make({}), [](Super& s) { s.packet.encap_length = 48; }), DropReason::MALFORMED_TUNNEL);
  EXPECT_EQ(reason(make({}), [](Super& s) { put(s.frame, 46, 0x10, 1); }), DropReason::MALFORMED_L4);
}

TEST(Segment, SaysHowFarItCameWithoutBuffers) {
  const Super whole = make({.payload = 10000, .size = 1000});
  for (size_t limit = 0; limit < 10; ++limit) {
    Collector collector;
    collector.limit = limit;
    const FrameResult result = segment(whole.packet, collector.sink());
    EXPECT_EQ(result.reason, DropReason::NO_BUFFER);
    EXPECT_EQ(result.frames, limit);
    EXPECT_EQ(collector.frames.size(), limit);
  }
}

// ---- partial checksums ----

TEST(FinishChecksum, CompletesEveryNesting) {
  for (const Outer outer : kOuters) {
    if (outer == Outer::kVxlan6Summed) continue;  // below
    for (const bool ipv6 : {false, true}) {
      for (const uint8_t protocol : {6, 17}) {
        for (size_t payload = 0; payload < 70; ++payload) {
          Super s = make({.outer = outer, .ipv6 = ipv6, .protocol = protocol, .payload = payload});
          s.packet.offload.segment_size = 0;
          ASSERT_TRUE(finish_checksum(s.packet));
          EXPECT_FALSE(s.packet.offload.checksum_partial);
          ASSERT_EQ(check_wire(s.frame).complaint, "") << payload;
        }
      }
    }
  }
}

TEST(FinishChecksum, PaddingIsNotSummedUp) {
  for (const uint8_t protocol : {6, 17}) {
    Super s = make({.protocol = protocol, .payload = 3});
    s.frame.insert(s.frame.end(), 9, 0x55);
    s.packet.data = s.frame.data();
    s.packet.length += 9;
    ASSERT_TRUE(finish_checksum(s.packet));
    s.frame.erase(s.frame.end() - 9, s.frame.end());
    EXPECT_EQ(check_wire(s.frame).complaint, "");
  }
}

TEST(FinishChecksum, LeavesACompleteOneAlone) {
  Super s = make({.partial = false});
  const Bytes before = s.frame;
  EXPECT_TRUE(finish_checksum(s.packet));
  EXPECT_EQ(s.frame, before);
}

TEST(FinishChecksum, RefusesOffsetsOutsideTheFrame) {
  for (const auto& [start, offset] : {std::pair{5049, 16}, {65535, 65535}, {0, 16}, {33, 65000}, {13, 2}}) {
    Super s = make({});
    const Bytes before = s.frame;
    s.packet.offload.checksum_start = static_cast<uint16_t>(start);
    s.packet.offload.checksum_offset = static_cast<uint16_t>(offset);
    EXPECT_FALSE(finish_checksum(s.packet)) << start;
    EXPECT_TRUE(s.packet.offload.checksum_partial);
    EXPECT_EQ(s.frame, before);
  }
}

// ---- fragments ----

Super make_packet(Outer outer, size_t payload, uint16_t fragment, const Bytes& options = {}) {
  Super out;
  const Ip ip{
      .protocol = 17, .fragment = fragment, .options = options, .fill_checksum = (fragment & 0x3fff) == 0};
  out.frame =
      tunnelled(outer, frame4(ip, fragment & 0x1fff ? pattern(payload + 8, 3) : udp(pattern(payload, 3))));
  out.packet.data = out.frame.data();
  out.packet.length = static_cast<uint32_t>(out.frame.size());
  out.packet.encap_length = encap_length(outer);
  return out;
}

// RFC 791 section 3.2 backwards: puts the fragments together again and returns the datagram's data.
Bytes reassembled(const std::vector<Bytes>& frames, uint32_t first_offset, bool last_has_more, size_t l3) {
  Bytes data;
  for (size_t i = 0; i < frames.size(); ++i) {
    const uint32_t field = get(frames[i], l3 + 6, 2);
    EXPECT_EQ(field & 0xc000, 0u);
    EXPECT_EQ((field & 0x1fff) * 8, first_offset + data.size());
    EXPECT_EQ((field & 0x2000) != 0, i + 1 < frames.size() || last_has_more);
    const size_t header = (frames[i][l3] & 15) * 4u;
    data.insert(data.end(), frames[i].begin() + static_cast<long>(l3 + header), frames[i].end());
  }
  return data;
}

TEST(Fragment, EverySizeAndNesting) {
  std::mt19937 random(791);
  for (const Outer outer : {Outer::kNone, Outer::kVxlan4, Outer::kVxlan6, Outer::kGeneve4}) {
    for (int round = 0; round < 200; ++round) {
      const uint16_t fragment = round % 4 == 1 ? 0x2010 : round % 4 == 2 ? 0x0010 : 0;
      const size_t payload = (random() % 9000) & (fragment & 0x2000 ? ~size_t{7} : ~size_t{0});
      const uint32_t mtu = encap_length(outer) + 68 + random() % 1600;
      const Bytes options = round % 5 == 0 ? Bytes{148, 4, 0, 0} : Bytes{};
      const Super s = make_packet(outer, payload, fragment, options);
      const Bytes before = s.frame;
      Collector collector;
      const FrameResult result = fragment_ipv4(s.packet, mtu, collector.sink());
      ASSERT_EQ(result.reason, DropReason::NONE);
      ASSERT_EQ(result.frames, collector.frames.size());
      ASSERT_EQ(s.frame, before);
      const size_t l3 = encap_length(outer) + 14u;
      for (const Bytes& frame : collector.frames) {
        ASSERT_LE(frame.size() - 14, mtu);
        ASSERT_EQ(check_wire(frame).complaint, "");
        ASSERT_EQ(get(frame, l3 + 4, 2), 0x1234u);
        if (&frame != &collector.frames.back()) {
          ASSERT_GT(frame.size() - 14 + 8, mtu) << "a fragment smaller than it could be";
        }
      }
      const Bytes data(before.begin() + static_cast<long>(l3 + 20 + options.size()), before.end());
      ASSERT_EQ(reassembled(collector.frames, (fragment & 0x1fffu) * 8, fragment & 0x2000, l3), data);
    }
  }
}

TEST(Fragment, WhatFitsGoesWholeWithoutItsPadding) {
  Super s = make_packet(Outer::kNone, 100, 0x4000);
  const Bytes wanted = s.frame;
  s.frame.resize(s.frame.size() + 30);
  s.packet.data = s.frame.data();
  s.packet.length += 30;
  Collector collector;
  ASSERT_EQ(fragment_ipv4(s.packet, 128, collector.sink()).reason, DropReason::NONE);
  ASSERT_EQ(collector.frames.size(), 1u);
  EXPECT_EQ(collector.frames[0], wanted);
}

TEST(Fragment, Refusals) {
  Collector collector;
  const auto reason = [&](const Super& s, uint32_t mtu) {
    return fragment_ipv4(s.packet, mtu, collector.sink()).reason;
  };
  EXPECT_EQ(reason(make_packet(Outer::kNone, 100, 0x4000), 127), DropReason::TOO_BIG);
  EXPECT_EQ(reason(make_packet(Outer::kNone, 100, 0), 27), DropReason::TOO_BIG);
  EXPECT_EQ(reason(make_packet(Outer::kNone, 100, 0), 0), DropReason::TOO_BIG);
  EXPECT_EQ(reason(make_packet(Outer::kVxlan4, 100, 0), 77), DropReason::TOO_BIG);
  EXPECT_EQ(reason(make_packet(Outer::kNone, 60000, 0), 28), DropReason::TOO_BIG);  // 7,501 frames
  Super six = make({.ipv6 = true, .protocol = 17, .partial = false});
  six.packet.offload.segment_size = 0;
  EXPECT_EQ(reason(six, 1400), DropReason::TOO_BIG);
  EXPECT_EQ(reason(make({}), 9000), DropReason::MALFORMED_L4);  // a super-packet
  EXPECT_TRUE(collector.buffers.empty());

  collector.limit = 2;
  const Super s = make_packet(Outer::kNone, 4000, 0);
  const FrameResult result = fragment_ipv4(s.packet, 1000, collector.sink());
  EXPECT_EQ(result.reason, DropReason::NO_BUFFER);
  EXPECT_EQ(result.frames, 2u);
}

}  // namespace
}  // namespace fairlead::core
