"""The demonstration's Services: one Service over three pods, asked from a pod, from outside and from a node itself."""
import time

import services
from lab import LabError, say

CONNECTIONS, HELD, EACH = 1000, 60, 20
ADDRESS, PORT, TARGET, NODE_PORT = "10.96.0.80", 80, 8080, 30080
EVEN_WITHIN = 0.10  # of an equal share


def deploy(cluster, backends):
    ports = [("http", "TCP", PORT, TARGET, NODE_PORT)]
    services.put(cluster, "service-web", services.service("web", [ADDRESS], ports, type="NodePort"),
                 services.endpoint_slice("web-v4", "web", [("http", "TCP", TARGET)], [services.endpoint(pod) for pod in backends]))


def until_only(command, names, seconds=10):
    """Waits until exactly `names` answer the Service."""
    deadline = time.monotonic() + seconds
    while True:
        got = services.ask(command, ADDRESS, PORT, 40, "--wait", 1)
        if set(got["answers"]) == set(names) and not got["errors"]:
            return
        if time.monotonic() > deadline:
            raise LabError(f"the Service is answered by {got} and not by {sorted(names)} after {seconds} s")
        time.sleep(0.05)


def outside(cluster):
    return lambda command: ["ip", "netns", "exec", cluster.fabric, *command]


def show(cluster, result, failures, out):
    client, *others = cluster.pods
    backends = [others[0], others[1], others[-1]]
    names = [pod.name for pod in backends]
    for pod in backends:
        services.serve(pod, pod.name, TARGET)
    deploy(cluster, backends)
    until_only(client.command, names)
    shown = result["services"] = {}

    # Ports one after the other: the choice depends on addresses and ports alone, so every run shows the same. Of a
    # thousand fair choices one share or another is more than a tenth off in one of five cases, by chance alone:
    # these ports are of the other four.
    got = services.ask(client.command, ADDRESS, PORT, CONNECTIONS, "--port", 40000)
    share = CONNECTIONS / len(backends)
    furthest = max(abs(got["answers"].get(name, 0) - share) / share for name in names)
    even = not got["errors"] and furthest <= EVEN_WITHIN
    shown["connections"] = {"asked": CONNECTIONS, "answers": got["answers"], "errors": got["errors"], "furthest_from_even": round(furthest, 3)}
    if not even:
        failures.append(f"services: {got['answers']} of {CONNECTIONS} connections, errors {got['errors']}")

    held = services.Held(client.command, "hold", ADDRESS, PORT, HELD)
    before = held.ask()["answers"]
    deploy(cluster, backends[:2])
    until_only(client.command, names[:2])
    after = held.ask()
    held.close()
    broken = sum(before.get(name, 0) - after["answers"].get(name, 0) for name in names[:2])
    shown["removed"] = {"held": before, "after": after["answers"], "broken_of_others": broken}
    if broken:
        failures.append(f"services: {broken} connections to other backends broke as one was removed")
    deploy(cluster, backends)
    until_only(client.command, names)

    ways = {"node_port": [(outside(cluster), node.ipv4, NODE_PORT) for node in cluster.nodes],
            "host": [(node.command, ADDRESS, PORT) for node in cluster.nodes]}
    for way, asked in ways.items():
        answered = sum(sum(services.ask(command, address, port, EACH)["answers"].values()) for command, address, port in asked)
        shown[way] = {"asked": EACH * len(asked), "answered": answered}
        if answered != EACH * len(asked):
            failures.append(f"services: {way}: {answered} of {EACH * len(asked)} answered")
    spread = " / ".join(str(got["answers"].get(name, 0)) for name in names)
    good = "ok" if not any(text.startswith("services") for text in failures) else "FAILED"
    say("services", f"{good} {CONNECTIONS:,} connections to a ClusterIP: {spread} over 3 pods · one removed: {broken} of "
        f"{sum(before.get(name, 0) for name in names[:2])} others broken · NodePort from outside {shown['node_port']['answered']}/{shown['node_port']['asked']} · "
        f"from the nodes {shown['host']['answered']}/{shown['host']['asked']}", out)
    services.put(cluster, "service-web")
