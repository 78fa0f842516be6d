#include "bpf/trunk_tc.skel.h"
#include "tests/bpf/program_test.hpp"

#include <linux/pkt_cls.h>

namespace fairlead::test {
namespace {

constexpr Mac kPodMac{0x0a, 0x58, 10, 1, 0, 2};
constexpr __u32 kId = 0x0a0b0c;

Mac name_of(unsigned id) {
  return {0x02,
          0x46,
          0x4c,
          static_cast<uint8_t>(id >> 16),
          static_cast<uint8_t>(id >> 8),
          static_cast<uint8_t>(id)};
}

class TrunkTc : public ProgramTest {
 protected:
  void SetUp() override {
    ProgramTest::SetUp();
    if (IsSkipped()) return;
    skeleton_ = trunk_tc_bpf__open_and_load();
    ASSERT_NE(skeleton_, nullptr) << strerror(errno);
    trunk_endpoint_value value{};
    value.ifindex = 99;
    std::memcpy(value.mac.bytes, kPodMac.data(), 6);
    put(skeleton_->maps.trunk_endpoints, &kId, value);
  }
  void TearDown() override {
    if (skeleton_ != nullptr) trunk_tc_bpf__destroy(skeleton_);
  }

  void expect_drop(const Mac& destination, fl_drop_reason reason) {
    Tally before = tally(skeleton_->maps.hook_counters, FL_HOOK_TRUNK);
    const Run result = run(skeleton_->progs.trunk_tc, frame_to(destination));
    const Tally after = tally(skeleton_->maps.hook_counters, FL_HOOK_TRUNK);
    EXPECT_EQ(result.action, static_cast<unsigned>(TC_ACT_SHOT));
    before.drops[reason] += 1;
    EXPECT_EQ(after.drops, before.drops);
    EXPECT_EQ(after.out, before.out);
  }

  static Bytes frame_to(const Mac& destination) {
    return ethernet(destination, kGateway, 0x0800, ipv4({10, 1, 1, 2}, {10, 1, 0, 2}, udp(1, 2)));
  }

  trunk_tc_bpf* skeleton_ = nullptr;
};

TEST_F(TrunkTc, StaysWithinTheVerifiersBudget) {
  expect_verifiable(skeleton_->progs.trunk_tc);
}

TEST_F(TrunkTc, RestoresThePodsMac) {
  const Bytes frame = frame_to(name_of(kId));
  const Run result = run(skeleton_->progs.trunk_tc, frame);
  EXPECT_EQ(result.action, static_cast<unsigned>(TC_ACT_REDIRECT));
  Bytes expected = frame;
  std::copy(kPodMac.begin(), kPodMac.end(), expected.begin());
  EXPECT_EQ(result.frame, expected);
  const Tally after = tally(skeleton_->maps.hook_counters, FL_HOOK_TRUNK);
  EXPECT_EQ(after.out, 1u);
  EXPECT_EQ(after.drops, Tally{}.drops);
}

TEST_F(TrunkTc, NamesOfNobodyAreDropped) {
  expect_drop(name_of(kId + 1), FL_DROP_UNKNOWN_ENDPOINT);
  expect_drop(name_of(0), FL_DROP_UNKNOWN_ENDPOINT);
  expect_drop(kGateway, FL_DROP_UNKNOWN_ENDPOINT);
  expect_drop(kBroadcast, FL_DROP_UNKNOWN_ENDPOINT);
  expect_drop({0x02, 0x46, 0x4d, 0x0a, 0x0b, 0x0c},
              FL_DROP_UNKNOWN_ENDPOINT);           // the right id under another prefix
  expect_drop(kPodMac, FL_DROP_UNKNOWN_ENDPOINT);  // the pod's MAC is not its name
}

TEST_F(TrunkTc, AForgottenEndpointGetsNothing) {
  ASSERT_EQ(bpf_map_delete_elem(bpf_map__fd(skeleton_->maps.trunk_endpoints), &kId), 0);
  expect_drop(name_of(kId), FL_DROP_UNKNOWN_ENDPOINT);
}

}  // namespace
}  // namespace fairlead::test
