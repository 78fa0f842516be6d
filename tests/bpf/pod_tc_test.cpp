#include "bpf/pod_tc.skel.h"
#include "tests/bpf/program_test.hpp"

#include <ctime>
#include <linux/pkt_cls.h>

namespace fairlead::test {
namespace {

constexpr Mac kPodMac{0x0a, 0x58, 10, 1, 0, 2};
constexpr Mac kOtherMac{0x0a, 0x58, 10, 1, 0, 3};
constexpr Ipv4 kPod4{10, 1, 0, 2};
constexpr Ipv4 kSecond4{10, 1, 0, 9};
constexpr Ipv4 kPeer4{10, 1, 1, 2};
constexpr unsigned kLoopback = 1;  // the device frames of a test run seem to come from
constexpr uint64_t kSecondNs = 1'000'000'000;

const Ipv6 kPod6 = address6(0xfd01, 2);
const Ipv6 kSecond6 = address6(0xfd01, 9);
const Ipv6 kPeer6 = address6(0xfd02, 2);

uint64_t monotonic_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * kSecondNs + static_cast<uint64_t>(now.tv_nsec);
}

class PodTc : public ProgramTest {
 protected:
  void SetUp() override {
    ProgramTest::SetUp();
    if (IsSkipped()) return;
    skeleton_ = pod_tc_bpf__open_and_load();
    ASSERT_NE(skeleton_, nullptr) << strerror(errno);
    const __u32 first = 0;
    put(skeleton_->maps.hook_config, &first, hook_config_value{FL_HOOKS_VERSION, kTrunk, kSecondNs});
    beat(monotonic_ns());

    pod_endpoint_value pod{};
    pod.id = 0x0a0b0c;
    std::memcpy(pod.mac.bytes, kPodMac.data(), 6);
    pod.ipv4_count = 2;
    std::memcpy(&pod.ipv4[0], kPod4.data(), 4);
    std::memcpy(&pod.ipv4[1], kSecond4.data(), 4);
    pod.ipv6_count = 2;
    std::memcpy(&pod.ipv6[0], kPod6.data(), 16);
    std::memcpy(&pod.ipv6[1], kSecond6.data(), 16);
    put(skeleton_->maps.pod_endpoints, &kLoopback, pod);
  }
  void TearDown() override {
    if (skeleton_ != nullptr) pod_tc_bpf__destroy(skeleton_);
  }

  void beat(uint64_t at_ns) {
    const __u32 first = 0;
    put(skeleton_->maps.heartbeat, &first, heartbeat_value{at_ns});
  }

  Run send(const Bytes& frame) { return run(skeleton_->progs.pod_tc, frame); }

  // The frame goes to the trunk, counted once, and nothing but its source MAC has changed.
  void expect_out(const Bytes& frame) {
    const Tally before = tally(skeleton_->maps.hook_counters, FL_HOOK_POD);
    const Run result = send(frame);
    const Tally after = tally(skeleton_->maps.hook_counters, FL_HOOK_POD);
    EXPECT_EQ(result.action, static_cast<unsigned>(TC_ACT_REDIRECT));
    Bytes expected = frame;
    const Mac name{0x02, 0x46, 0x4c, 0x0a, 0x0b, 0x0c};
    std::copy(name.begin(), name.end(), expected.begin() + 6);
    EXPECT_EQ(result.frame, expected);
    EXPECT_EQ(after.out, before.out + 1);
    EXPECT_EQ(after.passed, 0u);
    EXPECT_EQ(after.drops, before.drops);
  }

  void expect_drop(const Bytes& frame, fl_drop_reason reason) {
    Tally before = tally(skeleton_->maps.hook_counters, FL_HOOK_POD);
    const Run result = send(frame);
    const Tally after = tally(skeleton_->maps.hook_counters, FL_HOOK_POD);
    EXPECT_EQ(result.action, static_cast<unsigned>(TC_ACT_SHOT));
    EXPECT_EQ(after.out, before.out);
    before.drops[reason] += 1;
    EXPECT_EQ(after.drops, before.drops)
        << "expected reason " << reason << ", frame of " << frame.size() << " bytes";
  }

