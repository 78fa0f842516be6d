"""The end-to-end benchmark, as short as it goes: its object is whole, the peers ran in the same rounds, nothing is left behind.

No figure is compared with a number: speed belongs to the benchmark itself.
"""
import json
import os
import subprocess
import sys
import unittest

import harness
from harness import labs, run

sys.path.insert(0, str(labs.TOP / "tools" / "lab"))
import bench  # noqa: E402
import figures  # noqa: E402

BENCH = [sys.executable, str(labs.TOP / "tools" / "lab" / "bench.py"), "--build", harness.BUILD, "-o", "json"]


class Statistics(unittest.TestCase):
    def test_bands_are_of_the_samples(self):
        self.assertEqual(figures.quantile([3, 1, 2], 0.5), 2)
        self.assertEqual(figures.quantile([0, 10], 0.95), 9.5)
        self.assertEqual(figures.quantile([7], 0.05), 7)

    def test_a_ratio_is_the_median_of_per_round_ratios_and_above_one_is_ours(self):
        entry = figures.figure("x", "x", "us", "lower", [1, 2, 90], {}, peer=("p", [2, 1, 180]), target={"at_least": 1.5, "of": "peer"}, limits="why")
        self.assertEqual(entry["peer"]["ratio"]["median"], 2)  # of 2, 0.5, 2: not the ratio of the medians, 1
        self.assertTrue(entry["held"])
        self.assertNotIn("limits", entry)
        slow = figures.figure("x", "x", "Gb/s", "higher", [1, 1], {}, peer=("p", [2, 2]), target={"at_least": 0.7, "of": "peer"}, limits="why")
        self.assertEqual((slow["held"], slow["limits"], slow["peer"]["ratio"]["median"]), (False, "why", 0.5))
        self.assertFalse(figures.figure("x", "x", "%", "lower", [2], {}, target={"at_most": 1})["held"])

    def test_rounds_with_stolen_time_are_left_out_of_every_key_alike(self):
        rounds = figures.Rounds()
        for number in range(5):
            rounds.add(number, "ours", number)
            rounds.add(number, "theirs", 10 * number)
            rounds.note_steal(number, 0.2 if number == 3 else 0.0)
        self.assertEqual((rounds.of("ours"), rounds.of("theirs")), ([0, 1, 2, 4], [0, 10, 20, 40]))
        self.assertIn("1 of 5 rounds left out", rounds.notes("tcp")[0])
        rounds.note_steal(1, 0.5)
        rounds.note_steal(2, 0.5)
        self.assertEqual(len(rounds.of("ours")), 5)
        self.assertIn("too few", rounds.notes("tcp")[0])


