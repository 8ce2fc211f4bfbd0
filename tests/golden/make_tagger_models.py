#!/usr/bin/env python3
"""Makes the small taggers of tests/data/tagger: networks of the published kinds and contract, their pictures, and
PyTorch's own scores for them.

usage: make_tagger_models.py --out DIR [--only swinv2,convnext,plain] [--pictures]

Each model is a folder with model.onnx and selected_tags.csv as the WD14 taggers are published: one input
[N, height, width, 3], float32, BGR, 0 to 255; one output [N, tags], sigmoid already applied. `swinv2` and `convnext`
are timm's networks at 448 pixels, only narrow, with a batch of any size; `plain` is a few convolutions at 64 pixels,
[1, 3, height, width], with a batch of one. Weights are random from a seed; the head is scaled so that scores spread
over 0 to 1. scores.json holds, for each model and picture, what PyTorch says in double precision.
Pictures are drawn from a seed; squares, shrinking (exact area average) and growing (Pillow's Lanczos) are done here
on their own, not by the program. Needs torch, timm for the first two models, Pillow for the picture that grows.
"""
import argparse
import csv
import inspect
import json
import math
import os
import struct
import sys
import traceback
import zlib

import torch
from torch import nn

RATINGS = ["general", "sensitive", "questionable", "explicit"]
GENERAL = ["1girl", "solo", "long_hair", "blue_eyes", "smile", "looking_at_viewer", "blush", "open_mouth", "hair_ornament",
           "white_background", "simple_background", "school_uniform", "pleated_skirt", "hat", "holding_sword",
           "multiple_girls", "2girls", "upper_body", "full_body", "outdoors", "sky", "night", "text_focus", "^_^", ">_<",
           "o_o", "|_|", "||_||", "(o)_(o)", ":d", ";d", "x_x", "t-shirt", "mary_janes", "no_humans", "star_(sky)",
           "don't_say_\"lazy\"", "\\m/"]
CHARACTERS = ["hatsune_miku", "artoria_pendragon_(fate)", "mash_kyrielight_(dangerous_beast)_(fate)", "akiyama_mio",
              "king_george_v_(azur_lane)", "c.c."]
TAGS = [(name, 9) for name in RATINGS] + [(name, 0) for name in GENERAL] + [(name, 4) for name in CHARACTERS]
# name: (width, height)
PICTURES = {"square": (448, 448), "wide": (448, 300), "shrinks": (672, 500), "tall": (420, 630), "grows": (150, 200)}


class Words:
    """A stream of small numbers that is the same everywhere (splitmix64)."""

    def __init__(self, seed):
        self.state = seed

    def below(self, limit):
        self.state = (self.state + 0x9E3779B97F4A7C15) & (1 << 64) - 1
        word = self.state
        word = ((word ^ word >> 30) * 0xBF58476D1CE4E5B9) & (1 << 64) - 1
        word = ((word ^ word >> 27) * 0x94D049BB133111EB) & (1 << 64) - 1
        return (word ^ word >> 31) % limit


def drawn(seed, width, height):
    """Flat shapes, [height, width, 3] RGB uint8."""
    words = Words(seed)

    def colour():
        return torch.tensor([words.below(256) for _ in range(3)], dtype=torch.uint8)

    picture = colour().expand(height, width, 3).clone()
    y = torch.arange(height).reshape(-1, 1)
    x = torch.arange(width).reshape(1, -1)
    for _ in range(4 + words.below(12)):
        kind, paint = words.below(3), colour()
        at_x, at_y = words.below(width), words.below(height)
        size_x, size_y = 8 + words.below(width // 2), 8 + words.below(height // 2)
        inside_box = ((x - at_x).abs() * 2 <= size_x) & ((y - at_y).abs() * 2 <= size_y)
        if kind == 0:
            inside = inside_box
        elif kind == 1:
            inside = ((x - at_x) * size_y) ** 2 + ((y - at_y) * size_x) ** 2 <= (size_x * size_y) ** 2 // 4
        else:
            inside = inside_box & ((x + y) // (3 + words.below(14)) % 2 == 0)
        picture[inside.expand(height, width)] = paint
    return picture


def write_png(path, picture):
    height, width, _ = picture.shape
    rows = b"".join(b"\0" + bytes(row.flatten().tolist()) for row in picture)

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)) +
                   chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b""))


