"""`lora data` through the command line: plan and training from it, crop, cutout, erase, mix, undo; hostile
names, links, folders that cannot be written, and runs that are killed."""
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import unittest

from harness import BIN, E2E, MODEL, ZORPS, environment, run, start


def every_byte(folder):
    """Bytes of every file below `folder`, but for what undo keeps."""
    found = {}
    folder = os.fsencode(folder)
    for where, names, files in os.walk(folder):
        names[:] = [name for name in names if name != b".lora-undo"]
        for name in files:
            path = os.path.join(where, name)
            if os.path.islink(path):
                found[path] = os.readlink(path)
            else:
                with open(path, "rb") as file:
                    found[path] = file.read()
    return found


class DataTools(E2E):
    def json_of(self, *args, code=0):
        return json.loads(self.check(run("data", *args, "--json"), code).out)

    def test_a_plan_is_trained_as_it_stands(self):
        data = self.make_data()
        recipe = self.path("plan.toml")
        args = ["plan", data, "--pretrained_model", MODEL, "--resolution", 64, "--network_dim", 4,
                "--mixed_precision", "no", "--output_name", "tiny", "--write", recipe]
        told = self.json_of(*args)
        self.assertEqual(told["images"], 4)
        self.assertEqual(told["folders"][0]["repeats"], 2)
        self.assertGreater(told["folders"][0]["advised_repeats"], 8)  # four pictures are few
        values = {row["option"]: row["value"] for row in told["recipe"]}
        self.assertEqual(values["train_batch_size"], "4")
        self.assertEqual(values["network_alpha"], "2")
        self.assertTrue(all(row["reason"] for row in told["recipe"]))
        low, high = told["usual_views"]
        self.assertTrue(low <= 2 * told["epochs"] <= high)
        train = ["train", "--config_file", recipe, "--mixed_precision", "no"]
        planned = json.loads(self.check(run(*train, "--dry_run", "--json", cwd=self.tmp), 0).out)
        for key in ("planned_peak_bytes", "weight_bytes", "steps", "epochs", "buckets"):
            self.assertEqual(planned[key], told[key], key)
        done = json.loads(self.check(run(*train, "--json", cwd=self.tmp), 0).out)
        self.assertEqual(done["steps"], told["steps"])
        made = os.path.getsize(self.path("output", "tiny.safetensors"))
        self.assertTrue(told["network_bytes"] < made < 1.5 * told["network_bytes"], made)
        self.check(run("data", *args), 5, "exists already")  # nothing is overwritten

    def test_a_plan_without_a_model_and_what_is_wrong_with_one(self):
        data = self.make_data()
        told = self.json_of("plan", data, "--optimizer_type", "DAdaptAdam", "--goal", "style")
        self.assertIsNone(told["planned_peak_bytes"])
        values = {row["option"]: row["value"] for row in told["recipe"]}
        self.assertEqual((values["learning_rate"], values["network_module"]), ("1", "lycoris.kohya"))
        self.assertEqual(values["keep_tokens"], "0")
        policy = self.json_of("plan", data, "--tag_policy", "no_traits", "--goal", "style")
        self.assertEqual({r["option"]: r["value"] for r in policy["recipe"]}["keep_tokens"], "1")
        plain = self.check(run("data", "plan", data), 0).out
        self.assertIn("known with --pretrained_model", plain)
        self.assertIn("36 MiB", plain)  # rank 32 on Stable Diffusion 1.x
        zh = self.check(run("data", "plan", data, "--lang", "zh"), 0).out
        self.assertIn("指定 --pretrained_model 後可得知", zh)
        self.check(run("data", "plan", data, "--optimizer_type", "Magic"), 2, "Magic")
        self.check(run("data", "plan", data, "--resolution", "500"), 2, "multiple of 64")
        self.check(run("data", "plan", os.path.join(data, "2_zorp")), 3, "2_zorp")
        self.check(run("data", "plan", self.path("none")), 5, "none")
        self.check(run("data", "plan"), 2, "wants a folder")
        self.check(run("data", "plot", data), 2, "no action")

    def test_crop_cutout_erase_and_back(self):
        data = self.make_data(name="2_zorp monster")
        before = every_byte(data)
        told = self.json_of("crop", data, "--to", self.path("new"), "--reg_data_dir", self.path("reg"), "--plain_too")
        self.assertEqual(len(told["pictures"]), 4)
        done = [row for row in told["pictures"] if row["outcome"] == "done"]
        self.assertTrue(done)
        self.assertEqual(sorted(os.listdir(self.path("reg", "1_monster"))),
                         sorted(os.path.basename(row["path"]) for row in done))
        self.assertEqual(every_byte(data), before)
        self.check(run("data", "check", self.path("new"), "--no_decode"), 0)
        self.check(run("data", "crop", data, "--to", self.path("new"), "--reg_data_dir", self.path("reg"), "--undo"), 0)
        self.assertEqual(every_byte(self.path("new")), {})
        self.assertEqual(every_byte(self.path("reg")), {})

        told = self.json_of("cutout", data, "--drop_background_tags", "--dry_run")
        self.assertTrue(told["dry_run"])
        self.assertEqual(every_byte(data), before)
        self.check(run("data", "cutout", data, "--drop_background_tags"), 0, )
        with open(os.path.join(data, "2_zorp monster", "zorp_00.txt"), encoding="utf-8") as file:
            caption = file.read()
        self.assertIn("simple background", caption)
        self.assertNotIn("orange background", caption)
        self.check(run("data", "cutout", data, "--undo"), 0)
        self.assertEqual(every_byte(data), before)

        picture = os.path.join(data, "2_zorp monster", "zorp_00.png")
        self.check(run("data", "erase", picture, "--box", "70%,70%,20%,20%", "--color", "#ff0000"), 0)
        self.assertNotEqual(every_byte(data), before)
        self.check(run("data", "erase", picture, "--undo"), 0)
        self.assertEqual(every_byte(data), before)
        self.check(run("data", "erase", picture, "--undo"), 3, "nothing to undo")
        self.check(run("data", "erase", picture), 2, "--mask")
        self.check(run("data", "erase", picture, "--box", "1,2,3"), 2, "four numbers")
        self.check(run("data", "erase", picture, "--mask", self.path("none.png")), 5, "none.png")
        self.check(run("data", "erase", picture, "--mask", MODEL), 3)
        self.check(run("data", "cutout", data, "--background", "rosy"), 2, "rosy")
        self.assertEqual(every_byte(data), before)

    def test_tags_of_listed_pictures(self):
        data = self.make_data()
        folder = os.path.join(data, "2_zorp")
        before = every_byte(data)
        listed = self.write("list.txt", "zorp_01.png\r\n\nzorp_03\n")
        self.check(run("tags", data, "--only", "@" + listed, "--add", "zorp", "stamp"), 0)
        for i in range(4):
            with open(os.path.join(folder, f"zorp_{i:02d}.txt"), encoding="utf-8") as file:
                self.assertEqual(file.read().startswith("zorp, stamp, "), i in (1, 3), i)
        self.check(run("tags", data, "--only", "zorp_07.png", "--add", "stamp"), 3, "zorp_07")
        self.check(run("tags", data, "--undo"), 0)
        self.assertEqual(every_byte(data), before)

    def test_mix(self):
        for i, where in enumerate(["sfw/uniform", "sfw/uniform", "sfw/swimsuit", "nsfw/sex", "nsfw/nude"]):
            os.makedirs(self.path("src", where), exist_ok=True)
            for ext in (".png", ".txt"):
                shutil.copy(f"{ZORPS}/zorp_{i:02d}{ext}", self.path("src", where))
        tags = self.write("tags.txt", "sfw/uniform = mika (uniform)\n")
        args = ["mix", self.path("src"), "--to", self.path("train"), "--trigger", "mika", "--folder_tags", tags]
        told = self.json_of(*args, "--repeats", 5)
        self.assertEqual([row["path"] for row in told["folders"]],
                         ["5_mika_nsfw", "5_mika_sex", "5_mika_swimsuit", "5_mika_uniform"])
        with open(self.path("train", "5_mika_uniform", "zorp_00.txt"), encoding="utf-8") as file:
            self.assertTrue(file.read().startswith("mika, mika (uniform), zorp"))
        plan = self.json_of("plan", self.path("train"))
        self.assertEqual(len(plan["folders"]), 4)
        self.assertEqual(self.json_of(*args, "--repeats", 5)["copied"], 0)
        self.check(run("data", "mix", self.path("src"), "--to", self.path("train"), "--undo"), 0)
        self.assertEqual(every_byte(self.path("train")), {})
        self.assertEqual([n for n in os.listdir(self.path("train")) if n != ".lora-undo"], [])
        self.check(run("data", *args, "--use", "blend", "--share", "0.3"), 2, "20%")
        self.check(run("data", "mix", self.path("src"), "--trigger", "mika"), 2, "--to")

    def test_prompts_for_regularisation_pictures(self):
        # From captions to prompts, and drawn: the files that a regularisation folder needs.
        data = self.make_data(name="2_zorp monster", count=3)
        told = self.json_of("reg", data, "--resolution", 64)["prompts"]
        self.assertEqual([row["seed"] for row in told], [1, 2, 3])
        for row in told:
            self.assertTrue(row["prompt"].startswith("zorp, monster, "), row)
            self.assertIn("simple background", row["negative_prompt"])
            self.assertEqual(row["class"], "monster")
        prompts = self.path("prompts.txt")
        args = ["reg", data, "--resolution", 64, "--write", prompts]
        self.assertIn('--out "REG/1_monster/reg.png"', self.check(run("data", *args), 0).out)
        self.check(run("data", *args), 5, "exists already")
        sample = ["sample", "--model", MODEL, "--from_file", prompts, "--mixed_precision", "no"]
        out = self.path("reg", "1_monster", "reg.png")
        drawn = json.loads(self.check(run(*sample, "--steps", 2, "--out", out, "--json"), 0).out)["pictures"]
        self.assertEqual([row["seed"] for row in drawn], [1, 2, 3])
        self.assertEqual(len(os.listdir(self.path("reg", "1_monster"))), 3)
        # The same picture as the line alone gives.
        self.check(run("sample", "--model", MODEL, "--prompt", told[1]["prompt"], "--negative_prompt",
                       told[1]["negative_prompt"], "--seed", 2, "--width", 64, "--height", 64, "--steps", 2,
                       "--mixed_precision", "no", "--out", self.path("one.png")), 0)
        with open(drawn[1]["file"], "rb") as a, open(self.path("one.png"), "rb") as b:
            self.assertEqual(a.read(), b.read())
        for row in self.json_of("reg", data, "--without_trigger")["prompts"]:
            self.assertNotIn("zorp", row["prompt"])
        self.check(run(*sample, "--prompt", "cat"), 2, "both given")
        self.check(run("sample", "--model", MODEL, "--from_file", self.write("empty.txt", "# nothing\n")), 3, "no prompt")
        self.check(run("data", "reg", data, "--resolution", "500x"), 2, "500x")

    @unittest.skipIf(sys.platform == "win32", "names that Windows does not have")
    def test_hostile_names_and_links(self):
        data = self.make_data(name="5_mika")
        folder = os.fsencode(os.path.join(data, "5_mika"))
        with open(f"{ZORPS}/zorp_00.png", "rb") as file:
            picture = file.read()
        names = [b"new\nline", b"it's \"quoted\"", b"no utf8 \xff\xfe", b"n" * 250, b"--fix", b"<script>alert(1)<",
                 b"back\\slash", b"esc\x1b[31m"]
        for name in names:
            with open(os.path.join(folder, name + b".png"), "wb") as file:
                file.write(picture)
            if len(name) < 250:
                with open(os.path.join(folder, name + b".txt"), "wb") as file:
                    file.write(b"\xef\xbb\xbfsmile, mika, smile")
        os.symlink(b"..", os.path.join(folder, b"up"))
        os.symlink(b"loop", os.path.join(folder, b"loop"))
        os.symlink(b"/etc", os.path.join(folder, b"etc"))
        with open(self.path("outside.txt"), "wb") as file:
            file.write(b"\xef\xbb\xbfsmile, mika")
        os.symlink(os.fsencode(self.path("outside.txt")), os.path.join(folder, b"zorp_03.txt.lnk"))
        os.remove(os.path.join(folder, b"zorp_03.txt"))
        os.symlink(os.fsencode(self.path("outside.txt")), os.path.join(folder, b"zorp_03.txt"))
        before = every_byte(self.tmp)
        page = self.path("page.html")
        rows = json.loads(self.check(run("data", "check", data, "--json", "--html", page), 1).out)  # the loop
        for row in rows:
            self.assertTrue(row["severity"] and row["kind"] and row["fix"])
        with open(page, "rb") as file:
            html = file.read()
        html.decode("utf-8")
        self.assertNotIn(b"<script", html)
        os.remove(page)
        self.check(run("data", "check", data, "--fix"), 1)
        after = every_byte(self.tmp)
        self.assertNotEqual(after, before)
        self.assertEqual(after[os.fsencode(self.path("outside.txt"))], before[os.fsencode(self.path("outside.txt"))])
        self.check(run("data", "check", data, "--undo"), 0)
        self.assertEqual(every_byte(self.tmp), before)
        self.check(run("data", "cutout", data), 0)
        self.check(run("data", "cutout", data, "--undo"), 0)
        self.assertEqual(every_byte(self.tmp), before)
        self.check(run("data", "plan", data), 0)

    def test_folders_that_cannot_be_written(self):
        data = self.make_data(name="5_mika")
        with open(os.path.join(data, "5_mika", "zorp_00.txt"), "wb") as file:
            file.write(b"\xef\xbb\xbfsmile, mika")
        with open(os.path.join(data, ".lora-undo"), "wb") as file:
            file.write(b"a file")
        before = every_byte(data)
        self.check(run("data", "check", data, "--fix"), 5, ".lora-undo")
        self.check(run("data", "cutout", data), 5, ".lora-undo")
        with open(os.path.join(data, ".lora-undo"), "rb") as file:
            self.assertEqual(file.read(), b"a file")
        self.assertEqual(every_byte(data), before)
        os.remove(os.path.join(data, ".lora-undo"))
        if hasattr(os, "geteuid") and os.geteuid() != 0:
            os.chmod(data, 0o555)
            self.addCleanup(os.chmod, data, 0o755)
            self.check(run("data", "check", data, "--fix"), 5, "cannot")
            self.assertEqual(every_byte(data), before)

    def test_a_journal_of_somebody_else(self):
        data = self.make_data(name="5_mika")
        os.makedirs(os.path.join(data, ".lora-undo", "1"))
        self.write("victim.txt", "mine")
        for path in ("../victim.txt", self.path("victim.txt")):
            self.write("data/.lora-undo/1/journal.json", json.dumps({"files": [{"path": path, "after": ""}]}))
            self.check(run("data", "check", data, "--undo"), 4, "journal")
            with open(self.path("victim.txt"), encoding="utf-8") as file:
                self.assertEqual(file.read(), "mine")

    @unittest.skipIf(sys.platform == "win32", "no SIGKILL")
    def test_killed_at_any_moment_and_undone(self):
        data = self.make_data(name="5_mika")
        folder = os.path.join(data, "5_mika")
        for i in range(150):
            shutil.copy(f"{ZORPS}/zorp_00.png", os.path.join(folder, f"p{i:03d}.png"))
            with open(os.path.join(folder, f"p{i:03d}.txt"), "wb") as file:
                file.write(b"\xef\xbb\xbfsmile, mika, smile, tag%d" % i)
        before = every_byte(data)
        args = ["data", "check", data, "--fix", "--no_decode"]
        begun = time.monotonic()
        self.check(run(*args), 0)
        whole = time.monotonic() - begun
        after = every_byte(data)
        self.check(run("data", "check", data, "--undo"), 0)
        self.assertEqual(every_byte(data), before)
        self.assertFalse(os.path.exists(os.path.join(data, ".lora-undo")))
        rng = random.Random(int(os.environ.get("LORA_TEST_SEED", "1")))
        seen = set()
        for _ in range(int(os.environ.get("LORA_TEST_KILLS", "8"))):
            process = start(*args)
            time.sleep(rng.uniform(0, 1.1 * whole))
            process.send_signal(signal.SIGKILL)
            process.communicate()
            now = every_byte(data)
            for path in before:
                self.assertIn(now.get(path), (before[path], after[path]), path)  # whole, old or new
            changed = sum(now[path] != before[path] for path in before)
            seen.add("all" if now == after else "some" if changed else "none")
            undone = run("data", "check", data, "--undo")
            self.assertIn(undone.code, (0, 3), undone)  # 3: killed before the journal
            self.assertEqual(every_byte(data), before)
        self.assertTrue(seen)
        # What killed runs left is cleared by the next one.
        self.check(run(*args), 0)
        self.check(run("data", "check", data, "--undo"), 0)
        self.assertEqual(every_byte(data), before)
        self.assertFalse(os.path.exists(os.path.join(data, ".lora-undo")))

    def changing_commands(self):
        """Commands that change folders, each with the one that takes it back."""
        data = self.make_data(name="5_mika 1girl")
        folder = os.path.join(data, "5_mika 1girl")
        for i in range(40):
            shutil.copy(f"{ZORPS}/zorp_{i % 4:02d}.png", os.path.join(folder, f"p{i:03d}.png"))
            with open(os.path.join(folder, f"p{i:03d}.txt"), "w", encoding="utf-8") as file:
                file.write(f"smile, mika, smile, tag{i}")
            where = self.path("src", "nsfw" if i % 5 == 0 else "sfw", "uniform")
            os.makedirs(where, exist_ok=True)
            for ext in (".png", ".txt"):
                shutil.copy(os.path.join(folder, f"p{i:03d}{ext}"), where)
        os.makedirs(self.path("reg"))
        reg = ["--reg_data_dir", self.path("reg")]
        box = ["--box", "10%,10%,75%,75%"]
        mix = ["--to", self.path("train"), "--trigger", "mika"]
        return [
            (["tags", data, "--add", "stamp", "--dedupe"], ["tags", data, "--undo"]),
            (["data", "crop", data, *box, *reg], ["data", "crop", data, *reg, "--undo"]),
            (["data", "erase", data, *box, "--color", "#ff0000"], ["data", "erase", data, "--undo"]),
            (["data", "cutout", data, *box, "--to", self.path("new")],
             ["data", "cutout", data, "--to", self.path("new"), "--undo"]),
            (["data", "mix", self.path("src"), *mix], ["data", "mix", self.path("src"), *mix, "--undo"]),
        ]

    @unittest.skipIf(sys.platform == "win32", "no SIGKILL")
    def test_every_tool_killed_at_any_moment_and_undone(self):
        rng = random.Random(int(os.environ.get("LORA_TEST_SEED", "1")))
        rounds = max(2, int(os.environ.get("LORA_TEST_KILLS", "8")) // 4)
        for args, undo in self.changing_commands():
            with self.subTest(" ".join(args[:2])):
                before = every_byte(self.tmp)
                begun = time.monotonic()
                self.check(run(*args), 0)
                whole = time.monotonic() - begun
                after = every_byte(self.tmp)
                self.assertNotEqual(after, before)
                self.check(run(*undo), 0)
                self.assertEqual(every_byte(self.tmp), before)
                for _ in range(rounds):
                    process = start(*args)
                    time.sleep(rng.uniform(0, 1.1 * whole))
                    process.send_signal(signal.SIGKILL)
                    process.communicate()
                    for path, content in every_byte(self.tmp).items():
                        if b".tmp-" not in os.path.basename(path):  # whole, old or new
                            self.assertIn(content, (before.get(path), after.get(path)), path)
                    undone = run(*undo)
                    self.assertIn(undone.code, (0, 3), undone)  # 3: killed before the journal, or after its end
                    self.assertEqual(every_byte(self.tmp), before)

    @unittest.skipIf(sys.platform == "win32", "no limit to the size of files")
    def test_a_disk_that_takes_no_more(self):
        # The system refuses to write beyond a size, as a full disk does: nothing half-written stays.
        import resource
        for args, undo in self.changing_commands():
            before = every_byte(self.tmp)
            failed = 0
            for limit in (0, 60, 1000, 4000):
                def limited(limit=limit):
                    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
                    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
                with self.subTest(" ".join(args[:2]), limit=limit):
                    done = subprocess.run([BIN, *args], stdin=subprocess.DEVNULL, capture_output=True, timeout=300,
                                          env=environment(), preexec_fn=limited)
                    self.assertIn(done.returncode, (0, 5), done.stderr)
                    failed += done.returncode == 5
                    self.assertIn(run(*undo).code, (0, 3))
                    self.assertEqual(every_byte(self.tmp), before)
            self.assertGreater(failed, 1, args)


if __name__ == "__main__":
    unittest.main()
