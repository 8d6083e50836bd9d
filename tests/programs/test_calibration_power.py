#!/usr/bin/env python3
"""nephrite-calibration and tools/bench calibration: errors of a posterior that are put in are found, and no others."""

import os
import pathlib
import re
import subprocess
import sys
import unittest

from run_program import BUILD, expect_failure, run

SOURCE = pathlib.Path(os.environ.get("NEPHRITE_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(SOURCE / "tools"))
from nephrite_tools import bench_calibration  # noqa: E402

PROGRAM = BUILD / "nephrite-calibration"
TINY = ["-truths", 150, "-draws", 40, "-dimension", 4, "-centres", 8, "-experiments", 6, "-nulls", 99, "-bins", 10]
GROSS = ["-biases", "2", "-widths", "0.3,1.8"]


def table(done):
    """{(kind, extent, size): [shares of the tests, score]}, as printed."""
    rows = re.findall(r"^(\w+) +(-|one|all) +(\S+) +(.*)$", done.stdout, re.M)
    return {(kind, extent, float(size)): [*map(float, numbers.split())] for kind, extent, size, numbers in rows}


def without_progress(text):
    return re.sub(r"^power .*\n", "", text, flags=re.M)


class Power(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.one = run(1, PROGRAM, *TINY, *GROSS)
        cls.rows = table(cls.one)

    def test_all_distortions_asked_for_are_in_the_table(self):
        self.assertEqual(self.one.returncode, 0, self.one.stderr)
        distorted = [(kind, extent, size) for kind, sizes in (("bias", [2]), ("width", [0.3, 1.8]))
                     for extent in ("one", "all") for size in sizes]  # fmt: skip
        self.assertEqual([*self.rows], [("none", "-", 0), *distorted, ("nulls", "-", 0)])

    def test_gross_errors_are_detected(self):
        for key, (mira, _, tarp, sbc, _) in self.rows.items():
            with self.subTest(distortion=key):
                if key[0] in ("bias", "width"):
                    self.assertEqual(sbc, 1)
                if key[0] in ("bias", "width") and key[1] == "all":
                    self.assertEqual((mira, tarp), (1, 1))

    def test_what_is_right_is_seldom_rejected(self):
        for shares in self.rows["none", "-", 0][:4], self.rows["nulls", "-", 0][:4]:
            self.assertLess(max(shares), 0.2)  # of 6, and of 99: 0.01 is expected
        self.assertLessEqual(self.rows["nulls", "-", 0][2], 0.01)  # that of TARP is set so

    def test_scores_lie_on_the_side_that_is_theirs(self):
        expected = 81 / 120  # (2S+1)/(3S)
        self.assertAlmostEqual(self.rows["none", "-", 0][4], expected, delta=0.01)
        self.assertGreater(self.rows["width", "all", 1.8][4], expected + 0.02)
        self.assertLess(self.rows["width", "all", 0.3][4], expected - 0.02)
        self.assertLess(self.rows["bias", "all", 2][4], expected - 0.02)

    def test_an_error_in_one_dimension_is_less_than_in_all(self):
        expected = 81 / 120
        for kind, size in ("bias", 2), ("width", 0.3), ("width", 1.8):
            one, all_of_them = (abs(self.rows[kind, extent, size][4] - expected) for extent in ("one", "all"))
            self.assertLess(one, all_of_them)

    def test_the_number_of_ranks_changes_nothing(self):
        for ranks in 2, 3:
            done = run(ranks, PROGRAM, *TINY, *GROSS)
            self.assertEqual(without_progress(done.stdout), without_progress(self.one.stdout))

    def test_the_seed_changes_the_experiments(self):
        done = run(1, PROGRAM, *TINY, *GROSS, "-seed", 2)
        self.assertNotEqual(table(done)["none", "-", 0][4], self.rows["none", "-", 0][4])

    def test_lists_that_are_none_are_refused(self):
        for words in ["-biases", "0.1,x"], ["-biases", "0.1,"], ["-widths", "-1"], ["-widths", ",1"]:
            with self.subTest(words=words):
                expect_failure(self, run(1, PROGRAM, *TINY, *words), 64, "numbers from")

    def test_too_few_undistorted_experiments_are_refused(self):
        expect_failure(self, run(2, PROGRAM, "-nulls", 98), 64, "a significance of 0.01 needs at least 99")

    def test_more_bins_than_ranks_are_refused(self):
        expect_failure(self, run(1, PROGRAM, "-draws", 10, "-bins", 12), 64, "10 draws have no more than 11 ranks")


class Speed(unittest.TestCase):
    WORDS = ["-task", "speed", "-truths", 30, "-draws", 20, "-dimension", 600, "-centres", 4, "-buffer", 1 << 20]

    def test_counts_do_not_depend_on_ranks_and_are_those_of_the_prior(self):
        scores = set()
        for ranks in 1, 2:
            done = run(ranks, PROGRAM, *self.WORDS)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(f"0.00144 GB of draws, on {ranks} ranks", done.stdout)
            for what in "making draws and truths", "comparing", "a pass from memory", "comparing / pass / centres":
                self.assertRegex(done.stdout, rf"(?m)^{what} +[\d.e-]+ +[\d.e-]+")
            scores.add(float(re.search(r"MIRA score +([\d.]+)", done.stdout)[1]))
        self.assertEqual(len(scores), 1)
        self.assertAlmostEqual(*scores, 41 / 60, delta=0.06)  # 30 truths beside the same 20 draws


class Tool(unittest.TestCase):
    def bench(self, *words):
        tool = [SOURCE / "tools/bench", "calibration", "--build", BUILD, *words]
        return subprocess.run([*map(str, tool)], capture_output=True, text=True, timeout=120)

    def test_what_is_detected_and_what_it_costs(self):
        words = ["--work", 150, "--metrics", "standardised", "--dimension", 4, "--pixels", 300, "--repeats", 1]
        done = self.bench(*words, "--", *TINY[2:4], *TINY[6:], *GROSS, "-buffer", 1 << 20)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("150 truths x 40 draws in 4 dimensions, standardised metric", done.stdout)
        row = re.search(r"^too narrow, in all +(.*)$", done.stdout, re.M)[1].split()
        half, most = float(row[0]), float(row[1])
        self.assertTrue(0.3 <= most < half < 1)
        self.assertEqual(len(re.findall(r"in 300 dimensions, 8 centres: .* on [12] ranks", done.stdout)), 2)

    def test_other_parts_are_refused(self):
        done = self.bench("--parts", "power,size")
        self.assertEqual(done.returncode, 1)
        self.assertIn("--parts", done.stderr)

    def test_shares_are_interpolated_from_what_is_right_outwards(self):
        lines = ["none - 0 0.0 0.0 0.0 0.02 0.66"]
        lines += [f"width all {size} {mira} 0.0 0.1 1.0 0.66" for size, mira in ((0.7, 1.0), (0.9, 0.2), (1.4, 0.3))]
        found = bench_calibration.curves("\n".join([*lines, "nulls - 0 0.0 0.0 0.0 0.0 0.66"]))
        self.assertEqual({key: [point[0] for point in points] for key, points in found.items()}.keys(),
                         {("narrow", "all"), ("wide", "all")})  # fmt: skip
        narrow = found["narrow", "all"]
        self.assertAlmostEqual(bench_calibration.reaches(narrow, "mira", 0.6), 0.2)  # half-way from 0.9 to 0.7
        self.assertAlmostEqual(bench_calibration.reaches(narrow, "sbc", 0.51), 0.05)
        self.assertIsNone(bench_calibration.reaches(narrow, "tarp", 0.5))
        self.assertEqual(bench_calibration.size_of("narrow", 0.2, 0.3), "0.8")
        self.assertEqual(bench_calibration.size_of("wide", None, 0.4), "(1.4)")
        self.assertEqual(bench_calibration.size_of("bias", 0.25, 0.5), "0.25")


if __name__ == "__main__":
    unittest.main(verbosity=2)
