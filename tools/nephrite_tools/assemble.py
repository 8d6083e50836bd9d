"""Put a report together: figures, the table of numbers, provenance."""

import datetime

import h5py
import numpy as np

from . import (
    figures_calibration,
    figures_cells,
    figures_comparison,
    figures_maps,
    figures_parameters,
    figures_population,
    figures_run,
    page,
    products,
    style,
)
from .statistics import Geometry

BONFERRONI = 0.01  # a set of ranks is called inconsistent below this p-value, once multiplied by their number


def report(directory, output):
    """Write output/index.html with its figures and numbers."""
    campaign = products.Campaign(directory)
    style.apply()
    with page.making(output) as making:
        contents = Contents(campaign, making)
        contents.collect()
        subtitle = f"made {datetime.datetime.now().astimezone():%Y-%m-%d %H:%M %Z} from {campaign.directory.resolve()}"
        page.write(
            making / "index.html",
            f"Campaign {campaign.directory.resolve().name}",
            subtitle,
            contents.summary,
            contents.figures,
            provenance(campaign),
            stored_configuration(campaign),
        )


class Contents:
    """The figures of one campaign and the rows of its table, for whatever products there are."""

    def __init__(self, campaign, directory):
        self.campaign = campaign
        self.directory = directory
        self.options = campaign.configuration()
        self.figures = []
        self.summary = []

    def add(self, figure):
        if figure is not None:
            self.figures.append(figure)

    def row(self, quantity, value, meaning=""):
        self.summary.append((quantity, value, meaning))

    def collect(self):
        self.simulations()
        self.posteriors()
        self.comparisons()
        self.calibration()
        self.training()
        self.run_times()

    def simulations(self):
        if not self.campaign.sims:
            return
        with h5py.File(self.campaign.sims, "r") as file:
            count, bins, ny, nx = file["kappa"].shape
        self.row("simulations", f"{count:,}", f"{bins} tomographic bins of {nx} × {ny} pixels")

    def training(self):
        if not self.campaign.history:
            return
        history = figures_run.history(self.campaign.history)
        figure, last = figures_run.training(self.directory, history)
        self.add(figure)
        if figure is None:
            return
        rate = np.median(history["samples_per_second"])
        self.row("training", f"{int(history['step'][-1]):,} steps", f"{rate:.1f} samples per second")
        if last:
            words = ", ".join(f"{'parameters' if k == 'theta' else k} {v:.4g}" for k, v in last.items())
            self.row("held-out loss, last", words, "per pixel and per parameter, with the averaged weights")

    def posteriors(self):
        known = [p for p in self.campaign.posteriors if p.truth_theta is not None]
        users = [p for p in self.campaign.posteriors if p.truth_theta is None]
        for k, posterior in enumerate(known[:1] + users):
            self.observation(posterior, "" if k == 0 else f"-{posterior.name}")
        many = max(known, self.campaign.coverage, key=len)
        if not many:
            return
        self.row(
            "observations of known truth",
            f"{len(many)} × {many[0].theta.shape[0]} draws",
            "joint draws of maps and parameters",
        )
        figure, ratio = figures_parameters.against_truth(
            self.directory, many, self.campaign.prior_samples()[1], self.options
        )
        self.add(figure)
        if "S8" in ratio:
            self.row(
                "S8, posterior width / prior width",
                f"{ratio['S8']:.3f}",
                "mean over observations; 1 if the data said nothing",
            )
        self.recovery(many)
        self.population(max(figures_population.known(known), figures_population.known(self.campaign.coverage), key=len))

    def observation(self, posterior, suffix):
        """Maps, parameters, spectra and densities of one observation."""
        draws = posterior.map("kappa")
        if draws is None:
            return
        geometry = Geometry(*draws.shape[-2:], posterior.field_of_view)
        scale = self.map_scale(draws)
        prior = self.campaign.prior_samples()[1]
        self.add(figures_maps.example_maps(self.directory, f"maps{suffix}", posterior, geometry, scale))
        self.add(figures_parameters.triangle(self.directory, f"triangle{suffix}", posterior, prior, self.options))
        self.add(figures_maps.spectra(self.directory, f"spectra{suffix}", posterior, geometry))
        self.add(figures_maps.one_point(self.directory, f"one_point{suffix}", posterior, scale))

    def comparisons(self):
        """Draws of the network beside those of other methods: figures of the first observation that a method has, and
        numbers of all."""
        few, many = self.campaign.pairs(), self.campaign.coverage_pairs()
        for method in sorted({other.method for _, other in few + many}):
            shown, counted = ([pair for pair in pairs if pair[1].method == method] for pairs in (few, many))
            if shown:
                self.comparison(*shown[0])
            self.agreement(max(shown, counted, key=len))

    def comparison(self, one, other):
        draws = one.map("kappa")
        prior = self.campaign.prior_samples()[1]
        suffix = f"-{other.method}"
        self.add(figures_parameters.triangle(self.directory, f"triangle{suffix}", one, prior, self.options, other))
        if draws is None or other.map("kappa") is None:
            return
        geometry, scale = Geometry(*draws.shape[-2:], one.field_of_view), self.map_scale(draws)
        figure, (shift, ratio) = figures_comparison.maps(self.directory, f"maps{suffix}", one, other, scale)
        self.add(figure)
        self.row(
            f"map means beside {other.title}",
            ", ".join(f"{value:.3f}" for value in shift),
            f"rms difference in posterior standard deviations, bin by bin, of {one.name}",
        )
        self.row(
            f"map widths beside {other.title}",
            ", ".join(f"{value:.3f}" for value in ratio),
            "ratio of posterior standard deviations, bin by bin",
        )
        self.add(figures_comparison.spectra(self.directory, f"spectra{suffix}", one, other, geometry))
        self.add(figures_comparison.one_point(self.directory, f"one_point{suffix}", one, other, scale))

    def agreement(self, pairs):
        """Shifts and widths of the parameters, averaged over the observations that both methods have drawn for."""
        title = pairs[0][1].title
        each = [figures_comparison.parameters(one, other, self.options) for one, other in pairs]
        shifts, ratios = (np.array([[row[k] for row in rows] for rows in each]) for k in (1, 2))
        shift, ratio = np.abs(shifts).mean(0), ratios.mean(0)
        names = [name for name, _, _ in each[0]]
        over = f"over {len(pairs)} observation{'s' if len(pairs) > 1 else ''}"
        self.row(
            f"parameters beside {title}",
            ", ".join(f"{name} {value:.2f} σ" for name, value in zip(names, shift)),
            f"mean distance of posterior means {over}; {self.by_chance(pairs):.2f} σ by chance, if draws are independent",
        )
        self.row(
            f"widths beside {title}",
            ", ".join(f"{name} {value:.2f}" for name, value in zip(names, ratio)),
            f"mean ratio of standard deviations {over}",
        )
        score, error = np.mean([figures_comparison.told_apart(one, other, self.options) for one, other in pairs], 0)
        error /= np.sqrt(len(pairs))
        self.row(
            f"told apart from {title}",
            f"{score:.3f} ± {error:.3f}",
            page.Verdict(
                score - 0.5 < 3 * error, "share of draws of θ that a classifier assigns rightly; 0.5 if it cannot"
            ),
        )

        known = [pair for pair in pairs if pair[0].truth_theta is not None]
        if known:
            worse = figures_comparison.map_errors(known)
            self.row(
                f"errors of map means beside {title}",
                ", ".join(f"{value:.3f}" for value in worse),
                "ratio of root mean squares of (posterior mean − truth), bin by bin, the draws' own scatter taken off, "
                + over,
            )

    @staticmethod
    def by_chance(pairs):
        """Mean distance of two means of so many draws of one posterior, in its standard deviations."""
        return np.sqrt(2 / np.pi * np.mean([sum(1 / len(posterior.theta) for posterior in pair) for pair in pairs]))

    def population(self, found):
        """What draws have on average, beside the truths."""
        if not found:
            return
        truth = found[0].map("truth/kappa")
        geometry = Geometry(*truth.shape[-2:], found[0].field_of_view)
        two_point, spectra = figures_population.spectra(self.directory, found, geometry)
        one_point, density = figures_population.one_point(self.directory, found, self.map_scale(truth[None]))
        for figure, numbers, what in (
            (two_point, spectra, "two-point functions"),
            (one_point, density, "one-point density"),
        ):
            self.add(figure)
            largest, p_value = numbers.worst
            self.row(
                f"{what} of draws and truths",
                f"within {largest:.1f} σ",
                page.Verdict(
                    p_value > BONFERRONI,
                    f"largest of {numbers.mean.size} deviations over {len(found)} observations; p = {p_value:.2g}, "
                    "their number considered",
                ),
            )

    def recovery(self, found):
        truth = found[0].map("truth/kappa")
        geometry = Geometry(*truth.shape[-2:], found[0].field_of_view)
        figure, summary = figures_maps.recovery(self.directory, found, geometry, self.campaign.estimates)
        self.add(figure)
        for name, values in (summary or {}).items():
            words = ", ".join(f"{value:.3f}" for value in values)
            self.row(f"correlation with truth, {name}", words, "over pixels, bin by bin, averaged over observations")

    def map_scale(self, draws):
        """Standard deviation of kappa per bin over the prior, from a share of the simulations; else over the draws."""
        if self.campaign.sims:
            with h5py.File(self.campaign.sims, "r") as file:
                return file["kappa"][:256].std(axis=(0, 2, 3))
        return draws.std(axis=(0, 2, 3))

    def calibration(self):
        """Figures of the first calibration, the network's; of others, such as the exact posterior's, the numbers."""
        found = [(method, *products.calibration(path)) for method, path in self.campaign.calibrations]
        if not found:
            return
        _, spaces, cells, ranks, _ = found[0]
        if spaces:
            self.add(figures_calibration.mira(self.directory, [(method, others) for method, others, *_ in found]))
            self.add(figures_calibration.tarp(self.directory, spaces))
        if cells is not None:
            self.add(figures_cells.scores(self.directory, spaces, cells))
            self.add(figures_cells.residuals(self.directory, cells))
        if ranks:
            self.add(figures_calibration.sbc(self.directory, ranks))
        for k, judged in enumerate(found):
            self.judgement(f", {judged[0]}" if k else "", *judged[1:])

    def judgement(self, of, spaces, cells, ranks, size):
        if size:
            self.row(f"calibration set{of}", size, "truths × draws, none of them trained on")
        for space in spaces:
            self.row(
                f"MIRA, {space.title}{of}",
                f"{space.score:.4f} ± {space.error:.4f}",
                page.Verdict(
                    abs(space.significance) < 3,
                    f"{space.significance:+.1f} σ from {space.expected:.4f}; TARP deviates by {space.deviation:.3f} at most",
                ),
            )
            if space.published:
                value, scatter = space.published
                self.row(
                    f"MIRA as published, {space.title}{of}", f"{value:.4f} ± {scatter:.4f}", "over bootstrap samples"
                )
        if cells is not None:
            self.cells(of, spaces, cells)
        if ranks:
            self.least(f"SBC, least p-value{of}", [r.name for r in ranks], [r.p_value for r in ranks])

    def least(self, quantity, scalars, p_values, more=""):
        """The least p-value of all scalars, their number considered."""
        k = int(np.argmin(p_values))
        corrected = min(1.0, p_values[k] * len(scalars))
        words = f"{scalars[k]}, times {len(scalars)} scalars tested{more}"
        self.row(quantity, f"{corrected:.2g}", page.Verdict(corrected > BONFERRONI, words))

    def cells(self, of, spaces, cells):
        """Are all cells together as they should be, and which is furthest from it?"""
        for space in (s for s in spaces if s.cell_score is not None):
            far = int(np.argmax(np.abs(figures_cells.deviations(space))))
            self.row(
                f"calibrated in {cells.truths.size} cells, {space.title}{of}",
                f"p = {space.cell_p_value:.2g}",
                page.Verdict(
                    space.cell_p_value > BONFERRONI,
                    f"furthest off: {space.cell_score[far]:.3f} ± {space.cell_error[far]:.3f} in cell {far}",
                ),
            )
        cell = int(figures_cells.worst(cells)[0])
        strongest = int(np.argmax(np.abs(figures_cells.significance(cells)[:, cell])))
        self.least(
            f"bias in {cells.truths.size} cells, least p-value{of}",
            cells.scalars,
            cells.bias_p_value,
            f"; worst cell {cell}: {cells.scalars[strongest]} off by {cells.bias[strongest, cell]:+.2f} ± "
            f"{cells.bias_error[strongest, cell]:.2f} std, dispersion {cells.dispersion[strongest, cell]:.2f}",
        )

    def run_times(self):
        stages = self.campaign.stages()
        if not stages:
            return
        self.add(figures_run.run_times(self.directory, stages))
        total = sum(seconds for _, seconds, _ in stages)
        words = ", ".join(f"{stage} {seconds:.0f} s" for stage, seconds, _ in stages)
        self.row("wall time", f"{total:.0f} s", f"{words}; {stages[-1][2]} ranks")


def provenance(campaign):
    """Root attributes of the products of each stage, configuration apart."""
    rows = []
    for path in reversed(campaign.products()):
        with h5py.File(path, "r") as file:
            parts = [
                f"{key} {products.text(value)}"
                for key, value in sorted(file.attrs.items())
                if key not in ("configuration", "kind")
            ]
        rows.append((str(path.relative_to(campaign.directory)), "", "; ".join(parts)))
    return [(name, what) for name, _, what in rows]


def stored_configuration(campaign):
    """The effective configuration of the latest stage, as it runs."""
    for path in campaign.products():
        with h5py.File(path, "r") as file:
            if "configuration" in file.attrs:
                return products.text(file.attrs["configuration"])
    return ""
