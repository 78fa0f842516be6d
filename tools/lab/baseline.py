"""The kernel without any Fairlead, as the peer of every comparison: two nodes over its routing or its VXLAN device, or one node."""
from lab import run


class KernelPod:
    """A namespace with eth0 at the other end of `host_device` in a kernel node."""

    def __init__(self, node, name, host_device, subnet, host, mtu):
        lab = node.lab
        self.node, self.name, self.mtu = node, name, mtu
        self.netns = f"{lab.prefix}-{name}"
        self.ipv4 = f"{subnet}.{host}"
        lab.add_netns(self.netns)
        node.ip("link", "add", host_device, "mtu", str(mtu), "type", "veth", "peer", "name", "eth0", "mtu", str(mtu), "netns", self.netns)
        node.ip("link", "set", host_device, "up")
        node.ip("addr", "add", f"{subnet}.1/32", "dev", host_device)
        node.ip("route", "add", f"{self.ipv4}/32", "dev", host_device)
        for arguments in (["link", "set", "lo", "up"], ["link", "set", "eth0", "up"], ["addr", "add", f"{self.ipv4}/32", "dev", "eth0"],
                          ["route", "add", f"{subnet}.1/32", "dev", "eth0"], ["route", "add", "default", "via", f"{subnet}.1"]):
            run(["ip", "-n", self.netns, *arguments])

    def command(self, command):
        return ["ip", "netns", "exec", self.netns, *[str(part) for part in command]]


class KernelPair:
    """Two kernel nodes with one pod each, over plain routes (`routed`) or a VXLAN device (`vxlan`).

    `gro`: the receiver's uplink merges segments. The VXLAN device is left as the kernel makes it, and that merges what it decapsulates:
    without it the kernel's VXLAN is half as fast, a peer that nobody runs. Whether the frames on the wire are of MTU size is the lab's
    to say (Lab.offloads), for everyone alike.
    """

    def __init__(self, cluster, kind, base, gro=False, name=None):
        self.kind, self.gro, self.base, self.pods, self.nodes = kind, gro, base, [], []
        self.name = name = name or f"k{kind[0]}{'g' if gro else ''}"
        for side in range(2):
            node = cluster.add_kernel_node(f"{name}{side}", base + side)
            mtu = cluster.mtu - 50 if kind == "vxlan" else cluster.mtu
            other = f"10.245.{base + 1 - side}"
            self.pods.append(KernelPod(node, f"{name}pod{side}", "p0", f"10.245.{base + side}", 2, mtu))
            peer = cluster.underlay_addresses(base + 1 - side, 0)[0]
            if kind == "vxlan":
                node.ip("link", "add", "vx0", "type", "vxlan", "id", "77", "dstport", "4789", "local", node.ipv4, "remote", peer, "dev", "u0")
                node.ip("addr", "add", f"172.31.{base}.{side + 1}/24", "dev", "vx0")
                node.ip("link", "set", "vx0", "up")
                node.ip("route", "add", f"{other}.0/24", "via", f"172.31.{base}.{2 - side}")
            else:
                node.ip("route", "add", f"{other}.0/24", "via", peer)
            run(["ip", "netns", "exec", node.netns, "ethtool", "-K", "u0", "gro", "on" if gro else "off"])
            self.nodes.append(node)

    def add_pod(self, side, number):
        """Another pod, the `number`-th from 1 on, beside the one of that side."""
        node = self.nodes[side]
        return KernelPod(node, f"{self.name}pod{side}.{number}", f"p{number}", f"10.245.{self.base + side}", 2 + number, self.pods[side].mtu)


class KernelHost:
    """One kernel node with two pods: from veth to veth by the routing table."""

    def __init__(self, cluster, base):
        node = cluster.add_kernel_node("klocal", base)
        self.pods = [KernelPod(node, f"klpod{side}", f"p{side}", f"10.245.{base}", 2 + side, cluster.mtu) for side in range(2)]
        self.nodes = [node]
