#include "controlplane/calc/services.hpp"

#include "tests/calc/service_fixture.hpp"

#include <gtest/gtest.h>

namespace fairlead::control {
namespace {

class Services : public ::testing::Test {
 protected:
  Services() {
    network.pods = {prefix("10.244.0.0/16"), prefix("fd00:10:244::/48")};
    network.services = {prefix("10.96.0.0/12"), prefix("fd00:96::/112")};
    network.external_ip_ranges = {prefix("203.0.113.0/24"), prefix("2001:db8:f::/48")};
    put(NetworkChanged{network});
    put(NodeUpserted{node("n2", {"192.0.2.2", "2001:db8::2"}, {"10.244.2.0/24"})});
  }

  void put(const Event& event) { apply(intent, event); }
  void put(const ServiceObject& object) { put(ServiceUpserted{object}); }
  void put(const EndpointSliceObject& object) { put(EndpointSliceUpserted{object}); }
  void compile_now() { compiled = compile(intent, compiled.state); }

  // "ClusterIp 10.96.0.1:80 ..." of a port; empty when it is not programmed.
  std::string frontends(const std::string& name) {
    compile_now();
    const core::Service* service = find(compiled.state, name);
    if (service == nullptr) return "";
    std::string text;
    static constexpr const char* kKinds[] = {"ClusterIp", "NodePort", "LoadBalancer", "ExternalIp"};
    for (const core::Frontend& f : service->frontends) {
      text += (text.empty() ? "" : " ") + std::string(kKinds[static_cast<int>(f.kind)]) + "=" +
              (f.address ? f.address.text() : "*") + ":" + std::to_string(f.port);
    }
    return text;
  }
  std::string refusals() {
    compile_now();
    return text(compiled.refusals);
  }
  // "cluster a b | local c" by the last byte of backends' addresses.
  std::string chosen(const std::string& name) {
    compile_now();
    const core::Service* service = find(compiled.state, name);
    if (service == nullptr) return "none";
    std::string text = "cluster";
    const auto add = [&](uint32_t i) {
      const auto& a = service->backends[i].address;
      text += " " + std::to_string(a.bytes[a.is_ipv4() ? 3 : 15]);
    };
    for (const uint32_t i : service->cluster_backends) add(i);
    text += " | local";
    for (const uint32_t i : service->local_backends) add(i);
    return text;
  }

