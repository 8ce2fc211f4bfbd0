"""The cuda backend against a driver without a card: the shared library of src/backend/cuda/fake_driver.cpp
stands in for NVIDIA's, checks every call's arguments and writes the calls down. What a card would
compute is zero; that the right work is asked for, in the right order, and all of it given back, is
what is tested here. LORA_FAKE_DRIVER is the library's folder.
"""
import os
import re
import shutil
import unittest

import harness
from harness import E2E, MODEL, environment, run

DRIVER = os.environ["LORA_FAKE_DRIVER"]


class CardTest(E2E):
    def setUp(self):
        super().setUp()
        # A copy of the program: its cache of chosen kernels lies beside it.
        self.bin = self.path("lora")
        shutil.copy(harness.BIN, self.bin)

    def lora(self, *args, **fake):
        more = {f"FAKE_CUDA_{name}": str(value) for name, value in fake.items()}
        usual, harness.BIN = harness.BIN, self.bin
        try:
            return run(*args, env=environment(LD_LIBRARY_PATH=DRIVER, **more))
        finally:
            harness.BIN = usual

    def doctor(self, **fake):
        result = self.lora("doctor", **fake)
        self.assertEqual(result.code, 0, result)
        (line,) = [text for text in result.out.splitlines() if text.startswith("backend cuda: ")]
        return line

    def train(self, name, steps=3, mixed_precision="bf16", **more):
        """The calls of a training run on the card, in order."""
        log = self.path(name)
        options = {"backend": "cuda", "mixed_precision": mixed_precision, "save_precision": "fp16"}
        result = self.lora(*self.train_args(steps=steps, out=f"out-{name}", **options), LOG=log, **more)
        with open(log, encoding="utf-8") as file:
            calls = file.read().splitlines()
        self.assertEqual([c for c in calls if c.startswith("WRONG")], [], result)
        return result, calls

    def test_a_card_is_found(self):
        self.assertEqual(self.doctor(), "backend cuda: chosen")

    def test_why_a_card_cannot_be_used_is_told_in_one_line(self):
        for fake, words in [
                ({"CARDS": 0}, "there is no NVIDIA card"),
                ({"VERSION": 12080}, "speaks CUDA 12.8; version 580 or later"),
                ({"COMPUTE": 70}, "Fake card has compute capability 7.0; 7.5"),
                ({"FAIL": "cuInit=999"}, "the NVIDIA driver does not start: as the test asked")]:
            self.assertIn(words, self.doctor(**fake))

    def test_a_run_asks_for_the_right_things_in_the_right_order(self):
        self.make_data()
        result, calls = self.train("first", steps=3)
        self.assertEqual(result.code, 0, result)
        kinds = [c.split()[0] for c in calls]
        self.assertEqual(kinds[0], "cuInit")
        self.assertLess(kinds.index("cuDevicePrimaryCtxRetain"), kinds.index("cuStreamCreate"))
        self.assertLess(kinds.index("cuStreamCreate"), kinds.index("cuMemAlloc_v2"))
        # Every piece of memory went back, and the context last of all: the driver has checked that
        # nothing was left over.
        self.assertEqual(kinds.count("cuMemAlloc_v2"), kinds.count("cuMemFree_v2"))
        self.assertEqual(kinds[-1], "cuDevicePrimaryCtxRelease_v2")
        # A graph runs only after it was made, of kernels that were loaded before.
        made, functions = set(), set()
        launches = 0
        for call in calls:
            words = call.split()
            if words[0] == "cuGraphInstantiateWithFlags":
                made.add(words[1])
            elif words[0] == "cuGraphLaunch":
                self.assertIn(words[1], made)
                launches += 1
            elif words[0] == "cuModuleGetFunction":
                functions.add(words[2])
            elif words[0] == "cuLaunchKernel":
                self.assertIn(words[1], functions)
            elif words[0] == "cuGraphAddKernelNode_v2":
                self.assertIn(words[2], functions)
        # At least the step and the update, three times.
        self.assertGreaterEqual(launches, 6)
        text = "\n".join(calls)
        for kernel in ("gemm_", "attention_", "group_norm_", "wgrad_", "weighted_loss_", "update_step_",
                       "cast_table_bf16"):
            self.assertIn(kernel, text)
        # The tuner timed the candidates once, and a second run takes what it chose.
        self.assertIn("cuLaunchKernel gemm_", text)
        _, again = self.train("second", steps=3)
        timed = [c for c in again if re.match(r"cuLaunchKernel gemm_", c)]
        self.assertEqual(timed, [])
        # The same run makes the same calls with the same arguments, every byte that is copied included.
        _, third = self.train("third", steps=3)
        self.assertEqual(third, again)

    def test_gradients_of_stride_two_go_by_parity_on_tensor_cores(self):
        self.make_data()
        for compute, precision in ((90, "bf16"), (86, "bf16"), (75, "fp16")):
            with self.subTest(compute=compute):
                result, calls = self.train(f"stride-{compute}", steps=1, mixed_precision=precision, COMPUTE=compute)
                self.assertEqual(result.code, 0, result)
                self.assertEqual(any("_parity_kn_" in call for call in calls), compute >= 80)

    def test_a_card_without_room(self):
        self.make_data()
        result, _ = self.train("small", steps=1, BYTES=48 << 20)
        self.check(result, 6, "out of memory")

    def test_a_failing_card_ends_the_run_with_one_error(self):
        self.make_data()
        result, _ = self.train("failing", steps=1, FAIL="cuGraphInstantiateWithFlags=700")
        self.check(result, 6, "making the graph: as the test asked")


if __name__ == "__main__":
    unittest.main(verbosity=2)
