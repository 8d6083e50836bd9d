#!/usr/bin/env python3
# nephrite-test: tools
"""tools/report shows what is in the products, and tools/inspect sees when they are not whole."""

import csv
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

import h5py
import numpy as np

SOURCE = pathlib.Path(os.environ.get("NEPHRITE_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(SOURCE / "tools"))
sys.path.insert(0, str(SOURCE / "tests/programs"))

import synthetic_campaign as synthetic  # noqa: E402
from nephrite_tools import figures_population, report, statistics  # noqa: E402

FIGURES = (
    "maps",
    "triangle",
    "parameters",
    "spectra",
    "one_point",
    "recovery",
    "training",
    "mira",
    "mira_cells",
    "cells",
    "tarp",
    "sbc",
    "run_times",
)


def run(tool, *arguments):
    return subprocess.run([SOURCE / "tools" / tool, *map(str, arguments)], capture_output=True, text=True, timeout=120)


def table(path):
    with open(path, newline="") as file:
        return list(csv.DictReader(file))


class Statistics(unittest.TestCase):
    def test_band_powers_of_white_noise_are_its_variance_times_the_pixel_area(self):
        noise = np.random.default_rng(0).normal(size=(200, 32, 24))
        edges = statistics.multipole_bins((32, 24), 0.01)
        power = statistics.band_powers(noise, noise, 0.01, edges).mean(0)
        np.testing.assert_allclose(power, 1e-4, rtol=0.1)  # the lowest bin averages 200 x 8 modes: 3.5% each

    def test_band_powers_of_a_plane_wave_are_in_its_bin_alone(self):
        pixel, x = 0.01, np.arange(32)
        wave = np.cos(2 * np.pi * 5 * x / 32)[None, :] * np.ones((32, 1))
        edges = statistics.multipole_bins((32, 32), pixel)
        power = statistics.band_powers(wave, wave, pixel, edges)
        ell = 2 * np.pi * 5 / (32 * pixel)
        self.assertEqual(np.flatnonzero(power > 1e-12).tolist(), [np.searchsorted(edges, ell) - 1])

    def test_cross_power_of_a_map_with_itself_reversed_in_sign_is_minus_its_power(self):
        a = np.random.default_rng(1).normal(size=(16, 16))
        edges = statistics.multipole_bins((16, 16), 0.1)
        auto = statistics.band_powers(a, a, 0.1, edges)
        np.testing.assert_allclose(statistics.band_powers(a, -a, 0.1, edges), -auto)

    def test_density_of_a_gaussian_is_that_gaussian_a_little_wider(self):
        samples = np.random.default_rng(2).normal(size=20000)
        grid = np.linspace(-4, 4, 81)
        width2 = 1 + 20000**-0.4  # the kernel adds its variance
        expected = np.exp(-0.5 * grid**2 / width2) / np.sqrt(2 * np.pi * width2)
        np.testing.assert_allclose(statistics.density_1d(samples, grid), expected, atol=0.012)

    def test_density_at_a_hard_bound_does_not_leak_over_it(self):
        samples = np.random.default_rng(3).uniform(size=20000)
        grid = np.linspace(-0.5, 1.5, 401)
        density = statistics.density_1d(samples, grid, 0, 1)
        self.assertEqual(density[grid < 0].max(), 0)
        np.testing.assert_allclose(density[(grid > 0.01) & (grid < 0.99)], 1, atol=0.1)

    def test_contour_levels_of_a_gaussian_enclose_what_they_should(self):
        x = np.linspace(-5, 5, 201)
        density = np.exp(-0.5 * (x[:, None] ** 2 + x[None, :] ** 2))
        low, high = statistics.credible_levels(density, (0.95, 0.68))
        np.testing.assert_allclose([low, high], [0.05, 0.32], rtol=0.02)  # 1 - fraction, in two dimensions

    def test_correlation_is_one_with_itself_and_zero_with_a_constant(self):
        a = np.random.default_rng(4).normal(size=(3, 8, 8))
        np.testing.assert_allclose(statistics.correlation(a, 2 * a + 1), 1)
        np.testing.assert_array_equal(statistics.correlation(a, np.ones_like(a)), 0)

    def test_draws_of_one_distribution_are_not_told_apart(self):
        rng = np.random.default_rng(5)
        a, b = rng.normal(size=(2, 2000, 6))
        score, error = statistics.classifier_score(a, b)
        self.assertAlmostEqual(error, 0.5 / np.sqrt(4000))
        self.assertLess(abs(score - 0.5), 4 * error)
        score, error = statistics.classifier_score(a[:60], b[:60])  # a fit of as few could tell any draws apart
        self.assertLess(abs(score - 0.5), 3 * error)

    def test_shifts_widths_and_correlations_tell_draws_apart(self):
        rng = np.random.default_rng(6)
        a = rng.normal(size=(2000, 2))
        shifted = rng.normal(size=(2000, 2)) + [1, 0]
        self.assertAlmostEqual(statistics.classifier_score(a, shifted)[0], 0.6915, delta=0.03)  # Phi(1/2)
        wider = 3 * rng.normal(size=(2000, 2))
        # |x|^2 > 18/8 ln 9: e^{-a/18} - e^{-a/2} with a = 4.944, and half of what is left
        self.assertAlmostEqual(statistics.classifier_score(a, wider)[0], 0.5 + (np.exp(-4.944 / 18) - np.exp(-4.944 / 2)) / 2, delta=0.03)  # fmt: skip
        x = rng.normal(size=2000)
        correlated = np.stack([x, 0.95 * x + np.sqrt(1 - 0.95**2) * rng.normal(size=2000)], 1)
        self.assertGreater(statistics.classifier_score(a, correlated)[0], 0.7)

    def test_a_column_that_is_fixed_tells_nothing(self):
        rng = np.random.default_rng(7)
        a, b = rng.normal(size=(2, 500, 3))
        a[:, 1] = b[:, 1] = 0.7
        score, error = statistics.classifier_score(a, b)
        self.assertLess(abs(score - 0.5), 4 * error)


class Comparison(unittest.TestCase):
    """Draws of the network beside those of another method, which are moved by a share of their spread and wider."""

    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.campaign = pathlib.Path(cls.scratch.name) / "demo"
        synthetic.create_campaign(cls.campaign)
        synthetic.reference(cls.campaign, "hmc")
        synthetic.reference(cls.campaign, "hmc", 1, shift=0.1, width=1.25)
        synthetic.reference(cls.campaign, "hmc", 2)
        for folder, digest in (("posterior", 1), ("posterior-hmc", 2)):
            with h5py.File(cls.campaign / folder / "observation-00002.h5", "a") as file:
                file.attrs["observation_digest"] = digest
        synthetic.reference(cls.campaign, "gaussian", 1)
        for o in range(synthetic.OBSERVATIONS):
            synthetic.estimate(cls.campaign, "posterior-ks", o)
            synthetic.estimate(cls.campaign, "map", o, -1)
        cls.done = run("report", cls.campaign)
        cls.report = cls.campaign / "report"

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def row(self, quantity):
        """Value and meaning in the page's table."""
        text = (self.report / "index.html").read_text()
        return re.search(rf"<td>{quantity}</td><td[^>]*>([^<]*)</td><td[^>]*>(.*?)</td>", text).groups()

    def drawn(self, name, folder="posterior-hmc"):
        with h5py.File(self.campaign / folder / "observation-00000.h5") as file:
            return file[name][()].astype(float)

    def test_every_method_has_its_figures(self):
        self.assertEqual(self.done.returncode, 0, self.done.stderr)
        text = (self.report / "index.html").read_text()
        for method in ("hmc", "gaussian"):
            for figure in ("triangle", "maps", "spectra", "one_point"):
                self.assertIn(f'src="{figure}-{method}.png"', text)
                self.assertGreater(len(table(self.report / f"{figure}-{method}.csv")), 1)
        self.assertNotIn("triangle-ks", text)

    def test_observations_of_coverage_are_compared_where_they_are_more(self):
        with tempfile.TemporaryDirectory() as scratch:
            copy = pathlib.Path(scratch) / "demo"
            rng = np.random.default_rng(8)
            for o in range(3):
                synthetic.posterior(copy / f"posterior/observation-{o:05d}.h5", rng)
                synthetic.reference(copy, "gaussian", o, shift=0.4, width=1)
            squares = []
            for folder in ("posterior", "posterior-gaussian"):
                squares.append([])
                for o in range(3):
                    with h5py.File(copy / folder / f"observation-{o:05d}.h5", "a") as file:
                        file["truth/kappa"][()] += 0.004  # an error of both means that is no noise
                        kappa, truth = (file[name][()].astype(float) for name in ("kappa", "truth/kappa"))
                    noise = kappa.var(0, ddof=1) / synthetic.DRAWS
                    squares[-1].append(((kappa.mean(0) - truth) ** 2 - noise).mean((1, 2)))
                (copy / folder).rename(copy / folder.replace("posterior", "coverage"))
            self.assertEqual(run("report", copy).returncode, 0)
            page = copy / "report/index.html"
            text, before = page.read_text(), page.stat().st_mtime_ns
            (copy / "coverage-gaussian/observation-00001.h5").touch()
            self.assertEqual(run("report", copy).returncode, 0)
            self.assertGreater(page.stat().st_mtime_ns, before)
        self.assertRegex(
            text,
            r"parameters beside exact posterior</td><td[^>]*>Omega_c 0.40 σ.*over 3 observations; 0.23 σ by chance",
        )
        (values,) = re.findall(r"errors of map means beside exact posterior</td><td[^>]*>([^<]*)<", text)
        expected = np.sqrt(np.mean(squares[0], 0) / np.mean(squares[1], 0))
        self.assertGreater(expected.min(), 1.2)
        np.testing.assert_allclose([float(value) for value in values.split(", ")], expected, atol=6e-4)

    def test_shift_and_width_are_in_units_of_the_reference(self):
        shifts, _ = self.row("parameters beside Hamiltonian Monte Carlo")
        for name in ("Omega_c", "sigma_8", "w_0"):
            self.assertIn(f"{name} 0.20 σ", shifts)  # 0.3 and 0.1
        self.assertIn("S8", shifts)
        widths, _ = self.row("widths beside Hamiltonian Monte Carlo")
        self.assertIn("Omega_c 0.65", widths)  # 1/2 and 1/1.25
        self.assertNotIn("h", [part.split()[0] for part in widths.split(", ")])  # it is fixed
        for row in table(self.report / "maps-hmc.csv"):
            self.assertAlmostEqual(float(row["rms_shift_of_mean"]), 0.3, delta=1e-3)
            self.assertAlmostEqual(float(row["mean_ratio_of_std"]), 0.5, delta=1e-3)
        self.assertEqual(self.row("map means beside Hamiltonian Monte Carlo")[0], "0.300, 0.300")
        self.assertEqual(self.row("map widths beside Hamiltonian Monte Carlo")[0], "0.500, 0.500")

    def test_a_classifier_tells_the_free_parameters_of_both_apart(self):
        for method, observations in (("Hamiltonian Monte Carlo", (0, 1)), ("exact posterior", (1,))):
            folder = {"exact posterior": "posterior-gaussian"}.get(method, "posterior-hmc")
            scores = []
            for o in observations:
                both = []
                for where in ("posterior", folder):
                    with h5py.File(self.campaign / where / f"observation-{o:05d}.h5") as file:
                        both.append(file["theta"][()][:, [0, 1, 2, 4, 5]])
                scores.append(statistics.classifier_score(*both))
            score, error = np.mean(scores, 0)
            error /= np.sqrt(len(observations))
            value, verdict = self.row(f"told apart from {method}")
            self.assertEqual(value, f"{score:.3f} ± {error:.3f}")
            self.assertIn('class="holds"' if score - 0.5 < 3 * error else 'class="fails"', verdict)

    def test_densities_are_those_of_each(self):
        rows = [r for r in table(self.report / "one_point-hmc.csv") if r["bin"] == "2"]
        kappa = np.array([float(r["kappa"]) for r in rows])
        step = (kappa[-1] - kappa[0]) / (len(kappa) - 1)
        edges = np.append(kappa - step / 2, kappa[-1] + step / 2)
        for column, folder in (("diffusion", "posterior"), ("reference", "posterior-hmc")):
            expected = np.histogram(self.drawn("kappa", folder)[:, 1], edges, density=True)[0]
            density = np.array([float(r[column]) for r in rows])
            np.testing.assert_allclose(density / density.sum(), expected / expected.sum(), atol=0.01)
        rows = [r for r in table(self.report / "triangle-hmc.csv") if r["parameter"] == "sigma_8"]
        grid = np.array([float(r["value"]) for r in rows])
        for column, folder in (("posterior_density", "posterior"), ("reference_density", "posterior-hmc")):
            expected = statistics.density_1d(self.drawn("theta", folder)[:, 2], grid)
            np.testing.assert_allclose([float(r[column]) for r in rows], expected, rtol=1e-4, atol=1e-4)

    def test_the_ratio_of_power_is_that_of_the_maps(self):
        pixel = np.radians(5) / synthetic.SIZE
        with h5py.File(self.campaign / "posterior/observation-00000.h5") as own, h5py.File(
            self.campaign / "posterior-hmc/observation-00000.h5"
        ) as other:
            a, b = own["kappa"][()].astype(float), other["kappa"][()].astype(float)
        edges = statistics.multipole_bins(a.shape[-2:], pixel)
        power = [statistics.band_powers(x[:, 1], x[:, 0], pixel, edges) for x in (a, b)]
        expected = [p.mean(0) for p in power]
        rows = [r for r in table(self.report / "spectra-hmc.csv") if (r["bin_i"], r["bin_j"]) == ("2", "1")]
        np.testing.assert_allclose([float(r["ratio"]) for r in rows], expected[0] / expected[1], rtol=1e-6)
        scatter = np.hypot(*(p.std(0, ddof=1) for p in power)) / np.sqrt(synthetic.DRAWS)
        np.testing.assert_allclose([float(r["error"]) for r in rows], scatter / np.abs(expected[1]), rtol=1e-6)

    def test_the_page_depends_on_the_products_of_every_method(self):
        folders = {path.parent.name for path in report.input_files(self.campaign)}
        self.assertLessEqual({"posterior", "posterior-hmc", "posterior-gaussian", "posterior-ks", "map"}, folders)

    def test_maps_without_draws_stand_in_the_recovery(self):
        rows = table(self.report / "recovery.csv")
        for name, correlation in (("Kaiser–Squires", 1), ("most probable map", -1)):
            self.assertEqual([float(row[name]) for row in rows], [correlation] * 2)

    def test_other_observations_of_the_same_name_are_not_compared(self):
        for quantity in ("parameters", "widths"):
            self.assertIn("over 2 observations", self.row(f"{quantity} beside Hamiltonian Monte Carlo")[1])


class Report(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory()
        cls.campaign = pathlib.Path(cls.scratch.name) / "demo"
        synthetic.create_campaign(cls.campaign)
        cls.done = run("report", cls.campaign)
        cls.report = cls.campaign / "report"

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def test_it_prints_the_path_of_a_page_that_shows_every_figure(self):
        self.assertEqual(self.done.returncode, 0, self.done.stderr)
        page = pathlib.Path(self.done.stdout.strip())
        text = page.read_text()
        for name in FIGURES:
            self.assertIn(f'src="{name}.png"', text)
            self.assertGreater((self.report / f"{name}.png").stat().st_size, 10000)
            self.assertGreater(len(table(self.report / f"{name}.csv")), 1)

    def test_the_page_needs_nothing_from_elsewhere(self):
        text = (self.report / "index.html").read_text()
        for reference in re.findall(r'(?:src|href)="([^"#]+)"', text):
            self.assertTrue((self.report / reference).exists(), reference)

    def test_the_spectra_are_those_of_the_maps(self):
        with h5py.File(self.campaign / "posterior/observation-00000.h5") as file:
            truth = file["truth/kappa"][()].astype(float)
        pixel = np.radians(5) / synthetic.SIZE
        edges = statistics.multipole_bins(truth.shape[-2:], pixel)
        rows = [r for r in table(self.report / "spectra.csv") if (r["bin_i"], r["bin_j"]) == ("2", "1")]
        ell = np.array([float(r["ell"]) for r in rows])
        expected = ell * (ell + 1) / (2 * np.pi) * statistics.band_powers(truth[1], truth[0], pixel, edges)
        np.testing.assert_allclose([float(r["truth"]) for r in rows], expected, rtol=1e-6)

    def test_s8_is_reported_as_a_fraction_of_the_prior(self):
        values = {}
        for o in range(synthetic.OBSERVATIONS):
            with h5py.File(self.campaign / f"posterior/observation-{o:05d}.h5") as file:
                values[o] = statistics.s8(file["theta"][()], synthetic.NAMES.split(",")).std(ddof=1)
        with h5py.File(self.campaign / "sims/campaign.h5") as file:
            prior = statistics.s8(file["theta"][()], synthetic.NAMES.split(",")).std()
        expected = np.mean(list(values.values())) / prior
        self.assertIn(
            f'<td>S8, posterior width / prior width</td><td class="value">{expected:.3f}</td>',
            (self.report / "index.html").read_text(),
        )

    def test_scores_are_judged_against_their_errors(self):
        expected = (2 * synthetic.DRAWS + 1) / (3 * synthetic.DRAWS)
        text = (self.report / "index.html").read_text()
        self.assertIn(f"{(0.6712 - expected) / 0.0051:+.1f} σ from {expected:.4f}", text)
        self.assertIn("Omega_c, times 2 scalars tested", text)  # the least p-value
        self.assertIn("200 × 24", text)

    def test_the_published_score_stands_beside_ours(self):
        rows = {(r["space"], r["metric"]): r for r in table(self.report / "mira.csv")}
        self.assertEqual(rows["joint", "raw"]["published"], "0.665")
        self.assertEqual(rows["joint", "raw"]["published_std"], "0.017")
        self.assertIn(
            '<td>MIRA as published, joint, raw</td><td class="value">0.6650 ± 0.0170</td>',
            (self.report / "index.html").read_text(),
        )

    def test_scores_of_cells_are_where_and_what_the_product_says(self):
        rows = [r for r in table(self.report / "mira_cells.csv") if (r["space"], r["metric"]) == ("joint", "raw")]
        expected = (2 * synthetic.DRAWS + 1) / (3 * synthetic.DRAWS)
        self.assertEqual([r["cell"] for r in rows], ["0", "1", "2", "3"])
        corner = rows[1]
        edges = [corner[f"{axis}_{end}"] for axis in ("Omega_c", "sigma_8") for end in ("low", "high")]
        self.assertEqual((edges, corner["truths"]), (["0.06", "0.24", "0.8", "1.08"], "50"))
        self.assertEqual((corner["score"], corner["error"]), ("0.72", "0.01"))
        self.assertAlmostEqual(float(corner["sigma"]), (0.72 - expected) / 0.01, places=5)
        self.assertRegex(
            (self.report / "index.html").read_text(),
            r"calibrated in 4 cells, joint, raw</td><td class=\"value\">p = 0.21</td>.*?0.640 ± 0.010 in cell 2",
        )

    def test_the_worst_cell_comes_first_and_a_bias_is_called_one(self):
        rows = table(self.report / "cells.csv")
        self.assertEqual([r["cell"] for r in rows], ["2", "2", "3", "3", "1", "1", "0", "0"])
        self.assertEqual((rows[1]["scalar"], rows[1]["bias"], rows[1]["dispersion"]), ("sigma_8", "-0.6", "0.7"))
        self.assertRegex(
            (self.report / "index.html").read_text(),
            r"bias in 4 cells, least p-value</td><td class=\"value\">0.0008</td>.*?sigma_8, times 2 scalars tested; "
            r"worst cell 2: sigma_8 off by -0.60 ± 0.14 std, dispersion 0.70",
        )

    def test_another_method_of_the_campaign_stands_in_the_same_table(self):
        control = self.campaign / "calibration-gaussian.h5"
        with tempfile.TemporaryDirectory() as scratch:
            copy = pathlib.Path(scratch) / "demo"
            synthetic.calibration(copy, np.random.default_rng(6))
            (copy / "calibration.h5").rename(copy / control.name)
            synthetic.calibration(copy, np.random.default_rng(7))
            with h5py.File(copy / control.name, "a") as file:
                file["joint/raw/mira/score"][()] = 0.69
            self.assertEqual(run("report", copy).returncode, 0)
            rows = {(r["method"], r["space"]): r["score"] for r in table(copy / "report/mira.csv")}
            text = (copy / "report/index.html").read_text()
        self.assertEqual((rows["diffusion", "joint"], rows["exact posterior", "joint"]), ("0.6712", "0.69"))
        self.assertIn("MIRA, joint, raw, exact posterior</td>", text)
        self.assertIn("SBC, least p-value, exact posterior</td>", text)

    def test_a_fixed_parameter_is_not_shown(self):
        for figure in ("triangle", "parameters"):
            names = {row["parameter"] for row in table(self.report / f"{figure}.csv")}
            self.assertIn("n_s", names)
            self.assertNotIn("h", names)

    def test_runs_of_a_stage_are_added_up(self):
        rows = {r["stage"]: float(r["seconds"]) for r in table(self.report / "run_times.csv")}
        self.assertEqual(rows, {"simulate": 4.0, "train": 10.0})

    def test_nothing_is_done_again_until_a_product_changes(self):
        page = self.report / "index.html"
        before = page.stat().st_mtime_ns
        self.assertEqual(run("report", self.campaign).returncode, 0)
        self.assertEqual(page.stat().st_mtime_ns, before)
        (self.campaign / "stages.csv").touch()
        self.assertEqual(run("report", self.campaign).returncode, 0)
        self.assertGreater(page.stat().st_mtime_ns, before)
        before = page.stat().st_mtime_ns
        synthetic.estimate(self.campaign, "posterior-ks")
        self.assertEqual(run("report", self.campaign).returncode, 0)
        self.assertGreater(page.stat().st_mtime_ns, before)


class Population(unittest.TestCase):
    """Draws and truths of 20 observations, of which each is one number of a map that all share and one of its own."""

    COUNT = 20

    def campaign(self, scratch, width):
        campaign, rng = pathlib.Path(scratch) / "demo", np.random.default_rng(9)
        for o in range(self.COUNT):
            path = campaign / f"coverage/observation-{o:05d}.h5"
            synthetic.posterior(path, rng)
            with h5py.File(path, "a") as file:
                shared = 0.008 * rng.normal(size=file["truth/kappa"].shape)
                file["truth/kappa"][()] = shared + 0.006 * rng.normal(size=shared.shape)
                file["kappa"][()] = shared + 0.006 * width * rng.normal(size=file["kappa"].shape)
        self.assertEqual(run("report", campaign).returncode, 0)
        return campaign

    def verdicts(self, campaign):
        text = (campaign / "report/index.html").read_text()
        names = ("two-point functions", "one-point density")
        return [re.search(rf"{name} of draws and truths</td>.*?class=\"(holds|fails)\"", text)[1] for name in names]

    def test_draws_like_the_truths_pass_and_numbers_are_those_of_the_maps(self):
        with tempfile.TemporaryDirectory() as scratch:
            campaign = self.campaign(scratch, 1)
            self.assertEqual(self.verdicts(campaign), ["holds", "holds"])
            rows = table(campaign / "report/two_point.csv")
            shares = table(campaign / "report/one_point_all.csv")
            maps = []
            for path in sorted((campaign / "coverage").glob("*.h5")):
                with h5py.File(path) as file:
                    maps.append([file[name][()].astype(float) for name in ("kappa", "truth/kappa")])
        pixel = np.radians(5) / synthetic.SIZE
        edges = statistics.multipole_bins((synthetic.SIZE,) * 2, pixel)
        power = [
            [statistics.band_powers(m[..., 0, :, :], m[..., 1, :, :], pixel, edges) for m in observed]
            for observed in maps
        ]
        difference = np.array([draws.mean(0) - truth for draws, truth in power])
        cross = [row for row in rows if (row["bin_i"], row["bin_j"]) == ("1", "2")]
        for k, row in enumerate(cross):
            self.assertAlmostEqual(float(row["difference"]) / difference[:, k].mean(), 1, places=5)
            error = difference[:, k].std(ddof=1) / np.sqrt(self.COUNT)
            self.assertAlmostEqual(float(row["error"]) / error, 1, places=5)
        self.assertEqual(len(rows), 3 * difference.shape[1])
        self.assertEqual(len(shares), synthetic.BINS * 12)
        for row in shares[3:5]:
            low, high = float(row["kappa_low"]), float(row["kappa_high"])
            inside = [[((m >= low) & (m < high)).mean() for m in (draws[:, 0], truth[0])] for draws, truth in maps]
            drawn, true = np.mean(inside, 0)
            self.assertAlmostEqual(float(row["truth"]), true, delta=1e-4)
            self.assertAlmostEqual(float(row["difference"]), drawn - true, delta=1e-4)

    def test_the_worst_of_few_observations_is_judged_by_student(self):
        rng = np.random.default_rng(10)
        found = [figures_population.Differences(rng.normal(size=(16, 1)), np.zeros((16, 1))).worst for _ in range(4000)]
        self.assertAlmostEqual(np.mean([p < 0.01 for _, p in found]), 0.01, delta=0.005)  # by normal errors 0.02

    def test_draws_that_are_too_wide_do_not(self):
        with tempfile.TemporaryDirectory() as scratch:
            self.assertEqual(self.verdicts(self.campaign(scratch, 1.3)), ["fails", "fails"])

    def test_few_observations_are_not_enough(self):
        with tempfile.TemporaryDirectory() as scratch:
            campaign = pathlib.Path(scratch) / "demo"
            synthetic.create_campaign(campaign)
            self.assertEqual(run("report", campaign).returncode, 0)
            self.assertNotIn("of draws and truths", (campaign / "report/index.html").read_text())


class PartialCampaigns(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.campaign = pathlib.Path(self.scratch.name) / "demo"

    def tearDown(self):
        self.scratch.cleanup()

    def test_a_campaign_in_training_has_a_report_of_its_training(self):
        synthetic.history(self.campaign)
        done = run("report", self.campaign)
        self.assertEqual(done.returncode, 0, done.stderr)
        text = (self.campaign / "report/index.html").read_text()
        self.assertIn("training.png", text)
        self.assertNotIn("maps.png", text)

    def test_a_survey_of_ones_own_is_shown_without_a_truth(self):
        synthetic.posterior(self.campaign / "posterior/my_survey.h5", np.random.default_rng(5), known=False)
        done = run("report", self.campaign)
        self.assertEqual(done.returncode, 0, done.stderr)
        text = (self.campaign / "report/index.html").read_text()
        self.assertIn("Maps of my_survey", text)
        self.assertNotIn("recovery.png", text)
        self.assertNotIn("truth", {row["panel"] for row in table(self.campaign / "report/maps.csv")})

    def test_too_few_truths_for_cells_leave_their_figures_out(self):
        synthetic.calibration(self.campaign, np.random.default_rng(6))
        with h5py.File(self.campaign / "calibration.h5", "a") as file:
            for group in ("cells", "theta/standardised/cells", "joint/raw/cells", "joint/raw/mira/published"):
                del file[group]
        done = run("report", self.campaign)
        self.assertEqual(done.returncode, 0, done.stderr)
        text = (self.campaign / "report/index.html").read_text()
        self.assertIn("mira.png", text)
        self.assertNotIn("cells.png", text)
        self.assertNotIn("as published, joint", text)

    def test_a_directory_without_products_is_refused(self):
        self.campaign.mkdir()
        done = run("report", self.campaign)
        self.assertEqual(done.returncode, 65)
        self.assertIn("holds no products", done.stderr)
        self.assertFalse((self.campaign / "report").exists())

    def test_a_damaged_product_ends_with_65_and_leaves_no_page(self):
        synthetic.create_campaign(self.campaign)
        flip_a_byte(self.campaign / "posterior/observation-00000.h5", "truth/kappa")
        done = run("report", self.campaign)
        self.assertEqual(done.returncode, 65)
        self.assertFalse((self.campaign / "report/index.html").exists())


def flip_a_byte(path, dataset):
    """Damage the only chunk of a dataset."""
    with h5py.File(path) as file:
        offset = file[dataset].id.get_chunk_info(0).byte_offset
    with open(path, "r+b") as file:
        file.seek(offset + 5)
        byte = file.read(1)[0]
        file.seek(offset + 5)
        file.write(bytes([byte ^ 0x10]))


class Inspect(unittest.TestCase):
    def setUp(self):
        self.scratch = tempfile.TemporaryDirectory()
        self.campaign = pathlib.Path(self.scratch.name)
        synthetic.simulations(self.campaign, np.random.default_rng(0))
        self.product = self.campaign / "sims/campaign.h5"

    def tearDown(self):
        self.scratch.cleanup()

    def test_a_whole_product_is_described(self):
        done = run("inspect", "--verify", self.product)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        for words in ("campaign, format version 1", "40×2×16×16", "float32", "whole, every checksum recomputed"):
            self.assertIn(words, done.stdout)

    def test_every_product_of_a_whole_campaign_is_whole(self):
        synthetic.create_campaign(self.campaign)
        done = run("inspect", "--verify", self.campaign)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(done.stdout.count("whole, every checksum recomputed"), 3 + synthetic.OBSERVATIONS)

    def test_a_dataset_without_checksum_is_found(self):
        with h5py.File(self.product, "a") as file:
            file["bare"] = np.zeros(4)
        done = run("inspect", "--verify", self.product)
        self.assertEqual(done.returncode, 65)
        self.assertIn("bare: no checksum", done.stdout)

    def test_a_flipped_bit_is_found_and_its_dataset_named(self):
        flip_a_byte(self.product, "theta")
        self.assertEqual(run("inspect", self.product).returncode, 0)  # looking at the outside does not read it
        done = run("inspect", "--verify", self.product)
        self.assertEqual(done.returncode, 65)
        self.assertIn("DAMAGED: theta", done.stdout)

    def test_rows_that_changed_places_are_found(self):
        with h5py.File(self.product, "a") as file:
            file["theta"][2:4] = file["theta"][2:4][::-1]  # every chunk has the right checksum
        done = run("inspect", "--verify", self.product)
        self.assertEqual(done.returncode, 65)
        self.assertIn("DAMAGED: theta: row 2 does not match its digest", done.stdout)

    def test_a_dataset_without_digest_is_found(self):
        with h5py.File(self.product, "a") as file:
            del file["digest/theta"]
        done = run("inspect", "--verify", self.product)
        self.assertEqual(done.returncode, 65)
        self.assertIn("theta: no digest", done.stdout)

    def test_datasets_of_different_products_are_found(self):
        with h5py.File(self.product, "a") as file:
            file.attrs["digest"] = np.int64(-5)
        done = run("inspect", "--verify", self.product)
        self.assertEqual(done.returncode, 65)
        self.assertIn("DAMAGED: its datasets do not belong together", done.stdout)

    def test_a_truncated_product_is_found(self):
        with open(self.product, "r+b") as file:
            file.truncate(self.product.stat().st_size // 2)
        done = run("inspect", self.product)
        self.assertEqual(done.returncode, 65)
        self.assertIn("DAMAGED", done.stdout)

    def test_what_was_being_written_is_incomplete(self):
        self.product.rename(self.product.with_suffix(".h5.part"))
        done = run("inspect", self.campaign)
        self.assertEqual(done.returncode, 65)
        self.assertIn("INCOMPLETE", done.stdout)

    def test_a_missing_shard_of_a_virtual_dataset_is_named(self):
        layout = h5py.VirtualLayout(shape=(40, 6), dtype="f8")
        layout[:] = h5py.VirtualSource("shard-00000.h5", "theta", shape=(40, 6))
        with synthetic.create(self.campaign / "index.h5", "campaign") as file:
            file.create_virtual_dataset("theta", layout)
        done = run("inspect", self.campaign / "index.h5")
        self.assertEqual(done.returncode, 65)
        self.assertIn("shard-00000.h5", done.stdout)

    def test_a_missing_file_and_wrong_usage_have_their_own_exit_codes(self):
        self.assertEqual(run("inspect", self.campaign / "nothing.h5").returncode, 65)
        self.assertEqual(run("inspect").returncode, 64)
        self.assertEqual(run("report", "--nonsense", "x").returncode, 64)


if __name__ == "__main__":
    unittest.main()
