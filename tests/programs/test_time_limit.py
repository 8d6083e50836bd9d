#!/usr/bin/env python3
# nephrite-test: long
"""-time_limit: every long program ends by itself, as when it is interrupted, and goes on from there."""

import re
import unittest

from tiny_campaign import INTERRUPTED, USAGE, run_program
from train_campaign import TrainCase

ENDLESS = {
    "train_steps": 10**9,
    "train_schedule": "constant",
    "train_validate_every": 50,
    "train_checkpoint_every": 10**6,
}


class TimeLimit(TrainCase):
    def assertLimited(self, run, words):
        self.assertEqual(run.code, INTERRUPTED, run.err or run.out)
        lines = [line for line in run.err.splitlines() if line.startswith("nephrite-")]
        self.assertEqual(len(lines), 1, run.err)
        self.assertIn(words, lines[0])

    def test_training_ends_before_the_limit_with_a_checkpoint_and_goes_on_exactly(self):
        campaign, straight = self.new_campaign("limited"), self.new_campaign("straight")
        run = self.train(campaign, {**ENDLESS, "time_limit": "0:00:01"}, 2)
        self.assertLimited(run, "progress is saved, run again")
        step = int(re.search(r"interrupted after step (\d+) of 1000000000", run.err).group(1))
        self.assertEqual(self.steps(campaign)[-1], step)
        more = {**ENDLESS, "train_steps": step + 3}
        self.assertEnds(self.train(campaign, more, 2), 0)
        self.assertEnds(self.train(straight, {**more, "train_checkpoint_every": step}, 2), 0)
        self.assertSameTraining(self.checkpoint(campaign, step + 3), self.checkpoint(straight, step + 3))

    def test_a_limit_that_is_too_short_for_anything_still_brings_training_on(self):
        campaign = self.new_campaign("short")
        for step in (1, 2):
            options = {**ENDLESS, "time_limit": 1, "train_validate_every": 1, "train_batch": 10000}
            self.assertLimited(self.train(campaign, options), f"interrupted after step {step} ")
            self.assertEqual(self.steps(campaign)[-1], step)

    def test_simulation_and_inference_end_at_the_limit_and_keep_what_is_finished(self):
        campaign = self.root / "simulated"
        options = {"simulate_realisations": 10**6, "time_limit": 4}
        run = run_program("nephrite-simulate", campaign, options, 2)
        self.assertLimited(run, "shards finished, which are kept")
        self.assertTrue(any((campaign / "sims").glob("shard-*.h5")))
        self.assertFalse(any((campaign / "sims").glob("*.part")))
        campaign = self.new_campaign("inferred", [20])
        options = {"infer_draws": 20000, "infer_batch": 8, "infer_evaluations": 101, "time_limit": 4}
        run = run_program("nephrite-infer", campaign, options, 2)
        self.assertLimited(run, "finished draws are kept")
        self.assertTrue(any((campaign / "posterior/parts").glob("*.h5")))
        self.assertFalse(any((campaign / "posterior/parts").glob("*.part")))

    def test_a_limit_that_is_none_is_refused_before_any_work(self):
        campaign = self.root / "refused"
        for program in ("nephrite-simulate", "nephrite-train", "nephrite-infer"):
            run = run_program(program, campaign, {"time_limit": "4:00"}, 2)
            self.assertEqual(run.code, USAGE)
            self.assertIn("time_limit is 4:00; it must be", run.err)
        self.assertFalse(campaign.exists())


if __name__ == "__main__":
    unittest.main()
