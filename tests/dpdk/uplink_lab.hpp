#pragma once

#include "dataplane/dpdk/dpdk_engine.hpp"
#include "dataplane/ebpf/hooks.hpp"
#include "tests/dpdk/netns.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <net/if.h>
#include <string>
#include <sys/mount.h>

namespace fairlead::test {

// A node with one pod, and a node that is nothing but a kernel:
//
//     pod                    node (the engine)                peer
//   [eth0 10.244.1.5]======[trunk | uplink u0 192.0.2.1]----[p0 192.0.2.2, 10.244.2.9]
//                                                            routed: an address on lo; overlay: on vx0
//
// The trunk's TAP is the pod's own interface here, so that no kernel program is needed between them.
class UplinkLab {
 public:
  // Puts the calling thread into a mount namespace of its own, with a bpffs at /sys/fs/bpf unless
  // `with_bpffs` is false.
  explicit UplinkLab(bool with_bpffs = true) : pod_("pod"), node_("node"), peer_("peer") {
    EXPECT_EQ(unshare(CLONE_NEWNS), 0);
    EXPECT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    static_cast<void>(umount2("/sys/fs/bpf", MNT_DETACH));
    if (with_bpffs) {
      EXPECT_EQ(mount("bpf", "/sys/fs/bpf", "bpf", 0, nullptr), 0);
    }
    sh("ip link add u0 netns " + node_.name() + " type veth peer name p0 netns " + peer_.name());
    node_.run("ip addr add 192.0.2.1/24 dev u0");
    node_.run("ip link set u0 up");
    peer_.run("sysctl -w net.ipv6.conf.default.disable_ipv6=1");  // no multicast of its own
    peer_.run("ip addr add 192.0.2.2/24 dev p0");
    peer_.run("ip link set p0 up");
    node_.run("sysctl -w net.ipv4.ip_forward=1");
    // A veth leaves checksums to a receiver that trusts it; frames on a wire are complete.
    peer_.run("ethtool -K p0 tx off");
    const Netns::Entered inside(node_);
    u0_ = read_mac(node_, "u0");
    p0_ = read_mac(peer_, "p0");
  }

  // The engine in the node's namespace, its trunk in the pod's. `driver` as in PortSpec.
  void start(const std::string& driver, core::Transport transport, dpdk::DpdkConfig config = {}) {
    config.huge_pages = false;
    hooks_ = std::move(*ebpf::Hooks::open({}));
    config.xdp_object = "/tmp/" + node_.name() + ".bpf.o";
    ASSERT_TRUE(ebpf::Hooks::write_uplink_program(config.xdp_object).ok());
    start_without_hooks(driver, transport, config);
    if (engine == nullptr || HasFatalFailure()) return;
    const Netns::Entered inside(node_);
    if (engine->ports().front().driver == "af_xdp") {
      ebpf::UplinkFilter filter;
      filter.vteps = {*core::IpAddress::parse("192.0.2.1")};
      filter.local_pods = {*core::Prefix::parse("10.244.1.0/24")};
      const auto set = hooks_->set_uplink_filter(if_nametoindex("u0"), filter);
      ASSERT_TRUE(set.ok()) << set.error().text();
    }
  }

  void start_without_hooks(const std::string& driver, core::Transport transport,
                           const dpdk::DpdkConfig& config) {
    auto made = dpdk::DpdkEngine::create(config);
    ASSERT_TRUE(made.ok()) << made.error().text();
    engine = std::move(*made);
    {
      const Netns::Entered inside(node_);
      PortSpec uplink;
      uplink.id = 1;
      uplink.device = "u0";
      uplink.driver = driver;
      uplink_result = engine->add_port(uplink);
    }
    {
      const Netns::Entered inside(pod_);
      PortSpec trunk;
      trunk.id = 2;
      trunk.kind = PortKind::kTrunk;
      trunk.device = "eth0";
      const auto added = engine->add_port(trunk);
      ASSERT_TRUE(added.ok()) << added.error().text();
    }
    if (!uplink_result.ok()) return;
    configure_pod();
    configure_peer(transport);
    const Netns::Entered inside(node_);
    const auto set = engine->set_underlay(underlay());
    ASSERT_TRUE(set.ok()) << set.error().text();
    const auto published = engine->publish(core::diff({}, node_state(transport)));
    ASSERT_TRUE(published.ok()) << published.error().text();
  }

  ~UplinkLab() {
    const Netns::Entered inside(node_);
    engine.reset();
    hooks_.reset();
    std::filesystem::remove("/tmp/" + node_.name() + ".bpf.o");
  }

