#pragma once

#include "dataplane/tables/hooks.h"
#include "tests/bpf/frames.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <gtest/gtest.h>

#include <cerrno>
#include <cstring>
#include <linux/bpf.h>
#include <string>
#include <unistd.h>
#include <vector>

namespace fairlead::test {

// A program that was loaded for this test alone (no pins, attached nowhere), run on frames by the kernel.
class ProgramTest : public ::testing::Test {
 protected:
  struct Run {
    unsigned action = ~0u;
    Bytes frame;  // as the program left it
  };
  struct Tally {
    uint64_t out = 0, passed = 0;
    std::vector<uint64_t> drops = std::vector<uint64_t>(FL_HOOK_DROPS_MAX);
  };

  void SetUp() override {
    if (geteuid() != 0) GTEST_SKIP() << "loading BPF programs needs root";
  }

  template <typename Value>
  static void put(const bpf_map* map, const void* key, const Value& value) {
    ASSERT_EQ(bpf_map_update_elem(bpf_map__fd(map), key, &value, BPF_ANY), 0) << strerror(errno);
  }

  // `context`: a __sk_buff or xdp_md, or null.
  static Run run(const bpf_program* program, const Bytes& frame, void* context = nullptr,
                 size_t context_bytes = 0) {
    Run result;
    result.frame.resize(frame.size() + 256);
    LIBBPF_OPTS(bpf_test_run_opts, options);
    options.data_in = frame.data();
    options.data_size_in = static_cast<__u32>(frame.size());
    options.data_out = result.frame.data();
    options.data_size_out = static_cast<__u32>(result.frame.size());
    options.ctx_in = context;
    options.ctx_size_in = static_cast<__u32>(context_bytes);
    options.repeat = 1;
    const int error = bpf_prog_test_run_opts(bpf_program__fd(program), &options);
    EXPECT_EQ(error, 0) << strerror(-error) << " with a frame of " << frame.size() << " bytes";
    result.action = options.retval;
    result.frame.resize(options.data_size_out);
    return result;
  }

  static Tally tally(const bpf_map* counters, __u32 hook) {
    std::vector<hook_counters_value> values(static_cast<size_t>(libbpf_num_possible_cpus()));
    EXPECT_EQ(bpf_map_lookup_elem(bpf_map__fd(counters), &hook, values.data()), 0);
    Tally sum;
    for (const auto& value : values) {
      sum.out += value.out;
      sum.passed += value.passed;
      for (size_t i = 0; i < sum.drops.size(); ++i) sum.drops[i] += value.drops[i];
    }
    return sum;
  }

  // The verifier may walk a million instructions; a quarter is what we allow ourselves.
  static void expect_verifiable(const bpf_program* program) {
    bpf_prog_info info{};
    __u32 length = sizeof(info);
    ASSERT_EQ(bpf_obj_get_info_by_fd(bpf_program__fd(program), &info, &length), 0);
    EXPECT_LE(info.verified_insns, 250'000u);
    EXPECT_GT(info.verified_insns, 0u);
    RecordProperty("verified_instructions", static_cast<int>(info.verified_insns));
    printf("           %s: %u instructions verified, %u bytes of machine code\n", info.name,
           info.verified_insns, info.jited_prog_len);
  }
};

}  // namespace fairlead::test
