#!/usr/bin/env python3
"""jobs/scaling measures what it says, once; tools/report fits it and marks what the fit alone says."""

import csv
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

import numpy as np

from tiny_campaign import BUILD, INPUT, INTERRUPTED, SOURCE, USAGE

sys.path.insert(0, str(SOURCE / "tools"))
from nephrite_tools import figures_study, scaling, study  # noqa: E402

CONFIG = """
survey: {map_size: 16, field_of_view: 2, bins: 2}
simulate: {shard_size: 4}
network: {depth: 2, width: 16, heads: 1, patch: 4, bottleneck: 16, cosmology_tokens: 1, dropout: 0}
train: {micro_batch: 4}
infer: {evaluations: 5, draws: 2}
"""
SUMS = "2 ranks, buckets of 1048576 bytes; seconds\n{rows}\nalgorithm 2\n"
LOG = "Stage Name,Event Name,Rank,Count,Time,Num Messages\n"


def write_run(folder, ranks, seconds, stage, repeat=1, parts={}):
    """A run whose slowest rank, the last, has worked for so long, and the others for nine tenths of it."""
    run = folder / f"{ranks}-{repeat}"
    run.mkdir(parents=True)
    (run / "run").write_text("nodes=1\nstarted=2026-01-01T00:00:00Z\nhost=here\n")
    (run / "output.log").write_text("nephrite-x 0.1.0 (abc), ranks\n")
    rows = []
    for rank in range(ranks):
        rows.append(f"Main Stage,summary,{rank},1,0.5,0")
        rows.append(f"{stage},summary,{rank},1,{seconds if rank == ranks - 1 else 0.9 * seconds!r},0")
        rows += [f"{stage},{name},{rank},1,{times[rank]},0" for name, times in parts.items()]
        rows += [
            f"{stage},PetscBarrier,{rank},1,7,0",
            f"{stage},shifts,{rank},0,0,0",
            f"Ending,summary,{rank},1,0.25,0",
        ]
    (run / "petsc.csv").write_text(LOG + "\n".join(rows) + "\n")


def write_study(directory, name, times, **plan):
    """A study in which the fastest runs took these times: {ranks: seconds}."""
    program, mode = name.split("-")
    folder = directory / name
    folder.mkdir(parents=True)
    plan = {"program": program, "mode": mode, "unit": "maps", "work": 64, "piece": 4, "threads": 1, **plan}
    (folder / "plan").write_text("".join(f"{key}={value}\n" for key, value in plan.items()))
    for ranks, seconds in times.items():
        write_run(folder, ranks, seconds, study.STAGES[program])
    return folder


class Synthetic(unittest.TestCase):
    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="nephrite-study-"))
        self.addCleanup(shutil.rmtree, self.root)

    def fitted(self):
        """{term: coefficient} of the one study there is, and the fit."""
        (measured,) = study.read(self.root)
        fit = study.fit_of(measured)
        return {term.name: term.coefficient for term in fit.terms}, fit

    def report(self, *words):
        words = [SOURCE / "tools/report", self.root, *words]
        return subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=120)


