#!/usr/bin/env python3
"""nephrite-infer by Hamiltonian Monte Carlo, end to end: its files and its stops, with chains too short to mean anything."""

import os
import signal
import subprocess
import time
import unittest

import h5py
import numpy as np

from test_exact import ExactTest
from tiny_campaign import INTERRUPTED, USAGE, command, run_program

FIXED = "Omega_b: 'fixed:0.0492', h: 'fixed:0.6727', n_s: 'fixed:0.9645', w_0: 'fixed:-1'"
DRAWS, CHAINS, THINNING = 24, 2, 2
TRACE = ("acceptance", "accepted", "depth", "divergent", "energy", "gradients", "log_density", "step_size")

CONFIG = f"""
seed: 5
survey: {{map_size: 16, field_of_view: 4, bins: 2}}
prior: {{{FIXED}}}
simulate: {{realisations: 12, shard_size: 16}}
train: {{held_out: 8}}
infer: {{method: hmc, observations: 1, draws: {DRAWS}, chains: {CHAINS}, warmup: 40, thinning: {THINNING}}}
calibrate: {{centres: 4, bootstraps: 50, levels: 5}}
"""


def infer(campaign, ranks=1, **options):
    return run_program("nephrite-infer", campaign, options, ranks, timeout=300)


class HmcTest(ExactTest):
    config = CONFIG

    @classmethod
    def file(cls, campaign, observation=0, folder="posterior-hmc"):
        return super().file(campaign, observation, folder)

    @staticmethod
    def begun(campaign):
        """Steps of the last chain that is saved, and its name."""
        for path in sorted(campaign.glob("posterior-hmc/parts/*-begun.h5"), reverse=True):
            with h5py.File(path) as file:
                return path.name, int(file.attrs["steps"])
        return "", 0

    def stop(self, campaign, ranks=1, **options):
        """SIGUSR1 once a chain has been saved that has made steps, more than before."""
        before = self.begun(campaign)
        process = subprocess.Popen(
            command("nephrite-infer", campaign, {"infer_checkpoint_minutes": 0} | options, ranks),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        while process.poll() is None and self.begun(campaign) <= before:
            time.sleep(0.01)
        process.send_signal(signal.SIGUSR1)
        _, err = process.communicate(timeout=120)
        self.assertEqual(process.returncode, INTERRUPTED, err)
        self.assertIn("run again to go on", err)
        return max(campaign.glob("posterior-hmc/parts/*-begun.h5"))


class WholeTest(HmcTest):
    """Beside a campaign that nothing has stopped."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.whole = cls.new_campaign("whole")
        cls.made = infer(cls.whole)
        assert cls.made.code == 0, cls.made.err


class Files(WholeTest):
    def test_a_file_holds_draws_and_what_the_sampler_says_of_itself(self):
        with h5py.File(self.file(self.whole)) as file:
            theta, kappa = file["theta"][()], file["kappa"][()].astype(float)
            self.assertEqual((theta.shape, kappa.shape), ((DRAWS, 6), (DRAWS, 2, 16, 16)))
            np.testing.assert_array_equal(theta[:, [1, 3, 4, 5]], np.tile([0.0492, 0.6727, 0.9645, -1], (DRAWS, 1)))
            np.testing.assert_allclose(file["mean/kappa"][()], kappa.mean(0), atol=1e-8)
            self.assertEqual(sorted(file["chain"]), sorted(TRACE))
            for name in TRACE:
                self.assertEqual(file["chain"][name].shape, (CHAINS, DRAWS // CHAINS * THINNING), name)
            chain = {name: file["chain"][name][()] for name in TRACE}
            self.assertTrue((chain["energy"] > -chain["log_density"]).mean() > 0.99)  # a kinetic energy is positive
            self.assertTrue((chain["gradients"] <= 2 ** chain["depth"]).all() and (chain["gradients"] >= 1).all())
            self.assertTrue((chain["accepted"] < 1).any())  # by another density than trajectories follow
            np.testing.assert_allclose(file["diagnostics/accepted"][()], chain["accepted"].mean(1), rtol=1e-12)
            self.assertTrue((chain["step_size"] == chain["step_size"][:, :1]).all())  # it is no longer learnt
            self.assertEqual(len(np.unique(chain["step_size"])), CHAINS)
            np.testing.assert_array_equal(file["diagnostics/divergences"][()], chain["divergent"].sum(1))
        for text in ("trajectories diverged", "R-hat up to", "gradients in this run"):
            self.assertIn(text, self.made.out)

    def test_a_chain_that_is_stopped_goes_on_where_it_was(self):
        campaign = self.new_campaign("stopped")
        self.stop(campaign)
        first = self.begun(campaign)
        self.stop(campaign)
        self.assertGreater(self.begun(campaign), first)
        made = infer(campaign)
        self.assertEqual(made.code, 0, made.err)
        self.assert_same(self.file(self.whole), self.file(campaign))
        self.assertFalse((campaign / "posterior-hmc/parts").exists())

    def test_draws_that_chains_cannot_share_are_refused(self):
        self.assert_refused(
            infer(self.whole, infer_draws=25), USAGE, "infer_draws is 25", "multiple of infer_chains, 2"
        )


if __name__ == "__main__":
    unittest.main()
