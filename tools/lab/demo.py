"""The demonstration behind tools/demo: three nodes, six pods, both modes, a live switch, and a first figure.

Prints lines for people, or with -o json one object and nothing else on stdout. Exit codes: 0 all held, 1 something did
not hold, 2 usage, 4 preflight failed, 130 interrupted.
"""
import argparse
import json
import os
import pathlib
import platform
import subprocess
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import baseline  # noqa: E402
import lab as labs  # noqa: E402
import service_demo  # noqa: E402
import traffic  # noqa: E402
from lab import percentile, say  # noqa: E402

STREAM_PPS, STREAM_COUNT = 12000, 60000
POD_LETTERS = "abcdefghijklmnop"


def preflight(out):
    """Named checks; every failure says what was found and what to do."""
    checks = []

    def check(name, ok, found, fix):
        checks.append(ok)
        if not ok:
            say("preflight", f"error[FL6010]: {name}: {found}\n             fix:  {fix}", sys.stderr)
        return f"ok {name}" if ok else f"MISSING {name}"

    release = platform.release()
    parts = [
        check("root", os.geteuid() == 0, f"running as uid {os.geteuid()}", "run as root: namespaces, TAP and BPF need it"),
        check(f"kernel {release} BTF", pathlib.Path("/sys/kernel/btf/vmlinux").exists(), "no /sys/kernel/btf/vmlinux",
              "boot a kernel with CONFIG_DEBUG_INFO_BTF"),
        check("/dev/net/tun", pathlib.Path("/dev/net/tun").exists(), "no /dev/net/tun", "load the tun module"),
    ]
    huge = int(next(line.split()[1] for line in open("/proc/meminfo") if line.startswith("HugePages_Free")))
    parts.append(f"{huge} huge pages free" if huge else "no huge pages -> --no-huge")
    say("preflight", " · ".join(parts), out)
    return all(checks)


def stream_over(cluster, source, destination, during):
    """A counted stream from one pod to another while `during()` runs in the middle of it; returns the sink's count."""
    probe = cluster.bin / "fairlead-probe"
    sink = subprocess.Popen(destination.command([str(probe), "sink", destination.ipv4, "7001", "4000"]), stdout=subprocess.PIPE,
                            text=True)
    sink.stdout.readline()
    sender = subprocess.Popen(source.command([str(probe), "stream", destination.ipv4, "7001", str(STREAM_PPS), str(STREAM_COUNT)]),
                              stdout=subprocess.PIPE, text=True)
    failure = []

    def guarded():
        try:
            time.sleep(0.25 * STREAM_COUNT / STREAM_PPS)
            during()
        except Exception as error:  # reported below, in the main thread
            failure.append(error)

    middle = threading.Thread(target=guarded)
    middle.start()
    sent = json.loads(sender.communicate(timeout=120)[0])
    counted = json.loads(sink.communicate(timeout=120)[0])
    middle.join()
    if failure:
        raise failure[0]
    counted["pps"] = sent["pps"]
    return counted


def idle_cores(cluster, seconds):
    """Share of a core each idle dataplane used, from its own CPU time."""
    before = [labs.free_cpu_seconds(node.dataplane.pid) for node in cluster.nodes]
    started = time.monotonic()
    time.sleep(seconds)
    elapsed = time.monotonic() - started
    return [(labs.free_cpu_seconds(node.dataplane.pid) - b) / elapsed * 100 for node, b in zip(cluster.nodes, before)]


def conservation(cluster):
    """Every dataplane's own claim, checked here again from its counters."""
    held = []
    for node in cluster.nodes:
        answer = node.json("drops", "--all")
        counters = {row["name"]: int(row.get("count", 0)) for row in answer["counters"]}
        drops = sum(int(row.get("count", 0)) for row in answer["drops"] if row.get("stage", "forwarder") == "forwarder")
        out = sum(counters[name] for name in ("forwarded", "answered", "punted", "held"))
        held.append(counters["in"] == out + drops)
    return all(held)


