"""Services with real sockets: Kubernetes' own end-to-end cases for a service proxy, IPv4 and IPv6.

    outside (the fabric: no node, no pod; 192.0.2.30)
      |            |             |
    [node-1]     [node-2]      [node-3]        node ports, health checks, processes of the node itself
     a1  a2       b1  b2        c1  c2          clients, and backends that say who they are
"""
import ipaddress
import json
import subprocess
import time

import harness
import services
from services import Held, ask, endpoint, endpoint_slice, put, service

VIPS = {4: "10.96.0.{}", 6: "fd00:10:96::{:x}"}


class ServicesTest(harness.ClusterTest):
    NODES, PODS_PER_NODE = 3, 2
    PORTS = (8080, 8081, 9090)

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.pod = {pod.name: pod for pod in cls.cluster.pods}
        cls.servers = {name: services.serve(pod, name, *cls.PORTS) for name, pod in cls.pod.items()}

    def setUp(self):
        super().setUp()
        self.files = set()
        self.addCleanup(lambda: [put(self.cluster, name) for name in self.files])

    # -- what a test says -------------------------------------------------------------------------------------------

    def outside(self, command):
        return ["ip", "netns", "exec", self.cluster.fabric, *command]

    def put(self, name, *objects):
        self.files.add(name)
        put(self.cluster, name, *objects)

    def vip(self, number, family):
        return VIPS[family].format(number)

    def deploy(self, name, number, backends, ports=(("http", "TCP", 80, 8080),), conditions=None, labels=None, hints=None, **spec):
        """A Service of both families with `backends` (names of pods); returns nothing, takes effect soon."""
        conditions, hints = conditions or {}, hints or {}
        slices = []
        for family in (4, 6):
            slices.append(endpoint_slice(
                f"{name}-v{family}", name, [(p[0], p[1], p[3]) for p in ports],
                [endpoint(self.pod[b], ipv6=family == 6, **conditions.get(b, {}), **hints.get(b, {})) for b in backends],
                ipv6=family == 6, labels=labels))
        cluster_ips = [self.vip(number, 4), self.vip(number, 6)] if number else []
        self.put(name, service(name, cluster_ips, ports, metadata={"labels": labels} if labels else None, **spec), *slices)

    def eventually(self, check, seconds=10):
        """Until `check` does not fail any more."""
        deadline = time.monotonic() + seconds
        while True:
            try:
                return check()
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def answers(self, command, address, port, count=20, *options):
        got = ask(command, address, port, count, *options)
        self.assertEqual(got["errors"], {}, f"{address} port {port}: {got}")
        return got

    def reaches(self, command, address, port, names, count=30, *options):
        """All of `names` answer, and nobody else."""
        def check():
            got = self.answers(command, address, port, count, *options)
            self.assertEqual(set(got["answers"]), set(names), f"{address} port {port}")
            return got
        return self.eventually(check)

    def refused(self, command, address, port, *options, error="ECONNREFUSED"):
        def check():
            got = ask(command, address, port, 3, "--wait", 1, *options)
            self.assertEqual(got["answers"], {}, f"{address} port {port}")
            self.assertEqual(set(got["errors"]), {error}, f"{address} port {port}: {got}")
        self.eventually(check)

    # -- conformance: Services should ... ---------------------------------------------------------------------------

    def test_serve_a_basic_endpoint_from_pods(self):
        self.deploy("basic", 10, ["b1"])
        for family in (4, 6):
            self.reaches(self.pod["a1"].command, self.vip(10, family), 80, {"b1"})
        self.deploy("basic", 10, ["b1", "c1"])
        for family in (4, 6):
            self.reaches(self.pod["a1"].command, self.vip(10, family), 80, {"b1", "c1"})
        self.deploy("basic", 10, ["c1"])
        for family in (4, 6):
            self.reaches(self.pod["a1"].command, self.vip(10, family), 80, {"c1"})
        self.deploy("basic", 10, [])
        for family in (4, 6):
            self.refused(self.pod["a1"].command, self.vip(10, family), 80)

    def test_serve_multiport_endpoints_from_pods(self):
        ports = (("one", "TCP", 80, 8080), ("two", "TCP", 81, 8081))
        self.deploy("multi", 11, ["b1"], ports)
        for family in (4, 6):
            for port in (80, 81):
                self.reaches(self.pod["a1"].command, self.vip(11, family), port, {"b1"}, 5)
            self.refused(self.pod["a1"].command, self.vip(11, family), 82)

    def test_serve_endpoints_on_same_port_and_different_protocols(self):
        self.deploy("both", 12, ["b1"], (("tcp", "TCP", 80, 8080), ("udp", "UDP", 80, 8081)))
        for family in (4, 6):
            self.reaches(self.pod["a1"].command, self.vip(12, family), 80, {"b1"}, 5)
            self.reaches(self.pod["a1"].command, self.vip(12, family), 80, {"b1"}, 5, "--udp")
        # Only UDP is left: TCP must not go on being answered.
        self.deploy("both", 12, ["b1"], (("udp", "UDP", 80, 8081),))
        for family in (4, 6):
            self.refused(self.pod["a1"].command, self.vip(12, family), 80)
            self.reaches(self.pod["a1"].command, self.vip(12, family), 80, {"b1"}, 5, "--udp")

    def node_port_everywhere(self, port, names, *options):
        for node in self.cluster.nodes:
            for family, address in ((4, node.ipv4), (6, node.ipv6)):
                with self.subTest(node=node.name, family=family):
                    self.reaches(self.outside, address, port, names, 20, *options)
                    self.reaches(self.pod["a1"].command, address, port, names, 20, *options)

    def test_functioning_node_port_service(self):
        self.deploy("np", 13, ["b1", "c1"], (("http", "TCP", 80, 8080, 30013),), type="NodePort")
        self.node_port_everywhere(30013, {"b1", "c1"})
        self.reaches(self.cluster.nodes[0].command, self.cluster.nodes[1].ipv4, 30013, {"b1", "c1"})

    def test_change_type_between_external_name_cluster_ip_and_node_port(self):
        ports = (("http", "TCP", 80, 8080),)
        node_ports = (("http", "TCP", 80, 8080, 30014),)
        client = self.pod["a1"].command
        slices = lambda: endpoint_slice("change-v4", "change", [("http", "TCP", 8080)], [endpoint(self.pod["b1"])])  # noqa: E731
        external = service("change", [], (), type="ExternalName", externalName="example.com")
        self.put("change", external, slices())
        self.refused(client, self.vip(14, 4), 80)
        self.put("change", service("change", [self.vip(14, 4)], ports), slices())
        self.reaches(client, self.vip(14, 4), 80, {"b1"}, 5)
        self.put("change", external, slices())
        self.refused(client, self.vip(14, 4), 80)
        self.put("change", service("change", [self.vip(14, 4)], node_ports, type="NodePort"), slices())
        self.reaches(client, self.vip(14, 4), 80, {"b1"}, 5)
        self.reaches(self.outside, self.cluster.nodes[2].ipv4, 30014, {"b1"}, 5)
        self.put("change", external, slices())
        self.refused(client, self.vip(14, 4), 80)
        self.refused(self.outside, self.cluster.nodes[2].ipv4, 30014)

    def sticks(self, command, address, port, count=25):
        def check():
            got = self.answers(command, address, port, count)
            self.assertEqual(len(got["answers"]), 1, got)
            return next(iter(got["answers"]))
        return self.eventually(check)

    def test_session_affinity_works_and_can_be_switched(self):
        backends = ["a2", "b1", "b2", "c1"]
        node = self.cluster.nodes[1]
        for affinity in ("ClientIP", "None", "ClientIP"):
            self.deploy("sticky", 15, backends, (("http", "TCP", 80, 8080, 30015),), type="NodePort", sessionAffinity=affinity)
            for family in (4, 6):
                where = ((self.pod["a1"].command, self.vip(15, family), 80),
                         (self.outside, node.ipv4 if family == 4 else node.ipv6, 30015))
                for command, address, port in where:
                    with self.subTest(affinity=affinity, family=family, port=port):
                        if affinity == "None":
                            self.reaches(command, address, port, set(backends), 60)
                        else:
                            self.sticks(command, address, port)

    # -- not conformance, but decisive ------------------------------------------------------------------------------

    def test_session_affinity_times_out_and_forgets_a_backend_that_is_gone(self):
        backends = ["b1", "b2", "c1", "c2"]
        config = {"clientIP": {"timeoutSeconds": 2}}
        self.deploy("brief", 16, backends, sessionAffinity="ClientIP", sessionAffinityConfig=config)
        client = self.pod["a1"].command
        first = self.sticks(client, self.vip(16, 4), 80)
        self.deploy("brief", 16, [b for b in backends if b != first], sessionAffinity="ClientIP", sessionAffinityConfig=config)
        self.eventually(lambda: self.assertNotIn(first, self.answers(client, self.vip(16, 4), 80, 3)["answers"]))
        seen = set()
        for _ in range(6):
            seen |= set(self.answers(client, self.vip(16, 4), 80, 1)["answers"])
            time.sleep(3.2)
        self.assertGreater(len(seen), 1, "two seconds of silence must end the affinity at least once in six times")

    def test_allow_pods_to_hairpin_back_to_themselves(self):
        self.deploy("mirror", 17, ["a1"], (("http", "TCP", 80, 8080), ("udp", "UDP", 80, 8080)))
        for family in (4, 6):
            self.reaches(self.pod["a1"].command, self.vip(17, family), 80, {"a1"}, 5)
            self.reaches(self.pod["a1"].command, self.vip(17, family), 80, {"a1"}, 5, "--udp")

    def test_preserve_source_pod_ip_for_traffic_thru_service_cluster_ip(self):
        for backend in ("a2", "b1"):
            self.deploy("source", 18, [backend])
            for family in (4, 6):
                own = self.pod["a1"].ipv4 if family == 4 else self.pod["a1"].ipv6
                got = self.reaches(self.pod["a1"].command, self.vip(18, family), 80, {backend}, 5)
                self.assertEqual(got["clients"], [own])

    def test_be_rejected_when_no_endpoints_exist(self):
        node = self.cluster.nodes[0]
        # A process of the node listens on the node port: it must not get what the Service has nobody for.
        stranger = services.serve(node, "stranger", 30019)
        self.addCleanup(self.cluster.stop, stranger)
        self.deploy("empty", 19, [], (("http", "TCP", 80, 8080, 30019), ("udp", "UDP", 80, 8080)), type="NodePort")
        for family in (4, 6):
            with self.subTest(family=family):
                self.refused(self.pod["a1"].command, self.vip(19, family), 80)
                self.refused(self.pod["a1"].command, self.vip(19, family), 80, "--udp")
                self.refused(node.command, self.vip(19, family), 80)
                self.refused(self.outside, node.ipv4 if family == 4 else node.ipv6, 30019)

    def test_unused_service_addresses_are_refused_and_never_leave(self):
        capture = harness.Capture(self.cluster.fabric, "br0", self.cluster.directory / "unused.pcap")
        for family in (4, 6):
            self.refused(self.pod["a1"].command, self.vip(99, family), 80)
            self.refused(self.pod["a1"].command, self.vip(99, family), 80, "--udp")
        capture.stop()
        self.assertEqual(capture.tshark("ip.dst == 10.96.0.99 or ipv6.dst == fd00:10:96::63"), [])

    def test_fall_back_to_terminating_endpoints_when_there_are_no_ready_ones(self):
        gone = {"ready": False, "serving": True, "terminating": True}
        ports = (("http", "TCP", 80, 8080, 30020),)
        node = self.cluster.nodes[0]
        for policy in ("Cluster", "Local"):
            with self.subTest(policy=policy):
                spec = {"type": "NodePort", "internalTrafficPolicy": policy, "externalTrafficPolicy": policy}
                self.deploy("ending", 20, ["a2", "a1"], ports, conditions={"a2": gone, "a1": gone}, **spec)
                self.reaches(self.pod["a1"].command, self.vip(20, 4), 80, {"a1", "a2"})
                self.reaches(self.outside, node.ipv4, 30020, {"a1", "a2"})
                self.deploy("ending", 20, ["a2", "a1"], ports, conditions={"a2": gone}, **spec)
                self.reaches(self.pod["a1"].command, self.vip(20, 4), 80, {"a1"})
                self.reaches(self.outside, node.ipv4, 30020, {"a1"})

    def http(self, address, port):
        done = subprocess.run(self.outside(["python3", services.ANSWER, "http", address, str(port), "/healthz"]), text=True,
                              capture_output=True, timeout=30)
        return json.loads(done.stdout)

    def test_health_check_node_port_says_where_ready_endpoints_are(self):
        ports = (("http", "TCP", 80, 8080, 30021),)
        spec = {"type": "LoadBalancer", "externalTrafficPolicy": "Local", "healthCheckNodePort": 30121}
        gone = {"ready": False, "serving": True, "terminating": True}
        self.deploy("health", 21, ["a2"], ports, **spec)
        here, there = self.cluster.nodes[0], self.cluster.nodes[1]

        def check(node, status, local):
            got = self.http(node.ipv4, 30121)
            self.assertEqual(got["status"], status, got)
            body = json.loads(got["body"])
            self.assertEqual(body["service"], {"namespace": "default", "name": "health"})
            self.assertEqual(body["localEndpoints"], local)

        self.eventually(lambda: check(here, 200, 1))
        self.eventually(lambda: check(there, 503, 0))
        # Traffic still flows to a terminating endpoint, but no balancer shall send new connections here.
        self.deploy("health", 21, ["a2"], ports, conditions={"a2": gone}, **spec)
        self.eventually(lambda: check(here, 503, 0))

    def test_respect_internal_traffic_policy_local(self):
        self.deploy("inner", 22, ["b1", "b2"], internalTrafficPolicy="Local")
        for family in (4, 6):
            self.reaches(self.pod["b1"].command, self.vip(22, family), 80, {"b1", "b2"})
            self.reaches(self.cluster.nodes[1].command, self.vip(22, family), 80, {"b1", "b2"})
            got = ask(self.pod["a1"].command, self.vip(22, family), 80, 2, "--wait", 1)
            self.assertEqual(got["answers"], {}, "node-1 has no endpoint of it")

    def test_external_traffic_policy_local_keeps_the_client_and_stays_here(self):
        self.deploy("outer", 23, ["b1", "c1"], (("http", "TCP", 80, 8080, 30023),), type="NodePort", externalTrafficPolicy="Local")
        one, two = self.cluster.nodes[0], self.cluster.nodes[1]
        got = self.reaches(self.outside, two.ipv4, 30023, {"b1"})
        self.assertEqual(got["clients"], ["192.0.2.30"])
        got = ask(self.outside, one.ipv4, 30023, 2, "--wait", 1)
        self.assertEqual(got["answers"], {}, "node-1 has none, and must not send it on")
        # Pods still reach all of it, on any node's address.
        self.reaches(self.pod["a1"].command, one.ipv4, 30023, {"b1", "c1"})

    def test_host_processes_reach_cluster_ips(self):
        self.deploy("fromhost", 24, ["a1", "b1", "c1"])
        for node in self.cluster.nodes:
            for family in (4, 6):
                with self.subTest(node=node.name, family=family):
                    self.reaches(node.command, self.vip(24, family), 80, {"a1", "b1", "c1"})

    def test_load_balancer_and_external_addresses_are_answered_in_the_cluster(self):
        self.deploy("outside-ip", 25, ["b1"], externalIPs=["198.51.100.25"], type="LoadBalancer",
                    status={"loadBalancer": {"ingress": [{"ip": "203.0.113.25", "ipMode": "VIP"}, {"ip": "203.0.113.26", "ipMode": "Proxy"}]}})
        for address in ("198.51.100.25", "203.0.113.25"):
            self.reaches(self.pod["a1"].command, address, 80, {"b1"}, 5)
            self.reaches(self.cluster.nodes[2].command, address, 80, {"b1"}, 5)
        got = ask(self.pod["a1"].command, "203.0.113.26", 80, 1, "--wait", 1)
        self.assertEqual(got["answers"], {}, "ipMode Proxy belongs to the balancer")

    def test_external_ips_outside_of_the_configured_ranges_hijack_nothing(self):
        victim = self.pod["c1"]
        self.deploy("thief", 26, ["b1"], (("http", "TCP", 8080, 8080),), externalIPs=[victim.ipv4, "192.0.2.2", "8.8.8.8"])
        self.reaches(self.pod["a1"].command, self.vip(26, 4), 8080, {"b1"}, 5)
        got = self.answers(self.pod["a1"].command, victim.ipv4, 8080, 5)
        self.assertEqual(set(got["answers"]), {"c1"})
        shown = self.cluster.nodes[0].cli("get", "services", "-o", "wide").stdout
        self.assertIn("thief", shown)
        self.assertIn("externalIPs", shown)

    def test_load_balancer_source_ranges(self):
        self.deploy("ranged", 27, ["b1"], type="LoadBalancer", loadBalancerSourceRanges=["198.18.0.0/15"],
                    status={"loadBalancer": {"ingress": [{"ip": "203.0.113.27"}]}})
        self.reaches(self.pod["a1"].command, self.vip(27, 4), 80, {"b1"}, 5)
        self.reaches(self.pod["a1"].command, "203.0.113.27", 80, {"b1"}, 5)

    def test_headless_and_foreign_services_are_nobodys(self):
        self.deploy("foreign", 28, ["b1"], labels={"service.kubernetes.io/service-proxy-name": "other"})
        self.deploy("native", 29, ["b1"])
        self.reaches(self.pod["a1"].command, self.vip(29, 4), 80, {"b1"}, 5)
        self.refused(self.pod["a1"].command, self.vip(28, 4), 80)

    def test_work_after_the_service_has_been_recreated_and_after_restarts(self):
        self.deploy("again", 30, ["b1", "c1"])
        client = self.pod["a1"].command
        self.reaches(client, self.vip(30, 4), 80, {"b1", "c1"})
        self.put("again")
        self.refused(client, self.vip(30, 4), 80)
        self.deploy("again", 30, ["b1", "c1"])
        self.reaches(client, self.vip(30, 4), 80, {"b1", "c1"})
        node = self.cluster.nodes[0]
        self.cluster.stop(node.agent, kill=True)
        self.answers(client, self.vip(30, 4), 80, 20)
        node.start_agent()
        self.reaches(client, self.vip(30, 4), 80, {"b1", "c1"})
        self.cluster.stop(node.dataplane)
        node.start_dataplane()
        self.reaches(client, self.vip(30, 4), 80, {"b1", "c1"})

    def test_established_connections_outlive_a_change_of_other_backends(self):
        self.deploy("steady", 31, ["b1", "b2", "c1"])
        self.reaches(self.pod["a1"].command, self.vip(31, 4), 80, {"b1", "b2", "c1"})
        held = Held(self.pod["a1"].command, "hold", self.vip(31, 4), 80, 60)
        self.addCleanup(held.close)
        before = held.ask()
        self.assertEqual(before["errors"], {})
        self.deploy("steady", 31, ["b1", "c1"])
        self.reaches(self.pod["a2"].command, self.vip(31, 4), 80, {"b1", "c1"})
        after = held.ask()
        for name in ("b1", "c1"):
            self.assertEqual(after["answers"].get(name), before["answers"].get(name), "a connection to another backend was touched")

    def test_a_terminating_backend_keeps_its_connections(self):
        self.deploy("drain", 32, ["b1", "c1"])
        self.reaches(self.pod["a1"].command, self.vip(32, 4), 80, {"b1", "c1"})
        held = Held(self.pod["a1"].command, "hold", self.vip(32, 4), 80, 30)
        self.addCleanup(held.close)
        before = held.ask()
        self.deploy("drain", 32, ["b1", "c1"], conditions={"b1": {"ready": False, "serving": True, "terminating": True}})
        self.reaches(self.pod["a2"].command, self.vip(32, 4), 80, {"c1"})
        self.assertEqual(held.ask()["answers"], before["answers"])

    # -- Conntrack should ... ---------------------------------------------------------------------------------------

    def udp_moves(self, command, address, port):
        """One socket goes on asking while its server pod is replaced."""
        talk = Held(command, "talk", address, port, "--port", 40123, "--wait", 1)
        self.addCleanup(talk.close)
        self.assertEqual(talk.ask()["answers"], {"b1": 1})
        self.deploy("cycle", 33, ["c1"], (("udp", "UDP", 80, 8080, 30033),), type="NodePort")
        self.eventually(lambda: self.assertEqual(talk.ask()["answers"], {"c1": 1}))

    def test_preserve_udp_traffic_when_server_pod_cycles(self):
        for where in ("cluster ip", "node port"):
            with self.subTest(where):
                self.deploy("cycle", 33, ["b1"], (("udp", "UDP", 80, 8080, 30033),), type="NodePort")
                node = self.cluster.nodes[0]
                command, address, port = ((self.pod["a1"].command, self.vip(33, 4), 80) if where == "cluster ip"
                                          else (self.outside, node.ipv4, 30033))
                self.reaches(command, address, port, {"b1"}, 3, "--udp")
                self.udp_moves(command, address, port)

    def test_preserve_udp_traffic_when_initially_unready_endpoints_get_ready(self):
        ports = (("udp", "UDP", 80, 8080),)
        self.deploy("late", 34, ["b1"], ports, conditions={"b1": {"ready": False}})
        talk = Held(self.pod["a1"].command, "talk", self.vip(34, 4), 80, "--port", 40124, "--wait", 1)
        self.addCleanup(talk.close)
        self.eventually(lambda: self.assertEqual(talk.ask()["answers"], {}))
        self.deploy("late", 34, ["b1"], ports)
        self.eventually(lambda: self.assertEqual(talk.ask()["answers"], {"b1": 1}))

    # -- beyond the cluster -----------------------------------------------------------------------------------------

    def test_pods_leave_the_cluster_with_their_nodes_address(self):
        server = subprocess.Popen(self.outside(["python3", services.ANSWER, "serve", "world", "7070"]), stdout=subprocess.PIPE, text=True)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        self.addCleanup(server.stdout.close)
        self.assertEqual(server.stdout.readline().strip(), "ready")
        for name, node in (("a1", self.cluster.nodes[0]), ("c2", self.cluster.nodes[2])):
            for udp in ((), ("--udp",)):
                got = self.answers(self.pod[name].command, "192.0.2.30", 7070, 5, *udp)
                self.assertEqual(got["clients"], [node.ipv4])
                got = self.answers(self.pod[name].command, "2001:db8:0::ff", 7070, 5, *udp)
                self.assertEqual(got["clients"], [str(ipaddress.ip_address(node.ipv6))])
        self.assertEqual(self.pod["a1"].run(["ping", "-c", "2", "-W", "2", "192.0.2.30"], check=False).returncode, 0)

    def test_large_requests_through_a_service(self):
        self.deploy("large", 35, ["b1"], (("udp", "UDP", 80, 8080), ("http", "TCP", 80, 8080)))
        for family in (4, 6):
            # More than one frame: fragments follow their first through the translation.
            self.reaches(self.pod["a1"].command, self.vip(35, family), 80, {"b1"}, 3, "--udp", "--size", 4000)
            self.reaches(self.pod["a1"].command, self.vip(35, family), 80, {"b1"}, 3, "--size", 100000)

    def test_no_drift_and_nothing_unexplained(self):
        for node in self.cluster.nodes:
            self.assertTrue(node.counters()["conserved"])


if __name__ == "__main__":
    harness.main()
