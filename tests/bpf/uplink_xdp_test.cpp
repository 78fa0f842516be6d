#include "bpf/uplink_xdp.skel.h"
#include "tests/bpf/program_test.hpp"

#include <linux/if_xdp.h>
#include <sys/socket.h>

namespace fairlead::test {
namespace {

constexpr Mac kNodeMac{0x02, 0, 0, 0, 0, 1};
constexpr Mac kFabricMac{0x02, 0, 0, 0, 0, 2};
constexpr Ipv4 kNode4{192, 0, 2, 1};
constexpr Ipv4 kPeerNode4{192, 0, 2, 2};
constexpr unsigned kVxlan = 4789;

const Ipv6 kNode6 = address6(0x2001, 1);
const Ipv6 kPeerNode6 = address6(0x2001, 2);

class UplinkXdp : public ProgramTest {
 protected:
  void SetUp() override {
    ProgramTest::SetUp();
    if (IsSkipped()) return;
    skeleton_ = uplink_xdp_bpf__open_and_load();
    ASSERT_NE(skeleton_, nullptr) << strerror(errno);
    const __u32 first = 0;
    put(skeleton_->maps.uplink_config, &first, uplink_config_value{to_be16(kVxlan), 0, 0, 0, 0});
    add4(kNode4, 32, FL_UPLINK_VTEP);
    add4({10, 1, 0, 0}, 24, FL_UPLINK_PODS);
    add6(kNode6, 128, FL_UPLINK_VTEP);
    add6(address6(0xfd01, 0), 64, FL_UPLINK_PODS);
    connect_socket(0);
  }
  void TearDown() override {
    if (socket_ >= 0) close(socket_);
    if (skeleton_ != nullptr) uplink_xdp_bpf__destroy(skeleton_);
  }

  void add4(const Ipv4& address, unsigned length, uint32_t kind) {
    uplink_ipv4_key key{};
    key.prefix_length = length;
    std::memcpy(&key.address, address.data(), 4);
    put(skeleton_->maps.uplink_ipv4, &key, uplink_value{kind});
  }
  void add6(const Ipv6& address, unsigned length, uint32_t kind) {
    uplink_ipv6_key key{};
    key.prefix_length = length;
    std::memcpy(&key.address, address.data(), 16);
    put(skeleton_->maps.uplink_ipv6, &key, uplink_value{kind});
  }

  // The node's addresses answer on node ports and translate; ports from 61000 on.
  void serve(std::initializer_list<uplink_node_port_key> ports, bool ip_in_ip = false) {
    const __u32 first = 0;
    put(skeleton_->maps.uplink_config, &first,
        uplink_config_value{to_be16(kVxlan), 61000, 65535, static_cast<__u8>(ip_in_ip), 0});
    add4(kNode4, 32, FL_UPLINK_VTEP | FL_UPLINK_NODE_PORTS | FL_UPLINK_SNAT);
    add6(kNode6, 128, FL_UPLINK_VTEP | FL_UPLINK_NODE_PORTS | FL_UPLINK_SNAT);
    for (const uplink_node_port_key& port : ports) put(skeleton_->maps.uplink_ports, &port, __u8{1});
  }
  static uplink_node_port_key node_port(unsigned port, unsigned protocol, bool is_ipv6 = false) {
    return {to_be16(static_cast<uint16_t>(port)), static_cast<__u8>(protocol), is_ipv6};
  }

  // An AF_XDP socket with a receive ring is all the map wants to see.
  void connect_socket(__u32 queue) {
    socket_ = socket(AF_XDP, SOCK_RAW | SOCK_CLOEXEC, 0);
    ASSERT_GE(socket_, 0) << strerror(errno);
    const int entries = 64;
    ASSERT_EQ(setsockopt(socket_, SOL_XDP, XDP_RX_RING, &entries, sizeof(entries)), 0) << strerror(errno);
    put(skeleton_->maps.xsks_map, &queue, socket_);
  }

