#include "controlplane/manifests/manifests.hpp"

#include <gtest/gtest.h>

#include <string>

// Services and EndpointSlices: what is read, what absent means, and that a bad entry costs itself only.

namespace fairlead::control {
namespace {

template <typename Object>
Object read(std::string_view text) {
  const LoadedManifest loaded = load_manifest(text, "s.yaml");
  EXPECT_EQ(render(loaded.diagnostics), "");
  EXPECT_EQ(loaded.objects.size(), 1u);
  return loaded.objects.empty() ? Object{} : std::get<Object>(loaded.objects[0].value);
}
ServiceObject service(std::string_view spec, std::string_view rest = "") {
  return read<ServiceObject>(
      "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {" + std::string(spec) +
      "}" + std::string(rest) + "}");
}
EndpointSliceObject slice(std::string_view rest,
                          std::string_view labels = "kubernetes.io/service-name: web") {
  return read<EndpointSliceObject>(
      "{apiVersion: discovery.k8s.io/v1, kind: EndpointSlice, metadata: {name: web-1, namespace: shop, "
      "labels: {" +
      std::string(labels) + "}}, " + std::string(rest) + "}");
}
std::string text(const std::vector<ObjectProblem>& problems) {
  std::string out;
  for (const ObjectProblem& p : problems) out += p.code + " " + p.field + ": " + p.reason + "\n";
  return out;
}
core::IpAddress ip(const char* address) {
  return core::IpAddress::parse(address).value();
}

TEST(ServiceManifest, ReadsWhatTheApiServerPrints) {
  const auto lb = read<ServiceObject>(R"({"apiVersion":"v1","kind":"Service","metadata":{"name":"lb",
    "namespace":"rec","uid":"1","creationTimestamp":"2026-11-23T03:10:04Z","labels":{"a":"b"},
    "annotations":{"fairlead.io/reply-path":"Geneve"},"managedFields":[{"manager":"m"}]},
    "spec":{"ports":[{"name":"a","protocol":"TCP","appProtocol":"http","port":80,"targetPort":8080,"nodePort":30191},
    {"name":"s","protocol":"SCTP","port":5000,"targetPort":"x","nodePort":31322}],"selector":{"app":"web"},
    "clusterIP":"10.96.132.26","clusterIPs":["10.96.132.26","fd00:96::1a"],"type":"LoadBalancer","externalIPs":["203.0.113.7"],
    "sessionAffinity":"ClientIP","sessionAffinityConfig":{"clientIP":{"timeoutSeconds":600}},
    "loadBalancerSourceRanges":["198.51.100.0/24"," 2001:db8::/32 "],"externalTrafficPolicy":"Local",
    "healthCheckNodePort":32336,"ipFamilies":["IPv4"],"ipFamilyPolicy":"SingleStack",
    "allocateLoadBalancerNodePorts":true,"loadBalancerClass":"fairlead.io/bgp","internalTrafficPolicy":"Local",
    "trafficDistribution":"PreferClose"},"status":{"loadBalancer":{"ingress":[{"ip":"203.0.113.50","ipMode":"VIP",
    "ports":[{"port":80,"protocol":"TCP"},{"port":5000,"protocol":"SCTP","error":"no"}]},
    {"ip":"203.0.113.51","ipMode":"Proxy"},{"hostname":"lb.example.org"},{"ip":"203.0.113.52"}]}}})");
  EXPECT_EQ(text(lb.problems), "");
  EXPECT_EQ(key_of(lb), "rec/lb");
  EXPECT_EQ(lb.created, 1795403404);
  EXPECT_EQ(lb.type, ServiceType::kLoadBalancer);
  EXPECT_EQ(lb.cluster_ips, (std::vector{ip("10.96.132.26"), ip("fd00:96::1a")}));
  EXPECT_EQ(lb.ports, (std::vector<ServicePort>{{"a", 6, 80, 30191}, {"s", 132, 5000, 31322}}));
  EXPECT_EQ(lb.external_ips, std::vector{ip("203.0.113.7")});
  EXPECT_EQ(lb.affinity_seconds, 600u);
  EXPECT_TRUE(lb.internal_local);
  EXPECT_TRUE(lb.external_local);
  EXPECT_EQ(lb.health_check_node_port, 32336);
  EXPECT_TRUE(lb.has_source_ranges);
  ASSERT_EQ(lb.source_ranges.size(), 2u);
  EXPECT_EQ(lb.source_ranges[1].text(), "2001:db8::/32");
  EXPECT_EQ(lb.reply_path, core::ReplyPath::kGeneve);
  ASSERT_EQ(lb.ingress.size(), 3u);
  EXPECT_EQ(lb.ingress[0], (IngressAddress{ip("203.0.113.50"), true, true, {{6, 80}}}));
  EXPECT_FALSE(lb.ingress[1].is_vip);
  EXPECT_EQ(lb.ingress[2], (IngressAddress{ip("203.0.113.52"), true, false, {}}));
}

