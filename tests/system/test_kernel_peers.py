"""A node that is nothing but a kernel, set up by hand with iproute2, as the peer of a Fairlead node.

    node-1 (Fairlead, pod a1) --+-- fabric --+-- kern (kernel VXLAN device or plain routes) --- p0/eth0 pod k
"""
import harness
import lab as labs
from harness import run


class KernelPeer(harness.ClusterTest):
    NODES = 1
    POD4, POD6 = "10.244.9.2", "fd00:10:244:9::2"

    @classmethod
    def before_start(cls):
        node = cls.kernel = cls.cluster.add_kernel_node("kern", 9)
        cls.pod = f"{cls.cluster.prefix}-kpod"
        cls.cluster.add_netns(cls.pod)
        node.ip("link", "add", "p0", "type", "veth", "peer", "name", "eth0", "netns", cls.pod)
        node.ip("link", "set", "p0", "up")
        node.ip("addr", "add", "10.244.9.1/24", "dev", "p0")
        node.ip("addr", "add", "fd00:10:244:9::1/64", "dev", "p0", "nodad")
        for arguments in (["link", "set", "lo", "up"], ["link", "set", "eth0", "up"], ["addr", "add", f"{cls.POD4}/24", "dev", "eth0"],
                          ["addr", "add", f"{cls.POD6}/64", "dev", "eth0", "nodad"],
                          ["route", "add", "default", "via", "10.244.9.1"], ["route", "add", "default", "via", "fd00:10:244:9::1"]):
            run(["ip", "-n", cls.pod, *arguments])
        cls.kernel_routes()
        addresses = f"    - {{type: InternalIP, address: \"{node.ipv4}\"}}\n    - {{type: InternalIP, address: \"{node.ipv6}\"}}"
        cls.cluster.write("kern.yaml", labs.node_manifest("kern", ["10.244.9.0/24", "fd00:10:244:9::/64"], addresses))

    @classmethod
    def in_kernel_pod(cls, command):
        return ["ip", "netns", "exec", cls.pod, *[str(part) for part in command]]

    def check_both_ways(self):
        a = self.cluster.nodes[0].pods[0]
        for family, mine, theirs in ((4, a.ipv4, self.POD4), (6, a.ipv6, self.POD6)):
            run(a.command(["ping", f"-{family}", "-n", "-c", "2", "-W", "3", theirs]))
            run(self.in_kernel_pod(["ping", f"-{family}", "-n", "-c", "2", "-W", "3", mine]))
            self.tcp_transfer(a.command, self.in_kernel_pod, theirs, 3_000_000)
            self.tcp_transfer(self.in_kernel_pod, a.command, mine, 3_000_000)


class KernelVxlan(KernelPeer):
    MODE = "Overlay"

    @classmethod
    def kernel_routes(cls):
        node, ours = cls.kernel, cls.cluster.nodes[0]
        # The address that Fairlead expects of a VTEP: 02:46 and the last four bytes of 192.0.2.9.
        node.ip("link", "add", "vx0", "address", "02:46:c0:00:02:09", "type", "vxlan", "id", "100", "dstport", "4789", "local", node.ipv4,
                "remote", ours.ipv4, "dev", "u0")
        node.ip("link", "set", "vx0", "mtu", "1450", "up")
        octets = [int(part) for part in ours.ipv4.split(".")]
        peer_mac = "02:46:" + ":".join(f"{octet:02x}" for octet in octets)
        node.ip("route", "add", ours.pod_cidrs[0], "via", "169.254.77.1", "dev", "vx0", "onlink")
        node.ip("neigh", "add", "169.254.77.1", "lladdr", peer_mac, "dev", "vx0", "nud", "permanent")
        node.ip("-6", "route", "add", ours.pod_cidrs[1], "via", "fe80::77", "dev", "vx0", "onlink")
        node.ip("-6", "neigh", "add", "fe80::77", "lladdr", peer_mac, "dev", "vx0", "nud", "permanent")

    def test_ping_and_tcp_both_ways_ipv4_and_ipv6(self):
        self.check_both_ways()

    def test_a_wrong_vni_is_dropped_by_name(self):
        node = self.kernel
        before = self.drops().get("WRONG_VNI", 0)
        node.ip("link", "add", "vx1", "address", "02:46:c0:00:02:09", "type", "vxlan", "id", "101", "dstport", "4789", "local", node.ipv4,
                "remote", self.cluster.nodes[0].ipv4, "dev", "u0")
        # Or its neighbour discovery and multicast reports would be counted, too.
        run(node.command(["sysctl", "-qw", "net.ipv6.conf.vx1.disable_ipv6=1"]))
        node.ip("link", "set", "vx1", "up")
        node.ip("route", "add", "10.244.1.250/32", "via", "169.254.78.1", "dev", "vx1", "onlink")
        node.ip("neigh", "add", "169.254.78.1", "lladdr", "02:46:c0:00:02:01", "dev", "vx1", "nud", "permanent")
        run(self.in_kernel_pod(["ping", "-n", "-c", "3", "-i", "0.2", "-W", "1", "10.244.1.250"]), check=False)
        self.assertEqual(self.drops().get("WRONG_VNI", 0) - before, 3)
        node.ip("link", "del", "vx1")

    def drops(self):
        return {row["name"]: int(row["count"]) for row in self.cluster.nodes[0].json("drops", "--all")["drops"] if row["stage"] == "forwarder"}


class KernelRouted(KernelPeer):
    MODE = "Routed"

    @classmethod
    def kernel_routes(cls):
        node, ours = cls.kernel, cls.cluster.nodes[0]
        node.ip("route", "add", ours.pod_cidrs[0], "via", ours.ipv4)
        node.ip("-6", "route", "add", ours.pod_cidrs[1], "via", ours.ipv6)

    def test_ping_and_tcp_both_ways_ipv4_and_ipv6(self):
        self.check_both_ways()

    def test_the_peer_node_itself_and_our_node_answer_pods(self):
        a = self.cluster.nodes[0].pods[0]
        run(a.command(["ping", "-n", "-c", "2", "-W", "3", self.kernel.ipv4]))
        run(a.command(["ping", "-n", "-c", "2", "-W", "3", self.cluster.nodes[0].ipv4]))

    def test_the_nodes_own_processes_reach_pods(self):
        node = self.cluster.nodes[0]
        node.run(["ping", "-n", "-c", "2", "-W", "3", node.pods[0].ipv4])
        node.run(["ping", "-n", "-c", "2", "-W", "3", self.POD4])
        node.run(["ping", "-6", "-n", "-c", "2", "-W", "3", node.pods[0].ipv6])

    def test_the_node_stays_reachable_itself(self):
        run(self.kernel.command(["ping", "-n", "-c", "2", "-W", "3", self.cluster.nodes[0].ipv4]))


del KernelPeer  # the base class has no tests of its own

if __name__ == "__main__":
    harness.main()
