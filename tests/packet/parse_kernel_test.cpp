#include "dataplane/packet/flow_hash.h"
#include "dataplane/packet/flow_key.h"
#include "tests/packet/kernel_reading.h"
#include "tests/packet/parse_fixture.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <linux/bpf.h>
#include <random>
#include <unistd.h>

namespace fairlead::test {
namespace {

// One text, two compilers: the kernel's reading of a frame is the host's, byte for byte.
class ParseInKernel : public ::testing::Test {
 protected:
  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "loading BPF programs needs root";
    object_ = bpf_object__open_file(FAIRLEAD_PARSE_KERNEL_OBJECT, nullptr);
    ASSERT_NE(object_, nullptr) << strerror(errno);
    ASSERT_EQ(bpf_object__load(object_), 0) << "the verifier refused the parser";
    program_ = bpf_program__fd(bpf_object__find_program_by_name(object_, "parse_kernel"));
    reading_ = bpf_object__find_map_fd_by_name(object_, "reading");
    flow_secret_init(&secret_, 0xfa17);
    ASSERT_EQ(
        bpf_map_update_elem(bpf_object__find_map_fd_by_name(object_, "secret"), &kZero, &secret_, BPF_ANY),
        0);
  }
  void TearDown() override { bpf_object__close(object_); }

  // Zero-filled where the reading did not get to.
  kernel_reading in_kernel(const Bytes& frame) {
    kernel_reading out{};
    EXPECT_EQ(bpf_map_update_elem(reading_, &kZero, &out, BPF_ANY), 0);
    LIBBPF_OPTS(bpf_test_run_opts, options);
    options.data_in = frame.data();
    options.data_size_in = static_cast<__u32>(frame.size());
    options.repeat = 1;
    EXPECT_EQ(bpf_prog_test_run_opts(program_, &options), 0) << strerror(errno);
    EXPECT_EQ(bpf_map_lookup_elem(reading_, &kZero, &out), 0);
    return out;
  }

  kernel_reading on_host(const Bytes& frame) const {
    kernel_reading out{};
    const uint8_t* end = frame.data() + frame.size();
    out.error = parse_frame(frame.data(), end, 0, &out.packet);
    if (out.error) return out;
    if (out.packet.ip_version == 4) {
      flow_key4 key;
      flow_key4_of(&out.packet, &key);
      out.hash = flow_hash4(&secret_, &key);
    } else {
      flow_key6 key;
      flow_key6_of(&out.packet, &key);
      out.hash = flow_hash6(&secret_, &key);
    }
    out.tunnel_error = parse_tunnel(frame.data(), end, &out.packet, FL_TUNNEL_VXLAN, &out.inner);
    return out;
  }

  void expect_same(const Bytes& frame) {
    const kernel_reading kernel = in_kernel(frame), host = on_host(frame);
    ASSERT_STREQ(name(kernel.error), name(host.error));
    ASSERT_EQ(std::memcmp(&kernel, &host, sizeof(host)), 0) << "with a frame of " << frame.size() << " bytes";
  }

  bpf_object* object_ = nullptr;
  int program_ = -1, reading_ = -1;
  flow_secret secret_{};
  static constexpr __u32 kZero = 0;
};

TEST_F(ParseInKernel, GoodFramesAndTunnels) {
  for (const Bytes& frame : good_frames()) {
    expect_same(frame);
    const Bytes outer4 =
        frame4({.protocol = 17, .fill_checksum = false}, udp(vxlan(100, frame), 50000, 4789));
    EXPECT_EQ(on_host(outer4).tunnel_error, FL_PARSE_OK);
    expect_same(outer4);
    expect_same(frame6({.protocol = 17, .extensions = {{60, options_header(16)}}},
                       udp(vxlan(100, frame), 50000, 4789)));
  }
}

TEST_F(ParseInKernel, CutFrames) {
  for (const Bytes& frame : good_frames()) {
    for (size_t length = 14; length < frame.size(); ++length) {
      expect_same(Bytes(frame.begin(), frame.begin() + static_cast<long>(length)));
      if (HasFatalFailure()) return;
    }
  }
}

TEST_F(ParseInKernel, DamagedFrames) {
  std::mt19937_64 random(6);
  const std::vector<Bytes> good = good_frames();
  int accepted = 0;
  for (int round = 0; round < 20000; ++round) {
    Bytes frame = good[random() % good.size()];
    for (unsigned flips = 1 + random() % 3; flips > 0; --flips) {
      frame[12 + random() % std::min<size_t>(60, frame.size() - 12)] = static_cast<uint8_t>(random());
    }
    if (frame[12] == 8 && frame[13] == 0) {  // a wrong checksum would hide everything behind it
      put(frame, 24, 0, 2);
      put(frame, 24, static_cast<uint16_t>(~slow_sum(std::span(frame).subspan(14, 20))), 2);
    }
    accepted += on_host(frame).error == FL_PARSE_OK;
    expect_same(frame);
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(accepted, 2000);
}

}  // namespace
}  // namespace fairlead::test
