#include "dataplane/dpdk/tcp_train.hpp"

#include "tests/dpdk/frames.hpp"

#include <gtest/gtest.h>

namespace fairlead::dpdk {
namespace {

using test::at;
using test::Bytes;

constexpr core::MacAddress kFrom{{2, 0, 0, 0, 0, 1}}, kTo{{2, 0, 0, 0, 0, 2}};
constexpr size_t kIp = sizeof(ethernet_header), kTcp = kIp + sizeof(ipv4_header),
                 kHeaders = kTcp + sizeof(tcp_header);

Bytes payload(size_t size, uint8_t seed) {
  Bytes bytes(size);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<uint8_t>(seed + i * 7);
  return bytes;
}

Bytes segment(uint32_t sequence, const Bytes& content, uint8_t flags = FL_TCP_ACK) {
  return test::tcp_frame(kFrom, kTo, "10.0.0.1", "10.0.0.2", {.sequence = sequence, .flags = flags}, content);
}

// A train made of frames, and what the kernel would be handed for it.
class Track {
 public:
  // False: the frame could not be coupled.
  bool add(Bytes frame) {
    frames_.push_back(std::make_unique<Bytes>(std::move(frame)));
    auto packet = std::make_unique<core::Packet>();
    packet->data = frames_.back()->data();
    packet->length = static_cast<uint32_t>(frames_.back()->size());
    packets_.push_back(std::move(packet));
    TcpTrain::Segment examined;
    if (TcpTrain::examine(*packets_.back(), examined) != TcpTrain::Kind::kSegment) return false;
    const TcpTrain::Car car{packets_.back().get(), static_cast<uint16_t>(packets_.size() - 1)};
    if (!train_.empty()) return train_.same_flow(*packets_.back(), examined) && train_.append(car, examined);
    train_.start(car, examined);
    return true;
  }
  Bytes close() {
    std::array<iovec, TcpTrain::kSegmentsMax + 1> iov;
    const unsigned count = train_.close(header, iov);
    Bytes joined;
    for (unsigned i = 1; i < count; ++i) {
      const auto* bytes = static_cast<const uint8_t*>(iov[i].iov_base);
      joined.insert(joined.end(), bytes, bytes + iov[i].iov_len);
    }
    return joined;
  }
  core::Packet& last() { return *packets_.back(); }

  VnetHeader header{};
  TcpTrain train_;

