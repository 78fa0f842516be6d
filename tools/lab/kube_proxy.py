"""The rule sets that kube-proxy writes for Services, as a peer to measure: its iptables mode and its nftables mode.

Chains, maps, names, rules and their order are those of kube-proxy 1.33 for ClusterIP and NodePort Services with the policies
Cluster: what a packet has to pass is what it has to pass in a cluster. Written anew here from how the rules look, for IPv4. Names
are hashes of what they stand for, so the same services always give the same text.

A transaction is text for `iptables-restore --noflush` or `nft -f`. Load it inside a network namespace only.

Two choices are in the peers' favour. The tables of iptables mode are the kernel's own (`iptables-legacy-restore`): through nftables,
Debian's default, 4,000 Services take 18 s to load instead of 0.6 and a packet's way is no shorter. And nftables mode is loaded in
transactions of 1,000 Services: in a single one, as kube-proxy does it, 4,000 Services take three times and 10,000 ten times as long.
"""
import base64
import hashlib
import os
import shutil
import subprocess
import time

from lab import LabError

MODES = ("iptables", "nft")
MARK = "0x4000"
TABLE = "ip kube-proxy"
# From so many endpoints on kube-proxy leaves comments and prompt removal of stale chains out.
LARGE_CLUSTER_ENDPOINTS = 1000
SERVICES_PER_TRANSACTION = 1000
PROGRAMS = {"iptables": ("iptables-legacy-restore", "-w", "5", "--noflush", "--counters"), "nft": ("nft", "-f", "-")}


def name_hash(text, length):
    """The first characters of the SHA-256 in base 32, by which kube-proxy tells chains apart."""
    return base64.b32encode(hashlib.sha256(text.encode()).digest()).decode()[:length]


def endpoint_text(backend):
    return f"{backend[0]}:{backend[1]}"


# ---- iptables ----------------------------------------------------------------------------------------------------------

def iptables_chain(kind, service, endpoint=""):
    """KUBE-SVC-..., KUBE-EXT-... of a service, KUBE-SEP-... of one endpoint of it."""
    return f"KUBE-{kind}-" + name_hash(service.full_name + service.protocol + endpoint, 16)


# (table, chain jumped to, from, comment, new connections only)
IPTABLES_JUMPS = (
    ("filter", "KUBE-EXTERNAL-SERVICES", "INPUT", "kubernetes externally-visible service portals", True),
    ("filter", "KUBE-EXTERNAL-SERVICES", "FORWARD", "kubernetes externally-visible service portals", True),
    ("filter", "KUBE-NODEPORTS", "INPUT", "kubernetes health check service ports", False),
    ("filter", "KUBE-SERVICES", "FORWARD", "kubernetes service portals", True),
    ("filter", "KUBE-SERVICES", "OUTPUT", "kubernetes service portals", True),
    ("filter", "KUBE-FORWARD", "FORWARD", "kubernetes forwarding rules", False),
    ("filter", "KUBE-PROXY-FIREWALL", "INPUT", "kubernetes load balancer firewall", True),
    ("filter", "KUBE-PROXY-FIREWALL", "OUTPUT", "kubernetes load balancer firewall", True),
    ("filter", "KUBE-PROXY-FIREWALL", "FORWARD", "kubernetes load balancer firewall", True),
    ("nat", "KUBE-SERVICES", "OUTPUT", "kubernetes service portals", False),
    ("nat", "KUBE-SERVICES", "PREROUTING", "kubernetes service portals", False),
    ("nat", "KUBE-POSTROUTING", "POSTROUTING", "kubernetes postrouting rules", False),
)
FILTER_CHAINS = ("KUBE-SERVICES", "KUBE-EXTERNAL-SERVICES", "KUBE-FORWARD", "KUBE-NODEPORTS", "KUBE-PROXY-FIREWALL")
NAT_CHAINS = ("KUBE-SERVICES", "KUBE-NODEPORTS", "KUBE-POSTROUTING", "KUBE-MARK-MASQ")


