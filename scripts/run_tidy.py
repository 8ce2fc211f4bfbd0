#!/usr/bin/env python3
"""Runs clang-tidy over our files of a build, on all cores, and remembers what was clean.

usage: run_tidy.py BUILD_FOLDER [FILE_PART...]

BUILD_FOLDER holds compile_commands.json (preset clang). Files whose preprocessed list of headers and
text did not change since they were clean are skipped; the memory is BUILD_FOLDER/tidy_clean.json.
FILE_PART limits the run to paths that contain one of the words.
"""
import concurrent.futures
import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys

from source_tree import ROOT, finish


def fingerprint(command, folder):
    """Hash of the command, .clang-tidy, the file and every header of ours that it includes."""
    words = shlex.split(command)
    while words and not re.search(r"(clang|g)\+\+", os.path.basename(words[0])):
        words.pop(0)
    out = [w for w in words if w != "-c"]
    if "-o" in out:
        at = out.index("-o")
        del out[at:at + 2]
    listing = subprocess.run(out + ["-MM"], cwd=folder, capture_output=True, text=True, check=False)
    names = [n for n in listing.stdout.replace("\\\n", " ").split() if not n.endswith(":")]
    state = hashlib.sha256(" ".join(out).encode())
    for name in sorted(set(names)) + [os.path.join(ROOT, ".clang-tidy")]:
        path = os.path.join(folder, name)
        if os.path.isfile(path):
            with open(path, "rb") as file:
                state.update(file.read())
    return state.hexdigest()


def tidy(tool, build, entry, clean):
    path = os.path.normpath(os.path.join(entry["directory"], entry["file"]))
    mark = fingerprint(entry["command"], entry["directory"])
    if clean.get(path) == mark:
        return path, mark, True, ""
    run = subprocess.run([tool, "--quiet", "-p", build, path], capture_output=True, text=True,
                         check=False)
    return path, mark, run.returncode == 0, run.stdout + ("" if run.returncode == 0 else run.stderr)


def main():
    if len(sys.argv) < 2 or sys.argv[1].startswith("-"):
        print(__doc__)
        return 2
    build = os.path.abspath(sys.argv[1])
    tool = shutil.which("clang-tidy-14") or shutil.which("clang-tidy")
    if tool is None:
        print("clang-tidy is missing; run ./dev setup")
        return 1
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        entries = json.load(file)
    ours = tuple(os.path.join(ROOT, part) + os.sep for part in ("src", "bench", "tests"))
    entries = [e for e in entries if e["file"].startswith(ours)
               and (len(sys.argv) == 2 or any(word in e["file"] for word in sys.argv[2:]))]
    memory = os.path.join(build, "tidy_clean.json")
    clean = {}
    if os.path.isfile(memory):
        with open(memory, encoding="utf-8") as file:
            clean = json.load(file)
    problems = []
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        jobs = [pool.submit(tidy, tool, build, entry, clean) for entry in entries]
        for job in concurrent.futures.as_completed(jobs):
            path, mark, good, text = job.result()
            if good:
                clean[path] = mark
            else:
                problems.append(os.path.relpath(path, ROOT) + "\n" + text.strip())
    with open(memory, "w", encoding="utf-8") as file:
        json.dump(clean, file, indent=0)
    return finish("clang-tidy", sorted(problems), len(entries))


if __name__ == "__main__":
    sys.exit(main())
