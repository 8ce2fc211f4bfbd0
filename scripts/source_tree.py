"""The files of the repository that the lint scripts look at, and the list of reasoned exceptions."""
import os
import subprocess

# The self test of the checks points them at a tree of its own.
ROOT = os.environ.get("LORA_LINT_ROOT",
                      os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SKIPPED = ("build", "dist", "demo-out", "node_modules", "cache", "output", "logs", "__pycache__")


def tracked_files():
    """Paths relative to the root: what git tracks or would track, else (no git) every file."""
    try:
        out = subprocess.run(
            ["git", "-c", "safe.directory=*", "-C", ROOT, "ls-files", "-z", "--cached", "--others",
             "--exclude-standard"],
            capture_output=True, check=True).stdout.decode()
        return sorted(p for p in set(out.split("\0")) if p and os.path.isfile(os.path.join(ROOT, p)))
    except (OSError, subprocess.CalledProcessError):
        found = []
        for folder, names, files in os.walk(ROOT):
            names[:] = [n for n in names
                        if not n.startswith((".", "build-")) and n not in SKIPPED]
            found += [os.path.relpath(os.path.join(folder, f), ROOT) for f in files]
        return sorted(found)


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as file:
        return file.read()


def exceptions(rule):
    """Rows `rule path reason` of lint_exceptions.txt as {path: reason}."""
    rows = {}
    if not os.path.isfile(os.path.join(ROOT, "scripts/lint_exceptions.txt")):
        return rows
    for line in read("scripts/lint_exceptions.txt").splitlines():
        words = line.split(None, 2)
        if len(words) == 3 and words[0] == rule:
            rows[words[1]] = words[2]
    return rows


def finish(name, problems, checked):
    """Prints the verdict of one check; the value is the exit code."""
    for problem in problems:
        print(f"{name}: {problem}")
    print(f"{name}: {checked} checked, {len(problems)} wrong")
    return 1 if problems else 0
