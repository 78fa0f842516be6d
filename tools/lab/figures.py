"""Figures of a benchmark: per-round samples, their medians and 5-95 % bands, the object that every producer prints."""
import datetime
import os
import pathlib
import platform
import re
import sys
import time

import lab as labs
from lab import run


def quantile(values, p):
    """Linear between the nearest two of the sorted values."""
    ordered = sorted(values)
    place = p * (len(ordered) - 1)
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def rounded(value, digits=4):
    """Four digits that mean something, not seventeen."""
    return float(f"{value:.{digits}g}")


def band(values):
    return {"median": rounded(quantile(values, 0.5)), "p05": rounded(quantile(values, 0.05)), "p95": rounded(quantile(values, 0.95))}


def ratios(ours, theirs, better):
    """Round by round, >= 1 where we win."""
    return [a / b if better == "higher" else b / a for a, b in zip(ours, theirs) if a > 0 and b > 0]


class Rounds:
    """Samples of interleaved rounds: rounds.add(round, key, value); a key is any hashable, and each round has each key once."""

    def __init__(self, most_steal=0.01):
        self.values, self.steal, self.most_steal = {}, {}, most_steal

    def add(self, number, key, value):
        self.values.setdefault(key, {})[number] = value

    def note_steal(self, number, share):
        self.steal[number] = max(self.steal.get(number, 0.0), share)

    def discarded(self):
        """Rounds in which the hypervisor took the cores away; all are kept when fewer than three would be left, and said so by notes()."""
        stolen = {number for number, share in self.steal.items() if share > self.most_steal}
        return stolen if len(self.steal) - len(stolen) >= 3 else set()

    def of(self, key):
        """The samples of a key in round order, as comparable with another key's."""
        left_out = self.discarded()
        return [value for number, value in sorted(self.values[key].items()) if number not in left_out]

    def notes(self, name):
        stolen = [number for number, share in self.steal.items() if share > self.most_steal]
        if not stolen:
            return []
        share = f"{max(self.steal.values()) * 100:.1f} %"
        if self.discarded():
            return [f"{name}: {len(stolen)} of {len(self.steal)} rounds left out, the hypervisor took up to {share} of the cores"]
        return [f"{name}: the hypervisor took up to {share} of the cores in {len(stolen)} of {len(self.steal)} rounds; too few to leave any out"]


def figure(name, title, unit, better, samples, parameters, peer=None, target=None, limits=None):
    """One entry of `figures`. peer: (name, samples) of the same rounds; target: {"at_most"|"at_least": x[, "of": "peer"]};
    limits: a sentence, printed when the target is not held."""
    entry = {"id": name, "title": title, "unit": unit, "better": better, **band(samples), "rounds": len(samples), "parameters": parameters}
    if peer:
        peer_name, theirs = peer
        entry["peer"] = {"name": peer_name, **band(theirs)}
        per_round = ratios(samples, theirs, better)
        if per_round:
            entry["peer"]["ratio"] = band(per_round)
    if target:
        judged = entry["median"]
        if target.get("of") == "peer":
            judged = entry["peer"]["ratio"]["median"]
        entry["target"] = target
        entry["held"] = judged <= target["at_most"] if "at_most" in target else judged >= target["at_least"]
        if not entry["held"] and limits:
            entry["limits"] = limits
    return entry


class Progress:
    """A bar on standard error, on a terminal only."""

    def __init__(self, steps):
        self.steps, self.done, self.shown = steps, 0, sys.stderr.isatty()

    def step(self, text):
        if self.shown:
            filled = 30 * self.done // max(1, self.steps)
            print(f"\r[{'#' * filled}{'.' * (30 - filled)}] {100 * self.done // max(1, self.steps):3d} %  {text:<48.48}", end="", file=sys.stderr, flush=True)
        self.done += 1

    def end(self):
        if self.shown:
            print("\r" + " " * 90 + "\r", end="", file=sys.stderr, flush=True)


def first_match(pattern, text, fallback=None):
    found = re.search(pattern, text, re.MULTILINE)
    return found.group(1).strip() if found else fallback


def mitigations():
    if "mitigations=off" in pathlib.Path("/proc/cmdline").read_text().split():
        return "off"
    active = []
    for path in sorted(pathlib.Path("/sys/devices/system/cpu/vulnerabilities").glob("*")):
        text = path.read_text().strip()
        if text.startswith("Mitigation"):
            active.append(f"{path.name}: {text.removeprefix('Mitigation: ').split(';')[0]}")
        elif text.startswith("Vulnerable"):
            active.append(f"{path.name}: vulnerable")
    return "; ".join(active) or "none needed"


def tsc_ghz():
    """What the kernel found at boot; None when its messages are gone."""
    messages = run(["dmesg"], check=False).stdout
    mhz = first_match(r"tsc: Refined TSC clocksource calibration: ([\d.]+) MHz", messages) or first_match(r"tsc: Detected ([\d.]+) MHz", messages)
    return round(float(mhz) / 1000, 3) if mhz else None


def machine(build):
    """What the figures were made on; the keys of the schema."""
    cpuinfo, meminfo = pathlib.Path("/proc/cpuinfo").read_text(), pathlib.Path("/proc/meminfo").read_text()
    cache = pathlib.Path(build) / "CMakeCache.txt"
    compiler = first_match(r"^CMAKE_CXX_COMPILER:\w+=(.*)$", cache.read_text() if cache.exists() else "", "c++")
    version = run([pathlib.Path(build) / "bin" / "fairlead", "version"], check=False).stdout
    commit = run(["git", "-C", labs.TOP, "describe", "--always", "--dirty", "--exclude", "*"], check=False).stdout.strip()
    return {"cpu": first_match(r"^model name\s*: (.*)$", cpuinfo, platform.machine()), "cores": os.cpu_count(), "tsc_ghz": tsc_ghz(),
            "memory_gib": round(int(first_match(r"^MemTotal:\s*(\d+)", meminfo)) / 2**20), "kernel": platform.release(),
            "hugepages": int(first_match(r"^HugePages_Total:\s*(\d+)", meminfo, "0")) > 0, "mitigations": mitigations(),
            "dpdk": run(["pkg-config", "--modversion", "libdpdk"], check=False).stdout.strip() or None,
            "compiler": f"{pathlib.Path(compiler).name} {run([compiler, '-dumpfullversion'], check=False).stdout.strip()}".strip(),
            "fairlead": first_match(r"^fairlead\s+(\S+)", version, "unknown") + (f"+{commit}" if commit else "")}


class Result:
    """Collects figures and notes; object() is what is printed."""

    def __init__(self, build, quick):
        self.started = datetime.datetime.now(datetime.timezone.utc)
        self.clock, self.quick, self.build = time.monotonic(), quick, build
        self.figures, self.notes = [], []

    def object(self):
        return {"schema": 1, "kind": "fairlead-bench", "started": self.started.strftime("%Y-%m-%dT%H:%M:%SZ"),
                "duration_s": round(time.monotonic() - self.clock, 1), "quick": self.quick, "machine": machine(self.build),
                "figures": self.figures, "notes": list(dict.fromkeys(self.notes))}
