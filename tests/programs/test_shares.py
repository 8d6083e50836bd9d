#!/usr/bin/env python3
"""-share: several runs at the same time, each with a share of the shards or observations, make what one run makes."""

import filecmp
import subprocess
import unittest

import h5py
import numpy as np

from tiny_campaign import INTERRUPTED, USAGE, command, run_program
from train_campaign import TrainCase


class Shares(TrainCase):
    def same_files(self, mine, whole, pattern):
        names = sorted(path.name for path in whole.glob(pattern))
        self.assertGreater(len(names), 0)
        self.assertEqual(sorted(path.name for path in mine.glob(pattern)), names)
        differing = [name for name in names if not filecmp.cmp(mine / name, whole / name, shallow=False)]
        self.assertEqual(differing, [])

    def same_draws(self, mine, whole):
        """The files also tell the command line, which differs."""
        names = sorted(path.name for path in whole.glob("*.h5"))
        self.assertEqual(sorted(path.name for path in mine.glob("*.h5")), names)
        for name in names:
            with h5py.File(mine / name) as a, h5py.File(whole / name) as b:
                for dataset in "theta", "mean/kappa", "counts/joint/raw":
                    np.testing.assert_array_equal(a[dataset][()], b[dataset][()])

    def together(self, program, campaign, options, count):
        """All shares at the same time, on one rank each."""
        shares = [{**options, "share": f"{number}/{count}"} for number in range(1, count + 1)]
        words = [command(program, campaign, share) for share in shares]
        runs = [subprocess.Popen(word, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) for word in words]
        told = []
        for run in runs:
            out, err = run.communicate(timeout=300)
            # Of two that end together one may find that the other is writing the index.
            self.assertTrue(run.returncode == 0 or (run.returncode == INTERRUPTED and "is at this stage" in err), err)
            told.append(out)
        return told

    def test_shares_of_a_simulation_make_the_same_shards_and_the_last_one_the_index(self):
        options = {"simulate_realisations": 61, "simulate_shard_size": 7}
        whole, one_by_one, together = (self.root / name for name in ("unshared", "one-by-one", "together"))
        run = run_program("nephrite-simulate", whole, options, 2)
        self.assertEqual(run.code, 0, run.err)
        for number in (3, 1, 2):
            run = run_program("nephrite-simulate", one_by_one, {**options, "share": f"{number}/3"}, 2)
            self.assertEqual(run.code, 0, run.err)
            self.assertEqual((one_by_one / "sims/campaign.h5").exists(), number == 2)
            self.assertEqual("still to come from other shares" in run.out, number != 2)
            self.assertTrue((one_by_one / f"status/simulate-{number}of3.json").exists())
        self.together("nephrite-simulate", together, options, 3)
        for campaign in one_by_one, together:
            self.same_files(campaign / "sims", whole / "sims", "*.h5")

    def test_a_share_that_grew_does_not_take_an_older_last_shard_for_its_own(self):
        small, large = {"simulate_realisations": 24, "simulate_shard_size": 7}, {"simulate_shard_size": 7}
        campaign, whole = self.root / "grown", self.root / "large"
        large["simulate_realisations"] = 28
        self.assertEqual(run_program("nephrite-simulate", campaign, small).code, 0)
        self.assertEqual(run_program("nephrite-simulate", whole, large).code, 0)
        for share in ("1/2", "2/2"):  # the last shard is the second one's
            run = run_program("nephrite-simulate", campaign, {**large, "share": share})
            self.assertEqual(run.code, 0, run.err)
            self.assertEqual("still to come" in run.out, share == "1/2")
        self.same_files(campaign / "sims", whole / "sims", "*.h5")

    def test_shares_of_a_coverage_make_the_same_draws_and_calibration(self):
        last = self.steps(self.whole)[-1]
        whole, together = self.new_campaign("drawn", [last]), self.new_campaign("shared", [last])
        options = {"task": "coverage", "infer_draws": 12, "infer_evaluations": 5}
        run = run_program("nephrite-infer", whole, options, 2)
        self.assertEqual(run.code, 0, run.err)
        told = self.together("nephrite-infer", together, options, 2)
        self.assertTrue(all("(share " in out for out in told), told)
        run = run_program("nephrite-infer", together, {**options, "share": "2/2"})
        self.assertEqual(run.code, 0, run.err)
        self.assertIn("complete already", run.out)
        self.same_draws(together / "coverage", whole / "coverage")
        self.assertFalse((together / "coverage/parts").exists())
        with h5py.File(whole / "calibration.h5") as a, h5py.File(together / "calibration.h5") as b:
            np.testing.assert_array_equal(a["theta/standardised/counts"][()], b["theta/standardised/counts"][()])

    def test_no_calibration_is_made_before_all_shares_are_there(self):
        campaign = self.new_campaign("half", [self.steps(self.whole)[-1]])
        options = {"task": "coverage", "infer_draws": 4, "infer_evaluations": 5}
        for share in ("1/2", "2/2"):
            run = run_program("nephrite-infer", campaign, {**options, "share": share})
            self.assertEqual(run.code, 0, run.err)
            self.assertEqual((campaign / "calibration.h5").exists(), share == "2/2")
        # Draws of another checkpoint than the one that is there now are still to come.
        (campaign / "checkpoints" / self.checkpoint(campaign, self.steps(campaign)[-1]).name).unlink()
        self.copy_checkpoint(campaign, self.steps(self.whole)[0])
        run = run_program("nephrite-infer", campaign, {**options, "share": "1/2"})
        self.assertEqual(run.code, 0, run.err)
        self.assertIn("still to come from other shares", run.out)

    def copy_checkpoint(self, campaign, step):
        (campaign / self.checkpoint(campaign, step).relative_to(campaign)).write_bytes(
            self.checkpoint(self.whole, step).read_bytes()
        )

    def test_what_is_no_share_is_refused_before_any_work(self):
        campaign = self.root / "refused"
        for program in ("nephrite-simulate", "nephrite-infer"):
            for share in ("3", "0/3", "4/3", "1/3/3", "a/b", "1/0"):
                run = run_program(program, campaign, {"share": share}, 2)
                self.assertEqual(run.code, USAGE, (program, share, run.err))
                self.assertIn(f"share is {share}; it must be NUMBER/COUNT", run.err)
        run = run_program("nephrite-train", campaign, {"share": "1/2"}, 2)
        self.assertEqual(run.code, USAGE)
        self.assertIn("a training is not divided into shares", run.err)
        self.assertFalse(campaign.exists())


if __name__ == "__main__":
    unittest.main()
