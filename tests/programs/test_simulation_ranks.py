#!/usr/bin/env python3
"""Ranks of nephrite-train that simulate for the others: the same training, bit for bit, whatever becomes of it."""

import csv
import shutil
import signal
import subprocess
import time
import unittest

from tiny_campaign import INTERRUPTED, IO, USAGE, command
from train_campaign import TrainCase

ONLINE = {"train_source": "online"}


class SimulationRanksTest(TrainCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.alone = {ranks: cls.root / f"alone-{ranks}" for ranks in (1, 2)}
        for ranks, campaign in cls.alone.items():
            run = cls.train(campaign, ONLINE, ranks)
            assert run.code == 0, run.err

    def helped(self, name, trainers, simulating, **more):
        """Train with ranks that simulate; the campaign, and the run."""
        campaign = self.root / name
        options = {**ONLINE, "train_simulation_ranks": simulating, **more}
        return campaign, self.train(campaign, options, trainers + simulating)

    def start(self, campaign, options, ranks):
        """Begin a training, and wait until it is at work."""
        process = subprocess.Popen(command("nephrite-train", campaign, options, ranks), stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True, start_new_session=True)  # fmt: skip
        while process.poll() is None and not (campaign / "train.lock").exists():
            time.sleep(0.05)
        return process

    def assertAsAlone(self, campaign, ranks):
        self.assertSameTraining(self.checkpoint(campaign, 20), self.checkpoint(self.alone[ranks], 20))

    def test_training_is_the_same_bit_for_bit_as_on_the_ranks_that_train_alone(self):
        for trainers, simulating in ((1, 2), (2, 1), (2, 2)):
            campaign, run = self.helped(f"helped-{trainers}-{simulating}", trainers, simulating)
            self.assertEnds(run, 0)
            self.assertAsAlone(campaign, trainers)
            # 256 for the normalisation, 6 in each of 20 steps, 8 in each of 2 validations
            self.assertRegex(run.out, rf"simulating ranks: {simulating}, 392 maps, busy \d+\.\d% of their time")

    def test_it_goes_on_with_other_ranks_that_simulate_or_with_none(self):
        campaign, run = self.helped("changing", 1, 1, train_steps=20, train_checkpoint_every=5)
        self.assertEnds(run, 0)
        for path in (campaign / "checkpoints").glob("step-*.h5"):
            if path != self.checkpoint(campaign, 15):
                path.unlink()
        again, run = self.helped("changing", 1, 2)
        self.assertEnds(run, 0)
        self.assertIn("goes on from step 15", run.out)
        self.assertAsAlone(again, 1)
        self.checkpoint(campaign, 20).unlink()
        self.assertEnds(self.train(campaign, ONLINE), 0)
        self.assertAsAlone(campaign, 1)

    def test_it_stops_for_a_signal_and_goes_on(self):
        campaign = self.root / "signalled"
        options = {**ONLINE, "train_simulation_ranks": 1, "train_steps": 2000, "train_checkpoint_every": 2000,
                   "train_validate_every": 2000, "train_warmup": 0}  # fmt: skip
        process = self.start(campaign, options, 3)
        time.sleep(1)
        process.send_signal(signal.SIGUSR1)
        out, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, INTERRUPTED, err)
        self.assertEqual(len([line for line in err.splitlines() if line.startswith("nephrite-train:")]), 1, err)
        step = self.steps(campaign)[-1]
        run = self.train(campaign, {**options, "train_steps": step + 2}, 3)
        self.assertEnds(run, 0)
        self.assertEqual(self.steps(campaign)[-1], step + 2)

    def test_it_survives_kills_of_either_kind_of_rank(self):
        campaign = self.root / "killed"
        options = {**ONLINE, "train_simulation_ranks": 1, "train_checkpoint_every": 1}
        for victim in (0, 1):
            process = self.start(campaign, options, 2)
            time.sleep(1)
            found = subprocess.run(
                ["pgrep", "-s", str(process.pid), "-x", "nephrite-train"], capture_output=True, text=True
            )
            ranks = sorted(map(int, found.stdout.split()))
            if len(ranks) == 2 and process.poll() is None:
                subprocess.run(["kill", "-9", str(ranks[victim])])
            process.communicate(timeout=60)
        self.assertEnds(self.train(campaign, options, 2), 0)
        self.assertAsAlone(campaign, 1)

    def test_a_failure_of_those_that_train_lets_the_others_go(self):
        options = {**ONLINE, "train_simulation_ranks": 1}
        run = self.train(self.root / "full", options, 3, file_kib=200)
        self.assertEnds(run, IO, "step-00000010.h5")

    def test_maps_that_cannot_be_made_are_refused_with_the_reason(self):
        _, run = self.helped("impossible", 1, 1, prior_delta_z_1="fixed:-20")
        self.assertEnds(run, USAGE, "none of", "draws from the prior")

    def test_a_complete_training_has_nothing_to_simulate(self):
        campaign = self.root / "complete"
        shutil.copytree(self.alone[1], campaign)
        run = self.train(campaign, {**ONLINE, "train_simulation_ranks": 1}, 2)
        self.assertEnds(run, 0)
        self.assertIn("complete", run.out)
        self.assertNotIn("simulating ranks", run.out)

    def test_there_must_be_a_rank_to_train_and_fresh_maps_to_make(self):
        _, run = self.helped("nobody", 0, 2)
        self.assertEnds(run, USAGE, "train_simulation_ranks is 2", "at least one must be left to train")
        self.assertFalse((self.root / "nobody").exists())
        run = self.train(self.root / "shards", {"train_simulation_ranks": 1}, 2)
        self.assertEnds(run, USAGE, "train_simulation_ranks is 1, but train_source is shards")

    def test_dry_run_tells_who_trains(self):
        _, run = self.helped("dry", 2, 1, dry_run="true")
        self.assertEnds(run, 0)
        self.assertIn("on 2 ranks", run.out)
        self.assertIn("maps      from 1 more ranks, which simulate", run.out)

    def test_the_log_of_petsc_has_both_kinds_of_work(self):
        log = self.root / "log.csv"
        _, run = self.helped("logged", 1, 1, log_view=f":{log}:ascii_csv")
        self.assertEnds(run, 0)
        with open(log) as file:
            time_of = {}
            for row in csv.DictReader(file):
                time_of.setdefault(row["Event Name"], set()).add(row["Rank"])
        for name in ("train forward", "field maps"):
            self.assertIn(name, time_of)


if __name__ == "__main__":
    unittest.main()
