"""Training: recorded losses, output files, stop and resume, kill and resume.

LORA_TEST_KILLS: how many SIGKILL moments to try (3; must-show figure: 20). LORA_TEST_SEED replays.
"""
import glob
import json
import os
import random
import re
import signal
import struct
import time
import unittest
import zipfile

from harness import MODEL, SOURCE, E2E, losses, read_header, run, sha256, start

RECORDED = os.path.join(SOURCE, "tests/e2e/data/tiny_losses.json")
SEED = int(os.environ.get("LORA_TEST_SEED", "1"))
KILLS = int(os.environ.get("LORA_TEST_KILLS", "3"))


def crc32c(data):
    """Bit by bit, as RFC 3720 appendix B.4 defines it."""
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


def masked(data):
    crc = crc32c(data)
    return ((crc >> 15 | crc << 17) + 0xA282EAD8) & 0xFFFFFFFF


def fields(data):
    """(number, value) of a protocol buffer's fields."""
    at = 0

    def varint():
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    while at < len(data):
        key = varint()
        if key & 7 == 0:
            yield key >> 3, varint()
            continue
        size = {1: 8, 5: 4}.get(key & 7) or varint()
        yield key >> 3, data[at:at + size]
        at += size


def read_tensorboard(path):
    """File version and {tag: {step: value}}; every checksum is tested."""
    with open(path, "rb") as file:
        data = file.read()
    version, curves = None, {}
    while data:
        (size,) = struct.unpack("<Q", data[:8])
        assert masked(data[:8]) == struct.unpack("<I", data[8:12])[0]
        event = data[12:12 + size]
        assert masked(event) == struct.unpack("<I", data[12 + size:16 + size])[0]
        data = data[16 + size:]
        known = dict(fields(event))
        version = known[3].decode() if 3 in known else version
        for _, value in fields(known.get(5, b"")):
            tag = dict(fields(value))
            curves.setdefault(tag[1].decode(), {})[known.get(2, 0)] = struct.unpack("<f", tag[2])[0]
    return version, curves


