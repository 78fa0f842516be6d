"""Services as values: what a benchmark makes up, and the Kubernetes objects that say the same to an agent."""
import dataclasses
import ipaddress
import json

SERVICE_RANGE = ipaddress.ip_network("10.96.0.0/12")


@dataclasses.dataclass(frozen=True)
class Service:
    """One port of a Service, IPv4. Backends are (address, port), all with the same port as one EndpointSlice has it."""

    name: str
    cluster_ip: str
    port: int
    backends: tuple
    protocol: str = "tcp"
    node_port: int = 0
    port_name: str = ""
    namespace: str = "default"

    @property
    def full_name(self):
        """As kube-proxy writes a ServicePortName."""
        return f"{self.namespace}/{self.name}" + (f":{self.port_name}" if self.port_name else "")

    def with_backends(self, backends):
        return dataclasses.replace(self, backends=tuple(backends))


def cluster_ip(number):
    """Address `number` of the service range; the first 256 are left to people, as Kubernetes does."""
    return str(SERVICE_RANGE.network_address + 256 + number)


def made_up(count, addresses, backends=2, port=80, target_port=8080):
    """`count` services of `backends` endpoints each, drawn in turn from `addresses`: nobody has to live there."""
    addresses = [str(address) for address in addresses]
    return [Service(f"svc-{number}", cluster_ip(number), port,
                    tuple((addresses[(number * backends + place) % len(addresses)], target_port) for place in range(backends)))
            for number in range(count)]


def service_object(service):
    port = {"port": service.port, "protocol": service.protocol.upper()}
    if service.port_name:
        port["name"] = service.port_name
    if service.node_port:
        port["nodePort"] = service.node_port
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": service.name, "namespace": service.namespace},
            "spec": {"type": "NodePort" if service.node_port else "ClusterIP", "clusterIP": service.cluster_ip,
                     "clusterIPs": [service.cluster_ip], "ipFamilies": ["IPv4"], "ports": [port]}}


def slice_object(service, node=None):
    """All endpoints ready, on `node` when it is named. One slice: at most 1,000 endpoints, as the API has it."""
    where = {"nodeName": node} if node else {}
    port = {"port": service.backends[0][1] if service.backends else service.port, "protocol": service.protocol.upper(), "name": service.port_name}
    return {"apiVersion": "discovery.k8s.io/v1", "kind": "EndpointSlice",
            "metadata": {"name": f"{service.name}-1", "namespace": service.namespace, "labels": {"kubernetes.io/service-name": service.name}},
            "addressType": "IPv4",
            "endpoints": [{"addresses": [address], "conditions": {"ready": True, "serving": True, "terminating": False}, **where}
                          for address, _ in service.backends],
            "ports": [port]}


def manifest(services, node=None):
    """A file of all of them, an object a line: JSON, which every reader of YAML reads as well."""
    lines = []
    for service in services:
        lines += [json.dumps(service_object(service)), json.dumps(slice_object(service, node))]
    return '{"apiVersion": "v1", "kind": "List", "items": [\n' + ",\n".join(lines) + "\n]}\n"
