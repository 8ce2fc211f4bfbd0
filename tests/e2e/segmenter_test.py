"""lora data cutout and crop with a segmentation model: small ONNX files of the contract that U2-Net, IS-Net and
others have, so small that the right mask is known."""
import json
import os
import sys
import unittest

from harness import SOURCE, E2E, run
from onnx_files import HAS_RUNTIME, floats, ints, node, number, onnx_model, value_info

sys.path.insert(0, os.path.join(SOURCE, "scripts"))
from experiment_pictures import read_png, write_png  # noqa: E402

WIDTH, HEIGHT = 96, 64
BOX = (30, 16, 36, 32)  # left, top, width, height of the figure
RED, BLUE = (230, 40, 10), (10, 60, 220)
MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def is_figure(x, y, box=BOX):
    return box[0] <= x < box[0] + box[2] and box[1] <= y < box[1] + box[3]


def red_model(dims=(1, 3, 32, 32), scale=1.0, shift=0.0, undo_imagenet=False):
    """The red channel, times `scale`, plus `shift`, as mask: RGB from 0 to 1 is what it wants."""
    weights = [scale, 0.0, 0.0]
    if undo_imagenet:
        weights, shift = [DEVIATION[0], 0.0, 0.0], MEAN[0]
    if dims[1] == 3:
        nodes = [node("Conv", ["in", "w", "b"], ["out"])]
        constants = [floats("w", [1, 3, 1, 1], weights), floats("b", [1], [shift])]
        out = [dims[0], 1, dims[2], dims[3]]
    else:
        nodes = [node("MatMul", ["in", "w"], ["product"]), node("Add", ["product", "b"], ["out"])]
        constants = [floats("w", [3, 1], weights), floats("b", [1], [shift])]
        out = [dims[0], dims[1], dims[2], 1]
    return onnx_model([value_info("in", dims)], [value_info("out", out)], nodes, constants)