class Train(E2E):
    def setUp(self):
        super().setUp()
        self.make_data()

    def test_losses_are_the_recorded_ones(self):
        self.check(run(*self.train_args()), 0)
        found = losses(self.path("out"))
        with open(RECORDED, encoding="utf-8") as file:
            wanted = {int(k): v for k, v in json.load(file).items()}
        self.assertEqual(sorted(found), sorted(wanted))
        for step, loss in wanted.items():
            # fp32 on another processor: rounding grows a little from step to step.
            self.assertLess(abs(found[step] - loss) / loss, 1e-5 * 4 ** step, f"step {step}: {found[step]}")

    def test_files_names_and_metadata(self):
        result = self.check(run(*self.train_args(
            steps=None, max_train_epochs=3, save_every_n_epochs=1, log_prefix="p_")), 0)
        names = sorted(n for n in os.listdir(self.path("out")) if n.endswith(".safetensors"))
        self.assertEqual(names, ["tiny-000001.safetensors", "tiny-000002.safetensors", "tiny.safetensors"])
        header = read_header(self.path("out", "tiny.safetensors"))
        meta = header["__metadata__"]
        self.assertEqual(meta["ss_network_dim"], "4")
        self.assertEqual(meta["ss_network_alpha"], "2.0")
        self.assertEqual(meta["ss_epoch"], "3")
        self.assertEqual(meta["ss_output_name"], "tiny")
        self.assertEqual(len(meta["sshs_model_hash"]), 64)
        self.assertTrue(all(v["dtype"] == "F16" for k, v in header.items() if k != "__metadata__"))
        self.assertNotIn("warning", result.err)  # M10: a normal run has nothing alarming to say
        (settings,) = glob.glob(self.path("out", "logs", "p_*", "config.toml"))
        again = run("train", "--config_file", settings, "--output_dir", self.path("again"),
                    "--logging_dir", self.path("again", "logs"))
        self.check(again, 0)
        self.assertEqual(sha256(self.path("again", "tiny.safetensors")),
                         sha256(self.path("out", "tiny.safetensors")))

    def test_previews_are_drawn_and_change_nothing(self):
        self.check(run(*self.train_args(steps=None, max_train_epochs=2, out="plain")), 0)
        prompts = self.write("prompts.txt", "# zorps\n(zorp:1.2), red background --w 64 --h 72 --s 3 --d 5\n"
                             "zorp --w 64 --h 64 --s 2 --ss ddim\n")
        told = self.check(run(*self.train_args(
            steps=None, max_train_epochs=2, sample_prompts=prompts, sample_every_n_epochs=1,
            sample_at_first=True)), 0)
        names = sorted(os.listdir(self.path("out", "sample")))
        self.assertEqual([re.sub(r"_\d{14}", "", n) for n in names],
                         ["tiny_000000_00_5.png", "tiny_000000_01.png", "tiny_e000001_00_5.png", "tiny_e000001_01.png",
                          "tiny_e000002_00_5.png", "tiny_e000002_01.png"], told)
        with open(self.path("out", "sample", names[0]), "rb") as file:
            self.assertEqual(struct.unpack(">II", file.read(24)[16:]), (64, 72))
        self.assertEqual(sha256(self.path("plain", "tiny.safetensors")), sha256(self.path("out", "tiny.safetensors")))
        self.assertEqual(len({sha256(self.path("out", "sample", n)) for n in names}), 6)
        gone = self.check(run(*self.train_args(steps=1, out="gone", sample_prompts=self.path("none.txt"))), 0)
        self.assertIn("without previews", gone.err)

    def test_noise_and_loss_options_change_the_losses(self):
        seen = set()
        for name, value in (("plain", None), ("noise_offset", 0.2), ("ip_noise_gamma", 0.2), ("zero_terminal_snr", True),
                            ("debiased_estimation_loss", True), ("v_pred_like_loss", 0.5), ("min_snr_gamma", 5)):
            options = {} if value is None else {name: value}
            self.check(run(*self.train_args(steps=2, out=name, **options)), 0)
            seen.add(losses(self.path(name))[2])
        self.assertEqual(len(seen), 7)
        self.check(run(*self.train_args(steps=1, out="no", adaptive_noise_scale=0.1)), 2, "noise_offset")
        self.check(run(*self.train_args(steps=1, out="no", scale_v_pred_loss_like_noise_pred=True)), 2, "v-prediction")

    def test_tensorboard_curves(self):
        self.check(run(*self.train_args(steps=None, max_train_epochs=2, log_prefix="p_")), 0)
        (path,) = glob.glob(self.path("out", "logs", "p_*", "network_train", "events.out.tfevents.*"))
        version, curves = read_tensorboard(path)
        self.assertEqual(version, "brain.Event:2")
        told = losses(self.path("out"))
        self.assertEqual(sorted(curves), ["loss/average", "loss/current", "loss/epoch", "loss/epoch_average",
                                          "lr/textencoder", "lr/unet", "norm/grad"])
        for step, loss in told.items():
            self.assertAlmostEqual(curves["loss/current"][step], loss, delta=1e-6 * loss)
        self.assertEqual(sorted(curves["loss/epoch"]), [1, 2])
        self.assertEqual(curves["loss/epoch"][2], curves["loss/average"][max(told)])
        self.check(run(*self.train_args(steps=1, out="unet", network_train_unet_only=True)), 0)
        (path,) = glob.glob(self.path("unet", "logs", "*", "network_train", "*tfevents*"))
        self.assertNotIn("lr/textencoder", read_tensorboard(path)[1])
        # M42, M43: the parts have rates of their own, and both are told.
        self.check(run(*self.train_args(steps=2, out="rates", unet_lr=2e-3, text_encoder_lr=1e-4,
                                        lr_scheduler="constant")), 0)
        (path,) = glob.glob(self.path("rates", "logs", "*", "network_train", "*tfevents*"))
        curves = read_tensorboard(path)[1]
        for tag, rate in (("lr/unet", 2e-3), ("lr/textencoder", 1e-4)):
            self.assertEqual(sorted(curves[tag]), [1, 2])
            for value in curves[tag].values():
                self.assertAlmostEqual(value, rate, delta=1e-6 * rate)
        # M60, M81: an optimizer that finds its rate has one curve more, of what it has found times the rate.
        self.check(run(*self.train_args(steps=2, out="found", optimizer_type="DAdaptAdam", learning_rate=1,
                                        lr_scheduler="constant")), 0)
        (path,) = glob.glob(self.path("found", "logs", "*", "network_train", "*tfevents*"))
        found = read_tensorboard(path)[1]["lr/d*lr"]
        self.assertEqual(sorted(found), [1, 2])
        self.assertGreaterEqual(found[2], found[1])
        self.assertTrue(all(0 < value < 1 for value in found.values()), found)

    def test_measures_page_and_status(self):
        with open(os.path.join(SOURCE, "examples/decay.txt"), encoding="utf-8") as file:
            prompts = [re.sub(r"--s \d+", "--s 2 --w 64 --h 64 --ss heun", line) for line in file]
        self.write("prompts.txt", "".join(prompts))
        plain = {"steps": None, "max_train_epochs": 3, "save_every_n_epochs": 1}
        self.check(run(*self.train_args(out="plain", **plain)), 0)
        told = self.check(run(*self.train_args(
            sample_prompts=self.path("prompts.txt"), sample_every_n_epochs=1, probe_every_n_steps=3, **plain)), 0)
        self.assertEqual(sha256(self.path("plain", "tiny.safetensors")), sha256(self.path("out", "tiny.safetensors")))
        self.assertIn("of the base model's", told.err)
        (folder,) = glob.glob(self.path("out", "logs", "*", ""))
        with open(os.path.join(folder, "index.html"), encoding="utf-8") as file:
            page = file.read()
        pictures = re.findall(r'<img src="([^"]+)"', page)
        self.assertEqual(len(pictures), 9)  # hands, figure, background of three epochs
        for picture in pictures:
            self.assertTrue(os.path.exists(os.path.join(folder, picture)), picture)
        self.assertNotIn("http-equiv", page)  # the run has ended
        for where, count in ((folder, 1), (self.path("out", "logs"), 1)):
            runs = json.loads(self.check(run("status", where, "--json"), 0).out)["runs"]
            self.assertEqual(len(runs), count)
            self.assertEqual((runs[0]["status"], runs[0]["step"], runs[0]["output_name"]), ("done", 12, "tiny"))
            self.assertEqual([len(runs[0][kind]) for kind in ("files", "states", "previews")], [3, 0, 9])
            self.assertIn("still_falling", runs[0])
            self.assertGreater(runs[0]["probe"], 0)
        self.assertIn("tiny", self.check(run("status", folder), 0).out)
        self.assertTrue(os.path.exists(self.path("out", "logs", "index.html")))
        self.check(run("status", self.path("plain")), 5, "no run has left events")
        # Pictures that are set aside are not in the file's count, and have a curve of their own.
        self.check(run(*self.train_args(out="split", validation_split=0.25, **plain)), 0)
        meta = read_header(self.path("split", "tiny.safetensors"))["__metadata__"]
        self.assertEqual(meta["ss_num_train_images"], "6")
        (path,) = glob.glob(self.path("split", "logs", "*", "network_train", "*tfevents*"))
        curves = read_tensorboard(path)[1]
        self.assertEqual(sorted(curves["loss/validation/epoch_average"]), [1, 2, 3])

    def test_parts_stop_after_their_epochs(self):
        self.check(run(*self.train_args(steps=None, max_train_epochs=2, stop_text_encoder_training=1)), 0)
        self.check(run(*self.train_args(steps=None, max_train_epochs=2, out="no", network_train_unet_only=True,
                                        stop_unet_training=1)), 2, "stop_unet_training")

    def test_pytorch_files_in_and_out(self):
        for kind in ("ckpt", "pt"):
            self.check(run(*self.train_args(steps=2, out=kind, save_model_as=kind)), 0)
            with zipfile.ZipFile(self.path(kind, "tiny." + kind)) as file:
                self.assertIsNone(file.testzip())
                self.assertIn("archive/data.pkl", file.namelist())
            told = json.loads(self.check(run("inspect", self.path(kind, "tiny." + kind), "--json"), 0).out)
            self.assertEqual((told["kind"], told["metadata"]), ("lora", {}))
        # Written by torch.save: six tensors (one of them a parameter, one a piece of a
        # larger storage) of 6 + 3 + 2 + 1 + 2 + 3 numbers.
        for name in ("torch_zip", "torch_legacy"):
            path = os.path.join(SOURCE, "tests/fuzz/corpus/checkpoint", name)
            told = json.loads(self.check(run("inspect", path, "--json"), 0).out)
            self.assertEqual(told["num_parameters"], 17)
            self.assertEqual(sorted(told["dtype"]), ["BF16", "F16", "F32", "I64"])
        # M21: a model as .ckpt is the same model. Such a file has no metadata (the mini model's says how many heads there are), so
        # it is compared with a safetensors file that has none either.
        model, plain = self.path("model.ckpt"), self.path("plain.safetensors")
        self.check(run("convert", MODEL, "--save_to", model), 0)
        self.check(run("convert", model, "--save_to", plain), 0)
        for out, path in (("from_ckpt", model), ("from_plain", plain)):
            self.check(run(*self.train_args(steps=2, out=out, pretrained_model_name_or_path=path)), 0)
        self.assertEqual(losses(self.path("from_ckpt")), losses(self.path("from_plain")))
        # A LoRA in either form starts a second run alike.
        self.check(run(*self.train_args(steps=2, out="safe")), 0)
        for out, start_from in (("a", "ckpt/tiny.ckpt"), ("b", "safe/tiny.safetensors")):
            self.check(run(*self.train_args(steps=1, out=out, network_weights=self.path(start_from))), 0)
        self.assertEqual(losses(self.path("a")), losses(self.path("b")))

    def test_dry_run_tells_and_writes_nothing(self):
        result = self.check(run(*self.train_args(), "--dry_run", "--json"), 0)
        told = json.loads(result.out)
        for key in ("images", "buckets", "steps", "epochs", "planned_peak_bytes", "estimated_s", "warnings"):
            self.assertIn(key, told)
        self.assertEqual((told["images"], told["steps"]), (4, 6))
        self.assertGreater(told["planned_peak_bytes"], 0)
        self.assertEqual(os.listdir(self.tmp), ["data"])

    def test_parts_can_be_left_out(self):
        self.check(run(*self.train_args(steps=1, network_train_unet_only=True)), 0)
        keys = [k for k in read_header(self.path("out", "tiny.safetensors")) if k != "__metadata__"]
        self.assertTrue(keys and all(k.startswith("lora_unet_") for k in keys))

    def test_config_file_and_working_directory(self):
        self.write("run.toml", f"[model]\npretrained_model_name_or_path = '{MODEL}'\n[data]\n"
                   "train_data_dir = './data'\nresolution = 64\nmin_bucket_reso = 64\n[train]\n"
                   "max_train_steps = 1\nnetwork_dim = 4\noutput_name = 'toml'\n")
        self.check(run("train", "--config_file", "run", cwd=self.tmp), 0)
        self.assertTrue(os.path.exists(self.path("output", "toml.safetensors")))


