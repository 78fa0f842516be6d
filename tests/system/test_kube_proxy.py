"""kube-proxy's rule sets as a peer: that the text is what kube-proxy writes, and that the kernel does with it what a Service is."""
import json
import os
import socket
import subprocess
import sys
import unittest

import harness
from harness import labs, run

sys.path.insert(0, str(labs.TOP / "tools" / "lab"))
import kube_proxy  # noqa: E402
import many_services as services  # noqa: E402
from many_services import Service  # noqa: E402

CLUSTER, RANGE = "10.0.0.0/8", "172.30.0.0/16"
ONE = Service("svc1", "172.30.0.41", 80, (("10.180.0.1", 80),), port_name="p80", namespace="ns1")
TWO = Service("svc2", "172.30.0.42", 80, (("10.180.0.2", 80), ("10.180.0.3", 80), ("10.180.0.4", 80)), port_name="p80", namespace="ns2", node_port=3001)
NONE = Service("svc3", "172.30.0.43", 53, (), protocol="udp", namespace="ns3", node_port=3002)


class IptablesText(unittest.TestCase):
    def test_chains_are_named_as_kube_proxy_names_them(self):
        # Known from clusters, of ns1/svc1:p80 and its endpoint.
        self.assertEqual(kube_proxy.iptables_chain("SVC", ONE), "KUBE-SVC-XPGD46QRK7WJZT7O")
        self.assertEqual(kube_proxy.iptables_chain("SEP", ONE, "10.180.0.1:80"), "KUBE-SEP-SXIVWICOYRO3J4NJ")
        self.assertEqual(kube_proxy.iptables_chain("EXT", TWO).removeprefix("KUBE-EXT-"), kube_proxy.iptables_chain("SVC", TWO).removeprefix("KUBE-SVC-"))

    def test_a_cluster_ip_goes_to_its_endpoint(self):
        text = kube_proxy.iptables_sync([ONE], CLUSTER)
        svc, sep = "KUBE-SVC-XPGD46QRK7WJZT7O", "KUBE-SEP-SXIVWICOYRO3J4NJ"
        nat = text[text.index("*nat"):].splitlines()
        self.assertEqual([line for line in nat if svc in line or sep in line], [
            f":{svc} - [0:0]", f":{sep} - [0:0]",
            f'-A KUBE-SERVICES -m comment --comment "ns1/svc1:p80 cluster IP" -m tcp -p tcp -d 172.30.0.41 --dport 80 -j {svc}',
            f'-A {svc} -m comment --comment "ns1/svc1:p80 cluster IP" -m tcp -p tcp -d 172.30.0.41 --dport 80 ! -s 10.0.0.0/8 -j KUBE-MARK-MASQ',
            f'-A {svc} -m comment --comment "ns1/svc1:p80 -> 10.180.0.1:80" -j {sep}',
            f"-A {sep} -m comment --comment ns1/svc1:p80 -s 10.180.0.1 -j KUBE-MARK-MASQ",
            f"-A {sep} -m comment --comment ns1/svc1:p80 -m tcp -p tcp -j DNAT --to-destination 10.180.0.1:80"])
        self.assertEqual(nat[-2:], ['-A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" '
                                    "-m addrtype --dst-type LOCAL -j KUBE-NODEPORTS", "COMMIT"])

    def test_each_endpoint_is_as_likely_as_the_others(self):
        lines = [line for line in kube_proxy.iptables_sync([TWO], CLUSTER).splitlines() if line.startswith(f"-A {kube_proxy.iptables_chain('SVC', TWO)} ") and "SEP" in line]
        chances = [line.partition("--probability ")[2].partition(" ")[0] for line in lines]
        self.assertEqual(chances, ["0.3333333333", "0.5000000000", ""])

    def test_a_node_port_is_masqueraded_and_one_without_endpoints_rejected(self):
        text = kube_proxy.iptables_sync([TWO, NONE], CLUSTER)
        external = kube_proxy.iptables_chain("EXT", TWO)
        for line in (f"-A KUBE-NODEPORTS -m comment --comment ns2/svc2:p80 -m tcp -p tcp --dport 3001 -j {external}",
                     f'-A {external} -m comment --comment "masquerade traffic for ns2/svc2:p80 external destinations" -j KUBE-MARK-MASQ',
                     f"-A {external} -j {kube_proxy.iptables_chain('SVC', TWO)}",
                     '-A KUBE-SERVICES -m comment --comment "ns3/svc3 has no endpoints" -m udp -p udp -d 172.30.0.43 --dport 53 -j REJECT',
                     '-A KUBE-EXTERNAL-SERVICES -m comment --comment "ns3/svc3 has no endpoints" -m addrtype --dst-type LOCAL -m udp -p udp --dport 3002 -j REJECT'):
            self.assertIn(line + "\n", text)
        self.assertNotIn(kube_proxy.iptables_chain("SVC", NONE), text)

    def test_rules_are_as_many_as_kube_proxy_counts(self):
        # Of its own test of their number: (services, endpoints each) -> rules of the table nat, COMMIT among them.
        for count, each, expected in ((0, 0, 5 + 1), (1, 1, 10 + 1), (1, 2, 13 + 1), (1, 10, 37 + 1), (10, 1, 55 + 1), (10, 10, 325 + 1)):
            made = services.made_up(count, [f"172.16.0.{host}" for host in range(1, 101)], backends=each) if count else []
            nat = kube_proxy.iptables_sync(made, CLUSTER).partition("*nat")[2].splitlines()
            self.assertEqual(sum(1 for line in nat if line.startswith("-A") or line == "COMMIT"), expected, (count, each))

    def test_a_change_writes_the_top_level_and_one_service(self):
        changed = ONE.with_backends([("10.180.0.9", 80)])
        text = kube_proxy.iptables_sync([changed, TWO], CLUSTER, changed=changed, before=ONE)
        self.assertIn(f"-j {kube_proxy.iptables_chain('SVC', TWO)}\n", text)
        self.assertNotIn(f"-A {kube_proxy.iptables_chain('SVC', TWO)} ", text)
        self.assertIn("--to-destination 10.180.0.9:80\n", text)
        self.assertIn("-X KUBE-SEP-SXIVWICOYRO3J4NJ\n", text)

    def test_a_large_cluster_leaves_comments_out_where_there_are_many(self):
        large = services.made_up(501, ["10.180.0.1", "10.180.0.2"])
        text = kube_proxy.iptables_sync(large, CLUSTER)
        self.assertNotIn(" -> ", text)
        self.assertEqual(text.count("cluster IP"), 2 * 501)


