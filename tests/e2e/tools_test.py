"""The tools around finished files, through the command line: merge, resize, extract, convert, inspect,
verify, interrogate, and what they say when something is wrong."""
import json
import os
import random
import struct
import unittest

from harness import E2E, MODEL, read_header, run, write_safetensors

# Layers of the mini model.
Q = "lora_unet_down_blocks_0_attentions_0_transformer_blocks_0_attn1_to_q"  # 64 x 64
CONV = "lora_unet_down_blocks_1_resnets_0_conv1"  # 96 x 64 x 3 x 3
TEXT = "lora_te_text_model_encoder_layers_0_mlp_fc1"  # 256 x 64
SHAPES = {Q: (64, 64), CONV: (96, 64, 3, 3), TEXT: (256, 64)}


def numbers(count, seed):
    rng = random.Random(seed)
    return struct.pack(f"<{count}f", *(rng.gauss(0, 0.1) for _ in range(count)))


class Tools(E2E):
    def lora(self, name, rank=4, alpha=2.0, layers=SHAPES, seed=1, metadata=None):
        tensors = {}
        for i, layer in enumerate(layers):
            out, ins, *kernel = SHAPES[layer]
            taps = 9 if kernel else 1
            ones = [1, 1] if kernel else []
            tensors[layer + ".lora_down.weight"] = ("F32", [rank, ins, *kernel], numbers(rank * ins * taps, seed + i))
            tensors[layer + ".lora_up.weight"] = ("F32", [out, rank, *ones], numbers(out * rank, seed + 50 + i))
            tensors[layer + ".alpha"] = ("F32", [], struct.pack("<f", alpha))
        path = self.path(name)
        write_safetensors(path, tensors, metadata)
        return path

    def ranks(self, path):
        header = read_header(path)
        return {name.split(".")[0]: item["shape"][0] for name, item in header.items()
                if name.endswith("lora_down.weight")}

    def test_merge_resize_and_inspect(self):
        a = self.lora("甲 a.safetensors", seed=1)
        b = self.lora("b.safetensors", rank=8, alpha=8, seed=2)
        both = self.path("both.safetensors")
        told = self.check(run("merge", "--models", a, b, "--ratios", 0.5, 0.5, "--save_to", both, "--json"), 0)
        self.assertEqual(json.loads(told.out)["ranks"], [12])
        self.assertNotIn("ratios add up", told.err)
        noted = self.check(run("merge", "--models", a, b, "--ratios", 0.5, -0.2, "--save_to", both), 0)
        self.assertIn("ratios add up to 0.3", noted.err)
        small = self.path("small.safetensors")
        result = self.check(run("resize", "--model", both, "--save_to", small, "--new_rank", 6, "--verbose",
                                "--save_precision", "fp16", "--device", "cuda"), 0)
        self.assertIn("fro retained", result.out)
        self.assertEqual(set(self.ranks(small).values()), {6})
        self.assertEqual({item["dtype"] for name, item in read_header(small).items() if name != "__metadata__"}, {"F16"})
        told = json.loads(self.check(run("inspect", small, "--json"), 0).out)
        self.assertEqual(told["rank"], 6)
        self.assertEqual([block["block"] for block in told["blocks"]], ["text encoder", "IN01", "IN04"])
        self.assertAlmostEqual(sum(block["energy_share"] for block in told["blocks"]), 1, places=6)
        self.assertNotIn("blocks", json.loads(self.check(run("inspect", small, "--json", "--quick"), 0).out))
        self.check(run("verify", small), 0)

    def test_the_suggested_rank_has_the_size_it_says(self):
        thin = self.lora("thin.safetensors", rank=2)
        wide = self.path("wide.safetensors")
        self.check(run("resize", "--model", thin, "--save_to", wide, "--new_rank", 16), 0)
        told = json.loads(self.check(run("inspect", wide, "--json"), 0).out)
        self.assertEqual(told["suggested_rank"], 2)
        back = self.path("back.safetensors")
        self.check(run("resize", "--model", wide, "--save_to", back, "--new_rank", 2), 0)
        self.assertEqual(os.path.getsize(back), told["suggested_bytes"])

    def test_three_loras_with_block_weights(self):
        files = [self.lora(f"{i}.safetensors", seed=10 * i) for i in range(3)]
        ones = ",".join(["1"] * 17)
        out = self.path("three.ckpt")
        told = self.check(run("merge", "--models", *files, "--ratios", 0.3, 0.3, 0.4, "--lbws", ones, "1",
                              "0" + ones[1:], "--save_to", out, "--json"), 0)
        self.assertEqual(json.loads(told.out)["layers"], 3)
        self.check(run("merge", "--models", *files, "--lbws", ones, "1", "1,2", "--save_to", out), 2, "17")

    def test_a_merged_model_is_extracted_again(self):
        lora = self.lora("lora.safetensors", alpha=4)
        model = self.path("model.safetensors")
        self.check(run("merge", "--sd_model", MODEL, "--models", lora, "--save_to", model, "--save_precision", "float"), 0)
        again = self.path("again.safetensors")
        told = json.loads(self.check(run("extract", "--model_org", MODEL, "--model_tuned", model, "--save_to", again,
                                         "--dim", 4, "--conv_dim", 4, "--clamp_quantile", 1, "--json"), 0).out)
        self.assertGreater(told["kept_share"], 0.9999)
        one, two = (json.loads(self.check(run("inspect", path, "--json"), 0).out) for path in (lora, again))
        self.assertAlmostEqual(one["energy"] / two["energy"], 1, places=3)
        half = self.path("half.safetensors")
        self.check(run("convert", model, "--save_to", half, "--save_precision", "fp16"), 0)
        self.assertEqual(json.loads(self.check(run("inspect", half, "--json"), 0).out)["kind"], "model")

    def test_names_there_and_back_and_who_loads_them(self):
        lora = self.lora("lora.safetensors")
        there, back = self.path("there.safetensors"), self.path("back.safetensors")
        self.check(run("convert", lora, "--save_to", there, "--key_style", "diffusers"), 0)
        self.assertIn("unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q.lora_A.weight", read_header(there))
        said = self.check(run("verify", there, "--json"), 1)
        loads = {item["program"]: item["loads"] for item in json.loads(said.out)["programs"]}
        self.assertEqual(loads, {"AUTOMATIC1111": False, "ComfyUI": False, "diffusers": True})
        self.check(run("verify", there, "--programs", "diffusers"), 0)
        self.check(run("convert", there, "--save_to", back, "--key_style", "kohya"), 0)
        self.check(run("verify", back), 0)

    def test_how_far_tags_have_moved(self):
        def moved(alpha, layers):
            lora = self.lora(f"a{alpha}.safetensors", alpha=alpha, layers=layers)
            told = self.check(run("interrogate", "--sd_model", MODEL, "--model", lora, "--tags", "red, blue circle", "dog",
                                  "--mixed_precision", "no", "--steps", 4, "--images", 1, "--size", 64, "--json"), 0)
            rows = json.loads(told.out)["tags"]
            self.assertEqual(sorted(row["tag"] for row in rows), ["blue circle", "dog", "red"])
            self.assertEqual(rows, sorted(rows, key=lambda row: -row["moved"]))
            return {row["tag"]: row["moved"] for row in rows}

        still, little, much = moved(0.0, [Q]), moved(0.5, [Q]), moved(8.0, [Q])
        for tag in still:
            self.assertEqual(still[tag], 0)
            self.assertTrue(0 < little[tag] < much[tag] <= 1, tag)
        lora = self.lora("text.safetensors", layers=[TEXT])
        told = self.check(run("interrogate", "--sd_model", MODEL, "--model", lora, "--tags", "red", "--steps", 4,
                              "--mixed_precision", "no", "--size", 64), 0)
        self.assertRegex(told.out, r"^0\.\d{4}  red\n$")
        self.check(run("interrogate", "--sd_model", MODEL, "--model", lora, "--tags", " , "), 2, "no tag")

    def test_interrogate(self):
        lora = self.lora("lora.safetensors", layers=[TEXT])
        args = ["interrogate", "--sd_model", MODEL, "--model", lora, "--mixed_precision", "no", "--top", 5, "--json"]
        one = json.loads(self.check(run(*args, "--batch_size", 64), 0).out)["tokens"]
        self.assertEqual(len(one), 5)
        self.assertGreaterEqual(one[0]["score"], one[1]["score"])
        unet = self.lora("unet.safetensors", layers=[Q])
        self.check(run("interrogate", "--sd_model", MODEL, "--model", unet), 3, "no text encoder part")

    def test_what_is_wrong_is_said_once(self):
        lora = self.lora("lora.safetensors")
        out = self.path("out.safetensors")
        q = (Q + ".lora_down.weight", ("F32", [4, 64], numbers(256, 1)))
        broken = {
            "half": dict([q]),
            "misfit": dict([q, (Q + ".lora_up.weight", ("F32", [64, 3], numbers(192, 1)))]),
            "nan": dict([q, (Q + ".lora_up.weight", ("F32", [64, 4], numbers(256, 1))),
                         (Q + ".alpha", ("F32", [], struct.pack("<f", float("nan"))))]),
        }
        for name, tensors in broken.items():
            with self.subTest(name):
                path = self.path(name + ".safetensors")
                write_safetensors(path, tensors)
                self.check(run("merge", "--models", lora, path, "--save_to", out), 4, Q)
                self.check(run("resize", "--model", path, "--save_to", out), 4, Q)
                self.check(run("verify", path), 1)
                self.assertFalse(os.path.exists(out))
        self.check(run("merge", "--models", lora, "--ratios", 1, 2, "--save_to", out), 2, "2 ratios for 1 models")
        self.check(run("merge", "--models", lora, "--save_to", self.path("x.txt")), 2, "names no format")
        self.check(run("merge", "--models", MODEL, "--save_to", out), 4, "holds no layers")
        self.check(run("resize", "--model", lora, "--save_to", out, "--dynamic_method", "sv_fro"), 2, "dynamic_param")
        self.check(run("resize", "--model", lora, "--save_to", out, "--dynamic_method", "sv_fro", "--dynamic_param", 2), 2, "0.9")
        self.check(run("extract", "--model_org", MODEL, "--model_tuned", MODEL, "--save_to", out), 3, "do not differ")
        self.check(run("convert", lora), 2, "save_to is missing")
        self.check(run("verify", self.path("none.safetensors")), 5)
        self.assertFalse(os.path.exists(out))


if __name__ == "__main__":
    unittest.main()
