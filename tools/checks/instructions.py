#!/usr/bin/env python3
"""Counts the instructions a packet costs in forward() and compares with what was recorded.

usage: instructions.py PROGRAM BASELINE [--record]

PROGRAM is bench/forward_instructions of a release build; callgrind counts inside of forward() only, so the
figures are the same in every run of one binary and tell a change of the hot loop from a noisy machine. More
than 3 % away from BASELINE, in either direction, fails: a gain is to be recorded, too, or the next loss hides in
it. --record writes BASELINE.
"""

import re
import subprocess
import sys
import tempfile

CASES = ("routed", "encap", "decap", "routed6", "reply", "new",
         "service", "service_reply", "service_encap", "service6", "service_reply6", "service_new")
PACKETS = 4096  # bench/forward_instructions.cpp: kFlows
TOLERANCE = 0.03


def count(program, case):
    with tempfile.NamedTemporaryFile(prefix="callgrind.") as out:
        run = subprocess.run(
            ["valgrind", "--tool=callgrind", "--collect-atstart=no", f"--callgrind-out-file={out.name}", program, case],
            capture_output=True, text=True, check=False)
    collected = re.search(r"Collected : (\d+)", run.stderr)
    if run.returncode != 0 or not collected:
        sys.exit(f"{case}: valgrind or the program failed ({run.returncode}):\n{run.stderr[-2000:]}")
    return int(collected.group(1)) / PACKETS


def read(path):
    with open(path, encoding="utf-8") as lines:
        words = [line.split() for line in lines if line.strip() and not line.startswith("#")]
    return {case: float(figure) for case, figure in words}


def main():
    arguments = [word for word in sys.argv[1:] if word != "--record"]
    if len(arguments) != 2:
        sys.exit(__doc__)
    program, baseline = arguments
    counted = {case: count(program, case) for case in CASES}
    if "--record" in sys.argv:
        with open(baseline, "w", encoding="utf-8") as out:
            out.write("# Instructions a packet in forward(), release build, g++ 12 of Debian 12; written by\n"
                      "# tools/checks/instructions.py --record\n")
            out.writelines(f"{case} {figure:.1f}\n" for case, figure in counted.items())
        return
    recorded = read(baseline)
    away = []
    for case, figure in counted.items():
        before = recorded.get(case)
        change = figure / before - 1 if before else float("inf")
        print(f"{case:14} {figure:8.1f} instructions a packet, recorded {before}, {change:+.1%}")
        if abs(change) > TOLERANCE:
            away.append(case)
    if away:
        sys.exit(f"{', '.join(away)}: more than {TOLERANCE:.0%} away from {baseline}.\n"
                 "If that is meant (see the reason in your commit's message), record it:\n"
                 f"  tools/checks/instructions.py {program} {baseline} --record")


if __name__ == "__main__":
    main()
