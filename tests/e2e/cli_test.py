"""Commands, help, options and what inspect tells."""
import json
import os
import unittest

from harness import MODEL, SOURCE, E2E, environment, run, write_safetensors, sha256


class Commands(E2E):
    def test_version_names_both_reference_versions(self):
        result = self.check(run("version"), 0)
        self.assertIn("0.6.5", result.out)
        self.assertIn("0.10.1", result.out)
        self.assertEqual(run("--version").out, result.out)
        self.assertIn("version", json.loads(run("version", "--json").out))

    def test_features_are_listed_and_accepted(self):
        """What the guide's package installs has its counterpart, and every optimizer and schedule of the list can be chosen."""
        told = self.check(run("version", "--features"), 0).out
        features = json.loads(self.check(run("version", "--features", "--json"), 0).out)["features"]
        for words in features.values():
            self.assertTrue(words)
            for word in words:
                self.assertIn(word, told)
        self.assertLessEqual({"fp16", "bf16"}, set(features["mixed_precision"]))
        self.assertEqual(features["attention"], ["memory_efficient"])
        self.assertLessEqual({"lora", "locon", "loha", "lokr", "ia3"}, set(features["networks"]))
        self.assertLessEqual({"AdamW8bit", "Lion", "DAdaptAdam", "Prodigy"}, set(features["optimizers"]))
        self.assertNotIn("features", json.loads(run("version", "--json").out))
        self.make_data()
        for name in features["optimizers"]:
            rate = {"optimizer_args": "relative_step=False"} if name == "Adafactor" else {}
            self.check(run(*self.train_args(dry_run=True, optimizer_type=name, learning_rate="1", **rate)), 0)
        for name in features["networks"][1:]:
            self.check(run(*self.train_args(dry_run=True, network_module="lycoris.kohya", network_args=f"algo={name}")), 0)

    def test_help_is_bilingual(self):
        english = self.check(run("help", "train"), 0).out
        self.assertIn("--network_dim", english)
        chinese = run("help", "train", env=environment() | {"LORA_LANG": "zh_TW.UTF-8"}).out
        self.assertIn("學習率", chinese)
        self.assertEqual(run("train", "--help", "--lang", "zh").out, chinese)
        self.assertEqual(run("help").code, 0)
        self.assertEqual(run().code, 2)

    def test_the_page_on_learning(self):
        # The three mechanisms, and that full tags want longer prompts (M152, M158).
        page = self.check(run("help", "learning"), 0).out
        for words in ("Tags link", "learns its own look", "learns the rest", "prompts get longer", "keep_tokens 1"):
            self.assertIn(words, page)
        chinese = self.check(run("help", "learning", "--lang", "zh"), 0).out
        for words in ("自動關聯", "學習自己的樣式", "學習剩餘的元素", "提示詞較長"):
            self.assertIn(words, chinese)
        self.assertIn("lora help learning", run("help").out)
        for named in ("lora data check", "lora interrogate --tags", "lora tags --policy", "max_shuffled_tags"):
            self.assertIn(named, page)

    def test_options_page_is_fresh(self):
        made = self.check(run("help", "--markdown"), 0).out
        with open(os.path.join(SOURCE, "docs/options.md"), encoding="utf-8") as file:
            self.assertEqual(made, file.read(),
                             "run: build/bin/lora help --markdown > docs/options.md")

    def test_unknown_words_offer_the_nearest(self):
        self.check(run("trian"), 2, 'there is no command "trian"', "did you mean lora train?")
        self.check(run("train", "--network_dmi", "8"), 2, "did you mean network_dim?")
        self.check(run("doctor", "stray"), 2, "belongs to no option")

    def test_doctor_tells_the_machine(self):
        result = self.check(run("doctor", "--json"), 0)
        told = json.loads(result.out)
        self.assertGreaterEqual(told["threads"], 1)
        self.assertIn(told["backend"], ("cpu", "cuda", "reference"))
        self.assertIn("threads", self.check(run("doctor"), 0).out)

    def test_inspect_a_model(self):
        told = json.loads(self.check(run("inspect", MODEL, "--json"), 0).out)
        self.assertEqual((told["kind"], told["family"]), ("model", "sd1"))
        self.assertEqual(told["bytes"], os.path.getsize(MODEL))
        self.assertIn("lora_cpp.model", told["metadata"])

    def test_inspect_a_network(self):
        path = self.path("net.safetensors")
        key = "lora_unet_mid_block_attentions_0_transformer_blocks_0_attn2_to_k"
        write_safetensors(path, {
            key + ".alpha": ("F32", [], b"\0\0\0\x40"),
            key + ".lora_down.weight": ("F16", [4, 768], bytes(4 * 768 * 2)),
            key + ".lora_up.weight": ("F16", [1280, 4], bytes(1280 * 4 * 2)),
        }, {"ss_tag_frequency": '{"5_cat": {"my cat": 9, "sofa": 2}}',
            "ss_dataset_dirs": '{"5_cat": {"n_repeats": 5, "img_count": 9}}'})
        told = json.loads(self.check(run("inspect", path, "--json"), 0).out)
        self.assertEqual((told["kind"], told["family"], told["rank"], told["alpha"], told["modules"]),
                         ("lora", "sd1", 4, 2.0, 1))
        self.assertEqual(told["trigger_words"], ["my cat"])
        self.assertIn("my cat (9 of 9 captions)", run("inspect", path).out)

    def test_inspect_errors(self):
        self.check(run("inspect"), 2, "missing")
        self.check(run("inspect", self.path("no.safetensors")), 5, "no.safetensors")
        text = self.write("text.safetensors", "this is no safetensors file, whatever its name says")
        self.check(run("inspect", text), 4, "text.safetensors")