  Intent intent = base();
  ClusterNetwork network;
  Compiled compiled;
};

TEST_F(Services, OnePerPortAndFamilyWithItsEndpoints) {
  ServiceObject web = service("web", {"10.96.0.10", "fd00:96::a"}, {{"http", 6, 80, 0}, {"dns", 17, 53, 0}});
  web.affinity_seconds = 600;
  put(web);
  put(slice("web", "web-4", core::Family::kIpv4, {{"http", 6, 8080}, {"dns", 17, 5353}, {"other", 6, 1}},
            {at("10.244.1.5", "n1"), at("10.244.2.6", "n2")}));
  put(slice("web", "web-6", core::Family::kIpv6, {{"http", 6, 8080}}, {at("fd00:10:244:1::5", "n1")}));
  EXPECT_EQ(refusals(), "");
  EXPECT_EQ(compiled.state.services.size(), 4u);
  EXPECT_EQ(core::validate(compiled.state), "");
  const core::Service& http = *find(compiled.state, "web:http/tcp4");
  EXPECT_EQ(http.backends.size(), 2u);
  EXPECT_EQ(http.backends[0], (core::Backend{ip("10.244.1.5"), 8080, true, true, "", "n1"}));
  EXPECT_FALSE(http.backends[1].local);
  EXPECT_EQ(http.affinity_seconds, 600u);
  EXPECT_EQ(find(compiled.state, "web:dns/udp4")->backends[0].port, 5353);
  EXPECT_EQ(find(compiled.state, "web:http/tcp6")->backends.size(), 1u);
  EXPECT_TRUE(find(compiled.state, "web:dns/udp6")->backends.empty()) << "no slice of it: it refuses at once";
  EXPECT_EQ(frontends("web:http/tcp6"), "ClusterIp=fd00:96::a:80");
}

TEST_F(Services, WhatKubeProxyLeavesAloneIsLeftAlone) {
  ServiceObject headless = service("headless", {}, {{"", 6, 80, 0}});
  headless.is_headless = true;
  ServiceObject named = service("named", {}, {});
  named.type = ServiceType::kExternalName;
  ServiceObject foreign = service("foreign", {"10.96.0.3"}, {{"", 6, 80, 0}});
  foreign.is_foreign = true;
  put(headless);
  put(named);
  put(foreign);
  put(service("web", {"10.96.0.10"}, {{"", 6, 80, 0}}));
  auto other = slice("web", "web-x", core::Family::kIpv4, {{"", 6, 80}}, {at("10.244.1.5", "n1")});
  other.is_foreign = true;
  put(other);
  EXPECT_EQ(refusals(), "");
  EXPECT_EQ(compiled.state.services.size(), 1u);
  EXPECT_EQ(chosen("web/tcp4"), "cluster | local");
}

TEST_F(Services, SlicesAreMergedAndNamedTwiceCountsOnce) {
  put(service("web", {"10.96.0.10"}, {{"", 6, 80, 0}}));
  put(slice("web", "b", core::Family::kIpv4, {{"", 6, 80}},
            {at("10.244.1.5", "n1"), at("10.244.2.6", "n2", false)}));
  put(slice("web", "a", core::Family::kIpv4, {{"", 6, 80}},
            {at("10.244.1.5", "n2"), at("10.244.2.6", "n2")}));
  compile_now();
  const core::Service& web = *find(compiled.state, "web/tcp4");
  ASSERT_EQ(web.backends.size(), 2u);
  EXPECT_TRUE(web.backends[0].local) << "this node's wins";
  EXPECT_TRUE(web.backends[1].serving) << "ready in one slice is ready";
  EXPECT_EQ(chosen("web/tcp4"), "cluster 5 6 | local 5");
}

// kube-proxy's own rows, pkg/proxy/topology_test.go in spirit: R ready, D serves while it terminates, T gone.
TEST_F(Services, ReadyThenServingAndTerminating) {
  put(service("web", {"10.96.0.10"}, {{"", 6, 80, 0}}));
  const auto with = [&](std::vector<SliceEndpoint> endpoints) {
    put(slice("web", "s", core::Family::kIpv4, {{"", 6, 80}}, std::move(endpoints)));
    return chosen("web/tcp4");
  };
  const auto ready = [](const char* a, const char* n) { return at(a, n); };
  const auto draining = [](const char* a, const char* n) {
    SliceEndpoint e = at(a, n, false);
    e.serving = e.terminating = true;
    return e;
  };
  const auto gone = [](const char* a, const char* n) {
    SliceEndpoint e = at(a, n, false);
    e.terminating = true;
    return e;
  };
  const char *a = "10.244.1.1", *b = "10.244.1.2", *c = "10.244.2.3", *d = "10.244.2.4";
  EXPECT_EQ(with({ready(a, "n1"), draining(b, "n1"), gone(c, "n2")}), "cluster 1 | local 1");
  EXPECT_EQ(with({draining(a, "n1"), gone(b, "n1"), draining(c, "n2")}), "cluster 1 3 | local 1");
  EXPECT_EQ(with({draining(a, "n1"), ready(c, "n2")}), "cluster 3 | local 1")
      << "cluster and local fall back by themselves";
  EXPECT_EQ(with({gone(a, "n1"), gone(d, "n2")}), "cluster | local");
  EXPECT_EQ(with({ready(a, "n1"), at(d, "")}), "cluster 1 4 | local 1") << "no node name: not here";
  SliceEndpoint unready = at(b, "n1", false);
  unready.serving = true;
  EXPECT_EQ(with({unready}), "cluster | local") << "not ready and not terminating: nothing";
  const core::Service& web = *find(compiled.state, "web/tcp4");
  EXPECT_FALSE(web.backends[0].serving);
}

TEST_F(Services, TopologyHintsFilterOnlyWhenAllHaveThem) {
  NodeObject self = intent.nodes.at("n1");
  self.zone = "z1";
  put(NodeUpserted{self});
  put(service("web", {"10.96.0.10"}, {{"", 6, 80, 0}}));
  const auto hinted = [](const char* address, std::vector<std::string> zones, std::vector<std::string> nodes,
                         bool ready = true) {
    SliceEndpoint e = at(address, "n2", ready);
    e.for_zones = std::move(zones);
    e.for_nodes = std::move(nodes);
    return e;
  };
  const auto with = [&](std::vector<SliceEndpoint> endpoints) {
    put(slice("web", "s", core::Family::kIpv4, {{"", 6, 80}}, std::move(endpoints)));
    return chosen("web/tcp4");
  };
  const char *a = "10.244.1.1", *b = "10.244.2.2", *c = "10.244.2.3";
  EXPECT_EQ(with({hinted(a, {"z1"}, {}), hinted(b, {"z2"}, {}), hinted(c, {"z2", "z1"}, {})}),
            "cluster 1 3 | local");
  EXPECT_EQ(with({hinted(a, {"z1"}, {}), hinted(b, {}, {})}), "cluster 1 2 | local") << "one has no hint";
  EXPECT_EQ(with({hinted(a, {"z1"}, {}), hinted(b, {}, {}, false)}), "cluster 1 | local")
      << "one that is not ready does not count";
  EXPECT_EQ(with({hinted(a, {"z3"}, {}), hinted(b, {"z2"}, {})}), "cluster 1 2 | local") << "none for z1";
  EXPECT_EQ(with({hinted(a, {"z1"}, {"n1"}), hinted(b, {"z1"}, {"n2"})}), "cluster 1 | local")
      << "nodes before zones";
  EXPECT_EQ(with({hinted(a, {"z1"}, {"n3"}), hinted(b, {"z2"}, {"n2"})}), "cluster 1 | local")
      << "no node's: zones";
  EXPECT_EQ(with({hinted(a, {"z1"}, {"n1"}), hinted(b, {"z1"}, {})}), "cluster 1 2 | local")
      << "one has no node";
  self.zone = "";
  put(NodeUpserted{self});
  EXPECT_EQ(with({hinted(a, {"z1"}, {}), hinted(b, {""}, {})}), "cluster 1 2 | local")
      << "a node without zone";
}

TEST_F(Services, FrontendsByType) {
  ServiceObject lb = service("lb", {"10.96.0.10", "fd00:96::a"}, {{"a", 6, 80, 30080}, {"s", 132, 5000, 0}});
  lb.type = ServiceType::kLoadBalancer;
  lb.external_ips = {ip("203.0.113.7")};
  lb.ingress = {{ip("198.51.100.50"), true, false, {}},
                {ip("198.51.100.51"), false, false, {}},
                {ip("198.51.100.52"), true, true, {{132, 5000}}},
                {ip("2001:db8:9::1"), true, false, {}}};
  lb.source_ranges = {prefix("10.0.0.0/8"), prefix("2001:db8::/32")};
  lb.has_source_ranges = true;
  put(lb);
  EXPECT_EQ(refusals(), "");
  EXPECT_EQ(
      frontends("lb:a/tcp4"),
      "ClusterIp=10.96.0.10:80 LoadBalancer=198.51.100.50:80 ExternalIp=203.0.113.7:80 NodePort=*:30080");
  EXPECT_EQ(frontends("lb:s/sctp4"),
            "ClusterIp=10.96.0.10:5000 LoadBalancer=198.51.100.50:5000 LoadBalancer=198.51.100.52:5000 "
            "ExternalIp=203.0.113.7:5000");
  EXPECT_EQ(frontends("lb:a/tcp6"), "ClusterIp=fd00:96::a:80 LoadBalancer=2001:db8:9::1:80 NodePort=*:30080");
  EXPECT_EQ(find(compiled.state, "lb:a/tcp4")->source_ranges, std::vector{prefix("10.0.0.0/8")});
  EXPECT_EQ(find(compiled.state, "lb:a/tcp6")->source_ranges, std::vector{prefix("2001:db8::/32")});
  lb.source_ranges.clear();  // none of them could be read
  put(lb);
  EXPECT_EQ(frontends("lb:a/tcp6"), "ClusterIp=fd00:96::a:80 NodePort=*:30080") << "never open by mistake";
  EXPECT_NE(refusals().find("FL1035 service/default/lb spec.loadBalancerSourceRanges"), std::string::npos);
}

// S2: somebody else's address is nobody's frontend.
TEST_F(Services, AddressesOfOthersAreRefused) {
  put(service("dns", {"10.96.0.10"}, {{"", 17, 53, 0}}));
  put(service("odd", {"172.16.0.1"}, {{"", 6, 80, 0}}));
  ServiceObject thief = service("thief", {"10.96.0.66"}, {{"", 6, 443, 0}});
  thief.type = ServiceType::kLoadBalancer;
  for (const char* address : {"192.0.2.2", "192.0.2.1", "10.244.2.9", "10.96.0.10", "8.8.8.8", "127.0.0.1",
                              "169.254.169.254", "224.0.0.1", "0.0.0.0", "2001:db8::2", "203.0.113.9"})
    thief.external_ips.push_back(ip(address));
  for (const char* address : {"192.0.2.2", "10.244.2.9", "10.96.0.77", "172.16.0.1", "255.255.255.255"})
    thief.ingress.push_back({ip(address), true, false, {}});
  put(thief);
  EXPECT_EQ(frontends("thief/tcp4"), "ClusterIp=10.96.0.66:443 ExternalIp=203.0.113.9:443");
  const std::string s = "FL1038 service/default/thief spec.externalIPs";
  const std::string l = "FL1038 service/default/thief status.loadBalancer.ingress";
  EXPECT_EQ(refusals(), l + "[0].ip: 192.0.2.2 is an address of node/n2\n" +                       //
                            l + "[1].ip: 10.244.2.9 is an address of pods\n" +                     //
                            l + "[2].ip: 10.96.0.77 lies in the range of ClusterIPs\n" +           //
                            l + "[4].ip: 255.255.255.255 is reserved\n" +                          //
                            s + "[0]: 192.0.2.2 is an address of node/n2\n" +                      //
                            s + "[1]: 192.0.2.1 is an address of node/n1\n" +                      //
                            s + "[2]: 10.244.2.9 is an address of pods\n" +                        //
                            s + "[3]: 10.96.0.10 lies in the range of ClusterIPs\n" +              //
                            s + "[4]: 8.8.8.8 lies in none of spec.services.externalIPRanges\n" +  //
                            s + "[5]: 127.0.0.1 is loopback\n" +                                   //
                            s + "[6]: 169.254.169.254 is link-local\n" +                           //
                            s + "[7]: 224.0.0.1 is multicast\n" +                                  //
                            s + "[8]: 0.0.0.0 is unspecified\n" +                                  //
                            s + "[9]: 2001:db8::2 is an address of node/n2\n" +                    //
                            l + "[3].ip: 172.16.0.1 is the ClusterIP of service/default/odd\n");
  put(ServiceDeleted{"default/odd"});
  EXPECT_EQ(frontends("thief/tcp4"),
            "ClusterIp=10.96.0.66:443 LoadBalancer=172.16.0.1:443 ExternalIp=203.0.113.9:443");
}

TEST_F(Services, ClusterIpsThatAreNone) {
  put(service("a", {"192.0.2.2"}, {{"", 6, 80, 0}}));
  put(service("b", {"10.244.1.1"}, {{"", 6, 80, 0}}));
  put(service("c", {"127.0.0.1", "fd00:96::c"}, {{"", 6, 80, 0}}));
  put(service("d", {}, {{"", 6, 80, 0}}));
  EXPECT_EQ(refusals(),
            "FL1034 service/default/a spec.clusterIPs[0]: 192.0.2.2 is an address of node/n2\n"
            "FL1034 service/default/b spec.clusterIPs[0]: 10.244.1.1 is an address of pods\n"
            "FL1034 service/default/c spec.clusterIPs[0]: 127.0.0.1 is loopback\n"
            "FL1034 service/default/d spec.clusterIPs: no ClusterIP: there is nothing to program\n");
  EXPECT_EQ(compiled.state.services.size(), 1u);
  EXPECT_EQ(frontends("c/tcp6"), "ClusterIp=fd00:96::c:80");
}

TEST_F(Services, OfTwoClaimsTheOlderWins) {
  ServiceObject young = service("a", {"10.96.0.10"}, {{"", 6, 80, 30080}});
  ServiceObject old = service("b", {"10.96.0.10"}, {{"", 6, 80, 30080}, {"x", 6, 81, 0}});
  young.type = old.type = ServiceType::kNodePort;
  young.created = 200, old.created = 100;
  put(young);
  put(old);
  EXPECT_EQ(frontends("a/tcp4"), "");
  EXPECT_EQ(frontends("b/tcp4"), "ClusterIp=10.96.0.10:80 NodePort=*:30080");
  EXPECT_EQ(refusals(),
            "FL1036 service/default/a spec.clusterIPs[0]: TCP 10.96.0.10 port 80 is service/default/b's\n"
            "FL1036 service/default/a spec.ports[0].nodePort: TCP node port 30080 is service/default/b's\n");
  young.ports.push_back({"y", 17, 80, 0});
  put(young);
  EXPECT_EQ(frontends("a:y/udp4"), "ClusterIp=10.96.0.10:80") << "another protocol is another claim";
  young.created = old.created;
  put(young);
  EXPECT_NE(frontends("a/tcp4"), "") << "of one age, the smaller name";
  put(ServiceDeleted{"default/a"});
  EXPECT_EQ(frontends("b/tcp4"), "ClusterIp=10.96.0.10:80 NodePort=*:30080");
  EXPECT_EQ(refusals(), "");
}

TEST_F(Services, NodePortsThatTheNodeNeedsItself) {
  ServiceObject np =
      service("np", {"10.96.0.10"}, {{"a", 6, 80, 61000}, {"b", 17, 81, 4789}, {"c", 6, 82, 4789}});
  np.type = ServiceType::kNodePort;
  put(np);
  EXPECT_EQ(refusals(),
            "FL1035 service/default/np spec.ports[0].nodePort: port 61000 lies in spec.egress.snatPorts "
            "61000-65535\n"
            "FL1035 service/default/np spec.ports[1].nodePort: port 4789 is the tunnel's\n");
  EXPECT_EQ(frontends("np:a/tcp4"), "ClusterIp=10.96.0.10:80");
  EXPECT_EQ(frontends("np:c/tcp4"), "ClusterIp=10.96.0.10:82 NodePort=*:4789");
}

TEST_F(Services, EndpointsInTheServiceRangeAndOfAnotherFamily) {
  put(service("web", {"10.96.0.10"}, {{"", 6, 80, 0}}));
  put(slice("web", "s4", core::Family::kIpv4, {{"", 6, 80}},
            {at("10.96.0.99", "n1"), at("10.244.1.5", "n1")}));
  put(slice("web", "s6", core::Family::kIpv6, {{"", 6, 80}}, {at("fd00:10:244:1::5", "n1")}));
  auto broken = slice("web", "s5", core::Family::kIpv4, {}, {});
  broken.problems = {{"FL1037", "ports[0].port", "found 0, wanted 1..65535"}};
  put(broken);
  EXPECT_EQ(refusals(),
            "FL1037 endpointslice/default/s4 endpoints: 10.96.0.99 lies in the range of ClusterIPs\n"
            "FL1037 endpointslice/default/s5 ports[0].port: found 0, wanted 1..65535\n"
            "FL1037 endpointslice/default/s6 addressType: service/default/web has no ClusterIP of this "
            "address family\n");
  EXPECT_EQ(chosen("web/tcp4"), "cluster 5 | local 5");
}

TEST_F(Services, ATooLargeOneIsRefusedAndTheOthersServe) {
  put(service("big", {"10.96.0.10"}, {{"", 6, 80, 0}}));
  put(service("web", {"10.96.0.11"}, {{"", 6, 80, 0}}));
  for (int s = 0; s < 100; ++s) {
    std::vector<SliceEndpoint> endpoints;
    for (int i = 0; i < 1000; ++i) {
      SliceEndpoint e = at("10.244.0.0", "n2");
      const int n = s * 1000 + i;
      e.address.bytes = {10, static_cast<uint8_t>(128 + n / 65536), static_cast<uint8_t>(n / 256),
                         static_cast<uint8_t>(n)};
      endpoints.push_back(e);
    }
    put(slice("big", "s" + std::to_string(s), core::Family::kIpv4, {{"", 6, 80}}, std::move(endpoints)));
  }
  EXPECT_EQ(
      refusals(),
      "FL1034 service/default/big endpoints: its slices have 100000 endpoints; at most 10000 are taken\n");
  EXPECT_EQ(compiled.state.services.size(), 1u);
}

TEST_F(Services, HealthChecksCountReadyEndpointsOfThisNode) {
  ServiceObject lb = service("lb", {"10.96.0.10"}, {{"a", 6, 80, 30080}, {"b", 6, 81, 30081}});
  lb.type = ServiceType::kLoadBalancer;
  lb.external_local = true;
  lb.health_check_node_port = 32000;
  put(lb);
  put(slice("lb", "s", core::Family::kIpv4, {{"a", 6, 80}, {"b", 6, 81}},
            {at("10.244.1.5", "n1"), at("10.244.1.6", "n1", false), at("10.244.2.6", "n2")}));
  compile_now();
  ASSERT_EQ(compiled.health_checks.size(), 1u);
  EXPECT_EQ(compiled.health_checks.at("default/lb"), (HealthCheck{"default", "lb", 32000, 1}));
  ServiceObject np = service("zz", {"10.96.0.11"}, {{"", 6, 80, 32000}});
  np.type = ServiceType::kNodePort;
  np.created = 5;
  put(np);
  EXPECT_EQ(
      refusals(),
      "FL1036 service/default/lb spec.healthCheckNodePort: TCP node port 32000 is service/default/zz's\n");
  EXPECT_TRUE(compiled.health_checks.empty());
  put(ServiceDeleted{"default/zz"});
  lb.external_local = false;
  put(lb);
  compile_now();
  EXPECT_TRUE(compiled.health_checks.empty());
}

TEST_F(Services, ReplyPathFallsBackWithAReason) {
  ServiceObject np = service("np", {"10.96.0.10"}, {{"", 6, 80, 30080}});
  np.type = ServiceType::kNodePort;
  np.reply_path = core::ReplyPath::kIpInIp;
  put(np);
  network.mode = Mode::kOverlay;
  put(NetworkChanged{network});
  EXPECT_EQ(refusals(),
            "FL1039 service/default/np metadata.annotations[fairlead.io/reply-path]: no engine of this "
            "version returns directly; replies go through this node\n");
  EXPECT_EQ(find(compiled.state, "np/tcp4")->reply_path, core::ReplyPath::kThisNode);
  np.reply_path.reset();
  put(np);
  network.reply_path = core::ReplyPath::kGeneve;
  put(NetworkChanged{network});
  EXPECT_EQ(refusals(),
            "FL1039 service/default/np spec.services.replyPath: no engine of this version returns directly; "
            "replies go through this node\n");
  EXPECT_EQ(compiled.state.settings.pod_mtu, 1500 - 50) << "nothing is taken for a header that nobody sends";
  np.external_local = true;
  put(np);
  EXPECT_EQ(refusals(), "") << "Local never leaves this node";
}

TEST_F(Services, SettingsOfTheNode) {
  compile_now();
  const core::NodeSettings& s = compiled.state.settings;
  EXPECT_EQ(s.cluster_services, network.services);
  EXPECT_EQ(s.node_port_addresses, (std::vector{ip("2001:db8::1"), ip("192.0.2.1")}));
  EXPECT_EQ(s.masquerade4, ip("192.0.2.1"));
  EXPECT_EQ(s.masquerade6, ip("2001:db8::1"));
  EXPECT_EQ(s.snat_port_first, 61000);
  intent.host.local_addresses.push_back(ip("198.51.100.1"));
  network.node_port_addresses = {prefix("198.51.100.0/24")};
  network.masquerade = false;
  network.non_masquerade_cidrs = {prefix("172.16.0.0/12")};
  network.snat_port_first = 50000, network.snat_port_last = 50999;
  put(NetworkChanged{network});
  compile_now();
  EXPECT_EQ(s.node_port_addresses, std::vector{ip("198.51.100.1")});
  EXPECT_FALSE(s.masquerade4 || s.masquerade6);
  EXPECT_EQ(s.no_masquerade, network.non_masquerade_cidrs);
  EXPECT_EQ(s.snat_port_last, 50999);
}

TEST_F(Services, IdsStayWithTheirPort) {
  put(service("a", {"10.96.0.1"}, {{"x", 6, 80, 0}, {"y", 6, 81, 0}}));
  put(service("b", {"10.96.0.2"}, {{"", 6, 80, 0}}));
  compile_now();
  const core::ServiceId a = find(compiled.state, "a:y/tcp4")->id, b = find(compiled.state, "b/tcp4")->id;
  put(service("a", {"10.96.0.9"}, {{"y", 6, 8081, 0}, {"z", 6, 80, 0}}));
  put(service("A0", {"10.96.0.3"}, {{"", 6, 80, 0}}));
  compile_now();
  EXPECT_EQ(find(compiled.state, "a:y/tcp4")->id, a) << "another address and number is still the same port";
  EXPECT_EQ(find(compiled.state, "b/tcp4")->id, b);
  EXPECT_GT(find(compiled.state, "a:z/tcp4")->id, 3u) << "no id changes its owner in one step";
}

}  // namespace
}  // namespace fairlead::control