@unittest.skipUnless(HAS_RUNTIME, "./dev setup installs ONNX Runtime")
class Segmenter(E2E):
    def setUp(self):
        super().setUp()
        os.makedirs(self.path("5_mika"))
        pixels = bytearray()
        for y in range(HEIGHT):
            for x in range(WIDTH):
                pixels += bytes(c + (x * 7 + y * 5) % 20 for c in (RED if is_figure(x, y) else BLUE))
        self.picture = self.path("5_mika", "a.png")
        write_png(self.picture, (WIDTH, HEIGHT, bytes(pixels)))
        self.pixels = bytes(pixels)
        self.write("5_mika/a.txt", "mika, smile")

    def model(self, content, name="model.onnx"):
        with open(self.path(name), "wb") as file:
            file.write(content)
        return self.path(name)

    def cut_out(self, model, *args):
        """The row of the report, and the picture where it was written."""
        told = json.loads(self.check(run("data", "cutout", self.path("5_mika"), "--segmenter", model, "--background",
                                         "#00ff00", "--to", self.path("new"), "--json", *args), 0).out)
        row = told["pictures"][0]
        if row["outcome"] != "done":
            return row, None
        made = read_png(self.path("new", "5_mika", "a.png"))
        self.check(run("data", "cutout", self.path("5_mika"), "--to", self.path("new"), "--undo"), 0)
        return row, made

    def assert_cut(self, made, box=BOX, soft=4):
        """Figure inside, green outside; `soft` pixels at the border may be either."""
        width, height, pixels = made
        self.assertEqual((width, height), (WIDTH, HEIGHT))
        for y in range(HEIGHT):
            for x in range(WIDTH):
                here = is_figure(x, y, box)
                if any(is_figure(x + i, y + j, box) != here for i in (-soft, 0, soft) for j in (-soft, 0, soft)):
                    continue
                at = 3 * (y * WIDTH + x)
                want = self.pixels[at:at + 3] if here else b"\0\xff\0"
                for a, b in zip(pixels[at:at + 3], want):
                    self.assertLessEqual(abs(a - b), 12, (x, y))

    def test_layouts_sizes_and_ranges(self):
        # The same mask from every form that the contract knows.
        forms = {
            "NCHW": (red_model(), ()),
            "NHWC": (red_model((1, 32, 32, 3)), ()),
            "open size": (red_model((1, 3, "h", "w")), ("--segmenter_size", 64)),
            "open batch": (red_model(("n", 3, 40, 40)), ()),
            "logits": (red_model(scale=40.0, shift=-20.0), ()),
            "bytes": (red_model(scale=255.0), ()),
            "padded": (red_model(), ("--segmenter_fit", "pad")),
            "named mean": (red_model(scale=0.5, shift=0.5), ("--pixel_mean", "0.5", "--pixel_std", "0.5,0.5,0.5")),
            "U2-Net": (red_model((1, 3, 320, 320), undo_imagenet=True), ()),
            "three dims": (onnx_model(
                [value_info("in", [1, 3, 32, 32])], [value_info("out", [1, 32, 32])],
                [node("Mul", ["in", "w"], ["weighted"]),
                 node("ReduceMean", ["weighted"], ["out"], ints("axes", [1]), number("keepdims", 0))],
                [floats("w", [1, 3, 1, 1], [3.0, 0.0, 0.0])]), ()),
        }
        for name, (content, args) in forms.items():
            with self.subTest(name):
                row, made = self.cut_out(self.model(content), *args)
                self.assertEqual(row["outcome"], "done", row)
                self.assert_cut(made)

    def test_the_wrong_numbers_would_be_seen(self):
        # 0.9 less 0.9 is no figure: the mean really is subtracted.
        model = self.model(red_model(scale=40.0, shift=-20.0))
        self.assert_cut(self.cut_out(model)[1])
        row, _ = self.cut_out(model, "--pixel_mean", "0.9")
        self.assertEqual(row["outcome"], "skipped")
        self.assertIn("no figure", row["note"])

    def test_captions_crop_and_hints(self):
        model = self.model(red_model())
        self.check(run("data", "cutout", self.path("5_mika"), "--segmenter", model), 0)
        with open(self.path("5_mika", "a.txt"), encoding="utf-8") as file:
            self.assertEqual(file.read().strip(), "mika, smile, simple background")
        self.check(run("data", "cutout", self.path("5_mika"), "--undo"), 0)
        self.check(run("data", "crop", self.path("5_mika"), "--segmenter", model, "--margin", 0, "--plain_too", "--to",
                       self.path("cropped")), 0)
        width, height, _ = read_png(self.path("cropped", "5_mika", "a.png"))
        self.assertLessEqual(abs(width - BOX[2]), 6)
        self.assertLessEqual(abs(height - BOX[3]), 6)
        # Inside a box, and near a mask, alone.
        left = (BOX[0], BOX[1], BOX[2] // 2, BOX[3])
        row, made = self.cut_out(model, "--box", f"0,0,{BOX[0] + BOX[2] // 2},{HEIGHT}")
        self.assert_cut(made, left)
        mask = bytes(255 if is_figure(x, y, left) else 0 for y in range(HEIGHT) for x in range(WIDTH) for _ in "rgb")
        write_png(self.path("mask.png"), (WIDTH, HEIGHT, mask))
        row, made = self.cut_out(model, "--mask", self.path("mask.png"))
        self.assert_cut(made, left, soft=6)

    def test_models_that_are_none(self):
        def refused(content, code, word, *args):
            told = self.check(run("data", "cutout", self.path("5_mika"), "--segmenter", self.model(content), *args),
                              code, word)
            self.assertNotIn("Traceback", told.err)
            self.assertEqual(read_png(self.picture)[2], self.pixels)

        refused(b"no model", 4, "model.onnx")
        refused(red_model((1, 3, 32, 40)), 4, "[1, 3, 32, 40]")
        refused(red_model((2, 3, 32, 32)), 4, "[2, 3, 32, 32]")
        refused(onnx_model([value_info("in", [1, 3, 8, 8])], [value_info("out", [1, 3, 8, 8])],
                           [node("Relu", ["in"], ["out"])]), 4, "output is [1, 3, 8, 8]")
        refused(onnx_model([value_info("in", [1, 4, 8, 8])], [value_info("out", [1, 1, 8, 8])],
                           [node("Conv", ["in", "w"], ["out"])], [floats("w", [1, 4, 1, 1], [1.0] * 4)]),
                4, "is no segmentation model")
        refused(red_model(), 2, "pixel_mean", "--pixel_mean", "1,2")
        refused(red_model(), 2, "pixel_std", "--pixel_std", "0")
        refused(red_model(), 5, "libnone.so", "--onnxruntime", self.path("libnone.so"))
        # Numbers that are none: the picture is reported and stays.
        refused(red_model(shift=float("nan")), 3, "not finite")
        self.check(run("data", "cutout", self.path("5_mika"), "--segmenter", self.path("none.onnx")), 5, "none.onnx")


if __name__ == "__main__":
    unittest.main()
