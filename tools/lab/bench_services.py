"""Connections through a ClusterIP, Fairlead beside kube-proxy: the part `service` of bench.py.

A client pod on node 1, two backend pods on node 2, VXLAN between the nodes, for everyone. Fairlead has the Services from its manifests; the
kernel's nodes have the rule sets that kube-proxy writes for the same Services, on both nodes as in a cluster: iptables mode and
nftables mode. Every system exists once for each number of Services, all are up side by side, and a round gives each of them one slice.

crr     connect, one byte each way, close: to the last Service of the list, and, as what everything else adds to, to a backend's own address
change  one Service's only endpoint is replaced: from the change to the beginning of the first connection that obeys it. Ours begins with
        writing the manifest; kube-proxy's with starting nft or iptables-restore, what it did before is not counted
load    all Services from nothing
"""
import contextlib
import json
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor

import baseline
import kube_proxy
import lab as labs
import many_services as values
import traffic
from figures import Progress, Rounds, figure, ratios

SERVICE_PORT = 80
NAMES = "BC"  # of the two backends
KERNEL_PODS = "10.245.0.0/16"
SERVICES_PER_FILE = 1000
SYSTEMS = {"fairlead": "Fairlead", "kube_proxy_nft": "kube-proxy, nftables", "kube_proxy_iptables": "kube-proxy, iptables"}
PEER, OTHER_PEER = "kube_proxy_nft", "kube_proxy_iptables"

CRR_AIMS = {10: 1.0, 30_000: 3.0}  # connections a second, of kube-proxy in nftables mode
CRR_LIMITS = "two dataplanes are woken on the way, on cores that they share with pods, load and the clusters that wait; connections without a Service show the same"
CHANGE_AIM_MS = 1.0
CHANGE_LIMITS = "the manifest is noticed, read and compiled, and the agent woken, on cores that the connecting client keeps busy"


def service_set(count, backends, others):
    """`count` Services with endpoints among `others`; then the one that changes, with one of `backends`, and the one addressed, with all."""
    made = values.made_up(count - 2, others, target_port=traffic.LOAD_PORT)
    ends = [(address, traffic.LOAD_PORT) for address in backends]
    return [*made, values.Service("to-change", values.cluster_ip(count - 2), SERVICE_PORT, tuple(ends[:1])),
            values.Service("to-connect", values.cluster_ip(count - 1), SERVICE_PORT, tuple(ends))]


