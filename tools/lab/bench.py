"""The end-to-end benchmark behind `fairlead bench tcp` and `fairlead bench idle`: pods, real processes, the kernel beside them.

tcp   One interleaved run over Fairlead's overlay, its routed mode and its node-local path, and the kernel's VXLAN device, routing
      and veth-to-veth path: every round gives each of them one slice of every load, so that a drifting machine drifts for all.
      Frames of MTU size on the wire for everyone; the kernel's receiver once without GRO and once with it.
service  The same for connections through a ClusterIP, kube-proxy's rule sets beside Fairlead (bench_services.py); part of tcp.
idle  What a dataplane with three ports costs at 0 to 100 k packets a second offered, and how long a single packet takes after
      silence, beside the kernel's.

All clusters are up side by side before the first slice. Prints one object (-o json) or a line per figure. Exit codes: 0 ok,
1 failed, 2 usage, 4 preflight failed, 130 interrupted.
"""
import argparse
import contextlib
import json
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import baseline  # noqa: E402
import lab as labs  # noqa: E402
import traffic  # noqa: E402
import bench_services  # noqa: E402
from figures import Progress, Result, Rounds, figure, ratios  # noqa: E402
from lab import run  # noqa: E402

SYSTEMS = {
    "fairlead_vxlan": "Fairlead VXLAN", "kernel_vxlan": "kernel VXLAN", "kernel_vxlan_gro": "kernel VXLAN, GRO",
    "fairlead_routed": "Fairlead routed", "kernel_routed": "kernel routed", "kernel_routed_gro": "kernel routed, GRO",
    "fairlead_local": "Fairlead, one node", "kernel_local": "kernel veth to veth, one node",
}
PEERS = {"fairlead_vxlan": "kernel_vxlan", "fairlead_routed": "kernel_routed", "fairlead_local": "kernel_local"}
OFFERED_PPS = (0, 1_000, 10_000, 100_000)
WAKE_GAP_US = 10_000

# What the project wants of itself with kernel-socket pods and the DPDK engine, as a share of the peer, and what stands in the way.
STREAM_TARGET = {"at_least": 0.7, "of": "peer"}
STREAM_LIMITS = "two more copies of every byte than the kernel's path (the TAP trunk and AF_XDP in copy mode), and both nodes, pods and load share the machine's cores"
LATENCY_TARGET = {"at_least": 0.667, "of": "peer"}
LATENCY_LIMITS = "two processes more are woken on the way, on cores that pods, load and two dataplanes share"


class Path:
    """A way from a client to a server: one of SYSTEMS."""

    def __init__(self, name, lab, client, server):
        self.name, self.lab, self.client, self.server, self.address = name, lab, client, server, server.ipv4

    def prepare(self):
        """Servers at one end, the other end's neighbours known, TCP without memory of the slice before."""
        for pod in (self.client, self.server):
            traffic.prepare_tcp(pod)
        traffic.start_iperf(self.lab, self.server)
        traffic.start_load(self.lab, self.server)
        run(self.client.command(["ping", "-n", "-c", "3", "-i", "0.05", "-W", "2", self.address]))


class Clusters:
    """Fairlead's clusters and the kernel's, side by side, each with a fabric of its own."""

    def __init__(self, options, modes):
        self.stack = contextlib.ExitStack()
        self.paths, self.dataplanes, self.ports, self.notes = {}, [], 0, []
        try:
            for mode in modes:
                self.add_fairlead(options, mode)
            self.add_kernel(options, modes)
            for path in self.paths.values():
                path.prepare()
        except BaseException:
            self.close()
            raise

    def close(self):
        self.stack.close()

    def lab(self, options, letter, **more):
        lab = labs.Lab(options.build, prefix=f"{options.prefix}-{letter}", **more)
        self.stack.callback(lab.close)
        return lab

    def add_fairlead(self, options, mode):
        cluster = self.lab(options, mode[0], mode="Overlay" if mode == "vxlan" else "Routed")
        nodes = [cluster.add_node(f"node-{index}", index) for index in (1, 2)]
        cluster.start_nodes()
        client, neighbour = nodes[0].add_pod("a1"), nodes[0].add_pod("a2")
        self.add(f"fairlead_{mode}", cluster, client, nodes[1].add_pod("b1"))
        status = nodes[0].json("status")["dataplane"]
        self.notes += status.get("notes", [])
        if mode == "routed":
            self.add("fairlead_local", cluster, client, neighbour)
            self.dataplanes = [node.dataplane.pid for node in nodes]
            self.ports = len(nodes[0].json("get", "ports")["items"])

    def add_kernel(self, options, modes):
        cluster = self.lab(options, "k")
        base = 2
        for mode in modes:
            for gro in (False, True):
                pair = baseline.KernelPair(cluster, mode, base, gro)
                self.add(f"kernel_{mode}{'_gro' if gro else ''}", cluster, *pair.pods)
                base += 2
        if "routed" in modes:
            self.add("kernel_local", cluster, *baseline.KernelHost(cluster, base).pods)

    def add(self, name, lab, client, server):
        self.paths[name] = Path(name, lab, client, server)


