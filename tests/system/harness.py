"""What every system test needs: the lab, counted streams, captures judged by tshark."""
import json
import os
import pathlib
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "tools" / "lab"))
import lab as labs  # noqa: E402
from lab import Lab, LabError, run  # noqa: E402

BUILD = os.environ.get("FAIRLEAD_BUILD", str(labs.TOP / "build" / "release"))
PREFIX = f"fl-sys-{os.getpid() % 10000}"


class ClusterTest(unittest.TestCase):
    """A test class with a cluster of its own: `NODES` nodes with two pods each, started once for the class."""

    NODES, MODE, PODS_PER_NODE, MTU = 2, "Overlay", 1, 1500
    SUBNETS = {}  # node index -> subnet

    @classmethod
    def setUpClass(cls):
        labs.handle_signals()
        cls.cluster = Lab(BUILD, prefix=PREFIX, mode=cls.MODE, mtu=cls.MTU)
        try:
            for index in range(1, cls.NODES + 1):
                cls.cluster.add_node(f"node-{index}", index, cls.SUBNETS.get(index, 0))
            cls.before_start()
            cls.cluster.start_nodes()
            for node in cls.cluster.nodes:
                for number in range(1, cls.PODS_PER_NODE + 1):
                    node.add_pod(f"{'abcdefgh'[node.index - 1]}{number}")
        except BaseException:
            cls.dump_logs()
            cls.cluster.close()
            raise

    @classmethod
    def before_start(cls):
        pass

    @classmethod
    def tearDownClass(cls):
        cls.cluster.close()

    @classmethod
    def dump_logs(cls):
        for node in cls.cluster.nodes:
            for log in sorted(node.run_dir.glob("*.log")):
                print(f"--- {node.name} {log.name}\n{log.read_text()[-2000:]}", file=sys.stderr)

    def setUp(self):
        self.addCleanup(self.logs_on_failure)

    def logs_on_failure(self):
        outcome = getattr(self._outcome, "result", None)
        failed = outcome and any(test is self for test, _ in outcome.failures + outcome.errors)
        if failed:
            self.dump_logs()

    # -- traffic --

    def assert_all_pairs(self, families=(4, 6)):
        for family in families:
            pairs, ok, failures = self.cluster.ping_matrix(family)
            self.assertEqual(ok, pairs, f"IPv{family}: no answer {failures}")

    def counted_stream(self, source, destination_command, address, during, pps=10000, count=50000):
        """A counted stream from pod `source` to `address` while during() runs; returns the sink's JSON."""
        probe = str(self.cluster.bin / "fairlead-probe")
        sink = subprocess.Popen(destination_command([probe, "sink", address, "7001", "4000"]), stdout=subprocess.PIPE, text=True)
        sink.stdout.readline()
        sender = subprocess.Popen(source.command([probe, "stream", address, "7001", str(pps), str(count)]), stdout=subprocess.PIPE, text=True)
        time.sleep(0.3)
        during()
        sent = json.loads(sender.communicate(timeout=180)[0])
        self.assertGreater(sent["pps"], 0.8 * pps, "the sender did not reach its rate")
        return json.loads(sink.communicate(timeout=60)[0])

    def tcp_transfer(self, source_command, sink_command, address, size_bytes, port=7100, timeout=60):
        """Sends random-looking bytes over TCP; returns seconds. The receiver compares a digest of what came."""
        server = subprocess.Popen(sink_command(["python3", str(pathlib.Path(__file__).parent / "transfer.py"), "sink", address, str(port)]),
                                  stdout=subprocess.PIPE, text=True)
        self.assertEqual(server.stdout.readline().strip(), "ready")
        started = time.monotonic()
        try:
            sent = run(source_command(["python3", str(pathlib.Path(__file__).parent / "transfer.py"), "send", address, str(port), str(size_bytes)]),
                       timeout=timeout).stdout.strip()
            got = server.communicate(timeout=timeout)[0].strip()
        finally:
            if server.poll() is None:
                server.kill()
        self.assertEqual(got, sent, "what arrived is not what was sent")
        return time.monotonic() - started


class Capture:
    """tcpdump on an interface of a namespace, and tshark's judgement of what it saw."""

    def __init__(self, netns, interface, path):
        self.path = path
        self.process = subprocess.Popen(["ip", "netns", "exec", netns, "tcpdump", "-U", "--immediate-mode", "-i", interface, "-w", str(path), "-s", "0", "-B", "16384"],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for line in self.process.stderr:
            if "listening" in line:
                break

    def stop(self):
        time.sleep(0.3)
        self.process.terminate()
        self.process.communicate(timeout=10)
        return self

    def tshark(self, display_filter, *fields):
        command = ["tshark", "-r", str(self.path), "-Y", display_filter, "-o", "ip.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE",
                   "-o", "tcp.check_checksum:TRUE", "-d", "udp.port==4789,vxlan"]
        if fields:
            command += ["-T", "fields"] + [part for field in fields for part in ("-e", field)]
        return [line for line in run(command, timeout=120).stdout.splitlines() if line]

    def bad_frames(self):
        """Frames that tshark calls malformed or whose checksum is wrong, outer or inner."""
        return self.tshark('_ws.malformed or ip.checksum.status == "Bad" or udp.checksum.status == "Bad" or '
                           'tcp.checksum.status == "Bad" or icmp.checksum.status == "Bad" or icmpv6.checksum.status == "Bad"')


def main():
    unittest.main(verbosity=2)
