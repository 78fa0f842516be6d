"""Three forwarders on one subnet: every mode, and every switch between them while packets are counted.

    node-1 (a1 a2) --+
    node-2 (b1 b2) --+-- fabric        192.0.2.0/27, 2001:db8:0::/64
    node-3 (c1 c2) --+
"""
import harness
from harness import Capture


class Modes(harness.ClusterTest):
    NODES, PODS_PER_NODE = 3, 2

    def check_mode(self, mode):
        self.cluster.switch_mode(mode)
        capture = Capture(self.cluster.fabric, "br0", self.cluster.directory / f"{mode}.pcap")
        self.assert_all_pairs()
        a, c = self.cluster.nodes[0].pods[0], self.cluster.nodes[2].pods[0]
        for source, sink, address in ((a, c, c.ipv4), (a, c, c.ipv6)):
            self.tcp_transfer(source.command, sink.command, address, 2_000_000)
        b = self.cluster.nodes[0].pods[1]
        self.tcp_transfer(a.command, b.command, b.ipv4, 2_000_000)
        capture.stop()
        self.assertEqual(capture.bad_frames(), [], "tshark calls these malformed or wrong")
        return capture

    def test_1_overlay(self):
        capture = self.check_mode("Overlay")
        self.assertTrue(capture.tshark("vxlan.vni == 100 and ip.src == 10.244.0.0/16"))
        # The first IPv4 header of every frame with pod addresses is the node's: nothing leaves unencapsulated.
        outer = capture.tshark("ip.addr == 10.244.0.0/16", "ip.src")
        self.assertTrue(outer)
        self.assertTrue(all(line.startswith("192.0.2.") for line in outer), outer[:5])
        self.assertEqual(capture.tshark("vxlan and ip.flags.df == 0 and ip.src == 192.0.2.0/27 and not ip.src == 10.244.0.0/16"), [])

    def test_2_routed(self):
        capture = self.check_mode("Routed")
        self.assertEqual(capture.tshark("vxlan"), [], "an encapsulated frame in mode Routed")
        self.assertTrue(capture.tshark("ip.src == 10.244.0.0/16"))

    def test_3_auto_is_routed_on_one_subnet(self):
        capture = self.check_mode("Auto")
        self.assertEqual(capture.tshark("vxlan"), [])

    def test_4_switching_under_a_counted_stream_loses_nothing(self):
        source, sink = self.cluster.nodes[0].pods[0], self.cluster.nodes[2].pods[0]
        self.cluster.switch_mode("Overlay")

        def switches():
            for mode in ("Routed", "Overlay", "Routed", "Auto"):
                self.cluster.switch_mode(mode)

        counted = self.counted_stream(source, sink.command, sink.ipv4, switches)
        self.assertGreaterEqual(counted["sent"], 50000)
        self.assertEqual((counted["lost"], counted["duplicates"]), (0, 0), counted)

    def test_5_pod_mtu_follows_the_mode(self):
        pod = self.cluster.nodes[0].pods[0]
        remote = self.cluster.nodes[1].pods[0].ipv4

        def route_mtu():
            words = pod.run(["ip", "route", "get", remote]).stdout.split()
            return int(words[words.index("mtu") + 1]) if "mtu" in words else 1500

        self.cluster.switch_mode("Overlay")
        self.assertEqual(route_mtu(), 1450)
        self.cluster.switch_mode("Routed")
        self.assertEqual(route_mtu(), 1500)


if __name__ == "__main__":
    harness.main()