# ---- tcp ---------------------------------------------------------------------------------------------------------------

def stream_slice(path, seconds):
    watch = traffic.CpuWatch()
    answer = traffic.stream(path.client, path.address, seconds)
    busy_s, steal = watch.stop()
    return {"gbps": answer["gbps"], "cpu_per_gbps": 100 * busy_s / answer["gigabits"]}, steal


def transactions_slice(verb):
    def slice_of(path, seconds):
        watch = traffic.CpuWatch()
        answer = traffic.load(path.lab, path.client, verb, path.address, seconds)
        return {"per_second": answer["per_second"], "p50_us": answer["p50_us"], "p99_us": answer["p99_us"]}, watch.stop()[1]
    return slice_of


def flood_slice(path, seconds):
    watch = traffic.CpuWatch()
    answer = traffic.load(path.lab, path.client, "flood", path.address, seconds)
    return {"mpps": answer["received_pps"] / 1e6}, watch.stop()[1]


# load: (title, slice, metric -> (unit, better, title, target, limits))
TRANSACTIONS = {"per_second": ("1/s", "higher", "transactions", None, None),
                "p50_us": ("us", "lower", "p50", LATENCY_TARGET, LATENCY_LIMITS), "p99_us": ("us", "lower", "p99", LATENCY_TARGET, LATENCY_LIMITS)}
LOADS = {
    "stream": ("TCP stream", stream_slice, {
        "gbps": ("Gb/s", "higher", "goodput", STREAM_TARGET, STREAM_LIMITS),
        "cpu_per_gbps": ("% of a core per Gb/s", "lower", "CPU of the whole machine", None, None)}),
    "rr": ("TCP request/response", transactions_slice("rr"), TRANSACTIONS),
    "crr": ("TCP connect/request/response/close", transactions_slice("crr"), TRANSACTIONS),
    "udp64": ("UDP, 64 B frames, sent as fast as they go", flood_slice, {"mpps": ("Mpps", "higher", "received", None, None)}),
}


def watch_wire(path, slice_of, *arguments):
    """A slice, and the bytes per frame that the fabric received from the sender's uplink meanwhile: proof of MTU-sized frames."""
    port = f"p{path.client.node.index}"
    before = traffic.wire_counters(path.lab.fabric, port)
    answer = slice_of(path, *arguments)
    frames, size = (after - b for after, b in zip(traffic.wire_counters(path.lab.fabric, port), before))
    per_frame = round(size / frames) if frames else 0
    if per_frame > path.lab.mtu + 14:
        raise labs.LabError(f"{path.name}: frames of {per_frame} bytes on the wire, more than its MTU: the comparison would not be fair")
    return answer, per_frame


def slice_seconds(options, load):
    return options.seconds if load == "stream" else options.seconds / 3


def bench_tcp(options, result):
    clusters = Clusters(options, ("vxlan", "routed"))
    try:
        progress = Progress(options.rounds * len(LOADS) * len(SYSTEMS))
        wire, samples = {}, Rounds()
        for number in range(options.rounds):
            for load, (_, slice_of, _) in LOADS.items():
                first = number % len(SYSTEMS)  # rotated, so that nobody always follows the same neighbour
                for name in [*SYSTEMS][first:] + [*SYSTEMS][:first]:
                    progress.step(f"round {number + 1}/{options.rounds}: {load} {SYSTEMS[name]}")
                    path, seconds = clusters.paths[name], slice_seconds(options, load)
                    if load == "stream" and number == 0 and not name.endswith("_local"):
                        (values, steal), wire[name] = watch_wire(path, slice_of, seconds)
                    else:
                        values, steal = slice_of(path, seconds)
                    samples.note_steal(number, steal)
                    for metric, value in values.items():
                        samples.add(number, (load, name, metric), value)
        progress.end()
        mtu = {name: traffic.path_mtu(path.client, path.address) or path.lab.mtu for name, path in clusters.paths.items()}
        tcp_figures(result, samples, options, wire, mtu)
        result.notes += clusters.notes + samples.notes("tcp")
    finally:
        clusters.close()


