"""Traffic between two ends of a laboratory, and what it cost: shared by the demonstration and the benchmark.

An end is anything with command(list) -> list, the command as it runs there: a pod, a kernel's pod, a node.
"""
import json
import os
import pathlib
import re
import subprocess

import lab as labs
from lab import LabError, run

IPERF_PORT, LOAD_PORT = 5201, 7100


def start_iperf(lab, end, once=False, port=IPERF_PORT):
    """Starts `iperf3 -s` at an end and returns the process when it listens. Other output than that is not wanted: it may fill the pipe."""
    process = lab.start(end.command(["iperf3", "-s", *(["-1"] if once else []), "-p", str(port), "--forceflush"]),
                        stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    for line in process.stdout:
        if "listening" in line:
            break
    else:
        raise LabError(f"iperf3 -s ended with {process.wait()}")
    return process


def stream(end, address, seconds, port=IPERF_PORT):
    """One TCP stream towards a started iperf3: {"gbps", "gigabits", "retransmits"} as the receiver counted it."""
    done = run(end.command(["iperf3", "-c", address, "-p", str(port), "-t", str(seconds), "-J"]), check=False, timeout=seconds + 30)
    try:
        answer = json.loads(done.stdout)
    except json.JSONDecodeError as error:
        raise LabError(f"iperf3 to {address}: {done.stdout[-300:]}{done.stderr[-300:]}") from error
    if "error" in answer:
        raise LabError(f"iperf3 to {address}: {answer['error']}")
    received = answer["end"]["sum_received"]
    return {"gbps": received["bits_per_second"] / 1e9, "gigabits": received["bytes"] * 8 / 1e9,
            "retransmits": answer["end"]["sum_sent"].get("retransmits", 0)}


def stream_gbps(lab, server, client, address, seconds):
    """A server of its own and one stream: Gb/s."""
    listening = start_iperf(lab, server, once=True)
    try:
        return stream(client, address, seconds)["gbps"]
    finally:
        lab.stop(listening)


def prepare_tcp(end):
    """TCP without memory of the slice before, and ports enough for connections that come one after the other."""
    for setting in ("net.ipv4.tcp_no_metrics_save=1", "net.ipv4.tcp_tw_reuse=1", "net.ipv4.ip_local_port_range=10000 65535"):
        run(end.command(["sysctl", "-qw", setting]))


def start_load(lab, end, address="0.0.0.0", port=LOAD_PORT, name="-"):
    """Starts the other end of every `load` at an end; `name` is what it calls itself."""
    process = lab.start(end.command([str(lab.bin / "fairlead-load"), "serve", address, str(port), name]), stdout=subprocess.PIPE)
    if process.stdout.readline().strip() != "ready":
        raise LabError(f"fairlead-load serve ended with {process.wait()}")
    return process


def load(lab, end, verb, address, *arguments, port=LOAD_PORT):
    """Runs fairlead-load VERB at an end and returns what it printed."""
    done = run(end.command([str(lab.bin / "fairlead-load"), verb, address, str(port), *[str(a) for a in arguments]]), timeout=120)
    return json.loads(done.stdout)


def round_trip(lab, source, destination, address, count=2000):
    """Echo round trips of small datagrams: {"p50_us", "p90_us", "p99_us", ...}."""
    echo = lab.start(destination.command([str(lab.bin / "fairlead-probe"), "echo", address, "7007"]), stdout=subprocess.PIPE)
    try:
        echo.stdout.readline()
        return json.loads(run(source.command([str(lab.bin / "fairlead-probe"), "rr", address, "7007", str(count)]), check=False).stdout)
    finally:
        lab.stop(echo)


class CpuWatch:
    """What the whole machine used between start and stop(): seconds of busy cores (user, nice, system, irq, softirq) and the share stolen.

    The kernel samples these at its tick, so a second is known to a few percent; medians over rounds are what counts.
    """

    def __init__(self):
        self.before = self.read()

    @staticmethod
    def read():
        fields = [int(field) for field in pathlib.Path("/proc/stat").read_text().splitlines()[0].split()[1:9]]
        user, nice, system, idle, iowait, irq, softirq, steal = fields
        return user + nice + system + irq + softirq, steal, sum(fields)

    def stop(self):
        """(busy seconds of all cores, stolen share 0..1)"""
        busy, steal, total = (now - before for now, before in zip(self.read(), self.before))
        return busy / os.sysconf("SC_CLK_TCK"), steal / total if total else 0.0


def process_cpu_ns(pid):
    """Time on a core of all threads of a process, softirqs taken in their context included."""
    total = 0
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        total += int((task / "schedstat").read_text().split()[0])
    return total


def wire_counters(netns, device):
    """(frames, bytes) that a device handed over, as its other end received them."""
    answer = json.loads(run(["ip", "-n", netns, "-j", "-s", "link", "show", device]).stdout)[0]["stats64"]["rx"]
    return answer["packets"], answer["bytes"]


def path_mtu(end, address):
    """The MTU of the route an end has to an address; 0 when the route names none."""
    found = re.search(r"mtu (\d+)", run(end.command(["ip", "route", "get", address])).stdout)
    return int(found.group(1)) if found else 0