 private:
  std::vector<std::unique_ptr<Bytes>> frames_;
  std::vector<std::unique_ptr<core::Packet>> packets_;
};

TEST(TcpTrain, JoinsConsecutiveSegmentsIntoOneSuperPacket) {
  Track track;
  const Bytes a = payload(1000, 1), b = payload(1000, 2), c = payload(300, 3);
  EXPECT_TRUE(track.add(segment(100, a)));
  EXPECT_TRUE(track.add(segment(1100, b)));
  EXPECT_TRUE(track.add(segment(2100, c, FL_TCP_ACK | FL_TCP_PSH)));
  Bytes whole = track.close();

  ASSERT_EQ(whole.size(), kHeaders + 2300);
  EXPECT_EQ(from_be16(at<ipv4_header>(whole, kIp).total_length), whole.size() - kIp);
  EXPECT_EQ(checksum_fold(checksum_ipv4_header(&at<ipv4_header>(whole, kIp))), 0xffff);
  EXPECT_EQ(at<tcp_header>(whole, kTcp).flags, FL_TCP_ACK | FL_TCP_PSH);
  EXPECT_EQ(from_be32(at<tcp_header>(whole, kTcp).sequence), 100u);
  Bytes content = a;
  content.insert(content.end(), b.begin(), b.end());
  content.insert(content.end(), c.begin(), c.end());
  EXPECT_EQ(Bytes(whole.begin() + kHeaders, whole.end()), content);

  EXPECT_EQ(track.header.gso_type, 1);  // TCPv4
  EXPECT_EQ(track.header.gso_size, 1000);
  EXPECT_EQ(track.header.flags, 1);  // needs checksum
  EXPECT_EQ(track.header.csum_start, kTcp);
  EXPECT_EQ(track.header.csum_offset, offsetof(tcp_header, checksum));
  EXPECT_EQ(track.header.hdr_len, kHeaders);
  // What the kernel does with it: sum from csum_start on, over the pseudo-header's sum in the field.
  const uint64_t sum = checksum_add(0, whole.data() + kTcp, static_cast<uint32_t>(whole.size() - kTcp));
  at<tcp_header>(whole, kTcp).checksum = checksum_finish(sum);
  EXPECT_TRUE(test::l4_checksum_right(whole));
}

TEST(TcpTrain, LeavesASingleSegmentAsItIs) {
  Track track;
  const Bytes frame = segment(1, payload(100, 1));
  EXPECT_TRUE(track.add(frame));
  EXPECT_EQ(track.close(), frame);
  EXPECT_EQ(track.header.gso_type, 0);
  EXPECT_EQ(track.header.flags, 0);
}

TEST(TcpTrain, RefusesWhatCannotBeCutAgainIntoTheSameSegments) {
  const Bytes first = segment(100, payload(1000, 1));
  const auto refused = [&](Bytes second) {
    Track track;
    EXPECT_TRUE(track.add(first));
    return !track.add(std::move(second));
  };
  EXPECT_FALSE(refused(segment(1100, payload(1000, 2))));  // this one fits
  EXPECT_TRUE(refused(segment(1101, payload(1000, 2)))) << "a gap";
  EXPECT_TRUE(refused(segment(100, payload(1000, 1)))) << "a repetition";
  EXPECT_TRUE(refused(segment(1100, payload(1001, 2)))) << "longer than the first";
  EXPECT_TRUE(refused(segment(1100, payload(1000, 2), FL_TCP_ACK | FL_TCP_FIN))) << "FIN";
  EXPECT_TRUE(refused(segment(1100, payload(1000, 2), FL_TCP_ACK | FL_TCP_CWR))) << "CWR";
  EXPECT_TRUE(refused(segment(1100, {}))) << "no payload";
  Bytes other_ttl = segment(1100, payload(1000, 2));
  at<ipv4_header>(other_ttl, kIp).ttl = 63;
  EXPECT_TRUE(refused(other_ttl)) << "another TTL";
  Bytes other_flow = segment(1100, payload(1000, 2));
  at<tcp_header>(other_flow, kTcp).source_port = to_be16(1);
  EXPECT_TRUE(refused(other_flow)) << "another flow";
  Bytes other_window = segment(1100, payload(1000, 2));
  at<tcp_header>(other_window, kTcp).window = to_be16(5);
  test::seal_l4(other_window, offsetof(tcp_header, checksum));
  EXPECT_TRUE(refused(other_window)) << "another window";
}

TEST(TcpTrain, NeverCouplesASegmentWithAWrongChecksum) {
  Bytes damaged = segment(1100, payload(1000, 2));
  damaged.back() ^= 1;
  Track second_bad;
  EXPECT_TRUE(second_bad.add(segment(100, payload(1000, 1))));
  EXPECT_FALSE(second_bad.add(damaged));

  Bytes damaged_first = segment(100, payload(1000, 1));
  damaged_first.back() ^= 1;
  Track first_bad;
  EXPECT_TRUE(first_bad.add(damaged_first));
  EXPECT_FALSE(first_bad.add(segment(1100, payload(1000, 2))));
}

TEST(TcpTrain, NothingFollowsAShortOrPushedSegment) {
  Track track;
  EXPECT_TRUE(track.add(segment(100, payload(1000, 1))));
  EXPECT_TRUE(track.add(segment(1100, payload(500, 2))));
  EXPECT_FALSE(track.add(segment(1600, payload(500, 3))));
  Track pushed;
  EXPECT_TRUE(pushed.add(segment(100, payload(1000, 1), FL_TCP_ACK | FL_TCP_PSH)));
  EXPECT_FALSE(pushed.add(segment(1100, payload(1000, 2))));
}

TEST(TcpTrain, SurvivesFramesCutAtEveryLength) {
  const Bytes frame = segment(100, payload(40, 1));
  for (size_t length = 0; length < frame.size(); ++length) {
    Bytes cut(frame.begin(), frame.begin() + static_cast<std::ptrdiff_t>(length));
    cut.shrink_to_fit();  // so that a sanitizer sees a read beyond the end
    core::Packet packet;
    packet.data = cut.data();
    packet.length = static_cast<uint32_t>(length);
    TcpTrain::Segment examined;
    EXPECT_NE(TcpTrain::examine(packet, examined), TcpTrain::Kind::kSegment) << length;
  }
}

TEST(VnetHeader, RefusesWhatContradictsTheFrame) {
  core::Offload offload;
  VnetHeader header{};
  EXPECT_TRUE(offload_from_vnet(header, 60, offload));
  header.flags = 1;
  header.csum_start = 34;
  header.csum_offset = 16;
  EXPECT_TRUE(offload_from_vnet(header, 60, offload));
  EXPECT_TRUE(offload.checksum_partial);
  EXPECT_EQ(offload.checksum_start, 34);
  EXPECT_FALSE(offload_from_vnet(header, 51, offload)) << "the field lies outside";
  header.gso_type = 1;
  EXPECT_FALSE(offload_from_vnet(header, 60, offload)) << "segments of no size";
  header.gso_size = 1400;
  EXPECT_TRUE(offload_from_vnet(header, 60, offload));
  EXPECT_EQ(offload.segment_kind, core::kSegmentTcp4);
  header.gso_type = 3;  // UFO
  EXPECT_FALSE(offload_from_vnet(header, 60, offload));
  header.gso_type = 1;
  header.flags = 0;
  EXPECT_FALSE(offload_from_vnet(header, 60, offload)) << "segments without a pending checksum";
}

TEST(VnetHeader, SpeaksOfCongestionWindowReduced) {
  Bytes frame = segment(1, payload(3000, 1), FL_TCP_ACK | FL_TCP_CWR);
  core::Packet packet;
  packet.data = frame.data();
  packet.length = static_cast<uint32_t>(frame.size());
  packet.offload.checksum_partial = true;
  packet.offload.checksum_start = kTcp;
  packet.offload.checksum_offset = 16;
  packet.offload.segment_kind = core::kSegmentTcp4;
  packet.offload.segment_size = 1400;
  const VnetHeader header = vnet_from_offload(packet);
  EXPECT_EQ(header.gso_type, 1 | 0x80);
  EXPECT_EQ(header.hdr_len, kHeaders);
}

}  // namespace
}  // namespace fairlead::dpdk