TEST(ServiceManifest, AbsentMeansWhatTheApiFillsIn) {
  const ServiceObject plain =
      service("clusterIP: 10.96.0.10, ports: [{port: 53, protocol: UDP}, {port: 80}]");
  EXPECT_EQ(plain.created, kUnknownTime);
  EXPECT_EQ(plain.ports, (std::vector<ServicePort>{{"", 17, 53, 0}, {"", 6, 80, 0}}));
  EXPECT_EQ(plain.affinity_seconds, 0u);
  EXPECT_FALSE(plain.internal_local || plain.external_local || plain.has_source_ranges);
  EXPECT_EQ(service("sessionAffinity: ClientIP").affinity_seconds, 10800u);
  EXPECT_TRUE(service("clusterIP: None, clusterIPs: [None]").is_headless);
  EXPECT_EQ(service("type: ExternalName, externalName: example.org").type, ServiceType::kExternalName);
  EXPECT_EQ(service("clusterIP: 10.96.0.9, ports: [{port: 80, nodePort: 30080}]").ports[0].node_port, 0)
      << "a Service of type ClusterIP has no node ports";
  EXPECT_TRUE(read<ServiceObject>("{apiVersion: v1, kind: Service, metadata: {name: a, labels: "
                                  "{service.kubernetes.io/service-proxy-name: ''}}}")
                  .is_foreign)
      << "the key counts, not its value";
}

TEST(ServiceManifest, ABadEntryIsLeftOutAndNamed) {
  const ServiceObject bad = service(
      "type: NodePort, clusterIPs: [10.96.0.7, 10.96.0.8], externalIPs: [203.0.113.07, 203.0.113.8], "
      "externalTrafficPolicy: Maybe, sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: "
      "{timeoutSeconds: "
      "86401}}, loadBalancerSourceRanges: [10.0.0.1/8], healthCheckNodePort: 70000, "
      "ports: [{name: a, port: 0}, {name: b, port: 65536}, {name: c, port: 80, nodePort: "
      "99999999999999999999}, "
      "{name: d, port: 80, protocol: QUIC}, {name: c, port: 81}, {name: e, port: 80}, {name: F_, port: 1}, "
      "{name: g}]");
  EXPECT_EQ(text(bad.problems),
            "FL1035 spec.clusterIPs[1]: 10.96.0.8 is the second of its address family\n"
            "FL1035 spec.ports[0].port: found 0, wanted 1..65535\n"
            "FL1035 spec.ports[1].port: found 65536, wanted 1..65535\n"
            "FL1035 spec.ports[2].nodePort: found 99999999999999999999, wanted 0..65535\n"
            "FL1035 spec.ports[3].protocol: found \"QUIC\", wanted TCP, UDP or SCTP\n"
            "FL1035 spec.ports[4]: an earlier port of this Service has the same name or number\n"
            "FL1035 spec.ports[5]: an earlier port of this Service has the same name or number\n"
            "FL1035 spec.ports[6].name: found \"F_\", wanted at most 63 of a-z, 0-9 and '-'\n"
            "FL1035 spec.ports[7].port: is missing\n"
            "FL1035 spec.externalIPs[0]: found \"203.0.113.07\", wanted an IP address\n"
            "FL1035 spec.loadBalancerSourceRanges[0]: found \"10.0.0.1/8\", wanted a CIDR without host bits\n"
            "FL1035 spec.sessionAffinityConfig.clientIP.timeoutSeconds: found 86401, wanted 1..86400\n"
            "FL1035 spec.externalTrafficPolicy: found \"Maybe\", wanted Cluster or Local; taken as Cluster\n"
            "FL1035 spec.healthCheckNodePort: found 70000, wanted 0..65535\n");
  EXPECT_EQ(bad.ports, (std::vector<ServicePort>{{"c", 6, 80, 0}}));
  EXPECT_EQ(bad.external_ips, std::vector{ip("203.0.113.8")});
  EXPECT_TRUE(bad.has_source_ranges) << "a range nobody can read lets nobody in";
  EXPECT_EQ(bad.affinity_seconds, 10800u);
}

TEST(ServiceManifest, AbsurdSizesAreBounded) {
  std::string ports, names;
  for (int i = 1; i <= 1001; ++i)
    ports += "{name: p" + std::to_string(i) + ", port: " + std::to_string(i) + "}, ";
  const ServiceObject many = service("ports: [" + ports + "]");
  EXPECT_TRUE(many.ports.empty());
  EXPECT_EQ(text(many.problems),
            "FL1035 spec.ports: has 1001 entries, at most 1000 are read; none of them is\n");
  for (int i = 0; i < 500; ++i) names += "x, ";
  EXPECT_LE(service("externalIPs: [" + names.substr(0, 3 * 200) + "]").problems.size(), 64u);
}