class StopAndResume(E2E):
    STEPS = 24

    def setUp(self):
        super().setUp()
        self.make_data()

    def undisturbed(self):
        self.check(run(*self.train_args(steps=self.STEPS, out="whole")), 0)
        return sha256(self.path("whole", "tiny.safetensors"))

    def states(self):
        return [n for n in os.listdir(self.path("out")) if n.endswith("-state")]

    def wait_for_step(self, process, step):
        """Until the events tell of that step."""
        until = time.time() + 60
        while time.time() < until and process.poll() is None:
            if max(losses(self.path("out")), default=0) >= step:
                return
            time.sleep(0.01)

    def finish(self, args, times=60):
        """Resumes until the run ends by itself."""
        for _ in range(times):
            result = run(*args, "--resume", "auto")
            if result.code == 0:
                return
        self.fail(result)

    @unittest.skipIf(os.name == "nt", "signals of POSIX")
    def test_ctrl_c_saves_and_resume_is_exact(self):
        wanted = self.undisturbed()
        for number in (signal.SIGINT, signal.SIGTERM):
            args = self.train_args(steps=self.STEPS)
            process = start(*args)
            self.wait_for_step(process, 3)
            process.send_signal(number)
            _, err = process.communicate(timeout=60)
            self.assertEqual(process.returncode, 130, err.decode())
            self.assertIn("--resume", err.decode())
            self.assertFalse(os.path.exists(self.path("out", "tiny.safetensors")))
            (state,) = self.states()
            self.check(run(*args, "--resume", self.path("out", state)), 0)
            self.assertEqual(sha256(self.path("out", "tiny.safetensors")), wanted)
            os.remove(self.path("out", "tiny.safetensors"))
            os.rename(self.path("out"), self.path(f"done-{number}"))

    def test_resume_at_the_last_step_writes_the_file(self):
        wanted = self.undisturbed()
        args = self.train_args(steps=self.STEPS, save_state_every_n_steps=1)
        self.check(run(*args), 0)
        os.remove(self.path("out", "tiny.safetensors"))
        self.check(run(*args, "--resume", "auto"), 0)
        self.assertEqual(sha256(self.path("out", "tiny.safetensors")), wanted)

    @unittest.skipIf(os.name == "nt", "signals of POSIX")
    def test_kill_at_any_moment_and_resume(self):
        wanted = self.undisturbed()
        begin = time.time()
        self.check(run(*self.train_args(steps=self.STEPS, out="timed", save_state_every_n_steps=1)), 0)
        length = time.time() - begin
        rng = random.Random(SEED)
        for i in range(KILLS):
            moment = rng.uniform(0.05, 0.95) * length
            args = self.train_args(steps=self.STEPS, save_state_every_n_steps=1)
            process = start(*args)
            try:
                process.wait(moment)
            except Exception:
                process.kill()
            process.communicate()
            told = f"LORA_TEST_SEED={SEED}, kill {i} after {moment:.3f} s"
            if os.path.isdir(self.path("out")):
                for name in os.listdir(self.path("out")):
                    if name.endswith(".safetensors"):  # a final name holds a whole file
                        self.assertEqual(sha256(self.path("out", name)), wanted, told)
            if not os.path.exists(self.path("out", "tiny.safetensors")):
                self.finish(args)
            self.assertEqual(sha256(self.path("out", "tiny.safetensors")), wanted, told)
            os.rename(self.path("out"), self.path(f"done-{i}"))


if __name__ == "__main__":
    print(f"LORA_TEST_SEED={SEED}")
    unittest.main(verbosity=1)
