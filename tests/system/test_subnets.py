"""Nodes in different subnets: Auto encapsulates between them and routes within; and a bottleneck on the way.

    node-1 (a1) --+-- br0 --- router --- br1 --+-- node-2 (b1)
    node-3 (c1) --+          (fabric)
"""
import harness
from harness import Capture, run


class Subnets(harness.ClusterTest):
    NODES, MODE, SUBNETS = 3, "Auto", {2: 1}

    def test_1_auto_chooses_per_peer(self):
        capture = Capture(self.cluster.fabric, "br0", self.cluster.directory / "auto.pcap")
        self.assert_all_pairs()
        capture.stop()
        a, b, c = (node.pods[0] for node in self.cluster.nodes)
        self.assertTrue(capture.tshark(f"vxlan and ip.src == {a.ipv4} and ip.dst == {b.ipv4}"), "other subnet: encapsulated")
        self.assertEqual(capture.tshark(f"vxlan and ip.addr == {a.ipv4} and ip.addr == {c.ipv4}"), [], "same subnet: routed")
        self.assertEqual(capture.bad_frames(), [])

    def test_2_path_mtu_routed_through_a_narrow_link(self):
        # The router knows the pod ranges, its link towards node-2 carries 1,300 bytes only: its ICMP errors must reach the pods.
        a, b = self.cluster.nodes[0], self.cluster.nodes[1]
        fabric = self.cluster.fabric
        for node in (a, b):
            run(["ip", "-n", fabric, "route", "replace", node.pod_cidrs[0], "via", node.ipv4])
            run(["ip", "-n", fabric, "route", "replace", node.pod_cidrs[1], "via", node.ipv6])
            run(["ip", "-n", node.netns, "route", "replace", "default", "via", "192.0.2.30" if node is a else "192.0.2.62"])
        self.cluster.switch_mode("Routed")
        try:
            run(["ip", "-n", fabric, "link", "set", "br1", "mtu", "1300"])
            for address in (b.pods[0].ipv4, b.pods[0].ipv6):
                self.tcp_transfer(a.pods[0].command, b.pods[0].command, address, 10_000_000)
        finally:
            run(["ip", "-n", fabric, "link", "set", "br1", "mtu", "1500"])
            self.cluster.switch_mode("Auto")

    def test_3_path_mtu_of_the_tunnel(self):
        # The router's errors are about the outer packet and go to the node: the forwarder must learn from them and tell the pods.
        a, b = self.cluster.nodes[0], self.cluster.nodes[1]
        fabric = self.cluster.fabric
        self.cluster.switch_mode("Overlay")
        try:
            # An IPv6 pod needs 1,280 bytes (RFC 8200 section 5), which a VTEP over IPv4 makes 1,330.
            for mtu, addresses in ((1340, (b.pods[0].ipv4, b.pods[0].ipv6)), (1300, (b.pods[0].ipv4,))):
                run(["ip", "-n", fabric, "link", "set", "br1", "mtu", str(mtu)])
                for address in addresses:
                    self.tcp_transfer(a.pods[0].command, b.pods[0].command, address, 10_000_000)
        finally:
            run(["ip", "-n", fabric, "link", "set", "br1", "mtu", "1500"])
            self.cluster.switch_mode("Auto")


if __name__ == "__main__":
    harness.main()