TEST(ServiceManifest, AWrongTypeIsADiagnosticOfTheFile) {
  const LoadedManifest loaded =
      load_manifest("{apiVersion: v1, kind: Service, metadata: {name: a}, spec: {ports: 80}}", "s.yaml");
  ASSERT_EQ(loaded.diagnostics.size(), 1u);
  EXPECT_EQ(loaded.diagnostics[0].code, "FL1004");
}

TEST(ServiceManifest, Times) {
  const auto at = [](const std::string& time) {
    return read<ServiceObject>("{apiVersion: v1, kind: Service, metadata: {name: a, creationTimestamp: '" +
                               time + "'}}");
  };
  EXPECT_EQ(at("1970-01-01T00:00:00Z").created, 0);
  EXPECT_EQ(at("2024-02-29T12:00:01Z").created, 1709208001);
  for (const char* wrong :
       {"2023-02-29T12:00:01Z", "2024-02-29 12:00:01Z", "2024-02-29T24:00:01Z", "now", ""}) {
    EXPECT_EQ(at(wrong).created, kUnknownTime) << wrong;
    EXPECT_EQ(at(wrong).problems.size(), 1u) << wrong;
  }
}

TEST(SliceManifest, ReadsWhatTheApiServerPrints) {
  const EndpointSliceObject read = slice(R"(addressType: IPv4,
    ports: [{name: http, protocol: TCP, port: 8080, appProtocol: http}, {name: "", protocol: UDP, port: 53}],
    endpoints: [
    {addresses: [10.244.11.5], conditions: {ready: true, serving: true, terminating: false}, nodeName: node-a, zone: z1,
     targetRef: {kind: Pod, namespace: shop, name: web-1, uid: x}, hints: {forZones: [{name: z1}], forNodes: [{name: node-a}]}},
    {addresses: [10.244.12.6, 10.244.12.7], conditions: {ready: false, serving: true, terminating: true}}])");
  EXPECT_EQ(text(read.problems), "");
  EXPECT_EQ(read.service, "web");
  EXPECT_FALSE(read.is_foreign);
  EXPECT_EQ(read.ports, (std::vector<SlicePort>{{"http", 6, 8080}, {"", 17, 53}}));
  ASSERT_EQ(read.endpoints.size(), 2u);
  EXPECT_EQ(read.endpoints[0].address, ip("10.244.11.5"));
  EXPECT_EQ(read.endpoints[0].object.view(), "pod/shop/web-1");
  EXPECT_EQ(read.endpoints[0].node.view(), "node-a");
  EXPECT_EQ(read.endpoints[0].for_zones, std::vector<std::string>{"z1"});
  EXPECT_EQ(read.endpoints[0].for_nodes, std::vector<std::string>{"node-a"});
  EXPECT_TRUE(!read.endpoints[1].ready && read.endpoints[1].serving && read.endpoints[1].terminating);
}

TEST(SliceManifest, AbsentConditionsAreReadyAndServingAsReady) {
  const EndpointSliceObject read = slice(
      "addressType: IPv6, ports: null, endpoints: [{addresses: [fd00::1]}, {addresses: [fd00::2], "
      "conditions: {}}, "
      "{addresses: [fd00::3], conditions: {ready: null}}, {addresses: [fd00::4], conditions: {ready: "
      "false}}, "
      "{addresses: [fd00::5], conditions: {ready: false, serving: true}}]");
  ASSERT_EQ(read.endpoints.size(), 5u);
  for (const int i : {0, 1, 2}) EXPECT_TRUE(read.endpoints[i].ready && read.endpoints[i].serving) << i;
  EXPECT_FALSE(read.endpoints[3].ready || read.endpoints[3].serving);
  EXPECT_TRUE(!read.endpoints[4].ready && read.endpoints[4].serving && !read.endpoints[4].terminating);
  EXPECT_TRUE(slice("addressType: IPv4, endpoints: null").endpoints.empty());
}

TEST(SliceManifest, ForeignOnesAreMarked) {
  EXPECT_TRUE(slice("addressType: IPv4", "service.kubernetes.io/headless: ''").is_foreign);
  EXPECT_TRUE(slice("addressType: IPv4", "service.kubernetes.io/service-proxy-name: other").is_foreign);
}

