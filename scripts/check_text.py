#!/usr/bin/env python3
"""Looks for text that must not be in the tree.

usage: check_text.py

1. `catch` outside the files listed under `catch` in scripts/lint_exceptions.txt;
2. notes of unfinished work without an issue number: only the form with (#123) passes;
3. paths of somebody's machine and hosts of package registries;
4. code that prints outside the programs (libraries log), and #pragma once missing in a header.
"""
import re
import sys

from source_tree import exceptions, finish, read, tracked_files

CATCH = re.compile(r"^[^\"/\n]*\bcatch\s*\(", re.M)
# Written in pieces so that this file passes its own check.
NOTE = re.compile(r"\b(?:TO" r"DO(?!\(#\d+\))|FIX" r"ME|X" r"XX)\b")
MACHINE_PATH = re.compile(r"(?:^|[^A-Za-z0-9_.}\])*])/(?:work|root|home|farm)/")
REGISTRY = re.compile(r"https?://[^\s\"']*(?:registry|npm|debian\.org|pypi|pythonhosted|crates\.io)")
PRINTS = re.compile(r"^[^/\n\"]*(?:\bstd::(?:cout|cerr)\b|\b(?:std::)?f?printf\s*\(|\bfmt::print\s*\()", re.M)
MAY_PRINT = ("src/app/", "src/text/gen/", "src/base/log.cpp")
BINARY = (".safetensors", ".png", ".jpg", ".jpeg", ".webp", ".bmp", ".gif", ".bin", ".npz")
DATA = ("tests/golden/", "tests/fuzz/corpus/", "assets/")


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def main():
    if len(sys.argv) > 1:
        print(__doc__)
        return 2
    problems = []
    catchers = exceptions("catch")
    printers = exceptions("print")
    files = [f for f in tracked_files() if not f.endswith(BINARY) and not f.startswith(DATA)]
    for path in files:
        text = read(path)
        code = path.endswith((".cpp", ".h", ".cu", ".cuh"))
        rules = [(NOTE, "a note of unfinished work without an issue"),
                 (MACHINE_PATH, "a path of one machine"),
                 (REGISTRY, "the address of a package registry")]
        if code and path.startswith("src/"):
            test = path.endswith("_test.cpp")
            if not test and path not in catchers:
                rules.append((CATCH, "catch; errors travel to main() (scripts/lint_exceptions.txt)"))
            if not test and not path.startswith(MAY_PRINT) and path not in printers:
                rules.append((PRINTS, "printing; libraries use base/log.h"))
        for pattern, what in rules:
            for match in pattern.finditer(text):
                line = line_of(text, match.end() - 1)
                problems.append(f"{path}:{line}: {what}")
        if path.endswith((".h", ".cuh")) and "#pragma once" not in text:
            problems.append(f"{path}:1: #pragma once is missing")
    return finish("text", problems, len(files))


if __name__ == "__main__":
    sys.exit(main())