def tcp_figures(result, samples, options, wire, mtu):
    for load, (load_title, _, metrics) in LOADS.items():
        for name, system in SYSTEMS.items():
            for metric, (unit, better, title, target, limits) in metrics.items():
                parameters = {"system": system, "slice_s": round(slice_seconds(options, load), 2), "pod_mtu": mtu[name]}
                if name in wire:
                    parameters["wire_bytes_per_frame"] = wire[name]
                peer = PEERS.get(name)
                result.figures.append(figure(
                    f"tcp.{load}.{name}.{metric}", f"{load_title}, {system}, {title}", unit, better, samples.of((load, name, metric)), parameters,
                    peer=(SYSTEMS[peer], samples.of((load, peer, metric))) if peer else None, target=target if peer else None, limits=limits))
    gbps = {name: samples.of(("stream", name, "gbps")) for name in SYSTEMS}
    for kind in ("vxlan", "routed"):
        result.figures.append(figure(f"tcp.stream.fairlead_{kind}.of_kernel_gro", f"TCP stream, {SYSTEMS['fairlead_' + kind]} against the kernel with GRO at its receiver",
                                     "ratio", "higher", ratios(gbps[f"fairlead_{kind}"], gbps[f"kernel_{kind}_gro"], "higher"), {}))
    for owner, target in (("fairlead", {"at_least": 0.96}), ("kernel", None)):
        result.figures.append(figure(f"tcp.stream.{owner}_vxlan.of_routed", f"TCP stream, overlay against routed, {owner.capitalize()} (0.965 is what the headers leave)",
                                     "ratio", "higher", ratios(gbps[f"{owner}_vxlan"], gbps[f"{owner}_routed"], "higher"), {}, target=target))


# ---- idle --------------------------------------------------------------------------------------------------------------

def bench_idle(options, result):
    clusters = Clusters(options, ("routed",))
    try:
        wake_of = {"wake": ("fairlead_routed", "kernel_routed"), "wake_local": ("fairlead_local", "kernel_local")}
        progress = Progress(options.rounds * (len(OFFERED_PPS) + 2 * len(wake_of)))
        samples, received = Rounds(), Rounds()
        for number in range(options.rounds):
            for pps in OFFERED_PPS:
                progress.step(f"round {number + 1}/{options.rounds}: {pps:,} packets/s")
                cpu, arrived, steal = cpu_while_offered(clusters, pps, options.seconds)
                samples.add(number, ("cpu", pps), cpu)
                received.add(number, pps, arrived)
                samples.note_steal(number, steal)
            for kind, pair in wake_of.items():
                for name in pair:
                    progress.step(f"round {number + 1}/{options.rounds}: single packets, {SYSTEMS[name]}")
                    path = clusters.paths[name]
                    answer = traffic.load(path.lab, path.client, "wake", path.address, options.wakes, WAKE_GAP_US)
                    for metric in ("p50_us", "p99_us"):
                        samples.add(number, (kind, name, metric), answer[metric])
        progress.end()
        idle_figures(result, samples, received, options, clusters.ports, wake_of)
        result.notes += clusters.notes + samples.notes("idle")
    finally:
        clusters.close()


def cpu_while_offered(clusters, pps, seconds):
    """(CPU of a dataplane in % of a core, mean of the sending and the receiving node's; packets/s that arrived; stolen share)."""
    path = clusters.paths["fairlead_routed"]
    watch, started = traffic.CpuWatch(), time.monotonic()
    before = sum(traffic.process_cpu_ns(pid) for pid in clusters.dataplanes)
    arrived = 0.0
    if pps == 0:
        time.sleep(seconds)
    else:
        arrived = traffic.load(path.lab, path.client, "pace", path.address, seconds, pps)["received_pps"]
    used_ns = sum(traffic.process_cpu_ns(pid) for pid in clusters.dataplanes) - before
    return used_ns / 1e9 / (time.monotonic() - started) / len(clusters.dataplanes) * 100, arrived, watch.stop()[1]


