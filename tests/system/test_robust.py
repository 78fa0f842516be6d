"""What must not hurt: an agent killed again and again, a dataplane restarted, wrong manifests, hostile pods.

    node-1 (a1) --+-- fabric --+-- node-2 (b1)
"""
import json
import socket
import struct
import time

import harness
from harness import run

RAW_SENDER = """
import socket, sys
raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
raw.bind(("eth0", 0))
for _ in range(int(sys.argv[2])):
    raw.send(bytes.fromhex(sys.argv[1]))
"""


def ipv4_udp(source, destination):
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 36, 1, 0, 64, 17, 0, socket.inet_aton(source), socket.inet_aton(destination))
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xffff) + (total >> 16)
    header = header[:10] + struct.pack("!H", ~((total & 0xffff) + (total >> 16)) & 0xffff) + header[12:]
    return header + struct.pack("!HHHH", 1, 2, 16, 0) + b"spoofed!"


class Robust(harness.ClusterTest):
    NODES = 2

    def drops(self, node):
        return {(row["stage"], row["name"]): int(row["count"]) for row in node.json("drops", "--all")["drops"]}

    def dropped(self, node, name):
        return sum(count for (_, reason), count in self.drops(node).items() if reason == name)

    def test_agent_killed_twenty_times_loses_nothing(self):
        source, sink = self.cluster.nodes[0].pods[0], self.cluster.nodes[1].pods[0]

        def kills():
            for number in range(20):
                node = self.cluster.nodes[number % 2]
                self.cluster.stop(node.agent, kill=True)
                (node.run_dir / "agent.sock").unlink(missing_ok=True)
                node.start_agent()
                time.sleep(0.05)

        counted = self.counted_stream(source, sink.command, sink.ipv4, kills, pps=10000, count=100000)
        self.assertEqual((counted["lost"], counted["duplicates"]), (0, 0), counted)
        self.assert_all_pairs()
        for node in self.cluster.nodes:
            node.cli("wait", "--timeout", "20")
            self.assertEqual(len(node.json("get", "endpoints")["items"]), 1)

    def test_spoofed_packets_are_dropped_by_name(self):
        node = self.cluster.nodes[0]
        pod = node.pods[0]
        link = json.loads(pod.run(["ip", "-j", "link", "show", "eth0"]).stdout)[0]
        own = bytes.fromhex(link["address"].replace(":", ""))
        gateway = bytes.fromhex("02464cffffff")
        remote = self.cluster.nodes[1].pods[0].ipv4
        cases = {
            "SPOOFED_SOURCE": gateway + own + b"\x08\x00" + ipv4_udp("10.244.2.99", remote),
            "SPOOFED_MAC": gateway + bytes.fromhex("02aabbccddee") + b"\x08\x00" + ipv4_udp(pod.ipv4, remote),
            "VLAN_FROM_POD": gateway + own + b"\x81\x00\x00\x05\x08\x00" + ipv4_udp(pod.ipv4, remote),
            "ARP_NOT_EXPECTED": b"\xff" * 6 + own + b"\x08\x06" + bytes(28),
            "NOT_IP_FROM_POD": gateway + own + b"\x88\xcc" + bytes(46),
        }
        for reason, frame in cases.items():
            before = self.dropped(node, reason)
            pod.run(["python3", "-c", RAW_SENDER, frame.hex(), "7"])
            time.sleep(0.1)
            self.assertEqual(self.dropped(node, reason) - before, 7, reason)
        answer = node.json("drops", "--all")
        self.assertTrue(answer["conserved"])

    def test_dataplane_restart_comes_back_with_its_state(self):
        node = self.cluster.nodes[0]
        generation = node.json("status")["dataplane"]["generation"]
        self.cluster.stop(node.agent)
        self.cluster.stop(node.dataplane, kill=True)
        (node.run_dir / "dataplane.sock").unlink(missing_ok=True)
        node.start_dataplane()
        try:
            # Without an agent: the last good state is forwarded again from disk. The status says so and that the agent is missing.
            status = node.cli("status", "-o", "json", check=False)
            self.assertEqual(status.returncode, 5)
            self.assertEqual(json.loads(status.stdout)["dataplane"]["generation"], generation)
            self.assert_all_pairs()
        finally:
            (node.run_dir / "agent.sock").unlink(missing_ok=True)
            node.start_agent()
        node.cli("wait", "--timeout", "20")
        self.assert_all_pairs()

    def test_wrong_manifests_are_refused_whole(self):
        node = self.cluster.nodes[0]
        good = self.cluster.cluster_manifest()
        before = node.json("get", "routes")
        self.cluster.write("cluster.yaml", good.replace("vni: 100", "vni: 99999999"))
        time.sleep(0.5)
        status = node.json("status")["agent"]
        self.assertIn("vni", status["lastError"])
        self.assertIn("cluster.yaml:", status["lastError"])
        self.assertEqual(node.json("get", "routes"), before)
        self.assert_all_pairs(families=(4,))
        self.cluster.write("cluster.yaml", good)
        time.sleep(0.5)
        self.assertEqual(node.json("status")["agent"].get("lastError", ""), "")

    def test_a_second_instance_is_refused_with_a_sentence(self):
        node = self.cluster.nodes[0]
        second = node.run([self.cluster.bin / "fairlead-dataplane", "--uplink", "u0", "--run-dir", node.run_dir, "--state-dir", node.state_dir],
                          check=False, timeout=30)
        self.assertNotEqual(second.returncode, 0)
        self.assertRegex(second.stdout + second.stderr, r"error\[FL\d{4}\]")

    def test_cni_del_works_without_the_agent(self):
        node = self.cluster.nodes[0]
        pod = node.add_pod("gone")
        self.cluster.stop(node.agent)
        done, _ = pod.cni("DEL")
        self.assertEqual(done.returncode, 0)
        (node.run_dir / "agent.sock").unlink(missing_ok=True)
        node.start_agent()
        node.cli("wait", "--timeout", "20")
        node.pods.remove(pod)
        deadline = time.monotonic() + 5
        while len(node.json("get", "endpoints")["items"]) != 1 and time.monotonic() < deadline:
            time.sleep(0.1)
        self.assertEqual(len(node.json("get", "endpoints")["items"]), 1)


