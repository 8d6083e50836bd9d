#!/usr/bin/env python3
# nephrite-test: long
"""The weights in config/weights draw what their campaign files promise, here for a few observations.

doc/benchmark.md has what they were judged by: more observations and draws than a test has time for.
"""

import pathlib
import shutil
import tempfile
import unittest

import h5py
import numpy as np

from tiny_campaign import SOURCE, run_program

OBSERVATIONS, DRAWS = 24, 32


class Pretrained(unittest.TestCase):
    def judge(self, name):
        with tempfile.TemporaryDirectory(prefix="nephrite-pretrained-") as scratch:
            top = pathlib.Path(scratch)
            shutil.copy(SOURCE / f"config/{name}.yaml", top / "tiny.yaml")
            options = {
                "task": "coverage",
                "infer_checkpoint": SOURCE / f"config/weights/{name}.h5",
                "infer_observations": OBSERVATIONS,
                "infer_draws": DRAWS,
            }
            made = run_program("nephrite-infer", top / "campaign", options, 2, timeout=900)
            self.assertEqual(made.code, 0, made.err)
            with h5py.File(top / "campaign/calibration.h5") as file:
                for space in ("theta", "kappa", "joint", "S8_Omega_m"):
                    mira = {key: file[f"{space}/standardised/mira/{key}"][()] for key in ("score", "error", "expected")}
                    self.assertLess(abs(mira["score"] - mira["expected"]), 0.04 + 3 * mira["error"], (space, mira))
                self.assertGreater(file["sbc/least_p_value"][()], 1e-3)
                width = dict(zip(file["sbc/rank"].attrs["scalars"].decode().split(","), file["width/ratio"][()]))
                self.assertLess(width["S8"], 0.25)  # of the prior's: the data say something, and the network knows it
                mean, wiener = (file[f"correlation/{key}"][()].mean(0) for key in ("mean", "wiener"))
                self.assertTrue((mean > wiener - 0.03).all(), (mean, wiener))

    def test_benchmark(self):
        self.judge("benchmark")

    def test_gaussian(self):
        self.judge("gaussian")


if __name__ == "__main__":
    unittest.main()
