"""Every kind of network: trained, stopped and resumed, looked at, sampled with."""
import glob
import json
import os
import unittest

from harness import E2E, MODEL, losses, read_header, run, sha256

KINDS = {
    "lora": ([], "lora_down.weight"),
    "locon": (["algo=locon", "conv_dim=2", "conv_alpha=1", "use_tucker=True"], "lora_mid.weight"),
    "loha": (["algo=loha", "conv_dim=2"], "hada_w1_a"),
    "loha-tucker": (["algo=loha", "conv_dim=2", "use_tucker=True"], "hada_t1"),
    "lokr": (["algo=lokr", "conv_dim=1", "decompose_both=True"], "lokr_w2_a"),
    "ia3": (["algo=ia3"], "on_input"),
    "locon-dora": (["algo=locon", "conv_dim=1", "dora_wd=True", "rank_dropout=0.2"], "dora_scale"),
}


class Network(E2E):
    def setUp(self):
        super().setUp()
        self.make_data()

    def args(self, kind, out, **options):
        words = KINDS[kind][0]
        more = ["--network_module", "lycoris.kohya", "--network_args", *words] if words else []
        return [*self.train_args(steps=2, out=out, **options), *more]

    def test_every_kind_trains_resumes_and_samples(self):
        pictures = set()
        for kind, (words, key) in KINDS.items():
            with self.subTest(kind):
                whole = self.check(run(*self.args(kind, kind, save_state=True, save_every_n_steps=1)), 0)
                self.assertNotIn("error", whole.err)
                path = self.path(kind, "tiny.safetensors")
                header = read_header(path)
                self.assertTrue(any(name.endswith(key) for name in header), kind)
                # M61: the algorithm stands in the metadata.
                meta = header["__metadata__"]
                self.assertEqual(meta["ss_network_module"], "lycoris.kohya" if words else "networks.lora")
                if words:
                    self.assertEqual(json.loads(meta["ss_network_args"])["algo"], words[0][5:])
                (state,) = glob.glob(self.path(kind, "*step00000001-state"))
                self.check(run(*self.args(kind, kind + "2", resume=state)), 0)
                self.assertEqual(sha256(path), sha256(self.path(kind + "2", "tiny.safetensors")), kind)
                # A second run from the file goes on from where the first one ended.
                self.check(run(*self.args(kind, kind + "3", network_weights=path)), 0)
                self.assertNotEqual(losses(self.path(kind)), losses(self.path(kind + "3")))
                told = json.loads(self.check(run("inspect", path, "--json"), 0).out)
                self.assertEqual(told["kind"], kind.split("-")[0])
                self.check(run("sample", "--model", MODEL, "--lora", path, "--prompt", "a", "--steps", "2",
                               "--width", "64", "--height", "64", "--mixed_precision", "no", "--out", self.path(kind + ".png")), 0)
                pictures.add(sha256(self.path(kind + ".png")))
        self.assertEqual(len(pictures), len(KINDS))

    def test_an_unknown_setting_is_named(self):
        result = run(*self.train_args(steps=1), "--network_module", "lycoris.kohya",
                     "--network_args", "algo=loha", "colour=red")
        self.check(result, 2, "colour", "use_tucker")
        self.assertFalse(os.path.exists(self.path("out")))


if __name__ == "__main__":
    unittest.main()