  static Bytes from_pod4(const Ipv4& source, const Ipv4& destination) {
    return ethernet(kGateway, kPodMac, 0x0800, ipv4(source, destination, udp(1000, 2000)));
  }
  static Bytes from_pod6(const Ipv6& source, const Ipv6& destination) {
    return ethernet(kGateway, kPodMac, 0x86dd, ipv6(source, destination, udp(1000, 2000)));
  }

  static constexpr __u32 kTrunk = 77;
  pod_tc_bpf* skeleton_ = nullptr;
};

TEST_F(PodTc, StaysWithinTheVerifiersBudget) {
  expect_verifiable(skeleton_->progs.pod_tc);
}

TEST_F(PodTc, OwnAddressesGoToTheTrunkNamed) {
  expect_out(from_pod4(kPod4, kPeer4));
  expect_out(from_pod4(kSecond4, kPeer4));
  expect_out(from_pod6(kPod6, kPeer6));
  expect_out(from_pod6(kSecond6, kPeer6));
}

TEST_F(PodTc, BigFramesAndOptionsAndFragmentsAreNotItsBusiness) {
  expect_out(ethernet(kGateway, kPodMac, 0x0800, ipv4(kPod4, kPeer4, udp(1, 2, 2000))));
  expect_out(ethernet(kGateway, kPodMac, 0x0800, ipv4(kPod4, kPeer4, udp(1, 2), {17, 0, 8})));
  expect_out(ethernet(kGateway, kPodMac, 0x0800, ipv4(kPod4, kPeer4, udp(1, 2), {17, 0x2001, 0})));
}

TEST_F(PodTc, ForeignMacIsSpoofing) {
  expect_drop(ethernet(kGateway, kOtherMac, 0x0800, ipv4(kPod4, kPeer4, udp(1, 2))), FL_DROP_SPOOFED_MAC);
  for (unsigned byte = 0; byte < 6; ++byte) {
    Mac nearly = kPodMac;
    nearly[byte] ^= 1;
    expect_drop(ethernet(kGateway, nearly, 0x86dd, ipv6(kPod6, kPeer6, udp(1, 2))), FL_DROP_SPOOFED_MAC);
  }
  // Nor may a pod call itself by an endpoint's name on the trunk.
  const Mac name{0x02, 0x46, 0x4c, 0, 0, 1};
  expect_drop(ethernet(kGateway, name, 0x0800, ipv4(kPod4, kPeer4, udp(1, 2))), FL_DROP_SPOOFED_MAC);
}

TEST_F(PodTc, ForeignIpv4SourceIsSpoofing) {
  expect_drop(from_pod4(kPeer4, kPod4), FL_DROP_SPOOFED_SOURCE);
  expect_drop(from_pod4({0, 0, 0, 0}, kPeer4),
              FL_DROP_SPOOFED_SOURCE);  // also the unused places of the endpoint's table
  expect_drop(from_pod4({127, 0, 0, 1}, kPeer4), FL_DROP_SPOOFED_SOURCE);
  for (unsigned byte = 0; byte < 4; ++byte) {
    Ipv4 nearly = kPod4;
    nearly[byte] ^= 0x80;
    expect_drop(from_pod4(nearly, kPeer4), FL_DROP_SPOOFED_SOURCE);
  }
}

TEST_F(PodTc, ForeignIpv6SourceIsSpoofing) {
  expect_drop(from_pod6(kPeer6, kPod6), FL_DROP_SPOOFED_SOURCE);
  expect_drop(from_pod6(Ipv6{}, kPeer6), FL_DROP_SPOOFED_SOURCE);
  expect_drop(from_pod6(address6(0xfe80, 2), kPeer6), FL_DROP_SPOOFED_SOURCE);
  for (unsigned byte = 0; byte < 16; ++byte) {
    Ipv6 nearly = kPod6;
    nearly[byte] ^= 1;
    expect_drop(from_pod6(nearly, kPeer6), FL_DROP_SPOOFED_SOURCE);
  }
}

TEST_F(PodTc, EveryPlaceOfTheAddressTableCounts) {
  pod_endpoint_value pod{};
  pod.id = 0x0a0b0c;
  std::memcpy(pod.mac.bytes, kPodMac.data(), 6);
  pod.ipv4_count = pod.ipv6_count = FL_ENDPOINT_ADDRESSES_MAX;
  for (unsigned i = 0; i < FL_ENDPOINT_ADDRESSES_MAX; ++i) {
    const Ipv4 four{10, 9, 9, static_cast<uint8_t>(i + 1)};
    const Ipv6 six = address6(0xfd09, i + 1);
    std::memcpy(&pod.ipv4[i], four.data(), 4);
    std::memcpy(&pod.ipv6[i], six.data(), 16);
  }
  put(skeleton_->maps.pod_endpoints, &kLoopback, pod);
  for (unsigned i = 0; i < FL_ENDPOINT_ADDRESSES_MAX; ++i) {
    expect_out(from_pod4({10, 9, 9, static_cast<uint8_t>(i + 1)}, kPeer4));
    expect_out(from_pod6(address6(0xfd09, i + 1), kPeer6));
  }
  expect_drop(from_pod4({10, 9, 9, 5}, kPeer4), FL_DROP_SPOOFED_SOURCE);
  expect_drop(from_pod4(kPod4, kPeer4), FL_DROP_SPOOFED_SOURCE);
}

TEST_F(PodTc, VlanArpAndOtherEtherTypesHaveTheirReasons) {
  Bytes tagged{0x00, 0x05, 0x08, 0x00};
  append(tagged, ipv4(kPod4, kPeer4, udp(1, 2)));
  expect_drop(ethernet(kGateway, kPodMac, 0x8100, tagged), FL_DROP_VLAN_FROM_POD);
  expect_drop(ethernet(kGateway, kPodMac, 0x88a8, tagged), FL_DROP_VLAN_FROM_POD);
  expect_drop(ethernet(kBroadcast, kPodMac, 0x0806, Bytes(28, 0)), FL_DROP_ARP_NOT_EXPECTED);
  expect_drop(ethernet(kGateway, kPodMac, 0x0806, Bytes(28, 0)), FL_DROP_ARP_NOT_EXPECTED);
  expect_drop(ethernet(kGateway, kPodMac, 0x88cc, Bytes(40, 0)), FL_DROP_NOT_IP_FROM_POD);
  expect_drop(ethernet(kGateway, kPodMac, 0x8847, Bytes(40, 0)), FL_DROP_NOT_IP_FROM_POD);
  expect_drop(ethernet(kGateway, kPodMac, 40, Bytes(40, 0)), FL_DROP_NOT_IP_FROM_POD);
}

TEST_F(PodTc, MulticastIsNamedBeforeItsSourceIsJudged) {
  expect_drop(from_pod4(kPod4, {224, 0, 0, 251}), FL_DROP_MULTICAST);
  expect_drop(from_pod4(kPod4, {239, 255, 255, 255}), FL_DROP_MULTICAST);
  expect_drop(from_pod4({0, 0, 0, 0}, {255, 255, 255, 255}), FL_DROP_MULTICAST);  // DHCP
  expect_drop(ethernet(kBroadcast, kPodMac, 0x0800, ipv4(kPod4, kPeer4, udp(1, 2))), FL_DROP_MULTICAST);
  // Router solicitation from ::, duplicate address detection, MLD report from a link-local address.
  expect_drop(
      ethernet({0x33, 0x33, 0, 0, 0, 2}, kPodMac, 0x86dd, ipv6(Ipv6{}, address6(0xff02, 2), Bytes(8, 0), 58)),
      FL_DROP_MULTICAST);
  expect_drop(from_pod6(address6(0xfe80, 7), address6(0xff02, 0x16)), FL_DROP_MULTICAST);
  // Neighbours of the multicast ranges are not multicast.
  expect_out(from_pod4(kPod4, {223, 255, 255, 255}));
  expect_out(from_pod4(kPod4, {240, 0, 0, 1}));
  expect_out(from_pod6(kPod6, address6(0xfeff, 1)));
}

// Shorter frames than a whole IP header are refused by the test run of recent kernels: those come over a real
// veth pair in tests/ebpf.
TEST_F(PodTc, TheHeadersAloneAreEnough) {
  const Bytes four = from_pod4(kPod4, kPeer4);
  const Bytes six = from_pod6(kPod6, kPeer6);
  expect_out(Bytes(four.begin(), four.begin() + 34));
  expect_out(Bytes(six.begin(), six.begin() + 54));
}

TEST_F(PodTc, VersionMustAgreeWithTheEtherType) {
  expect_drop(ethernet(kGateway, kPodMac, 0x0800, ipv6(kPod6, kPeer6, udp(1, 2))), FL_DROP_MALFORMED_IPV4);
  expect_drop(ethernet(kGateway, kPodMac, 0x86dd, ipv4(kPod4, kPeer4, udp(1, 2, 60))),
              FL_DROP_MALFORMED_IPV6);
}

TEST_F(PodTc, WithoutAnEndpointNothingPasses) {
  ASSERT_EQ(bpf_map_delete_elem(bpf_map__fd(skeleton_->maps.pod_endpoints), &kLoopback), 0);
  expect_drop(from_pod4(kPod4, kPeer4), FL_DROP_UNKNOWN_ENDPOINT);
}

TEST_F(PodTc, AStaleHeartbeatStopsTheTrunk) {
  const Bytes good = from_pod4(kPod4, kPeer4);
  expect_out(good);
  beat(monotonic_ns() - 2 * kSecondNs);
  expect_drop(good, FL_DROP_FORWARDER_STALE);
  beat(0);
  expect_drop(good, FL_DROP_FORWARDER_STALE);
  expect_drop(from_pod4(kPeer4, kPod4), FL_DROP_SPOOFED_SOURCE);  // the sender is judged all the same
  beat(monotonic_ns() + kSecondNs);                               // a beat another CPU sees as later than now
  expect_out(good);
}

TEST_F(PodTc, WithoutATrunkTheForwarderIsNotThere) {
  const __u32 first = 0;
  put(skeleton_->maps.hook_config, &first, hook_config_value{FL_HOOKS_VERSION, 0, kSecondNs});
  expect_drop(from_pod4(kPod4, kPeer4), FL_DROP_FORWARDER_STALE);
}

TEST_F(PodTc, GsoFactsSurvive) {
  const Bytes frame = ethernet(kGateway, kPodMac, 0x0800, ipv4(kPod4, kPeer4, Bytes(2800, 0), {6, 0, 0}));
  __sk_buff context{};
  context.gso_segs = 3;
  context.gso_size = 1400;
  __sk_buff after{};
  Bytes out(frame.size() + 64);
  LIBBPF_OPTS(bpf_test_run_opts, options);
  options.data_in = frame.data();
  options.data_size_in = static_cast<__u32>(frame.size());
  options.data_out = out.data();
  options.data_size_out = static_cast<__u32>(out.size());
  options.ctx_in = &context;
  options.ctx_size_in = sizeof(context);
  options.ctx_out = &after;
  options.ctx_size_out = sizeof(after);
  ASSERT_EQ(bpf_prog_test_run_opts(bpf_program__fd(skeleton_->progs.pod_tc), &options), 0);
  EXPECT_EQ(options.retval, static_cast<unsigned>(TC_ACT_REDIRECT));
  EXPECT_EQ(after.gso_size, 1400u);
  EXPECT_EQ(after.gso_segs, 3u);
}

}  // namespace
}  // namespace fairlead::test