def idle_figures(result, samples, received, options, ports, wake_of):
    for pps in OFFERED_PPS:
        arrived = sorted(received.of(pps))[len(received.of(pps)) // 2]
        result.figures.append(figure(
            f"idle.{pps}.cpu_percent", f"a dataplane with {ports} ports, {pps:,} packets/s offered", "% of a core", "lower", samples.of(("cpu", pps)),
            {"ports": ports, "offered_pps": pps, "received_pps": round(arrived), "slice_s": options.seconds}, target={"at_most": 1.0} if pps == 0 else None))
    for kind, (ours, theirs) in wake_of.items():
        for metric in ("p50_us", "p99_us"):
            where = "across nodes" if kind == "wake" else "on one node"
            result.figures.append(figure(
                f"idle.{kind}.{metric}", f"a single packet after {WAKE_GAP_US // 1000} ms of silence, {where}, one way, {metric[:3]}", "us", "lower",
                samples.of((kind, ours, metric)), {"packets_per_round": options.wakes, "gap_us": WAKE_GAP_US}, peer=(SYSTEMS[theirs], samples.of((kind, theirs, metric))),
                target={"at_most": 60} if metric == "p99_us" else None,
                limits="every sleeping process on the way is woken by the scheduler: two dataplanes across nodes, one on one node, and the receiver itself"))


# ---- the program -------------------------------------------------------------------------------------------------------

def parse(arguments):
    parser = argparse.ArgumentParser(prog="tools/lab/bench.py", description="TCP, UDP and idle figures of pods in namespaces, Fairlead beside the kernel.")
    parser.add_argument("what", choices=["tcp", "service", "idle", "all"], nargs="?", default="all")
    parser.add_argument("--quick", action="store_true", help="shorter slices, fewer rounds: tcp about 2 minutes, idle one")
    parser.add_argument("--rounds", type=int, metavar="N", help="interleaved rounds (20, quick 5)")
    parser.add_argument("--seconds", type=int, metavar="S", help="length of a slice of the stream (2, quick 1); the other loads take a third of it")
    parser.add_argument("--services", metavar="N,...", help="numbers of Services beside the one that is addressed (10,30000; quick 10,5000)")
    parser.add_argument("-o", dest="output", choices=["text", "json"], default="text")
    parser.add_argument("--build", default=str(labs.TOP / "build" / "release"), help="the build tree whose programs run (build/release)")
    parser.add_argument("--prefix", default="fl-bench", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.rounds = options.rounds or (5 if options.quick else 20)
    options.seconds = options.seconds or (1 if options.quick else 2)
    options.wakes = 100
    try:
        options.services = [int(count) for count in (options.services or ("10,5000" if options.quick else "10,30000")).split(",")]
    except ValueError:
        parser.error("--services wants numbers with commas between")
    if min(options.services) < 2 or len(set(options.services)) < len(options.services):
        parser.error("--services are different numbers of at least 2")
    if options.rounds < 1 or options.seconds <= 0:
        parser.error("--rounds and --seconds are positive")
    return options


def fail(options, code, what, fix, status):
    """As the fairlead command says errors: -o json has them on standard output."""
    if options.output == "json":
        print(json.dumps({"error": {"code": code, "what": what, "fix": fix}}))
    else:
        print(f"error[{code}]: {what}" + (f"\n  fix:  {fix}" if fix else ""), file=sys.stderr)
    return status


def main(arguments=None):
    options = parse(arguments)
    if os.geteuid() != 0:
        return fail(options, "FL6010", "the laboratory makes network namespaces and devices, which only root can", "run it as root", 4)
    programs = ("fairlead", "fairlead-dataplane", "fairlead-agent", "fairlead-cni", "fairlead-load")
    missing = [name for name in programs if not (pathlib.Path(options.build) / "bin" / name).exists()]
    if missing:
        return fail(options, "FL6010", f"{options.build}/bin has no {', '.join(missing)}", f"tools/build release {' '.join(programs)}, or tools/bench", 4)
    labs.handle_signals()
    result = Result(options.build, options.quick)
    try:
        for names, bench in ((("tcp",), bench_tcp), (("tcp", "service"), bench_services.run_all), (("idle",), bench_idle)):
            if options.what in names or options.what == "all":
                bench(options, result)
    except (KeyboardInterrupt, Exception) as error:
        if labs.interrupted():
            return 130
        if not isinstance(error, labs.LabError):
            raise
        return fail(options, "FL6030", str(error), "everything is removed again; tools/demo --keep leaves such a cluster up to look around", 1)
    answer = result.object()
    if options.output == "json":
        print(json.dumps(answer))
        return 0
    for entry in answer["figures"]:
        peer = entry.get("peer", {})
        against = f"  {peer['name']} {peer['median']:g}, ratio {peer['ratio']['median']:.2f}" if "ratio" in peer else ""
        print(f"{entry['id']:<44} {entry['median']:>9g} [{entry['p05']:g} .. {entry['p95']:g}] {entry['unit']}{against}")
    for note in answer["notes"]:
        print(f"note: {note}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
