#!/usr/bin/env python3
"""Compares every #include of src/ with the layers: only downward, never sideways, no cycles.

usage: check_layering.py BUILD_FOLDER/layers.txt

layers.txt holds the DEPENDS lists of lora_add_layer (name:dep,dep:test_dep,test_dep). Those lists in
turn must stay inside the table below, which is the one in docs/architecture.md.
"""
import os
import re
import sys

from source_tree import ROOT, finish, read, tracked_files

# folder: (level, may depend on); what those depend on is allowed too.
TABLE = {
    "base": (0, []),
    "tensor": (1, ["base"]),
    "ir": (2, ["tensor"]),
    "io": (2, ["tensor"]),
    "net": (2, ["base"]),
    "text": (2, ["base"]),
    "autodiff": (3, ["ir"]),
    "plan": (3, ["ir"]),
    "nn": (3, ["ir"]),
    "diffusion": (3, ["ir"]),
    "data": (3, ["io", "text"]),
    "models": (4, ["nn", "io"]),
    "backend": (4, ["plan"]),
    "backend/reference": (4, ["backend"]),
    "backend/cpu": (4, ["backend"]),
    "backend/cuda": (4, ["backend"]),
    "infer": (4, ["io"]),
    "tools": (5, ["autodiff", "diffusion", "data", "models", "backend", "infer", "net"]),
    "train": (5, ["autodiff", "diffusion", "data", "models", "backend", "infer", "net"]),
    "config": (6, ["train", "tools", "data"]),
    "app": (7, ["config", "backend/reference", "backend/cpu", "backend/cuda"]),
}
# What files outside backend/ and app/ may include of the backend.
BACKEND_FACE = ("backend/backend.h", "backend/registry.h")
ONLY_IN = (
    (re.compile(r"^(dnnl\.hpp$|dnnl\.h$|oneapi/dnnl/)"), "backend/cpu"),
    (re.compile(r"^(cuda|cudnn|cublas|nvrtc|nvml)[a-zA-Z_]*(\.h|\.hpp)$|^cuda/"), "backend/cuda"),
)
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.M)


def closure(direct, name):
    seen, todo = set(), list(direct.get(name, []))
    while todo:
        layer = todo.pop()
        if layer not in seen:
            seen.add(layer)
            todo += direct.get(layer, [])
    return seen


def layer_of(path, layers):
    """The longest layer name that is a folder of `path` (relative to src/), or None."""
    folder = os.path.dirname(path)
    while folder:
        if folder in layers:
            return folder
        folder = os.path.dirname(folder)
    return None


def read_layers(file_name):
    depends, test_depends = {}, {}
    with open(file_name, encoding="utf-8") as file:
        for line in file:
            if line.strip():
                name, deps, test_deps = (line.strip().split(":") + [""])[:3]
                depends[name] = [d for d in deps.split(",") if d]
                test_depends[name] = [d for d in test_deps.split(",") if d]
    return depends, test_depends


def check_lists(depends):
    problems = []
    allowed = {name: deps for name, (_, deps) in TABLE.items()}
    for name, deps in depends.items():
        if name not in TABLE:
            problems.append(f"layer {name} is not in the table of scripts/check_layering.py")
            continue
        for dep in deps:
            if dep not in closure(allowed, name):
                problems.append(f"DEPENDS of {name} names {dep}, which the table does not allow")
    for name in TABLE:
        for dep in closure(allowed, name):
            nested = os.path.dirname(name) == dep
            if TABLE[dep][0] >= TABLE[name][0] and not nested:
                problems.append(f"table: {name} may include {dep}, which is not below it")
    return problems


def check_file(path, layers, depends, test_depends):
    """Problems of one file; `path` is relative to src/."""
    own = layer_of(path, layers)
    if own is None:
        return [f"src/{path} belongs to no layer; give its folder a lora_add_layer"]
    may = {own} | closure(depends, own)
    if re.search(r"_test\.(cpp|h)$", path):
        for dep in test_depends[own]:
            may |= {dep} | closure(depends, dep)
    faces = own.split("/")[0] in ("backend", "app")
    problems = []
    for mark, header in INCLUDE.findall(read(f"src/{path}")):
        for pattern, home in ONLY_IN:
            if pattern.search(header) and own != home:
                problems.append(f"src/{path} includes {header}, which only {home} may")
        if mark == "<":
            continue
        if not os.path.isfile(os.path.join(ROOT, "src", header)):
            if os.path.isfile(os.path.join(ROOT, "src", os.path.dirname(path), header)):
                problems.append(f'src/{path} includes "{header}"; write the path from src/')
            elif "/" in header and layer_of(header, layers) is None:
                problems.append(f'src/{path} includes "{header}", which is in no layer')
            continue
        other = layer_of(header, layers)
        if other is None:
            problems.append(f'src/{path} includes "{header}", which is in no layer')
        elif other not in may:
            problems.append(f"src/{path} ({own}) includes {header}; {other} is not in its DEPENDS")
        elif (other.split("/")[0] == "backend" and not faces and header not in BACKEND_FACE
              and not path.endswith("_test.cpp")):
            problems.append(f"src/{path} includes {header}; outside backend/ only backend.h")
        if "/internal/" in f"/{header}":
            owner = header.split("/internal/")[0]
            if not path.startswith(owner + "/"):
                problems.append(f"src/{path} includes {header}, which is internal to {owner}")
    return problems


def main():
    if len(sys.argv) != 2 or sys.argv[1] in ("-h", "--help"):
        print(__doc__)
        return 2
    depends, test_depends = read_layers(sys.argv[1])
    # A backend that is off in this build is still checked, by the table's list.
    for name, (_, deps) in TABLE.items():
        folder = os.path.join(ROOT, "src", name)
        if name not in depends and os.path.isfile(os.path.join(folder, "CMakeLists.txt")):
            if name.startswith("backend/"):
                depends[name], test_depends[name] = deps, []
    problems = check_lists(depends)
    files = [p[4:] for p in tracked_files()
             if p.startswith("src/") and p.endswith((".cpp", ".h", ".cu", ".cuh", ".inc"))]
    for path in files:
        problems += check_file(path, depends, depends, test_depends)
    # Tests and bench stand above all layers, but the hardware libraries stay in their folders too.
    for path in tracked_files():
        if path.startswith(("bench/", "tests/")) and path.endswith((".cpp", ".h")):
            for _, header in INCLUDE.findall(read(path)):
                for pattern, home in ONLY_IN:
                    if pattern.search(header):
                        problems.append(f"{path} includes {header}, which only {home} may")
    return finish("layering", problems, len(files))


if __name__ == "__main__":
    sys.exit(main())