def demonstrate(options, out):
    result = {"nodes": options.nodes, "pods": 2 * options.nodes}
    failures = []
    cluster = labs.Lab(options.build, prefix=options.prefix, mode="Overlay" if options.mode == "both" else options.mode.capitalize())
    try:
        for index in range(1, options.nodes + 1):
            cluster.add_node(f"node-{index}", index)
        cluster.start_nodes()
        info = cluster.nodes[0].json("status")["dataplane"]
        ports = cluster.nodes[0].json("get", "ports")["items"]
        uplink = next(port for port in ports if port["kind"] == "Uplink")
        say("cluster", f"ok {options.nodes} nodes, underlay 192.0.2.0/27, pods 10.244.0.0/16 and fd00:10:244::/48, engine "
            f"{info['engine']} ({uplink['driver']} uplinks)", out)
        for note in info.get("notes", []) + ([uplink["note"]] if uplink.get("note") else []):
            say("", f"note: {note}", out)

        for node, letter in zip(cluster.nodes, POD_LETTERS):
            for number in (1, 2):
                node.add_pod(f"{letter}{number}")
        times = [pod.add_ms for pod in cluster.pods]
        result["cni_add_ms"] = {"p50": round(percentile(times, 0.5), 2), "p99": round(percentile(times, 0.99), 2)}
        say("pods", f"ok {len(times)} attached, ADD p50 {result['cni_add_ms']['p50']} ms p99 {result['cni_add_ms']['p99']} ms", out)
        first, last = cluster.nodes[0].pods[0], cluster.nodes[-1].pods[0]
        result["tcp_gbps"] = {}

        def phase(mode):
            pairs, ok, lost = cluster.ping_matrix(4)
            pairs6, ok6, lost6 = cluster.ping_matrix(6)
            rtt = traffic.round_trip(cluster, first, last, last.ipv4)
            mtu = traffic.path_mtu(first, last.ipv4)
            result[mode] = {"pairs": pairs, "ok": ok, "pairs_ipv6": pairs6, "ok_ipv6": ok6, "rtt_us": rtt, "pod_mtu": mtu}
            if not options.no_bench:
                result["tcp_gbps"][mode] = round(traffic.stream_gbps(cluster, last, first, last.ipv4, options.seconds), 3)
            failures.extend(f"{mode}: no answer {pair}" for pair in lost + lost6)
            good = "ok" if ok == pairs and ok6 == pairs6 else "FAILED"
            say(mode, f"{good} {ok}/{pairs} pairs, IPv6 {ok6}/{pairs6}, UDP rtt p50 {rtt['p50_us'] / 1000:.3f} ms p99 {rtt['p99_us'] / 1000:.3f} ms"
                f" · pod MTU {mtu}" + ("" if options.no_bench else f" · TCP {result['tcp_gbps'][mode]:.2f} Gb/s"), out)

        if options.mode in ("both", "overlay"):
            phase("overlay")
        if options.mode == "both":
            switch = stream_over(cluster, first, last, lambda: cluster.switch_mode("Routed"))
            result["switch"] = {"sent": switch["sent"], "lost": switch["lost"], "duplicates": switch["duplicates"], "pps": switch["pps"],
                                "longest_gap_ms": switch["longest_gap_ms"]}
            if switch["lost"] or switch["sent"] < STREAM_COUNT:
                failures.append(f"switch: {switch['lost']} of {switch['sent']} lost")
            say("switch", f"{'ok' if not switch['lost'] else 'FAILED'} overlay -> routed live, {switch['lost']} of {switch['sent']:,} packets lost "
                f"at {switch['pps']:,.0f} pps, longest gap {switch['longest_gap_ms']:.1f} ms", out)
        if options.mode in ("both", "routed", "auto"):
            if options.mode == "auto":
                cluster.switch_mode("Auto")
            phase("routed" if options.mode != "auto" else "auto")

        service_demo.show(cluster, result, failures, out)

        if not options.no_bench:
            for kind in ("vxlan", "routed"):
                client, server = baseline.KernelPair(cluster, kind, 20 if kind == "vxlan" else 24).pods
                result["tcp_gbps"][f"kernel_{kind}"] = round(traffic.stream_gbps(cluster, server, client, server.ipv4, options.seconds), 3)
            gbps = result["tcp_gbps"]
            say("bench", f"TCP, one stream, MTU-sized frames on the wire, {os.cpu_count()} cores shared by all nodes, {options.seconds} s each", out)
            for name, text in (("overlay", "Fairlead VXLAN"), ("kernel_vxlan", "kernel VXLAN"), ("routed", "Fairlead routed"),
                               ("kernel_routed", "kernel routed")):
                if name in gbps:
                    say("", f"  {text:<16} {gbps[name]:6.2f} Gb/s", out)
        idle = idle_cores(cluster, 5)
        result["idle_percent_of_core"] = [round(share, 2) for share in idle]
        if max(idle) > 3.0:
            failures.append(f"idle: a dataplane used {max(idle):.1f} % of a core")
        say("idle", f"{'ok' if max(idle) <= 3.0 else 'FAILED'} dataplanes with {len(ports)} ports use "
            + " / ".join(f"{share:.2f}" for share in idle) + " % of a core", out)
        result["conserved"] = conservation(cluster)
        if not result["conserved"]:
            failures.append("counters: in != forwarded + answered + punted + held + drops")
        say("counters", f"{'ok' if result['conserved'] else 'FAILED'} in == forwarded + answered + punted + held + drops, on every node", out)
        result["failures"] = failures
        if options.keep:
            keep(cluster, out)
    finally:
        cluster.close()
    return result


