"""Clusters of network namespaces on this machine: nodes with the real processes, pods attached by the real CNI plugin.

    fabric (a namespace with a bridge, and a router between subnets)
      |            |             |
    [node-1]     [node-2]      [node-3]     each: own net and mount namespace, uplink u0, bpffs of its own,
     a1  a2       b1  b2        c1  c2             fairlead-dataplane + fairlead-agent; pods are namespaces

Everything that is made is recorded and removed by close(), also after an exception or a signal; a record on disk lets
the next run remove what a killed one left behind. Traffic never leaves these namespaces.
"""
import atexit
import concurrent.futures
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

TOP = pathlib.Path(__file__).resolve().parents[2]
RECORDS = pathlib.Path("/run/fairlead-lab")


class LabError(RuntimeError):
    """Something the lab needed did not work; the text says what and shows the tool's own words."""


def run(command, check=True, timeout=60, **options):
    """Runs a command to its end and returns the CompletedProcess with text output."""
    done = subprocess.run([str(part) for part in command], text=True, capture_output=True, timeout=timeout, **options)
    if check and done.returncode != 0:
        raise LabError(f"{' '.join(str(part) for part in command)} ended with {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def free_cpu_seconds(pid):
    """User and system time that a process and its threads have used, in seconds."""
    fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


class Pod:
    """A namespace with an interface eth0; `addresses` are what the CNI plugin answered."""

    def __init__(self, node, name, namespace="default"):
        self.node, self.name, self.pod_namespace = node, name, namespace
        self.netns = f"{node.lab.prefix}-{name}"
        self.container_id = f"{node.lab.prefix}-{name}-{os.getpid()}"
        self.addresses = []
        self.add_ms = 0.0
        self.interface = "eth0"

    def manifest(self):
        """What Kubernetes would say of it: so every node's agent knows where it is."""
        ips = ", ".join(f'{{ip: "{a.split("/")[0]}"}}' for a in self.addresses)
        return (f"apiVersion: v1\nkind: Pod\nmetadata: {{name: {self.name}, namespace: {self.pod_namespace}}}\n"
                f"spec: {{nodeName: {self.node.name}}}\nstatus: {{podIPs: [{ips}]}}\n")

    @property
    def ipv4(self):
        return next((a.split("/")[0] for a in self.addresses if "." in a), None)

    @property
    def ipv6(self):
        return next((a.split("/")[0] for a in self.addresses if ":" in a), None)

    def command(self, command):
        return ["ip", "netns", "exec", self.netns, *command]

    def run(self, command, **options):
        return run(self.command(command), **options)

    def start(self, command, **options):
        return self.node.lab.start(self.command(command), **options)

    def cni(self, verb, check=True):
        environment = dict(os.environ, CNI_COMMAND=verb, CNI_CONTAINERID=self.container_id,
                           CNI_NETNS=f"/run/netns/{self.netns}", CNI_IFNAME=self.interface, CNI_PATH=str(self.node.lab.bin),
                           CNI_ARGS=f"K8S_POD_NAMESPACE={self.pod_namespace};K8S_POD_NAME={self.name};IgnoreUnknown=1")
        config = {"cniVersion": "1.0.0", "name": "fairlead", "type": "fairlead-cni",
                  "socket": str(self.node.run_dir / "agent.sock"), "stateDir": str(self.node.state_dir)}
        started = time.monotonic()
        done = run(self.node.command([self.node.lab.bin / "fairlead-cni"]), check=False, env=environment, input=json.dumps(config))
        elapsed_ms = (time.monotonic() - started) * 1e3
        if check and done.returncode != 0:
            raise LabError(f"CNI {verb} for {self.name} on {self.node.name} failed: {done.stdout}{done.stderr}")
        return done, elapsed_ms


class KernelNode:
    """A node without any Fairlead: the kernel's own routing or VXLAN device, set up by hand with iproute2."""

    def __init__(self, lab, name, index, subnet=0):
        self.lab, self.name, self.index = lab, name, index
        self.netns = f"{lab.prefix}-{name}"
        self.ipv4, self.ipv6 = lab.underlay_addresses(index, subnet)
        self.subnet = subnet
        lab.add_netns(self.netns)
        lab.connect(self.netns, f"p{index}", self.ipv4, self.ipv6, subnet)
        self.ip("link", "set", "lo", "up")
        for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
            run(["ip", "netns", "exec", self.netns, "sysctl", "-qw", f"{key}=1"])

    def ip(self, *arguments):
        return run(["ip", "-n", self.netns, *arguments])

    def command(self, command):
        return ["ip", "netns", "exec", self.netns, *command]


class Node:
    """A node with the forwarder: namespaces, directories and the two processes."""

    def __init__(self, lab, name, index, subnet=0):
        self.lab, self.name, self.index, self.subnet = lab, name, index, subnet
        self.netns = f"{lab.prefix}-{name}"
        self.ipv4, self.ipv6 = lab.underlay_addresses(index, subnet)
        self.pod_cidrs = [f"10.244.{index}.0/24", f"fd00:10:244:{index}::/64"]
        self.run_dir = lab.directory / name / "run"
        self.state_dir = lab.directory / name / "state"
        for directory in (self.run_dir, self.state_dir):
            directory.mkdir(parents=True)
        self.pods = []
        self.dataplane = self.agent = None
        lab.add_netns(self.netns)
        lab.connect(self.netns, f"p{index}", self.ipv4, self.ipv6, subnet)
        # `ip netns exec` gives the holder a /sys of this namespace in a mount namespace of its own; bpffs goes in there.
        self.holder = lab.start(["ip", "netns", "exec", self.netns, "sh", "-c",
                                 "mount -t bpf bpf /sys/fs/bpf && echo ready && exec sleep infinity"], stdout=subprocess.PIPE)
        if self.holder.stdout.readline().strip() != "ready":
            raise LabError(f"{self.name}: bpffs could not be mounted")
        self.holder.stdout.close()
        run(["ip", "-n", self.netns, "link", "set", "lo", "up"])

    def command(self, command):
        return ["nsenter", "-t", str(self.holder.pid), "-n", "-m", *[str(part) for part in command]]

    def run(self, command, **options):
        return run(self.command(command), **options)

    def start_dataplane(self, *extra):
        with open(self.run_dir / "dataplane.log", "a") as log:
            self.dataplane = self.lab.start(self.command(
                [self.lab.bin / "fairlead-dataplane", "--uplink", "u0", "--run-dir", self.run_dir, "--state-dir", self.state_dir,
                 "--bpf-dir", "/sys/fs/bpf/fairlead", *self.lab.dataplane_options, *extra]), stdout=log, stderr=subprocess.STDOUT)
        self.wait_socket("dataplane.sock", self.dataplane)

    def start_agent(self, *extra):
        with open(self.run_dir / "agent.log", "a") as log:
            self.agent = self.lab.start(self.command(
                [self.lab.bin / "fairlead-agent", "--node", self.name, "--manifests", self.lab.manifests, "--uplink", "u0",
                 "--run-dir", self.run_dir, "--state-dir", self.state_dir, *extra]), stdout=log, stderr=subprocess.STDOUT)
        self.wait_socket("agent.sock", self.agent)

    def wait_socket(self, name, process, seconds=30):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if process.poll() is not None:
                log = self.run_dir / name.replace(".sock", ".log")
                raise LabError(f"{self.name}: {name.replace('.sock', '')} ended with {process.returncode}:\n{log.read_text()[-3000:]}")
            if (self.run_dir / name).exists():
                return
            time.sleep(0.02)
        raise LabError(f"{self.name}: {name} did not appear within {seconds} s")

    def pid_of(self, process):
        """nsenter execs the program, so its pid is the program's."""
        return process.pid

    def cli(self, *arguments, check=True, timeout=60):
        return self.run([self.lab.bin / "fairlead", *arguments, "--run-dir", self.run_dir], check=check, timeout=timeout)

    def json(self, *arguments):
        return json.loads(self.cli(*arguments, "-o", "json").stdout)

    def counters(self):
        """{"counters": {name: count}, "drops": {(stage, name): count}, "conserved": bool} as the CLI prints them."""
        answer = self.json("drops", "--all")
        return answer

    def add_pod(self, name):
        pod = Pod(self, name)
        self.lab.add_netns(pod.netns)
        run(["ip", "-n", pod.netns, "link", "set", "lo", "up"])
        done, pod.add_ms = pod.cni("ADD")
        pod.addresses = [ip["address"] for ip in json.loads(done.stdout)["ips"]]
        self.pods.append(pod)
        self.lab.write(f"pod-{name}.yaml", pod.manifest())
        return pod

    def manifest(self):
        addresses = "\n".join(f"    - {{type: InternalIP, address: \"{a}\"}}" for a in (self.ipv4, self.ipv6) if a)
        return node_manifest(self.name, self.pod_cidrs, addresses)


def node_manifest(name, pod_cidrs, addresses, annotations=""):
    cidrs = ", ".join(f'"{cidr}"' for cidr in pod_cidrs)
    return (f"apiVersion: v1\nkind: Node\nmetadata:\n  name: {name}\n{annotations}spec:\n  podCIDR: {pod_cidrs[0]}\n"
            f"  podCIDRs: [{cidrs}]\nstatus:\n  addresses:\n{addresses}\n")


class Lab:
    """Owns every namespace, process and directory of one cluster."""

    def __init__(self, build, prefix="fl-demo", mode="Overlay", offloads=False, mtu=1500, dataplane_options=()):
        self.bin = pathlib.Path(build) / "bin"
        self.prefix, self.mode, self.offloads, self.mtu = prefix, mode, offloads, mtu
        self.dataplane_options = list(dataplane_options)
        self.processes, self.netns, self.nodes, self.kernel_nodes = [], [], [], []
        self.closed = False
        RECORDS.mkdir(exist_ok=True)
        self.record = RECORDS / f"{prefix}.json"
        remove_leftovers(prefix)
        self.directory = pathlib.Path(tempfile.mkdtemp(prefix=f"{prefix}-"))
        self.directory.chmod(0o700)
        self.manifests = self.directory / "manifests"
        self.manifests.mkdir()
        self.save()
        atexit.register(self.close)
        self.fabric = f"{prefix}-fabric"
        self.add_netns(self.fabric)
        run(["ip", "-n", self.fabric, "link", "set", "lo", "up"])
        self.subnets = set()

    # -- underlay ---------------------------------------------------------------------------------------------------

    def underlay_addresses(self, index, subnet):
        """Documentation addresses (RFC 5737, RFC 3849): /27 per subnet of 192.0.2.0/24."""
        return f"192.0.2.{subnet * 32 + index}", f"2001:db8:{subnet}::{index}"

    def connect(self, netns, port, ipv4, ipv6, subnet):
        """A veth from the fabric's bridge of `subnet` to u0 in `netns`; the fabric routes between subnets."""
        bridge = f"br{subnet}"
        if subnet not in self.subnets:
            self.subnets.add(subnet)
            run(["ip", "-n", self.fabric, "link", "add", bridge, "type", "bridge"])
            run(["ip", "-n", self.fabric, "link", "set", bridge, "mtu", str(self.mtu), "up"])
            run(["ip", "-n", self.fabric, "addr", "add", f"192.0.2.{subnet * 32 + 30}/27", "dev", bridge])
            run(["ip", "-n", self.fabric, "addr", "add", f"2001:db8:{subnet}::ff/64", "dev", bridge, "nodad"])
            for key in ("net.ipv4.ip_forward", "net.ipv6.conf.all.forwarding"):
                run(["ip", "netns", "exec", self.fabric, "sysctl", "-qw", f"{key}=1"])
        run(["ip", "-n", self.fabric, "link", "add", port, "mtu", str(self.mtu), "type", "veth",
             "peer", "name", "u0", "mtu", str(self.mtu), "netns", netns])
        run(["ip", "-n", self.fabric, "link", "set", port, "master", bridge, "up"])
        # A link-local address being checked for duplicates cannot ask for neighbours yet; a real node's link is long past that.
        run(["ip", "netns", "exec", netns, "sysctl", "-qw", "net.ipv6.conf.u0.accept_dad=0"])
        run(["ip", "-n", netns, "link", "set", "u0", "up"])
        run(["ip", "-n", netns, "addr", "add", f"{ipv4}/27", "dev", "u0"])
        run(["ip", "-n", netns, "addr", "add", f"{ipv6}/64", "dev", "u0", "nodad"])
        run(["ip", "-n", netns, "route", "add", "default", "via", f"192.0.2.{subnet * 32 + 30}"])
        run(["ip", "-n", netns, "route", "add", "default", "via", f"2001:db8:{subnet}::ff"])
        if not self.offloads:
            # Frames of MTU size on the wire for everyone, as on a NIC without offloads.
            for where, device in ((netns, "u0"), (self.fabric, port)):
                run(["ip", "netns", "exec", where, "ethtool", "-K", device, "tso", "off", "gso", "off", "gro", "off",
                     "tx-udp_tnl-segmentation", "off", "tx", "off"], check=False)

    def add_netns(self, name):
        run(["ip", "netns", "add", name])
        self.netns.append(name)
        self.save()

    # -- cluster ----------------------------------------------------------------------------------------------------

    def cluster_manifest(self, mode=None):
        return (f"apiVersion: fairlead.io/v1alpha1\nkind: ClusterNetwork\nmetadata: {{name: default}}\nspec:\n"
                f"  mode: {mode or self.mode}\n"
                f"  overlay: {{encapsulation: VXLAN, vni: 100, port: 4789}}\n"
                f"  addressing: {{pods: [10.244.0.0/16, \"fd00:10:244::/48\"], services: [10.96.0.0/12, \"fd00:10:96::/108\"]}}\n"
                f"  services: {{externalIPRanges: [198.51.100.0/24]}}\n")

    def add_node(self, name, index, subnet=0):
        node = Node(self, name, index, subnet)
        self.nodes.append(node)
        return node

    def add_kernel_node(self, name, index, subnet=0):
        node = KernelNode(self, name, index, subnet)
        self.kernel_nodes.append(node)
        return node

    def write(self, name, text):
        """Puts a manifest in place at once, as an editor that renames would."""
        temporary = self.manifests / f".{name}.tmp"
        temporary.write_text(text)
        temporary.rename(self.manifests / name)

    def start_nodes(self):
        self.write("cluster.yaml", self.cluster_manifest())
        for node in self.nodes:
            self.write(f"{node.name}.yaml", node.manifest())
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(lambda node: (node.start_dataplane(), node.start_agent()), self.nodes))
        for node in self.nodes:
            node.cli("wait", "--timeout", "30")

    @property
    def pods(self):
        return [pod for node in self.nodes for pod in node.pods]

    def switch_mode(self, mode, seconds=30):
        """Changes the mode as a user does, and returns when every node has programmed it."""
        self.nodes[0].cli("mode", mode.lower(), "--wait")
        deadline = time.monotonic() + seconds
        for node in self.nodes:
            while True:
                state = node.json("status")
                if state["agent"].get("mode", "").lower() == mode.lower() and (
                        state["agent"].get("wantedGeneration") == state["agent"].get("programmedGeneration")):
                    break
                if time.monotonic() > deadline:
                    raise LabError(f"{node.name} did not reach mode {mode} within {seconds} s: {state}")
                time.sleep(0.05)

    def ping_matrix(self, family=4, parallel=6):
        """Every ordered pair of pods; returns (pairs, ok, failures)."""
        pairs = [(a, b) for a in self.pods for b in self.pods if a is not b]

        def one(pair):
            source, destination = pair
            address = destination.ipv4 if family == 4 else destination.ipv6
            done = source.run(["ping", f"-{family}", "-n", "-c", "1", "-W", "3", address], check=False)
            return None if done.returncode == 0 else f"{source.name} -> {destination.name} ({address})"

        with concurrent.futures.ThreadPoolExecutor(parallel) as pool:
            failures = [failure for failure in pool.map(one, pairs) if failure]
        return len(pairs), len(pairs) - len(failures), failures

    # -- processes --------------------------------------------------------------------------------------------------

    def start(self, command, **options):
        options.setdefault("stdout", subprocess.DEVNULL)
        options.setdefault("stderr", subprocess.DEVNULL if options["stdout"] is subprocess.DEVNULL else None)
        process = subprocess.Popen([str(part) for part in command], text=True, start_new_session=True, **options)
        self.processes.append(process)
        self.save()
        return process

    def stop(self, process, kill=False, seconds=10):
        """Ends a process we started, by its pid: SIGTERM, and SIGKILL when it does not go."""
        if process is None or process.poll() is not None:
            return process.returncode if process else None
        process.send_signal(signal.SIGKILL if kill else signal.SIGTERM)
        try:
            process.wait(seconds)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(5)
        return process.returncode

    def save(self):
        entries = [{"pid": p.pid, "start": start_time(p.pid)} for p in self.processes if p.poll() is None]
        self.record.write_text(json.dumps({"owner": {"pid": os.getpid(), "start": start_time(os.getpid())}, "netns": self.netns, "processes": entries, "directory": str(getattr(self, "directory", ""))}))

    def close(self):
        """Removes everything again; safe to call twice."""
        if self.closed:
            return
        self.closed = True
        for pod in self.pods:
            if pod.node.agent and pod.node.agent.poll() is None:
                pod.cni("DEL", check=False)
        holders = [node.holder for node in self.nodes]
        for process in reversed([p for p in self.processes if p not in holders]):
            self.stop(process)
        for process in holders:
            self.stop(process)
        for name in reversed(self.netns):
            run(["ip", "netns", "del", name], check=False)
        shutil.rmtree(self.directory, ignore_errors=True)
        self.record.unlink(missing_ok=True)
        try:
            RECORDS.rmdir()
        except OSError:
            pass


