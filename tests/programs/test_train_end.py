#!/usr/bin/env python3
"""The early end of nephrite-train: when, what it says and leaves, and how it goes on from there."""

import pathlib
import shutil
import unittest

import h5py
import numpy as np

from tiny_campaign import run_program
from train_campaign import TrainCase

# A rate at which validation soon gets worse.
WORSENING = {"train_learning_rate": 0.02, "train_schedule": "constant", "train_validate_every": 1, "train_keep": 1000}
PATIENCE = 3


def first_end(theta, patience):
    """The first step (validated each) at which none of the last `patience` values was the least so far."""
    best = 0
    for step, value in enumerate(theta, 1):
        if value < theta[best]:
            best = step - 1
        if step - (best + 1) == patience:
            return step
    return None


class EndTest(TrainCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.early = cls.new_campaign("early")
        cls.options = {**WORSENING, "train_checkpoint_every": 2, "train_patience": PATIENCE, "train_steps": 40}
        cls.run_early = cls.train(cls.early, cls.options)
        straight = cls.new_campaign("straight")
        assert cls.train(straight, {**cls.options, "train_patience": 0, "train_checkpoint_every": 1}).code == 0
        with h5py.File(straight / "training.h5") as file:
            cls.theta = file["validation/theta"][:]
            assert cls.text(file, "end") == "steps"
        cls.end = first_end(cls.theta, PATIENCE)
        cls.straight = straight
        assert cls.end and cls.end < 35, "else this tests nothing"

    @staticmethod
    def text(file, name):
        value = file.attrs[name]
        return value.decode() if isinstance(value, bytes) else value

    def copy_of(self, name, *steps):
        """A campaign that has these checkpoints of the one that ended early."""
        campaign = self.new_campaign(name)
        for step in steps:
            shutil.copy(self.checkpoint(self.early, step), campaign / "checkpoints")
        return campaign

    def test_training_ends_after_so_many_validations_without_a_better_one(self):
        self.assertEnds(self.run_early, 0)
        best = int(np.argmin(self.theta[: self.end])) + 1
        self.assertRegex(
            self.run_early.out,
            f"ends early: step {self.end} of 40; none of the last {PATIENCE} validations was better than that of step {best} ",
        )
        self.assertEqual(self.steps(self.early)[-1], self.end)
        self.assertSameTraining(self.checkpoint(self.early, self.end), self.checkpoint(self.straight, self.end))
        with h5py.File(self.early / "training.h5") as file:
            self.assertEqual(self.text(file, "end"), "patience")
            self.assertEqual(len(file["step"]), self.end)
            np.testing.assert_array_equal(file["validation/theta"], self.theta[: self.end])

    def test_a_later_call_finds_it_complete_on_any_number_of_ranks(self):
        files = lambda: {p: (p.stat().st_mtime_ns, p.stat().st_ino) for p in pathlib.Path(self.early).rglob("*.h5")}
        before = files()
        for ranks in (1, 2):
            run = self.train(self.early, self.options, ranks)
            self.assertEnds(run, 0)
            self.assertIn(f"complete: step {self.end} of 40; none of the last {PATIENCE} validations", run.out)
            self.assertEqual(files(), before)

    def test_the_count_of_validations_survives_a_resume_exactly(self):
        for step in range(self.end - PATIENCE, self.end):
            if not self.checkpoint(self.early, step).exists():
                continue
            campaign = self.copy_of(f"resumed{step}", step)
            self.assertEnds(self.train(campaign, self.options), 0)
            self.assertEqual(self.steps(campaign)[-1], self.end)
            self.assertSameTraining(self.checkpoint(campaign, self.end), self.checkpoint(self.early, self.end))

    def test_more_patience_goes_on_where_the_count_was(self):
        campaign = self.copy_of("patient", self.end)
        run = self.train(campaign, {**self.options, "train_patience": PATIENCE + 2})
        self.assertEnds(run, 0)
        self.assertRegex(run.out, "goes on with other options: .*train_patience")
        self.assertEqual(self.steps(campaign)[-1], first_end(self.theta, PATIENCE + 2) or 40)
        campaign = self.copy_of("endless", self.end)
        self.assertEnds(self.train(campaign, {**self.options, "train_patience": 0}), 0)
        self.assertEqual(self.steps(campaign)[-1], 40)
        self.assertSameTraining(self.checkpoint(campaign, 40), self.checkpoint(self.straight, 40))

    def test_more_steps_begin_the_count_anew_and_that_survives_a_resume_too(self):
        longer = {**self.options, "train_steps": 60, "train_checkpoint_every": 1}
        campaign = self.copy_of("longer", self.end)
        self.assertEnds(self.train(campaign, longer), 0)
        end = self.steps(campaign)[-1]
        with h5py.File(campaign / "training.h5") as file:
            theta = file["validation/theta"][:]
        best = int(np.argmin(theta)) + 1
        self.assertEqual(end, max(best, self.end) + PATIENCE)
        self.assertIn("complete", self.train(campaign, longer).out)
        again = self.new_campaign("longer-resumed")
        shutil.copy(self.checkpoint(campaign, end - 1), again / "checkpoints")
        self.assertEnds(self.train(again, longer), 0)
        self.assertEqual(self.steps(again)[-1], end)
        self.assertSameTraining(self.checkpoint(again, end), self.checkpoint(campaign, end))

    def test_the_next_stage_takes_it_as_complete(self):
        run = run_program(
            "nephrite-infer",
            self.early,
            {"infer_observations": 1, "infer_draws": 2, "infer_evaluations": 3, **self.options},
        )
        self.assertEqual(run.code, 0, run.err)
        with h5py.File(self.early / "posterior/observation-00000.h5") as file:
            self.assertEqual(file.attrs["checkpoint_step"], np.argmin(self.theta[: self.end]) + 1)


if __name__ == "__main__":
    unittest.main()