class Benchmark(unittest.TestCase):
    def setUp(self):
        self.prefix = f"fl-b{os.getpid() % 1000}"

    def run_bench(self, what):
        done = subprocess.run([*BENCH, what, "--quick", "--rounds", "1", "--seconds", "1", "--prefix", self.prefix], capture_output=True, text=True, timeout=300)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertNotIn(self.prefix, run(["ip", "netns", "list"]).stdout)
        answer = json.loads(done.stdout)
        self.assertEqual((answer["schema"], answer["kind"], answer["quick"]), (1, "fairlead-bench", True))
        for key in ("cpu", "cores", "tsc_ghz", "memory_gib", "kernel", "hugepages", "mitigations", "dpdk", "compiler", "fairlead"):
            self.assertIn(key, answer["machine"])
        ids = [entry["id"] for entry in answer["figures"]]
        self.assertEqual(len(ids), len(set(ids)))
        for entry in answer["figures"]:
            self.assertGreater(entry["median"], 0, entry["id"])
            self.assertLessEqual(entry["p05"], entry["median"])
            self.assertLessEqual(entry["median"], entry["p95"])
            self.assertEqual(entry["rounds"], 1)
            self.assertIn(entry["better"], ("lower", "higher"))
            if entry.get("target", {}).get("of") == "peer":
                self.assertEqual(entry["held"], entry["peer"]["ratio"]["median"] >= entry["target"]["at_least"])
        return {entry["id"]: entry for entry in answer["figures"]}

    def test_tcp_has_every_load_over_every_system_and_its_peer(self):
        found = self.run_bench("tcp")
        metrics = {"stream": ("gbps", "cpu_per_gbps"), "rr": ("per_second", "p50_us", "p99_us"), "crr": ("per_second", "p50_us", "p99_us"), "udp64": ("mpps",)}
        for load, names in metrics.items():
            for system in ("fairlead_vxlan", "fairlead_routed", "fairlead_local", "kernel_vxlan", "kernel_routed", "kernel_local", "kernel_vxlan_gro", "kernel_routed_gro"):
                for name in names:
                    entry = found.pop(f"tcp.{load}.{system}.{name}")
                    self.assertEqual("ratio" in entry.get("peer", {}), system.startswith("fairlead"), entry)
                    if not system.endswith("local"):
                        # Frames of MTU size on the wire for everyone: 1500 and the Ethernet header at most, and no smaller ones either.
                        self.assertLessEqual(entry["parameters"]["wire_bytes_per_frame"], 1514)
                        self.assertGreater(entry["parameters"]["wire_bytes_per_frame"], 1200)
        for count in (10, 5000):
            for system in ("fairlead", "kube_proxy_nft", "kube_proxy_iptables"):
                for metric in ("crr.{}.per_second", "crr.{}.p50_us", "crr.{}.p99_us", "change.{}.ms", "load.{}.s"):
                    found.pop("service." + metric.format(f"{system}_{count}"))
        self.assertEqual({name for name in found if not name.startswith(("tcp.stream.", "service.crr."))}, set())
        self.assertIn("tcp.stream.fairlead_vxlan.of_routed", found)
        self.assertIn("tcp.stream.fairlead_routed.of_kernel_gro", found)

    def test_idle_offers_what_it_says(self):
        found = self.run_bench("idle")
        for pps in (0, 1000, 10000):
            self.assertAlmostEqual(found[f"idle.{pps}.cpu_percent"]["parameters"]["received_pps"], pps, delta=0.2 * pps)
        self.assertEqual(found["idle.0.cpu_percent"]["parameters"]["ports"], 3)
        self.assertIn("idle.100000.cpu_percent", found)
        for kind in ("wake", "wake_local"):
            for metric in ("p50_us", "p99_us"):
                self.assertIn("ratio", found[f"idle.{kind}.{metric}"]["peer"])

    def test_without_the_programs_it_says_how_to_get_them(self):
        done = subprocess.run([*BENCH[:2], "tcp", "-o", "json", "--build", "/nonexistent"], capture_output=True, text=True)
        self.assertEqual(done.returncode, 4)
        self.assertEqual(json.loads(done.stdout)["error"]["code"], "FL6010")
        self.assertIn("tools/build release", json.loads(done.stdout)["error"]["fix"])

    def test_a_second_run_does_not_clean_the_first_one_away(self):
        cluster = labs.Lab(harness.BUILD, prefix=self.prefix + "-k")  # the name of the kernel's cluster of a benchmark
        try:
            second = subprocess.run([*BENCH, "idle", "--quick", "--rounds", "1", "--prefix", self.prefix], capture_output=True, text=True, timeout=120)
            self.assertEqual(second.returncode, 1)
            self.assertIn(f"made by process {os.getpid()}", json.loads(second.stdout)["error"]["what"])
            self.assertIn(cluster.fabric, run(["ip", "netns", "list"]).stdout)
        finally:
            cluster.close()

    def test_systems_and_their_peers_are_known(self):
        self.assertLessEqual(set(bench.PEERS) | set(bench.PEERS.values()), set(bench.SYSTEMS))


if __name__ == "__main__":
    harness.main()
