#!/usr/bin/env python3
"""nephrite-check field, on files of its layout made here with NumPy: other sizes and bins, and files with faults."""

import os
import pathlib
import subprocess
import tempfile
import unittest

import h5py
import numpy as np

SOURCE = pathlib.Path(os.environ.get("NEPHRITE_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
BUILD = pathlib.Path(os.environ.get("NEPHRITE_BUILD", SOURCE / "build"))
DIFFERS, INPUT = 1, 65


def not_a_knot(x, y, at):
    """Cubic spline of y through x, its third derivative continuous at the second and the last but one knot."""
    n, h = len(x), np.diff(x)
    matrix, side = np.zeros((n, n)), np.zeros(n)
    for i in range(1, n - 1):
        matrix[i, i - 1 : i + 2] = h[i - 1], 2 * (h[i - 1] + h[i]), h[i]
        side[i] = 6 * ((y[i + 1] - y[i]) / h[i] - (y[i] - y[i - 1]) / h[i - 1])
    matrix[0, :3] = h[1], -h[0] - h[1], h[0]
    matrix[-1, -3:] = h[-1], -h[-1] - h[-2], h[-2]
    curvature = np.linalg.solve(matrix, side)
    i = np.clip(np.searchsorted(x, at, side="right") - 1, 0, n - 2)
    a = (x[i + 1] - at) / h[i]
    b = 1 - a
    bend = ((a**3 - a) * curvature[i] + (b**3 - b) * curvature[i + 1]) * h[i] ** 2 / 6
    return a * y[i] + b * y[i + 1] + bend


def roots(power, pairs, bins):
    matrix = np.zeros(power.shape[1:] + (bins, bins))
    for p, (i, j) in enumerate(pairs):
        matrix[..., i, j] = matrix[..., j, i] = power[p]
    value, vector = np.linalg.eigh(matrix)
    root = np.einsum("yxie,yxe,yxje->yxij", vector, np.sqrt(np.maximum(value, 0)), vector)
    return root, np.mean(value < -1e-12 * value.max())


def shear(kappa, kx, ky):
    ny, nx = kappa.shape[1:]
    k2 = np.where(kx**2 + ky**2 > 0, kx**2 + ky**2, 1)
    s = 2 * kx * ky / k2
    if ny % 2 == 0:
        s[ny // 2] = 0
    if nx % 2 == 0:
        s[:, nx // 2] = 0
    mode = np.fft.fft2(kappa)
    parts = [np.fft.ifft2(factor * mode).real for factor in ((kx**2 - ky**2) / k2, s)]
    return np.stack(parts, axis=1)


def write_file(path, ny, nx, bins, correlation=0.7):
    """A file of the layout of field.h5, with pairs in another order than the shipped file's."""
    rng = np.random.default_rng(nx)
    field_of_view = 3.0
    pixel = np.radians(field_of_view) / nx
    kx, ky = np.meshgrid(2 * np.pi * np.fft.fftfreq(nx, pixel), 2 * np.pi * np.fft.fftfreq(ny, pixel))
    ell = np.geomspace(150, 6000, 25)  # ends inside the grid's range: constant beyond
    pairs = [(i, j) for j in range(bins) for i in range(j + 1)]
    tilt = lambda i, j: 1e-9 * (1 + i) * (1 + j) * (ell / 500) ** (-1.2 + 0.1 * (i + j) + 0.1 * np.sin(np.log(ell)))
    table = np.array([tilt(i, j) * (1 if i == j else correlation) for i, j in pairs])
    shift = 0.01 * (1 + np.arange(bins))

    at = np.log(np.clip(np.where(kx**2 + ky**2 > 0, np.hypot(kx, ky), 1), ell[0], ell[-1]))
    power = np.array([np.exp(not_a_knot(np.log(ell), np.log(c), at)) for c in table]) / pixel**2
    power[:, 0, 0] = 0
    white = rng.standard_normal((bins, ny, nx))
    mode = np.fft.fft2(white)
    gaussian = np.fft.ifft2(np.einsum("yxij,jyx->iyx", roots(power, pairs, bins)[0], mode)).real

    xi = np.fft.ifft2(power).real
    product = np.array([shift[i] * shift[j] for i, j in pairs])[:, None, None]
    power_g = np.fft.fft2(np.log1p(xi / product)).real
    power_g[:, 0, 0] = 0
    root, negative = roots(power_g, pairs, bins)
    variance = np.einsum("yxij,yxij->i", root, root) / (nx * ny)
    g = np.fft.ifft2(np.einsum("yxij,jyx->iyx", root, mode)).real
    column = (slice(None), None, None)
    lognormal = shift[column] * np.expm1(g - variance[column] / 2)
    with h5py.File(path, "w") as file:
        file.attrs["kind"] = "field"
        file.attrs["field_of_view"] = field_of_view
        file.attrs["negative_eigenvalue_fraction"] = negative
        for name, values in {
            "ell": ell,
            "C_ell": table,
            "pairs": np.array(pairs),
            "shift": shift,
            "white_noise": white,
            "convergence_gaussian": gaussian,
            "convergence_lognormal": lognormal,
            "gaussian_variance": variance,
            "shear": shear(lognormal, kx, ky),
        }.items():
            file[name] = values
    return negative


class CheckField(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.file = pathlib.Path(self.scratch.name) / "field.h5"

    def tearDown(self):
        self.scratch.cleanup()

    def check(self, *more):
        command = [BUILD / "nephrite-check", "field", self.file, *more]
        return subprocess.run(command, capture_output=True, text=True)

    def assert_agrees(self):
        result = self.check()
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn("all 4 quantities", result.stdout)

    def test_files_of_other_sizes_and_bins_are_met(self):
        for ny, nx, bins in ((24, 32, 3), (32, 24, 2), (15, 21, 2), (16, 9, 4), (20, 20, 1), (8, 8, 6)):
            with self.subTest(ny=ny, nx=nx, bins=bins):
                write_file(self.file, ny, nx, bins)
                self.assert_agrees()

    def test_spectra_that_no_field_has_lose_their_negative_eigenvalues(self):
        self.assertGreater(write_file(self.file, 24, 32, 3, correlation=1.15), 0.1)
        self.assert_agrees()

    def test_one_wrong_number_fails_and_is_named(self):
        write_file(self.file, 12, 16, 2)
        for name in ("convergence_gaussian", "convergence_lognormal", "shear", "gaussian_variance"):
            with self.subTest(name=name):
                with h5py.File(self.file, "r+") as file:
                    kept = file[name][...]
                    file[name][...] = kept + 1e-8 * kept.max() * (kept == kept.max())
                result = self.check()
                self.assertEqual(result.returncode, DIFFERS)
                failed = [line for line in result.stdout.splitlines() if "FAIL" in line]
                self.assertEqual([line.split()[0] for line in failed], [name])
                with h5py.File(self.file, "r+") as file:
                    file[name][...] = kept

    def test_the_tolerance_can_be_given(self):
        write_file(self.file, 12, 16, 2)
        self.assertEqual(self.check("-tolerance", "1e-300").returncode, DIFFERS)

    def test_a_missing_dataset_is_named(self):
        for name in ("C_ell", "shift", "shear", "gaussian_variance"):
            with self.subTest(name=name):
                write_file(self.file, 12, 16, 2)
                with h5py.File(self.file, "r+") as file:
                    del file[name]
                result = self.check()
                self.assertEqual(result.returncode, INPUT)
                self.assertIn(name, result.stderr)

    def test_datasets_that_do_not_fit_each_other_are_refused(self):
        write_file(self.file, 12, 16, 2)
        with h5py.File(self.file, "r+") as file:
            del file["shear"]
            file["shear"] = np.zeros((2, 2, 16, 12))
        result = self.check()
        self.assertEqual(result.returncode, INPUT)
        self.assertIn("dataset shear has 16 values along axis 2", result.stderr)

    def test_a_file_of_another_kind_is_refused(self):
        with h5py.File(self.file, "w") as file:
            file["kappa"] = np.zeros(3)
        result = self.check()
        self.assertEqual(result.returncode, INPUT)
        self.assertIn("neither white_noise", result.stderr)


if __name__ == "__main__":
    unittest.main()
