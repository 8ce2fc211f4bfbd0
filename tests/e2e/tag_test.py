"""lora tag: scores equal PyTorch's, captions equal the expected ones for every option, and nothing is ever lost."""
import gzip
import json
import math
import os
import shutil
import signal
import struct
import sys
import tempfile
import time
import unittest

from harness import SOURCE, E2E, listing, run, start
from onnx_files import HAS_RUNTIME, floats, ints, node, number, onnx_model, value_info

DATA = os.path.join(SOURCE, "tests/data/tagger")
RATINGS = ("general", "sensitive", "questionable", "explicit")


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def read_json(path):
    return json.loads(read(path))


def mean_model(dims, num_tags=4, sigmoid=True):
    """Scores that follow from the mean of the first three numbers of the last axis or the channels."""
    axes = [2, 3] if dims[1] == 3 else [1, 2]
    weights = [((i * 7 + c * 3) % 5 - 2) / 200 for c in range(3) for i in range(num_tags)]
    nodes = [node("ReduceMean", ["in"], ["mean"], ints("axes", axes), number("keepdims", 0)),
             node("MatMul", ["mean", "weight"], ["sum"])]
    nodes.append(node("Sigmoid" if sigmoid else "Identity", ["sum"], ["out"]))
    return onnx_model([value_info("in", dims)], [value_info("out", ["n", num_tags])], nodes,
                      [floats("weight", [3, num_tags], weights)]), weights


CSV = "tag_id,name,category,count\n1,general,9,1\n2,1girl,0,1\n3,long_hair,0,1\n4,hatsune_miku,4,1\n"


