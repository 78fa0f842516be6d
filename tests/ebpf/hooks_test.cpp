#include "dataplane/ebpf/hooks.hpp"

#include "dataplane/tables/hooks.h"
#include "tests/ebpf/pod_lab.hpp"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>

#include <sys/wait.h>

namespace fairlead::test {
namespace {

class HooksTest : public PodLab {
 protected:
  static std::map<core::EndpointId, core::Endpoint> states(std::initializer_list<core::Endpoint> endpoints) {
    std::map<core::EndpointId, core::Endpoint> all;
    for (const auto& endpoint : endpoints) all[endpoint.id] = endpoint;
    return all;
  }
};

TEST_F(HooksTest, ADirectoryWithoutBpffsIsRefusedWithTheCommandThatHelps) {
  auto opened = ebpf::Hooks::open({.bpf_dir = "/tmp/fl-bpf-no-bpffs/deep"});
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, "FL3101");
  EXPECT_NE(opened.error().fix.find("mount -t bpf bpf /sys/fs/bpf"), std::string::npos);
  EXPECT_NE(access("/tmp/fl-bpf-no-bpffs", F_OK), 0) << "nothing was made";
}

TEST_F(HooksTest, PinsAreVersionedAndPrivate) {
  hooks_ = open_hooks();
  ASSERT_NE(hooks_, nullptr);
  for (const char* name : {"pod_endpoints", "trunk_endpoints", "hook_config", "heartbeat", "hook_counters"}) {
    struct stat facts {};
    ASSERT_EQ(stat((std::string("/sys/fs/bpf/fairlead/v1/") + name).c_str(), &facts), 0) << name;
  }
  struct stat facts {};
  ASSERT_EQ(stat("/sys/fs/bpf/fairlead/v1", &facts), 0);
  EXPECT_EQ(facts.st_mode & 0777, 0700u);
}

TEST_F(HooksTest, AnUnknownLayoutIsRefusedAndLeftAlone) {
  ASSERT_NE(open_hooks(), nullptr);
  ASSERT_EQ(unlink("/sys/fs/bpf/fairlead/v1/pod_endpoints"), 0);
  LIBBPF_OPTS(bpf_map_create_opts, options);
  options.map_flags = BPF_F_NO_PREALLOC;
  const int other = bpf_map_create(BPF_MAP_TYPE_HASH, "pod_endpoints", 4, 100, FL_ENDPOINTS_MAX, &options);
  ASSERT_GE(other, 0) << strerror(errno);
  ASSERT_EQ(bpf_obj_pin(other, "/sys/fs/bpf/fairlead/v1/pod_endpoints"), 0);
  close(other);
  auto opened = ebpf::Hooks::open({});
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, "FL3103");
  EXPECT_NE(opened.error().what.find("/sys/fs/bpf/fairlead/v1/pod_endpoints"), std::string::npos);
  EXPECT_NE(opened.error().what.find("values of 100"), std::string::npos) << opened.error().what;
  EXPECT_NE(opened.error().what.find("values of 92"), std::string::npos) << opened.error().what;
  EXPECT_EQ(access("/sys/fs/bpf/fairlead/v1/pod_endpoints", F_OK), 0);
}

TEST_F(HooksTest, APinThatIsAProgramIsRefused) {
  ASSERT_NE(open_hooks(), nullptr);
  ASSERT_EQ(unlink("/sys/fs/bpf/fairlead/v1/heartbeat"), 0);
  const bpf_insn nothing[] = {{BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0}, {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
  const int program = bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "nothing", "GPL", nothing, 2, nullptr);
  ASSERT_GE(program, 0) << strerror(errno);
  ASSERT_EQ(bpf_obj_pin(program, "/sys/fs/bpf/fairlead/v1/heartbeat"), 0);
  close(program);
  auto opened = ebpf::Hooks::open({});
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, "FL3103");
}

TEST_F(HooksTest, AConfigurationOfAnotherVersionIsRefused) {
  ASSERT_NE(open_hooks(), nullptr);
  const int config = bpf_obj_get("/sys/fs/bpf/fairlead/v1/hook_config");
  ASSERT_GE(config, 0);
  const __u32 first = 0;
  const hook_config_value future{2, 0, 0};
  ASSERT_EQ(bpf_map_update_elem(config, &first, &future, BPF_ANY), 0);
  close(config);
  auto opened = ebpf::Hooks::open({});
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, "FL3103");
  EXPECT_NE(opened.error().what.find("version 2"), std::string::npos);
}