def start_time(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[19]
    except (FileNotFoundError, ProcessLookupError):
        return None


def remove_leftovers(prefix):
    """What a killed run of the same name left behind: processes by pid *and* start time, namespaces, directory."""
    record = RECORDS / f"{prefix}.json"
    if not record.exists():
        return False
    left = json.loads(record.read_text() or "{}")
    owner = left.get("owner")
    if owner and owner["pid"] != os.getpid() and start_time(owner["pid"]) == owner["start"]:
        raise LabError(f"a laboratory named {prefix} is up, made by process {owner['pid']}: end that one first, or wait for it")
    for entry in left.get("processes", []):
        if entry["start"] and start_time(entry["pid"]) == entry["start"]:
            os.kill(entry["pid"], signal.SIGTERM)
    time.sleep(0.3)
    for entry in left.get("processes", []):
        if entry["start"] and start_time(entry["pid"]) == entry["start"]:
            os.kill(entry["pid"], signal.SIGKILL)
    existing = {line.split()[0] for line in run(["ip", "netns", "list"]).stdout.splitlines() if line}
    for name in reversed(left.get("netns", [])):
        if name in existing:
            run(["ip", "netns", "del", name], check=False)
    if left.get("directory", "").startswith("/tmp/"):
        shutil.rmtree(left["directory"], ignore_errors=True)
    record.unlink(missing_ok=True)
    return True


SIGNALS = []


def handle_signals():
    """Ctrl-C and SIGTERM end the program through the ordinary way out, so that everything is removed."""
    def interrupt(number, _frame):
        SIGNALS.append(number)
        raise KeyboardInterrupt(f"signal {number}")
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)


def interrupted():
    """Whether a signal came. KeyboardInterrupt alone does not tell: raised inside Python's own locks it comes out as another exception."""
    return bool(SIGNALS)


def percentile(values, p):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(round(p * (len(ordered) - 1))))] if ordered else 0.0


def say(tag, text, stream=sys.stdout):
    print(f"{'[' + tag + ']':<12} {text}", file=stream, flush=True)