class NftText(unittest.TestCase):
    def test_chains_are_named_as_kube_proxy_names_them(self):
        self.assertEqual(kube_proxy.nft_chain("service", ONE), "service-ULMVA6XW-ns1/svc1/tcp/p80")
        self.assertEqual(kube_proxy.nft_chain("endpoint", ONE, ("10.180.0.1", 80)), "endpoint-5OJB2KTY-ns1/svc1/tcp/p80__10.180.0.1/80")

    def test_a_cluster_ip_goes_to_its_endpoint(self):
        service, endpoint = "service-ULMVA6XW-ns1/svc1/tcp/p80", "endpoint-5OJB2KTY-ns1/svc1/tcp/p80__10.180.0.1/80"
        self.assertEqual(kube_proxy.nft_sync([ONE], CLUSTER).splitlines(), [line.replace("TABLE", "ip kube-proxy") for line in (
            f"add chain TABLE {endpoint}", f"flush chain TABLE {endpoint}", f"add chain TABLE {service}", f"flush chain TABLE {service}",
            f"add rule TABLE {service} ip daddr 172.30.0.41 tcp dport 80 ip saddr != 10.0.0.0/8 jump mark-for-masquerade",
            f"add rule TABLE {service} numgen random mod 1 vmap {{ 0 : goto {endpoint} }}",
            f"add rule TABLE {endpoint} ip saddr 10.180.0.1 jump mark-for-masquerade",
            f"add rule TABLE {endpoint} meta l4proto tcp dnat to 10.180.0.1:80",
            "add element TABLE cluster-ips { 172.30.0.41 }",
            f"add element TABLE service-ips {{ 172.30.0.41 . tcp . 80 : goto {service} }}")])

    def test_node_ports_and_services_without_endpoints_are_elements_of_their_maps(self):
        text = kube_proxy.nft_sync([TWO, NONE], CLUSTER)
        self.assertIn(f"service-nodeports {{ tcp . 3001 : goto {kube_proxy.nft_chain('external', TWO)} }}", text)
        self.assertIn('no-endpoint-services { 172.30.0.43 . udp . 53 comment "ns3/svc3" : goto reject-chain }', text)
        self.assertIn('no-endpoint-nodeports { udp . 3002 comment "ns3/svc3" : goto reject-chain }', text)
        self.assertIn("numgen random mod 3 vmap", text)

    def test_a_change_writes_that_service_only(self):
        changed = ONE.with_backends([("10.180.0.9", 80)])
        text = kube_proxy.nft_sync([changed, TWO], CLUSTER, changed=changed, before=ONE)
        self.assertNotIn("svc2", text)
        self.assertNotIn("element", text)
        self.assertTrue(text.endswith("flush chain ip kube-proxy endpoint-5OJB2KTY-ns1/svc1/tcp/p80__10.180.0.1/80\n"))
        emptied = kube_proxy.nft_sync([ONE.with_backends([])], CLUSTER, changed=ONE.with_backends([]), before=ONE)
        self.assertIn("delete element ip kube-proxy service-ips { 172.30.0.41 . tcp . 80 }", emptied)
        self.assertIn("no-endpoint-services { 172.30.0.41 . tcp . 80", emptied)