TEST_F(HooksTest, AttachingTwiceIsAttachingOnce) {
  open_and_start();
  const auto pod = make_pod(1);
  attach(pod);
  attach(pod);
  EXPECT_EQ(filters_on("veth1", "pod_tc"), 1u);
  EXPECT_EQ(hooks_->attached_endpoints(), std::vector<core::EndpointId>{pod.id});
  ASSERT_TRUE(hooks_->set_trunk(if_nametoindex("fltrunk")).ok());
  EXPECT_EQ(filters_on("fltrunk", "trunk_tc"), 1u);

  ASSERT_TRUE(hooks_->detach_endpoint(pod.id).ok());
  ASSERT_TRUE(hooks_->detach_endpoint(pod.id).ok());
  EXPECT_EQ(filters_on("veth1", "pod_tc"), 0u);
  EXPECT_TRUE(hooks_->attached_endpoints().empty());
}

TEST_F(HooksTest, AnExistingQdiscIsUsedAndLeft) {
  open_and_start();
  const auto pod = make_pod(1);
  NetworkLab::sh("tc qdisc add dev veth1 clsact");
  attach(pod);
  ASSERT_TRUE(hooks_->detach_endpoint(pod.id).ok());
  EXPECT_NE(NetworkLab::output_of("tc qdisc show dev veth1").find("clsact"), std::string::npos);
}

TEST_F(HooksTest, SomebodyElsesFilterIsNotTakenAway) {
  open_and_start();
  const auto pod = make_pod(1);
  attach(pod);
  const bpf_insn pass[] = {{BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, 0}, {BPF_JMP | BPF_EXIT, 0, 0, 0, 0}};
  LIBBPF_OPTS(bpf_tc_hook, hook, .ifindex = static_cast<int>(pod.host_ifindex),
              .attach_point = BPF_TC_INGRESS);
  LIBBPF_OPTS(bpf_tc_opts, other, .handle = 1, .priority = 1);
  other.prog_fd = bpf_prog_load(BPF_PROG_TYPE_SCHED_CLS, "somebody_else", "GPL", pass, 2, nullptr);
  other.flags = BPF_TC_F_REPLACE;
  ASSERT_EQ(bpf_tc_attach(&hook, &other), 0);
  ASSERT_TRUE(hooks_->detach_endpoint(pod.id).ok());
  EXPECT_EQ(filters_on("veth1", "somebody_else"), 1u);
  close(other.prog_fd);
}

TEST_F(HooksTest, AVanishedInterfaceIsNamedOnAttachAndFineOnDetach) {
  open_and_start();
  const auto pod = make_pod(1);
  attach(pod);
  NetworkLab::sh("ip link del veth1");
  auto refused = hooks_->attach_endpoint(pod);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "FL3106");
  EXPECT_NE(refused.error().what.find("default/pod1"), std::string::npos);
  EXPECT_NE(refused.error().what.find("veth1"), std::string::npos);
  EXPECT_TRUE(hooks_->attached_endpoints().empty()) << "frames to it are counted as to nobody";
  EXPECT_TRUE(hooks_->detach_endpoint(pod.id).ok());

  const auto other = make_pod(2);
  attach(other);
  NetworkLab::sh("ip link del veth2");
  EXPECT_TRUE(hooks_->detach_endpoint(other.id).ok());
}

TEST_F(HooksTest, AnInterfaceThatIsAnotherOneIsRefused) {
  open_and_start();
  auto pod = make_pod(1);
  pod.host_interface = "veth7";
  auto refused = hooks_->attach_endpoint(pod);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "FL3106");
  EXPECT_EQ(filters_on("veth1", "pod_tc"), 0u);
}

TEST_F(HooksTest, TooManyAddressesAreRefusedWhole) {
  open_and_start();
  auto pod = make_pod(1);
  for (const char* more : {"10.1.0.11", "10.1.0.12", "10.1.0.13", "10.1.0.14"}) {
    pod.addresses.push_back(core::IpAddress::parse(more).value());
  }
  auto refused = hooks_->attach_endpoint(pod);
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.error().code, "FL3107");
  EXPECT_TRUE(hooks_->attached_endpoints().empty());
}