// S3: an endpoint that would reach the node, everybody, or nobody.
TEST(SliceManifest, EndpointsThatNoServiceMayLeadToAreRefused) {
  const EndpointSliceObject four = slice(
      "addressType: IPv4, ports: [{port: 0}, {}, {port: 80}], endpoints: [{addresses: [127.0.0.1]}, "
      "{addresses: "
      "[169.254.169.254]}, {addresses: [224.0.0.1]}, {addresses: [0.0.0.0]}, {addresses: [0.1.2.3]}, "
      "{addresses: "
      "[255.255.255.255]}, {addresses: ['fd00::1']}, {addresses: []}, {addresses: [web.example.org]}, {}, "
      "{addresses: [10.244.1.2]}]");
  EXPECT_EQ(text(four.problems),
            "FL1037 ports[0].port: found 0, wanted 1..65535\n"
            "FL1037 ports[1].port: is absent, which means all ports; a Service leads to one\n"
            "FL1037 endpoints[0].addresses[0]: 127.0.0.1 is loopback\n"
            "FL1037 endpoints[1].addresses[0]: 169.254.169.254 is link-local\n"
            "FL1037 endpoints[2].addresses[0]: 224.0.0.1 is multicast\n"
            "FL1037 endpoints[3].addresses[0]: 0.0.0.0 is unspecified\n"
            "FL1037 endpoints[4].addresses[0]: 0.1.2.3 is unspecified\n"
            "FL1037 endpoints[5].addresses[0]: 255.255.255.255 is reserved\n"
            "FL1037 endpoints[6].addresses[0]: fd00::1 is not of the slice's addressType\n"
            "FL1037 endpoints[7].addresses: is empty\n"
            "FL1037 endpoints[8].addresses[0]: found \"web.example.org\", wanted an IP address\n"
            "FL1037 endpoints[9].addresses: is missing\n");
  ASSERT_EQ(four.endpoints.size(), 1u);
  EXPECT_EQ(four.ports.size(), 1u);
  const EndpointSliceObject six = slice(
      "addressType: IPv6, endpoints: [{addresses: ['::1']}, {addresses: ['::']}, {addresses: ['fe80::1']}, "
      "{addresses: ['ff02::1']}, {addresses: ['::ffff:10.0.0.1']}, {addresses: ['fd00::1']}]");
  EXPECT_EQ(six.problems.size(), 5u);
  EXPECT_EQ(six.endpoints.size(), 1u);
}

TEST(SliceManifest, NamesInsteadOfAddressesAreNothingToProgram) {
  const EndpointSliceObject names = slice("addressType: FQDN, endpoints: [{addresses: [web.example.org]}]");
  EXPECT_EQ(text(names.problems), "");
  EXPECT_TRUE(names.endpoints.empty());
  EXPECT_EQ(text(slice("addressType: IPX").problems),
            "FL1037 addressType: found \"IPX\", wanted IPv4, IPv6 or FQDN\n");
}

TEST(SliceManifest, MoreThanTheApiAllowsIsRefusedAsAWhole) {
  std::string endpoints;
  for (int i = 0; i < 1001; ++i) endpoints += "{addresses: [10.1.1.1]}, ";
  const EndpointSliceObject many = slice("addressType: IPv4, endpoints: [" + endpoints + "]");
  EXPECT_TRUE(many.endpoints.empty());
  EXPECT_EQ(text(many.problems),
            "FL1037 endpoints: has 1001 entries, at most 1000 are read; none of them is\n");
}

TEST(ServiceManifest, ListsAndKindsThatAreNotOurs) {
  const LoadedManifest loaded = load_manifest(R"({"kind":"List","apiVersion":"v1","items":[
    {"kind":"Service","apiVersion":"v1","metadata":{"name":"a"}},
    {"kind":"EndpointSlice","apiVersion":"discovery.k8s.io/v1","metadata":{"name":"a-1"},"addressType":"IPv4"},
    {"kind":"Endpoints","apiVersion":"v1","metadata":{"name":"a"}}]}
)",
                                              "l.json");
  EXPECT_EQ(render(loaded.diagnostics), "");
  ASSERT_EQ(loaded.objects.size(), 2u);
  EXPECT_EQ(loaded.objects[0].key, "service/default/a");
  EXPECT_EQ(loaded.objects[1].key, "endpointslice/default/a-1");
  EXPECT_EQ(loaded.ignored, std::vector<std::string>{"v1 Endpoints"});
  for (
      const char* list :
      {R"({"kind":"ServiceList","apiVersion":"v1","items":[{"metadata":{"name":"a"}}]})",
       R"({"kind":"EndpointSliceList","apiVersion":"discovery.k8s.io/v1","items":[{"metadata":{"name":"a"}}]})"})
    EXPECT_EQ(load_manifest(list, "l.json").objects.size(), 1u);
}

}  // namespace
}  // namespace fairlead::control
