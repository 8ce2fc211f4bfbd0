#!/usr/bin/env python3
"""Runs clang-tidy over our files of a build and remembers what was clean.

usage: run_tidy.py [-j JOBS] [--since REVISION] BUILD_FOLDER [FILE_PART...]

BUILD_FOLDER holds compile_commands.json (preset clang). Files whose command, text and headers did not
change since they were clean are skipped; the memory is BUILD_FOLDER/tidy_clean.json.
FILE_PART limits the run to paths that contain one of the words, --since to what git says has changed
since REVISION (committed or not) and to what includes such a header. JOBS: all cores where absent.
"""
import argparse
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


def look_at(command, folder):
    """The files of ours that one command reads, and a hash of them, the command and .clang-tidy."""
    words = shlex.split(command)
    while words and not re.search(r"(clang|g)\+\+", os.path.basename(words[0])):
        words.pop(0)
    out = [w for w in words if w != "-c"]
    if "-o" in out:
        at = out.index("-o")
        del out[at:at + 2]
    listing = subprocess.run(out + ["-MM"], cwd=folder, capture_output=True, text=True, check=False)
    names = {n for n in listing.stdout.replace("\\\n", " ").split() if not n.endswith(":")}
    paths = sorted(os.path.normpath(os.path.join(folder, n)) for n in names)
    state = hashlib.sha256(" ".join(out).encode())
    for path in paths + [os.path.join(ROOT, ".clang-tidy")]:
        if os.path.isfile(path):
            with open(path, "rb") as file:
                state.update(file.read())
    return paths, state.hexdigest()


def tidy(tool, build, entry, clean, changed):
    """(path, mark, whether it is clean, what was said); no mark where the entry is none of ours."""
    path = os.path.normpath(os.path.join(entry["directory"], entry["file"]))
    read, mark = look_at(entry["command"], entry["directory"])
    if changed is not None and not changed.intersection([path, *read]):
        return path, None, True, ""
    if mark in clean:
        return path, mark, True, ""
    run = subprocess.run([tool, "--quiet", "-p", build, path], capture_output=True, text=True,
                         check=False)
    return path, mark, run.returncode == 0, run.stdout + ("" if run.returncode == 0 else run.stderr)


def changed_since(revision):
    def git(*words):
        out = subprocess.run(["git", "-c", "safe.directory=*", "-C", ROOT, *words, "-z"],
                             capture_output=True, text=True, check=True).stdout
        return [os.path.join(ROOT, name) for name in out.split("\0") if name]
    return set(git("diff", "--name-only", revision) +
               git("ls-files", "--others", "--exclude-standard"))


def main():
    parser = argparse.ArgumentParser(usage=__doc__.split("\n\n")[1].replace("usage: ", ""),
                                     description=__doc__.split("\n")[0],
                                     epilog=__doc__.split("\n\n")[2])
    parser.add_argument("-j", dest="jobs", type=int, default=os.cpu_count(), metavar="JOBS")
    parser.add_argument("--since", metavar="REVISION")
    parser.add_argument("build", metavar="BUILD_FOLDER")
    parser.add_argument("parts", nargs="*", metavar="FILE_PART")
    args = parser.parse_args()
    build = os.path.abspath(args.build)
    tool = shutil.which("clang-tidy-14") or shutil.which("clang-tidy")
    if tool is None:
        print("clang-tidy is missing; run ./dev setup")
        return 1
    with open(os.path.join(build, "compile_commands.json"), encoding="utf-8") as file:
        entries = json.load(file)
    ours = tuple(os.path.join(ROOT, part) + os.sep for part in ("src", "bench", "tests"))
    entries = [e for e in entries if e["file"].startswith(ours)
               and (not args.parts or any(word in e["file"] for word in args.parts))]
    changed = changed_since(args.since) if args.since else None
    memory = os.path.join(build, "tidy_clean.json")
    clean = {}
    if os.path.isfile(memory):
        with open(memory, encoding="utf-8") as file:
            clean = json.load(file)
    problems, marks = [], {}
    with concurrent.futures.ThreadPoolExecutor(args.jobs) as pool:
        jobs = [pool.submit(tidy, tool, build, entry, clean, changed) for entry in entries]
        for job in concurrent.futures.as_completed(jobs):
            path, mark, good, text = job.result()
            if not good:
                problems.append(os.path.relpath(path, ROOT) + "\n" + text.strip())
                print(problems[-1], flush=True)
            elif mark is not None:
                marks[mark] = path
    # What this run saw replaces what was known of its files; the rest of the memory stays.
    seen = set(marks.values())
    marks.update((m, p) for m, p in clean.items() if p not in seen and os.path.isfile(p))
    with open(memory, "w", encoding="utf-8") as file:
        json.dump(marks, file, indent=0)
    wrong = sorted({problem.split("\n")[0] for problem in problems})
    return finish("clang-tidy", wrong, len(entries))


if __name__ == "__main__":
    sys.exit(main())
