"""What the end-to-end tests share: running the built program and making small training folders.

Set by ctest: LORA_BIN (the program), LORA_SOURCE (the repository). Standard library only.
"""
import glob
import hashlib
import json
import os
import shutil
import struct
import subprocess
import tempfile
import unittest

BIN = os.environ["LORA_BIN"]
SOURCE = os.environ["LORA_SOURCE"]
MODEL = os.path.join(SOURCE, "assets/mini/mini-sd.safetensors")
ZORPS = os.path.join(SOURCE, "assets/demo/5_zorp")


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err

    def __repr__(self):
        return f"exit {self.code}\n{self.out}\n{self.err}"


def environment(**more):
    env = {k: v for k, v in os.environ.items() if not k.startswith("LC_")}
    env.update(LANG="C.UTF-8", LORA_LANG="en", SOURCE_DATE_EPOCH="1700000000", **more)
    return env


def run(*args, cwd=None, timeout=300, env=None):
    done = subprocess.run([BIN, *map(str, args)], cwd=cwd, timeout=timeout, stdin=subprocess.DEVNULL,
                          env=env or environment(), capture_output=True)
    return Result(done.returncode, done.stdout.decode("utf-8"), done.stderr.decode("utf-8"))


def start(*args, cwd=None):
    return subprocess.Popen([BIN, *map(str, args)], cwd=cwd, stdin=subprocess.DEVNULL,
                            env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def sha256(path):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest()


def listing(folder):
    """Every file and folder below `folder`, with sizes."""
    found = {}
    for where, names, files in os.walk(folder):
        for name in names:
            found[os.path.relpath(os.path.join(where, name), folder) + "/"] = 0
        for name in files:
            path = os.path.join(where, name)
            found[os.path.relpath(path, folder)] = os.path.getsize(path)
    return found


def read_header(path):
    """Header of a safetensors file as a dict."""
    with open(path, "rb") as file:
        (size,) = struct.unpack("<Q", file.read(8))
        return json.loads(file.read(size))


def write_safetensors(path, tensors, metadata=None):
    """tensors: {name: (dtype, shape, bytes)}"""
    header, data = {}, b""
    if metadata:
        header["__metadata__"] = metadata
    for name, (dtype, shape, raw) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape,
                        "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as file:
        file.write(struct.pack("<Q", len(text)) + text + data)


def losses(folder):
    """Losses by step from every events.jsonl below `folder`."""
    found = {}
    for path in sorted(glob.glob(os.path.join(glob.escape(folder), "**", "events.jsonl"),
                                 recursive=True)):
        with open(path, encoding="utf-8") as file:
            for line in file:
                if line.endswith("\n"):
                    event = json.loads(line)
                    if event["event"] == "step_done":
                        found[event["step"]] = event["loss"]
    return found


class E2E(unittest.TestCase):
    """A fresh folder for each test, and small training runs in it."""

    def setUp(self):
        self.tmp = tempfile.mkdtemp(prefix="lora-e2e-")
        self.addCleanup(shutil.rmtree, self.tmp, ignore_errors=True)

    def path(self, *parts):
        return os.path.join(self.tmp, *parts)

    def write(self, name, text):
        """A text file below the fresh folder; its path."""
        with open(self.path(name), "w", encoding="utf-8") as file:
            file.write(text)
        return self.path(name)

    def make_data(self, folder="data", name="2_zorp", count=4):
        """A parent folder with one concept folder; the parent's path."""
        parent = self.path(folder)
        inside = os.path.join(parent, name)
        os.makedirs(inside)
        for i in range(count):
            for ext in (".png", ".txt"):
                shutil.copy(f"{ZORPS}/zorp_{i:02d}{ext}", inside)
        return parent

    def train_args(self, data=None, steps=6, out="out", **options):
        """Command line of a run of a few seconds; an option set to None is left out."""
        values = {
            "pretrained_model_name_or_path": MODEL, "train_data_dir": data or self.path("data"),
            "output_dir": self.path(out), "output_name": "tiny", "logging_dir": self.path(out, "logs"),
            "resolution": 64, "min_bucket_reso": 64, "max_bucket_reso": 128, "network_dim": 4,
            "network_alpha": 2, "train_batch_size": 2, "max_train_steps": steps, "clip_skip": 1,
            "max_token_length": 75, "learning_rate": 1e-3, "mixed_precision": "no", "seed": 7,
            "save_every_n_epochs": None, "lr_scheduler": "cosine",
        }
        values.update(options)
        args = ["train"]
        for name, value in values.items():
            if value is None:
                args.append(f"--{name}=")
            elif value is True:
                args.append(f"--{name}")
            else:
                args += [f"--{name}", str(value)]
        return args

    def check(self, result, code, *texts):
        """The exit code, and that every text stands in the one error message."""
        self.assertEqual(result.code, code, result)
        for text in texts:
            self.assertIn(text, result.err, result)
        if code not in (0, 1):
            self.assertEqual(result.err.count("error: "), 1, result)
        return result
