#!/usr/bin/env python3
"""Training in the two published stages, by the command line: stage 1 with dropout, stage 2 from its averaged weights."""

import re
import shlex
import shutil
import subprocess
import time
import unittest

import h5py
import numpy as np

from tiny_campaign import BUILD, INPUT, SOURCE, command, run_program
from train_campaign import TrainCase

# The rate of stage 1 is high, so that its last weights are not its best.
STAGE_1 = {"train_learning_rate": 0.02, "train_schedule": "constant", "train_validate_every": 1,
           "train_checkpoint_every": 20, "train_keep": 1}  # fmt: skip
STAGE_2 = {"network_dropout": 0, "train_learning_rate": 1e-4, "train_final_learning_rate": 1e-5, "train_warmup": 0,
           "train_ema_decay": 0.999, "train_steps": 12, "train_checkpoint_every": 4, "train_validate_every": 4,
           "train_keep": 9}  # fmt: skip
STANDING = {**STAGE_2, "train_learning_rate": 0, "train_final_learning_rate": 0}  # the weights stay what they are
BATCH = 6


class TwoStages(TrainCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.first = cls.new_campaign("first")
        run = cls.train(cls.first, STAGE_1)
        assert run.code == 0, run.err
        with h5py.File(cls.first / "training.h5") as file:
            cls.best = int(np.argmin(file["validation/theta"])) + 1
        assert cls.best < 20, "the last checkpoint is the best one: this tests little"
        cls.second, run = cls.second_stage("second")
        assert run.code == 0, run.err

    @classmethod
    def second_stage(cls, name, options={}, ranks=1):
        """As the manual has it: a campaign of its own, with the maps of the first."""
        campaign = cls.root / name
        campaign.mkdir()
        (campaign / "sims").symlink_to("../first/sims")
        return campaign, cls.train(campaign, {**STAGE_2, "train_start_from": cls.first, **options}, ranks)

    def test_it_starts_with_the_averaged_weights_of_the_best_checkpoint_bit_for_bit(self):
        campaign, run = self.second_stage("standing", {**STANDING, "train_steps": 1})
        self.assertEnds(run, 0)
        self.assertIn(f"starts with the averaged weights of {self.first}", run.out)
        with h5py.File(self.checkpoint(self.first, self.best)) as first, h5py.File(self.checkpoint(campaign, 1)) as got:
            self.assertGreater(len(first["ema"]), 40)
            for name, tensor in first["ema"].items():
                for group in ("weights", "ema"):
                    self.assertEqual(got[group][name][()].tobytes(), tensor[()].tobytes(), name)
                self.assertFalse(np.array_equal(first["weights"][name], tensor), name)
            for name in ("map_std", "theta_mean", "theta_std"):
                self.assertEqual(got[name][()].tobytes(), first[name][()].tobytes(), name)
            self.assertEqual(got["trained"][()], first["trained"][()])

    def test_moments_steps_and_history_begin_anew(self):
        campaign, run = self.second_stage("one-step", {"train_steps": 1})
        self.assertEnds(run, 0)
        with h5py.File(self.checkpoint(campaign, 1)) as file:
            for name, m in file["m"].items():
                gradient = m[()].astype(float) / (1 - 0.9)  # after one step from zero both moments are of one gradient
                expected = (1 - 0.95) * gradient**2
                np.testing.assert_allclose(file["v"][name], expected, rtol=1e-5, atol=1e-30)
            self.assertEqual(file["step"][()], 1)
            self.assertEqual(len(file["history/loss"]), 1)

    def test_the_average_begins_with_the_weights_and_forgets_at_its_own_rate(self):
        campaign, run = self.second_stage("average", {"train_steps": 1, "train_learning_rate": 0.1})
        self.assertEnds(run, 0)
        with h5py.File(self.checkpoint(self.first, self.best)) as first, h5py.File(self.checkpoint(campaign, 1)) as got:
            for name, start in first["ema"].items():
                moved = got["weights"][name][()].astype(float) - start[()]
                self.assertGreater(np.abs(moved).max(), 0.09)  # Adam's first step is the rate
                change = got["ema"][name][()].astype(float) - start[()]
                np.testing.assert_allclose(change, 0.001 * moved, atol=3e-7)  # float32 of weights of order 1

    def test_the_rate_falls_linearly_between_its_own_ends(self):
        with h5py.File(self.second / "training.h5") as file:
            np.testing.assert_allclose(file["learning_rate"], np.linspace(1e-4, 1e-5, 12))

    def test_nothing_is_dropped(self):
        with h5py.File(self.checkpoint(self.second, 12)) as file:
            self.assertEqual(file.attrs["dropout"], 0)
        for name, dropout, same in ("dropped", 0.3, False), ("all-blocks", 0, True):
            options = {"network_dropout": dropout, "network_dropout_first": 0, "network_dropout_last": 3}
            campaign, run = self.second_stage(name, {**options, "train_steps": 2})
            self.assertEnds(run, 0)
            self.assertEqual(self.loss(campaign)[0] == self.loss(self.second)[0], same, name)

    def test_the_sequence_of_samples_goes_on_and_none_comes_again(self):
        """The same standing weights at every sample from the first one of stage 1, through a file that forgets where
        it stood: their losses tell samples apart."""
        exported, taken = self.root / "forgetful.h5", 4
        tool = [SOURCE / "tools/weights", "export", self.first, exported]
        subprocess.run(tool, check=True, capture_output=True, timeout=60)
        with h5py.File(exported, "r+") as file:
            self.assertEqual(file.attrs["position"], self.best * BATCH)
            file.attrs["position"] = 0
        steps = {"train_steps": self.best + taken}
        all_samples, run = self.second_stage("from-zero", {**STANDING, **steps, "train_start_from": exported})
        self.assertEnds(run, 0)
        campaign, run = self.second_stage("going-on", {**STANDING, "train_steps": taken})
        self.assertEnds(run, 0)
        np.testing.assert_array_equal(self.loss(campaign), self.loss(all_samples)[self.best :])
        self.assertEqual(len(np.unique(self.loss(all_samples))), self.best + taken)
        with h5py.File(self.checkpoint(campaign, taken)) as file:
            self.assertEqual(file["position"][()], (self.best + taken) * BATCH)

    def killed(self, campaign, options):
        """Start, and kill as soon as there are a few checkpoints."""
        words = command("nephrite-train", campaign, options, 1)
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while len(self.steps(campaign)) < 3 and process.poll() is None:
            time.sleep(0.002)
        process.kill()
        process.wait()
        return self.steps(campaign)[-1] < 12  # else it had ended before

    def test_killed_in_its_middle_it_ends_as_if_undisturbed_without_looking_at_stage_1_again(self):
        first, campaign = self.root / "first-that-goes", self.root / "killed"
        options = {**STAGE_2, "train_checkpoint_every": 1, "train_start_from": first}
        shutil.copytree(self.first, first, symlinks=True)
        campaign.mkdir()
        (campaign / "sims").symlink_to("../first/sims")
        for _ in range(9):
            if self.killed(campaign, options):
                break
            shutil.rmtree(campaign / "checkpoints")
        shutil.rmtree(first)
        run = self.train(campaign, options)
        self.assertEnds(run, 0)
        self.assertRegex(run.out, r"goes on from step ([3-9]|1[01])\b")
        self.assertSameTraining(self.checkpoint(campaign, 12), self.checkpoint(self.second, 12))

    def test_numbers_of_ranks_agree(self):
        campaign, run = self.second_stage("two-ranks", ranks=2)
        self.assertEnds(run, 0)
        np.testing.assert_allclose(self.loss(campaign), self.loss(self.second), rtol=1e-5)
        with h5py.File(self.checkpoint(self.second, 12)) as one, h5py.File(self.checkpoint(campaign, 12)) as two:
            for name, tensor in one["ema"].items():
                np.testing.assert_allclose(two["ema"][name], tensor, atol=1e-6)  # 1e-3 of how far 12 steps can go
            self.assertEqual(two["position"][()], one["position"][()])

    def test_stage_1_without_a_sound_checkpoint_is_no_start(self):
        _, run = self.second_stage("no-start", {"train_start_from": self.maps}, ranks=2)
        self.assertEnds(run, INPUT, "holds no checkpoint")

    def test_draws_are_made_from_the_second_stage_with_the_campaign_file_of_the_first(self):
        options = {"infer_observations": 1, "infer_draws": 4, "infer_evaluations": 5}
        run = run_program("nephrite-infer", self.second, options)
        self.assertEqual(run.code, 0, run.err)
        with h5py.File(self.second / "posterior/observation-00000.h5") as file:
            self.assertIn(file.attrs["checkpoint_step"], (4, 8, 12))


class Manual(unittest.TestCase):
    """The commands that the manual has for the published schedule: network.md, section 8."""

    def test_they_are_the_published_stages_and_the_programs_take_them(self):
        text = (SOURCE / "doc/manual.md").read_text().split("**Two stages, as published.**")[1]
        block = re.search(r"```\n(.*?)```", text, re.S)[1].replace("\\\n", " ")
        first, second = [line for line in block.splitlines() if "nephrite-train" in line]
        self.assertEqual(shlex.split(first)[4:], ["-config", "config/lsst_y10.yaml"])
        words = shlex.split(second)[4:]
        options = dict(zip(words[::2], words[1::2]))
        self.assertEqual(options.pop("-campaign"), "campaigns/lsst_y10_stage2")
        published = {"-train_start_from": "campaigns/lsst_y10", "-network_dropout": "0", "-train_ema_decay": "0.999",
                     "-train_learning_rate": "1e-4", "-train_final_learning_rate": "1e-5"}  # fmt: skip
        self.assertEqual({name: options.get(name) for name in published}, published)
        program = [BUILD / "nephrite-train", *words, "-dry_run"]
        done = subprocess.run([*map(str, program)], cwd=SOURCE, capture_output=True, text=True, timeout=60)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("130368838 parameters", done.stdout)

    def test_the_shipped_campaign_is_the_published_first_stage(self):
        text = (SOURCE / "config/lsst_y10.yaml").read_text()
        for words in ("steps: 468750", "batch: 128", "learning_rate: 5.0e-3", "final_learning_rate: 1.0e-4",
                      "schedule: linear", "ema_decay: 0.9996", "dropout: 0.3"):  # fmt: skip
            self.assertIn(f"  {words} ", text.replace("\n", " "))


del TrainCase  # the cases above inherit from it; by itself it has no tests

if __name__ == "__main__":
    unittest.main()
