#!/usr/bin/env python3
"""Trains the demo concept with several optimizers and prints a table of probe losses and CPU seconds.

Usage: compare_optimizers.py [--lora build/bin/lora] [--out DIR] [--steps 400] [NAME...]
The settings are those of `lora demo`; NAME is a line of the table below, all of them when none is given."""
import argparse
import json
import os
import resource
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
# Found by trial on the mini model: optimizer, rate, arguments, schedule, and a rank other than 16. Of rank 16 hardly a
# matrix of the mini model has the 4096 elements from which on states are kept in 8 bit.
RUNS = {
    "AdamW": ("AdamW", 2e-3, [], "cosine"),
    "AdamW8bit": ("AdamW8bit", 2e-3, [], "cosine"),
    "AdamW rank 64": ("AdamW", 2e-3, [], "cosine", 64),
    "AdamW8bit rank 64": ("AdamW8bit", 2e-3, [], "cosine", 64),
    "Lion": ("Lion", 1e-3, [], "cosine"),
    "Lion8bit": ("Lion8bit", 1e-3, [], "cosine"),
    "DAdaptAdam": ("DAdaptAdam", 0.3, ["decouple=True", "weight_decay=0.01", "betas=0.9,0.99"], "cosine"),
    "DAdaptLion": ("DAdaptLion", 1, [], "constant"),
    "DAdaptSGD": ("DAdaptSGD", 1, ["momentum=0.9"], "constant"),
    "DAdaptAdan": ("DAdaptAdan", 1, [], "constant"),
    "Prodigy": ("Prodigy", 0.3, [], "cosine"),
    "Adafactor": ("Adafactor", 2e-3, ["relative_step=False", "scale_parameter=False"], "cosine"),
    "Adafactor relative": ("Adafactor", 2e-3, [], "adafactor"),
    "CAME": ("CAME", 1e-3, [], "cosine"),
    "AdamWScheduleFree": ("AdamWScheduleFree", 4e-3, ["warmup_steps=20"], "constant"),
    "SGDNesterov": ("SGDNesterov", 0.5, [], "cosine"),
}


def cpu_seconds():
    """Of finished children: what other programs do on the machine hardly changes it."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def train(lora, out, steps, run):
    optimizer, rate, args, schedule = run[:4]
    rank = run[4] if len(run) > 4 else 16
    command = [lora, "train", "--preset", "sd-scripts",
               "--pretrained_model_name_or_path", os.path.join(ROOT, "assets/mini/mini-sd.safetensors"),
               "--train_data_dir", os.path.join(ROOT, "assets/demo"), "--caption_extension", ".txt",
               "--resolution", "128", "--enable_bucket", "--min_bucket_reso", "64", "--max_bucket_reso", "256",
               "--shuffle_caption", "--keep_tokens", "1", "--train_batch_size", "4", "--clip_skip", "1",
               "--network_dim", str(rank), "--network_alpha", str(rank // 2), "--mixed_precision", "no",
               "--optimizer_type", optimizer, "--learning_rate", str(rate), "--lr_scheduler", schedule,
               "--max_train_steps", str(steps), "--save_precision", "fp16", "--seed", "1337",
               "--output_dir", out, "--output_name", "zorp"]
    if args:
        command += ["--optimizer_args", *args]
    start = cpu_seconds()
    result = subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    if result.returncode != 0:
        sys.exit(result.stderr)
    return cpu_seconds() - start


def judge(lora, out):
    result = subprocess.run([lora, "demo", "--json", "--lora", os.path.join(out, "zorp.safetensors"), "--out", out],
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if result.returncode not in (0, 1):
        sys.exit(result.stderr)
    return json.loads(result.stdout)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lora", default=os.path.join(ROOT, "build/bin/lora"))
    parser.add_argument("--out", default="optimizers-out")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    names = options.names or list(RUNS)
    print("| optimizer | learning rate | probe loss, no LoRA | with LoRA | pictures right of | learned | CPU seconds |")
    print("|---|---|---|---|---|---|---|", flush=True)
    for name in names:
        out = os.path.join(options.out, name.replace(" ", "_"))
        seconds = train(options.lora, out, options.steps, RUNS[name])
        report = judge(options.lora, out)
        print(f"| {name} | {RUNS[name][1]:g} | {report['probe_base']:.4f} | {report['probe_lora']:.4f} | "
              f"{report['picture_lora'] * report['pictures']:.0f} / {report['pictures']} | {'yes' if report['learned'] else 'no'} | "
              f"{seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