class LookAround(harness.ClusterTest):
    """The CLI on a running node: what it says is what happens."""

    NODES = 2

    def test_trace_names_steps_node_and_header(self):
        node = self.cluster.nodes[0]
        pod, remote = node.pods[0], self.cluster.nodes[1].pods[0]
        text = node.cli("trace", "--from", f"pod/{pod.name}", "--to", remote.ipv4).stdout
        for word in ("source_check", "policy", "route", "commit", "apply", "node-2", "vni 100"):
            self.assertIn(word, text)
        answer = node.json("trace", "--from", f"pod/{pod.name}", "--to", remote.ipv4)
        self.assertEqual(answer["verdict"], "forward")

    def test_flows_show_a_live_connection(self):
        node = self.cluster.nodes[0]
        pod, remote = node.pods[0], self.cluster.nodes[1].pods[0]
        self.tcp_transfer(pod.command, remote.command, remote.ipv4, 100_000)
        flows = node.json("get", "flows")["items"]
        self.assertTrue(any(flow["source"] == pod.ipv4 and flow["destination"] == remote.ipv4 for flow in flows), flows)

    def test_capture_writes_pcapng_that_tshark_reads(self):
        node = self.cluster.nodes[0]
        pod, remote = node.pods[0], self.cluster.nodes[1].pods[0]
        path = self.cluster.directory / "capture.pcapng"
        capture = self.cluster.start(node.command([self.cluster.bin / "fairlead", "capture", "--filter", "icmp or udp", "-c", "4", "-w", path,
                                                   "--run-dir", node.run_dir]))
        time.sleep(0.5)
        pod.run(["ping", "-n", "-c", "4", "-i", "0.2", remote.ipv4])
        capture.wait(15)
        lines = run(["tshark", "-r", str(path), "-d", "udp.port==4789,vxlan"]).stdout.splitlines()
        self.assertGreaterEqual(len(lines), 4)

    def test_usage_errors(self):
        node = self.cluster.nodes[0]
        self.assertEqual(node.cli("statsu", check=False).returncode, 2)
        self.assertIn("status", node.cli("statsu", check=False).stderr)
        self.assertEqual(node.cli("wait", "--for-generation", "99999999", "--timeout", "1", check=False).returncode, 6)


if __name__ == "__main__":
    harness.main()
