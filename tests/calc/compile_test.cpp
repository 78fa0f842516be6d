#include "controlplane/calc/compile.hpp"

#include "tests/calc/fixture.hpp"

#include <gtest/gtest.h>

namespace fairlead::control {
namespace {

using core::RouteKind;
using core::RouteTarget;
using core::Transport;

TEST(Compile, OwnRangesEndpointsAndAddresses) {
  Intent intent = base();
  apply(intent, EndpointAttached{endpoint(7, {"10.244.1.7", "fd00:10:244:1::7"})});
  const Compiled out = compile(intent, {});
  EXPECT_EQ(text(out.refusals), "");
  EXPECT_EQ(core::validate(out.state), "");
  EXPECT_EQ(out.state.generation, 0u);
  const std::map<core::Prefix, RouteTarget> wanted = {
      {prefix("10.244.1.0/24"), {RouteKind::kBlackhole, 0}},
      {prefix("fd00:10:244:1::/64"), {RouteKind::kBlackhole, 0}},
      {prefix("10.244.1.7/32"), {RouteKind::kEndpoint, 7}},
      {prefix("fd00:10:244:1::7/128"), {RouteKind::kEndpoint, 7}},
      {prefix("192.0.2.1/32"), {RouteKind::kHost, 0}},
      {prefix("2001:db8::1/128"), {RouteKind::kHost, 0}},
  };
  EXPECT_EQ(out.state.routes, wanted);
  EXPECT_EQ(out.state.settings.vtep4.text(), "192.0.2.1");
  EXPECT_EQ(out.state.settings.vtep6.text(), "2001:db8::1");
  EXPECT_EQ(out.state.settings.vtep_mac, core::default_vtep_mac(ip("192.0.2.1")));
  EXPECT_EQ(out.state.settings.local_pods,
            (std::vector{prefix("10.244.1.0/24"), prefix("fd00:10:244:1::/64")}));
  EXPECT_EQ(out.state.settings.node, "n1");
}

TEST(Compile, AutoRoutesOnLinkPeersAndEncapsulatesToOthers) {
  Intent intent = base();
  apply(intent,
        NodeUpserted{node("near", {"192.0.2.2", "2001:db8::2"}, {"10.244.2.0/24", "fd00:10:244:2::/64"})});
  apply(intent, NodeUpserted{node("far", {"198.51.100.3"}, {"10.244.3.0/24"})});
  apply(intent, NodeUpserted{node("half", {"192.0.2.4", "2001:db8:ffff::4"},
                                  {"10.244.4.0/24", "fd00:10:244:4::/64"})});
  const Compiled out = compile(intent, {});
  EXPECT_EQ(text(out.refusals), "");
  EXPECT_EQ(core::validate(out.state), "");
  const core::Peer& near = peer(out.state, "near");
  EXPECT_EQ(near.transport, Transport::kRouted);
  EXPECT_EQ(near.vtep.text(), "192.0.2.2");
  EXPECT_EQ(near.alternate_vtep.text(), "2001:db8::2");
  EXPECT_EQ(near.next_hop4.text(), "192.0.2.2");
  EXPECT_EQ(near.next_hop6.text(), "2001:db8::2");
  EXPECT_EQ(peer(out.state, "far").transport, Transport::kOverlay);
  EXPECT_EQ(peer(out.state, "half").transport, Transport::kOverlay)
      << "its IPv6 pods' next hop is behind a router";
  EXPECT_EQ(out.state.routes.at(prefix("10.244.2.0/24")), (RouteTarget{RouteKind::kPeer, near.id}));
  EXPECT_FALSE(out.state.routes.contains(prefix("192.0.2.2/32"))) << "peers' addresses are the underlay's";
}

TEST(Compile, ModeDecidesForAllPeersWhereItIsNotAuto) {
  Intent intent = base();
  apply(intent, NodeUpserted{node("near", {"192.0.2.2"}, {"10.244.2.0/24"})});
  apply(intent, NodeUpserted{node("far", {"198.51.100.3"}, {"10.244.3.0/24"})});
  intent.network.mode = Mode::kOverlay;
  core::NodeState state = compile(intent, {}).state;
  EXPECT_EQ(peer(state, "near").transport, Transport::kOverlay);
  EXPECT_EQ(state.settings.mode, "Overlay");
  intent.network.mode = Mode::kRouted;
  state = compile(intent, {}).state;
  EXPECT_EQ(peer(state, "far").transport, Transport::kRouted);
  EXPECT_EQ(state.settings.mode, "Routed");
}

TEST(Compile, PodMtuFollowsTheOverheadReallyInUse) {
  Intent intent = base();
  EXPECT_EQ(compile(intent, {}).state.settings.pod_mtu, 1500) << "nobody to encapsulate to";
  apply(intent, NodeUpserted{node("near", {"192.0.2.2"}, {"10.244.2.0/24"})});
  EXPECT_EQ(compile(intent, {}).state.settings.pod_mtu, 1500);
  apply(intent, NodeUpserted{node("far", {"198.51.100.3"}, {"10.244.3.0/24"})});
  EXPECT_EQ(compile(intent, {}).state.settings.pod_mtu, 1450);
  apply(intent, NodeUpserted{node("far6", {"2001:db8:ffff::4"}, {"fd00:10:244:4::/64"})});
  EXPECT_EQ(compile(intent, {}).state.settings.pod_mtu, 1430);
  intent.network.mode = Mode::kRouted;
  EXPECT_EQ(compile(intent, {}).state.settings.pod_mtu, 1500);
  apply(intent, NodeDeleted{"far6"});
  apply(intent, NodeDeleted{"far"});
  apply(intent, NodeDeleted{"near"});
  intent.network.mode = Mode::kOverlay;
  EXPECT_EQ(compile(intent, {}).state.settings.pod_mtu, 1450)
      << "mode Overlay reserves it before the first peer";
  intent.host.uplink_mtu = 9000;
  EXPECT_EQ(compile(intent, {}).state.settings.pod_mtu, 8950);
}

TEST(Compile, ConfiguredMtuHoldsWhereItFits) {
  Intent intent = base();
  intent.network.mode = Mode::kOverlay;
  intent.network.mtu = 1400;
  EXPECT_EQ(compile(intent, {}).state.settings.pod_mtu, 1400);
  intent.network.mtu = 1460;
  const Compiled out = compile(intent, {});
  EXPECT_EQ(out.state.settings.pod_mtu, 1450);
  EXPECT_EQ(text(out.refusals),
            "FL1042 clusternetwork/default spec.overlay.mtu: 1460 does not fit uplink eth0: its MTU 1500 "
            "minus tunnel 50 "
            "allows 1280..1450; 1450 is in use\n");
}

TEST(Compile, TheFirstOwnerKeepsADisputedRange) {
  Intent intent = base();
  apply(intent, NodeUpserted{node("n3", {"192.0.2.3"}, {"10.244.3.0/24"})});
  const core::NodeState before = compile(intent, {}).state;
  apply(intent, NodeUpserted{node("n2", {"192.0.2.2"}, {"10.244.3.128/25", "10.244.2.0/24"})});
  const Compiled kept = compile(intent, before);
  EXPECT_EQ(text(kept.refusals),
            "FL1030 node/n2 spec.podCIDRs[0]: 10.244.3.128/25 overlaps 10.244.3.0/24 of node/n3\n");
  EXPECT_EQ(peer(kept.state, "n3").pod_cidrs, std::vector{prefix("10.244.3.0/24")});
  EXPECT_EQ(peer(kept.state, "n2").pod_cidrs, std::vector{prefix("10.244.2.0/24")});
  EXPECT_EQ(core::validate(kept.state), "");
  const Compiled fresh = compile(intent, {});
  EXPECT_EQ(text(fresh.refusals),
            "FL1030 node/n3 spec.podCIDRs[0]: 10.244.3.0/24 overlaps 10.244.3.128/25 of node/n2\n");
  EXPECT_EQ(compile(intent, kept.state).state, kept.state) << "never flaps";
}

TEST(Compile, OwnRangeIsDefendedToo) {
  Intent intent = base();
  const core::NodeState before = compile(intent, {}).state;
  apply(intent, NodeUpserted{node("a0", {"192.0.2.2"}, {"10.244.0.0/16"})});
  const Compiled out = compile(intent, before);
  EXPECT_EQ(out.state.settings.local_pods.size(), 2u);
  EXPECT_EQ(out.state.peers.size(), 0u);
  EXPECT_EQ(text(out.refusals),
            "FL1030 node/a0 spec.podCIDRs[0]: 10.244.0.0/16 overlaps 10.244.1.0/24 of node/n1\n");
}

TEST(Compile, RangesMayNotSwallowNodesOrServices) {
  Intent intent = base();
  intent.network.services = {prefix("10.96.0.0/12")};
  apply(intent, NodeUpserted{node("n2", {"192.0.2.2"}, {"192.0.2.0/25"})});
  apply(intent, NodeUpserted{node("n3", {"192.0.2.3"}, {"10.100.3.0/24"})});
  EXPECT_EQ(
      text(compile(intent, {}).refusals),
      "FL1030 node/n2 spec.podCIDRs[0]: 192.0.2.0/25 contains 192.0.2.1 of node/n1\n"
      "FL1030 node/n3 spec.podCIDRs[0]: 10.100.3.0/24 overlaps spec.addressing.services 10.96.0.0/12\n");
}

TEST(Compile, PeersWithoutACommonFamilyAreNamed) {
  Intent intent = base();
  intent.nodes["n1"].internal_ips = {ip("192.0.2.1")};
  apply(intent, NodeUpserted{node("n2", {}, {"10.244.2.0/24"})});
  apply(intent, NodeUpserted{node("n3", {"2001:db8::3"}, {"10.244.3.0/24"})});
  apply(intent,
        NodeUpserted{node("n4", {"192.0.2.4", "2001:db8::4"}, {"10.244.4.0/24", "fd00:10:244:4::/64"})});
  intent.network.mode = Mode::kRouted;
  const Compiled out = compile(intent, {});
  EXPECT_EQ(text(out.refusals),
            "FL1031 node/n2 status.addresses: no InternalIP\n"
            "FL1031 node/n3 status.addresses: no InternalIP of a family that this node has too\n"
            "FL1031 node/n4 status.addresses: mode Routed: fd00:10:244:4::/64 needs an IPv6 InternalIP on "
            "both nodes\n");
  EXPECT_EQ(peer(out.state, "n4").pod_cidrs.size(), 2u) << "still accepted when it comes encapsulated";
  EXPECT_FALSE(out.state.routes.contains(prefix("fd00:10:244:4::/64")));
  EXPECT_EQ(peer(out.state, "n4").alternate_vtep.text(), "2001:db8::4");
  intent.network.mode = Mode::kAuto;
  EXPECT_EQ(peer(compile(intent, {}).state, "n4").transport, Transport::kOverlay);
}

TEST(Compile, WithoutItsOwnNodeExistingPodsGoOn) {
  Intent intent = base();
  apply(intent, NodeUpserted{node("n2", {"192.0.2.2"}, {"10.244.2.0/24"})});
  apply(intent, EndpointAttached{endpoint(7, {"10.244.1.7"})});
  apply(intent, NodeDeleted{"n1"});
  const Compiled out = compile(intent, {});
  EXPECT_EQ(core::validate(out.state), "");
  EXPECT_TRUE(out.state.routes.contains(prefix("10.244.1.7/32")));
  EXPECT_EQ(out.state.peers.size(), 0u);
  EXPECT_NE(text(out.refusals).find("FL1033 node/n1"), std::string::npos);
}

TEST(Compile, AnInternalIpThatIsNotHereIsNamed) {
  Intent intent = base();
  intent.host.local_addresses = {ip("192.0.2.1")};
  EXPECT_EQ(text(compile(intent, {}).refusals),
            "FL1033 node/n1 status.addresses: 2001:db8::1 is not an address of this host\n");
}

TEST(Compile, EndpointsThatDisputeAnAddress) {
  Intent intent = base();
  apply(intent, NodeUpserted{node("n2", {"192.0.2.2"}, {"10.244.2.0/24"})});
  apply(intent, EndpointAttached{endpoint(9, {"10.244.1.7"})});
  const core::NodeState before = compile(intent, {}).state;
  apply(intent, EndpointAttached{endpoint(8, {"10.244.1.7"})});
  apply(intent, EndpointAttached{endpoint(10, {"10.244.2.7"})});
  apply(intent, EndpointAttached{endpoint(11, {"192.0.2.1"})});
  const Compiled out = compile(intent, before);
  EXPECT_EQ(text(out.refusals),
            "FL1032 pod/default/pod-8 status.podIPs: 10.244.1.7 is endpoint 9's\n"
            "FL1032 pod/default/pod-10 status.podIPs: 10.244.2.7 lies in 10.244.2.0/24 of node/n2\n"
            "FL1032 pod/default/pod-11 status.podIPs: 192.0.2.1 is this node's own address\n");
  EXPECT_EQ(core::validate(out.state), "");
}

TEST(Compile, PeerIdsStayWithTheirNodes) {
  Intent intent = base();
  apply(intent, NodeUpserted{node("n5", {"192.0.2.5"}, {"10.244.5.0/24"})});
  apply(intent, NodeUpserted{node("n3", {"192.0.2.3"}, {"10.244.3.0/24"})});
  const core::NodeState first = compile(intent, {}).state;
  EXPECT_EQ(peer(first, "n3").id, 1);
  EXPECT_EQ(peer(first, "n5").id, 2);
  apply(intent, NodeUpserted{node("n2", {"192.0.2.2"}, {"10.244.2.0/24"})});
  apply(intent, NodeDeleted{"n3"});
  const core::NodeState second = compile(intent, first).state;
  EXPECT_EQ(peer(second, "n5").id, 2);
  EXPECT_EQ(peer(second, "n2").id, 3) << "not n3's, which the dataplane still has";
}

TEST(Compile, PeerIdsAreFoundWhenTheLastIsTaken) {
  Intent intent = base();
  apply(intent, NodeUpserted{node("n2", {"192.0.2.2"}, {"10.244.2.0/24"})});
  apply(intent, NodeUpserted{node("n3", {"192.0.2.3"}, {"10.244.3.0/24"})});
  core::NodeState previous;
  core::Peer last;
  last.id = 65535;
  last.node = "n3";
  previous.peers[65535] = last;
  const core::NodeState state = compile(intent, previous).state;
  EXPECT_EQ(peer(state, "n3").id, 65535);
  EXPECT_EQ(peer(state, "n2").id, 1);
}

TEST(Compile, ClusterPodsAreTheConfiguredRangesAndWhatLiesOutside) {
  Intent intent = base();
  intent.network.pods = {prefix("10.244.0.0/16")};
  apply(intent, NodeUpserted{node("n2", {"192.0.2.2"}, {"10.200.2.0/24"})});
  EXPECT_EQ(compile(intent, {}).state.settings.cluster_pods,
            (std::vector{prefix("10.200.2.0/24"), prefix("10.244.0.0/16"), prefix("fd00:10:244:1::/64")}));
}

TEST(Compile, VtepMacFollowsTheAnnotation) {
  Intent intent = base();
  NodeObject n2 = node("n2", {"192.0.2.2"}, {"10.244.2.0/24"});
  n2.vtep_mac = core::MacAddress{{2, 1, 2, 3, 4, 5}};
  apply(intent, NodeUpserted{n2});
  apply(intent, NodeUpserted{node("n3", {"192.0.2.3"}, {"10.244.3.0/24"})});
  const core::NodeState state = compile(intent, {}).state;
  EXPECT_EQ(peer(state, "n2").vtep_mac, *n2.vtep_mac);
  EXPECT_EQ(peer(state, "n3").vtep_mac, core::default_vtep_mac(ip("192.0.2.3")));
}

}  // namespace
}  // namespace fairlead::control