  void expect(xdp_action action, const Bytes& frame, const char* what) {
    const Tally before = tally(skeleton_->maps.hook_counters, FL_HOOK_UPLINK);
    const Run result = run(skeleton_->progs.uplink_xdp, frame);
    const Tally after = tally(skeleton_->maps.hook_counters, FL_HOOK_UPLINK);
    EXPECT_EQ(result.action, static_cast<unsigned>(action)) << what;
    EXPECT_EQ(result.frame, frame) << what << ": the program never changes a byte";
    EXPECT_EQ(after.out, before.out + (action == XDP_REDIRECT)) << what;
    EXPECT_EQ(after.passed, before.passed + (action == XDP_PASS)) << what;
  }

  static Bytes in4(const Bytes& packet) { return ethernet(kNodeMac, kFabricMac, 0x0800, packet); }
  static Bytes in6(const Bytes& packet) { return ethernet(kNodeMac, kFabricMac, 0x86dd, packet); }

  uplink_xdp_bpf* skeleton_ = nullptr;
  int socket_ = -1;
};

TEST_F(UplinkXdp, StaysWithinTheVerifiersBudget) {
  expect_verifiable(skeleton_->progs.uplink_xdp);
}

TEST_F(UplinkXdp, TunnelPacketsToUsAreOurs) {
  expect(XDP_REDIRECT, in4(ipv4(kPeerNode4, kNode4, udp(50000, kVxlan))), "VXLAN over IPv4");
  expect(XDP_REDIRECT, in6(ipv6(kPeerNode6, kNode6, udp(50000, kVxlan))), "VXLAN over IPv6");
  expect(XDP_REDIRECT, in4(ipv4(kPeerNode4, kNode4, udp(50000, kVxlan), {17, 0, 12})), "with IPv4 options");
  expect(XDP_REDIRECT, in4(ipv4(kPeerNode4, kNode4, udp(50000, kVxlan), {17, 0, 40})),
         "with as many as there may be");
  expect(XDP_REDIRECT, in4(ipv4(kPeerNode4, kNode4, udp(50000, kVxlan), {17, 0x4000, 0})), "with DF");
}

TEST_F(UplinkXdp, TunnelPacketsToOthersAreNot) {
  expect(XDP_PASS, in4(ipv4(kNode4, kPeerNode4, udp(50000, kVxlan))), "to another node");
  expect(XDP_PASS, in6(ipv6(kNode6, kPeerNode6, udp(50000, kVxlan))), "to another node, IPv6");
  expect(XDP_PASS, in4(ipv4(kPeerNode4, kNode4, udp(kVxlan, 53))), "from the tunnel port, not to it");
  expect(XDP_PASS, in6(ipv6(kPeerNode6, kNode6, udp(kVxlan, 4788))), "another port, IPv6");
  expect(XDP_PASS, in4(ipv4(kPeerNode4, kNode4, udp(50000, kVxlan), {6, 0, 0})), "TCP with that number");
  expect(XDP_PASS, in6(ipv6(kPeerNode6, kNode6, udp(50000, kVxlan), 6)), "TCP with that number, IPv6");
}

TEST_F(UplinkXdp, FragmentsOfTunnelPacketsAreTheKernels) {
  expect(XDP_PASS, in4(ipv4(kPeerNode4, kNode4, udp(50000, kVxlan), {17, 0x2000, 0})), "first fragment");
  expect(XDP_PASS, in4(ipv4(kPeerNode4, kNode4, udp(50000, kVxlan), {17, 0x2010, 0})), "middle fragment");
  expect(XDP_PASS, in4(ipv4(kPeerNode4, kNode4, udp(50000, kVxlan), {17, 0x0010, 0})), "last fragment");
  Bytes fragment{17, 0, 0, 1, 0, 0, 0, 9};
  append(fragment, udp(50000, kVxlan));
  expect(XDP_PASS, in6(ipv6(kPeerNode6, kNode6, fragment, 44)), "IPv6 fragment");
}

TEST_F(UplinkXdp, PacketsToLocalPodsAreOurs) {
  expect(XDP_REDIRECT, in4(ipv4({10, 1, 1, 2}, {10, 1, 0, 2}, udp(1, 2))), "UDP");
  expect(XDP_REDIRECT, in4(ipv4({10, 1, 1, 2}, {10, 1, 0, 0}, udp(1, 2))), "first address");
  expect(XDP_REDIRECT, in4(ipv4({10, 1, 1, 2}, {10, 1, 0, 255}, Bytes{}, {1, 0, 0})),
         "last address, header only");
  expect(XDP_REDIRECT, in4(ipv4({10, 1, 1, 2}, {10, 1, 0, 2}, udp(1, 2), {6, 0x2010, 8})),
         "fragment with options");
  expect(XDP_REDIRECT, in6(ipv6(address6(0xfd02, 2), address6(0xfd01, 2), udp(1, 2))), "IPv6");
  expect(XDP_REDIRECT, in6(ipv6(address6(0xfd02, 2), address6(0xfd01, 2), Bytes(16, 0), 44)),
         "IPv6 fragment");
  expect(XDP_PASS, in4(ipv4({10, 1, 1, 2}, {10, 1, 1, 0}, udp(1, 2))), "one above");
  expect(XDP_PASS, in4(ipv4({10, 1, 1, 2}, {10, 0, 255, 255}, udp(1, 2))), "one below");
  expect(XDP_PASS, in6(ipv6(address6(0xfd01, 2), address6(0xfd02, 2), udp(1, 2))), "IPv6, another node's");
}

TEST_F(UplinkXdp, TheLongerPrefixDecides) {
  add4({10, 1, 0, 7}, 32, FL_UPLINK_VTEP);  // a tunnel end inside the pod CIDR
  expect(XDP_REDIRECT, in4(ipv4(kPeerNode4, {10, 1, 0, 7}, udp(50000, kVxlan))), "tunnel");
  expect(XDP_PASS, in4(ipv4(kPeerNode4, {10, 1, 0, 7}, udp(50000, 22))), "not tunnel");
}

// RFC 792 and RFC 4443: type, code, checksum and the MTU, then the packet that was too big.
Bytes icmp_about(unsigned type, unsigned code, const Bytes& quoted) {
  Bytes message{static_cast<uint8_t>(type), static_cast<uint8_t>(code), 0, 0, 0, 0, 0x05, 0x14};
  append(message, quoted);
  return message;
}

TEST_F(UplinkXdp, TooBigAboutOurTunnelPacketsIsOurs) {
  constexpr Ipv4 kRouter4{203, 0, 113, 1};
  const Ipv6 router6 = address6(0x2001, 99);
  const Bytes sent4 = ipv4(kNode4, kPeerNode4, udp(50000, kVxlan), {17, 0x4000, 0});
  const Bytes sent6 = ipv6(kNode6, kPeerNode6, udp(50000, kVxlan));
  const auto from4 = [&](const Bytes& icmp, unsigned option_bytes = 0) {
    return in4(ipv4(kRouter4, kNode4, icmp, {1, 0, option_bytes}));
  };
  const auto from6 = [&](const Bytes& icmp) { return in6(ipv6(router6, kNode6, icmp, 58)); };
  expect(XDP_REDIRECT, from4(icmp_about(3, 4, sent4)), "fragmentation needed");
  expect(XDP_REDIRECT, from4(icmp_about(3, 4, sent4), 8), "fragmentation needed, with options");
  expect(XDP_REDIRECT, from6(icmp_about(2, 0, sent6)), "packet too big");
  // RFC 792: eight bytes behind the quoted header are all that must be there.
  const Bytes shortest(sent4.begin(), sent4.begin() + 28);
  expect(XDP_REDIRECT, from4(icmp_about(3, 4, shortest)), "shortest quote");
  expect(XDP_PASS, from4(icmp_about(3, 4, Bytes(shortest.begin(), shortest.end() - 1))), "one byte less");

  expect(XDP_PASS, from4(icmp_about(3, 1, sent4)), "host unreachable");
  expect(XDP_PASS, from4(icmp_about(11, 4, sent4)), "another type");
  expect(XDP_PASS, from6(icmp_about(1, 0, sent6)), "unreachable, IPv6");
  expect(XDP_PASS, from4(icmp_about(3, 4, ipv4(kNode4, kPeerNode4, Bytes(20, 0), {6, 0, 0}))), "about TCP");
  expect(XDP_PASS, from4(icmp_about(3, 4, ipv4(kNode4, kPeerNode4, udp(50000, 53)))), "about DNS");
  expect(XDP_PASS, from6(icmp_about(2, 0, ipv6(kNode6, kPeerNode6, udp(50000, 53)))), "about DNS, IPv6");
  expect(XDP_PASS, from4(icmp_about(3, 4, ipv4(kPeerNode4, kNode4, udp(50000, kVxlan)))), "not sent by us");
  expect(XDP_PASS, from6(icmp_about(2, 0, ipv6(kPeerNode6, kNode6, udp(50000, kVxlan)))),
         "not sent by us, IPv6");
  expect(XDP_PASS, in4(ipv4(kRouter4, kNode4, icmp_about(3, 4, sent4), {1, 0x2000, 0})), "in fragments");
  expect(XDP_PASS, in4(ipv4(kRouter4, kPeerNode4, icmp_about(3, 4, sent4), {1, 0, 0})), "to another node");
}

TEST_F(UplinkXdp, NodePortsAreOursByProtocolPortAndFamily) {
  serve({node_port(30080, 6), node_port(30053, 17), node_port(30132, 132), node_port(30080, 6, true)});
  const auto to4 = [](unsigned protocol, unsigned port) {
    return in4(ipv4(kPeerNode4, kNode4, udp(40000, port), {protocol, 0, 0}));
  };
  const auto to6 = [](unsigned protocol, unsigned port) {
    return in6(ipv6(kPeerNode6, kNode6, udp(40000, port), protocol));
  };
  expect(XDP_REDIRECT, to4(6, 30080), "TCP");
  expect(XDP_REDIRECT, to4(17, 30053), "UDP");
  expect(XDP_REDIRECT, to4(132, 30132), "SCTP");
  expect(XDP_REDIRECT, to6(6, 30080), "TCP over IPv6");
  expect(XDP_REDIRECT, in4(ipv4(kPeerNode4, kNode4, udp(1, 30080), {6, 0x4000, 12})), "with options and DF");
  expect(XDP_REDIRECT, in4(ipv4(kPeerNode4, kNode4, udp(1, kVxlan))), "a tunnel still is");
  expect(XDP_PASS, to4(17, 30080), "of another protocol");
  expect(XDP_PASS, to4(6, 30081), "another port");
  expect(XDP_PASS, to6(17, 30053), "of the other family");
  expect(XDP_PASS, to4(47, 30080), "GRE has no ports");
  expect(XDP_PASS, in4(ipv4(kPeerNode4, {192, 0, 2, 9}, udp(1, 30080), {6, 0, 0})), "another node's");
  expect(XDP_PASS, to4(6, 22), "SSH stays the kernel's");
  expect(XDP_PASS, in4(ipv4(kPeerNode4, kNode4, udp(30080, 22), {6, 0, 0})), "from such a port");
  Bytes shorter = ipv4(kPeerNode4, kNode4, Bytes{0, 1, 0x75, 0x80}, {6, 0, 0});
  expect(XDP_PASS, in4(shorter), "four bytes are no transport header");
}

TEST_F(UplinkXdp, RepliesToTranslatedConnectionsAreOurs) {
  serve({});
  for (const unsigned protocol : {6u, 17u, 132u}) {
    for (const unsigned port : {61000u, 63000u, 65535u}) {
      expect(XDP_REDIRECT, in4(ipv4(kPeerNode4, kNode4, udp(443, port), {protocol, 0, 0})), "IPv4");
      expect(XDP_REDIRECT, in6(ipv6(kPeerNode6, kNode6, udp(443, port), protocol)), "IPv6");
    }
    expect(XDP_PASS, in4(ipv4(kPeerNode4, kNode4, udp(61000, 60999), {protocol, 0, 0})), "one below");
  }
  const auto echo4 = [](unsigned type, unsigned id) {
    Bytes message{static_cast<uint8_t>(type), 0, 0, 0};
    append16(message, id);
    append16(message, 1);
    return in4(ipv4(kPeerNode4, kNode4, message, {1, 0, 0}));
  };
  const auto echo6 = [](unsigned type, unsigned id) {
    Bytes message{static_cast<uint8_t>(type), 0, 0, 0};
    append16(message, id);
    append16(message, 1);
    return in6(ipv6(kPeerNode6, kNode6, message, 58));
  };
  expect(XDP_REDIRECT, echo4(0, 61000), "echo reply");
  expect(XDP_REDIRECT, echo6(129, 65535), "echo reply, IPv6");
  expect(XDP_PASS, echo4(0, 60999), "the node's own ping");
  expect(XDP_PASS, echo6(129, 1), "the node's own ping, IPv6");
  expect(XDP_PASS, echo4(8, 61000), "an echo request is for the node");
  expect(XDP_PASS, echo6(128, 61000), "an echo request is for the node, IPv6");
  expect(XDP_PASS, echo6(135, 61000), "neighbour discovery is the kernel's");
}

TEST_F(UplinkXdp, ErrorsAboutTranslatedConnectionsAreOurs) {
  serve({node_port(30080, 6), node_port(30080, 6, true)});
  const auto about4 = [](unsigned type, unsigned code, const Bytes& quoted) {
    return in4(ipv4({203, 0, 113, 1}, kNode4, icmp_about(type, code, quoted), {1, 0, 0}));
  };
  const auto about6 = [](unsigned type, const Bytes& quoted) {
    return in6(ipv6(address6(0x2001, 99), kNode6, icmp_about(type, 0, quoted), 58));
  };
  const auto sent4 = [](unsigned protocol, unsigned port) {
    return ipv4(kNode4, {198, 51, 100, 1}, udp(port, 443, 0), {protocol, 0x4000, 0});
  };
  const auto sent6 = [](unsigned protocol, unsigned port) {
    return ipv6(kNode6, address6(0x2001, 7), udp(port, 443, 0), protocol);
  };
  for (const unsigned type : {3u, 11u, 12u}) expect(XDP_REDIRECT, about4(type, 1, sent4(6, 61000)), "TCP");
  for (const unsigned type : {1u, 2u, 3u, 4u})
    expect(XDP_REDIRECT, about6(type, sent6(17, 65535)), "UDP, IPv6");
  expect(XDP_REDIRECT, about4(3, 4, sent4(6, 30080)), "too big, about a node port's reply");
  expect(XDP_REDIRECT, about6(2, sent6(6, 30080)), "too big, about a node port's reply, IPv6");
  Bytes ping{8, 0, 0, 0, 0xee, 0x48, 0, 1}, ping6{128, 0, 0, 0, 0xee, 0x48, 0, 1};  // id 61000
  expect(XDP_REDIRECT, about4(11, 0, ipv4(kNode4, {198, 51, 100, 1}, ping, {1, 0, 0})), "about an echo");
  expect(XDP_REDIRECT, about6(3, ipv6(kNode6, address6(0x2001, 7), ping6, 58)), "about an echo, IPv6");

  expect(XDP_PASS, about4(3, 1, sent4(6, 40000)), "the node's own connection");
  expect(XDP_PASS, about6(1, sent6(6, 40000)), "the node's own connection, IPv6");
  expect(XDP_PASS, about4(3, 1, sent4(17, 30080)), "of another protocol");
  expect(XDP_PASS, about4(5, 1, sent4(6, 61000)), "a redirect");
  expect(XDP_PASS, about4(3, 1, ipv4(kPeerNode4, kNode4, udp(61000, 443, 0), {6, 0, 0})), "not sent by us");
  expect(XDP_PASS, about4(3, 1, ipv4(kNode4, kPeerNode4, udp(61000, 443, 0), {6, 0x0010, 0})),
         "a quoted fragment has no ports");
  ping[4] = 0, ping6[4] = 0;
  expect(XDP_PASS, about4(11, 0, ipv4(kNode4, {198, 51, 100, 1}, ping, {1, 0, 0})), "the node's traceroute");
  expect(XDP_PASS, about6(3, ipv6(kNode6, address6(0x2001, 7), ping6, 58)), "the node's traceroute, IPv6");
}

TEST_F(UplinkXdp, FragmentsToAddressesWithNodePortsAreOurs) {
  serve({node_port(30053, 17)});
  expect(XDP_REDIRECT, in4(ipv4(kPeerNode4, kNode4, udp(1, 30053), {17, 0x2000, 0})), "first");
  expect(XDP_REDIRECT, in4(ipv4(kPeerNode4, kNode4, Bytes(24, 1), {17, 0x2010, 0})), "middle");
  expect(XDP_REDIRECT, in4(ipv4(kPeerNode4, kNode4, Bytes(3, 1), {17, 0x0010, 0})), "last");
  expect(XDP_REDIRECT, in6(ipv6(kPeerNode6, kNode6, Bytes(16, 0), 44)), "IPv6");
  expect(XDP_PASS, in4(ipv4(kPeerNode4, kPeerNode4, Bytes(24, 1), {17, 0x2010, 0})), "to another node");
}

TEST_F(UplinkXdp, AddressesOfServicesAreOursWhole) {
  add4({203, 0, 113, 7}, 32, FL_UPLINK_PODS);
  add6(address6(0x2001, 0xf7), 128, FL_UPLINK_PODS);
  expect(XDP_REDIRECT, in4(ipv4(kPeerNode4, {203, 0, 113, 7}, Bytes(20, 0), {6, 0, 0})), "TCP");
  expect(XDP_REDIRECT, in4(ipv4(kPeerNode4, {203, 0, 113, 7}, Bytes(8, 0), {1, 0, 0})), "ping");
  expect(XDP_REDIRECT, in6(ipv6(kPeerNode6, address6(0x2001, 0xf7), Bytes(24, 0), 58)), "ICMPv6");
  expect(XDP_PASS, in4(ipv4(kPeerNode4, {203, 0, 113, 8}, Bytes(20, 0), {6, 0, 0})), "the next address");
}

TEST_F(UplinkXdp, DirectReturnInIpIsOursWhereItIsUsed) {
  const Bytes inner = ipv4({198, 51, 100, 1}, {203, 0, 113, 7}, udp(1, 80), {6, 0, 0});
  const auto carried4 = in4(ipv4(kPeerNode4, kNode4, inner, {4, 0, 0}));
  const auto carried6 = in6(ipv6(kPeerNode6, kNode6, inner, 4));
  serve({});
  expect(XDP_PASS, carried4, "nobody uses it");
  serve({}, true);
  expect(XDP_REDIRECT, carried4, "IPIP");
  expect(XDP_REDIRECT, carried6, "IPv4 in IPv6");
  expect(XDP_REDIRECT, in6(ipv6(kPeerNode6, kNode6, inner, 41)), "IP6IP6");
  expect(XDP_PASS, in4(ipv4(kPeerNode4, kNode4, inner, {47, 0, 0})), "GRE");
}

TEST_F(UplinkXdp, TheRestIsTheKernels) {
  expect(XDP_PASS, in4(ipv4(kPeerNode4, kNode4, Bytes(20, 0), {6, 0, 0})), "SSH");
  expect(XDP_PASS, in4(ipv4(kPeerNode4, kNode4, Bytes(8, 0), {1, 0, 0})), "ping");
  expect(XDP_PASS, ethernet(kBroadcast, kFabricMac, 0x0806, Bytes(28, 0)), "ARP");
  expect(XDP_PASS, in6(ipv6(kPeerNode6, address6(0xff02, 1), Bytes(24, 0), 58)), "neighbour discovery");
  expect(XDP_PASS, in6(ipv6(kPeerNode6, kNode6, Bytes(24, 0), 58)), "ICMPv6 to the node");
  expect(XDP_PASS, ethernet(kNodeMac, kFabricMac, 0x88cc, Bytes(60, 0)), "LLDP");
  Bytes tagged{0x00, 0x05, 0x08, 0x00};
  append(tagged, ipv4({10, 1, 1, 2}, {10, 1, 0, 2}, udp(1, 2)));
  expect(XDP_PASS, ethernet(kNodeMac, kFabricMac, 0x8100, tagged), "VLAN: the VLAN device's business");
}

TEST_F(UplinkXdp, EveryTruncationPasses) {
  const Bytes four = in4(ipv4(kPeerNode4, kNode4, udp(50000, kVxlan, 0), {17, 0, 8}));
  for (size_t length = 14; length < four.size(); ++length) {
    expect(XDP_PASS, Bytes(four.begin(), four.begin() + static_cast<long>(length)), "truncated IPv4");
  }
  expect(XDP_REDIRECT, four, "whole IPv4");
  const Bytes six = in6(ipv6(kPeerNode6, kNode6, udp(50000, kVxlan, 0)));
  for (size_t length = 14; length < six.size(); ++length) {
    expect(XDP_PASS, Bytes(six.begin(), six.begin() + static_cast<long>(length)), "truncated IPv6");
  }
  expect(XDP_REDIRECT, six, "whole IPv6");
}

TEST_F(UplinkXdp, InconsistentHeadersPass) {
  Bytes short_header = ipv4(kPeerNode4, kNode4, udp(50000, kVxlan));
  short_header[0] = 0x44;
  expect(XDP_PASS, in4(short_header), "header length below 20");
  Bytes wrong_version = ipv4(kPeerNode4, kNode4, udp(50000, kVxlan));
  wrong_version[0] = 0x65;
  expect(XDP_PASS, in4(wrong_version), "version 6 in an IPv4 frame");
  Bytes wrong_version6 = ipv6(kPeerNode6, kNode6, udp(50000, kVxlan));
  wrong_version6[0] = 0x40;
  expect(XDP_PASS, in6(wrong_version6), "version 4 in an IPv6 frame");
}

TEST_F(UplinkXdp, WithoutASocketTheKernelGetsItAll) {
  const __u32 queue = 0;
  ASSERT_EQ(bpf_map_delete_elem(bpf_map__fd(skeleton_->maps.xsks_map), &queue), 0);
  expect(XDP_PASS, in4(ipv4(kPeerNode4, kNode4, udp(50000, kVxlan))), "no socket on the queue");
  connect_socket(5);
  expect(XDP_PASS, in4(ipv4(kPeerNode4, kNode4, udp(50000, kVxlan))), "a socket on another queue");
}

TEST_F(UplinkXdp, UnconfiguredItTakesNothing) {
  uplink_xdp_bpf* bare = uplink_xdp_bpf__open_and_load();
  ASSERT_NE(bare, nullptr);
  const Run result = run(bare->progs.uplink_xdp, in4(ipv4(kPeerNode4, kNode4, udp(50000, kVxlan))));
  EXPECT_EQ(result.action, static_cast<unsigned>(XDP_PASS));
  uplink_xdp_bpf__destroy(bare);
}

}  // namespace
}  // namespace fairlead::test
