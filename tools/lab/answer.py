"""A server that says who answered whom, and its client: run inside the laboratory's namespaces.

    answer.py serve NAME PORT...                           TCP and UDP, IPv4 and IPv6, on every port
    answer.py ask ADDRESS PORT [COUNT] [--udp] [--port P] [--wait SECONDS]
    answer.py hold ADDRESS PORT COUNT                      opens COUNT connections; then, for each line read, asks on all of them
    answer.py talk ADDRESS PORT --port P                   one UDP socket; for each line read, one datagram and its answer
    answer.py http ADDRESS PORT PATH                       one GET: status and body

`ask`, `hold`, `talk` and `http` print JSON, one object a question: {"answers": {NAME: n}, "clients": [ADDRESS seen by the
servers], "errors": {"ECONNREFUSED": n}}.
"""
import argparse
import collections
import errno
import http.client
import json
import selectors
import socket
import sys


def listening(kind, port):
    made = socket.socket(socket.AF_INET6, kind)
    made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    made.bind(("::", port))
    if kind == socket.SOCK_STREAM:
        made.listen(4096)
        made.setblocking(False)
    return made


def text_of(name, peer, port):
    address = peer[0].removeprefix("::ffff:")
    return f"{name} {address} {peer[1]} {port}\n".encode()


def serve(name, ports):
    """Each line (a datagram, for UDP) is answered with: NAME, the client's address and port, our port."""
    selector = selectors.DefaultSelector()
    for port in ports:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            made = listening(kind, port)
            if kind == socket.SOCK_DGRAM:
                # Replies leave from the address that was asked.
                made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVPKTINFO, 1)
            selector.register(made, selectors.EVENT_READ, ("accept" if kind == socket.SOCK_STREAM else "datagram", port))
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            what, port = key.data
            if what == "accept":
                try:
                    connection, _peer = key.fileobj.accept()
                except BlockingIOError:
                    continue
                connection.setblocking(False)
                selector.register(connection, selectors.EVENT_READ, ("line", port))
            elif what == "datagram":
                data, ancillary, _flags, peer = key.fileobj.recvmsg(65536, 256)
                if data:
                    answer = text_of(name, peer, port)
                    key.fileobj.sendmsg([answer + data[len(answer):]], ancillary, 0, peer)
            else:
                try:
                    data = key.fileobj.recv(65536)
                    if data:
                        peer = key.fileobj.getpeername()
                        key.fileobj.sendall(text_of(name, peer, port) * data.count(b"\n"))
                except OSError:
                    data = b""
                if not data:
                    selector.unregister(key.fileobj)
                    key.fileobj.close()


class Tally:
    def __init__(self):
        self.answers, self.errors, self.clients = collections.Counter(), collections.Counter(), set()

    def answer(self, line):
        name, client, _client_port, _port = line.split()[:4]
        self.answers[name] += 1
        self.clients.add(client)

    def error(self, problem):
        if isinstance(problem, TimeoutError):
            self.errors["TIMEOUT"] += 1
        else:
            self.errors[errno.errorcode.get(problem.errno, "CLOSED") if problem.errno else "CLOSED"] += 1

    def show(self):
        print(json.dumps({"answers": self.answers, "clients": sorted(self.clients), "errors": self.errors}), flush=True)


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def opened(address, port, kind, own_port, wait):
    made = socket.socket(family_of(address), kind)
    made.settimeout(wait)
    if own_port:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        made.bind(("", own_port))
    made.connect((address, port))
    return made


def question(connection, size=0):
    connection.sendall(b"?" * size + b"\n")
    line = b""
    while not line.endswith(b"\n") and b"\n" not in line:
        data = connection.recv(65536)
        if not data:
            raise OSError(0, "closed")
        line += data
    return line.decode(errors="replace")


def ask(options):
    tally = Tally()
    kind = socket.SOCK_DGRAM if options.udp else socket.SOCK_STREAM
    for number in range(options.count):
        own_port = options.port + number if options.port else 0
        try:
            with opened(options.address, options.at, kind, own_port, options.wait) as connection:
                tally.answer(question(connection, options.size))
        except OSError as problem:
            tally.error(problem)
    tally.show()


def keep_asking(options):
    kind = socket.SOCK_DGRAM if options.what == "talk" else socket.SOCK_STREAM
    count = 1 if options.what == "talk" else options.count
    connections = [opened(options.address, options.at, kind, options.port, options.wait) for _ in range(count)]
    print("ready", flush=True)
    for _line in sys.stdin:
        tally = Tally()
        for connection in connections:
            try:
                tally.answer(question(connection, options.size))
            except OSError as problem:
                tally.error(problem)
        tally.show()


def get(options):
    connection = http.client.HTTPConnection(options.address, options.at, timeout=options.wait)
    try:
        connection.request("GET", options.path)
        answer = connection.getresponse()
        print(json.dumps({"status": answer.status, "body": answer.read().decode()}))
    except OSError as problem:
        print(json.dumps({"status": 0, "body": errno.errorcode.get(problem.errno or 0, str(problem))}))


def main():
    parser = argparse.ArgumentParser(description="a server that says who answered whom, and its client")
    what = parser.add_subparsers(dest="what", required=True)
    server = what.add_parser("serve")
    server.add_argument("name")
    server.add_argument("ports", type=int, nargs="+")
    for name in ("ask", "hold", "talk", "http"):
        client = what.add_parser(name)
        client.add_argument("address")
        client.add_argument("at", type=int)
        if name == "http":
            client.add_argument("path")
        elif name != "talk":
            client.add_argument("count", type=int, nargs="?", default=1)
        client.add_argument("--udp", action="store_true")
        client.add_argument("--port", type=int, default=0, help="of the client; ask: of the first, the next ones follow")
        client.add_argument("--size", type=int, default=0, help="bytes of a question")
        client.add_argument("--wait", type=float, default=3.0)
    options = parser.parse_args()
    if options.what == "serve":
        serve(options.name, options.ports)
    elif options.what == "ask":
        ask(options)
    elif options.what == "http":
        get(options)
    else:
        keep_asking(options)


if __name__ == "__main__":
    main()
