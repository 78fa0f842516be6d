#pragma once

#include "dataplane/core/node_state.hpp"
#include "tests/ebpf/ping.hpp"
#include "tests/ebpf/relay.hpp"
#include "tests/support/network_lab.hpp"

#include <net/if.h>

namespace fairlead::test {

// A node with pods as the CNI plugin makes them: /32 and /128 addresses, a link-local gateway as permanent
// neighbour.
//
//   fl-bpf-pod<n>: eth0 (10.1.0.<n>/32, fd01::<n>/128) == veth<n>: node :fltrunk == relay
class PodLab : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!NetworkLab::enter()) GTEST_SKIP() << "network namespaces and BPF need root";
    relay_ = std::make_unique<Relay>();
    NetworkLab::sh("sysctl -qw net.ipv6.conf.fltrunk.disable_ipv6=1 && ip link set fltrunk up");
  }

  static std::string netns(unsigned n) { return "fl-bpf-pod" + std::to_string(n); }
  static std::string veth(unsigned n) { return "veth" + std::to_string(n); }
  static std::string ipv4(unsigned n) { return "10.1.0." + std::to_string(n); }
  static std::string ipv6(unsigned n) { return "fd01::" + std::to_string(n); }

  static void in_pod(unsigned n, const std::string& command) {
    NetworkLab::sh("ip netns exec " + netns(n) + " " + command);
  }
  // Echo requests from `source` (empty: the pod's own choice) in pod `n`; how many were answered.
  // Waits up to five seconds for an answer that is expected, a moment for one that is not.
  static unsigned ping(unsigned n, const std::string& destination, unsigned count,
                       const std::string& source = "", bool is_answer_expected = true) {
    unsigned answers = 0;
    NetworkLab::in(netns(n), [&] { answers = ping_here(destination, count, source, is_answer_expected); });
    return answers;
  }
  static unsigned ping_in_vain(unsigned n, const std::string& destination, unsigned count,
                               const std::string& source = "") {
    return ping(n, destination, count, source, false);
  }

  core::Endpoint make_pod(unsigned n) {
    NetworkLab::add_namespace(netns(n));
    NetworkLab::sh("ip link add " + veth(n) + " type veth peer name eth0 netns " + netns(n));
    NetworkLab::sh("sysctl -qw net.ipv6.conf." + veth(n) + ".disable_ipv6=1 && ip link set " + veth(n) +
                   " up");
    for (const std::string& command :
         {std::string("ip link set lo up"), std::string("ip link set eth0 up"),
          "ip addr add " + ipv4(n) + "/32 dev eth0", "ip addr add " + ipv6(n) + "/128 dev eth0 nodad",
          std::string("ip route add 169.254.1.1 dev eth0"),
          std::string("ip route add default via 169.254.1.1"),
          std::string("ip -6 route add default via fe80::1 dev eth0"),
          std::string("ip neigh add 169.254.1.1 lladdr 02:46:4c:ff:ff:ff dev eth0 nud permanent"),
          std::string("ip neigh add fe80::1 lladdr 02:46:4c:ff:ff:ff dev eth0 nud permanent")}) {
      in_pod(n, command);
    }
    core::Endpoint endpoint;
    endpoint.id = 0x10000 + n;
    endpoint.pod_namespace = "default";
    endpoint.pod_name = "pod" + std::to_string(n);
    endpoint.host_interface = veth(n);
    endpoint.host_ifindex = if_nametoindex(veth(n).c_str());
    std::string mac = NetworkLab::output_of("ip netns exec " + netns(n) + " cat /sys/class/net/eth0/address");
    endpoint.mac = core::MacAddress::parse(mac.substr(0, 17)).value();
    endpoint.addresses = {core::IpAddress::parse(ipv4(n)).value(), core::IpAddress::parse(ipv6(n)).value()};
    for (const auto& address : endpoint.addresses) relay_->route(address, endpoint.id);
    return endpoint;
  }

  std::unique_ptr<ebpf::Hooks> open_hooks() {
    auto opened = ebpf::Hooks::open({});
    if (!opened.ok()) {
      ADD_FAILURE() << opened.error().text();
      return nullptr;
    }
    return std::move(*opened);
  }

  // Hooks with the relay's trunk.
  void open_and_start() {
    hooks_ = open_hooks();
    ASSERT_NE(hooks_, nullptr);
    auto done = hooks_->set_trunk(if_nametoindex("fltrunk"));
    ASSERT_TRUE(done.ok()) << done.error().text();
    relay_->start(*hooks_);
  }

  void attach(const core::Endpoint& endpoint) {
    auto done = hooks_->attach_endpoint(endpoint);
    ASSERT_TRUE(done.ok()) << done.error().text();
  }

  static ebpf::HookCounters counters_of(const ebpf::Hooks& hooks, std::string_view hook) {
    for (const auto& reading : hooks.counters()) {
      if (reading.hook == hook) return reading;
    }
    ADD_FAILURE() << "no counters of " << hook;
    return {};
  }
  [[nodiscard]] uint64_t dropped(core::DropReason reason, std::string_view hook = "pod_tc") const {
    return counters_of(*hooks_, hook).drops[static_cast<size_t>(reason)];
  }

  static size_t filters_on(const std::string& interface, const std::string& program) {
    const std::string text = NetworkLab::output_of("tc filter show dev " + interface + " ingress");
    size_t count = 0;
    const std::string filter = "handle 0x1 " + program + ":[";
    for (size_t at = 0; (at = text.find(filter, at)) != std::string::npos; at += filter.size()) ++count;
    return count;
  }

  void TearDown() override {
    if (relay_) relay_->stop();
    hooks_.reset();
  }

  std::unique_ptr<Relay> relay_;
  std::unique_ptr<ebpf::Hooks> hooks_;
};

}  // namespace fairlead::test