def keep(cluster, out):
    node = cluster.nodes[0]
    a, b = cluster.nodes[0].pods[0], cluster.nodes[-1].pods[0]
    enter = f"nsenter -t {node.holder.pid} -n -m"
    cli = f"{enter} {cluster.bin}/fairlead --run-dir {node.run_dir}"
    say("keep", "the cluster stays until this program ends (Ctrl-C, or kill " + str(os.getpid()) + "). To look around:", out)
    for line in (f"{cli} status", f"{cli} get endpoints|routes|neighbours|flows|ports", f"{cli} drops",
                 f"{cli} trace --from pod/{a.name} --to {b.ipv4}", f"{cli} mode overlay --wait",
                 f"{cli} capture -w /tmp/capture.pcapng -c 20", f"ip netns exec {a.netns} ping {b.ipv4}"):
        print(f"  {line}", file=out, flush=True)
    while True:
        time.sleep(3600)


def main():
    parser = argparse.ArgumentParser(prog="tools/demo", description="Three nodes, six pods, overlay and routed, on this machine.")
    parser.add_argument("--keep", action="store_true", help="leave the cluster up and print how to look around")
    parser.add_argument("--nodes", type=int, default=3, metavar="N", help="2 to 8 (default 3)")
    parser.add_argument("--mode", choices=["both", "overlay", "routed", "auto"], default="both")
    parser.add_argument("--engine", choices=["dpdk"], default="dpdk")
    parser.add_argument("--no-bench", action="store_true", help="leave the TCP figures out")
    parser.add_argument("--seconds", type=int, default=3, help="length of each TCP figure (default 3)")
    parser.add_argument("-o", dest="output", choices=["text", "json"], default="text")
    parser.add_argument("--build", default=str(labs.TOP / "build" / "release"), help=argparse.SUPPRESS)
    parser.add_argument("--prefix", default="fl-demo", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if not 2 <= options.nodes <= 8:
        parser.error(f"--nodes {options.nodes}: between 2 and 8")
    out = sys.stderr if options.output == "json" else sys.stdout
    labs.handle_signals()
    if not preflight(out):
        return 4
    started = time.monotonic()
    try:
        result = demonstrate(options, out)
    except (KeyboardInterrupt, Exception) as error:
        if labs.interrupted():
            say("cleaned", "interrupted; namespaces, links, mounts and processes are gone", out)
            return 130
        if not isinstance(error, labs.LabError):
            raise
        print(f"error[FL6011]: {error}", file=sys.stderr)
        return 1
    result["seconds"] = round(time.monotonic() - started, 1)
    if options.output == "json":
        print(json.dumps(result))
    say("done", f"{'all held' if not result['failures'] else 'FAILED: ' + '; '.join(result['failures'])} in {result['seconds']} s; everything is cleaned up", out)
    return 1 if result["failures"] else 0


if __name__ == "__main__":
    sys.exit(main())