  [[nodiscard]] const Netns& pod() const { return pod_; }
  [[nodiscard]] const Netns& node() const { return node_; }
  [[nodiscard]] const Netns& peer() const { return peer_; }

  std::unique_ptr<dpdk::DpdkEngine> engine;
  Result<void> uplink_result;

 private:
  static bool HasFatalFailure() { return ::testing::Test::HasFatalFailure(); }
  static core::MacAddress read_mac(const Netns& where, const std::string& device) {
    const std::string file = "/tmp/" + where.name() + ".mac";
    sh(where.exec("cat /sys/class/net/" + device + "/address") + " | tee " + file);
    std::string text;
    std::ifstream(file) >> text;
    std::filesystem::remove(file);
    return core::MacAddress::parse(text).value_or(core::MacAddress{});
  }

  void configure_pod() const {
    pod_.run("ip link set eth0 address " + core::endpoint_mac(5).text() + " arp on mtu 1450");
    pod_.run("ip addr add 10.244.1.5/32 dev eth0");
    pod_.run("ip route add 169.254.1.1 dev eth0 scope link");
    pod_.run("ip route add default via 169.254.1.1 src 10.244.1.5");
    pod_.run("ip neigh replace 169.254.1.1 lladdr " + core::kGatewayMac.text() + " dev eth0 nud permanent");
  }

  void configure_peer(core::Transport transport) const {
    if (transport == core::Transport::kRouted) {
      peer_.run("ip addr add 10.244.2.9/32 dev lo");
      peer_.run("ip route add 10.244.1.0/24 via 192.0.2.1 src 10.244.2.9");
      return;
    }
    const auto ours = core::default_vtep_mac(*core::IpAddress::parse("192.0.2.1")).text();
    const auto theirs = core::default_vtep_mac(*core::IpAddress::parse("192.0.2.2")).text();
    peer_.run("ip link add vx0 address " + theirs +
              " type vxlan id 100 dstport 4789 local 192.0.2.2 remote 192.0.2.1 nolearning");
    peer_.run("ip link set vx0 mtu 1450 up");
    peer_.run("ip addr add 10.244.2.9/32 dev vx0");
    peer_.run("ip route add 10.244.1.0/24 via 10.244.1.0 dev vx0 onlink src 10.244.2.9");
    peer_.run("ip neigh replace 10.244.1.0 lladdr " + ours + " dev vx0 nud permanent");
  }

  [[nodiscard]] core::Underlay underlay() const {
    core::Underlay view;
    view.links[1] = {u0_, 1500, true};
    core::UnderlayRoute on_link;
    on_link.next_hops.push_back({{}, 1, 1});
    view.routes[*core::Prefix::parse("192.0.2.0/24")] = on_link;
    view.neighbours[{1, *core::IpAddress::parse("192.0.2.2")}] = p0_;
    return view;
  }

  static core::NodeState node_state(core::Transport transport) {
    core::NodeState state;
    state.generation = 1;
    state.settings.node = "node-1";
    state.settings.vtep4 = *core::IpAddress::parse("192.0.2.1");
    state.settings.cluster_pods = {*core::Prefix::parse("10.244.0.0/16")};
    state.settings.local_pods = {*core::Prefix::parse("10.244.1.0/24")};
    core::Endpoint pod;
    pod.id = 5;
    pod.pod_namespace = "default";
    pod.pod_name = "a";
    pod.container_id = "c5";
    pod.interface = "eth0";
    pod.host_interface = "fl5";
    pod.host_ifindex = 50;
    pod.mac = core::endpoint_mac(5);
    pod.addresses = {*core::IpAddress::parse("10.244.1.5")};
    state.endpoints[5] = pod;
    core::Peer peer;
    peer.id = 2;
    peer.node = "node-2";
    peer.transport = transport;
    peer.vtep = *core::IpAddress::parse("192.0.2.2");
    peer.next_hop4 = *core::IpAddress::parse("192.0.2.2");
    peer.pod_cidrs = {*core::Prefix::parse("10.244.2.0/24")};
    state.peers[2] = peer;
    state.routes[*core::Prefix::parse("10.244.1.0/24")] = {core::RouteKind::kBlackhole, 0};
    state.routes[*core::Prefix::parse("10.244.1.5/32")] = {core::RouteKind::kEndpoint, 5};
    state.routes[*core::Prefix::parse("10.244.2.0/24")] = {core::RouteKind::kPeer, 2};
    return state;
  }

  Netns pod_, node_, peer_;
  core::MacAddress u0_, p0_;
  std::unique_ptr<ebpf::Hooks> hooks_;
};

}  // namespace fairlead::test
