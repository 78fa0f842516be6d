#!/usr/bin/env python3
"""Fails on an include that points the wrong way between rooms.

Each row says which other rooms a room may include, and which third-party headers belong to it alone. A room may
always include itself and the standard library.
"""
import pathlib
import re
import sys

ROOMS = {
    # room: rooms it may include
    "dataplane/packet": set(),
    "dataplane/tables": {"dataplane/packet"},
    "dataplane/base": set(),
    "dataplane/core": {"dataplane/packet", "dataplane/tables", "dataplane/base/result.hpp",
                       "dataplane/base/mapped_region.hpp", "dataplane/engine.hpp"},
    "dataplane/engine.hpp": {"dataplane/core", "dataplane/base"},
    "dataplane/underlay": {"dataplane/core", "dataplane/base"},
    "dataplane/rpc": {"dataplane/core", "dataplane/packet", "dataplane/base", "dataplane/engine.hpp"},
    "dataplane/ebpf": {"dataplane/core", "dataplane/tables", "dataplane/packet", "dataplane/base", "bpf"},
    "dataplane/dpdk": {"dataplane/core", "dataplane/tables", "dataplane/packet", "dataplane/base", "dataplane/engine.hpp"},
    "dataplane/daemon": {"dataplane"},
    "bpf": {"dataplane/packet", "dataplane/tables"},
    "controlplane/intent": {"dataplane/core", "dataplane/base"},
    "controlplane/calc": {"controlplane/intent", "dataplane/core", "dataplane/base"},
    "controlplane/manifests": {"controlplane/intent", "dataplane/core", "dataplane/base"},
    "controlplane/host": {"dataplane/core", "dataplane/base", "controlplane/intent"},
    "controlplane/ipam": {"dataplane/core", "dataplane/base"},
    "controlplane/cni": {"controlplane/ipam/attachment.hpp", "dataplane/base/result.hpp",
                         "dataplane/base/error_codes.hpp"},
    "controlplane/agent": {"controlplane", "dataplane/core", "dataplane/base", "dataplane/rpc"},
    "tools/cli": {"dataplane/rpc", "dataplane/base", "dataplane/core", "dataplane/engine.hpp",
                  "controlplane/manifests", "controlplane/intent", "bench/search"},
    "tools/lab": set(),
    "bench/search": set(),
    "bench": {"dataplane", "controlplane", "tests"},
}

# Third-party headers and the only rooms that may include them.
OWNED_HEADERS = {
    r"<rte_": {"dataplane/dpdk", "bench"},
    r"<(bpf/libbpf|bpf/bpf)\.h>|<xdp/": {"dataplane/ebpf", "dataplane/dpdk"},
    r"<libmnl/": {"dataplane/base", "dataplane/underlay", "controlplane/host"},
    r"<yaml-cpp/": {"controlplane/manifests"},
    r"<(sys/socket|unistd|fcntl)\.h>": None,  # None: every room but those below
}
NO_SYSCALLS = {"dataplane/packet", "dataplane/tables", "dataplane/core", "controlplane/intent", "controlplane/calc"}

INCLUDE = re.compile(r'^\s*#\s*include\s+(["<][^">]+[">])')


def room_of(path: str) -> str:
    best = ""
    for room in ROOMS:
        if (path == room or path.startswith(room + "/")) and len(room) > len(best):
            best = room
    return best


def allowed(room: str, included: str) -> bool:
    if room_of(included) == room:
        return True
    return any(included == target or included.startswith(target.rstrip("/") + "/") or included.startswith(target)
               for target in ROOMS[room])


def main() -> int:
    top = pathlib.Path(__file__).resolve().parents[2]
    problems = []
    files = 0
    for folder in ("dataplane", "controlplane", "bpf", "tools", "bench"):
        for path in sorted((top / folder).rglob("*")):
            if path.suffix not in (".h", ".hpp", ".c", ".cpp") or "/build/" in str(path):
                continue
            name = str(path.relative_to(top))
            room = room_of(name)
            if not room:
                problems.append(f"{name}: belongs to no room; add it to tools/checks/layers.py")
                continue
            files += 1
            for number, line in enumerate(path.read_text().splitlines(), 1):
                match = INCLUDE.match(line)
                if not match:
                    continue
                spelled = match.group(1)
                where = f"{name}:{number}"
                if spelled.startswith('"'):
                    target = spelled[1:-1]
                    if re.match(r"(dataplane|controlplane|bpf|tools|bench|tests)/", target):
                        if not allowed(room, target):
                            problems.append(f"{where}: {room} may not include {target}")
                for pattern, rooms in OWNED_HEADERS.items():
                    if not re.match(pattern, spelled):
                        continue
                    if rooms is None:
                        if room in NO_SYSCALLS:
                            problems.append(f"{where}: {room} makes no system calls, yet includes {spelled}")
                    elif room not in rooms:
                        problems.append(f"{where}: {spelled} belongs to {', '.join(sorted(rooms))} only")
    for problem in problems:
        print(problem)
    print(f"layers: {files} files, {len(problems)} includes that point the wrong way")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
