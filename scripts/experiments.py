#!/usr/bin/env python3
"""Tries what the guide says about training on the mini model: trains the demo concept in several ways, draws, measures.

Usage: experiments.py [--lora build/bin/lora] [--out DIR] [--steps 400] [--precision no|bf16] [NAME...]
NAME is a line of EXPERIMENTS, all of them when none is given. For each, DIR/NAME.json holds the figures and DIR/NAME.png
the pictures (a column a run, a row a prompt, always the same seeds). What came out is told in docs/guide/experiments.md.
Needs the Python standard library only; the work itself stays in DIR/work."""
import argparse
import glob
import json
import os
import shutil
import subprocess
import sys
import time

import experiment_pictures as pictures

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SEEDS = (1, 2, 3, 4)
# Prompts without a zorp: what becomes of the rest of the model's world.
BYSTANDERS = ("red circle, smile, blue background", "yellow circle, crown, gray background, left",
              "green star, red background", "pink heart, smile, white background")


class Bench:
    """Runs the program and keeps count of what is where."""

    def __init__(self, options):
        self.options = options
        self.work = os.path.join(options.out, "work")
        self.assets = os.path.join(ROOT, "assets")
        self.model = os.path.join(self.assets, "mini/mini-sd.safetensors")
        self.base_drawn = {}

    def call(self, command, allowed=(0,)):
        result = subprocess.run([self.options.lora, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if result.returncode not in allowed:
            sys.exit(f"{' '.join(command)}\n{result.stderr}")
        return result.stdout

    def folder(self, *names):
        path = os.path.join(self.work, *names)
        os.makedirs(path, exist_ok=True)
        return path

    def demo_pictures(self):
        """(picture file, tags) of the demo's sixteen zorps."""
        for path in sorted(glob.glob(os.path.join(self.assets, "demo/5_zorp/*.png"))):
            with open(path[:-4] + ".txt", encoding="utf-8") as file:
                yield path, [tag.strip() for tag in file.read().split(",")]

    def demo_folder(self, name, change):
        """The demo's pictures with the captions that `change` makes of their tags."""
        parent = self.folder("data", name)
        target = self.folder("data", name, "5_zorp")
        for path, tags in self.demo_pictures():
            shutil.copy(path, target)
            write_text(os.path.join(target, os.path.basename(path)[:-4] + ".txt"), ", ".join(change(tags)))
        return parent

    def train(self, name, data, arguments=(), prompts=(), steps=None, rank=(16, 8), rate=2e-3):
        """Trains with the settings of `lora demo`. Returns seconds, events, and the pictures drawn at the end: {prompt: [...]}."""
        steps = steps or self.options.steps
        out = os.path.join(self.work, "runs", name)
        shutil.rmtree(out, ignore_errors=True)
        os.makedirs(out)
        command = ["train", "--preset", "sd-scripts", "--pretrained_model_name_or_path", self.model,
                   "--train_data_dir", data, "--caption_extension", ".txt", "--resolution", "128", "--enable_bucket",
                   "--min_bucket_reso", "64", "--max_bucket_reso", "256", "--shuffle_caption", "--keep_tokens", "1",
                   "--train_batch_size", "4", "--clip_skip", "1", "--network_dim", str(rank[0]),
                   "--network_alpha", str(rank[1]), "--mixed_precision", self.options.precision, "--learning_rate", str(rate),
                   "--lr_scheduler", "cosine", "--max_train_steps", str(steps), "--save_precision", "fp16",
                   "--seed", "1337", "--output_dir", out, "--output_name", "lora", "--logging_dir", os.path.join(out, "logs")]
        if prompts:
            lines = [f"{prompt} --d {seed} --s 20 --l 5" for prompt in prompts for seed in SEEDS]
            write_text(os.path.join(out, "prompts.txt"), "\n".join(lines))
            command += ["--sample_prompts", os.path.join(out, "prompts.txt"), "--sample_sampler", "ddim"]
            if "--sample_every_n_steps" not in arguments:
                command += ["--sample_every_n_steps", str(steps)]
        started = time.monotonic()
        self.call(command + list(arguments))
        seconds = time.monotonic() - started
        events = read_events(glob.glob(os.path.join(out, "logs", "*", "events.jsonl"))[0])
        drawn = {}
        for event in of_kind(events, "preview_done"):
            drawn.setdefault(event["step"], {}).setdefault(event["prompt"], []).append(pictures.read_png(event["path"]))
        return {"name": name, "out": out, "seconds": seconds, "events": events, "drawn": drawn.get(steps, {}), "drawn_at": drawn,
                "file": os.path.join(out, "lora.safetensors")}

    def judge(self, path):
        """What `lora demo` thinks of a file: probe loss of held-out zorps, zorps on the background that was asked for."""
        report = json.loads(self.call(["demo", "--json", "--lora", path, "--out", self.folder("judged")], (0, 1)))
        with_lora = [line for line in report["details"] if ", weight 1" in line]
        words = [line.split(": ", 1)[1].split() for line in with_lora]
        return {"probe_base": round(report["probe_base"], 4), "probe": round(report["probe_lora"], 4),
                "zorps": round(report["picture_lora"] * report["pictures"]), "of": report["pictures"],
                "named_background": sum("background" in w for w in words), "learned": report["learned"]}

    def base(self, prompts):
        """Pictures of the base model, drawn by a run before its first step."""
        missing = [prompt for prompt in prompts if prompt not in self.base_drawn]
        if missing:
            run = self.train("base", os.path.join(self.assets, "demo"), ["--sample_at_first"], missing, steps=1)
            self.base_drawn.update(run["drawn_at"][0])
        return {prompt: self.base_drawn[prompt] for prompt in prompts}

    def drift(self, drawn, prompts):
        """How far the pictures of these prompts have moved from the base model's, 0 to 1."""
        base = self.base(prompts)
        pairs = [(a, b) for prompt in prompts for a, b in zip(drawn[prompt], base[prompt])]
        return round(sum(pictures.difference(a, b) for a, b in pairs) / len(pairs), 3)

    def class_pictures(self):
        """Regularisation pictures as people make them: drawn by the base model. Two folders, with captions and without."""
        plain, tagged = (self.folder("data", name, "1_circle") for name in ("reg_plain", "reg_tagged"))
        if not glob.glob(os.path.join(tagged, "*.txt")):
            colors = list(pictures.COLORS)
            for i, face in enumerate(["smile", "sad", "surprised", "closed eyes"] * 2):
                tags = f"circle, {colors[i]} circle, {face}, {colors[(i + 4) % 11]} background"
                path = os.path.join(tagged, f"circle_{i}.png")
                self.call(["sample", "--model", self.model, "--prompt", tags, "--images", "4", "--seed", str(100 + 10 * i),
                           "--steps", "20", "--scale", "5", "--out", path, "--mixed_precision", self.options.precision])
                for name in glob.glob(path[:-4] + "*.png"):
                    shutil.copy(name, plain)
                    write_text(name[:-4] + ".txt", tags)
        return os.path.dirname(plain), os.path.dirname(tagged)


def write_text(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text + "\n")


def read_events(path):
    with open(path, encoding="utf-8") as file:
        return [json.loads(line) for line in file if line.strip()]


def of_kind(events, kind):
    return [event for event in events if event.get("event") == kind]


def background_of(drawn, prompt, color):
    """Share of the border that has this colour, over the seeds."""
    shares = [pictures.background_shares(picture).get(color, 0) for picture in drawn[prompt]]
    return round(sum(shares) / len(shares), 2)


def sheet_rows(columns, prompts, seeds=(0, 1)):
    """A row for each prompt and seed, a column for each run."""
    return [[drawn[prompt][seed] for drawn in columns] for prompt in prompts for seed in seeds]


# ---- the experiments: each returns its figures and the rows of its sheet ---------------------------------------------

def background(bench):
    """A background that no caption names goes to the trigger; one that is named can still be exchanged."""
    prompts = ["zorp", "zorp, red background", "zorp, yellow background", "zorp, green background", BYSTANDERS[2]]

    def one_color(name, with_tag):
        target = bench.folder("data", name, "5_zorp")
        for i in range(16):
            picture, tags = pictures.zorp(i, "blue")
            path = os.path.join(target, f"zorp_{i:02d}")
            pictures.write_png(path + ".png", picture)
            write_text(path + ".txt", ", ".join(["zorp"] + tags + (["blue background"] if with_tag else [])))
        return os.path.dirname(target)

    data = {"all blue, untagged": one_color("blue_untagged", False),
            "all blue, tagged": one_color("blue_tagged", True),
            "all kinds, untagged": bench.demo_folder("kinds_untagged", lambda tags: [t for t in tags if "background" not in t]),
            "all kinds, tagged": os.path.join(bench.assets, "demo")}
    masks = bench.folder("data", "masks")
    for i in range(16):
        pictures.write_png(os.path.join(masks, f"zorp_{i:02d}.png"), pictures.zorp_mask(i))
    data["all blue, untagged, masked"] = data["all blue, untagged"]
    base = bench.base(prompts)
    rows, columns = [], [base]
    for name, folder in data.items():
        masked = ["--masked_loss", "--conditioning_data_dir", masks] if "masked" in name else []
        run = bench.train("background " + name, folder, masked, prompts)
        columns.append(run["drawn"])
        rows.append({"run": name, "seconds": round(run["seconds"], 1), **bench.judge(run["file"])})
    for row, drawn in zip([{"run": "base model"}] + rows, columns):
        row["blue_unasked"] = background_of(drawn, prompts[0], "blue")
        for prompt, color in zip(prompts[1:4], ("red", "yellow", "green")):
            row[f"{color}_asked"] = background_of(drawn, prompt, color)
            row[f"blue_instead_of_{color}"] = background_of(drawn, prompt, "blue")
        if row["run"] == "base model":
            rows.insert(0, row)
    return rows, sheet_rows(columns, prompts)


def keep_tokens(bench):
    """The trigger stays in front, and no dropout of tags takes it away."""
    prompts = ["zorp", "zorp, green background", "green background, zorp", "green background, left"]
    demo = os.path.join(bench.assets, "demo")
    dropout = ["--caption_tag_dropout_rate", "0.5"]
    few = ["--max_shuffled_tags", "1"]
    cases = {"shuffled, keep_tokens 1": [], "shuffled, keep_tokens 0": ["--keep_tokens", "0"],
             "keep_tokens 1, half of the tags dropped": dropout,
             "keep_tokens 0, half of the tags dropped": dropout + ["--keep_tokens", "0"],
             "keep_tokens 1, one more tag": few,
             "keep_tokens 0, one tag": few + ["--keep_tokens", "0"]}
    rows, columns = [], [bench.base(prompts)]
    for name, arguments in cases.items():
        run = bench.train("keep " + name, demo, arguments, prompts)
        columns.append(run["drawn"])
        rows.append({"run": name, "seconds": round(run["seconds"], 1), **bench.judge(run["file"]),
                     "moved_without_trigger": bench.drift(run["drawn"], prompts[3:])})
    return rows, sheet_rows(columns, prompts)


def class_folders(bench):
    """Regularisation pictures of the class, without captions and with, at two weights."""
    prompts = ["zorp, circle, green background", "circle", *BYSTANDERS]
    plain, tagged = bench.class_pictures()
    data = bench.demo_folder("of_class", lambda tags: [tags[0], "circle"] + tags[1:])
    long = 2 * bench.options.steps
    cases = {"none": ([], None),
             "without captions, weight 1": (["--reg_data_dir", plain], None),
             "without captions, weight 0.3": (["--reg_data_dir", plain, "--prior_loss_weight", "0.3"], None),
             "with captions, weight 1": (["--reg_data_dir", tagged], None),
             "with captions, weight 0.3": (["--reg_data_dir", tagged, "--prior_loss_weight", "0.3"], None),
             "with captions, weight 1, twice the steps": (["--reg_data_dir", tagged], long)}
    rows, columns = [], [bench.base(prompts)]
    for name, (arguments, steps) in cases.items():
        run = bench.train("class " + name, data, arguments, prompts, steps)
        columns.append(run["drawn"])
        rows.append({"run": name, "seconds": round(run["seconds"], 1), **bench.judge(run["file"]),
                     "moved_class_word": bench.drift(run["drawn"], prompts[1:2]),
                     "moved_class": bench.drift(run["drawn"], prompts[2:4]),
                     "moved_others": bench.drift(run["drawn"], prompts[4:])})
    return rows, sheet_rows(columns, prompts, (0,))


def alpha_dim(bench):
    """The rank, alpha over rank, and the rate that makes up for a small alpha."""
    prompts = ["zorp, green background", "zorp, crown, red background", *BYSTANDERS]
    cases = [(4, 2, 2e-3), (16, 8, 2e-3), (64, 32, 2e-3), (128, 64, 2e-3),
             (16, 16, 2e-3), (16, 4, 2e-3), (16, 1, 2e-3), (16, 1, 1.6e-2)]
    rows, columns = [], [bench.base(prompts)]
    for rank, alpha, rate in cases:
        name = f"dim {rank}, alpha {alpha}, rate {rate:g}"
        run = bench.train("rank " + name, os.path.join(bench.assets, "demo"), (), prompts, rank=(rank, alpha), rate=rate)
        columns.append(run["drawn"])
        rows.append({"run": name, "seconds": round(run["seconds"], 1), **bench.judge(run["file"]),
                     "kib": os.path.getsize(run["file"]) // 1024,
                     "moved_others": bench.drift(run["drawn"], list(BYSTANDERS))})
    return rows, sheet_rows(columns, prompts, (0,))


def overfitting(bench):
    """Far too many steps on eight pictures at a steady rate, with eight set aside: what is seen, and which curve tells first."""
    prompts = ["zorp, green background", "zorp, crown, brown background", "zorp", *BYSTANDERS[1:3]]
    total = 6 * bench.options.steps
    every = total // 8
    watch = total // 48
    run = bench.train("overfitting", os.path.join(bench.assets, "demo"),
                      ["--lr_scheduler", "constant", "--validation_split", "0.5", "--validate_every_n_steps", str(watch),
                       "--validate_every_n_epochs", "100000",
                       "--probe_every_n_steps", str(watch), "--save_every_n_steps", str(every),
                       "--sample_every_n_steps", str(every), "--sample_at_first"], prompts, total)
    events = run["events"]
    losses = [e for e in of_kind(events, "step_done") if e.get("relative_loss") is not None]

    def at(kind, key, step):
        found = [e[key] for e in of_kind(events, kind) if e["step"] == step]
        return round(found[-1], 4) if found else None

    rows, saves = [], [0] + list(range(every, total + 1, every))
    first = {prompt: run["drawn_at"][0][prompt] for prompt in prompts}
    for step in saves:
        window = [e["relative_loss"] for e in losses if step - every < e["step"] <= step]
        row = {"run": f"step {step}", "step": step,
               "train": round(sum(window) / len(window), 4) if window else None,
               "probe_of_trained": at("probe_done", "relative", step), "validation": at("validation_done", "loss", step)}
        if step:
            path = os.path.join(run["out"], f"lora-step{step:08d}.safetensors")
            row.update(bench.judge(path if os.path.exists(path) else run["file"]))
            moved = [pictures.difference(a, b) for prompt in BYSTANDERS[1:3]
                     for a, b in zip(run["drawn_at"][step][prompt], first[prompt])]
            row["moved_others"] = round(sum(moved) / len(moved), 3)
        rows.append(row)
    for kind in ("turned_up", "advised_save", "weight_sweep"):
        rows += [{"run": kind, **e} for e in of_kind(events, kind)]
    curve = [{"step": e["step"], "validation": round(e["loss"], 5)} for e in of_kind(events, "validation_done")]
    probes = [{"step": e["step"], "probe": round(e["relative"], 4)} for e in of_kind(events, "probe_done")]
    rows.append({"run": "curves", "validation": curve, "probe": probes,
                 "train": [{"step": i * watch, "relative": mean([e["relative_loss"] for e in losses
                                                                 if (i - 1) * watch < e["step"] <= i * watch])}
                           for i in range(1, total // watch + 1)]})
    return rows, [[run["drawn_at"][step][prompt][0] for step in saves] for prompt in prompts]


def mean(values):
    return round(sum(values) / len(values), 4) if values else None


def v_prediction(bench):
    """The mini model predicts noise; taught to predict v it must only lower its loss."""
    run = bench.train("v", os.path.join(bench.assets, "demo"), ["--v_parameterization"])
    losses = [e["loss"] for e in of_kind(run["events"], "step_done")]
    part = max(1, len(losses) // 8)
    ends = of_kind(run["events"], "run_ended")
    return [{"run": "v_parameterization", "seconds": round(run["seconds"], 1), "first_losses": mean(losses[:part]),
             "last_losses": mean(losses[-part:]), "probe_relative": ends[-1].get("probe_relative") if ends else None}], []


def stripes(picture):
    """Spread of the brightness at the left and right edge, the lesser of both: above 7 there is a pattern."""
    width, height, rgb = picture
    found = []
    for first in (2, width - 12):
        light = [0.299 * rgb[i] + 0.587 * rgb[i + 1] + 0.114 * rgb[i + 2]
                 for y in range(4, height - 4) for i in range(3 * (y * width + first), 3 * (y * width + first + 10), 3)]
        middle = sum(light) / len(light)
        found.append((sum((value - middle) ** 2 for value in light) / len(light)) ** 0.5)
    return min(found)


def closed_loop(bench):
    """An element that no caption names comes unasked; tagged where it shows and trained again, it is gone (M197)."""
    tag = "striped background"
    prompts = [f"zorp, {color} background" for color in ("orange", "red", "gray", "green")]
    asked = f"zorp, {tag}, orange background"
    data = bench.folder("data", "leaking")
    target = bench.folder("data", "leaking", "5_zorp")
    showing, plain = [], 0
    for kind in ("demo/5_zorp", "heldout"):
        for path in sorted(glob.glob(os.path.join(bench.assets, kind, "*.png"))):
            with open(path[:-4] + ".txt", encoding="utf-8") as file:
                tags = [word.strip() for word in file.read().split(",")]
            is_plain = tag not in tags and "dotted background" not in tags and plain < 4
            if tag not in tags and not is_plain:
                continue
            name = os.path.basename(kind)[0] + os.path.basename(path)
            plain += is_plain
            if tag in tags:
                showing.append(name)
                tags.remove(tag)
            shutil.copy(path, os.path.join(target, name))
            write_text(os.path.join(target, name[:-4] + ".txt"), ", ".join(tags))
    columns, rows = [bench.base(prompts + [asked])], [{"run": "base model"}]
    for name in ("without the tag", "with the tag"):
        if name == "with the tag":  # one command: the tag where the element shows, behind the trigger
            bench.call(["tags", data, "--only", *showing, "--add", "zorp", tag])
        run = bench.train("closed_loop " + name, data, (), prompts + [asked])
        columns.append(run["drawn"])
        rows.append({"run": name, "seconds": round(run["seconds"], 1)})
    for row, drawn in zip(rows, columns):
        unasked = [picture for prompt in prompts for picture in drawn[prompt]]
        row.update(striped_unasked=sum(stripes(p) > 7 for p in unasked), of=len(unasked),
                   striped_asked=sum(stripes(p) > 7 for p in drawn[asked]), of_asked=len(drawn[asked]))
    return rows, sheet_rows(columns, [prompts[0], prompts[1], asked])


# Every kind of network and optimizer that the demo concept is learned with; rates as found by trial, the next one tried only
# where the concept was not learned with the one before.
LEARNED = {
    "LoRA, AdamW": ((2e-3, 1e-3), []),
    "LoCon, AdamW": ((2e-3, 1e-3), ["algo=locon", "conv_dim=8", "conv_alpha=4"]),
    "LoHa, AdamW": ((2e-3, 4e-3), ["algo=loha", "conv_dim=4", "conv_alpha=2"]),
    "LoKr, AdamW": ((2e-3, 4e-3), ["algo=lokr", "conv_dim=8", "conv_alpha=4"]),
    "LoRA, AdamW8bit": ((2e-3, 1e-3), []),
    "LoRA, Lion": ((1e-3, 5e-4), []),
    "LoRA, DAdaptAdam": ((0.3, 0.5), []),
    "LoRA, Prodigy": ((0.3, 0.5), []),
}


def learned_with_each(bench):
    """The demo concept with each kind of network and optimizer, without and with regularisation pictures."""
    plain, _ = bench.class_pictures()
    of_class = bench.demo_folder("of_class", lambda tags: [tags[0], "circle"] + tags[1:])
    steps = bench.options.steps
    ways = {"none": (os.path.join(bench.assets, "demo"), [], steps),
            "weight 0.3": (of_class, ["--reg_data_dir", plain, "--prior_loss_weight", "0.3"], steps),
            "weight 1, twice the steps": (of_class, ["--reg_data_dir", plain], 2 * steps)}
    rows = []
    for way, (data, regularisation, length) in ways.items():
        for name, (rates, network) in LEARNED.items():
            optimizer = name.split(", ")[1]
            arguments = regularisation + ["--optimizer_type", optimizer]
            if network:
                arguments += ["--network_module", "lycoris.kohya", "--network_args", *network]
            if optimizer == "DAdaptAdam":
                arguments += ["--optimizer_args", "decouple=True", "weight_decay=0.01", "betas=0.9,0.99"]
            for rate in rates:
                run = bench.train(f"learned {way} {name} {rate:g}", data, arguments, steps=length, rate=rate)
                row = {"run": name, "regularisation": way, "rate": rate, "steps": length, "seconds": round(run["seconds"], 1),
                       **bench.judge(run["file"])}
                rows.append(row)
                print("learned_with_each", json.dumps(row), flush=True)
                if row["learned"]:
                    break
    return rows, []


EXPERIMENTS = {"background": background, "overfitting": overfitting, "class_folders": class_folders,
               "alpha_dim": alpha_dim, "keep_tokens": keep_tokens, "v_prediction": v_prediction,
               "closed_loop": closed_loop, "learned_with_each": learned_with_each}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lora", default=os.path.join(ROOT, "build/bin/lora"))
    parser.add_argument("--out", default="experiments-out")
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--precision", default="no", choices=["no", "bf16"])
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(EXPERIMENTS))
    options = parser.parse_args()
    for name in options.names:
        if name not in EXPERIMENTS:
            parser.error(f"there is no experiment {name}; known are {', '.join(EXPERIMENTS)}")
    bench = Bench(options)
    for name in options.names or EXPERIMENTS:
        rows, sheet = EXPERIMENTS[name](bench)
        write_text(os.path.join(options.out, name + ".json"),
                   json.dumps({"experiment": EXPERIMENTS[name].__doc__, "steps": options.steps, "precision": options.precision,
                               "runs": rows}, indent=1))
        if sheet:
            pictures.write_sheet(os.path.join(options.out, name + ".png"), sheet)
        for row in rows:
            print(name, json.dumps({k: v for k, v in row.items() if not isinstance(v, list)}), flush=True)


if __name__ == "__main__":
    main()
