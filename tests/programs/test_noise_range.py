#!/usr/bin/env python3
"""Observations that differ in noise (survey_noise_range), through all programs."""

import pathlib
import shutil
import tempfile
import unittest

import h5py
import numpy as np

from tiny_campaign import INPUT, USAGE, run_program

SIDE, BINS, OBSERVATIONS, LOW, HIGH, FIELD_OF_VIEW = 16, 2, 8, 0.5, 2, 4.0
STD = 0.26 / np.sqrt(27 / BINS * (60 * FIELD_OF_VIEW / SIDE) ** 2)  # of the survey, per pixel and component

CONFIG = f"""
seed: 3
survey: {{map_size: {SIDE}, field_of_view: {FIELD_OF_VIEW}, bins: {BINS}, mask: random, noise_range: [{LOW}, {HIGH}]}}
simulate: {{realisations: 24, shard_size: 12}}
network: {{depth: 1, width: 16, heads: 2, patch: 4, bottleneck: 8, cosmology_tokens: 1, conditioning: channels}}
train: {{steps: 4, warmup: 0, batch: 4, held_out: 8, validations: 4, validate_every: 4, checkpoint_every: 4}}
infer: {{observations: {OBSERVATIONS}, draws: 4, batch: 4, evaluations: 5}}
"""