def overlaps(before, after):
    """[after, before]: the share of each old pixel in each new one, rows that sum to 1."""
    step = before / after
    edges = torch.arange(before, dtype=torch.float64)
    low = torch.arange(after, dtype=torch.float64).reshape(-1, 1) * step
    return ((low + step).minimum(edges + 1) - low.maximum(edges)).clamp(min=0) / step


def prepared(picture, side):
    """Padded with white to a square, resized, BGR, [side, side, 3] of whole numbers."""
    height, width, _ = picture.shape
    longest = max(height, width)
    square = torch.full((longest, longest, 3), 255, dtype=torch.uint8)
    top, left = (longest - height) // 2, (longest - width) // 2
    square[top:top + height, left:left + width] = picture
    if longest > side:
        share = overlaps(longest, side)
        rows = torch.einsum("ai,ijc->ajc", share, square.double())
        square = torch.einsum("bj,ajc->abc", share, rows).round()
    elif longest < side:
        from PIL import Image
        bytes_of = bytes(square.flatten().tolist())
        grown = Image.frombytes("RGB", (longest, longest), bytes_of).resize((side, side), Image.LANCZOS)
        square = torch.tensor(list(grown.tobytes()), dtype=torch.uint8).reshape(side, side, 3)
    return square.flip(-1).double()


class Tagger(nn.Module):
    """The published contract around a network that wants RGB in -1..1, NCHW."""

    def __init__(self, core, is_nchw=False):
        super().__init__()
        self.core = core
        self.is_nchw = is_nchw
        self.register_buffer("gain", torch.ones(len(TAGS)))
        self.register_buffer("shift", torch.zeros(len(TAGS)))

    def forward(self, pixels):
        if not self.is_nchw:
            pixels = pixels.permute(0, 3, 1, 2)
        return torch.sigmoid(self.core(pixels.flip(1) / 127.5 - 1.0) * self.gain + self.shift)


def swinv2():
    from timm.models.swin_transformer_v2 import SwinTransformerV2
    return Tagger(SwinTransformerV2(img_size=448, patch_size=14, num_classes=len(TAGS), window_size=4, embed_dim=12,
                                    depths=(2, 2), num_heads=(2, 3))), 448


def convnext():
    from timm.models.convnext import ConvNeXt
    return Tagger(ConvNeXt(num_classes=len(TAGS), depths=(1, 1, 2, 1), dims=(8, 12, 16, 24))), 448


def plain():
    layers = []
    for before, after in ((3, 6), (6, 8), (8, 12), (12, 12)):
        layers += [nn.Conv2d(before, after, 3, stride=2, padding=1), nn.ReLU()]
    return Tagger(nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(12, len(TAGS))),
                  is_nchw=True), 64


MAKERS = {"swinv2": swinv2, "convnext": convnext, "plain": plain}


def randomise(model, seed):
    """Every parameter from the seed, so that each layer matters (some start at zero or at 1e-6)."""
    generator = torch.Generator().manual_seed(seed)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        with torch.no_grad():
            if parameter.dim() >= 2 and "logit_scale" not in name:
                parameter.copy_(noise * 1.4 / math.sqrt(parameter[0].numel()))
            elif "gamma" in name:
                parameter.copy_(0.5 + 0.1 * noise)
            elif "logit_scale" not in name:
                parameter.copy_((1.0 if "norm" in name and name.endswith("weight") else 0.0) + 0.1 * noise)


