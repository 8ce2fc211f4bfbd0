"""The demo says yes for three seeds, and no for a rate of 0, for stickers and for wrong colours.

Each training takes a minute or so: without LORA_SLOW only the first seed is tried.
"""
import json
import os
import unittest

from harness import SOURCE, E2E, losses, run

SLOW = bool(os.environ.get("LORA_SLOW"))


class Demo(E2E):
    def demo(self, code, *args):
        out = self.path("示範 out")
        result = self.check(run("demo", "--out", out, *args, timeout=900), code)
        word = "yes" if code == 0 else "no"
        self.assertTrue(result.out.splitlines()[-1].startswith(f"learned: {word} ("), result)
        with open(os.path.join(out, "report.json"), encoding="utf-8") as file:
            report = json.load(file)
        for key in ("probe_base", "probe_lora", "picture_base", "picture_lora"):
            self.assertIsInstance(report[key], (int, float))
        self.assertIs(report["learned"], code == 0)
        for name in ("sheet.png", "loss.png", "zorp.safetensors"):
            self.assertGreater(os.path.getsize(os.path.join(out, name)), 1000, name)
        self.assertGreater(len(losses(out)), 1)
        return report

    def test_learns(self):
        self.demo(0)

    @unittest.skipUnless(SLOW, "LORA_SLOW is unset")
    def test_learns_with_other_seeds(self):
        for seed in (1, 2):
            with self.subTest(seed=seed):
                self.demo(0, "--seed", seed)

    @unittest.skipUnless(SLOW, "LORA_SLOW is unset")
    def test_a_rate_of_zero_learns_nothing(self):
        report = self.demo(1, "--learning_rate", 0, "--max_train_steps", 3)
        self.assertAlmostEqual(report["probe_base"], report["probe_lora"], places=4)

    @unittest.skipUnless(SLOW, "LORA_SLOW is unset")
    def test_stickers_are_not_zorps(self):
        self.demo(1, "--train_data_dir", os.path.join(SOURCE, "tests/e2e/data/stickers"))

    @unittest.skipUnless(SLOW, "LORA_SLOW is unset")
    def test_zorps_of_the_wrong_colour_are_not_zorps(self):
        self.demo(1, "--train_data_dir", os.path.join(SOURCE, "tests/e2e/data/wrong_colour"))


if __name__ == "__main__":
    unittest.main(verbosity=1)
