#include "bench/replay/frames.hpp"

#include "bench/replay/verify.hpp"
#include "dataplane/packet/parse.h"

#include <gtest/gtest.h>

#include <cstring>
#include <map>
#include <set>
#include <tuple>

namespace fairlead::replay {
namespace {

constexpr Mac kMac = {2, 0, 0, 0, 0xf1, 0};

Profile profile_of(const std::string& arguments) {
  Profile profile;
  const std::string wrong = parse_profile(arguments, profile);
  EXPECT_EQ(wrong, "") << arguments;
  return profile;
}

parsed read(const std::vector<uint8_t>& frame) {
  parsed p{};
  EXPECT_EQ(parse_frame(frame.data(), frame.data() + frame.size(), 0, &p), FL_PARSE_OK);
  return p;
}

// Every form at every size: whole, right in every checksum, of the length asked for.
TEST(ReplayFrames, AreRightInEveryFormAndSize) {
  for (const char* form : {"ip4", "ip6", "vxlan4", "vxlan6", "geneve4", "geneve6"}) {
    for (const char* size : {"64", "65", "128", "594", "1518"}) {
      const Profile profile =
          profile_of(std::string("frames=") + form + ",expect=" + form + ",ttl=64,flows=300,size=" + size);
      const FrameShape shape = make_shape(profile, profile.size, kMac);
      const uint32_t inner = std::max<uint32_t>(std::stoul(size), is_inner_ipv6(profile.frames) ? 66 : 64);
      EXPECT_EQ(shape.length, inner - kFcsBytes + (is_tunnel(profile.frames) ? 50 : 0)) << form;
      const FlowList flows(profile);
      for (const FlowRecord& record : flows.records()) {
        const std::vector<uint8_t> frame = make_frame(shape, record);
        ASSERT_EQ(frame.size(), shape.length);
        ASSERT_EQ(check_frame(frame.data(), shape.length, profile), Wrong::kNothing) << form << " " << size;
      }
    }
  }
}

TEST(ReplayFrames, EveryFlowIsThereOnceAndHostsEvenly) {
  const Profile profile =
      profile_of("frames=ip4,flows=40000,source=10.1.0.1+100,destination=10.2.0.1+50*256");
  const FlowList flows(profile);
  const FrameShape shape = make_shape(profile, 64, kMac);
  std::set<std::tuple<uint32_t, uint32_t, uint16_t>> tuples;
  std::map<uint32_t, unsigned> sources, destinations;
  for (const FlowRecord& record : flows.records()) {
    const parsed p = read(make_frame(shape, record));
    tuples.insert({p.source.word[0].raw, p.destination.word[0].raw, p.source_port.raw});
    ++sources[from_be32(p.source.word[0])];
    ++destinations[from_be32(p.destination.word[0])];
  }
  EXPECT_EQ(tuples.size(), 40000u);
  EXPECT_EQ(sources.size(), 100u);
  EXPECT_EQ(destinations.size(), 50u);
  for (const auto& [address, count] : sources) EXPECT_EQ(count, 400u) << address;
  for (const auto& [address, count] : destinations) {
    EXPECT_EQ(count, 800u) << address;
    EXPECT_EQ((address - 0x0a020001) % 256, 0u);
  }
}

TEST(ReplayFrames, AreInNoOrder) {
  const FlowList flows(profile_of("frames=ip4,flows=10000"));
  unsigned ascending = 0;
  for (size_t i = 1; i < flows.records().size(); ++i) {
    if (from_be32(flows.records()[i].source) == from_be32(flows.records()[i - 1].source) + 1) ++ascending;
  }
  EXPECT_LT(ascending, 300u);  // about one in a hundred by chance
}

// Frame n of a device with reply=1 answers frame n of the same flows without it.
TEST(ReplayFrames, AnswersGoBackTheSameWay) {
  for (const char* form : {"ip4", "ip6", "vxlan4"}) {
    const std::string common = std::string("frames=") + form + ",flows=5000,size=66,expect=" + form;
    const Profile forward = profile_of(common + ",port=8080");
    const Profile back = profile_of(common + ",port=8080,reply=1");
    const FlowList there(forward), answers(back);
    const FrameShape shape = make_shape(forward, 66, kMac), answer_shape = make_shape(back, 66, kMac);
    const uint32_t inner = is_tunnel(forward.frames) ? kTunnelBytes : 0;
    for (size_t i = 0; i < 5000; ++i) {
      std::vector<uint8_t> frame = make_frame(shape, there.records()[i]);
      std::vector<uint8_t> answer = make_frame(answer_shape, answers.records()[i]);
      frame.erase(frame.begin(), frame.begin() + inner);
      answer.erase(answer.begin(), answer.begin() + inner);
      const parsed to = read(frame), from = read(answer);
      ASSERT_EQ(std::memcmp(&to.source, &from.destination, sizeof to.source), 0) << form;
      ASSERT_EQ(std::memcmp(&to.destination, &from.source, sizeof to.source), 0) << form;
      ASSERT_EQ(from_be16(from.source_port), 8080) << form;
      ASSERT_EQ(to.source_port.raw, from.destination_port.raw) << form;
    }
  }
}

TEST(ReplayFrames, QueuesShareNoFlow) {
  const FlowList flows(profile_of("frames=ip4,flows=1001,queues=2"));
  const auto first = flows.of_queue(0, 2), second = flows.of_queue(1, 2);
  EXPECT_EQ(first.size() + second.size(), 1001u);
  EXPECT_EQ(first.data() + first.size(), second.data());
}

TEST(ReplayFrames, ImixHasItsSizesAndTheirChecksums) {
  const Profile profile = profile_of("frames=ip4,expect=ip4,size=imix,flows=1200");
  const FlowList flows(profile);
  std::map<uint16_t, unsigned> sizes;
  for (size_t i = 0; i < flows.records().size(); ++i) {
    const uint16_t size = kImix.at(i % kImix.size());
    ++sizes[size];
    const std::vector<uint8_t> frame = make_frame(make_shape(profile, size, kMac), flows.records()[i]);
    ASSERT_EQ(check_frame(frame.data(), static_cast<uint32_t>(frame.size()), profile), Wrong::kNothing);
  }
  EXPECT_EQ(sizes[64], 700u);
  EXPECT_EQ(sizes[594], 400u);
  EXPECT_EQ(sizes[1518], 100u);
}

// The trunk's frames name their pod in the source MAC.
TEST(ReplayFrames, SourceMacCarriesTheLastBytesOfTheSource) {
  const Profile profile = profile_of("frames=ip4,flows=200");
  const FlowList flows(profile);
  for (const FlowRecord& record : flows.records()) {
    const std::vector<uint8_t> frame = make_frame(make_shape(profile, 64, kMac), record);
    EXPECT_EQ(frame[10], frame[28]);
    EXPECT_EQ(frame[11], frame[29]);
  }
}

TEST(ReplayProfile, RefusesWhatItDoesNotKnow) {
  for (const char* wrong :
       {"frame=ip4", "frames=ip5", "size=63", "size=1519", "flows=0", "flows=20000000", "source=10.0.0",
        "source=10.0.0.1+0", "frames=ip6,source=10.0.0.1", "verify", "frames=any",
        "flows=70000,source=10.0.0.1,destination=10.0.0.2", "queues=8,flows=4", "port=0", "expect_port=80+0",
        "expect_port=65536", "expect_destination=10.0", "once=1,paced=1"}) {
    Profile profile;
    EXPECT_NE(parse_profile(wrong, profile), "") << wrong;
  }
}

}  // namespace
}  // namespace fairlead::replay