class NoiseRange(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = pathlib.Path(tempfile.mkdtemp(prefix="nephrite-noise-"))
        cls.addClassCleanup(shutil.rmtree, cls.root)
        (cls.root / "tiny.yaml").write_text(CONFIG)
        for program in ("simulate", "train"):
            done = cls.run_program(program)
            assert done.code == 0, done.err
        done = cls.run_program("infer", ranks=2)
        assert done.code == 0, done.err

    @classmethod
    def run_program(cls, name, ranks=1, **options):
        return run_program(f"nephrite-{name}", cls.root / "campaign", options, ranks)

    @classmethod
    def file(cls, observation, folder="posterior"):
        return cls.root / "campaign" / folder / f"observation-{observation:05d}.h5"

    def write_users(self, name, scale=1.0, observation=0):
        """A user's file with the data of an observation, whose noise is said to be so many times what it was."""
        with h5py.File(self.file(observation)) as made, h5py.File(self.root / name, "w") as file:
            for dataset in ("shear", "mask", "noise_std"):
                file[dataset] = made[f"observation/{dataset}"][()] * (scale if dataset == "noise_std" else 1)
            file.attrs["field_of_view"] = FIELD_OF_VIEW
        return self.root / name

    def test_each_observation_and_bin_has_a_level_of_its_own_and_noise_of_that_level(self):
        levels, normal = [], []
        for o in range(OBSERVATIONS):
            with h5py.File(self.file(o)) as file:
                std = file["observation/noise_std"][()]
                residual = file["observation/shear"][()] - sheared(file["truth/kappa"][()])
                normal.append((residual / std[:, None, None, None])[..., file["observation/mask"][()] > 0])
            levels.append(std / STD)
        levels = np.array(levels)
        self.assertEqual(len(np.unique(levels)), OBSERVATIONS * BINS)
        self.assertTrue((levels > LOW).all() and (levels < HIGH).all())
        self.assertGreater(levels.max() / levels.min(), 2)
        for values in normal:
            for of_bin in values:
                self.assertLess(abs(of_bin.std() - 1), 5 / np.sqrt(2 * of_bin.size))  # 5 standard errors

    def test_the_network_is_shown_data_times_a_weight_and_the_weights(self):
        for o in range(OBSERVATIONS):
            with h5py.File(self.file(o)) as file:
                channels, std = file["observation/channels"][()], file["observation/noise_std"][()]
                mask = file["observation/mask"][()]
            self.assertEqual(channels.shape, (3 * BINS, SIDE, SIDE))
            np.testing.assert_allclose(channels[2 * BINS :], (STD / std)[:, None, None] * mask, rtol=1e-6)

    def test_levels_depend_on_the_realisation_alone(self):
        """Of training, of the number of ranks, of the order of observations they know nothing."""
        done = self.run_program("infer", infer_method="ks", infer_observations=3)
        self.assertEqual(done.code, 0, done.err)
        for o in range(3):
            with h5py.File(self.file(o)) as one, h5py.File(self.file(o, "posterior-ks")) as other:
                for dataset in ("noise_std", "shear", "mask"):
                    np.testing.assert_array_equal(
                        one[f"observation/{dataset}"][()], other[f"observation/{dataset}"][()]
                    )

    def test_the_wiener_filter_and_the_most_probable_map_take_the_noise_of_the_observation(self):
        """Of a Gaussian field they are the same; with the survey's noise instead either would be another map."""
        fixed = {"prior_" + name: f"fixed:{value}" for name, value in PARAMETERS.items()}
        gaussian = {"survey_field": "gaussian", **fixed}
        campaign = self.root / "fixed"
        made = run_program("nephrite-simulate", campaign, gaussian)
        self.assertEqual(made.code, 0, made.err)
        for options in ({"task": "map"}, {"infer_method": "gaussian", "infer_draws": 200}):
            made = run_program("nephrite-infer", campaign, {**gaussian, "infer_observations": 3, **options})
            self.assertEqual(made.code, 0, made.err)
        for o in range(3):
            name = f"observation-{o:05d}.h5"
            with h5py.File(campaign / "map" / name) as map_file, h5py.File(
                campaign / "posterior-gaussian" / name
            ) as file:
                wiener, std = file["wiener/kappa"][()], file["std/kappa"][()]
                difference = map_file["estimate/kappa"][()] - wiener
                self.assertLess(np.abs(difference).max(), 2e-3 * wiener.std())
                error = (file["mean/kappa"][()] - wiener) / std
                self.assertAlmostEqual(np.sqrt((error**2).mean() * 200), 1, delta=0.25)  # that of 200 draws

    def test_any_noise_within_the_range_is_taken_and_shown(self):
        done = self.run_program("infer", observation=self.write_users("as_it_was.h5"))
        self.assertEqual(done.code, 0, done.err)
        with h5py.File(self.file(0)) as made, h5py.File(self.root / "campaign/posterior/as_it_was.h5") as file:
            for dataset in ("noise_std", "channels", "mask"):
                np.testing.assert_array_equal(
                    file[f"observation/{dataset}"][()], made[f"observation/{dataset}"][()], dataset
                )

    def test_noise_that_was_said_otherwise_is_drawn_for_again(self):
        with h5py.File(self.file(0)) as file:
            closer = (file["observation/noise_std"][()] / STD).mean() ** -0.3  # towards the middle of the range
        drawn = self.root / "campaign/posterior/mine.h5"
        for scale in (1, closer, closer):
            before = drawn.stat().st_mtime_ns if drawn.exists() else None
            done = self.run_program("infer", observation=self.write_users("mine.h5", scale))
            self.assertEqual(done.code, 0, done.err)
            with h5py.File(drawn) as file, h5py.File(self.root / "mine.h5") as mine:
                np.testing.assert_allclose(file["observation/noise_std"][()], mine["noise_std"][()], rtol=1e-12)
                if scale == 1:
                    first = file["kappa"][()]
                else:
                    self.assertGreater(np.abs(file["kappa"][()] - first).max(), 0)
        self.assertEqual(drawn.stat().st_mtime_ns, before)  # of the same file, it is complete already

    def test_noise_beyond_the_range_is_refused_saying_what_would_fit(self):
        for scale in (0.1, 10):
            done = self.run_program("infer", observation=self.write_users("beyond.h5", scale))
            self.assertEqual(done.code, INPUT)
            self.assertIn(f"was trained with {LOW * STD:.6g} to {HIGH * STD:.6g} per pixel", done.err)
            self.assertIn("survey_noise_range", done.err)

    def test_another_range_than_the_networks_is_refused(self):
        for value in ("0.5,3", "1"):
            done = self.run_program("infer", survey_noise_range=value)
            self.assertEqual(done.code, INPUT)
            self.assertIn(f"survey_noise_range ({LOW},{HIGH} there, {value} here)", done.err)

    def test_what_is_no_range_is_refused_before_any_work(self):
        for value, text in (
            ("2,0.5", "the smaller factor must come first"),
            ("2", "which is no range"),
            ("0,2", "from 0.01 to 100"),
            ("0.5,1,2", "a number, or two with a comma"),
            ("wide", "a number, or two with a comma"),
        ):
            for program in ("simulate", "train", "infer"):
                done = self.run_program(program, survey_noise_range=value)
                self.assertEqual(done.code, USAGE)
                self.assertIn("survey_noise_range", done.err)
                self.assertIn(text, done.err)


PARAMETERS = {"Omega_c": 0.2664, "Omega_b": 0.0492, "sigma_8": 0.831, "h": 0.6727, "n_s": 0.9645, "w_0": -1}


def sheared(kappa):
    """Shear of periodic maps [bin, y, x] as [bin, component, y, x]."""
    k = np.fft.fftfreq(SIDE)
    ky, kx = k[:, None], k[None, :]
    k2 = np.where(kx**2 + ky**2 > 0, kx**2 + ky**2, 1)
    sine = 2 * kx * ky / k2
    sine[SIDE // 2, :] = sine[:, SIDE // 2] = 0
    modes = np.fft.fft2(kappa)
    return np.stack([np.fft.ifft2(factor * modes).real for factor in ((kx**2 - ky**2) / k2, sine)], axis=1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