def iptables_setup():
    """What kube-proxy makes sure of once: its chains, and the kernel's chains jumping to them, the latest in front."""
    lines = []
    for table, chains in (("filter", FILTER_CHAINS), ("nat", NAT_CHAINS)):
        lines += [f"*{table}", *(f":{chain} - [0:0]" for chain in chains)]
        for where, chain, source, comment, is_new in IPTABLES_JUMPS:
            if where == table:
                state = "-m conntrack --ctstate NEW " if is_new else ""
                lines.append(f'-I {source} {state}-m comment --comment "{comment}" -j {chain}')
        lines.append("COMMIT")
    return "\n".join(lines) + "\n"


class Iptables:
    """The two tables of one transaction being written."""

    def __init__(self, is_large, cluster_cidr):
        self.is_large, self.cluster_cidr = is_large, cluster_cidr
        self.filter_rules, self.nat_chains, self.nat_rules = [], [], []

    def comment(self, text):
        """Of the rules there are many of; a large cluster has none there."""
        return "" if self.is_large else f"-m comment --comment {text} "

    def top_level(self, service):
        """What every transaction repeats of every service."""
        match = f"-m {service.protocol} -p {service.protocol}"
        if not service.backends:
            self.filter_rules.append(f'-A KUBE-SERVICES -m comment --comment "{service.full_name} has no endpoints" {match} -d {service.cluster_ip} '
                                     f"--dport {service.port} -j REJECT")
            if service.node_port:
                self.filter_rules.append(f'-A KUBE-EXTERNAL-SERVICES -m comment --comment "{service.full_name} has no endpoints" -m addrtype '
                                         f"--dst-type LOCAL {match} --dport {service.node_port} -j REJECT")
            return
        self.nat_rules.append(f'-A KUBE-SERVICES -m comment --comment "{service.full_name} cluster IP" {match} -d {service.cluster_ip} '
                              f"--dport {service.port} -j {iptables_chain('SVC', service)}")
        if service.node_port:
            self.nat_rules.append(f"-A KUBE-NODEPORTS -m comment --comment {service.full_name} {match} --dport {service.node_port} "
                                  f"-j {iptables_chain('EXT', service)}")

    def chains_of(self, service):
        """The chains of a service and of its endpoints."""
        if not service.backends:
            return
        chain, match = iptables_chain("SVC", service), f"-m {service.protocol} -p {service.protocol}"
        endpoints = [(endpoint_text(backend), backend[0]) for backend in service.backends]
        self.nat_chains.append(chain)
        self.nat_rules.append(f'-A {chain} -m comment --comment "{service.full_name} cluster IP" {match} -d {service.cluster_ip} '
                              f"--dport {service.port} ! -s {self.cluster_cidr} -j KUBE-MARK-MASQ")
        if service.node_port:
            external = iptables_chain("EXT", service)
            self.nat_chains.append(external)
            self.nat_rules += [f'-A {external} -m comment --comment "masquerade traffic for {service.full_name} external destinations" -j KUBE-MARK-MASQ',
                               f"-A {external} -j {chain}"]
        for place, (endpoint, address) in enumerate(endpoints):
            of_endpoint, left = iptables_chain("SEP", service, endpoint), len(endpoints) - place
            chance = f"-m statistic --mode random --probability {1 / left:.10f} " if left > 1 else ""
            arrow = f'"{service.full_name} -> {endpoint}"'
            self.nat_chains.append(of_endpoint)
            self.nat_rules += [f"-A {chain} {self.comment(arrow)}{chance}-j {of_endpoint}",
                               f"-A {of_endpoint} {self.comment(service.full_name)}-s {address} -j KUBE-MARK-MASQ",
                               f"-A {of_endpoint} {self.comment(service.full_name)}{match} -j DNAT --to-destination {endpoint}"]

    def text(self, stale_chains=()):
        lines = ["*filter", *(f":{chain} - [0:0]" for chain in FILTER_CHAINS), *self.filter_rules,
                 "-A KUBE-FORWARD -m conntrack --ctstate INVALID -j DROP",
                 f'-A KUBE-FORWARD -m comment --comment "kubernetes forwarding rules" -m mark --mark {MARK}/{MARK} -j ACCEPT',
                 '-A KUBE-FORWARD -m comment --comment "kubernetes forwarding conntrack rule" -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT',
                 "COMMIT", "*nat", *(f":{chain} - [0:0]" for chain in (*NAT_CHAINS, *self.nat_chains, *stale_chains)),
                 f"-A KUBE-POSTROUTING -m mark ! --mark {MARK}/{MARK} -j RETURN",
                 f"-A KUBE-POSTROUTING -j MARK --xor-mark {MARK}",
                 '-A KUBE-POSTROUTING -m comment --comment "kubernetes service traffic requiring SNAT" -j MASQUERADE --random-fully',
                 f"-A KUBE-MARK-MASQ -j MARK --or-mark {MARK}",
                 *self.nat_rules,
                 '-A KUBE-SERVICES -m comment --comment "kubernetes service nodeports; NOTE: this must be the last rule in this chain" '
                 "-m addrtype --dst-type LOCAL -j KUBE-NODEPORTS",
                 *(f"-X {chain}" for chain in stale_chains), "COMMIT"]
        return "\n".join(lines) + "\n"


