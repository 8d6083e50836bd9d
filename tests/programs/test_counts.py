#!/usr/bin/env python3
"""A survey of galaxies counted per pixel, on maps that are wider than high, through all programs."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

import h5py
import numpy as np

SOURCE = pathlib.Path(os.environ.get("NEPHRITE_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
BUILD = pathlib.Path(os.environ.get("NEPHRITE_BUILD", SOURCE / "build"))
USAGE, INPUT = 64, 65

NX, NY, BINS, SIGMA_E = 32, 16, 2, 0.26
CONFIG = f"""
seed: 3
survey: {{map_size: [{NX}, {NY}], field_of_view: 4, bins: {BINS}, sigma_e: {SIGMA_E}, counts: counts.h5}}
simulate: {{realisations: 24, shard_size: 12}}
network: {{depth: 1, width: 16, heads: 2, patch: 4, bottleneck: 8, cosmology_tokens: 1, conditioning: channels}}
train: {{steps: 4, warmup: 0, batch: 4, held_out: 8, validations: 4, validate_every: 4, checkpoint_every: 4}}
infer: {{observations: 8, draws: 4, batch: 4, evaluations: 5}}
calibrate: {{centres: 2, bootstraps: 20, levels: 5}}
"""


class CountsTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = pathlib.Path(tempfile.mkdtemp(prefix="nephrite-counts-"))
        cls.addClassCleanup(shutil.rmtree, cls.root)
        (cls.root / "tiny.yaml").write_text(CONFIG)
        cls.counts = np.random.default_rng(1).poisson(np.linspace(1, 400, NX), (BINS, NY, NX)).astype(float)
        cls.counts[:, 3:6, 20:25] = 0  # a star
        cls.counts[1, 10, 10] = 0
        with h5py.File(cls.root / "counts.h5", "w") as file:
            file["counts"] = cls.counts
        cls.empty = (cls.counts == 0).all(axis=0)
        for words in (["simulate"], ["train"], ["infer", "-task", "coverage", "-infer_keep_maps", "1"]):
            done = cls.run_program(*words)
            assert done.returncode == 0, done.stderr

    @classmethod
    def run_program(cls, name, *options):
        words = [BUILD / f"nephrite-{name}", "-config", "tiny.yaml", "-campaign", "campaign", *options]
        return subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=120, cwd=cls.root)

    def files(self):
        return sorted((self.root / "campaign/coverage").glob("observation-*.h5"))

    def test_noise_is_that_of_the_galaxies_of_each_pixel_and_bin(self):
        with np.errstate(divide="ignore"):
            expected = SIGMA_E / np.sqrt(self.counts)
        normal = []
        for path in self.files():
            with h5py.File(path) as file:
                np.testing.assert_allclose(file["observation/noise_std"][()], expected, rtol=1e-12)
                normal.append((file["observation/shear"][()] - sheared(file["truth/kappa"][()])) / expected[:, None])
        normal = np.stack(normal)[:, np.broadcast_to(self.counts[:, None] > 0, (BINS, 2, NY, NX))]
        for some in np.array_split(normal, 4, axis=1):
            self.assertLess(abs(some.std() - 1), 5 / np.sqrt(2 * some.size))  # 5 standard errors
            self.assertLess(abs(some.mean()), 5 / np.sqrt(some.size))

    def test_pixels_without_galaxies_are_masked_and_weights_are_shown(self):
        mean = np.array([plane[plane > 0].mean() for plane in self.counts])
        weight = np.sqrt(self.counts / mean[:, None, None])
        with h5py.File(self.files()[0]) as file:
            np.testing.assert_array_equal(file["observation/mask"][()] == 0, self.empty)
            shear, channels = file["observation/shear"][()], file["observation/channels"][()]
        self.assertTrue((shear[:, :, self.empty] == 0).all() and (shear[1, :, 10, 10] == 0).all())
        self.assertTrue((shear[0, :, 10, 10] != 0).all())
        self.assertEqual(channels.shape, (3 * BINS, NY, NX))
        np.testing.assert_allclose(channels[2 * BINS :], weight, rtol=1e-6)

    def test_the_wiener_filter_leans_on_galaxies_and_fills_where_there_are_none(self):
        for path in self.files():
            with h5py.File(path) as file:
                wiener, truth = file["wiener/kappa"][()], file["truth/kappa"][()]
                self.assertTrue(np.isfinite(wiener).all())
                self.assertLess(wiener.std(), truth.std())
                self.assertLess((wiener - truth).std(), truth.std())

        with h5py.File(self.root / "campaign/calibration.h5") as file:
            self.assertGreater(file["correlation/wiener"][()].min(), 0.1)

    def test_draws_are_finite_maps_of_the_surveys_shape(self):
        with h5py.File(self.files()[0]) as file:
            self.assertEqual(file["kappa"].shape, (4, BINS, NY, NX))
            self.assertTrue(np.isfinite(file["kappa"][()]).all())

    def test_a_users_observation_is_taken_if_its_noise_is_that_of_the_counts(self):
        with h5py.File(self.files()[1]) as made, h5py.File(self.root / "mine.h5", "w") as file:
            shear = made["observation/shear"][()]
            shear[:, :, self.empty] = np.nan
            file["shear"], file["noise_std"] = shear, made["observation/noise_std"][()]
            file.attrs["field_of_view"] = 4.0
        done = self.run_program("infer", "-task", "posterior", "-observation", "mine.h5")
        self.assertEqual(done.returncode, 0, done.stderr)
        with h5py.File(self.files()[1]) as made, h5py.File(self.root / "campaign/posterior/mine.h5") as file:
            np.testing.assert_array_equal(file["observation/channels"][()], made["observation/channels"][()])
        with h5py.File(self.root / "mine.h5", "a") as file:
            file["noise_std"][0, 7, 30] *= 1.1
        done = self.run_program("infer", "-task", "posterior", "-observation", "mine.h5")
        self.assertEqual(done.returncode, INPUT)
        self.assertIn("which differs from pixel to pixel", done.stderr)

    def test_counts_that_do_not_fit_are_refused_before_training(self):
        with h5py.File(self.root / "other.h5", "w") as file:
            file["counts"] = self.counts[:, :, :-1]
        done = self.run_program("train", "-survey_counts", "other.h5")
        self.assertEqual(done.returncode, INPUT)
        self.assertIn("counts is neither [y][x] = [16][32] nor [bin][y][x] = [2][16][32]", done.stderr)


def sheared(kappa):
    """Shear of periodic maps [bin, y, x] as [bin, component, y, x]."""
    ky, kx = np.fft.fftfreq(NY)[:, None], np.fft.fftfreq(NX)[None, :]
    k2 = np.where(kx**2 + ky**2 > 0, kx**2 + ky**2, 1)
    sine = 2 * kx * ky / k2
    sine[NY // 2, :] = sine[:, NX // 2] = 0
    modes = np.fft.fft2(kappa)
    return np.stack([np.fft.ifft2(factor * modes).real for factor in ((kx**2 - ky**2) / k2, sine)], axis=1)


if __name__ == "__main__":
    unittest.main(verbosity=2)
