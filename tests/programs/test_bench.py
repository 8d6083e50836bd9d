#!/usr/bin/env python3
"""tools/bench says what it measured of each program; how fast that was is no test."""

import argparse
import ctypes
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import numpy as np

SOURCE = pathlib.Path(os.environ.get("NEPHRITE_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
BUILD = pathlib.Path(os.environ.get("NEPHRITE_BUILD", SOURCE / "build"))
sys.path.insert(0, str(SOURCE / "tools"))
from nephrite_tools import bench_sample, bench_train, sgemm  # noqa: E402

CONFIG = """
survey: {map_size: 16, field_of_view: 2, bins: 2}
network: {depth: 1, width: 16, heads: 1, patch: 4, bottleneck: 16, cosmology_tokens: 1, dropout: 0}
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

    def assertRow(self, done, name):
        """The two numbers of a row of the table of train."""
        self.assertEqual(done.returncode, 0, done.stderr)
        found = re.search(rf"^ *{re.escape(name)} +([\d.e+]+)%? +([\d.e+]+)%?$", done.stdout, re.M)
        self.assertTrue(found, f"{name}: {done.stdout}")
        return np.array([float(found[1]), float(found[2])])

    def test_training_beside_the_blas(self):
        done = self.bench("train", "--work", 10, "--repeats", 1)
        self.assertRegex(done.stdout, r"ranks x threads +1 x 1 +2 x 1\n")
        model, sgemm = self.assertRow(done, "model GFLOP/s"), self.assertRow(done, "sgemm GFLOP/s")
        np.testing.assert_allclose(self.assertRow(done, "model / sgemm"), model / sgemm, atol=2e-3)
        flops = model / self.assertRow(done, "samples/s")
        self.assertAlmostEqual(flops[0] / flops[1], 1, delta=5e-3)  # of a sample
        rate = self.assertRow(done, "samples/s")
        np.testing.assert_allclose(self.assertRow(done, "efficiency"), [1, rate[1] / rate[0] / 2], rtol=2e-3, atol=5e-4)
        self.assertTrue(np.all(self.assertRow(done, "GB per rank") > 0.01))
        self.assertEqual(self.assertRow(done, "communication")[0] < self.assertRow(done, "compute")[0], True)
        parts = ("linear maps", "attention", "weight gradients", "row by row", "waiting", "embeddings and heads")
        np.testing.assert_allclose(sum(self.assertRow(done, part) for part in parts), 100, atol=0.5)

    def test_training_of_a_batch_that_ranks_share(self):
        done = self.bench("train", "--work", 10, "--repeats", 1, "--batch", 6)
        self.assertIn("batch of all ranks 6, at most 8 at once of a rank", done.stdout)
        flops = self.assertRow(done, "model GFLOP/s") / self.assertRow(done, "samples/s")
        self.assertAlmostEqual(flops[0] / flops[1], 1, delta=5e-3)  # of a sample
        for words in ["--batch", 1], ["--batch", 8, "--pytorch", "/bin/false"]:
            done = self.bench("train", *words)
            self.assertEqual(done.returncode, 1)
            self.assertIn("--batch is for strong scaling", done.stderr)

    def pytorch(self, answer, *words):
        """Runs with a Python that gives these answers, as if it had torch."""
        with tempfile.TemporaryDirectory() as folder:
            python = pathlib.Path(folder) / "python"
            python.write_text(
                f"#!{sys.executable}\nimport json, sys\ntask = json.load(sys.stdin)\nprint(json.dumps({answer}))\n"
            )
            python.chmod(0o755)
            return self.bench("train", "--work", 10, "--repeats", 1, "--pytorch", python, *words)

    def test_training_beside_pytorch(self):
        answer = """{"check": {"forward": 1e-15, "version": "3"}, "time": {"parameters": task["shape"].get("weights"),
                     "samples_per_second": 10.0 * len(task.get("mode", ""))}}[task["do"]]"""
        done = self.pytorch(answer.replace("\n", " "), "--threads", "1,2", "--ranks", 1)
        self.assertIn("difference from network.h5 in float64: forward 1.0e-15", done.stdout)
        np.testing.assert_array_equal(self.assertRow(done, "PyTorch eager, samples/s"), 50)
        np.testing.assert_array_equal(self.assertRow(done, "PyTorch compiled, samples/s"), 80)
        ratio = self.assertRow(done, "samples/s") / 80
        np.testing.assert_allclose(self.assertRow(done, "nephrite / best PyTorch"), ratio, rtol=2e-3)

    def test_another_network_is_not_compared_with(self):
        done = self.pytorch('{"forward": 1e-3, "version": "3"}')
        self.assertEqual(done.returncode, 1)
        self.assertIn("PyTorch's network is another one", done.stderr)
        done = self.pytorch(
            '{"check": {"forward": 1e-15, "version": "3"}, "time": {"parameters": 5, "samples_per_second": 1}}[task["do"]]'
        )
        self.assertEqual(done.returncode, 1)
        self.assertRegex(done.stderr, r"PyTorch's network has 5 parameters, ours \d+")
        done = self.pytorch('{"forward": 1e-15, "version": "3"}', "--", "-network_dropout", 0.1)
        self.assertEqual(done.returncode, 1)
        self.assertIn("-network_dropout 0", done.stderr)

    def test_a_python_without_torch_is_refused(self):
        done = self.bench("train", "--pytorch", "/bin/false")
        self.assertEqual(done.returncode, 1)
        self.assertIn("/bin/false", done.stderr)

    @unittest.skipUnless(os.environ.get("NEPHRITE_TORCH"), "NEPHRITE_TORCH names no Python with torch")
    def test_the_network_in_pytorch_is_that_of_the_reference_file(self):
        done = self.bench("train", "--work", 2, "--repeats", 1, "--ranks", 1, "--pytorch", os.environ["NEPHRITE_TORCH"])
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"in float64: forward .*, loss .*, gradient ")

    def test_what_ranks_print_on_one_line_is_told_apart(self):
        text = 'a warning\n{"gflops": 1.5, "core": "X"}{"gflops": 2.5, "core": "X"}\n\n'
        self.assertEqual([answer["gflops"] for answer in bench_train.answers_of(text)], [1.5, 2.5])

    def test_the_products_timed_are_those_of_the_network(self):
        shape = bench_train.shape_of(SOURCE / "tests/reference/network.h5")
        W, M, B = 48, 128, 3
        maps = [tuple(map(int, words.split(","))) for words in bench_train.linear_maps(shape, B)]
        tokens = 1 * 20 + 2 * 24  # of three blocks, the first without the observation's
        self.assertEqual(sum(m * n * k * count for m, n, k, count in maps), B * tokens * (4 * W * W + 3 * M * W))
        blas = ctypes.CDLL(bench_train.blas_library(argparse.Namespace(build=BUILD)))
        random = np.random.default_rng(1)
        x, w, y = (random.random(size, dtype=np.float32) for size in ((7, 5), (3, 5), (7, 3)))
        expected = [(x, w, x @ w.T), (y, w, y @ w), (y, x, y.T @ x)]
        for product, (a, b, right) in zip(sgemm.products(7, 3, 5), expected):
            c = np.zeros(right.shape, dtype=np.float32)
            sgemm.multiply(blas, product, a, b, c)
            np.testing.assert_allclose(c, right, rtol=1e-5)

    def test_inference(self):
        self.assertTable(self.bench("infer", "--work", 256, "--repeats", 2), "draws", "draw network")

    def test_solvers_beside_the_flow_that_they_follow(self):
        online = ["-train_source", "online", "-simulate_realisations", 64, "-train_held_out", 8]
        with tempfile.TemporaryDirectory() as folder:
            config, campaign = pathlib.Path(folder) / "tiny.yaml", pathlib.Path(folder) / "trained"
            config.write_text(CONFIG)
            steps = ["-train_steps", 2, "-train_batch", 8, "-train_validate_every", 2, "-train_checkpoint_every", 2]
            words = [BUILD / "nephrite-train", "-config", config, "-campaign", campaign, *steps, *online]
            words += ["-train_warmup", 0, "-train_validations", 8]
            subprocess.run([*map(str, words)], check=True, capture_output=True, timeout=120)
            done = self.bench(
                "sample", "--campaign", campaign, "--ranks", 1, "--solvers", "heun,multistep3", "--evaluations", "5,9",
                "--work", 4, "--observations", 2, "--tolerance", 1e-3, "--", *online,
            )  # fmt: skip
            self.assertEqual([path.name for path in campaign.iterdir() if path.name == "posterior"], [])
        self.assertEqual(done.returncode, 0, done.stderr)
        rows = {tuple(row.split()[:2]): np.array(row.split()[2:], float) for row in done.stdout.splitlines()[2:7]}
        named = [("heun", "5"), ("heun", "9"), ("multistep3", "5"), ("multistep3", "9")]
        self.assertEqual(list(rows)[:4], named)
        self.assertTrue(all(len(rows[name]) == 15 and rows[name][1] > 0 for name in named))
        reference = rows[list(rows)[4]]
        np.testing.assert_array_equal(reference[[1, 2, 3, 4, 8, 9, 10, 11]], 0)
        np.testing.assert_array_equal(reference[[5, 6, 12, 13]], 1)

    def test_sampling_needs_a_trained_network(self):
        done = self.bench("sample", "--campaign", "/nonexistent")
        self.assertEqual(done.returncode, 1)
        self.assertIn("--campaign", done.stderr)

    def test_differences_of_draws_are_in_units_of_the_posterior(self):
        random = np.random.default_rng(5)
        exact = random.normal(size=(3, 4000, 2)) * [2.0, 5.0] + 7
        exact = np.concatenate([exact, np.full((3, 4000, 1), 0.3)], -1)  # and a fixed parameter
        mean, spread = exact.mean(1, keepdims=True), exact.std(1, ddof=1, keepdims=True)
        found = bench_sample.differences(mean + 1.1 * (exact - mean) + 0.5 * spread * [1, -1, 1], exact)
        np.testing.assert_allclose(found["shift"], 0.5, rtol=1e-9)
        np.testing.assert_allclose(found["width"], 1.1, rtol=1e-9)
        np.testing.assert_allclose(found["error"], np.sqrt(0.25 + 0.01), rtol=1e-3)

    def test_the_score_is_least_for_the_true_distribution(self):
        random = np.random.default_rng(6)
        exact, truth = random.normal(size=(2000, 50, 1)), random.normal(size=(2000, 1))
        scores = [
            bench_sample.score(scale * exact + shift, truth, exact) for scale, shift in ((1, 0), (0.7, 0), (1, 0.4))
        ]
        self.assertAlmostEqual(scores[0], 1 / np.sqrt(np.pi), delta=0.02)  # of a normal beside itself
        self.assertTrue(scores[0] < min(scores[1:]))

    def test_a_program_that_fails_ends_it_with_what_it_said(self):
        done = self.bench("simulate", "--", "-survey_bins", "99")
        self.assertEqual(done.returncode, 1)
        self.assertIn("survey_bins", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