def iptables_sync(services, cluster_cidr, changed=None, before=None):
    """A transaction that makes the rules those of `services`.

    Without `changed`: all of them. With it, what kube-proxy writes for a change of that service from `before`: the top-level chains
    whole, since they are written anew each time, and below them the chains of this service only.
    """
    is_large = sum(len(service.backends) for service in services) > LARGE_CLUSTER_ENDPOINTS
    tables = Iptables(is_large, cluster_cidr)
    for service in services:
        tables.top_level(service)
        if changed is None or service is changed:
            tables.chains_of(service)
    stale = []
    if before is not None and not is_large:
        known = Iptables(is_large, cluster_cidr)
        known.chains_of(before)
        stale = [chain for chain in known.nat_chains if chain not in tables.nat_chains]
    return tables.text(stale)


# ---- nftables ----------------------------------------------------------------------------------------------------------

# (name, type, hook, priority)
NFT_BASE_CHAINS = (
    ("filter-prerouting", "filter", "prerouting", -110), ("filter-input", "filter", "input", -110), ("filter-forward", "filter", "forward", -110),
    ("filter-output", "filter", "output", -110), ("filter-output-post-dnat", "filter", "output", -90),
    ("nat-prerouting", "nat", "prerouting", -100), ("nat-output", "nat", "output", -100), ("nat-postrouting", "nat", "postrouting", 100),
)
# (jumped to, from, condition)
NFT_JUMPS = (
    ("nodeport-endpoints-check", "filter-input", "ct state new "), ("service-endpoints-check", "filter-input", "ct state new "),
    ("service-endpoints-check", "filter-forward", "ct state new "), ("service-endpoints-check", "filter-output", "ct state new "),
    ("firewall-check", "filter-prerouting", "ct state new "), ("firewall-check", "filter-output", "ct state new "),
    ("services", "nat-output", ""), ("services", "nat-prerouting", ""), ("masquerading", "nat-postrouting", ""),
    ("cluster-ips-check", "filter-forward", "ct state new "), ("cluster-ips-check", "filter-output-post-dnat", "ct state new "),
)
NFT_MAPS = (
    ("no-endpoint-services", "ipv4_addr . inet_proto . inet_service : verdict", "vmap to drop or reject packets to services with no endpoints"),
    ("no-endpoint-nodeports", "inet_proto . inet_service : verdict", "vmap to drop or reject packets to service nodeports with no endpoints"),
    ("firewall-ips", "ipv4_addr . inet_proto . inet_service : verdict", "destinations that are subject to LoadBalancerSourceRanges"),
    ("service-ips", "ipv4_addr . inet_proto . inet_service : verdict", "ClusterIP, ExternalIP and LoadBalancer IP traffic"),
    ("service-nodeports", "inet_proto . inet_service : verdict", "NodePort traffic"),
)
BY_ADDRESS = "ip daddr . meta l4proto . th dport vmap @"
BY_PORT = "meta l4proto . th dport vmap @"


