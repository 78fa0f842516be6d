#!/usr/bin/env python3
"""Fails on an error code in the code that `fairlead explain` does not know. (The table may know more: codes are never reused.)"""
import pathlib
import re
import sys

root = pathlib.Path(__file__).resolve().parent.parent.parent
table = root / "dataplane/base/error_codes.def"
known = set(re.findall(r"FL_ERROR\((FL\d{4})", table.read_text()))
used = {}
for folder in ("dataplane", "controlplane", "tools"):
    for path in sorted((root / folder).rglob("*")):
        if path == table or path.suffix not in {".cpp", ".hpp", ".h", ".py", ".mjs", ""} or not path.is_file():
            continue
        if "node_modules" in path.parts:
            continue
        if path.name == pathlib.Path(__file__).name:
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1):
            code_part = line if path.suffix in {".py", ""} else line.split("//")[0]
            for code in re.findall(r"""(?:["'\[]|error\[)(FL\d{4})(?=["'\]])""", code_part):
                used.setdefault(code, f"{path.relative_to(root)}:{number}")

problems = [f"{place}: {code} is not in {table.relative_to(root)}" for code, place in used.items() if code not in known]
for problem in sorted(problems):
    print(problem)
sys.exit(1 if problems else 0)
