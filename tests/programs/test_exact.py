#!/usr/bin/env python3
"""nephrite-infer without a network: the exact posterior of Gaussian fields and the Wiener filter, end to end."""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

import h5py
import numpy as np

from counts_by_definition import excess, peaks, s8_omega_m, spectra
from tiny_campaign import INPUT, INTERNAL, USAGE, command, run_program

SEED, HELD_OUT, REALISATIONS, OBSERVATIONS, DRAWS, CHAINS = 5, 8, 12, 2, 80, 4
FIXED = "Omega_b: 'fixed:0.0492', h: 'fixed:0.6727', n_s: 'fixed:0.9645', w_0: 'fixed:-1'"

CONFIG = f"""
seed: {SEED}
survey: {{map_size: 16, field_of_view: 4, bins: 2, field: gaussian}}
prior: {{{FIXED}}}
simulate: {{realisations: {REALISATIONS}, shard_size: 16}}
train: {{held_out: {HELD_OUT}}}
infer: {{method: gaussian, observations: {OBSERVATIONS}, draws: {DRAWS}, chains: {CHAINS}, warmup: 400, thinning: 15}}
calibrate: {{centres: 4, bootstraps: 50, levels: 5}}
"""


def infer(campaign, ranks=1, **options):
    return run_program("nephrite-infer", campaign, options, ranks, timeout=300)


class ExactTest(unittest.TestCase):
    config = CONFIG

    @classmethod
    def setUpClass(cls):
        cls.root = pathlib.Path(tempfile.mkdtemp(prefix="nephrite-exact-"))
        (cls.root / "tiny.yaml").write_text(cls.config)
        cls.maps = cls.root / "maps"
        made = run_program("nephrite-simulate", cls.maps, {}, timeout=120)
        assert made.code == 0, made.err

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.root)

    @classmethod
    def new_campaign(cls, name):
        campaign = cls.root / name
        campaign.mkdir()
        (campaign / "sims").symlink_to(cls.maps / "sims")
        return campaign

    @staticmethod
    def file(campaign, observation, folder="posterior-gaussian"):
        return campaign / folder / f"observation-{observation:05d}.h5"

    def assert_same(self, one, other):
        names = []
        with h5py.File(one) as a, h5py.File(other) as b:
            a.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
            self.assertGreater(len(names), 8)
            for name in names:
                np.testing.assert_array_equal(a[name][()], b[name][()], name)

    def assert_refused(self, made, code, *texts):
        self.assertEqual(made.code, code, made.err)
        for text in texts:
            self.assertIn(text, made.err)


