"""Pictures, captions and settings from elsewhere: folder names, data sets described in files, imported settings."""
import json
import os
import re
import shutil
import subprocess
import unittest

from harness import BIN, MODEL, SOURCE, ZORPS, E2E, environment, losses, read_header, run

FOREIGN = os.path.join(SOURCE, "tests/e2e/data/foreign")


class Data(E2E):
    def dry_run(self, *args):
        result = self.check(run(*args, "--dry_run", "--json"), 0)
        return json.loads(result.out), result

    def test_captions_as_they_will_be_trained(self):
        # M111 to M113, M116: the three names, and the trigger in captions that do not name it.
        folder = os.path.join(self.make_data(name="3_Snow_Fox animal", count=2), "3_Snow_Fox animal")
        os.remove(os.path.join(folder, "zorp_01.txt"))
        self.write(os.path.join(folder, "zorp_00.txt"), "white, snow")
        args = self.train_args(steps=1, no_shuffle_caption=True)
        told, _ = self.dry_run(*args)
        (shown,) = told["folders"]
        self.assertEqual((shown["trigger"], shown["class"], shown["repeats"]), ("Snow Fox", "animal", 3))
        self.assertEqual(shown["captions"], ["Snow Fox, white, snow", "Snow Fox animal"])
        self.assertTrue(shown["trigger_in_front"])
        told, _ = self.dry_run(*args, "--concept_trigger", "fallback")
        self.assertEqual(told["folders"][0]["captions"], ["white, snow", "Snow Fox animal"])
        told, _ = self.dry_run(*args, "--preset", "sd-scripts", "--caption_extension", ".txt")
        self.assertEqual(told["folders"][0]["captions"], ["white, snow", "Snow_Fox animal"])
        told, _ = self.dry_run(*args, "--folder_names", "class_suffix")
        self.assertEqual(told["folders"][0]["trigger"], "Snow")
        self.check(run(*args), 0)
        meta = read_header(self.path("out", "tiny.safetensors"))["__metadata__"]
        self.assertEqual(json.loads(meta["lora_cpp.concepts"]),
                         {"3_Snow_Fox animal": {"trigger": "Snow Fox", "class": "animal"}})
        self.assertEqual(json.loads(meta["ss_tag_frequency"])["3_Snow_Fox animal"]["white"], 1)

    def test_a_described_data_set(self):
        for name in ("cats", "reg", "large"):
            self.make_data(folder="p", name=name, count=2) if name == "cats" else shutil.copytree(
                self.path("p", "cats"), self.path("p", name))
        config = self.write("d.toml", f"""
[general]
shuffle_caption = false
keep_tokens = 1
[[datasets]]
resolution = 64
batch_size = 2
[[datasets.subsets]]
image_dir = '{self.path("p", "cats")}'
num_repeats = 2
flip_aug = true
[[datasets.subsets]]
image_dir = '{self.path("p", "reg")}'
is_reg = true
class_tokens = "thing"
[[datasets]]
resolution = [128, 64]
batch_size = 1
[[datasets.subsets]]
image_dir = '{self.path("p", "large")}'
caption_prefix = "big,"
""")
        args = self.train_args(steps=None, max_train_epochs=1, train_data_dir=None, resolution=None,
                               dataset_config=config)
        args += ["--resolution", "64"]
        told, _ = self.dry_run(*args)
        self.assertEqual(told["images"], 6)
        self.assertEqual(told["steps"], 4 + 2)  # (4 + 4 draws) at batch 2, 2 draws at batch 1
        self.assertTrue(told["folders"][2]["captions"][0].startswith("big, "))
        self.check(run(*args), 0)
        meta = read_header(self.path("out", "tiny.safetensors"))["__metadata__"]
        first, second = json.loads(meta["ss_datasets"])
        self.assertEqual((first["batch_size_per_device"], second["batch_size_per_device"]), (2, 1))
        self.assertEqual(second["resolution"], [128, 64])
        self.assertEqual([s["num_repeats"] for s in first["subsets"]], [2, 1])
        self.assertEqual([s["is_reg"] for s in first["subsets"]], [False, True])
        self.assertTrue(first["subsets"][0]["flip_aug"])
        self.assertNotIn("ss_resolution", meta)
        self.assertEqual(len(losses(self.path("out"))), told["steps"])

    def test_mistakes_in_a_description(self):
        config = self.write("d.toml", "[[datasets]]\nresolution = 64\n[[datasets.subsets]]\nimage_dirr = 'x'\n")
        self.check(run(*self.train_args(train_data_dir=None, dataset_config=config)), 2,
                   "did you mean image_dir", "image_dir is missing")
        config = self.write("d.toml", "[[datasets]]\nresolution = 64\n[[datasets.subsets]]\nimage_dir = 'no-such'\n")
        self.check(run(*self.train_args(train_data_dir=None, dataset_config=config)), 5, "no-such")

    def test_pictures_that_differ_at_every_draw(self):
        self.make_data()
        args = self.train_args(steps=3, color_aug=True, random_crop=True, min_bucket_reso=64)
        self.check(run(*args), 0)
        first = losses(self.path("out"))
        self.check(run(*self.train_args(steps=3, color_aug=True, random_crop=True, out="again")), 0)
        self.assertEqual(first, losses(self.path("again")))
        self.check(run(*self.train_args(steps=3, out="plain")), 0)
        self.assertNotEqual(first, losses(self.path("plain")))
        self.assertFalse(os.path.exists(self.path("out", "cache")))
        meta = read_header(self.path("out", "tiny.safetensors"))["__metadata__"]
        self.assertEqual((meta["ss_color_aug"], meta["ss_random_crop"], meta["ss_cache_latents"]),
                         ("True", "True", "False"))
        self.check(run(*self.train_args(steps=1, color_aug=True, cache_latents=True)), 2, "latents cannot be kept")

    def test_settings_of_another_program(self):
        # M21 to M69: a train.ps1 runs as it stands, but for the files that are not here.
        self.make_data()
        args = ["train", "--from", os.path.join(FOREIGN, "train.ps1"), "--pretrained_model", MODEL,
                "--train_data_dir", self.path("data"), "--output_dir", self.path("out"), "--logging_dir",
                self.path("logs"), "--resolution", "64", "--min_bucket_reso", "64", "--network_args=",
                "--mixed_precision", "no", "--sample_prompts="]
        told, result = self.dry_run(*args)
        self.assertIn("my_own_note", result.err)
        self.assertEqual(told["epochs"], 14)
        self.assertTrue(any("my_own_note" in w for w in told["warnings"]))
        self.assertIn("read as train.ps1", " ".join(told["notes"]))
        self.check(run("train", "--from", self.path("missing.ps1")), 5, "missing.ps1")
        self.check(run("train", "--from", os.path.join(ZORPS, "zorp_00.txt")), 4, "zorp_00.txt")

    def test_looking_at_the_data(self):
        self.make_data()
        args = self.train_args(steps=None, max_train_epochs=3, debug_dataset=True, flip_aug=True)
        done = subprocess.run([BIN, *args], input=b"s\nx\ne\nS\nq\nsss", env=environment(), timeout=300,
                              capture_output=True)
        out = done.stdout.decode("utf-8")
        self.assertEqual(done.returncode, 0, done.stderr)
        steps = [line for line in out.splitlines() if line.startswith("epoch ")]
        self.assertEqual([s.split(",")[:2] for s in steps],
                         [["epoch 1/3", " step 1/4"], ["epoch 1/3", " step 2/4"], ["epoch 2/3", " step 1/4"],
                          ["epoch 2/3", " step 2/4"]])
        self.assertIn("zorp", out)
        page = self.path("out", "debug_dataset", "index.html")
        with open(page, encoding="utf-8") as file:
            text = file.read()
        self.assertEqual(text.count("<figure>"), 8)
        self.assertIn("zorp", text)
        names = os.listdir(self.path("out", "debug_dataset"))
        self.assertIn("sheet.png", names)
        self.assertEqual(len([n for n in names if n[0].isdigit()]), 8)
        self.assertEqual(os.listdir(self.path("out")), ["debug_dataset"])  # nothing was trained
        escaped = subprocess.run([BIN, *args], input=b"\x1b", env=environment(), timeout=300, capture_output=True)
        self.assertEqual(escaped.stdout.decode("utf-8").count("step 1/4"), 1)

    def test_pictures_that_are_set_aside_are_not_shown(self):
        self.make_data(name="1_zorp")
        args = self.train_args(steps=None, max_train_epochs=1, validation_split=0.25)
        told, _ = self.dry_run(*args)
        self.check(run(*args, "--debug_dataset"), 0)
        with open(self.path("out", "debug_dataset", "index.html"), encoding="utf-8") as file:
            shown = set(re.findall(r"zorp_\d\d\.png", file.read()))
        self.assertEqual((told["images"], len(shown)), (3, 3))

    def test_latents_asked_for_on_the_command_line(self):
        folder = os.path.join(self.make_data(), "2_zorp")
        config = self.write("d.toml", f"[[datasets]]\nresolution = 64\n[[datasets.subsets]]\nimage_dir = '{folder}'\n"
                            "color_aug = true\n")
        args = self.train_args(steps=1, train_data_dir=None, dataset_config=config)
        self.check(run(*args, "--dry_run"), 0)
        for option in ("--cache_latents", "--cache_latents_to_disk"):
            self.check(run(*args, option, "--dry_run"), 2, "latents cannot be kept")

    def test_a_policy_raises_keep_tokens(self):
        folder = self.make_data()
        for before, after in (("keep_tokens = 0  # note", "keep_tokens = 1  # note"), ("keep_tokens=0", "keep_tokens = 1"),
                              ("keep_tokens = 2  # note", "keep_tokens = 2  # note"), ("", "keep_tokens = 1\n")):
            settings = self.write("run.toml", "seed = 1\n" + before)
            self.check(run("tags", folder, "--recursive", "--policy", "no_traits", "--keep_tokens_in", settings), 0)
            with open(settings, encoding="utf-8") as file:
                self.assertIn(after, file.read())

    @unittest.skipIf(os.name == "nt", "names are UTF-16 there")
    def test_a_folder_whose_name_is_no_utf8(self):
        self.make_data(name=os.fsdecode(b"2_zorp \xff"))
        done = subprocess.run([BIN, *self.train_args(), "--dry_run", "--json"], env=environment(), timeout=300,
                              capture_output=True)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(json.loads(done.stdout)["folders"][0]["name"], "2_zorp \ufffd")

    def test_tags_that_the_model_understands(self):
        # M104: backgrounds are of the mini model's world, the zorp is not.
        self.make_data(count=16)
        args = self.train_args(steps=1, resolution=128, no_shuffle_caption=True)
        told = json.loads(self.check(run(*args, "--check_tags", "--json"), 0).out)
        tags = {entry["tag"]: entry for entry in told["tags"]}
        self.assertEqual(tags["zorp"]["images"], 16)
        self.assertFalse(tags["zorp"]["known"], told)
        # A tag of one or two pictures is measured badly; all backgrounds together are not.
        gains = [entry["gain"] for entry in told["tags"] if entry["tag"].endswith("background")]
        self.assertGreater(len(gains), 5)
        self.assertGreater(sum(gains) / len(gains), 0.01, told)
        self.assertGreater(sum(gains) / len(gains), tags["zorp"]["gain"] + 0.01, told)
        self.assertFalse(os.path.exists(self.path("out", "tiny.safetensors")))

    def test_the_batch_by_memory(self):
        # M103. The planner sets 4 MiB aside for inputs.
        self.make_data()
        for batch in (4, 2, 1):
            plain, _ = self.dry_run(*self.train_args(steps=2, train_batch_size=batch))
            _, result = self.dry_run(*self.train_args(steps=2, max_memory=plain["planned_peak_bytes"] + (4 << 20)),
                                     "--auto_batch")
            self.assertIn(f"auto_batch: {batch} picture", result.err)


if __name__ == "__main__":
    unittest.main(verbosity=2)
