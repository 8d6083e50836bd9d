#!/usr/bin/env python3
# nephrite-test: long
"""Chains of nephrite-infer by Hamiltonian Monte Carlo: what they draw, however they are made, and the exact posterior where that is
known."""

import unittest

import h5py
import numpy as np

import test_hmc
from test_hmc import infer
from tiny_campaign import USAGE

CONFIG = test_hmc.CONFIG.replace("draws: 24, chains: 2, warmup: 40", "draws: 80, chains: 4, warmup: 100")


class LogNormal(test_hmc.WholeTest):
    config = CONFIG

    def test_chains_mix_and_have_the_truth_among_their_draws(self):
        with h5py.File(self.file(self.whole)) as file:
            kappa = file["kappa"][()].astype(float)
            self.assertLess(abs(file["chain/acceptance"][()].mean() - 0.8), 0.15)
            self.assertGreater(file["chain/accepted"][()].mean(), 0.7)
            self.assertTrue((file["diagnostics/e_bfmi"][()] > 0.2).all())
            self.assertLess(file["diagnostics/r_hat"][[0, 2]].max(), 1.3)
            truth = file["truth/kappa"][()]
            self.assertAlmostEqual(np.std((truth - kappa.mean(0)) / kappa.std(0, ddof=1)), 1, delta=0.2)
            correlation = np.corrcoef(truth.ravel(), kappa.mean(0).ravel())[0, 1]
            wiener = np.corrcoef(truth.ravel(), file["wiener/kappa"][()].ravel())[0, 1]
            self.assertGreater(correlation, 0.9 * wiener)

    def test_draws_do_not_depend_on_the_number_of_ranks(self):
        campaign = self.new_campaign("ranks")
        made = infer(campaign, 3)
        self.assertEqual(made.code, 0, made.err)
        self.assert_same(self.file(self.whole), self.file(campaign))
        self.assertIn("complete already", infer(campaign).out)

    def test_ranks_that_have_a_chain_together_make_the_same_one(self):
        short = {"infer_chains": 2, "infer_draws": 8, "infer_warmup": 2, "infer_thinning": 1}
        alone, together = self.new_campaign("alone"), self.new_campaign("together")
        self.assertEqual(infer(alone, **short).code, 0)
        made = infer(together, 4, infer_group_size=2, **short)
        self.assertEqual(made.code, 0, made.err)
        with h5py.File(self.file(alone)) as one, h5py.File(self.file(together)) as other:
            for name in ("theta", "kappa", "chain/energy"):  # rounding grows from step to step
                np.testing.assert_allclose(other[name][()], one[name][()], rtol=1e-5, atol=1e-7)
        self.assert_refused(infer(together, 3, infer_group_size=2), USAGE, "groups of 2")
        self.assert_refused(infer(together, 2, infer_group_size=2, infer_method="ks"), USAGE, "infer_group_size is 2")

    def test_a_group_that_is_stopped_goes_on(self):
        campaign = self.new_campaign("group")
        self.stop(campaign, 2, infer_group_size=2)
        made = infer(campaign)  # each chain by one rank now
        self.assertEqual(made.code, 0, made.err)
        with h5py.File(self.file(campaign)) as file:
            self.assertLess(file["diagnostics/r_hat"][[0, 2]].max(), 1.3)

    def test_a_damaged_chain_is_begun_anew(self):
        campaign = self.new_campaign("damaged")
        begun = self.stop(campaign)
        content = bytearray(begun.read_bytes())
        content[len(content) // 2] ^= 1
        begun.write_bytes(content)
        made = infer(campaign)
        self.assertEqual(made.code, 0, made.err)
        self.assert_same(self.file(self.whole), self.file(campaign))

    def test_a_chain_of_another_configuration_is_begun_anew(self):
        campaign = self.new_campaign("other")
        self.stop(campaign)
        made = infer(campaign, infer_acceptance=0.7)
        self.assertEqual(made.code, 0, made.err)
        with h5py.File(self.file(campaign)) as file, h5py.File(self.file(self.whole)) as whole:
            self.assertTrue((file["chain/step_size"][()] != whole["chain/step_size"][()]).all())

    def test_without_an_emulator_trajectories_end_where_the_model_has_them(self):
        campaign = self.new_campaign("model")
        made = infer(campaign, infer_emulator="false", infer_chains=1, infer_draws=6, infer_warmup=5, infer_max_depth=4)
        self.assertEqual(made.code, 0, made.err)
        with h5py.File(self.file(campaign)) as file:
            self.assertTrue((file["chain/accepted"][()] == 1).all())

    def test_an_observed_convergence_with_a_mask_is_sampled(self):
        campaign, path = self.new_campaign("convergence"), self.root / "sky.h5"
        with h5py.File(self.file(self.whole)) as file:
            truth, noise = file["truth/kappa"][()], file["observation/noise_std"][()]
        rng = np.random.default_rng(2)
        mask = np.ones((16, 16), "f4")
        mask[:, :4] = 0
        with h5py.File(path, "w") as file:
            file["convergence"] = (truth + noise[:, None, None] * rng.standard_normal(truth.shape)).astype("f4") * mask
            file["noise_std"], file["mask"] = noise, mask
            file.attrs["field_of_view"] = 4.0
        options = {"survey_observation": "convergence", "survey_mask": "random", "infer_chains": 2, "infer_draws": 40}
        made = infer(campaign, observation=path, **options)
        self.assertEqual(made.code, 0, made.err)
        with h5py.File(campaign / "posterior-hmc/sky.h5") as file:
            spread = file["std/kappa"][()]
        self.assertGreater(
            spread[:, :, :3].mean() / spread[:, :, 6:].mean(), 1.05
        )  # less is known where nothing is seen


class Gaussian(test_hmc.HmcTest):
    """The same posterior by another way: both are exact."""

    config = CONFIG.replace("bins: 2", "bins: 2, field: gaussian").replace("draws: 80", "draws: 400")

    def test_parameters_and_maps_are_those_of_the_exact_posterior(self):
        campaign = self.new_campaign("both")
        for method in ("hmc", "gaussian"):
            options = {"infer_method": method} | (
                {"infer_thinning": 15, "infer_warmup": 500} if method == "gaussian" else {}
            )
            made = infer(campaign, 2, **options)
            self.assertEqual(made.code, 0, made.err)
        with h5py.File(self.file(campaign)) as ours, h5py.File(self.file(campaign, 0, "posterior-gaussian")) as exact:
            for p in (0, 2):
                a, b = ours["theta"][:, p], exact["theta"][:, p]
                effective = np.array([file["diagnostics/ess_bulk"][p] for file in (ours, exact)]).clip(max=400)
                self.assertGreater(effective.min(), 60)
                error = np.sqrt(a.var() / effective[0] + b.var() / effective[1])
                self.assertLess(abs(a.mean() - b.mean()), 4 * error)
                self.assertAlmostEqual(a.std() / b.std(), 1, delta=4 * np.sqrt(1 / effective.min()))
            std = exact["std/kappa"][()]
            shift = (ours["mean/kappa"][()] - exact["mean/kappa"][()]) / std
            self.assertLess(np.sqrt(np.mean(shift**2)), 0.2)
            np.testing.assert_allclose((ours["std/kappa"][()] / std).mean((1, 2)), 1, atol=0.05)


if __name__ == "__main__":
    unittest.main()