def nft_chain(kind, service, backend=None):
    """service-HASH-ns/name/protocol/port, external-... and, of one endpoint, endpoint-HASH-.../port__address/port."""
    name = f"{service.namespace}/{service.name}/{service.protocol}/{service.port_name}"
    if backend is not None:
        name += f"__{backend[0]}/{backend[1]}"
    return f"{kind}-{name_hash(name, 8)}-{name}"


def nft_setup(service_cidr, node_addresses):
    """Table, base chains, the chains they jump to, sets and maps."""
    lines = [f'add table {TABLE} {{ comment "rules for kube-proxy" ; }}']
    for name, kind, hook, priority in NFT_BASE_CHAINS:
        lines += [f"add chain {TABLE} {name} {{ type {kind} hook {hook} priority {priority} ; }}", f"flush chain {TABLE} {name}"]
    for chain in (*dict.fromkeys(jump[0] for jump in NFT_JUMPS), "mark-for-masquerade"):
        lines += [f"add chain {TABLE} {chain}", f"flush chain {TABLE} {chain}"]
    lines += [f"add rule {TABLE} {source} {condition}jump {chain}" for chain, source, condition in NFT_JUMPS]
    lines += [f"add rule {TABLE} mark-for-masquerade mark set mark or {MARK}", f"add rule {TABLE} masquerading mark and {MARK} == 0 return",
              f"add rule {TABLE} masquerading mark set mark xor {MARK}", f"add rule {TABLE} masquerading masquerade fully-random",
              f'add set {TABLE} cluster-ips {{ type ipv4_addr ; comment "Active ClusterIPs" ; }}',
              f'add rule {TABLE} cluster-ips-check ip daddr @cluster-ips reject comment "Reject traffic to invalid ports of ClusterIPs"',
              f'add rule {TABLE} cluster-ips-check ip daddr {{ {service_cidr} }} drop comment "Drop traffic to unallocated ClusterIPs"',
              f'add set {TABLE} nodeport-ips {{ type ipv4_addr ; comment "IPs that accept NodePort traffic" ; }}', f"flush set {TABLE} nodeport-ips"]
    lines += [f"add element {TABLE} nodeport-ips {{ {address} }}" for address in node_addresses]
    for name, kind, comment in NFT_MAPS:
        lines.append(f'add map {TABLE} {name} {{ type {kind} ; comment "{comment}" ; }}')
    lines += [f'add chain {TABLE} reject-chain {{ comment "helper for @no-endpoint-services / @no-endpoint-nodeports" ; }}', f"flush chain {TABLE} reject-chain",
              f"add rule {TABLE} reject-chain reject",
              f"add rule {TABLE} service-endpoints-check {BY_ADDRESS}no-endpoint-services",
              f"add rule {TABLE} nodeport-endpoints-check ip daddr @nodeport-ips {BY_PORT}no-endpoint-nodeports",
              f"add rule {TABLE} firewall-check {BY_ADDRESS}firewall-ips",
              f"add rule {TABLE} services {BY_ADDRESS}service-ips",
              f"add rule {TABLE} services ip daddr @nodeport-ips {BY_PORT}service-nodeports"]
    return "\n".join(lines) + "\n"


def nft_elements(service):
    """Its elements of sets and maps: (set or map, key and value)."""
    key, port_key = f"{service.cluster_ip} . {service.protocol} . {service.port}", f"{service.protocol} . {service.node_port}"
    elements = [("cluster-ips", service.cluster_ip)]
    if service.backends:
        elements.append(("service-ips", f"{key} : goto {nft_chain('service', service)}"))
    else:
        elements.append(("no-endpoint-services", f'{key} comment "{service.full_name}" : goto reject-chain'))
    if service.node_port and service.backends:
        elements.append(("service-nodeports", f"{port_key} : goto {nft_chain('external', service)}"))
    elif service.node_port:
        elements.append(("no-endpoint-nodeports", f'{port_key} comment "{service.full_name}" : goto reject-chain'))
    return elements


