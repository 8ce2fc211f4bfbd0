"""Every mistake gives one clear error with its exit code and leaves the folder as it was."""
import json
import os
import shutil
import struct
import subprocess
import unittest

from harness import MODEL, ZORPS, E2E, listing, read_header, run, write_safetensors


class Errors(E2E):
    def setUp(self):
        super().setUp()
        self.make_data()

    def refused(self, args, code, *texts):
        before = listing(self.tmp)
        result = self.check(run(*args), code, *texts)
        self.assertEqual(listing(self.tmp), before, result)
        return result

    def test_no_such_model(self):
        self.refused(self.train_args(pretrained_model_name_or_path=self.path("no.safetensors")), 5,
                     "no.safetensors")

    def test_a_vae_given_as_model(self):
        header = read_header(MODEL)
        with open(MODEL, "rb") as file:
            (size,) = struct.unpack("<Q", file.read(8))
            file.seek(8 + size)
            data = file.read()
        tensors = {}
        for name, t in header.items():
            if name.startswith("first_stage_model."):
                begin, end = t["data_offsets"]
                tensors[name[len("first_stage_model."):]] = (t["dtype"], t["shape"], data[begin:end])
        write_safetensors(self.path("vae.safetensors"), tensors)
        self.refused(self.train_args(pretrained_model_name_or_path=self.path("vae.safetensors")), 4,
                     "VAE", "vae.safetensors")

    def test_an_sdxl_model_is_recognised(self):
        """By its names alone: Stable Diffusion XL is not there yet, and one line says so."""
        path = self.path("xl.safetensors")
        write_safetensors(path, {name: ("F16", [1], b"\0\0") for name in (
            "model.diffusion_model.input_blocks.0.0.weight",
            "conditioner.embedders.0.transformer.text_model.final_layer_norm.weight",
            "conditioner.embedders.1.model.ln_final.weight")})
        for extra in ([], ["--dry_run"]):
            result = self.refused(self.train_args(pretrained_model_name_or_path=path) + extra, 4,
                                  "xl.safetensors", "is a Stable Diffusion XL model",
                                  "give a Stable Diffusion 1.x or 2.x model")
            self.assertEqual(sum("Stable Diffusion XL" in line for line in result.err.splitlines()), 1)
        self.assertEqual(json.loads(self.check(run("inspect", path, "--json"), 0).out)["family"], "sdxl")

    def damaged_model(self, change):
        path = self.path("model.safetensors")
        with open(MODEL, "rb") as file:
            data = bytearray(file.read())
        with open(path, "wb") as file:
            file.write(change(data))
        self.refused(self.train_args(pretrained_model_name_or_path=path), 4, "model.safetensors")

    def test_a_truncated_model(self):
        self.damaged_model(lambda data: data[:len(data) // 2])

    def test_a_model_cut_inside_its_header(self):
        self.damaged_model(lambda data: data[:1000])

    def test_an_empty_model(self):
        self.damaged_model(lambda data: b"")

    def test_a_flipped_bit_in_the_header(self):
        def flip(data):
            data[8] ^= 0x40  # the opening brace
            return data
        self.damaged_model(flip)

    def test_a_header_that_lies_about_its_size(self):
        self.damaged_model(lambda data: struct.pack("<Q", 1 << 60) + data[8:])

    def test_offsets_that_lie(self):
        def lie(data):
            (size,) = struct.unpack("<Q", data[:8])
            text = data[8:8 + size]
            at = text.index(b'"data_offsets":[') + len(b'"data_offsets":[')
            end = text.index(b"]", at)
            text[at:end] = b"9" * (end - at)
            return data[:8] + text + data[8 + size:]
        self.damaged_model(lie)

    def test_a_text_file_named_png(self):
        folder = self.path("words", "1_x")
        os.makedirs(folder)
        self.write(os.path.join(folder, "a.png"), "not a picture at all")
        result = self.refused(self.train_args(data=self.path("words")), 3)
        self.assertIn("a.png", result.err)

    def test_one_unreadable_picture_among_good_ones_is_a_warning(self):
        self.write("data/2_zorp/broken.png", "not a picture at all")
        result = self.check(run(*self.train_args(steps=1)), 0, "warning", "broken.png")
        self.assertEqual(result.err.count("broken.png"), 1, result)

    def test_a_picture_cut_short(self):
        path = self.path("data", "2_zorp", "zorp_00.png")
        with open(path, "rb") as file:
            data = file.read()
        with open(path, "wb") as file:
            file.write(data[:len(data) // 2])
        self.check(run(*self.train_args(steps=1)), 0, "warning", "zorp_00.png")

    def test_an_empty_data_folder(self):
        os.makedirs(self.path("empty"))
        self.refused(self.train_args(data=self.path("empty")), 3, "empty")

    def test_a_concept_folder_given_instead_of_its_parent(self):
        result = self.refused(self.train_args(data=self.path("data", "2_zorp")), 3)
        self.assertIn("hint:", result.err)

    def test_no_such_data_folder(self):
        self.refused(self.train_args(data=self.path("nowhere")), 5, "nowhere")

    def test_resolution_500(self):
        self.refused(self.train_args(resolution=500), 2, "500", "multiple of 64")

    def test_several_mistakes_at_once(self):
        result = self.refused(self.train_args(
            resolution=500, max_bucket_reso=1024, lr_scheduler="constant", lr_warmup_steps=5), 2,
                              "multiple of 64", "warm-up")
        self.assertIn("2 settings are wrong", result.err)

    def test_options_of_later_versions_are_refused_by_name(self):
        self.refused(self.train_args(optimizer_type="Sophia"), 2, "Sophia", "Prodigy")
        self.refused(self.train_args(fused_backward_pass=True), 2, "fused_backward_pass")

    def test_a_config_file_that_is_not_toml(self):
        path = self.write("bad.toml", "seed = 1\npath = \"D:\\train\\x\"\n")
        self.refused(["train", "--config_file", path], 4, "bad.toml:2")

    def test_an_output_folder_that_cannot_be_written(self):
        if os.name == "posix" and os.path.isdir("/proc/self"):
            self.refused(self.train_args(output_dir="/proc/lora-output", logging_dir="/proc/lora-logs"), 5,
                         "/proc/lora-output")
        self.write("file", "x")
        self.refused(self.train_args(output_dir=self.path("file", "out")), 5, "file")

    @unittest.skipUnless(hasattr(os, "geteuid"), "permissions of POSIX")
    def test_a_read_only_output_folder(self):
        folder = self.path("locked")
        os.makedirs(folder)
        os.chmod(folder, 0o555)
        self.addCleanup(os.chmod, folder, 0o755)
        mounted = False
        if os.geteuid() == 0:  # root writes everywhere but on a read-only mount
            mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", folder],
                                     capture_output=True).returncode == 0
            if not mounted:
                self.skipTest("root without the right to mount")
            self.addCleanup(subprocess.run, ["umount", folder], capture_output=True)
        self.refused(self.train_args(output_dir=folder, logging_dir=self.path("locked", "logs")), 5, "locked")

    @unittest.skipUnless(hasattr(os, "geteuid") and os.geteuid() == 0, "mounting a small disk needs root")
    def test_a_full_disk(self):
        folder = self.path("small")
        os.makedirs(folder)
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96k", "tmpfs", folder],
                          capture_output=True).returncode != 0:
            self.skipTest("no right to mount")
        self.addCleanup(subprocess.run, ["umount", folder], capture_output=True)
        self.refused(self.train_args(steps=1, output_dir=folder, logging_dir=None), 5, "small")


class Works(E2E):
    """What must simply work."""

    def caption_run(self, encode, expect_warning=True):
        self.make_data(count=2)
        folder = self.path("data", "2_zorp")
        with open(os.path.join(folder, "zorp_00.txt"), "wb") as file:
            file.write(encode("zorp, 藍色背景, 王冠, 標籤的說明文字, 左邊的條紋"))
        result = self.check(run(*self.train_args(steps=1)), 0)
        tags = read_header(self.path("out", "tiny.safetensors"))["__metadata__"]["ss_tag_frequency"]
        self.assertIn("zorp", tags)
        if expect_warning:
            self.assertIn("zorp_00.txt", result.err)
        return tags

    def assert_decoded(self, tags):
        import json
        self.assertIn("藍色背景", json.loads(tags)["2_zorp"])

    def test_captions_in_utf8(self):
        self.assert_decoded(self.caption_run(lambda t: t.encode(), expect_warning=False))

    def test_captions_in_utf8_with_mark(self):
        self.assert_decoded(self.caption_run(lambda t: b"\xef\xbb\xbf" + t.encode(), expect_warning=False))

    def test_captions_in_utf16(self):
        self.assert_decoded(self.caption_run(lambda t: t.encode("utf-16")))

    def test_captions_in_big5(self):
        self.assert_decoded(self.caption_run(lambda t: t.encode("big5")))

    def test_captions_in_gbk(self):
        simplified = "zorp, 蓝色背景, 王冠, 标签的说明文字, 左边的条纹"
        import json
        tags = self.caption_run(lambda t: simplified.encode("gbk"))
        self.assertIn("蓝色背景", json.loads(tags)["2_zorp"])

    def test_captions_in_shift_jis(self):
        japanese = "zorp, 青い背景, 王冠をかぶっている, 笑顔のキャラクター"
        import json
        tags = self.caption_run(lambda t: japanese.encode("shift_jis"))
        self.assertIn("青い背景", json.loads(tags)["2_zorp"])

    def test_captions_in_broken_utf8(self):
        self.caption_run(lambda t: t.encode()[:-2] + b"\xff\xfe\x80")

    def test_an_empty_caption_file_means_the_concept(self):
        self.make_data(count=2)
        open(self.path("data", "2_zorp", "zorp_00.txt"), "wb").close()
        result = self.check(run(*self.train_args(steps=1)), 0, "warning", "zorp_00.txt")
        self.assertNotIn("error", result.err)

    def test_chinese_names_and_spaces(self):
        data = self.make_data(folder="訓練 資料", name="2_我的 角色")
        model = self.path("底 模.safetensors")
        shutil.copy(MODEL, model)
        self.check(run(*self.train_args(data=data, steps=2, pretrained_model_name_or_path=model,
                                        output_dir=self.path("輸出 檔案"), output_name="角色 一號",
                                        logging_dir=self.path("紀 錄"))), 0)
        made = self.path("輸出 檔案", "角色 一號.safetensors")
        self.assertIn("角色 一號", read_header(made)["__metadata__"]["ss_output_name"])
        self.check(run("inspect", made), 0)
        self.check(run("sample", "--model", model, "--lora", made, "--prompt", "zorp", "--steps", 1,
                       "--out", self.path("圖 片.png")), 0)

    def test_a_path_of_300_characters(self):
        deep = self.tmp
        while len(deep) < 300:
            deep = os.path.join(deep, "folder-with-a-long-name-" + "x" * 20)
        os.makedirs(deep)
        data = os.path.join(deep, "data")
        shutil.copytree(ZORPS, os.path.join(data, "1_zorp"))
        self.check(run(*self.train_args(data=data, steps=1, output_dir=os.path.join(deep, "out"),
                                        logging_dir=os.path.join(deep, "logs"))), 0)
        self.assertTrue(os.path.exists(os.path.join(deep, "out", "tiny.safetensors")))


if __name__ == "__main__":
    unittest.main(verbosity=1)
