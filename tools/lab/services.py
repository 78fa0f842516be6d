"""Services of the laboratory: manifests of Services and EndpointSlices, servers in pods, and clients anywhere."""
import json
import pathlib
import subprocess

ANSWER = str(pathlib.Path(__file__).resolve().parent / "answer.py")


def is_ipv6(address):
    return ":" in address


def service(name, cluster_ips, ports, namespace="default", metadata=None, **spec):
    """A Service. `ports`: (name, protocol, port, target) or with a node port as fifth."""
    entries = []
    for port_name, protocol, port, target, *rest in ports:
        entry = {"name": port_name, "protocol": protocol, "port": port, "targetPort": target}
        if rest:
            entry["nodePort"] = rest[0]
        entries.append({key: value for key, value in entry.items() if value != ""})
    body = {"type": "ClusterIP", "ports": entries, **spec}
    if cluster_ips:
        body.update(clusterIP=cluster_ips[0], clusterIPs=cluster_ips,
                    ipFamilies=["IPv6" if is_ipv6(ip) else "IPv4" for ip in cluster_ips])
    status = body.pop("status", None)
    made = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": namespace, **(metadata or {})},
            "spec": body}
    if status:
        made["status"] = status
    return made


def endpoint(pod, ipv6=False, ready=True, serving=None, terminating=False, address=None, **more):
    """What an EndpointSlice says of a pod of the laboratory."""
    made = {"addresses": [address or (pod.ipv6 if ipv6 else pod.ipv4)],
            "conditions": {"ready": ready, "serving": ready if serving is None else serving, "terminating": terminating},
            "nodeName": pod.node.name, "targetRef": {"kind": "Pod", "name": pod.name, "namespace": pod.pod_namespace}}
    made.update(more)
    return made


def endpoint_slice(name, of, ports, endpoints, ipv6=False, namespace="default", labels=None):
    """An EndpointSlice of Service `of`. `ports`: (name, protocol, port)."""
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice", "addressType": "IPv6" if ipv6 else "IPv4",
            "metadata": {"name": name, "namespace": namespace, "labels": {"kubernetes.io/service-name": of, **(labels or {})}},
            "ports": [{"name": port_name, "protocol": protocol, "port": port} for port_name, protocol, port in ports],
            "endpoints": endpoints}


def put(lab, file_name, *objects):
    """Writes objects as one manifest; none: the file goes."""
    path = lab.manifests / f"{file_name}.yaml"
    if not objects:
        path.unlink(missing_ok=True)
        return
    lab.write(path.name, json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)}, indent=1))


def serve(where, name, *ports):
    """Starts the answering server; `where` has start() and command(): a pod or a node."""
    start = where.start if hasattr(where, "start") else where.lab.start
    command = ["python3", ANSWER, "serve", name, *map(str, ports)]
    server = start(command if hasattr(where, "start") else where.command(command), stdout=subprocess.PIPE)
    if server.stdout.readline().strip() != "ready":
        raise RuntimeError(f"{name}: the server did not start")
    return server


def ask(command, address, port, count=1, *options, timeout=120):
    """Asks from where `command` leads (pod.command, node.command, ...); returns what the client printed."""
    done = subprocess.run([str(part) for part in command(["python3", ANSWER, "ask", address, str(port), str(count), *map(str, options)])],
                          text=True, capture_output=True, timeout=timeout)
    if done.returncode != 0:
        raise RuntimeError(f"the client failed: {done.stderr}")
    return json.loads(done.stdout)


class Held:
    """Connections that stay open (TCP), or one socket that goes on asking (UDP); ask() asks on all of them."""

    def __init__(self, command, what, address, port, *options):
        self.process = subprocess.Popen([str(part) for part in command(["python3", ANSWER, what, address, str(port), *map(str, options)])],
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        if self.process.stdout.readline().strip() != "ready":
            raise RuntimeError(f"no connection to {address} port {port}")

    def ask(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()