def nft_chains(service, cluster_cidr):
    """The chains of a service and of its endpoints, emptied and filled."""
    if not service.backends:
        return []
    chain = nft_chain("service", service)
    external = [nft_chain("external", service)] if service.node_port else []
    endpoints = [(nft_chain("endpoint", service, backend), backend) for backend in service.backends]
    lines = []
    for name in (*(name for name, _ in endpoints), chain, *external):
        lines += [f"add chain {TABLE} {name}", f"flush chain {TABLE} {name}"]
    lines.append(f"add rule {TABLE} {chain} ip daddr {service.cluster_ip} {service.protocol} dport {service.port} ip saddr != {cluster_cidr} "
                 "jump mark-for-masquerade")
    for name in external:
        lines += [f"add rule {TABLE} {name} jump mark-for-masquerade", f"add rule {TABLE} {name} goto {chain}"]
    goto = " , ".join(f"{place} : goto {name}" for place, (name, _) in enumerate(endpoints))
    lines.append(f"add rule {TABLE} {chain} numgen random mod {len(endpoints)} vmap {{ {goto} }}")
    for name, backend in endpoints:
        lines += [f"add rule {TABLE} {name} ip saddr {backend[0]} jump mark-for-masquerade",
                  f"add rule {TABLE} {name} meta l4proto {service.protocol} dnat to {endpoint_text(backend)}"]
    return lines


def nft_sync(services, cluster_cidr, changed=None, before=None):
    """As iptables_sync(): all services, or what a change of one from `before` takes, which is that service alone.

    Chains that are no longer used are emptied; kube-proxy removes them a second later, in a transaction of its own.
    """
    lines = []
    for service in services if changed is None else [changed]:
        elements = nft_elements(service)
        if before is not None:
            known = nft_elements(before)
            lines += [f"delete element {TABLE} {where} {{ {element.split(' : ')[0]} }}" for where, element in known if (where, element) not in elements]
            elements = [element for element in elements if element not in known]
        lines += nft_chains(service, cluster_cidr)
        lines += [f"add element {TABLE} {where} {{ {element} }}" for where, element in elements]
    if before is not None:
        lines += [f"flush chain {TABLE} {nft_chain('endpoint', before, backend)}" for backend in before.backends if backend not in changed.backends]
    return "\n".join(lines) + "\n"


# ---- in a namespace ----------------------------------------------------------------------------------------------------

def missing_program(mode):
    """The program that a mode needs and that is not there, or None."""
    program = PROGRAMS[mode][0]
    return None if shutil.which(program) else program


class KubeProxy:
    """A node's kube-proxy as far as packets see it. `node` has command(list), as it runs in the node's namespace, `ipv4` and `netns`."""

    def __init__(self, node, mode, cluster_cidr, service_cidr):
        if not node.netns:
            raise LabError("kube-proxy's rules are loaded inside a network namespace only")
        self.node, self.mode, self.cluster_cidr, self.service_cidr = node, mode, cluster_cidr, service_cidr
        self.services = {}

    def load(self, services):
        """All services from nothing; seconds that the transactions took, setting up the chains included."""
        self.services = {service.name: service for service in services}
        if self.mode == "iptables":
            return self.run(iptables_setup()) + self.run(iptables_sync(services, self.cluster_cidr))
        seconds = self.run(nft_setup(self.service_cidr, [self.node.ipv4]))
        for first in range(0, len(services), SERVICES_PER_TRANSACTION):
            seconds += self.run(nft_sync(services[first:first + SERVICES_PER_TRANSACTION], self.cluster_cidr))
        return seconds

    def change_text(self, service):
        """The transaction of the change of one service that is known, and the change noted."""
        before, self.services[service.name] = self.services[service.name], service
        sync = nft_sync if self.mode == "nft" else iptables_sync
        return sync(list(self.services.values()), self.cluster_cidr, changed=service, before=before)

    def change(self, service):
        """Seconds that the transaction of a change took; writing its text is kube-proxy's own time and not counted."""
        return self.run(self.change_text(service))

    def run(self, text):
        program = PROGRAMS[self.mode]
        started = time.monotonic()
        done = subprocess.run(self.node.command(program), input=text, text=True, capture_output=True, env=dict(os.environ, LC_ALL="C"))
        if done.returncode != 0:
            raise LabError(f"{' '.join(program)} in {self.node.netns} ended with {done.returncode}: {done.stderr[-1000:]}")
        return time.monotonic() - started