class Target:
    """One system with one number of Services."""

    def __init__(self, system, lab, client, backends, services):
        self.system, self.count, self.lab, self.client, self.backends = system, len(services), lab, client, backends
        self.services, self.load_s = services, 0.0
        self.name = f"{system}_{self.count}"
        self.title = f"{SYSTEMS[system]}, {self.count:,} Services"
        for pod in (client, *backends):
            traffic.prepare_tcp(pod)
        for pod, name in zip(backends, NAMES):
            traffic.start_load(lab, pod, name=name)

    def watch_service(self, service, name, seconds=120):
        """A process that connects until the backend of that name answers."""
        return self.lab.start(self.client.command([str(self.lab.bin / "fairlead-load"), "until", service.cluster_ip, str(service.port), name, str(seconds)]),
                              stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def obeyed_ns(self, process):
        """When the connection began that was the first to obey."""
        said, wrong = process.communicate(timeout=180)
        if process.returncode != 0:
            raise labs.LabError(f"{self.title}: {wrong.strip()}")
        return json.loads(said.splitlines()[-1])["began_ns"]

    def change(self, service):
        """Gives to-change another endpoint; returns when it began, in ns of CLOCK_MONOTONIC."""
        raise NotImplementedError

    def change_ms(self, turn):
        """One change of the one endpoint, to the other backend each turn."""
        place = (turn + 1) % len(self.backends)
        service = self.services[-2].with_backends([(self.backends[place].ipv4, traffic.LOAD_PORT)])
        process = self.watch_service(service, NAMES[place])
        if process.stdout.readline().strip() != "ready":
            raise labs.LabError(f"{self.title}: nobody answers at {service.cluster_ip}: {process.communicate()[1].strip()}")
        began_ns = self.change(service)
        return (self.obeyed_ns(process) - began_ns) / 1e6


class FairleadTarget(Target):
    """`load`: writes the manifests and waits for the first connection through each of the two Services that matter."""

    def load(self):
        began = time.monotonic()
        for first in range(0, self.count - 2, SERVICES_PER_FILE):
            part = self.services[first:min(first + SERVICES_PER_FILE, self.count - 2)]
            self.lab.write(f"services-{first // SERVICES_PER_FILE:03}.json", values.manifest(part, "node-2"))
        for service in self.services[-2:]:
            self.lab.write(f"service-{service.name}.json", values.manifest([service], "node-2"))
        for service in self.services[-2:]:
            self.obeyed_ns(self.watch_service(service, NAMES[0]))
        self.load_s = time.monotonic() - began

    def change(self, service):
        text = values.manifest([service], "node-2")
        began_ns = time.monotonic_ns()
        self.lab.write(f"service-{service.name}.json", text)
        return began_ns


class KubeProxyTarget(Target):
    """Rules on both nodes; changes on the client's only, where they decide."""

    def __init__(self, mode, pair, *more):
        super().__init__(*more)
        self.proxies = [kube_proxy.KubeProxy(node, mode, KERNEL_PODS, str(values.SERVICE_RANGE)) for node in pair.nodes]

    def load(self):
        with ThreadPoolExecutor() as pool:
            self.load_s = list(pool.map(lambda proxy: proxy.load(self.services), self.proxies))[0]
        for service in self.services[-2:]:
            self.obeyed_ns(self.watch_service(service, NAMES[0]))

    def change(self, service):
        text = self.proxies[0].change_text(service)
        began_ns = time.monotonic_ns()
        self.proxies[0].run(text)
        return began_ns


class Systems:
    """Every system with every number of Services, side by side."""

    def __init__(self, options):
        self.stack = contextlib.ExitStack()
        self.targets, self.direct, self.notes = [], {}, []
        try:
            for place, count in enumerate(options.services):
                self.add_fairlead(options, place, count)
            self.add_kernel(options)
            # One after the other: each takes both cores.
            for target in self.targets:
                target.load()
        except BaseException:
            self.close()
            raise

    def close(self):
        self.stack.close()

    def lab(self, options, letter, **more):
        lab = labs.Lab(options.build, prefix=f"{options.prefix}-{letter}", **more)
        self.stack.callback(lab.close)
        return lab

    def add_fairlead(self, options, place, count):
        cluster = self.lab(options, f"s{place}", mode="Overlay")
        nodes = [cluster.add_node(f"node-{index}", index) for index in (1, 2)]
        cluster.start_nodes()
        client, backends = nodes[0].add_pod("a1"), [nodes[1].add_pod(name) for name in ("b1", "b2")]
        services = service_set(count, [pod.ipv4 for pod in backends], [f"10.244.2.{host}" for host in range(100, 250)])
        target = FairleadTarget("fairlead", cluster, client, backends, services)
        self.targets.append(target)
        self.direct.setdefault("fairlead_direct", (cluster, client, backends[0]))
        self.notes += nodes[0].json("status")["dataplane"].get("notes", [])

    def add_kernel(self, options):
        cluster = self.lab(options, "sk")
        alone = baseline.KernelPair(cluster, "vxlan", 2, name="alone")
        for pod in alone.pods:
            traffic.prepare_tcp(pod)
        traffic.start_load(cluster, alone.pods[1])
        self.direct["kernel_direct"] = (cluster, *alone.pods)
        base = 4
        for count in options.services:
            for mode in ("nft", "iptables"):
                pair = baseline.KernelPair(cluster, "vxlan", base, name=f"{mode[:2]}{base}")
                backends = [pair.pods[1], pair.add_pod(1, 1)]
                services = service_set(count, [pod.ipv4 for pod in backends], [f"10.245.{base + 1}.{host}" for host in range(100, 250)])
                self.targets.append(KubeProxyTarget(mode, pair, f"kube_proxy_{mode}", cluster, pair.pods[0], backends, services))
                base += 2


def crr_slice(lab, client, address, port, seconds):
    watch = traffic.CpuWatch()
    answer = traffic.load(lab, client, "crr", address, seconds, port=port)
    return answer, watch.stop()[1]


def run_all(options, result):
    missing = [program for program in map(kube_proxy.missing_program, kube_proxy.MODES) if program]
    if missing:
        raise labs.LabError(f"kube-proxy's rule sets cannot be loaded without {' and '.join(missing)}: tools/setup installs them")
    systems = Systems(options)
    try:
        slices = {target.name: (target.lab, target.client, target.services[-1].cluster_ip, SERVICE_PORT) for target in systems.targets}
        slices |= {name: (lab, client, server.ipv4, traffic.LOAD_PORT) for name, (lab, client, server) in systems.direct.items()}
        names, samples = [*slices], Rounds()
        progress = Progress(options.rounds * (len(slices) + len(systems.targets)))
        for number in range(options.rounds):
            first = number % len(names)  # rotated, so that nobody always follows the same neighbour
            for name in names[first:] + names[:first]:
                progress.step(f"round {number + 1}/{options.rounds}: crr {name}")
                answer, steal = crr_slice(*slices[name], options.seconds / 3)
                samples.note_steal(number, steal)
                for metric in METRICS:
                    samples.add(number, ("crr", name, metric), answer[metric])
            first = number % len(systems.targets)
            for target in systems.targets[first:] + systems.targets[:first]:
                progress.step(f"round {number + 1}/{options.rounds}: change {target.name}")
                samples.add(number, ("change", target.name), target.change_ms(number))
        progress.end()
        service_figures(result, samples, options, systems)
        result.notes += systems.notes + samples.notes("service")
    finally:
        systems.close()


# metric -> (unit, better, title)
METRICS = {"per_second": ("1/s", "higher", "connections"), "p50_us": ("us", "lower", "p50"), "p99_us": ("us", "lower", "p99")}


def service_figures(result, samples, options, systems):
    titles = {target.name: f"{target.title}" for target in systems.targets}
    titles |= {"fairlead_direct": "Fairlead, no Service", "kernel_direct": "kernel VXLAN, no kube-proxy"}
    crr_figures(result, samples, options, systems, titles)
    for target in systems.targets:
        peer = f"{PEER}_{target.count}" if target.system == "fairlead" else None
        result.figures.append(figure(
            f"service.change.{target.name}.ms", f"an endpoint replaced, to the first connection that obeys, {target.title}", "ms", "lower",
            samples.of(("change", target.name)), {"services": target.count}, peer=(titles[peer], samples.of(("change", peer))) if peer else None,
            target={"at_most": CHANGE_AIM_MS} if peer else None, limits=CHANGE_LIMITS))
    loads = {target.name: [target.load_s] for target in systems.targets}
    for target in systems.targets:
        peer = f"{PEER}_{target.count}" if target.system == "fairlead" else None
        result.figures.append(figure(
            f"service.load.{target.name}.s", f"all Services loaded, {target.title}", "s", "lower", loads[target.name],
            {"services": target.count, "backends": sum(len(service.backends) for service in target.services)}, peer=(titles[peer], loads[peer]) if peer else None))


def crr_figures(result, samples, options, systems, titles):
    peers = {f"fairlead_{count}": f"{PEER}_{count}" for count in options.services} | {"fairlead_direct": "kernel_direct"}
    counts = {target.name: target.count for target in systems.targets}
    for name, title in titles.items():
        for metric, (unit, better, what) in METRICS.items():
            peer = peers.get(name)
            aim = CRR_AIMS.get(counts.get(name)) if peer and metric == "per_second" else None
            result.figures.append(figure(
                f"service.crr.{name}.{metric}", f"TCP connect/request/response/close, {title}, {what}", unit, better, samples.of(("crr", name, metric)),
                {"system": title, "services": counts.get(name, 0), "slice_s": round(options.seconds / 3, 2)},
                peer=(titles[peer], samples.of(("crr", peer, metric))) if peer else None,
                target={"at_least": aim, "of": "peer"} if aim else None, limits=CRR_LIMITS))
    for count in options.services:
        rates = [samples.of(("crr", f"{system}_{count}", "per_second")) for system in ("fairlead", OTHER_PEER)]
        result.figures.append(figure(f"service.crr.fairlead_{count}.of_iptables", f"connections through a ClusterIP, {count:,} Services, of kube-proxy's in iptables mode",
                                     "ratio", "higher", ratios(*rates, "higher"), {"services": count}))
