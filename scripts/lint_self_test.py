#!/usr/bin/env python3
"""Shows that the lint checks can fail: plants one fault at a time in a small tree and runs the check.

usage: lint_self_test.py
"""
import os
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
LAYERS = "base::\ntensor:base:\nio:tensor:\ntext:base:\nir:tensor:\nplan:ir:\nbackend:plan:\n" \
         "backend/cpu:backend:\nnn:ir:\nmodels:nn,io:\ntrain:models,backend:backend/cpu\n"
GOOD = {
    "src/base/error.h": "#pragma once\n",
    "src/tensor/tensor.h": '#pragma once\n#include "base/error.h"\n',
    "src/ir/graph.h": '#pragma once\n#include "tensor/tensor.h"\n',
    "src/plan/internal/slots.h": "#pragma once\n",
    "src/backend/backend.h": '#pragma once\n#include "ir/graph.h"\n',
    "src/backend/worker.h": "#pragma once\n",
    "src/backend/cpu/cpu.h": "#pragma once\n",
    "src/backend/cpu/cpu.cpp": '#include <dnnl.hpp>\n#include "backend/backend.h"\n',
    "src/io/png.h": "#pragma once\n",
    "src/text/words.h": "#pragma once\n",
    "src/train/trainer.cpp": '#include "backend/backend.h"\n#include "io/png.h"\n',
    "src/train/trainer_test.cpp": '#include "backend/cpu/cpu.h"\nTEST_F(Trainer, Trains) {\n',
    "tests/e2e/cli_test.py": "class Cli(E2E):\n    def test_help(self):\n        pass\n",
    "docs/requirements.md": "row by row (M1 to M3 of the list)\n| row | test |\n|---|---|\n| M1, M2 | `Trainer.Trains`, `cli_test.test_help` |\n"
                            "## Rows without a test\n| row | reason |\n|---|---|\n| M3 | no such card |\n",
}
PAGE = GOOD["docs/requirements.md"]
LONG = "int line;\n"
# check, file, its text, a word of the complaint
FAULTS = [
    ("layering", "src/base/bad.cpp", '#include "tensor/tensor.h"\n', "not in its DEPENDS"),
    ("layering", "src/io/bad.cpp", '#include "text/words.h"\n', "not in its DEPENDS"),
    ("layering", "src/nn/bad.cpp", '#include "backend/backend.h"\n', "not in its DEPENDS"),
    ("layering", "src/train/bad.cpp", '#include "backend/worker.h"\n', "only backend.h"),
    ("layering", "src/train/bad.cpp", '#include "backend/cpu/cpu.h"\n', "not in its DEPENDS"),
    ("layering", "src/train/bad.cpp", '#include "plan/internal/slots.h"\n', "internal to plan"),
    ("layering", "src/train/bad.cpp", "#include <dnnl.hpp>\n", "only backend/cpu may"),
    ("layering", "tests/bad.cpp", "#include <cuda.h>\n", "only backend/cuda may"),
    ("layering", "src/extra/bad.cpp", "int x;\n", "belongs to no layer"),
    ("layers", "layers.txt", LAYERS + "text:io:\n", "which the table does not allow"),
    ("layers", "layers.txt", LAYERS + "mystery:base:\n", "not in the table"),
    ("file_sizes", "src/base/bad.cpp", LONG * 1000, "is too many"),
    ("file_sizes", "src/base/bad.h", LONG * 251, "is the limit"),
    ("text", "src/base/bad.cpp", "try {} catch (...) {}\n", "catch;"),
    ("text", "src/base/bad.cpp", "// TO" "DO later\n", "without an issue"),
    ("text", "docs/bad.md", "see /ho" "me/somebody/x\n", "path of one machine"),
    ("text", "docs/bad.md", "from https://reg" "istry.example/x\n", "package registry"),
    ("text", "src/base/bad.cpp", 'void f() { printf("x"); }\n', "printing"),
    ("text", "src/base/bad.h", "int f();\n", "#pragma once"),
    ("requirements", "docs/requirements.md", PAGE.replace("Trains", "Sleeps"), "no test Trainer.Sleeps"),
    ("requirements", "docs/requirements.md", PAGE.replace("test_help", "test_more"), "no test cli_test.test_more"),
    ("requirements", "docs/requirements.md", PAGE.replace("`Trainer.Trains`, `cli_test.test_help`", "seen"), "no test is named"),
    ("requirements", "docs/requirements.md", PAGE.replace("M1 to M3", "M1 to M4"), "in no table: M4"),
    ("requirements", "docs/requirements.md", PAGE.replace("| M3 |", "| M3 to M13 |"), "10 is the limit"),
]


def run(check, root):
    layers = os.path.join(root, "layers.txt")
    name, words = ("layering", [layers]) if check in ("layering", "layers") else (check, [])
    result = subprocess.run(
        [sys.executable, "-B", os.path.join(HERE, f"check_{name}.py")] + words,
        env={**os.environ, "LORA_LINT_ROOT": root}, capture_output=True, text=True, check=False)
    return result.returncode, result.stdout + result.stderr


def put(root, path, text):
    full = os.path.join(root, path)
    os.makedirs(os.path.dirname(full), exist_ok=True)
    with open(full, "w", encoding="utf-8") as file:
        file.write(text)


def tree(folder):
    # One tree per fault. git is kept out of it, so that the checks list the files themselves.
    root = tempfile.mkdtemp(dir=folder)
    for path, text in GOOD.items():
        put(root, path, text)
    put(root, "layers.txt", LAYERS)
    return root


def main():
    if len(sys.argv) > 1:
        print(__doc__)
        return 2
    bad = 0
    with tempfile.TemporaryDirectory() as folder:
        root = tree(folder)
        for check in ("layering", "file_sizes", "text", "requirements"):
            code, text = run(check, root)
            if code != 0:
                print(f"{check} refuses a good tree:\n{text}")
                bad += 1
        for check, path, text, word in FAULTS:
            root = tree(folder)
            put(root, path, text)
            code, output = run(check, root)
            if code != 1 or word not in output:
                print(f"{check} lets pass: {path}: {text[:60]!r}; it said:\n{output}")
                bad += 1
    print(f"lint self test: {len(FAULTS)} faults planted, {bad} missed")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
