#!/usr/bin/env python3
"""tools/ingest: maps of other formats become a campaign that is trained and drawn from like any other."""

import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

import h5py
import numpy as np

SOURCE = pathlib.Path(os.environ.get("NEPHRITE_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
BUILD = pathlib.Path(os.environ.get("NEPHRITE_BUILD", SOURCE / "build"))
NAMES = ["Omega_c", "Omega_b", "sigma_8", "h", "n_s", "w_0"]
MAPS = 40
CONFIG = """
seed: 3
survey: {map_size: [16, 12], field_of_view: 4, bins: 2}
simulate: {realisations: 40, shard_size: 15}
network: {depth: 1, width: 16, heads: 1, patch: 4, bottleneck: 16, cosmology_tokens: 1}
train: {steps: 4, batch: 4, held_out: 8, validations: 4, validate_every: 2, checkpoint_every: 2}
infer: {observations: 4, draws: 8, evaluations: 5}
"""
HAS_ASTROPY = importlib.util.find_spec("astropy") is not None


class Ingest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.root = pathlib.Path(tempfile.mkdtemp(prefix="nephrite-ingest-"))
        (cls.root / "tiny.yaml").write_text(CONFIG)
        done = cls.program("simulate", "original")
        assert done.returncode == 0, done.stderr
        with h5py.File(cls.root / "original/sims/campaign.h5") as file:
            cls.kappa, cls.theta = file["kappa"][:], file["theta"][:]

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.root)

    @classmethod
    def program(cls, name, campaign, *options):
        words = [
            BUILD / f"nephrite-{name}",
            "-config",
            cls.root / "tiny.yaml",
            "-campaign",
            cls.root / campaign,
            *options,
        ]
        return subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=120)

    def setUp(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(dir=self.root))
        self.output = self.folder / "maps.h5"

    def table(self, columns=None, theta=None, extra=""):
        """CSV with the columns in another order, and one that nobody asked for."""
        theta = self.theta if theta is None else theta
        order = columns or NAMES[::-1]
        with open(self.folder / "table.csv", "w") as file:
            file.write("# made elsewhere\nrun," + ",".join(order) + "\n")
            for row, values in enumerate(theta):
                file.write(f"{row}," + ",".join(repr(float(values[NAMES.index(name)])) for name in order) + "\n")
        return self.folder / "table.csv"

    def ingest(self, files, *options, table=None):
        words = [SOURCE / "tools/ingest", "--parameters", table or self.table(), "--field-of-view", 4]
        words += ["--output", self.output, *options, *files]
        return subprocess.run([*map(str, words)], capture_output=True, text=True, timeout=120)

    def campaign_of(self, name, *options):
        done = self.program("simulate", name, "-simulate_maps", self.output, *options)
        self.assertEqual(done.returncode, 0, done.stderr)
        with h5py.File(self.root / name / "sims/campaign.h5") as file:
            return file["kappa"][:], file["theta"][:]

    def npy_files(self, kappa=None, pieces=4):
        kappa = self.kappa if kappa is None else kappa
        for number, piece in enumerate(np.array_split(kappa, pieces)):
            np.save(self.folder / f"map{9 + number}.npy", piece)  # map9, map10, …: not the order of their letters
        return self.folder.glob("map*.npy")

    def assertSame(self, name):
        kappa, theta = self.campaign_of(name)
        np.testing.assert_array_equal(kappa, self.kappa)
        np.testing.assert_array_equal(theta, self.theta)

    def test_maps_of_numpy_come_back_bit_for_bit(self):
        done = self.ingest(self.npy_files(), "--keep-order")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("40 maps of 2 bins, 16 x 12 pixels", done.stdout)
        self.assertSame("numpy")

    @unittest.skipUnless(HAS_ASTROPY, "astropy is not there")
    def test_maps_of_astropy_come_back_bit_for_bit(self):
        from astropy.io import fits

        for number, kappa in enumerate(self.kappa):
            fits.HDUList([fits.PrimaryHDU(), fits.ImageHDU(kappa)]).writeto(self.folder / f"kappa_{number}.fits")
        columns = [fits.Column(name=name, format="D", array=self.theta[:, p]) for p, name in enumerate(NAMES)]
        table = self.folder / "table.fits"
        fits.BinTableHDU.from_columns(columns).writeto(table)
        done = self.ingest(self.folder.glob("kappa_*.fits"), "--keep-order", table=table)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertSame("astropy")

    def test_maps_of_hdf5_in_other_axes_units_and_precision_come_back_bit_for_bit(self):
        with h5py.File(self.folder / "all.hdf5", "w") as file:
            file["sky/convergence"] = 4 * self.kappa.astype(">f8").transpose(0, 2, 3, 1)
            file["sky/other"] = np.zeros((2, 2))
        options = ["--axes", "nyxb", "--dataset", "sky/convergence", "--scale", 0.25, "--keep-order"]
        done = self.ingest([self.folder / "all.hdf5"], *options)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertSame("hdf5")

    def test_a_shuffled_campaign_is_trained_and_drawn_from_like_any_other(self):
        self.assertEqual(self.ingest(self.npy_files()).returncode, 0)
        kappa, theta = self.campaign_of("shuffled")
        with h5py.File(self.output) as file:
            place = file["source"][:]
        self.assertGreater((place != np.arange(MAPS)).sum(), MAPS // 2)
        np.testing.assert_array_equal(kappa[place], self.kappa)
        np.testing.assert_array_equal(theta[place], self.theta)
        for name, options in (("train", ()), ("infer", ("-task", "coverage"))):
            done = self.program(name, "shuffled", "-simulate_maps", self.output, *options)
            self.assertEqual(done.returncode, 0, done.stderr)
        with h5py.File(self.root / "shuffled/coverage/observation-00000.h5") as file:
            np.testing.assert_array_equal(file["truth/kappa"][:], kappa[MAPS - 8])
        tool = [sys.executable, SOURCE / "tools/inspect", "--verify", self.root / "shuffled"]
        done = subprocess.run(["bash", *map(str, tool[1:])], capture_output=True, text=True, timeout=120)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def test_a_nuisance_that_varies_is_a_parameter(self):
        with h5py.File(self.folder / "table.h5", "w") as file:
            file["theta"] = np.column_stack([self.theta, np.linspace(-1, 1, MAPS), np.zeros(MAPS)])
            file["theta"].attrs["parameters"] = ",".join([*NAMES, "A_IA", "w_a"])
        done = self.ingest(self.npy_files(), "--keep-order", table=self.folder / "table.h5")
        self.assertEqual(done.returncode, 0, done.stderr)
        done = self.program("simulate", "nuisance", "-simulate_maps", self.output)
        self.assertEqual(done.returncode, 65)
        self.assertIn("theta is of Omega_c,Omega_b,sigma_8,h,n_s,w_0,A_IA", done.stderr)
        _, theta = self.campaign_of("nuisance", "-prior_A_IA", "uniform:-2,2")
        np.testing.assert_array_equal(theta[:, 6], np.linspace(-1, 1, MAPS))

    def test_maps_of_equal_parameters_stay_together_where_asked(self):
        theta = np.tile(self.theta[:8], (5, 1))
        done = self.ingest(self.npy_files(), "--together", table=self.table(theta=theta))
        self.assertEqual(done.returncode, 0, done.stderr)
        kappa, shuffled = self.campaign_of("together")
        with h5py.File(self.output) as file:
            place = file["source"][:]
        np.testing.assert_array_equal(kappa[place], self.kappa)
        np.testing.assert_array_equal(shuffled[place], theta)
        self.assertEqual(np.count_nonzero(np.diff(shuffled[:, 0])), 7)
        self.assertNotEqual(list(shuffled[::5, 0]), sorted(shuffled[::5, 0]))
        self.assertFalse(all((np.diff(place[i::8]) > 0).all() for i in range(8)))  # nor in their order among themselves

    def test_columns_may_be_called_otherwise(self):
        table = self.table()
        table.write_text(table.read_text().replace("Omega_c", "Oc").replace("w_0", "w"))
        files = [*self.npy_files()]
        self.assertRefused(self.ingest(files, "--rename", "Om=Omega_c", table=table), "no column Om, which --rename")
        done = self.ingest(files, "--keep-order", "--rename", "Oc=Omega_c", "--rename", "w=w_0", table=table)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertSame("renamed")

    def test_a_file_that_tells_of_other_pixels_is_refused(self):
        for side, code in ((4.001, 0), (5, 65)):
            path = self.folder / "all.h5"
            with h5py.File(path, "w") as file:
                file["kappa"] = self.kappa
                file["kappa"].attrs["field_of_view"] = side
            done = self.ingest([path])
            self.assertEqual(done.returncode, code, done.stderr)
        self.assertIn("says that its maps are 5 degrees wide; --field-of-view says 4", done.stderr)

    @unittest.skipUnless(HAS_ASTROPY, "astropy is not there")
    def test_a_fits_header_that_tells_of_other_pixels_is_refused(self):
        from astropy.io import fits

        path = self.folder / "all.fits"
        for pixels, unit, code in ((16, "deg", 0), (20, "deg", 65), (20, "arcmin", 0)):
            image = fits.PrimaryHDU(self.kappa)
            image.header["CDELT1"], image.header["CUNIT1"] = -4 / pixels, unit
            image.writeto(path, overwrite=True)
            done = self.ingest([path])
            self.assertEqual(done.returncode, code, done.stderr)

    def test_wrong_usage_is_told(self):
        for options in (["--rename", "w"], ["--together", "--keep-order"]):
            self.assertEqual(self.ingest(self.npy_files(), *options).returncode, 64)

    def assertRefused(self, done, *words):
        self.assertEqual(done.returncode, 65, done.stdout + done.stderr)
        for word in words:
            self.assertIn(word, done.stderr)
        self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
        self.assertEqual([*self.folder.glob("maps.h5*")], [])

    def test_what_cannot_be_used_is_refused_and_nothing_is_left(self):
        kappa = self.kappa.copy()
        kappa[21, 1, 3, 5] = np.nan
        self.assertRefused(self.ingest(self.npy_files(kappa)), "map11.npy: map 1 is nan in bin 1 at y 3, x 5")
        files = [*self.npy_files()]
        self.assertRefused(self.ingest(files, table=self.table(NAMES[:5])), "no column w_0")
        self.assertRefused(self.ingest(files, table=self.table(theta=self.theta[:39])), "39 rows")
        self.assertRefused(self.ingest(files[:3]), "40 rows, and there are 30 maps")
        self.assertRefused(self.ingest(files, "--axes", "nbxx"), "names each by")
        np.save(files[2], self.kappa[20:30, :, :8])
        self.assertRefused(self.ingest(files), "after maps of")
        self.assertRefused(self.ingest([self.folder / "map.jpg"]), "must end in")
        self.assertRefused(self.ingest([self.folder / "nowhere.npy"]), "nowhere.npy")

    def test_programs_refuse_what_does_not_fit_the_file(self):
        self.assertEqual(self.ingest(self.npy_files(), "--keep-order").returncode, 0)
        for number, (words, options) in enumerate(
            (
                ("has 40 maps", ["-simulate_realisations", 41]),
                ("4 degrees wide; survey_field_of_view is 5", ["-survey_field_of_view", 5]),
                ("with 1 bins", ["-survey_bins", 1]),
            )
        ):
            done = self.program("simulate", f"misfit{number}", "-simulate_maps", self.output, *options)
            self.assertEqual(done.returncode, 65, done.stderr)
            self.assertIn(words, done.stderr)
        done = self.program("train", "misfit", "-simulate_maps", self.output, "-train_source", "online")
        self.assertEqual(done.returncode, 64, done.stderr)
        self.assertIn("made elsewhere", done.stderr)
        self.campaign_of("changed")
        self.assertEqual(self.ingest(self.npy_files()).returncode, 0)
        done = self.program("simulate", "changed", "-simulate_maps", self.output)
        self.assertEqual(done.returncode, 65, done.stderr)
        self.assertIn("another content of", done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
