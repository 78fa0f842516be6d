#include "controlplane/manifests/manifests.hpp"
#include "controlplane/manifests/schema.hpp"

#include <gtest/gtest.h>

#include <string>

namespace fairlead::control {
namespace {

std::string shown(std::string_view text) {
  return render(load_manifest(text, "c.yaml").diagnostics);
}

NodeObject node_of(std::string_view text) {
  const LoadedManifest loaded = load_manifest(text, "c.yaml");
  EXPECT_EQ(render(loaded.diagnostics), "");
  EXPECT_EQ(loaded.objects.size(), 1u);
  return loaded.objects.empty() ? NodeObject{} : std::get<NodeObject>(loaded.objects[0].value);
}

TEST(NodeManifest, ReadsWhatTheApiServerPrints) {
  const NodeObject node = node_of(R"(
apiVersion: v1
kind: Node
metadata:
  name: node1
  uid: 79fdd233-f5f0-415a-b85b-c723fa3ce65a
  creationTimestamp: "2026-11-23T03:10:40Z"
  annotations: {node.alpha.kubernetes.io/ttl: "0", fairlead.io/vtep-mac: "02:46:c0:00:02:01"}
  labels: {kubernetes.io/os: linux}
spec:
  podCIDR: 10.244.0.0/24
  podCIDRs: [10.244.0.0/24, "fd00:10:244::/64"]
  taints: null
status:
  capacity: {cpu: "2", memory: 24684096Ki}
  addresses:
  - {address: 192.0.2.1, type: InternalIP}
  - {address: 192.0.2.99, type: InternalIP}
  - {address: "2001:db8::1", type: InternalIP}
  - {address: node1, type: Hostname}
  nodeInfo: {kernelVersion: 6.1.0}
)");
  EXPECT_EQ(node.name, "node1");
  ASSERT_EQ(node.pod_cidrs.size(), 2u);
  EXPECT_EQ(node.pod_cidrs[0].text(), "10.244.0.0/24");
  EXPECT_EQ(node.pod_cidrs[1].text(), "fd00:10:244::/64");
  ASSERT_EQ(node.internal_ips.size(), 2u) << "one per family, the first";
  EXPECT_EQ(node.internal_ips[0].text(), "192.0.2.1");
  EXPECT_EQ(node.internal_ips[1].text(), "2001:db8::1");
  ASSERT_TRUE(node.vtep_mac);
  EXPECT_EQ(node.vtep_mac->text(), "02:46:c0:00:02:01");
}

TEST(NodeManifest, PodCidrServesWherePodCidrsIsAbsent) {
  EXPECT_EQ(node_of("{apiVersion: v1, kind: Node, metadata: {name: a}, spec: {podCIDR: 10.1.0.0/24}}")
                .pod_cidrs.at(0)
                .text(),
            "10.1.0.0/24");
}

TEST(NodeManifest, ListsOfTheApiNeedNoKindInTheirItems) {
  const LoadedManifest loaded = load_manifest(
      R"({"kind":"NodeList","apiVersion":"v1","metadata":{},"items":[{"metadata":{"name":"a"}},{"metadata":{"name":"b"}}]})",
      "c.json");
  EXPECT_EQ(render(loaded.diagnostics), "");
  EXPECT_EQ(loaded.objects.size(), 2u);
}

TEST(NodeManifest, AllErrorsInOneRunSortedByLine) {
  EXPECT_EQ(shown(R"(apiVersion: v1
kind: Node
metadata:
  name: Node_1
  annotations: {fairlead.io/vtepmac: x, fairlead.io/vtep-mac: 01:46:c0:00:02:01}
spec:
  podCIDRs: [10.244.1.0/24, 10.244.1.128/25, 127.0.0.0/24, 0.0.0.0/0, 10.244.2.0]
status:
  addresses:
  - {type: InternalIP, address: 192.0.2.010}
  - {type: InternalIP}
)"),
            R"(error[FL1021]: c.yaml:4:9: metadata.name: found "Node_1", wanted a DNS name in lower case
    4 |   name: Node_1
      |         ^^^^^^ letters, digits, '-' and '.'; begins and ends with a letter or digit
error[FL1005]: c.yaml:5:17: metadata.annotations: unknown annotation fairlead.io/vtepmac
    5 |   annotations: {fairlead.io/vtepmac: x, fairlead.io/vtep-mac: 01:46:c0:00:02:01}
      |                 ^^^^^^^^^^^^^^^^^^^
  fix:  did you mean fairlead.io/vtep-mac?
error[FL1017]: c.yaml:5:63: metadata.annotations[fairlead.io/vtep-mac]: 01:46:c0:00:02:01 is not a unicast address
    5 |   annotations: {fairlead.io/vtepmac: x, fairlead.io/vtep-mac: 01:46:c0:00:02:01}
      |                                                               ^^^^^^^^^^^^^^^^^ a tunnel end answers to one unicast address
error[FL1016]: c.yaml:7:29: spec.podCIDRs[1]: 10.244.1.128/25 overlaps 10.244.1.0/24 of the same node
    7 |   podCIDRs: [10.244.1.0/24, 10.244.1.128/25, 127.0.0.0/24, 0.0.0.0/0, 10.244.2.0]
      |                             ^^^^^^^^^^^^^^^
  fix:  name each range once
error[FL1008]: c.yaml:7:46: spec.podCIDRs[2]: 127.0.0.0/24 lies in 127.0.0.0/8, which no pod can use
    7 |   podCIDRs: [10.244.1.0/24, 10.244.1.128/25, 127.0.0.0/24, 0.0.0.0/0, 10.244.2.0]
      |                                              ^^^^^^^^^^^^ unspecified, loopback, link-local or multicast
error[FL1006]: c.yaml:7:60: spec.podCIDRs[3]: 0.0.0.0/0 is wider than /8
    7 |   podCIDRs: [10.244.1.0/24, 10.244.1.128/25, 127.0.0.0/24, 0.0.0.0/0, 10.244.2.0]
      |                                                            ^^^^^^^^^ traffic of the node itself would go to pods
  fix:  name the range that pods really have
error[FL1008]: c.yaml:7:71: spec.podCIDRs[4]: 10.244.2.0 has no prefix length
    7 |   podCIDRs: [10.244.1.0/24, 10.244.1.128/25, 127.0.0.0/24, 0.0.0.0/0, 10.244.2.0]
      |                                                                       ^^^^^^^^^^
  fix:  write 10.244.2.0/32 for this one address
error[FL1009]: c.yaml:10:33: status.addresses[0].address: found "192.0.2.010", wanted an IP address
   10 |   - {type: InternalIP, address: 192.0.2.010}
      |                                 ^^^^^^^^^^^
error[FL1010]: c.yaml:11:5: status.addresses[1].address is missing
   11 |   - {type: InternalIP}
      |     ^
)");
}

TEST(PodManifest, ReadsNamesOnly) {
  const LoadedManifest loaded = load_manifest(
      "apiVersion: v1\nkind: Pod\nmetadata: {name: a, namespace: web, uid: u-1}\nspec: {nodeName: n1, "
      "containers: [{name: c, args: [yes]}]}\n",
      "c.yaml");
  EXPECT_EQ(render(loaded.diagnostics), "") << "fields that we do not read are not judged";
  ASSERT_EQ(loaded.objects.size(), 1u);
  EXPECT_EQ(loaded.objects[0].key, "pod/web/a");
  EXPECT_EQ(std::get<PodObject>(loaded.objects[0].value), (PodObject{"web", "a", "n1", "u-1"}));
}

TEST(PodObjects, AddressesOfTheStatus) {
  const auto load = [](const std::string& status) {
    return load_manifest("apiVersion: v1\nkind: Pod\nmetadata: {name: a}\nstatus: " + status + "\n",
                         "p.yaml");
  };
  const LoadedManifest both = load("{podIP: 10.244.1.2, podIPs: [{ip: 10.244.1.2}, {ip: \"fd00::2\"}]}");
  ASSERT_EQ(both.objects.size(), 1u) << render(both.diagnostics);
  EXPECT_EQ(std::get<PodObject>(both.objects[0].value).addresses,
            (std::vector<core::IpAddress>{*core::IpAddress::parse("10.244.1.2"),
                                          *core::IpAddress::parse("fd00::2")}));
  const LoadedManifest one = load("{podIP: 10.244.1.2}");
  ASSERT_EQ(one.objects.size(), 1u) << render(one.diagnostics);
  EXPECT_EQ(std::get<PodObject>(one.objects[0].value).addresses.size(), 1u);
  const LoadedManifest bad = load("{podIPs: [{ip: 10.244.1}]}");
  ASSERT_EQ(bad.diagnostics.size(), 1u);
  EXPECT_EQ(bad.diagnostics[0].code, "FL1009");
}

TEST(Manifest, SameObjectTwiceInAFile) {
  EXPECT_EQ(shown("apiVersion: v1\nkind: Node\nmetadata: {name: a}\n---\napiVersion: v1\nkind: "
                  "Node\nmetadata: {name: a}\n"),
            R"(error[FL1015]: c.yaml:5:1: node/a is defined here for the second time
    5 | apiVersion: v1
      | ^ first at 1:1
  fix:  keep one of the two
)");
}

TEST(Manifest, KindsAndVersions) {
  EXPECT_EQ(shown("kind: Node\nmetadata: {name: a}\n"),
            R"(error[FL1013]: c.yaml:1:1: an object without apiVersion
    1 | kind: Node
      | ^
  fix:  add apiVersion: v1
)");
  EXPECT_NE(shown("apiVersion: fairlead.io/v1\nkind: ClusterNetwork\n")
                .find("set apiVersion: fairlead.io/v1alpha1"),
            std::string::npos);
  EXPECT_NE(
      shown("apiVersion: fairlead.io/v1alpha1\nkind: ClusterNetwrk\n").find("did you mean ClusterNetwork?"),
      std::string::npos);
  EXPECT_NE(shown("- a\n- b\n").find("found a list, wanted an object"), std::string::npos);
  EXPECT_EQ(shown("apiVersion: apps/v1\nkind: Deployment\nspec: {a: 1, a: 2, <<: 3}\n"), "");
}

TEST(NetworkManifest, TheDocumentedExampleIsGood) {
  const LoadedManifest loaded = load_manifest(R"(apiVersion: fairlead.io/v1alpha1
kind: ClusterNetwork
metadata: {name: default}
spec:
  mode: Routed                      # Overlay | Routed | Auto (per peer)
  overlay: {encapsulation: Geneve, vni: 7, port: 6081, mtu: 1400}
  addressing: {pods: [10.244.0.0/16, "fd00:10:244::/48"], services: [10.96.0.0/12], blockSize: {ipv4: 25, ipv6: 80}}
  dataplane: {engine: DPDK, dpdk: {cores: Auto, hugepages: Auto, polling: Adaptive}, uplinks: [{match: "ens1f*", driver: Auto}]}
  routing: {provider: Kernel}       # Kernel | BGP | Exec
  services: {nodePortAddresses: [], externalIPRanges: []}
)",
                                              "c.yaml");
  EXPECT_EQ(render(loaded.diagnostics), "");
  ASSERT_EQ(loaded.objects.size(), 1u);
  const auto& n = std::get<ClusterNetwork>(loaded.objects[0].value);
  EXPECT_EQ(n.mode, Mode::kRouted);
  EXPECT_EQ(n.encapsulation, core::Encapsulation::kGeneve);
  EXPECT_EQ(n.vni, 7u);
  EXPECT_EQ(n.port, 6081);
  EXPECT_EQ(n.mtu, 1400);
  ASSERT_EQ(n.pods.size(), 2u);
  EXPECT_EQ(n.pods[1].text(), "fd00:10:244::/48");
  EXPECT_EQ(n.services.at(0).text(), "10.96.0.0/12");
  EXPECT_EQ(n.block_size_ipv4, 25);
  EXPECT_EQ(n.block_size_ipv6, 80);
  EXPECT_EQ(n.engine, "DPDK");
  EXPECT_EQ(n.uplink_match, std::vector<std::string>{"ens1f*"});
}

TEST(NetworkManifest, LaterFeaturesAreRefusedNotIgnored) {
  const std::string head =
      "apiVersion: fairlead.io/v1alpha1\nkind: ClusterNetwork\nmetadata: {name: default}\n";
  EXPECT_EQ(shown(head + "spec: {routing: {provider: BGP}}\n"),
            R"(error[FL1014]: c.yaml:4:28: spec.routing.provider: BGP is not supported by this version
    4 | spec: {routing: {provider: BGP}}
      |                            ^^^
  fix:  set provider: Kernel
)");
  EXPECT_NE(shown(head + "spec: {dataplane: {engine: EBPF}}\n").find("FL1014"), std::string::npos);
  EXPECT_NE(shown(head + "spec: {dataplane: {dpdk: {cores: 4}}}\n").find("wanted the word Auto"),
            std::string::npos);
  EXPECT_NE(shown(head + "spec: {mode: overlay}\n").find("did you mean Overlay?"), std::string::npos);
  EXPECT_NE(shown(head + "spec: {dataplane: {uplinks: [{driver: Auto}]}}\n")
                .find("spec.dataplane.uplinks.match is missing"),
            std::string::npos);
}

TEST(NetworkManifest, ServicesAndEgress) {
  const std::string head =
      "apiVersion: fairlead.io/v1alpha1\nkind: ClusterNetwork\nmetadata: {name: default}\nspec: ";
  const LoadedManifest loaded = load_manifest(
      head +
          "{services: {nodePortAddresses: [192.0.2.0/24], externalIPRanges: [203.0.113.0/24], replyPath: "
          "IPIP}, "
          "egress: {masquerade: false, nonMasqueradeCIDRs: [198.51.100.0/24], snatPorts: 50000-50999}}\n",
      "c.yaml");
  EXPECT_EQ(render(loaded.diagnostics), "");
  ASSERT_EQ(loaded.objects.size(), 1u);
  const auto& network = std::get<ClusterNetwork>(loaded.objects[0].value);
  EXPECT_EQ(network.node_port_addresses, std::vector{*core::Prefix::parse("192.0.2.0/24")});
  EXPECT_EQ(network.external_ip_ranges, std::vector{*core::Prefix::parse("203.0.113.0/24")});
  EXPECT_EQ(network.reply_path, core::ReplyPath::kIpInIp);
  EXPECT_FALSE(network.masquerade);
  EXPECT_EQ(network.non_masquerade_cidrs, std::vector{*core::Prefix::parse("198.51.100.0/24")});
  EXPECT_EQ(network.snat_port_first, 50000);
  EXPECT_EQ(network.snat_port_last, 50999);
  for (const char* wrong : {"61000", "-1", "61000-", "-65535", "65535-61000", "100-2000", "61000-65536",
                            "061000-65535", "\"61000 - 65535\"", "a-b", "[61000, 65535]", "''"}) {
    EXPECT_NE(shown(head + "{egress: {snatPorts: " + wrong + "}}\n"), "") << wrong;
  }
  EXPECT_NE(shown(head + "{egress: {masquerade: yes}}\n").find("FL1018"), std::string::npos);
  EXPECT_NE(shown(head + "{egress: {masquerade: 1}}\n").find("wanted true or false"), std::string::npos);
  EXPECT_NE(shown(head + "{overlay: {port: 61001}}\n").find("hold spec.overlay.port"), std::string::npos);
  EXPECT_NE(shown(head + "{services: {replyPath: DSR}}\n").find("one of ThisNode, Geneve, IPIP"),
            std::string::npos);
}

TEST(NetworkManifest, RangesMayNotOverlap) {
  EXPECT_EQ(
      shown("apiVersion: fairlead.io/v1alpha1\nkind: ClusterNetwork\nmetadata: {name: default}\n"
            "spec: {addressing: {pods: [10.96.0.0/16], services: [10.96.0.0/12]}}\n"),
      R"(error[FL1016]: c.yaml:4:54: spec.addressing.services[0]: 10.96.0.0/12 overlaps spec.addressing.pods[0] 10.96.0.0/16
    4 | spec: {addressing: {pods: [10.96.0.0/16], services: [10.96.0.0/12]}}
      |                                                      ^^^^^^^^^^^^ the other stands at 4:28
)");
}

TEST(Schema, EveryDefaultIsTheOneInForce) {
  const ClusterNetwork fresh;
  for (const Field& field : cluster_network_fields()) {
    if (field.current != nullptr) {
      EXPECT_EQ(field.current(fresh), field.default_text) << field.path;
    }
    EXPECT_FALSE(field.sentence.empty()) << field.path;
    EXPECT_EQ(find_field(field.path), &field);
    const size_t dot = field.path.rfind('.');
    if (dot != std::string_view::npos) {
      EXPECT_NE(find_field(field.path.substr(0, dot)), nullptr) << field.path;
    }
  }
}

TEST(Schema, WhatItPrintsItReads) {
  ClusterNetwork network;
  network.mode = Mode::kOverlay;
  network.mtu = 1400;
  network.pods = {*core::Prefix::parse("10.244.0.0/16"), *core::Prefix::parse("fd00::/48")};
  network.uplink_match = {"ens*", "eth0"};
  network.node_port_addresses = network.external_ip_ranges = network.non_masquerade_cidrs = network.pods;
  network.reply_path = core::ReplyPath::kGeneve;
  network.masquerade = false;
  network.snat_port_first = 40000;
  const LoadedManifest loaded = load_manifest(to_yaml(network), "effective.yaml");
  EXPECT_EQ(render(loaded.diagnostics), "") << to_yaml(network);
  ASSERT_EQ(loaded.objects.size(), 1u);
  EXPECT_EQ(std::get<ClusterNetwork>(loaded.objects[0].value), network);
}

TEST(Schema, ExplainsFields) {
  EXPECT_EQ(explain(*find_field("clusternetwork.spec.overlay.vni")),
            "ClusterNetwork spec.overlay.vni\n"
            "  type:     integer 1..16777215\n"
            "  default:  100\n"
            "  The network identifier in the tunnel header; packets with another one are dropped.\n");
  EXPECT_NE(explain(*find_field("spec.overlay"))
                .find("    encapsulation       one of VXLAN, Geneve, default VXLAN\n"),
            std::string::npos)
      << explain(*find_field("spec.overlay"));
  EXPECT_EQ(nearest_field("spec.overlay.vno"), "spec.overlay.vni");
  EXPECT_EQ(nearest_field("vni"), "spec.overlay.vni");
  EXPECT_EQ(nearest_field("spec.entirely.different"), "");
}

}  // namespace
}  // namespace fairlead::control
