"""Figures of many observations together: do draws, on average, have the power and the density of the truths?

Of a calibrated posterior a draw is to its data what the truth is, so any number computed from a map has the same mean over
draws as over truths.  Differences are taken observation by observation, and the scatter of these is the error.
"""

import math

import matplotlib.pyplot as plt
import numpy as np

from . import style
from .statistics import band_centres, band_powers, in_errors, multipole_bins

LEAST = 16  # observations, for the scatter to be known
DRAWS_USED = 64  # of each observation


def known(posteriors):
    """Those with drawn maps and a known truth, if they are enough."""
    found = [p for p in posteriors if p.truth_theta is not None and p.has_maps]
    return found if len(found) >= LEAST else []


class Differences:
    """Numbers of draws less those of the truth: mean over observations, its error, and how far the worst is off."""

    def __init__(self, draws, truth):
        difference = np.asarray(draws) - np.asarray(truth)  # [observation, …]
        self.truth = np.mean(truth, 0)
        self.mean = difference.mean(0)
        self.error = difference.std(0, ddof=1) / np.sqrt(len(difference))
        self.freedom = len(difference) - 1

    @property
    def significance(self):
        return in_errors(self.mean, self.error)

    @property
    def worst(self):
        """(largest deviation in errors, its p-value times the number of deviations)

        Errors are estimates, so deviations are Student's t: made normal by the approximation of Wallace (1959).
        """
        largest, n = float(np.abs(self.significance).max()), self.freedom
        normal = math.sqrt(n * math.log1p(largest**2 / n)) * (8 * n + 1) / (8 * n + 3)
        return largest, min(1.0, math.erfc(normal / math.sqrt(2)) * self.mean.size)


def _maps(posterior):
    return posterior.drawn(DRAWS_USED), posterior.map("truth/kappa").astype(float)


def two_point(posteriors, geometry):
    """Differences of C_ij(ell) [pair, band], the pairs of bins, and band centres."""
    shape = (geometry.ny, geometry.nx)
    edges = multipole_bins(shape, geometry.pixel)
    bins = posteriors[0].map("truth/kappa").shape[0]
    pairs = [(i, j) for i in range(bins) for j in range(i, bins)]
    drawn, true = [], []
    for posterior in posteriors:
        draws, truth = _maps(posterior)
        drawn.append([band_powers(draws[:, i], draws[:, j], geometry.pixel, edges).mean(0) for i, j in pairs])
        true.append([band_powers(truth[i], truth[j], geometry.pixel, edges) for i, j in pairs])
    return Differences(drawn, true), pairs, band_centres(shape, geometry.pixel, edges)


def spectra(directory, posteriors, geometry):
    """Mean power of draws over that of truths, for all pairs of bins.  Returns the figure and Differences."""
    found, pairs, ell = two_point(posteriors, geometry)
    figure, draw = style.ratio_panels(
        pairs[-1][0] + 1,
        ell,
        {"color": style.TRUTH, "lw": 0.8, "ls": "--"},
        (0.7, 1.3),
        r"$\langle C_{ij}(\ell)\rangle$ of draws / of truths",
    )
    rows = []
    for k, (i, j) in enumerate(pairs):
        draw(i, j, 1 + found.mean[k] / found.truth[k], found.error[k] / np.abs(found.truth[k]))
        rows += [
            [i + 1, j + 1, *map(float, values)]
            for values in zip(ell, found.truth[k], found.mean[k], found.error[k], found.significance[k])
        ]
    return (
        style.save(
            directory,
            "two_point",
            "Two-point functions of draws and truths",
            f"Mean power of drawn maps over that of the true ones, of {len(posteriors)} observations, for the auto- and "
            "cross-spectra of the bins; bars are standard errors, from the scatter of the differences between observations.",
            figure,
            ["bin_i", "bin_j", "ell", "truth", "difference", "error", "sigma"],
            rows,
        ),
        found,
    )


def density(posteriors, scale):
    """Differences of the share of pixels [bin, interval], and edges in units of the standard deviation of a bin."""
    pooled = np.concatenate([p.map("truth/kappa").astype(float) / scale[:, None, None] for p in posteriors], axis=1)
    edges = [np.quantile(values, np.linspace(0, 1, 13)) for values in pooled.reshape(len(scale), -1)]
    drawn, true = [], []
    for posterior in posteriors:
        draws, truth = _maps(posterior)
        for maps, shares in ((draws, drawn), (truth[None], true)):
            shares.append([_shares(maps[:, b] / scale[b], edges[b]) for b in range(len(scale))])
    return Differences(drawn, true), edges


def _shares(values, edges):
    """Share of values in each interval; what lies beyond the ends counts for the outermost."""
    return np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0] / values.size


def one_point(directory, posteriors, scale):
    """Shares of pixels by their convergence, of draws over truths.  Returns the figure and Differences."""
    found, edges = density(posteriors, scale)
    bins, rows = len(scale), []
    figure, axes = plt.subplots(
        1, bins, figsize=(style.WIDTH, 1.9), sharey=True, squeeze=False, gridspec_kw={"wspace": 0.08}
    )
    for b, ax in enumerate(axes[0]):
        centre = 0.5 * (edges[b][1:] + edges[b][:-1])
        ax.axhline(1, color=style.TRUTH, lw=0.8, ls="--")
        ratio, error = 1 + found.mean[b] / found.truth[b], found.error[b] / found.truth[b]
        ax.errorbar(centre, ratio, error, color=style.POSTERIOR, fmt="o", ms=2.5, lw=0.9)
        ax.set_title(f"bin {b + 1}")
        ax.set_xlabel(r"$\kappa/\sigma_\kappa$")
        values = zip(edges[b][:-1] * scale[b], edges[b][1:] * scale[b], found.truth[b], found.mean[b], found.error[b])
        rows += [[b + 1, *map(float, row), float(s)] for row, s in zip(values, found.significance[b])]
    axes[0, 0].set_ylabel("share of draws / of truths")
    return (
        style.save(
            directory,
            "one_point_all",
            "One-point density of draws and truths",
            f"Share of the pixels of drawn maps in each interval of convergence over that of the true ones, of {len(posteriors)} "
            "observations; each interval has a twelfth of the true pixels. Bars are standard errors, from the scatter of the "
            "differences between observations.",
            figure,
            ["bin", "kappa_low", "kappa_high", "truth", "difference", "error", "sigma"],
            rows,
        ),
        found,
    )
