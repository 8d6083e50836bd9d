#!/usr/bin/env python3
"""The model of communication: its formulas, their limits, the fit to measured times, and what tools/bench makes of them."""

import math
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import numpy as np
from run_program import expect_failure, run

SOURCE = pathlib.Path(os.environ.get("NEPHRITE_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
BUILD = pathlib.Path(os.environ.get("NEPHRITE_BUILD", SOURCE / "build"))
sys.path.insert(0, str(SOURCE / "tools"))
from nephrite_tools import bench_allreduce, scaling  # noqa: E402

ALPHA, BETA, BYTES = 2e-6, 1e-10, 5.2e8
RANKS = scaling.RANKS


def training(**changes):
    values = {"sample": 1.5, "update": 0.2, "backward": 0.6, "micro_batch": 2, "gradient": BYTES, "bucket": 2.0**20}
    return scaling.Training(**{**values, "pieces": 12, **changes})


def interconnect(algorithm="ring", alpha=ALPHA, beta=BETA):
    return scaling.Interconnect(alpha, beta, algorithm)


class Sums(unittest.TestCase):
    def test_one_rank_has_no_communication(self):
        for algorithm in scaling.ALGORITHMS:
            self.assertEqual(interconnect(algorithm).sum(1, BYTES), 0)
            self.assertEqual(interconnect(algorithm).half(1, BYTES), 0)
            for optimiser in scaling.OPTIMISERS:
                seconds, shows = scaling.step(training(), interconnect(algorithm), 1, 2, optimiser)
                self.assertEqual((seconds, shows), (2 * 1.5 + 0.2, 0))

    def test_a_ring_without_latency_moves_almost_twice_the_vector(self):
        for ranks in RANKS:
            expected = 2 * (ranks - 1) / ranks * BYTES * BETA
            self.assertAlmostEqual(interconnect(alpha=0).sum(ranks, BYTES), expected, delta=1e-12 * BYTES * BETA)

    def test_messages_of_nothing_cost_their_latency(self):
        messages = {"ring": 2 * 4095, "halving": 24, "doubling": 12, "tree": 24}
        for algorithm, count in messages.items():
            self.assertAlmostEqual(interconnect(algorithm).sum(4096, 0) / (count * ALPHA), 1)

    def test_whole_vectors_are_exchanged_by_doubling_and_twice_by_a_tree(self):
        for ranks in RANKS:
            self.assertAlmostEqual(interconnect("doubling", 0).sum(ranks, BYTES), math.log2(ranks) * BYTES * BETA)
            self.assertAlmostEqual(interconnect("tree", 0).sum(ranks, BYTES), 2 * math.log2(ranks) * BYTES * BETA)

    def test_two_ranks_are_alike_to_ring_and_halving(self):
        self.assertEqual(scaling.cost("ring", 2), scaling.cost("halving", 2))

    def test_numbers_of_ranks_between_powers_of_two_take_the_steps_of_the_next(self):
        self.assertEqual(scaling.cost("doubling", 5), scaling.cost("doubling", 8))

    def test_a_sum_is_a_reduce_scatter_and_an_allgather(self):
        for algorithm in ("ring", "halving"):
            link = interconnect(algorithm)
            for ranks in RANKS:
                self.assertAlmostEqual(2 * link.half(ranks, BYTES), link.sum(ranks, BYTES))

    def test_every_piece_pays_its_latency(self):
        whole, pieces = interconnect().sum(8, BYTES), interconnect().sum(8, BYTES, 100)
        self.assertAlmostEqual((pieces - whole) / (99 * 14 * ALPHA), 1)


class Fit(unittest.TestCase):
    SIZES = [1024 * 4**i for i in range(10)]

    def test_it_recovers_alpha_and_beta(self):
        for algorithm in scaling.ALGORITHMS:
            for ranks in (2, 3, 64):
                times = [interconnect(algorithm).sum(ranks, size) for size in self.SIZES]
                found = scaling.fit(algorithm, ranks, self.SIZES, times)
                self.assertAlmostEqual(found.alpha / ALPHA, 1, places=6)
                self.assertAlmostEqual(found.beta / BETA, 1, places=6)

    def test_noise_of_some_per_cent_does_not_hide_them(self):
        noise = 1 + 0.05 * np.random.default_rng(1).standard_normal(len(self.SIZES))
        times = noise * [interconnect().sum(2, size) for size in self.SIZES]
        found = scaling.fit("ring", 2, self.SIZES, times)
        self.assertAlmostEqual(found.alpha / ALPHA, 1, delta=0.1)  # errors of 5% of ten times
        self.assertAlmostEqual(found.beta / BETA, 1, delta=0.1)

    def test_neither_is_negative(self):
        found = scaling.fit("ring", 2, [1e3, 1e4, 1e6], [1e-8, 1e-6, 1e-4])
        self.assertEqual(found.alpha, 0)
        self.assertGreater(found.beta, 0)
        found = scaling.fit("ring", 2, [1e3, 1e4, 1e6], [3e-6, 2e-6, 1e-6])
        self.assertEqual(found.beta, 0)
        self.assertGreater(found.alpha, 0)

    def test_one_rank_is_refused(self):
        with self.assertRaisesRegex(ValueError, "one rank has no communication"):
            scaling.fit("ring", 1, [1, 2], [1, 2])


class Overlap(unittest.TestCase):
    def test_what_is_done_in_time_does_not_show_but_for_the_last_piece(self):
        self.assertAlmostEqual(scaling.exposed([1, 2, 3], [0.5, 0.5, 0.5]), 0.5)

    def test_what_is_slower_than_backward_queues(self):
        self.assertAlmostEqual(scaling.exposed([1, 2, 3], [4, 4, 4]), 10)

    def test_all_shows_where_nothing_is_hidden_or_all_is_ready_at_the_end(self):
        link = interconnect(alpha=0)
        all_of_it = link.sum(8, BYTES) + link.sum(8, scaling.CLOSING_BYTES)
        self.assertAlmostEqual(scaling.step(training(), link, 8, 2, hidden=False)[1], all_of_it)
        self.assertAlmostEqual(scaling.step(training(backward=0), link, 8, 2)[1], all_of_it)
        self.assertAlmostEqual(scaling.step(training(pieces=1), link, 8, 2)[1], all_of_it)

    def test_the_last_block_shows_where_the_rest_is_hidden(self):
        link = interconnect(alpha=0)
        expected = link.sum(8, BYTES) / 12 + link.sum(8, scaling.CLOSING_BYTES)
        self.assertAlmostEqual(scaling.step(training(), link, 8, 2)[1], expected)

    def test_only_the_last_samples_of_a_step_hide_it(self):
        slow = interconnect(beta=1e-8)
        few, many = (scaling.step(training(), slow, 8, samples)[1] for samples in (2, 20))
        self.assertAlmostEqual(few, many)


class Predictions(unittest.TestCase):
    def test_a_free_interconnect_scales_weakly_without_loss(self):
        free = interconnect(alpha=0, beta=0)
        for ranks in RANKS:
            found = scaling.predict(training(), free, ranks, 2)
            self.assertEqual((found.efficiency, found.shows, found.samples), (1, 0, 2))

    def test_strong_scaling_divides_the_batch_and_not_the_update(self):
        free = interconnect(alpha=0, beta=0)
        found = scaling.predict(training(), free, 64, None, batch=128)
        self.assertEqual(found.samples, 2)
        self.assertAlmostEqual(found.efficiency, (128 * 1.5 + 0.2) / (64 * (2 * 1.5 + 0.2)))
        shared = scaling.predict(training(), free, 64, None, batch=128, optimiser="shared")
        self.assertAlmostEqual(shared.efficiency, (128 * 1.5 + 0.2) / (64 * (2 * 1.5 + 0.2 / 64)))
        self.assertEqual(scaling.predict(training(), free, 256, None, batch=128).samples, 1)

    def test_one_rank_is_the_measure(self):
        for batch in (None, 128):
            self.assertEqual(scaling.predict(training(), interconnect(), 1, 2, batch).efficiency, 1)

    def test_a_scattered_gradient_takes_a_third_less_than_a_shared_optimiser(self):
        link = interconnect(alpha=0)
        shared, scattered = (
            scaling.step(training(), link, 8, 2, optimiser, hidden=False)[1] for optimiser in ("shared", "scattered")
        )
        self.assertAlmostEqual(scattered / shared, 2 / 3, places=4)

    def test_more_ranks_are_never_more_efficient(self):
        for algorithm in scaling.ALGORITHMS:
            for batch in (None, 128):
                found = [
                    scaling.predict(training(), interconnect(algorithm), ranks, 2, batch).efficiency for ranks in RANKS
                ]
                self.assertEqual(found, sorted(found, reverse=True))

    def test_node_hours(self):
        self.assertEqual(scaling.node_hours(3.6, 1000, 64, 2, 128), (1, 1))
        self.assertEqual(scaling.node_hours(3.6, 1000, 64, 1, 128), (1, 0.5))


class Units(unittest.TestCase):
    def test_latencies_and_bandwidths_carry_their_units(self):
        for text, seconds in {"2us": 2e-6, "1.5 ns": 1.5e-9, "3µs": 3e-6, "1e-3ms": 1e-6, "1s": 1}.items():
            self.assertAlmostEqual(bench_allreduce.latency(text) / seconds, 1)
        for text, seconds in {"0.08ns/B": 8e-11, "12.5GB/s": 8e-11, "100 Gbit/s": 8e-11, "1GiB/s": 2**-30}.items():
            self.assertAlmostEqual(bench_allreduce.per_byte(text) / seconds, 1)

    def test_numbers_without_units_are_refused(self):
        for text in ("2", "us", "-2us", "2 miles"):
            with self.assertRaises(bench_allreduce.argparse.ArgumentTypeError):
                bench_allreduce.latency(text)
        for text in ("12.5", "0GB/s", "2us"):
            with self.assertRaises(bench_allreduce.argparse.ArgumentTypeError):
                bench_allreduce.per_byte(text)


CONFIG = """
survey: {map_size: 16, field_of_view: 2, bins: 2}
network: {depth: 3, width: 16, heads: 1, patch: 4, bottleneck: 16, cosmology_tokens: 1, dropout: 0}
train: {batch: 32, micro_batch: 4, steps: 1000}
"""
STEP = re.compile(r"^ +(\d+) +(\d+) +([\d.]+) +([\d.]+)% +([\d.]+) +.*$", re.M)


class Program(unittest.TestCase):
    def test_vectors_of_the_lengths_asked_for_are_timed(self):
        done = run(2, BUILD / "nephrite-allreduce", "-least", 64, "-most", 1024, "-gradient", 4000, "-repeats", 1)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("2 ranks, buckets of 1048576 bytes", done.stdout)
        self.assertEqual(re.findall(r"^ +(\d+) ", done.stdout, re.M), ["64", "256", "1024", "4000"])

    def test_vectors_that_do_not_exist_are_refused(self):
        expect_failure(self, run(2, BUILD / "nephrite-allreduce", "-least", 3), 64, "from 4 to 4294967296 bytes")


class Tool(unittest.TestCase):
    def bench(self, *words):
        with tempfile.TemporaryDirectory() as folder:
            config = pathlib.Path(folder) / "tiny.yaml"
            config.write_text(CONFIG)
            words = ["allreduce", "--build", BUILD, "--config", config, "--scratch", folder, *words]
            done = subprocess.run(
                [SOURCE / "tools/bench", *map(str, words)], capture_output=True, text=True, timeout=120
            )
            self.assertEqual([path.name for path in pathlib.Path(folder).iterdir()], ["tiny.yaml"])
        return done

    def test_what_is_measured_here_is_modelled_and_extrapolated(self):
        with tempfile.TemporaryDirectory() as figures:
            done = self.bench("--repeats", 1, "--work", 8, "--ranks", 2, "--figure", figures)
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertEqual({path.name for path in pathlib.Path(figures).iterdir()}, {"scaling.png", "scaling.csv"})
        rows = re.findall(r"^ +(\d+) +(\S+) +(\S+) +([\d.]+)( .*)?$", done.stdout.split("alpha")[0], re.M)
        self.assertIn(str(2**20), [row[0] for row in rows])  # the bucket of training
        for size, measured, modelled, ratio, _ in rows:
            self.assertAlmostEqual(float(measured) / float(modelled) / float(ratio), 1, delta=0.05)  # two decimals
        self.assertRegex(done.stdout, r"alpha [\d.e-]+ us, beta [\d.e-]+ ns/B, fitted to 2 ranks here")
        self.assertRegex(done.stdout, r"for 4 samples, .* measured on 1 threads with \d")
        self.assertEqual([int(row[0]) for row in STEP.findall(done.stdout)], 2 * RANKS)

    def test_a_given_interconnect_and_step_are_extrapolated_by_the_formulas(self):
        done = self.bench("--alpha", "2us", "--beta", "10GB/s", "--step", 1.0, "--update", 0.2, "--samples", 2)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("alpha 2 us, beta 0.1 ns/B, as given", done.stdout)
        weights, blocks = map(int, re.search(r"gradient: (\d+) weights in (\d+) blocks", done.stdout).groups())
        self.assertEqual(blocks, 3)
        work = training(sample=0.4, update=0.2, backward=2 / 3, gradient=4.0 * weights, pieces=3)
        steps = STEP.findall(done.stdout)
        self.assertEqual(len(steps), 2 * len(RANKS))
        for (ranks, samples, seconds, shows, efficiency), batch in zip(steps, [None] * 13 + [32] * 13):
            found = scaling.predict(work, interconnect(), int(ranks), 2, batch)
            self.assertEqual(int(samples), found.samples)
            self.assertAlmostEqual(float(seconds), found.seconds, delta=6e-4)
            self.assertAlmostEqual(float(shows), 100 * found.shows, delta=0.06)
            self.assertAlmostEqual(float(efficiency), found.efficiency, delta=6e-4)

    def test_buckets_are_those_of_training_or_those_given(self):
        words = ["--alpha", "1ms", "--beta", "10GB/s", "--step", 1.0, "--samples", 4]
        own, small = self.bench(*words), self.bench(*words, "--bucket", 1024)
        self.assertIn(f"buckets of {2**20} bytes", own.stdout)
        self.assertIn("buckets of 1024 bytes", small.stdout)
        weights = int(re.search(r"gradient: (\d+) weights", small.stdout)[1])
        work = training(
            sample=0.25, update=0, backward=2 / 3, gradient=4.0 * weights, pieces=3, bucket=1024, micro_batch=4
        )
        found = scaling.predict(work, interconnect(alpha=1e-3), 4096, 4)
        self.assertAlmostEqual(float(STEP.findall(small.stdout)[12][2]) / found.seconds, 1, places=3)
        self.assertGreater(found.seconds, 2 * float(STEP.findall(own.stdout)[12][2]))  # latency of more messages

    def test_the_schedule_is_counted_in_node_hours(self):
        words = ["--alpha", "2us", "--beta", "10GB/s", "--step", 1.0, "--batch", 8, "--steps", "1000,360000"]
        done = self.bench(*words, "--cores-per-node", 16, "--threads", 2)
        self.assertEqual(done.returncode, 0, done.stderr)
        hours = re.findall(r"^ +(\d+) +([\d.]+) +([\d.]+) +([\d.]+) +(\d+) +([\d.]+) +(\d+)$", done.stdout, re.M)
        self.assertEqual([int(row[0]) for row in hours], [1, 2, 4, 8])  # no more ranks than samples
        self.assertEqual(hours[0][1:], ("0.125", "2.000", "0.0", "0", "8.3", "25"))  # 8 samples of 1/4 s

    def test_half_an_interconnect_and_one_rank_are_refused(self):
        for words, reason in (["--alpha", "2us"], "both --alpha and --beta"), (["--ranks", 1], "two ranks at least"):
            done = self.bench(*words)
            self.assertEqual(done.returncode, 1)
            self.assertIn(reason, done.stderr)
        self.assertIn("is not a time", self.bench("--alpha", "2").stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
