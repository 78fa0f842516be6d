"""The demonstration itself: what its JSON promises, and that it leaves nothing behind, also after Ctrl-C."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import time
import unittest

import harness
from harness import run

DEMO = [sys.executable, str(harness.labs.TOP / "tools" / "lab" / "demo.py"), "--build", harness.BUILD]


def footprint(prefix):
    """Everything that a lab of this name could leave behind on this machine; the rest of the machine may live on meanwhile."""
    names = {line.split()[0] for line in run(["ip", "netns", "list"]).stdout.splitlines() if line.startswith(prefix)}
    links = {line.split(":")[1].strip().split("@")[0] for line in run(["ip", "-o", "link"]).stdout.splitlines()}
    mounts = {line.split()[1] for line in pathlib.Path("/proc/mounts").read_text().splitlines() if prefix in line or "bpf" in line}
    processes = {line for line in run(["ps", "-eo", "args"]).stdout.splitlines() if f"/{prefix}-" in line and "demo.py" not in line}
    huge = next(line for line in pathlib.Path("/proc/meminfo").read_text().splitlines() if line.startswith("HugePages_Total"))
    directories = {path.name for path in pathlib.Path("/tmp").glob(f"{prefix}-*")} | {path.name for path in pathlib.Path("/run").glob(f"fairlead-lab/{prefix}*")}
    return names, links, mounts, processes, huge, directories


class Demo(unittest.TestCase):
    def test_json_holds_what_it_promises_and_nothing_is_left(self):
        prefix = f"fl-d{os.getpid() % 1000}"
        before = footprint(prefix)
        done = subprocess.run([*DEMO, "-o", "json", "--seconds", "1", "--prefix", prefix], capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        answer = json.loads(done.stdout)
        self.assertEqual((answer["nodes"], answer["pods"]), (3, 6))
        for mode in ("overlay", "routed"):
            self.assertEqual((answer[mode]["pairs"], answer[mode]["ok"]), (30, 30))
        self.assertEqual(answer["switch"]["lost"], 0)
        self.assertGreaterEqual(answer["switch"]["sent"], 50000)
        self.assertGreaterEqual(answer["switch"]["pps"], 10000)
        shown = answer["services"]
        self.assertEqual(sum(shown["connections"]["answers"].values()), 1000)
        self.assertEqual(len(shown["connections"]["answers"]), 3)
        self.assertLessEqual(shown["connections"]["furthest_from_even"], 0.10)
        self.assertEqual(shown["removed"]["broken_of_others"], 0)
        for way in ("node_port", "host"):
            self.assertEqual(shown[way], {"asked": 60, "answered": 60})
        self.assertEqual(set(answer["tcp_gbps"]), {"overlay", "routed", "kernel_vxlan", "kernel_routed"})
        self.assertIn("p99", answer["cni_add_ms"])
        self.assertEqual(footprint(prefix), before)

    def test_interrupted_it_leaves_nothing(self):
        prefix = f"fl-i{os.getpid() % 1000}"
        before = footprint(prefix)
        demo = subprocess.Popen([*DEMO, "--no-bench", "--prefix", prefix], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        for line in demo.stdout:
            if line.startswith("[pods]"):
                break
        demo.send_signal(signal.SIGINT)
        demo.communicate(timeout=60)
        self.assertEqual(demo.returncode, 130)
        time.sleep(0.5)
        self.assertEqual(footprint(prefix), before)


if __name__ == "__main__":
    harness.main()