@unittest.skipUnless(HAS_RUNTIME, "./dev setup installs ONNX Runtime")
class Tag(E2E):
    @classmethod
    def setUpClass(cls):
        cls.models = tempfile.mkdtemp(prefix="lora-taggers-")
        for name in ("swinv2", "convnext"):
            folder = os.path.join(cls.models, name)
            os.makedirs(folder)
            shutil.copy(f"{DATA}/{name}/selected_tags.csv", folder)
            with gzip.open(f"{DATA}/{name}/model.onnx.gz") as packed, open(f"{folder}/model.onnx", "wb") as file:
                file.write(packed.read())
        shutil.copytree(f"{DATA}/plain", os.path.join(cls.models, "plain"))

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.models, ignore_errors=True)

    def pictures(self, *names, folder="10_mika"):
        os.makedirs(self.path(folder), exist_ok=True)
        for name in names:
            shutil.copy(f"{DATA}/pictures/{name}.png", self.path(folder))
        return self.path(folder)

    def tag(self, folder, *args, model="swinv2", code=0):
        return self.check(run("tag", folder, "--model", os.path.join(self.models, model), *args), code)

    def own_model(self, content, csv=CSV, name="own"):
        os.makedirs(self.path(name), exist_ok=True)
        with open(self.path(name, "model.onnx"), "wb") as file:
            file.write(content)
        if csv is not None:
            self.write(os.path.join(name, "selected_tags.csv"), csv)
        return self.path(name)

    # ---- scores ----------------------------------------------------------------------------------

    def test_scores_are_pytorchs(self):
        expected = read_json(f"{DATA}/scores.json")
        folder = self.pictures("square", "wide", "shrinks", "tall", "grows")
        worst = {}
        for model, rows in expected.items():
            for batch in (1, 3) if model != "plain" else (4,):
                self.tag(folder, "--save_json", "--on_conflict", "copy", "--batch_size", batch, model=model)
                for picture, scores in rows.items():
                    ratings, tags = read_json(os.path.join(folder, picture + ".json"))
                    self.assertEqual(tuple(ratings), RATINGS)
                    ours = list(ratings.values()) + list(tags.values())
                    self.assertEqual(len(ours), len(scores))
                    gap = max(abs(a - b) for a, b in zip(ours, scores))
                    worst[model] = max(worst.get(model, 0), gap)
        print("largest difference from PyTorch:", worst, file=sys.stderr)
        for model, gap in worst.items():
            self.assertLess(gap, 1e-4, model)

    def test_both_layouts_and_fixed_batches(self):
        # The same network as NHWC and NCHW, batch free and fixed, size given and open: the same scores.
        folder = self.pictures("square", "wide", "tall")
        seen = []
        for i, dims in enumerate((["n", 64, 64, 3], ["n", 3, 64, 64], [2, 64, 64, 3], ["n", "h", "w", 3])):
            model, _ = mean_model(dims)
            self.check(run("tag", folder, "--model", self.own_model(model, name=f"m{i}"), "--save_json",
                           "--on_conflict", "copy"), 0)
            seen.append([read_json(os.path.join(folder, p + ".json")) for p in ("square", "wide", "tall")])
        for (rating, tags), (other_rating, other_tags) in zip(seen[0], seen[1]):
            for a, b in zip((*rating.values(), *tags.values()), (*other_rating.values(), *other_tags.values())):
                self.assertAlmostEqual(a, b, places=6)
        self.assertEqual(seen[0], seen[2])
        for (_, a), (_, b) in zip(seen[0], seen[3]):  # 448 pixels where the model leaves it open
            self.assertAlmostEqual(a["1girl"], b["1girl"], places=2)

    def test_channels_and_ranges(self):
        # One red picture: the mean of its numbers is known exactly.
        folder = self.path("red")
        os.makedirs(folder)
        with open(os.path.join(folder, "r.bmp"), "wb") as file:
            pixels = b"\x00\x00\xff" * 16 * 16
            file.write(b"BM" + struct.pack("<IHHI", 54 + len(pixels), 0, 0, 54) +
                       struct.pack("<IiiHHIIiiII", 40, 16, 16, 1, 24, 0, len(pixels), 0, 0, 0, 0) + pixels)
        content, weights = mean_model(["n", 16, 16, 3])
        model = self.own_model(content)
        for order, channel in (("bgr", 2), ("rgb", 0)):
            for name, low, high in (("255", 0, 255), ("unit", 0, 1), ("signed", -1, 1)):
                self.check(run("tag", folder, "--model", model, "--save_json", "--on_conflict", "copy",
                               "--channel_order", order, "--pixel_range", name), 0)
                ratings, tags = read_json(os.path.join(folder, "r.json"))
                for i, score in enumerate([*ratings.values(), *tags.values()]):
                    total = sum((high if c == channel else low) * weights[c * 4 + i] for c in range(3))
                    self.assertAlmostEqual(score, 1 / (1 + math.exp(-total)), places=5)

    # ---- captions --------------------------------------------------------------------------------

    def test_captions_for_every_option(self):
        # M195, M196, M198, M181: tests/data/tagger/expected.json.
        for row in read_json(f"{DATA}/expected.json"):
            with self.subTest(row["case"], model=row["model"]):
                shutil.rmtree(self.path("10_mika"), ignore_errors=True)
                folder = self.pictures(*row["files"])
                if "before" in row:
                    for name in row["files"]:
                        self.write(f"10_mika/{name}.txt", row["before"])
                self.tag(folder, *row["args"], model=row["model"])
                for name, caption in row["files"].items():
                    self.assertEqual(read(os.path.join(folder, name + ".txt")), caption)

    def test_only_new_pictures(self):
        folder = self.pictures("square", "grows")
        self.write("10_mika/square.txt", "mine\n")
        told = json.loads(self.tag(folder, "--json").out)
        self.assertEqual((told["pictures"], told["tagged"], told["skipped"]), (2, 1, 1))
        self.assertEqual(read(self.path("10_mika/square.txt")), "mine\n")
        (row,) = told["files"]
        self.assertEqual(row["caption"], read(self.path("10_mika/grows.txt")).strip())
        self.assertEqual([t["tag"] for t in row["tags"]], row["caption"].split(", "))
        told = json.loads(self.tag(folder, "--json").out)
        self.assertEqual((told["tagged"], told["skipped"]), (0, 2))

    def test_where_captions_go(self):
        self.pictures("grows", folder="in/a")
        self.pictures("square", folder="in")
        found = self.tag(self.path("in"), "--output_dir", self.path("out"), "--caption_extension", "caption",
                         "--output_name", "x [name] [extension].[output_extension]")
        self.assertIn("2 of 2", found.out)
        written = sorted(name for name in listing(self.path("out")) if not name.startswith(".lora-undo"))
        self.assertEqual(written, ["a/", "a/x grows png.caption", "x square png.caption"])
        self.assertFalse(os.path.exists(self.path("in/square.caption")))
        undone = self.check(run("tag", self.path("in"), "--output_dir", self.path("out"), "--undo"), 0)
        self.assertIn("2 files restored", undone.out)
        self.assertEqual([name for name in listing(self.path("out")) if not name.endswith("/")], [])
        self.tag(self.path("in"), "--no_recursive", "--output_name", "[hash:sha256].txt")
        (name,) = [n for n in os.listdir(self.path("in")) if n.endswith(".txt")]
        self.assertEqual(len(name), 64 + 4)
        for pattern in ("../[name].txt", "[nome].txt", "a/b", "..", ""):
            self.tag(self.path("in"), f"--output_name={pattern}", code=2)

    def test_two_pictures_of_one_name(self):
        folder = self.pictures("grows")
        shutil.copy(f"{folder}/grows.png", f"{folder}/grows.bmp")  # its content says PNG
        result = self.tag(folder)
        self.assertIn("same caption file", result.err)
        self.assertIn("1 of 2", result.out)

    def test_dry_run_undo_and_frequencies(self):
        folder = self.pictures("square", "grows")
        before = listing(folder)
        result = self.tag(folder, "--dry_run", "--frequency_tags")
        self.assertIn("would be tagged", result.out)
        self.assertIn("     2  ", result.out)
        self.assertEqual(listing(folder), before)
        self.write("10_mika/square.txt", "old, caption")
        before = listing(folder)
        self.tag(folder, "--on_conflict", "append", "--save_json")
        self.assertTrue(os.path.exists(os.path.join(folder, "grows.json")))
        self.assertIn("4 files restored", self.check(run("tag", folder, "--undo"), 0).out)
        self.assertEqual(listing(folder), before)
        self.assertEqual(read(os.path.join(folder, "square.txt")), "old, caption")

    def test_old_encodings_and_links(self):
        folder = self.pictures("square", "grows")
        with open(os.path.join(folder, "square.txt"), "wb") as file:
            file.write("艦隊, スカート".encode("cp932"))
        self.write("elsewhere.txt", "untouched")
        os.symlink(self.path("elsewhere.txt"), os.path.join(folder, "grows.txt"))
        result = self.tag(folder, "--on_conflict", "append")
        self.assertIn("is a link", result.err)
        self.assertTrue(read(os.path.join(folder, "square.txt")).startswith("艦隊, スカート, "))
        self.assertEqual(read(self.path("elsewhere.txt")), "untouched")

    # ---- what goes wrong -------------------------------------------------------------------------

    def test_broken_pictures_are_passed_over(self):
        folder = self.pictures("square", "grows")
        with open(os.path.join(folder, "square.png"), "r+b") as file:
            file.truncate(700)
        self.write("10_mika/text.png", "no picture")
        result = self.tag(folder, "--batch_size", "3", code=1)
        self.assertIn("1 of 3 pictures tagged, 0 have captions, 2 cannot be read", result.out)
        expected = read_json(f"{DATA}/expected.json")[0]
        self.assertEqual(read(os.path.join(folder, "grows.txt")), expected["files"]["grows"])
        self.assertFalse(os.path.exists(os.path.join(folder, "square.txt")))

    def test_models_that_are_none(self):
        folder = self.pictures("grows")
        good, _ = mean_model(["n", 16, 16, 3])
        self.assertEqual(self.check(run("tag", folder, "--model", self.own_model(good), "--dry_run"), 0).code, 0)

        def refused(code, content, *texts, csv=CSV):
            model = self.own_model(content, csv)
            self.check(run("tag", folder, "--model", model), code, *texts)
            os.remove(os.path.join(model, "model.onnx"))
            if csv is not None:
                os.remove(os.path.join(model, "selected_tags.csv"))
        refused(4, b"not a model", "ONNX Runtime")
        refused(4, good[:len(good) // 2], "ONNX Runtime")
        refused(4, mean_model(["n", 16, 24, 3])[0], "square")
        refused(4, mean_model(["n", 9999, 9999, 3])[0], "square")
        refused(4, onnx_model([value_info("in", ["n", 16, 16, 4])], [value_info("out", ["n", 4])],
                              [node("ReduceMean", ["in"], ["out"], ints("axes", [1, 2]),
                                    number("keepdims", 0))]), "no WD14 tagger")
        refused(4, mean_model(["n", 16, 16, 3], num_tags=9)[0], "9 outputs", "4 tags")
        refused(4, onnx_model([value_info("in", ["n", 16, 16, 3], 11)], [value_info("out", ["n", 4], 11)],
                              [node("Identity", ["in"], ["out"])]), "")
        refused(4, onnx_model([value_info("a", [1, 3]), value_info("b", [1, 3])], [value_info("out", [1, 3])],
                              [node("Add", ["a", "b"], ["out"])]), "2 inputs")
        refused(7, mean_model(["n", 16, 16, 3], sigmoid=False)[0], "between 0 and 1")
        refused(5, good, "selected_tags.csv", csv=None)
        refused(4, good, "line 1", csv="")
        refused(4, good, "line 3", csv=CSV.replace("2,1girl,0,1", "2,1girl,x,1"))
        refused(4, good, "never closed", csv=CSV + '5,"open,0,1\n')
        refused(4, good, "no tags", csv=CSV.split("\n")[0])
        self.check(run("tag", folder, "--model", self.path("nowhere")), 5, "lora fetch --list")
        self.check(run("tag", folder, "--model_dir", self.path("models")), 5, "lora fetch wd14-swinv2-v2")
        self.check(run("tag", folder), 5)
        self.check(run("tag", self.path("nofolder"), "--model", os.path.join(self.models, "plain")), 5)
        self.check(run("tag"), 2)
        self.check(run("tag", folder, "--thresh", "1.5", "--model", "x"), 2, "thresh")
        self.tag(folder, "--tag_replacement", "a,b,c", code=2)
        self.tag(folder, "--onnxruntime", self.path("no.so"), code=5)
        self.tag(folder, "--onnxruntime", os.path.join(self.models, "plain/model.onnx"), code=6)

    def test_names_that_fetch_and_sd_scripts_give(self):
        folder = self.pictures("grows")
        for name, word in (("wd14-swinv2-v2", []), ("SmilingWolf_wd-v1-4-convnext-tagger-v2",
                                                    ["--repo_id", "SmilingWolf/wd-v1-4-convnext-tagger-v2"])):
            shutil.copytree(os.path.join(self.models, "plain"), self.path("models", name))
            self.check(run("tag", folder, "--model_dir", self.path("models"), *word, "--dry_run", "--onnx"), 0)

    # ---- kills -----------------------------------------------------------------------------------

    def test_killed_and_continued(self):
        # Killed at any moment: captions are whole, old or new; the same command does only the rest; undo undoes all.
        rounds = int(os.environ.get("LORA_TEST_KILLS", "4"))
        for i in range(rounds):
            shutil.rmtree(self.path("many"), ignore_errors=True)
            os.makedirs(self.path("many"))
            for k in range(12):
                shutil.copy(f"{DATA}/pictures/grows.png", self.path("many", f"p{k:02d}.png"))
                self.write(f"many/p{k:02d}.txt", f"old {k}\n")
            before = listing(self.path("many"))
            args = ("tag", self.path("many"), "--model", os.path.join(self.models, "plain"), "--on_conflict", "append",
                    "--save_json")
            process = start(*args)
            time.sleep(0.05 + 0.07 * i)
            process.send_signal(signal.SIGKILL if i % 2 == 0 else signal.SIGINT)
            process.communicate()
            tail = None
            for k in range(12):
                text = read(self.path("many", f"p{k:02d}.txt"))
                self.assertTrue(text.startswith(f"old {k}"), text)
                if text != f"old {k}\n":
                    tail = tail or text[text.index(","):]
                    self.assertEqual(text[text.index(","):], tail)
            told = self.check(run(*args), 0)
            self.assertIn("of 12 pictures tagged", told.out)
            for k in range(12):
                text = read(self.path("many", f"p{k:02d}.txt"))
                self.assertEqual(text.count(f"old {k}"), 1)
                self.assertGreater(len(text), 20)
            while os.path.exists(self.path("many", ".lora-undo")):
                self.check(run("tag", self.path("many"), "--undo"), 0)
            self.assertEqual(listing(self.path("many")), before)
            for k in range(12):
                self.assertEqual(read(self.path("many", f"p{k:02d}.txt")), f"old {k}\n")


if __name__ == "__main__":
    unittest.main()