TEST_F(HooksTest, AFastPortNeedsNoHook) {
  open_and_start();
  core::Endpoint fast;
  fast.id = 9;
  fast.fast_port = 16;
  EXPECT_TRUE(hooks_->attach_endpoint(fast).ok());
  EXPECT_TRUE(hooks_->attached_endpoints().empty());
}

TEST_F(HooksTest, AnEndpointMovesToAnotherInterface) {
  open_and_start();
  auto pod = make_pod(1);
  const auto second = make_pod(2);
  attach(pod);
  pod.host_interface = second.host_interface;
  pod.host_ifindex = second.host_ifindex;
  attach(pod);
  EXPECT_EQ(filters_on("veth1", "pod_tc"), 0u);
  EXPECT_EQ(filters_on("veth2", "pod_tc"), 1u);
  // And the interface to another endpoint: the old one is gone from both tables.
  attach(second);
  EXPECT_EQ(hooks_->attached_endpoints(), std::vector<core::EndpointId>{second.id});
  EXPECT_TRUE(hooks_->detach_endpoint(pod.id).ok());
  EXPECT_EQ(filters_on("veth2", "pod_tc"), 1u);
}

TEST_F(HooksTest, ReconcilingRemovesWhatIsNotInTheState) {
  open_and_start();
  const auto one = make_pod(1);
  const auto two = make_pod(2);
  const auto three = make_pod(3);
  attach(one);
  attach(two);
  relay_->stop();
  hooks_ = open_hooks();  // a new process; meanwhile pod 1 went, pod 3 came, pod 2's interface was lost
  NetworkLab::sh("ip link del veth2");
  const auto errors = hooks_->reconcile(states({two, three}));
  ASSERT_EQ(errors.size(), 1u);
  EXPECT_EQ(errors[0].code, "FL3106");
  EXPECT_EQ(hooks_->attached_endpoints(), std::vector<core::EndpointId>{three.id});
  EXPECT_EQ(filters_on("veth1", "pod_tc"), 0u);
  EXPECT_EQ(filters_on("veth3", "pod_tc"), 1u);
}

// A process killed between the two writes of an attachment.
TEST_F(HooksTest, ReconcilingRepairsHalfAnAttachment) {
  open_and_start();
  const auto one = make_pod(1);
  const auto two = make_pod(2);
  attach(one);
  attach(two);
  const int by_id = bpf_obj_get("/sys/fs/bpf/fairlead/v1/trunk_endpoints");
  const int by_interface = bpf_obj_get("/sys/fs/bpf/fairlead/v1/pod_endpoints");
  ASSERT_EQ(bpf_map_delete_elem(by_id, &one.id), 0);
  ASSERT_EQ(bpf_map_delete_elem(by_interface, &two.host_ifindex), 0);
  EXPECT_TRUE(hooks_->reconcile(states({two})).empty());
  EXPECT_EQ(filters_on("veth1", "pod_tc"), 0u);
  __u32 key = 0;
  ASSERT_EQ(bpf_map_get_next_key(by_interface, nullptr, &key), 0);
  EXPECT_EQ(key, two.host_ifindex);
  EXPECT_NE(bpf_map_get_next_key(by_interface, &key, &key), 0) << "exactly one entry";
  close(by_id);
  close(by_interface);
}

TEST_F(HooksTest, ATrunkThatIsGoneIsNoTrunk) {
  open_and_start();
  const auto pod = make_pod(1);
  attach(pod);
  relay_.reset();  // the device goes with its descriptor, as when the forwarder is killed
  hooks_.reset();
  hooks_ = open_hooks();
  ASSERT_NE(hooks_, nullptr);
  hooks_->beat(monotonic_ns() + 3'600'000'000'000);
  EXPECT_EQ(ping_in_vain(1, ipv4(9), 2), 0u);
  EXPECT_GE(dropped(core::DropReason::FORWARDER_STALE), 2u);
}

TEST_F(HooksTest, WithoutPrivilegesTheErrorSaysWhatIsMissing) {
  hooks_ = open_hooks();
  const pid_t child = fork();
  if (child == 0) {
    if (setuid(65534) != 0) _exit(2);
    auto opened = ebpf::Hooks::open({});
    _exit(!opened.ok() && opened.error().fix.find("root") != std::string::npos ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

}  // namespace
}  // namespace fairlead::test
