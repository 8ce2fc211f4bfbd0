"""Stable Diffusion 2.x on a small model: recognised, trained, looked at, sampled with; a VAE of its own."""
import json
import os
import shutil
import struct
import subprocess
import tempfile
import unittest

from harness import BIN, E2E, MODEL, losses, read_header, run, sha256

SUFFIX = ".exe" if BIN.endswith(".exe") else ""
MAKE_MODEL = os.path.join(os.path.dirname(BIN), "lora_make_model" + SUFFIX)


def without_metadata(source, target):
    """The same tensors in a file that says nothing about them."""
    header = read_header(source)
    header.pop("__metadata__", None)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(source, "rb") as old, open(target, "wb") as new:
        old.seek(8 + struct.unpack("<Q", old.read(8))[0])
        new.write(struct.pack("<Q", len(text)) + text)
        shutil.copyfileobj(old, new)


class Sd2(E2E):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="lora-sd2-")
        cls.addClassCleanup(shutil.rmtree, cls.folder, ignore_errors=True)
        cls.model = os.path.join(cls.folder, "mini.safetensors")
        cls.silent = os.path.join(cls.folder, "silent.safetensors")
        subprocess.run([MAKE_MODEL, "--family", "sd21-mini", cls.model], check=True, capture_output=True)
        without_metadata(cls.model, cls.silent)

    def setUp(self):
        super().setUp()
        self.make_data()

    def args(self, out, *more, **options):
        options.setdefault("pretrained_model_name_or_path", self.model)
        return [*self.train_args(steps=2, out=out, **options), *more]

    def metadata(self, out):
        return read_header(self.path(out, "tiny.safetensors"))["__metadata__"]

    def test_a_lora_of_a_v_model(self):
        self.check(run(*self.args("v", "--v2", "--v_parameterization", "--zero_terminal_snr")), 0)
        path = self.path("v", "tiny.safetensors")
        header = read_header(path)
        meta = header["__metadata__"]
        self.assertEqual(meta["ss_v2"], "True")
        self.assertEqual(meta["ss_base_model_version"], "sd_v2_v")
        self.assertEqual(meta["modelspec.architecture"], "stable-diffusion-v2-768-v/lora")
        self.assertEqual(meta["modelspec.prediction_type"], "v")
        self.assertEqual(meta["ss_zero_terminal_snr"], "True")
        names = {name.split(".")[0] for name in header if name != "__metadata__"}
        self.assertEqual(len(names), 3 * 6 + 192)
        self.assertEqual(sum(name.startswith("lora_te_text_model_encoder_layers_") for name in names), 18)
        # sd-scripts sees 1x1 convolutions at the projections of single-file models.
        stem = "lora_unet_down_blocks_0_attentions_0_"
        self.assertEqual(header[stem + "proj_in.lora_down.weight"]["shape"], [4, 64, 1, 1])
        self.assertEqual(header[stem + "transformer_blocks_0_attn2_to_k.lora_down.weight"]["shape"], [4, 128])
        told = json.loads(self.check(run("inspect", path, "--json"), 0).out)
        self.assertEqual((told["kind"], told["family"]), ("lora", "sd2"))
        told = json.loads(self.check(run("inspect", self.model, "--json"), 0).out)
        self.assertEqual((told["kind"], told["family"]), ("model", "sd2"))
        self.assertIn("v-prediction", told["notes"][0])

    def test_the_file_says_what_it_predicts_and_the_option_wins(self):
        self.check(run(*self.args("file")), 0)
        self.assertEqual(self.metadata("file")["ss_base_model_version"], "sd_v2_v")
        told = self.check(run(*self.args("option", "--v_parameterization=false")), 0)
        self.assertIn("trained towards noise as told", told.err)
        self.assertEqual(self.metadata("option")["ss_base_model_version"], "sd_v2")
        silent = self.check(run(*self.args("silent", pretrained_model_name_or_path=self.silent)), 0)
        self.assertIn("does not say what it predicts", silent.err)
        self.assertEqual(self.metadata("silent")["ss_base_model_version"], "sd_v2")
        self.assertEqual(losses(self.path("silent")), losses(self.path("option")))
        self.assertNotEqual(losses(self.path("file")), losses(self.path("option")))

    def test_a_presets_clip_skip_is_for_the_first_family(self):
        args = self.args("preset")
        at = args.index("--clip_skip")
        del args[at:at + 2]
        told = self.check(run(*args), 0)
        self.assertIn("the preset's 2 is for Stable Diffusion 1.x", told.err)
        self.assertEqual(self.metadata("preset")["ss_clip_skip"], "None")
        told = self.check(run(*self.args("given", clip_skip=2)), 0)
        self.assertIn("clip_skip 2 with Stable Diffusion 2.x", told.err)
        self.assertEqual(self.metadata("given")["ss_clip_skip"], "2")
        self.assertNotEqual(losses(self.path("preset")), losses(self.path("given")))

    def test_v2_with_a_model_of_the_first_family_is_refused(self):
        self.check(run(*self.args("no", "--v2", pretrained_model_name_or_path=MODEL)), 2, "Stable Diffusion 1.x")
        self.check(run("sample", "--model", MODEL, "--v2", "--prompt", "a", "--out", self.path("no.png")), 2,
                   "Stable Diffusion 1.x")

    def sample(self, name, *more):
        self.check(run("sample", "--model", self.model, "--prompt", "zorp", "--steps", "2", "--width", "64",
                       "--height", "64", "--seed", "3", "--mixed_precision", "no", "--out", self.path(name), *more), 0)
        return sha256(self.path(name))

    def test_samples_with_a_lora_and_with_another_vae(self):
        self.check(run(*self.args("train", "--vae", MODEL, sample_every_n_steps=2,
                                  sample_prompts=self.prompts())), 0)
        self.assertEqual(self.metadata("train")["ss_vae_name"], os.path.basename(MODEL))
        self.assertEqual(len(os.listdir(self.path("train", "sample"))), 1)
        plain = self.sample("plain.png")
        self.assertEqual(plain, self.sample("again.png"))
        lora = self.path("train", "tiny.safetensors")
        pictures = {plain, self.sample("lora.png", "--lora", lora), self.sample("vae.png", "--vae", MODEL),
                    self.sample("noise.png", "--v_parameterization=false")}
        self.assertEqual(len(pictures), 4)

    def prompts(self):
        return self.write("prompts.txt", "zorp --w 64 --h 64 --s 2 --d 1\n")


if __name__ == "__main__":
    unittest.main()