# What the kernel has to have, by hand: a kernel without it skips, rules of ours that it refuses fail.
NEEDED = {
    "iptables": (["iptables-legacy-restore"], "*nat\n-A OUTPUT -p tcp -m tcp --dport 9 -m comment --comment x -m statistic --mode random --probability 0.5 -j DNAT "
                 "--to-destination 192.0.2.9:9\n-A POSTROUTING -m mark --mark 1/1 -j MASQUERADE --random-fully\n-A POSTROUTING -m addrtype --dst-type LOCAL -j RETURN\n"
                 "COMMIT\n*filter\n-A OUTPUT -m conntrack --ctstate INVALID -j REJECT\nCOMMIT\n"),
    "nft": (["nft", "-f", "-"], "table ip try { map m { type ipv4_addr . inet_proto . inet_service : verdict ; }\n chain c { meta l4proto tcp dnat to 192.0.2.9:9 ; }\n"
            " chain o { type nat hook output priority -100 ; ip daddr . meta l4proto . th dport vmap @m ; numgen random mod 1 vmap { 0 : goto c } ; }\n"
            " chain p { type nat hook postrouting priority 100 ; mark and 1 == 0 return ; masquerade fully-random ; }\n }\n"),
}


class Pod:
    """A namespace behind the node's, with eth0."""

    def __init__(self, node, number):
        self.netns, self.address = f"{node.netns}-{number}", f"10.244.9.{number}"
        run(["ip", "netns", "add", self.netns])
        run(["ip", "-n", node.netns, "link", "add", f"p{number}", "type", "veth", "peer", "name", "eth0", "netns", self.netns])
        run(["ip", "-n", node.netns, "link", "set", f"p{number}", "up"])
        run(["ip", "-n", node.netns, "addr", "add", "10.244.9.1/32", "dev", f"p{number}"])
        run(["ip", "-n", node.netns, "route", "add", f"{self.address}/32", "dev", f"p{number}"])
        for words in (["link", "set", "lo", "up"], ["link", "set", "eth0", "up"], ["addr", "add", f"{self.address}/32", "dev", "eth0"],
                      ["route", "add", "10.244.9.1/32", "dev", "eth0"], ["route", "add", "default", "via", "10.244.9.1"]):
            run(["ip", "-n", self.netns, *words])

    def command(self, command):
        return ["ip", "netns", "exec", self.netns, *command]


SERVE = "import socket, sys; s = socket.create_server((sys.argv[1], 8080)); print('ready', flush=True)\nwhile True:\n c, peer = s.accept(); c.sendall(peer[0].encode()); c.close()"
ASK = "import socket, sys; s = socket.create_connection((sys.argv[1], int(sys.argv[2])), 5); print(s.recv(100).decode(), s.getpeername()[0])"


class Node:
    def __init__(self, name):
        self.netns, self.ipv4 = name, "192.0.2.1"
        run(["ip", "netns", "add", name])
        run(["ip", "-n", name, "link", "set", "lo", "up"])
        run(["ip", "-n", name, "addr", "add", f"{self.ipv4}/32", "dev", "lo"])
        # A node has a default route; without one it would refuse before any rule of the table filter is asked.
        for words in (["link", "add", "u0", "type", "veth", "peer", "name", "u1"], ["link", "set", "u1", "up"], ["link", "set", "u0", "up"], ["route", "add", "default", "dev", "u0"]):
            run(["ip", "-n", name, *words])
        run(["ip", "netns", "exec", name, "sysctl", "-qw", "net.ipv4.ip_forward=1"])

    def command(self, command):
        return ["ip", "netns", "exec", self.netns, *command]