class Sample(E2E):
    def test_the_same_seed_gives_the_same_picture(self):
        first, second = self.path("a.png"), self.path("新 資料夾", "b.png")
        args = ["sample", "--model", MODEL, "--prompt", "red circle, smile, blue background", "--seed", 5,
                "--steps", 4, "--sampler", "euler_a", "--mixed_precision", "no"]
        self.check(run(*args, "--out", first), 0)
        told = json.loads(self.check(run(*args, "--out", second, "--json"), 0).out)
        self.assertEqual(told["pictures"][0]["seed"], 5)
        with open(first, "rb") as a, open(second, "rb") as b:
            picture = a.read()
            self.assertEqual(picture, b.read())
        self.assertIn(b"parameters\0red circle", picture)
        self.assertIn(b"Steps: 4, Sampler: Euler a, CFG scale: 7.5, Seed: 5, Size: 128x128", picture)

    def test_every_sampler_draws_the_same_twice(self):
        args = ["sample", "--model", MODEL, "--prompt", "red circle, blue background", "--seed", 5, "--width", 64,
                "--height", 64, "--steps", 5, "--mixed_precision", "no"]
        seen = {}
        for name in ("ddim", "pndm", "lms", "euler", "euler_a", "heun", "dpm_2", "dpm_2_a", "dpmsolver", "dpmsolver++",
                     "dpmsingle", "k_lms", "k_euler", "k_euler_a", "k_dpm_2", "k_dpm_2_a"):
            out = self.path("a.png")
            self.check(run(*args, "--sampler", name, "--out", out), 0)
            seen[name] = sha256(out)
        for name, digest in seen.items():
            if name.startswith("k_"):
                self.assertEqual(digest, seen[name[2:]], name)
        self.assertEqual(len(set(seen.values())), 11)
        self.check(run(*args, "--sampler", "unipc", "--out", self.path("b.png")), 2, "unipc")

    def test_several_pictures_get_numbers(self):
        self.check(run("sample", "--model", MODEL, "--prompt", "x", "--steps", 1, "--width", 64,
                       "--height", 64, "--images", 2, "--out", self.path("p.png")), 0)
        self.assertEqual(sorted(os.listdir(self.tmp)), ["p-0001.png", "p-0002.png"])

    def test_errors(self):
        self.check(run("sample", "--prompt", "x"), 2, "model is missing")
        self.check(run("sample", "--model", MODEL, "--prompt", "x", "--width", 100), 2, "multiple of 8")
        self.check(run("sample", "--model", self.path("none"), "--prompt", "x"), 5)
        self.check(run("sample", "--model", MODEL, "--prompt", "x", "--lora", MODEL,
                       "--out", self.path("p.png")), 4)
        self.assertEqual(os.listdir(self.tmp), [])


if __name__ == "__main__":
    unittest.main(verbosity=1)
