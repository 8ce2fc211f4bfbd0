#!/usr/bin/env python3
"""Holds docs/requirements.md to the tests that it names.

usage: check_requirements.py

1. Every row from M1 on, up to the one that the page's head names, stands in a table.
2. Every table row names a test, but those under "Rows without a test": ten at most, each with its reason.
3. Every test that is named exists: `Suite.Test`, `file_test.test_method`, `golden.case`, `property.name`, `scripts/file`.
   A * stands for any letters; `test_method` alone belongs to the file that was named before it.
"""
import fnmatch
import os
import re
import sys

from source_tree import finish, read, tracked_files

PAGE = "docs/requirements.md"
WITHOUT = "## Rows without a test"
MAX_WITHOUT = 10
ROWS = re.compile(r"M(\d+)(?: to M(\d+))?")
UNIT = re.compile(r"\bTEST(?:_F|_P)?\(\s*(\w+),\s*(\w+)\s*\)")
METHOD = re.compile(r"^    def (test_\w+)\(", re.M)
# Names of tests, as against options and commands, which stand in the same quotes.
NAMES = re.compile(r"^(?:golden\.[\w.*]+|property\.\w+|\w+_test(?:\.(?:\*|test_\w+))?|test_\w+|scripts/\S+|examples/\S+|"
                   r"(?:\w+/)?[A-Z]\w+\.(?:\*|\w+))(?: .*)?$")
WORDS = ("windows_check",)  # scripts/windows_check.sh


def collect():
    """{kind: names} of every test in the tree."""
    tests = {"unit": set(), "e2e": set(), "files": set()}
    for path in tracked_files():
        tests["files"].add(path)
        if path.endswith("_test.cpp"):
            tests["unit"].update(f"{suite}.{name}" for suite, name in UNIT.findall(read(path)))
        elif path.startswith("tests/e2e/") and path.endswith("_test.py"):
            stem = os.path.basename(path)[:-3]
            tests["e2e"].update(f"{stem}.{name}" for name in METHOD.findall(read(path)))
    return tests


def any_match(names, pattern):
    return pattern in names or ("*" in pattern and bool(fnmatch.filter(names, pattern)))


def exists(name, stem, tests):
    """Whether the test is there; `stem` is the end-to-end file that was named last."""
    if name.startswith("golden."):
        case = name.split(".")[1]
        return case == "*" or any_match(tests["files"], f"tests/golden/cases/{case}.safetensors")
    if name.startswith("property."):
        return f"tests/property/{name.split('.')[1]}.cpp" in tests["files"]
    if name.startswith(("scripts/", "examples/")):
        return name.split()[0] in tests["files"]
    if name.startswith("test_"):
        return f"{stem}.{name}" in tests["e2e"]
    if re.match(r"\w+_test(\.|$)", name):
        return any_match(tests["e2e"], name if "." in name else name + ".*")
    return any_match(tests["unit"], name.rsplit("/", 1)[-1])


def check_row(line, tests):
    """(row numbers, tests named, complaints) of one line of a table."""
    cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
    rows = {n for first, last in ROWS.findall(cells[0]) for n in range(int(first), int(last or first) + 1)}
    found, wrong, stem = 0, [], ""
    for name in re.findall(r"`([^`]+)`", cells[-1]):
        if name in WORDS:
            found += 1
        elif NAMES.match(name):
            if re.match(r"\w+_test(\.|$)", name) and "." in name:
                stem = name.split(".")[0]
            found += 1
            if not exists(name, stem, tests):
                wrong.append(f"there is no test {name}")
    return rows, found, wrong


def main():
    if len(sys.argv) > 1:
        print(__doc__)
        return 2
    text = read(PAGE)
    last = re.search(r"\(M1 to M(\d+)", text)
    if last is None:
        return finish("requirements", [f"{PAGE}: the head does not say (M1 to Mn"], 0)
    tests, problems, seen, without, has_tests = collect(), [], set(), set(), True
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("## "):
            has_tests = line != WITHOUT
        if not line.startswith("|") or line.startswith(("|-", "|--", "| row")):
            continue
        rows, found, wrong = check_row(line, tests)
        seen |= rows
        if not has_tests:
            without |= rows
        elif found == 0:
            problems.append(f"{PAGE}:{number}: no test is named")
        problems += [f"{PAGE}:{number}: {what}" for what in wrong]
    missing = sorted(set(range(1, int(last[1]) + 1)) - seen)
    if missing:
        problems.append(f"{PAGE}: in no table: {', '.join(f'M{n}' for n in missing)}")
    if len(without) > MAX_WITHOUT:
        problems.append(f"{PAGE}: {len(without)} rows without a test, {MAX_WITHOUT} is the limit")
    return finish("requirements", problems, len(seen))


if __name__ == "__main__":
    sys.exit(main())