class Gaussian(ExactTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.whole = cls.new_campaign("whole")
        made = infer(cls.whole)
        assert made.code == 0, made.err

    def test_a_file_holds_draws_whose_chains_have_mixed_and_the_truth_among_them(self):
        scores, scatter = [], []
        for o in range(OBSERVATIONS):
            with h5py.File(self.file(self.whole, o)) as file:
                theta, kappa = file["theta"][()], file["kappa"][()].astype(float)
                self.assertEqual((theta.shape, kappa.shape), ((DRAWS, 6), (DRAWS, 2, 16, 16)))
                free = [0, 2]  # Omega_c, sigma_8
                np.testing.assert_array_equal(theta[:, [1, 3, 4, 5]], np.tile([0.0492, 0.6727, 0.9645, -1], (DRAWS, 1)))
                self.assertLess(file["diagnostics/r_hat"][free].max(), 1.2)
                self.assertGreater(file["diagnostics/ess_bulk"][free].min(), 20)
                self.assertTrue(np.isnan(file["diagnostics/r_hat"][1]))  # it is fixed
                np.testing.assert_allclose(file["mean/kappa"][()], kappa.mean(0), atol=1e-8)
                truth = file["truth/kappa"][()]
                residual = (truth - kappa.mean(0)) / kappa.std(0, ddof=1)
                scores.append(residual)
                self.assertNotIn("checkpoint_step", file.attrs)
                # a draw scatters about the Wiener filter at the true parameters as the truth does
                wiener = file["wiener/kappa"][()]
                spread = (kappa - wiener).std(axis=(2, 3)).mean(0)
                np.testing.assert_allclose((truth - wiener).std(axis=(1, 2)), spread, rtol=0.35)
                scatter.append(kappa - kappa.mean(0))
        self.assertAlmostEqual(np.std(scores), 1, delta=0.15)
        # observations do not share their noise: the correlation of 80 x 512 normals
        self.assertLess(abs(np.corrcoef(*(s.ravel() for s in scatter))[0, 1]), 0.05)

    def test_each_chain_is_its_own_and_as_long_as_it_is_told(self):
        length, theta = DRAWS // CHAINS, {}
        short = {"infer_draws": 8, "infer_chains": 1, "infer_warmup": 20, "infer_thinning": 1}
        for name, options in {
            "two": {"infer_chains": 2},
            "short": short,
            "thinned": {**short, "infer_draws": 4, "infer_thinning": 2},
            "warmer": {**short, "infer_warmup": 40},
        }.items():
            campaign = self.new_campaign(f"chains-{name}")
            made = infer(campaign, infer_observations=1, **options)
            self.assertEqual(made.code, 0, made.err)
            with h5py.File(self.file(campaign, 0)) as file:
                theta[name] = file["theta"][()]
        with h5py.File(self.file(self.whole, 0)) as file:
            four = np.split(file["theta"][()], CHAINS)
        two = np.split(theta["two"], 2)  # twice as long each
        for one, other in zip(four, two):
            np.testing.assert_array_equal(one, other[:length])
        self.assertFalse((four[0][:, 0] == four[1][:, 0]).any())
        np.testing.assert_array_equal(theta["thinned"], theta["short"][1::2])
        self.assertFalse((theta["warmer"][:, 0] == theta["short"][:, 0]).any())

    def test_draws_do_not_depend_on_the_number_of_ranks(self):
        campaign = self.new_campaign("ranks")
        made = infer(campaign, 3)
        self.assertEqual(made.code, 0, made.err)
        for o in range(OBSERVATIONS):
            self.assert_same(self.file(self.whole, o), self.file(campaign, o))
        self.assertIn("complete already", infer(campaign).out)

    def test_what_kill_9_leaves_is_finished_to_the_same_draws(self):
        campaign = self.new_campaign("killed")
        rng = np.random.default_rng(1)
        for _ in range(3):
            process = subprocess.Popen(
                command("nephrite-infer", campaign, {}),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            time.sleep(rng.uniform(0.3, 2))
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        made = infer(campaign, 2)
        self.assertEqual(made.code, 0, made.err)
        for o in range(OBSERVATIONS):
            self.assert_same(self.file(self.whole, o), self.file(campaign, o))
        self.assertFalse((campaign / "posterior-gaussian/parts").exists())

    def test_its_calibration_stands_beside_that_of_the_network(self):
        campaign = self.new_campaign("coverage")
        made = infer(campaign, 2, task="coverage", infer_observations=HELD_OUT, infer_draws=32, infer_warmup=200)
        self.assertEqual(made.code, 0, made.err)
        self.assertFalse((campaign / "calibration.h5").exists())
        with h5py.File(campaign / "calibration-gaussian.h5") as file:
            for space in ("theta", "kappa", "joint"):
                group = file[f"{space}/standardised/mira"]
                score, error, expected = (group[name][()] for name in ("score", "error", "expected"))
                self.assertLess(abs(score - expected), 4 * max(error, 0.08), space)

    def test_chains_of_more_draws_than_a_batch_are_counted(self):
        counts = []
        for batch in (1, 64):
            campaign = self.new_campaign(f"batch-{batch}")
            options = {"infer_draws": 160, "infer_warmup": 20, "infer_thinning": 1, "infer_batch": batch}
            made = infer(campaign, task="coverage", **options)
            self.assertEqual(made.code, 0, made.err)
            with h5py.File(campaign / "calibration-gaussian.h5") as file:
                counts.append(file["joint/block/counts"][()])
        np.testing.assert_array_equal(*counts)

    def test_what_it_is_not_exact_for_is_refused_before_anything_is_made(self):
        campaign = self.new_campaign("refused")
        self.assert_refused(infer(campaign, survey_field="lognormal"), USAGE, "survey_field gaussian")
        self.assert_refused(infer(campaign, survey_mask="random"), USAGE, "survey_mask")
        self.assert_refused(infer(campaign, infer_draws=81), USAGE, "infer_chains")
        self.assertEqual([path.name for path in campaign.iterdir()], ["sims"])

    def test_a_dry_run_needs_no_network(self):
        made = infer(self.root / "dry", dry_run="true")
        self.assertEqual(made.code, 0, made.err)
        self.assertIn(f"{DRAWS} for each of {OBSERVATIONS} observations, by {CHAINS} chains", made.out)


class Cells(ExactTest):
    """Truths in two cells of S8, whose chains are too short to be right."""

    TRUTHS, DRAWS = 34, 8
    config = CONFIG.replace(
        f"realisations: {REALISATIONS}, shard_size: 16", "realisations: 48, shard_size: 48"
    ).replace(f"held_out: {HELD_OUT}", "held_out: 40")

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.whole = cls.new_campaign("cells")
        options = {"infer_observations": cls.TRUTHS, "infer_draws": cls.DRAWS, "infer_chains": 1, "infer_warmup": 20}
        cls.made = infer(
            cls.whole, 2, task="coverage", calibrate_grid="S8,w_0", infer_thinning=2, infer_keep_maps=100, **options
        )
        assert cls.made.code == 0, cls.made.err

    def test_counts_of_summaries_are_those_of_the_definition(self):
        side = np.radians(4)
        summaries = {
            "S8_Omega_m": lambda theta, kappa: s8_omega_m(theta),
            "spectra": lambda theta, kappa: spectra(kappa, side),
            "peaks": lambda theta, kappa: peaks(kappa),
        }
        found = {name: ([], []) for name in summaries}
        for o in range(self.TRUTHS):
            with h5py.File(self.file(self.whole, o, "coverage-gaussian")) as file:
                names = ("truth/theta", "truth/kappa", "theta", "kappa")
                theta, kappa, thetas, kappas = (file[name][()].astype(float) for name in names)
            for name, summary in summaries.items():
                found[name][0].append(summary(theta, kappa))
                found[name][1].append([summary(*draw) for draw in zip(thetas, kappas)])
        with h5py.File(self.whole / "calibration-gaussian.h5") as file:
            for metric, (name, values) in enumerate(found.items(), 4):
                truth, draw = (np.array(numbers).astype(np.float32).astype(float) for numbers in values)
                counts = (excess(SEED, truth, draw, 4, metric, True) < 0).sum(1)
                self.assertGreater(np.unique(counts).size, 5)
                np.testing.assert_array_equal(file[f"{name}/standardised/counts"][()], counts, name)

    def test_cells_hold_what_the_draws_say(self):
        campaign = self.whole
        self.assertIn("2 cells by S8\n", self.made.out)  # w_0 is fixed
        theta, truth = [], []
        for o in range(self.TRUTHS):
            with h5py.File(self.file(campaign, o, "coverage-gaussian")) as file:
                for found, name in ((theta, "theta"), (truth, "truth/theta")):
                    c, b, s = file[name][()].T[:3]
                    found.append(np.array([c, s, c + b, s * np.sqrt((c + b) / 0.3)]))
        theta, truth = np.array(theta), np.array(truth)  # [truth, scalar, draw], [truth, scalar]
        place = np.append(theta[:, 3], truth[:, 3:], 1).mean(1)
        cells = np.split(np.argsort(place), 2)
        residual = (truth - theta.mean(-1)) / theta.std(-1, ddof=1)
        with h5py.File(campaign / "calibration-gaussian.h5") as file:
            self.assertEqual(file["cells/low"].attrs["axes"].decode(), "S8")
            self.assertEqual(file["cells/bias"].attrs["scalars"].decode(), "Omega_c,sigma_8,Omega_m,S8")
            counts = file["joint/raw/counts"][()]
            score = ((self.DRAWS + 1) / (2 * self.DRAWS) + counts * (self.DRAWS - counts) / self.DRAWS**2).mean(1)
            for k, cell in enumerate(cells):
                np.testing.assert_allclose(file["cells/low"][k], place[cell].min())
                np.testing.assert_allclose(file["cells/high"][k], place[cell].max())
                self.assertEqual(file["cells/truths"][k], self.TRUTHS / 2)
                np.testing.assert_allclose(file["cells/bias"][:, k], residual[cell].mean(0), rtol=1e-9, atol=1e-12)
                np.testing.assert_allclose(file["cells/dispersion"][:, k], residual[cell].std(0, ddof=1), rtol=1e-9)
                self.assertAlmostEqual(file["joint/raw/cells/score"][k], score[cell].mean())
            within = np.sqrt(sum(((score[cell] - score[cell].mean()) ** 2).sum() for cell in cells) / (self.TRUTHS - 2))
            error = within / np.sqrt(self.TRUTHS / 2)
            np.testing.assert_allclose(file["joint/raw/cells/error"], [error] * 2)
            expected = file["joint/raw/mira/expected"][()]
            chi2 = sum(((score[cell].mean() - expected) / error) ** 2 for cell in cells)
            self.assertAlmostEqual(file["joint/raw/cells/chi2"][()], chi2)
            self.assertAlmostEqual(file["joint/raw/cells/p_value"][()], np.exp(-chi2 / 2))  # two degrees of freedom
            self.assertTrue((file["cells/bias_p_value"][()] < 1).all())


class Masked(ExactTest):
    def test_with_fixed_parameters_draws_under_a_mask_scatter_as_the_truth_does(self):
        fixed = {"prior_Omega_c": "fixed:0.2664", "prior_sigma_8": "fixed:0.831"}
        campaign = self.root / "masked"
        made = run_program("nephrite-simulate", campaign, fixed, timeout=120)
        self.assertEqual(made.code, 0, made.err)
        made = infer(campaign, 2, survey_mask="random", infer_observations=6, **fixed)
        self.assertEqual(made.code, 0, made.err)
        seen, hidden = [], []
        for o in range(6):
            with h5py.File(self.file(campaign, o)) as file:
                mask = file["observation/mask"][()] > 0
                score = (file["truth/kappa"][()] - file["mean/kappa"][()]) / file["std/kappa"][()]
                seen.append(score[:, mask].ravel())
                hidden.append(score[:, ~mask].ravel())
                # the mean of the draws is the Wiener filter, to their number
                difference = (file["mean/kappa"][()] - file["wiener/kappa"][()]) / file["std/kappa"][()]
                self.assertAlmostEqual(difference.std() * np.sqrt(DRAWS), 1, delta=0.25)
                self.assertGreater(file["std/kappa"][()][:, ~mask].mean(), file["std/kappa"][()][:, mask].mean())
        self.assertAlmostEqual(np.concatenate(seen).std(), 1, delta=0.12)
        self.assertAlmostEqual(np.concatenate(hidden).std(), 1, delta=0.25)


class Maximum(ExactTest):
    fixed = {"prior_Omega_c": "fixed:0.2664", "prior_sigma_8": "fixed:0.831"}

    def test_of_a_gaussian_field_it_is_the_wiener_filter_at_the_same_parameters(self):
        campaign = self.new_campaign("gaussian")
        options = {"survey_mask": "random", "infer_fiducial": "Omega_c=0.3,sigma_8=0.7"}
        for what in ({"task": "map"}, {"infer_method": "wiener"}):
            made = infer(campaign, 2, **what, **options)
            self.assertEqual(made.code, 0, made.err)
        for o in range(OBSERVATIONS):
            with h5py.File(self.file(campaign, o, "map")) as file, h5py.File(
                self.file(campaign, o, "posterior-wiener")
            ) as linear:
                wiener = linear["estimate/kappa"][()]
                self.assertLess(np.abs(file["estimate/kappa"][()] - wiener).max(), 2e-3 * wiener.std())
                for absent in ("kappa", "theta"):
                    self.assertNotIn(absent, file)
        options["infer_fiducial"] = "sigma_8=0.7"
        self.assert_refused(infer(campaign, task="map", **options), INPUT, "infer_fiducial")

    def test_of_a_lognormal_field_it_is_closer_to_the_truth_than_the_wiener_filter(self):
        campaign = self.root / "lognormal"
        options = {"survey_field": "lognormal", "survey_galaxies_per_arcmin2": 200, **self.fixed}
        made = run_program("nephrite-simulate", campaign, options, timeout=120)
        self.assertEqual(made.code, 0, made.err)
        made = infer(campaign, 2, task="map", infer_observations=HELD_OUT, **options)
        self.assertEqual(made.code, 0, made.err)
        error = {"estimate": 0, "wiener": 0}
        for o in range(HELD_OUT):
            with h5py.File(self.file(campaign, o, "map")) as file:
                for name in error:
                    # k = 0 is not observed: a log-normal map has a mean that the noise of shear says nothing of
                    off = file[f"{name}/kappa"][()] - file["truth/kappa"][()]
                    error[name] += ((off - off.mean((1, 2), keepdims=True)) ** 2).sum()
        self.assertLess(error["estimate"], error["wiener"])
        made = infer(campaign, task="map", infer_observations=HELD_OUT, **options)
        self.assertIn("complete already", made.out)

    def test_what_does_not_converge_leaves_no_file(self):
        campaign = self.new_campaign("short")
        made = infer(campaign, task="map", infer_iterations=1, infer_observations=1)
        self.assert_refused(made, INTERNAL, "infer_iterations")
        self.assertFalse(self.file(campaign, 0, "map").exists())


class Wiener(ExactTest):
    def test_at_the_true_parameters_it_is_the_filter_that_posterior_files_hold(self):
        campaign = self.new_campaign("wiener")
        made = infer(campaign, infer_observations=1, infer_draws=32)
        self.assertEqual(made.code, 0, made.err)
        with h5py.File(self.file(campaign, 0)) as file:
            theta, expected = file["truth/theta"][()], file["wiener/kappa"][()]
        fiducial = f"Omega_c={float(theta[0])!r},sigma_8={float(theta[2])!r}"
        made = infer(campaign, infer_observations=1, infer_method="wiener", infer_fiducial=fiducial)
        self.assertEqual(made.code, 0, made.err)
        with h5py.File(self.file(campaign, 0, "posterior-wiener")) as file:
            np.testing.assert_array_equal(file["estimate/kappa"][()], expected)
            self.assertNotIn("theta", file)
        made = infer(campaign, infer_observations=1, infer_method="wiener")
        self.assert_refused(made, INPUT, "infer_fiducial")

    def test_what_no_fiducial_names_is_at_the_prior_mean(self):
        maps = {}
        for name, fiducial in (("means", ""), ("named", "sigma_8=0.831"), ("other", "sigma_8=0.9")):
            campaign = self.new_campaign(name)
            made = infer(campaign, infer_observations=1, infer_method="wiener", infer_fiducial=fiducial)
            self.assertEqual(made.code, 0, made.err)
            with h5py.File(self.file(campaign, 0, "posterior-wiener")) as file:
                maps[name] = file["estimate/kappa"][()]
        np.testing.assert_array_equal(maps["means"], maps["named"])
        self.assertGreater(np.abs(maps["other"] - maps["means"]).max(), 0.01 * np.abs(maps["means"]).max())

    def test_parameters_that_are_none_are_refused(self):
        campaign = self.new_campaign("nonsense")
        for fiducial, text in (
            ("sigma8=0.8", "sigma8=0.8"),
            ("sigma_8=large", "no number"),
            ("sigma_8", "=VALUE"),
            ("Omega_c=1.5", "no universe"),
        ):
            made = infer(campaign, infer_method="wiener", infer_fiducial=fiducial)
            self.assert_refused(made, USAGE, "infer_fiducial", text)


if __name__ == "__main__":
    unittest.main()
