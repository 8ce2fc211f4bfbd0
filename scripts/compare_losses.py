#!/usr/bin/env python3
"""Compares the losses that two runs wrote into events.jsonl.

usage: compare_losses.py FOLDER_A FOLDER_B STEP=BOUND...

Each folder is searched for its one events.jsonl; the relative difference of the loss at each STEP must
not exceed BOUND.
"""
import json
import os
import sys


def losses(folder):
    found = [os.path.join(where, name) for where, _, files in os.walk(folder) for name in files
             if name == "events.jsonl"]
    if len(found) != 1:
        sys.exit(f"error: {len(found)} files events.jsonl in {folder}, one is expected")
    with open(found[0], encoding="utf-8") as file:
        events = [json.loads(line) for line in file if line.strip()]
    return {e["step"]: e["loss"] for e in events if "step" in e and "loss" in e}


def main():
    if len(sys.argv) < 4:
        print(__doc__)
        return 2
    first, second = losses(sys.argv[1]), losses(sys.argv[2])
    wrong = 0
    for rule in sys.argv[3:]:
        step, bound = int(rule.split("=")[0]), float(rule.split("=")[1])
        if step not in first or step not in second:
            sys.exit(f"error: step {step} is missing in one of the runs")
        error = abs(first[step] - second[step]) / max(abs(first[step]), 1e-12)
        verdict = "ok" if error <= bound else "OFF"
        wrong += verdict == "OFF"
        print(f"step {step}: {first[step]:.8f} {second[step]:.8f} error {error:.2e} "
              f"bound {bound:.0e} {verdict}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