def spread_scores(model, side):
    """Scales the head so that a tag's score goes through most of 0..1 from picture to picture."""
    pictures = torch.stack([prepared(drawn(1000 + i, side, side), side) for i in range(48)])
    if model.is_nchw:
        pictures = pictures.permute(0, 3, 1, 2)
    with torch.no_grad():
        raw = torch.cat([torch.logit(model(batch)) for batch in pictures.split(8)])
        words = Words(77)
        wanted = torch.tensor([-2.5 + words.below(3500) / 1000 for _ in TAGS], dtype=torch.float64)
        # One ulp of float32 must say the same in both precisions.
        gain = (1.9 / raw.std(0)).float().double()
        model.gain.copy_(gain)
        model.shift.copy_((wanted - raw.mean(0) * gain).float().double())


def do_without_onnx():
    """torch 2's exporter asks for the package onnx only to add functions that these models do not have."""
    try:
        import onnx  # noqa: F401
    except ImportError:
        for name in ("torch.onnx._internal.onnx_proto_utils",
                     "torch.onnx._internal.torchscript_exporter.onnx_proto_utils"):
            try:
                module = __import__(name, fromlist=["_add_onnxscript_fn"])
            except ImportError:
                continue
            if hasattr(module, "_add_onnxscript_fn"):
                module._add_onnxscript_fn = lambda model_bytes, custom_opsets: model_bytes


def export(model, side, path):
    shape = (1, 3, side, side) if model.is_nchw else (2, side, side, 3)
    options = {"opset_version": 17 if int(torch.__version__.split(".")[0]) >= 2 else 15, "input_names": ["input"],
               "output_names": ["output"], "do_constant_folding": True}
    if not model.is_nchw:
        options["dynamic_axes"] = {"input": {0: "batch"}, "output": {0: "batch"}}
    if "dynamo" in inspect.signature(torch.onnx.export).parameters:
        options["dynamo"] = False
    torch.onnx.export(model.float().eval(), torch.zeros(shape), path, **options)


def write_tags(path):
    with open(path, "w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(["tag_id", "name", "category", "count"])
        for i, (name, category) in enumerate(TAGS):
            rows.writerow([9999999 - i if category == 9 else 100 + i, name, category, 50000 - 700 * i])


def make(name, out, pictures):
    model, side = MAKERS[name]()
    randomise(model, 5)
    model = model.double().eval()
    spread_scores(model, side)
    folder = os.path.join(out, name)
    os.makedirs(folder, exist_ok=True)
    scores = {}
    for picture, pixels in pictures.items():
        try:
            ready = prepared(pixels, side).unsqueeze(0)
        except ImportError:
            print(f"{name}: {picture} is left out, Pillow is missing")
            continue
        with torch.no_grad():
            row = model(ready.permute(0, 3, 1, 2) if model.is_nchw else ready)[0]
        scores[picture] = [round(value, 9) for value in row.tolist()]
    export(model, side, os.path.join(folder, "model.onnx"))
    write_tags(os.path.join(folder, "selected_tags.csv"))
    values = [value for row in scores.values() for value in row]
    over = sum(value >= 0.35 for value in values)
    print(f"{name}: {os.path.getsize(os.path.join(folder, 'model.onnx'))} bytes, scores {min(values):.4f} to "
          f"{max(values):.4f}, {over} of {len(values)} over 0.35")
    return scores


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", required=True)
    parser.add_argument("--only", default=",".join(MAKERS))
    parser.add_argument("--pictures", action="store_true", help="nothing but the pictures")
    args = parser.parse_args()
    print("torch", torch.__version__, flush=True)
    os.makedirs(os.path.join(args.out, "pictures"), exist_ok=True)
    pictures = {}
    for i, (name, (width, height)) in enumerate(PICTURES.items()):
        pictures[name] = drawn(10 + i, width, height)
        write_png(os.path.join(args.out, "pictures", name + ".png"), pictures[name])
    if args.pictures:
        return 0
    do_without_onnx()
    scores, failed = {}, 0
    for name in args.only.split(","):
        try:
            if name != "plain":
                import timm
                print("timm", timm.__version__, flush=True)
            scores[name] = make(name, args.out, pictures)
        except Exception:  # the other models are still worth having
            traceback.print_exc()
            failed += 1
    with open(os.path.join(args.out, "scores.json"), "w", encoding="utf-8") as file:
        json.dump(scores, file, separators=(",", ":"))
        file.write("\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
