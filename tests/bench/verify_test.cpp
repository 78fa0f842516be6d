#include "bench/replay/verify.hpp"

#include "bench/replay/frames.hpp"

#include <gtest/gtest.h>

namespace fairlead::replay {
namespace {

constexpr size_t kTtl4 = 14 + 8, kTotalLength4 = 14 + 2, kIpChecksum4 = 14 + 10, kSource4 = 14 + 12,
                 kUdpChecksum4 = 40;

struct Sample {
  Profile profile;
  std::vector<uint8_t> frame;

  explicit Sample(const std::string& arguments) {
    EXPECT_EQ(parse_profile(arguments, profile), "");
    const FlowList flows(profile);
    frame = make_frame(make_shape(profile, profile.size, {}), flows.records()[0]);
  }
  [[nodiscard]] Wrong check() const {
    return check_frame(frame.data(), static_cast<uint32_t>(frame.size()), profile);
  }
};

TEST(ReplayVerify, NoticesATtlThatWasNotDecremented) {
  EXPECT_EQ(Sample("frames=ip4,expect=ip4,ttl=64").check(), Wrong::kNothing);
  EXPECT_EQ(Sample("frames=ip4,expect=ip4,ttl=63").check(), Wrong::kTtl);
}

TEST(ReplayVerify, NoticesATtlWithoutItsChecksum) {
  Sample sample("frames=ip4,expect=ip4,ttl=63");
  --sample.frame[kTtl4];
  EXPECT_EQ(sample.check(), Wrong::kIpChecksum);
}

TEST(ReplayVerify, NoticesAMissingTunnelAndOneTooMany) {
  EXPECT_EQ(Sample("frames=vxlan4,expect=vxlan4").check(), Wrong::kNothing);
  EXPECT_EQ(Sample("frames=ip4,expect=vxlan4").check(), Wrong::kLength);
  EXPECT_EQ(Sample("frames=ip4,expect=vxlan4,size=imix").check(), Wrong::kEncapsulation);
  EXPECT_EQ(Sample("frames=vxlan4,expect=ip4,size=imix").check(), Wrong::kEncapsulation);
  EXPECT_EQ(Sample("frames=geneve4,expect=vxlan4").check(), Wrong::kEncapsulation);
}

TEST(ReplayVerify, NoticesAnotherNetwork) {
  Sample sample("frames=vxlan4,expect=vxlan4,vni=100");
  sample.profile.vni = 101;
  EXPECT_EQ(sample.check(), Wrong::kEncapsulation);
}

TEST(ReplayVerify, NoticesWrongBytes) {
  Sample l4("frames=ip4,expect=ip4");
  l4.frame[kUdpChecksum4] ^= 0x10;
  EXPECT_EQ(l4.check(), Wrong::kL4Checksum);
  Sample payload("frames=ip6,expect=ip6,size=200");
  payload.frame.back() = 1;
  EXPECT_EQ(payload.check(), Wrong::kL4Checksum);
  Sample cut("frames=ip4,expect=ip4,size=imix");
  cut.frame[kTotalLength4] = 4;
  EXPECT_EQ(cut.check(), Wrong::kMalformed);
  Sample shorter("frames=ip4,expect=ip4");
  shorter.frame.pop_back();
  EXPECT_EQ(shorter.check(), Wrong::kLength);
  Sample family("frames=ip6,expect=ip4,size=imix");
  EXPECT_EQ(family.check(), Wrong::kFamily);
}

TEST(ReplayVerify, ExpectsOtherEndsWhereItIsTold) {
  // What a Service's packets have to become: other destinations and another port, the source as it was.
  const std::string backends =
      "frames=ip4,expect=ip4,destination=10.244.2.1+200,expect_destination=10.244.2.1+200,port=8080";
  EXPECT_EQ(Sample(backends + ",expect_port=8080").check(), Wrong::kNothing);
  EXPECT_EQ(Sample(backends + ",expect_port=8078+3").check(), Wrong::kNothing);
  EXPECT_EQ(Sample(backends + ",expect_port=8077+3").check(), Wrong::kPort);
  EXPECT_EQ(Sample(backends + ",expect_source_port=80").check(), Wrong::kPort);
  EXPECT_EQ(
      Sample("frames=ip4,expect=ip4,destination=10.96.0.1+10,expect_destination=10.244.2.1+200").check(),
      Wrong::kAddress);
  EXPECT_EQ(Sample("frames=ip4,expect=ip4,expect_source=10.96.0.1+200").check(), Wrong::kAddress);
}

TEST(ReplayVerify, NoticesAnAddressThatWasNotHandedOut) {
  Sample sample("frames=ip4,expect=ip4");
  ++sample.frame[kSource4];
  // 0x0100 more in the source is 0x0100 less in the checksums, which have no carry here.
  const auto less = [&](size_t at) {
    const unsigned value = (sample.frame[at] * 256u + sample.frame[at + 1] + 0xffff - 0x0100) % 0xffff;
    sample.frame[at] = static_cast<uint8_t>(value >> 8);
    sample.frame[at + 1] = static_cast<uint8_t>(value);
  };
  less(kIpChecksum4);
  less(kUdpChecksum4);
  EXPECT_EQ(sample.check(), Wrong::kAddress);
}

}  // namespace
}  // namespace fairlead::replay
