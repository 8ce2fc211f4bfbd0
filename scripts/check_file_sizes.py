#!/usr/bin/env python3
"""Holds the length of source files, the size of headers and the size of the whole repository.

usage: check_file_sizes.py

A source file of 1000 lines or more fails; so does a header over 250 lines that is not listed, with a
reason, in scripts/lint_exceptions.txt; so does a tree over 45 MB.
"""
import os
import sys

from source_tree import ROOT, exceptions, finish, read, tracked_files

MAX_LINES = 1000
MAX_HEADER_LINES = 250
MAX_TREE_BYTES = 45_000_000
SOURCES = (".cpp", ".h", ".cu", ".cuh", ".ts", ".js", ".css", ".py", ".sh")


def main():
    if len(sys.argv) > 1:
        print(__doc__)
        return 2
    problems = []
    headers = exceptions("header-lines")
    files = tracked_files()
    sources = [f for f in files if f.endswith(SOURCES)]
    for path in sources:
        lines = read(path).count("\n")
        if lines >= MAX_LINES:
            problems.append(f"{path} has {lines} lines; {MAX_LINES} is too many")
        elif path.endswith((".h", ".cuh")) and lines > MAX_HEADER_LINES and path not in headers:
            problems.append(f"{path} is a header of {lines} lines; {MAX_HEADER_LINES} is the limit")
    total = sum(os.path.getsize(os.path.join(ROOT, f)) for f in files)
    if total > MAX_TREE_BYTES:
        problems.append(f"the tree holds {total / 1e6:.1f} MB; {MAX_TREE_BYTES / 1e6:.0f} is the limit")
    return finish("file sizes", problems, len(sources))


if __name__ == "__main__":
    sys.exit(main())