class Kernel(unittest.TestCase):
    """Ten services in a namespace, and connections through them."""

    def setUp(self):
        self.node = Node(f"fl-kp{os.getpid() % 10000}")
        self.addCleanup(run, ["ip", "netns", "del", self.node.netns], check=False)
        self.pods = [self.pod(number) for number in (2, 3, 4)]

    def pod(self, number):
        pod = Pod(self.node, number)
        self.addCleanup(run, ["ip", "netns", "del", pod.netns], check=False)
        return pod

    def serve(self, pod):
        process = subprocess.Popen(pod.command([sys.executable, "-c", SERVE, pod.address]), stdout=subprocess.PIPE, text=True)
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        self.assertEqual(process.stdout.readline().strip(), "ready")

    def ask(self, end, address, port=80):
        return run(end.command([sys.executable, "-c", ASK, address, str(port)]), check=False)

    def run_mode(self, mode):
        program, text = NEEDED[mode]
        if kube_proxy.missing_program(mode):
            self.skipTest(f"{program[0]} is not installed: tools/setup does it")
        tried = subprocess.run(Node(self.node.netns + "t").command(program), input=text, text=True, capture_output=True)
        run(["ip", "netns", "del", self.node.netns + "t"])
        if tried.returncode != 0:
            self.skipTest(f"this kernel lacks what kube-proxy's {mode} mode needs: {tried.stderr.strip()}")
        client, first, second = self.pods
        made = services.made_up(8, ["10.244.8.1", "10.244.8.2"])
        changing = Service("web", "10.96.200.1", 80, ((first.address, 8080),), node_port=30080)
        both = [*made, changing, Service("none", "10.96.200.2", 80, ())]
        proxy = kube_proxy.KubeProxy(self.node, mode, "10.244.0.0/16", "10.96.0.0/12")
        proxy.load(both)
        self.serve(first)
        self.serve(second)
        # Through the ClusterIP: the server sees the client's own address, the client the Service's.
        self.assertEqual(self.ask(client, "10.96.200.1").stdout.split(), [client.address, "10.96.200.1"])
        # Through the node port: from the node's address.
        self.assertEqual(self.ask(client, self.node.ipv4, 30080).stdout.split(), ["10.244.9.1", self.node.ipv4])
        # To itself through the Service.
        self.assertEqual(self.ask(first, "10.96.200.1").stdout.split(), ["10.244.9.1", "10.96.200.1"])
        self.assertIn("ConnectionRefusedError", self.ask(client, "10.96.200.2").stderr)
        # One endpoint replaced by another, and both at last.
        run(["ip", "-n", first.netns, "link", "set", "eth0", "down"])
        proxy.change(changing.with_backends([(second.address, 8080)]))
        self.assertEqual(self.ask(client, "10.96.200.1").stdout.split(), [client.address, "10.96.200.1"])
        proxy.change(changing.with_backends([]))
        self.assertIn("ConnectionRefusedError", self.ask(client, "10.96.200.1").stderr)

    def test_iptables(self):
        self.run_mode("iptables")

    def test_nft(self):
        self.run_mode("nft")


class Objects(unittest.TestCase):
    def test_the_manifest_says_what_the_rules_say(self):
        items = json.loads(services.manifest([TWO], "node-2"))["items"]
        self.assertEqual([item["kind"] for item in items], ["Service", "EndpointSlice"])
        service, slice_ = items
        self.assertEqual(service["spec"]["ports"], [{"port": 80, "protocol": "TCP", "name": "p80", "nodePort": 3001}])
        self.assertEqual(slice_["metadata"]["labels"], {"kubernetes.io/service-name": "svc2"})
        self.assertEqual([endpoint["addresses"][0] for endpoint in slice_["endpoints"]], ["10.180.0.2", "10.180.0.3", "10.180.0.4"])
        self.assertEqual({endpoint["nodeName"] for endpoint in slice_["endpoints"]}, {"node-2"})

    def test_service_addresses_are_of_the_range_and_each_its_own(self):
        made = services.made_up(1000, ["10.0.0.1"])
        self.assertEqual(len({service.cluster_ip for service in made}), 1000)
        self.assertEqual(made[0].cluster_ip, "10.96.1.0")
        self.assertTrue(socket.inet_aton(services.cluster_ip(999_999)))


if __name__ == "__main__":
    harness.main()