class Fit(Synthetic):
    def assertTerms(self, expected):
        found, fit = self.fitted()
        self.assertEqual(list(found), list(expected))
        for name, value in expected.items():
            self.assertAlmostEqual(found[name], value, delta=1e-6 * max(1, abs(value)), msg=name)
        return fit

    def test_serial_parallel_and_growing_parts_are_recovered(self):
        write_study(self.root, "simulate-strong", {p: 3 + 100 / p + 0.25 * np.log2(p) for p in (1, 2, 4, 8, 16)})
        fit = self.assertTerms({"parallel part": 100, "serial part": 3, "growth with log2 of the ranks": 0.25})
        self.assertLess(max(map(abs, fit.residuals.values())), 1e-9)
        self.assertAlmostEqual(fit.seconds(256), 3 + 100 / 256 + 2)

    def test_weak_scaling_has_the_work_of_a_rank_and_what_grows(self):
        write_study(self.root, "infer-weak", {p: 20 + 0.5 * np.log2(p) for p in (1, 2, 4)})
        self.assertTerms({"work of a rank": 20, "growth with log2 of the ranks": 0.5})

    def test_two_numbers_of_ranks_support_two_terms(self):
        write_study(self.root, "infer-strong", {1: 103, 2: 53})
        self.assertTerms({"parallel part": 100, "serial part": 3})

    def test_no_term_is_negative(self):
        write_study(self.root, "simulate-strong", {1: 100, 2: 45, 4: 21})  # faster than ideal
        found, fit = self.fitted()
        self.assertEqual([found["serial part"], found["growth with log2 of the ranks"]], [0, 0])
        self.assertGreater(found["parallel part"], 80)
        self.assertGreater(abs(fit.residuals[4]), 0.05)

    def test_one_number_of_ranks_is_not_fitted(self):
        write_study(self.root, "simulate-strong", {4: 100})
        (measured,) = study.read(self.root)
        self.assertIsNone(study.fit_of(measured))
        with self.assertRaisesRegex(ValueError, "no scaling to fit"):
            study.fit(study.terms(measured), {4: 100})

    def test_training_has_the_communication_of_the_model_and_whole_samples(self):
        link = scaling.Interconnect(2e-6, 1e-9, "tree")
        rows = "\n".join(f" {n} {link.sum(2, n)} {link.sum(2, n)} 0" for n in (1024, 4**8, 4**11))
        plan = {"weights": 10**6, "blocks": 4, "unit": "samples", "work": 960, "piece": 96}
        training = scaling.Training(0, 0, 0, 1, 4e6, 2**20, 4)
        times = {}
        for ranks in (1, 3, 8, 64):
            shows = scaling.step(training, link, ranks, 1, hidden=False)[1]
            times[ranks] = 10 * (0.1 + 9.6 * -(-96 // ranks) / 96 + 0.5 * shows)  # 64 ranks: 2 samples of the busiest
        folder = write_study(self.root, "train-strong", times, **plan)
        (folder / "sums-2.txt").write_text(SUMS.format(rows=rows))
        self.assertTerms({"parallel part": 96, "serial part": 1, "communication": 0.5})


class Report(Synthetic):
    def rows(self, name):
        with open(self.root / "report" / f"{name}.csv") as file:
            return list(csv.DictReader(file))

    def test_what_is_extrapolated_is_marked_everywhere_and_what_is_measured_never(self):
        write_study(self.root, "simulate-strong", {p: 3 + 100 / p for p in (2, 4, 8)})
        done = self.report("--extrapolate", "4,6,64,256")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual(
            [(row["kind"], int(row["ranks"])) for row in self.rows("simulate-strong")],
            [
                ("measured", 2),
                ("measured", 4),
                ("measured", 8),
                ("interpolated", 6),
                ("extrapolated", 64),
                ("extrapolated", 256),
            ],
        )
        last = self.rows("simulate-strong")[-1]
        self.assertAlmostEqual(float(last["seconds"]), 3 + 100 / 256, places=6)
        self.assertAlmostEqual(float(last["speed_up"]), 2 * 53 / (3 + 100 / 256), places=4)
        self.assertAlmostEqual(float(last["efficiency"]), float(last["speed_up"]) / 256, places=6)
        page = (self.root / "report/index.html").read_text()
        self.assertIn("64 ranks, extrapolated", page)
        self.assertIn("by the fit, not measured", page)
        self.assertNotIn("8 ranks, extrapolated", page)
        self.assertIn("parallel part 100 s on one rank; serial part 3 s", page)
        self.assertTrue((self.root / "report/simulate-strong.png").exists())

    def test_the_page_says_how_well_the_fit_fits_or_that_nothing_tells(self):
        write_study(self.root, "simulate-strong", {1: 103, 2: 53})
        write_study(self.root, "infer-weak", {1: 10, 2: 10.5, 4: 10.5})
        self.assertEqual(self.report("--extrapolate", 64).returncode, 0)
        page = (self.root / "report/index.html").read_text()
        self.assertIn("it goes through all 2 points: nothing is left to judge it by", page)
        self.assertRegex(page, r"measured less fitted: -\d\.\d% on 1, \+\d\.\d% on 2, -\d\.\d% on 4")
        self.assertIn("not measured on more than one node", page)

    def test_the_fit_is_dashed_beyond_what_was_measured(self):
        write_study(self.root, "simulate-strong", {p: 3 + 100 / p for p in (1, 4, 8)})
        (measured,) = study.read(self.root)
        _, axes = figures_study.panels(measured, ("speed-up", "efficiency"))
        figures_study.draw_fit(axes, measured, study.fit_of(measured), [64])
        within, beyond, asked = axes[0].lines
        self.assertEqual((within.get_linestyle(), *within.get_xdata()[[0, -1]]), ("-", 1, 8))
        self.assertEqual((beyond.get_linestyle(), *beyond.get_xdata()[[0, -1]]), ("--", 8, 64))
        self.assertIn("extrapolated", beyond.get_label())
        self.assertEqual((asked.get_markerfacecolor(), list(asked.get_xdata())), ("none", [64]))

    def test_nothing_is_extrapolated_from_one_number_of_ranks(self):
        write_study(self.root, "train-weak", {4: 12})
        done = self.report("--extrapolate", 64)
        self.assertEqual(done.returncode, INPUT)
        self.assertIn("one number of ranks alone is measured", done.stderr)
        self.assertFalse((self.root / "report").exists())
        self.assertEqual(self.report().returncode, 0)
        self.assertIn("nothing is extrapolated from it", (self.root / "report/index.html").read_text())

    def test_the_fastest_run_counts_and_every_run_has_its_row(self):
        folder = write_study(self.root, "simulate-weak", {1: 10.0})
        write_run(folder, 2, 12.0, "Simulation", 1, {"field maps": [4, 4], "cosmology": [1, 3]})
        write_run(folder, 2, 11.0, "Simulation", 2, {"field maps": [4, 4], "cosmology": [1, 2]})
        self.assertEqual(self.report().returncode, 0)
        with open(self.root / "simulate-weak.csv") as file:
            rows = list(csv.DictReader(file))
        self.assertEqual(
            [(row["ranks"], row["run"], row["work"]) for row in rows],
            [("1", "1", "64"), ("2", "1", "128"), ("2", "2", "128")],
        )
        self.assertEqual([float(row["seconds"]) for row in rows], [10, 12, 11])  # of the slowest rank
        self.assertEqual((float(rows[1]["seconds_before"]), float(rows[1]["seconds_after"])), (0.5, 0.25))
        self.assertEqual((float(rows[1]["cosmology"]), float(rows[1]["cosmology imbalance"])), (2, 1.5))
        self.assertNotIn("shifts", rows[0])  # no rank came to it
        self.assertNotIn("PetscBarrier", rows[0])
        measured = self.rows("simulate-weak")[1]
        self.assertAlmostEqual(float(measured["efficiency"]), 10 / 11, places=6)
        parts = {row["part"]: row for row in self.rows("simulate-weak-parts")}
        self.assertAlmostEqual(float(parts["cosmology"]["imbalance"]), 4 / 3, places=6)

    def test_what_is_no_study_is_not_extrapolated(self):
        done = self.report("--extrapolate", 64)
        self.assertEqual(done.returncode, USAGE)
        self.assertIn("is no study", done.stderr)
        write_study(self.root, "simulate-strong", {1: 10, 2: 5})
        self.assertEqual(self.report("--extrapolate", "64,many").returncode, USAGE)

    def test_a_log_without_the_work_is_refused_by_its_name(self):
        folder = write_study(self.root, "simulate-strong", {1: 10})
        write_run(folder, 2, 5, "Training")
        done = self.report()
        self.assertEqual(done.returncode, INPUT)
        self.assertIn("2-1/petsc.csv has no time of the stage Simulation", done.stderr)


class Measuring(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = pathlib.Path(tempfile.mkdtemp(prefix="nephrite-scaling-"))
        cls.addClassCleanup(shutil.rmtree, cls.root)
        cls.config, cls.study = cls.root / "my.yaml", cls.root / "scaling/my"
        cls.config.write_text(CONFIG)
        (cls.root / "site").write_text(f"build={BUILD}\n")

    def scaling(self, name, *words, ranks="1,2", expect=0, tail=()):
        program, mode = name.split("-")
        words = [SOURCE / "jobs/scaling", "my.yaml", "--ranks", ranks, "--mode", mode, "--program", program, *words]
        words += ["--site", self.root / "site", *tail]
        done = subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=240, cwd=self.root)
        self.assertEqual(done.returncode, expect, done.stdout + done.stderr)
        self.assertEqual([*self.root.rglob("scratch-*")], [])
        return done.stdout + done.stderr

    def runs(self, name):
        """{run: when it ended}."""
        return {path.parent.name: path.stat().st_mtime_ns for path in (self.study / name).glob("*/run")}

    def collected(self, name):
        with open(self.study / f"{name}.csv") as file:
            return list(csv.DictReader(file))

    def test_a_study_of_all_three_programs(self):
        said = self.scaling("simulate-strong", "--work", 32, "--repeats", 2)
        order = re.findall(r"simulate-strong, (\d) ranks, run (\d) of 2: ([\d.]+) s", said)
        self.assertEqual([run[:2] for run in order], [("1", "1"), ("2", "1"), ("1", "2"), ("2", "2")])  # in turn
        self.scaling("train-weak", "--work", 8, "--repeats", 1, "--no-report")
        self.scaling("infer-weak", "--work", 8, "--repeats", 1, "--extrapolate", 64)
        rows = {name: self.collected(name) for name in ("simulate-strong", "train-weak", "infer-weak")}
        work = {name: {row["ranks"]: int(row["work"]) for row in found} for name, found in rows.items()}
        self.assertEqual(work["simulate-strong"], {"1": 32, "2": 32})
        self.assertEqual(work["train-weak"], {"1": 8, "2": 16})
        self.assertEqual(work["infer-weak"], {"1": 8, "2": 16})
        for name, done in (
            ("simulate-strong", "32/32 maps"),
            ("train-weak", "16/16 samples"),
            ("infer-weak", "16/16 draws"),
        ):
            self.assertIn(done, (self.study / name / "2-1/output.log").read_text())
        for name, part in (
            ("simulate-strong", "field maps"),
            ("train-weak", "train backward"),
            ("infer-weak", "draw network"),
        ):
            for row in rows[name]:
                self.assertTrue(0 < float(row[part]) < float(row["seconds"]), f"{name}: {row}")
                self.assertGreaterEqual(float(row[f"{part} imbalance"]), 1)
        page = (self.study / "report/index.html").read_text()
        for words in (
            "infer, weak: 64 ranks, extrapolated",
            "train, weak: fit",
            "communication",
            "simulate, strong: 2 ranks",
        ):
            self.assertIn(words, page)

        before = self.runs("simulate-strong")
        said = self.scaling("simulate-strong", "--repeats", 2, "--no-report")
        self.assertIn("32 maps of all ranks together; 0 runs of 4 are missing", said)
        (self.study / "simulate-strong/2-2/run").unlink()  # as if it had been killed
        said = self.scaling("simulate-strong", "--repeats", 2, "--no-report", ranks="1,2,3")
        self.assertIn("3 runs of 6 are missing", said)
        after = self.runs("simulate-strong")
        self.assertEqual({name for name in after if after[name] != before.get(name)}, {"2-2", "3-1", "3-2"})

        for words, tail, reason in (
            (["--work", 64], [], "was measured with work=32"),
            (["--cpus-per-task", 2], [], "was measured with threads=1"),
            ([], ["--", "-seed", "7"], "was measured with options="),
        ):
            self.assertIn(reason, self.scaling("simulate-strong", *words, expect=INPUT, tail=tail))
        self.config.write_text(CONFIG + "seed: 8\n")
        self.addCleanup(self.config.write_text, CONFIG)
        self.assertIn("another content", self.scaling("simulate-strong", expect=INPUT))

    def test_a_dry_run_prints_the_runs_and_makes_nothing(self):
        study = self.root / "dry"
        told = self.scaling("train-strong", "--dry-run", "--work", 256, "--study", study, "--repeats", 2)
        runs = re.findall(r"^mpirun -n (\d) \S+nephrite-train .*-train_steps (\d+) -train_batch (\d+) ", told, re.M)
        self.assertEqual(runs, [("1", "2", "128"), ("2", "2", "128")] * 2)
        told = self.scaling("simulate-weak", "--dry-run", "--study", study)  # a minute's work, whatever that is here
        maps = re.findall(r"-simulate_realisations (\d+) -simulate_shard_size 4 ", told)
        self.assertEqual(int(maps[1]), 2 * int(maps[0]))
        self.assertGreater(int(maps[0]), 100)
        told = self.scaling("infer-strong", "--dry-run", "--study", study, "--submit", "--tasks-per-node", 2,
                            "--account", "cosmology", "--extrapolate", 64, ranks="1,2,6")  # fmt: skip
        jobs = [line for line in told.splitlines() if line.startswith("sbatch")]
        sizes = [tuple(map(int, re.search(r"--nodes (\d+) --ntasks (\d+)", job).groups())) for job in jobs]
        self.assertEqual(sizes, [(1, 1), (1, 2), (3, 6), (1, 1)])
        self.assertTrue(all("--account cosmology" in job for job in jobs))
        self.assertIn("--dependency afterany:", jobs[-1])
        self.assertIn("--extrapolate", jobs[-1])
        self.assertFalse(study.exists())

    def test_what_makes_no_sense_is_refused_before_anything_runs(self):
        for words, reason in (
            (["my.yaml", "--mode", "weak", "--program", "train"], "--ranks is ''"),
            (["my.yaml", "--ranks", "1,two", "--mode", "weak", "--program", "train"], "--ranks is '1,two'"),
            (["my.yaml", "--ranks", "1", "--mode", "sideways", "--program", "train"], "--mode is 'sideways'"),
            (["my.yaml", "--ranks", "1", "--mode", "weak", "--program", "check"], "--program is 'check'"),
            (["--ranks", "1", "--mode", "weak", "--program", "train"], "which campaign file?"),
            (["my.yaml", "--ranks", "1", "--mode", "weak", "--program", "train", "--frames"], "unknown option '--frames'"),
            (["my.yaml", "--ranks", "1", "--mode", "weak", "--program", "train", "--work", "none"], "--work is none"),
            (["my.yaml", "--ranks", "1", "--mode", "weak", "--program", "train", "--extrapolate", "x"], "--extrapolate is 'x'"),
        ):  # fmt: skip
            words = [str(SOURCE / "jobs/scaling"), *words]
            done = subprocess.run(words, capture_output=True, text=True, timeout=60, cwd=self.root)
            self.assertEqual(done.returncode, USAGE, done.stderr)
            self.assertIn(reason, done.stderr)
        refused = {"expect": USAGE, "ranks": "1"}
        self.assertIn("is for jobs that --submit", self.scaling("train-weak", "--tasks-per-node", 2, **refused))
        self.assertIn("is for the report", self.scaling("train-weak", "--no-report", "--extrapolate", 8, **refused))
        said = self.scaling("train-weak", "--study", "none", tail=["--", "-train_steps", "5"], **refused)
        self.assertIn("-train_steps is set for each run", said)
        said = self.scaling("train-weak", "--study", "none", tail=["--", "-train_stepz", "5"], **refused)
        self.assertIn("did you mean", said)
        said = self.scaling("infer-weak", "--study", "none", tail=["--", "-infer_solver", "adaptive"], **refused)
        self.assertIn("say --work", said)
        self.assertFalse((self.root / "none").exists())

    def test_a_run_that_fails_ends_it_with_its_code_and_what_it_said(self):
        words = ["simulate-weak", "--work", 10**5, "--study", "failing"]
        said = self.scaling(*words, expect=INTERRUPTED, ranks="2", tail=["--", "-time_limit", "2"])
        self.assertIn("interrupted with", said)
        self.assertIn("nephrite-simulate on 2 ranks ended with exit code 75", said)
        self.assertTrue((self.root / "failing/simulate-weak/2-1/output.log").exists())
        self.assertFalse((self.root / "failing/simulate-weak/2-1/run").exists())


if __name__ == "__main__":
    unittest.main(verbosity=2)
