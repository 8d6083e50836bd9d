#!/usr/bin/env python3
"""tools/bench says what it measured of each program; how fast that was is no test."""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ.get("NEPHRITE_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
BUILD = pathlib.Path(os.environ.get("NEPHRITE_BUILD", SOURCE / "build"))
CONFIG = """
survey: {map_size: 16, field_of_view: 2, bins: 2}
network: {depth: 1, width: 16, heads: 1, patch: 4, bottleneck: 16, cosmology_tokens: 1}
infer: {evaluations: 5}
"""


class Bench(unittest.TestCase):
    def bench(self, what, *words):
        with tempfile.TemporaryDirectory() as folder:
            config = pathlib.Path(folder) / "tiny.yaml"
            config.write_text(CONFIG)
            tool = [SOURCE / "tools/bench", what, "--build", BUILD, "--config", config, "--scratch", folder]
            done = subprocess.run([*map(str, [*tool, *words])], capture_output=True, text=True, timeout=120)
            self.assertEqual([path.name for path in pathlib.Path(folder).iterdir()], ["tiny.yaml"])
        return done

    def assertTable(self, done, unit, *parts):
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(unit + "/s", done.stdout)
        rows = re.findall(r"^ +(\d) +([\d.e+]+) +([\d.e+]+) +([\d.]+)$", done.stdout, re.M)
        self.assertEqual([row[0] for row in rows], ["1", "2"])
        for ranks, rate, per_rank, scaling in rows:
            self.assertAlmostEqual(float(rate) / float(per_rank) / int(ranks), 1, delta=2e-3)
            self.assertAlmostEqual(float(scaling), float(per_rank) / float(rows[0][2]), delta=2e-3)
        for part in parts:
            shares = re.search(rf"^{part} +([\d.]+)% +([\d.]+)%$", done.stdout, re.M)
            self.assertTrue(shares and 0 < float(shares[1]) <= 100, f"{part}: {done.stdout}")

    def test_simulations(self):
        done = self.bench("simulate", "--work", 512, "--repeats", 1)
        self.assertTable(done, "maps", "cosmology", "angular power", "shifts", "field spectra", "field maps")

    def test_training(self):
        self.assertTable(
            self.bench("train", "--work", 40, "--repeats", 1), "samples", "train forward", "train backward"
        )

    def test_inference(self):
        self.assertTable(self.bench("infer", "--work", 256, "--repeats", 2), "draws", "draw network")

    def test_a_program_that_fails_ends_it_with_what_it_said(self):
        done = self.bench("simulate", "--", "-survey_bins", "99")
        self.assertEqual(done.returncode, 1)
        self.assertIn("survey_bins", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
