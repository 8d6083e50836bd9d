#!/usr/bin/env python3
"""nephrite-check cosmology and shift: on the shipped files, and on files of their layout cut from them."""

import os
import pathlib
import subprocess
import tempfile
import unittest

import h5py
import numpy as np

SOURCE = pathlib.Path(os.environ.get("NEPHRITE_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
BUILD = pathlib.Path(os.environ.get("NEPHRITE_BUILD", SOURCE / "build"))
REFERENCE = SOURCE / "tests" / "reference"
DIFFERS, INPUT = 1, 65


def check(kind, path, *options):
    return subprocess.run(
        [BUILD / "nephrite-check", kind, path, *options], capture_output=True, text=True, check=False, timeout=300
    )


def line_of(result, quantity):
    for line in result.stdout.splitlines():
        if line.startswith(quantity + "  "):
            return line
    raise AssertionError(f"no line {quantity} in {result.stdout}{result.stderr}")


class Theory(unittest.TestCase):
    def setUp(self):
        self.directory = tempfile.TemporaryDirectory()
        self.path = pathlib.Path(self.directory.name) / "other.h5"

    def tearDown(self):
        self.directory.cleanup()

    def cosmology_file(self, models=(3, 0), bins=(4, 1), columns=(5, 2, 0, 1, 4, 3)):
        """Some models, bins in another order (and their pairs in another), parameters in another, no extras."""
        with h5py.File(REFERENCE / "cosmology.h5") as whole, h5py.File(self.path, "w") as part:
            names = whole["theta"].attrs["parameters"].split(",")
            part["theta"] = whole["theta"][:][list(models)][:, list(columns)]
            part["theta"].attrs["parameters"] = ", ".join(names[c] for c in columns)
            for name in ("ell", "k", "z_distance", "z_power", "n_of_z/z"):
                part[name] = whole[name][:]
            part["n_of_z/n"] = whole["n_of_z/n"][:][list(bins)] * 7  # of no particular normalisation
            wanted = [(1, 1), (1, 0), (0, 0)]
            part["pairs"] = np.array(wanted)
            rows = [tuple(p) for p in whole["pairs"][:]]
            at = [rows.index(tuple(sorted((bins[i], bins[j])))) for i, j in wanted]
            for name in ("comoving_distance", "growth_factor", "P_linear", "P_nonlinear"):
                part[f"ccl/{name}"] = whole[f"ccl/{name}"][:][list(models)]
            part["ccl/C_ell"] = whole["ccl/C_ell"][:][list(models)][:, at]

    def test_spectra_with_alignment_too_strong_for_a_lognormal_field_are_compared(self):
        with h5py.File(REFERENCE / "cosmology.h5") as whole, h5py.File(self.path, "w") as part:
            for name in whole:
                if name != "jax_cosmo":
                    whole.copy(name, part)
            names = part["extended/theta"].attrs["parameters"].split(",")
            part["extended/theta"][1, names.index("A_IA")] = 5
        result = check("cosmology", self.path)
        self.assertEqual(result.returncode, DIFFERS, result.stderr)  # the file's are of A_IA = 1
        self.assertIn("model 1", line_of(result, "extended/ccl/C_ell"))

    def shift_file(self, rows=slice(0, 40)):
        with h5py.File(REFERENCE / "shift.h5") as whole, h5py.File(self.path, "w") as part:
            for name, value in whole.attrs.items():
                part.attrs[name] = value
            for name in ("theta", "bin", "shift_evaluated"):
                part[name] = whole[name][rows]
            part["theta"].attrs["parameters"] = whole["theta"].attrs["parameters"]

    def test_the_shipped_files_pass(self):
        for kind in ("cosmology", "shift"):
            result = check(kind, REFERENCE / f"{kind}.h5")
            self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn("info", line_of(result, "shift"))

    def test_models_bins_pairs_and_parameters_may_be_others(self):
        self.cosmology_file()
        result = check("cosmology", self.path)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)
        self.assertIn("all 5 quantities", result.stdout)

    def test_a_wrong_value_is_found_and_its_place_named(self):
        places = {
            "comoving_distance": ((1, 2), "model 1, z = 0.5"),
            "growth_factor": ((0, 0), "model 0, z = 0.1"),
            "P_linear": ((1, 3, 100), "model 1, z = 2, k = 0.07308"),
            "P_nonlinear": ((0, 1, 120), "model 0, z = 0.5, k ="),
            "C_ell": ((1, 1, 59), "model 1, bins 1 and 0, ell = 20000"),
        }
        for name, (index, where) in places.items():
            self.cosmology_file()
            with h5py.File(self.path, "r+") as part:
                part[f"ccl/{name}"][index] *= 1.05
            result = check("cosmology", self.path)
            self.assertEqual(result.returncode, DIFFERS, result.stdout + result.stderr)
            self.assertEqual(result.stdout.count("FAIL"), 1, result.stdout)
            self.assertIn("FAIL", line_of(result, f"ccl/{name}"))
            self.assertIn(where, line_of(result, f"ccl/{name}"))

    def test_what_the_other_code_could_not_compute_is_left_out(self):
        self.cosmology_file()
        with h5py.File(self.path, "r+") as part:
            part["ccl/P_nonlinear"][0] = np.nan
            part["ccl/C_ell"][0] = np.nan
        self.assertEqual(check("cosmology", self.path).returncode, 0)

    def test_a_file_that_lacks_something_is_named_as_such(self):
        for name in ("n_of_z/n", "ccl/growth_factor", "pairs", "theta"):
            self.cosmology_file()
            with h5py.File(self.path, "r+") as part:
                del part[name]
            result = check("cosmology", self.path)
            self.assertEqual(result.returncode, INPUT, result.stdout + result.stderr)
            self.assertIn(name, result.stderr)

    def test_an_unknown_parameter_and_a_bin_out_of_range_are_refused(self):
        self.cosmology_file()
        with h5py.File(self.path, "r+") as part:
            part["theta"].attrs["parameters"] = "w_0,sigma_8,Omega_c,Omega_b,n_s,Omega_nu"
        result = check("cosmology", self.path)
        self.assertEqual(result.returncode, INPUT)
        self.assertIn("Omega_nu", result.stderr)
        self.cosmology_file()
        with h5py.File(self.path, "r+") as part:
            part["pairs"][0] = 2, 0
        result = check("cosmology", self.path)
        self.assertEqual(result.returncode, INPUT)
        self.assertIn("pairs has bin 2", result.stderr)

    def test_a_wrong_shift_is_found_and_its_place_named(self):
        self.shift_file()
        self.assertEqual(check("shift", self.path).returncode, 0)
        with h5py.File(self.path, "r+") as part:
            part["shift_evaluated"][7] *= 1.02
        result = check("shift", self.path)
        self.assertEqual(result.returncode, DIFFERS)
        self.assertIn("bin 2, Omega_m = 0.1, sigma_8 = 0.3, w_0 = -1.514", line_of(result, "shift_evaluated"))

    def test_shifts_of_another_disc_differ(self):
        self.shift_file()
        with h5py.File(self.path, "r+") as part:
            part.attrs["radius_arcmin"] = 2 * part.attrs["radius_arcmin"]
        self.assertEqual(check("shift", self.path).returncode, DIFFERS)

    def test_parameters_of_shifts_may_be_columns_and_bins_the_file_s(self):
        self.shift_file(slice(0, 40, 5))  # bin 0 alone
        survey_z = np.linspace(0, 5, 2001)
        with h5py.File(REFERENCE / "cosmology.h5") as whole, h5py.File(self.path, "r+") as part:
            theta = part["theta"][:]
            del part["theta"], part.attrs["h"]
            part["theta"] = np.column_stack([np.full(len(theta), 0.6727), theta])
            part["theta"].attrs["parameters"] = "h,Omega_m,sigma_8,w_0"
            part["n_of_z/z"] = survey_z
            part["n_of_z/n"] = [np.interp(survey_z, whole["n_of_z/z"][:], whole["n_of_z/n"][0])]
        result = check("shift", self.path)
        self.assertEqual(result.returncode, 0, result.stdout + result.stderr)


if __name__ == "__main__":
    unittest.main()
