"""Draws of the network beside those of another method, of the same observation."""

import matplotlib.pyplot as plt
import numpy as np

from . import style
from .figures_parameters import free, with_s8
from .statistics import band_centres, band_powers, classifier_score, multipole_bins

DRAWS_USED = 128  # of each, for spectra and densities


def parameters(one, other, options):
    """[(parameter, shift of the mean in standard deviations of the other, ratio of standard deviations)]."""
    names, draws = with_s8(one.names, one.theta)
    reference = with_s8(other.names, other.theta)[1]
    shift = (draws.mean(0) - reference.mean(0)) / reference.std(0, ddof=1).clip(1e-300)
    ratio = draws.std(0, ddof=1) / reference.std(0, ddof=1).clip(1e-300)
    shown = free(names, options)
    return [(names[k], float(shift[k]), float(ratio[k])) for k in shown]


def told_apart(one, other, options):
    """classifier_score() of the parameters that are free."""
    columns = free(one.names, options)
    return classifier_score(one.theta[:, columns], other.theta[:, columns])


def map_errors(pairs):
    """[bin]: how much larger the error of mean maps is than the other method's, as a ratio of root mean squares.

    A mean of S draws has 1/S of their variance more than the posterior mean; that of the posterior mean is compared.
    """
    squares = []
    for both in zip(*pairs):
        found = []
        for posterior in both:
            mean, std, truth = (posterior.map(f"{what}/kappa").astype(float) for what in ("mean", "std", "truth"))
            found.append(((mean - truth) ** 2 - std**2 / len(posterior.theta)).mean((1, 2)))
        squares.append(np.mean(found, 0))
    return np.sqrt(squares[0] / squares[1])


def maps(directory, name, one, other, scale):
    """Mean and standard deviation of both, and their difference in posterior standard deviations.

    Returns the figure and (rms of that difference, mean ratio of standard deviations), each per bin.
    """
    (mean, mean_other), (std, std_other) = (
        [posterior.map(f"{what}/kappa") for posterior in (one, other)] for what in ("mean", "std")
    )
    shift, ratio = (mean - mean_other) / std_other, std / std_other
    columns = [
        ("mean, diffusion", mean / scale[:, None, None], style.MAP),
        (f"mean, {other.title}", mean_other / scale[:, None, None], style.MAP),
        ("difference / std", shift, "RdBu_r"),
        ("ratio of std", ratio, "PuOr"),
    ]
    bins, (ny, nx) = len(scale), mean.shape[-2:]
    figure, axes = plt.subplots(
        bins,
        len(columns),
        figsize=(style.WIDTH, style.WIDTH / 4.3 * ny / nx * bins + 0.75),
        squeeze=False,
        gridspec_kw={"wspace": 0.05, "hspace": 0.05},
    )
    shared = np.percentile(np.concatenate([columns[0][1].ravel(), columns[1][1].ravel()]), [0.5, 99.7])
    limits = [shared, shared, (-1, 1), (0.5, 1.5)]
    for c, ((title, values, colours), (low, high)) in enumerate(zip(columns, limits)):
        for b in range(bins):
            image = axes[b, c].imshow(values[b], cmap=colours, vmin=low, vmax=high)
            axes[b, c].set_xticks([])
            axes[b, c].set_yticks([])
        axes[0, c].set_title(title, fontsize=8.5)
        bar = figure.colorbar(image, ax=axes[:, c], orientation="horizontal", pad=0.02, fraction=0.03)
        bar.ax.tick_params(labelsize=6.5, length=2)
    for b in range(bins):
        axes[b, 0].set_ylabel(f"bin {b + 1}", fontsize=8)
    rms, spread = np.sqrt((shift**2).mean((1, 2))), ratio.mean((1, 2))
    saved = style.save(
        directory,
        name,
        f"Maps of {one.name}, beside {other.title}",
        f"Posterior means in units of the standard deviation of the convergence over the prior, their difference in "
        f"posterior standard deviations, and the ratio of the standard deviations. With {one.theta.shape[0]} and "
        f"{other.theta.shape[0]} independent draws, means differ by {np.sqrt(1 / len(one.theta) + 1 / len(other.theta)):.3f} "
        "standard deviations by chance.",
        figure,
        ["bin", "rms_shift_of_mean", "mean_ratio_of_std"],
        [[b + 1, float(rms[b]), float(spread[b])] for b in range(bins)],
    )
    return saved, (rms, spread)


def spectra(directory, name, one, other, geometry):
    """Mean C_ij(ell) of the draws over that of the other's draws, with the scatter of its mean."""
    draws, reference = one.drawn(DRAWS_USED), other.drawn(DRAWS_USED)
    edges = multipole_bins(draws.shape[-2:], geometry.pixel)
    ell = band_centres(draws.shape[-2:], geometry.pixel, edges)
    bins, rows = draws.shape[1], []
    figure, draw = style.ratio_panels(
        bins,
        ell,
        {"color": style.REFERENCE, "lw": 0.8},
        (0.5, 1.5),
        r"$\langle C_{ij}(\ell)\rangle$ / that of the reference",
    )
    for i in range(bins):
        for j in range(i + 1):
            power, expected = (band_powers(x[:, i], x[:, j], geometry.pixel, edges) for x in (draws, reference))
            mean = expected.mean(0)
            ratio = power.mean(0) / mean
            error = np.hypot(*(x.std(0, ddof=1) / np.sqrt(len(x)) for x in (power, expected))) / np.abs(mean)
            draw(j, i, ratio, error)
            rows += [[i + 1, j + 1, *map(float, values)] for values in zip(ell, ratio, error)]
    return style.save(
        directory,
        name,
        f"Angular power of {one.name}, over {other.title}",
        "Mean power of drawn maps over that of the other method's, for the auto- and cross-spectra of the bins; bars are "
        "standard errors, as of independent draws.",
        figure,
        ["bin_i", "bin_j", "ell", "ratio", "error"],
        rows,
    )


def one_point(directory, name, one, other, scale):
    """One-point density of kappa in the draws of both."""
    draws, reference = one.drawn(DRAWS_USED), other.drawn(DRAWS_USED)
    bins, rows = draws.shape[1], []
    figure, axes = plt.subplots(
        1, bins, figsize=(style.WIDTH, 1.75), sharey=True, squeeze=False, gridspec_kw={"wspace": 0.08}
    )
    for b in range(bins):
        edges = np.linspace(*np.percentile(reference[:, b] / scale[b], [0.02, 99.97]), 26)
        centre = 0.5 * (edges[1:] + edges[:-1])
        own, expected = (np.histogram(x[:, b].ravel() / scale[b], edges, density=True)[0] for x in (draws, reference))
        ax = axes[0, b]
        ax.step(centre, own, where="mid", color=style.POSTERIOR, label="diffusion")
        ax.step(centre, expected, where="mid", color=style.REFERENCE, lw=0.9, label=other.title)
        ax.set_yscale("log")
        ax.set_title(f"bin {b + 1}")
        ax.set_xlabel(r"$\kappa/\sigma_\kappa$")
        rows += [[b + 1, float(x * scale[b]), float(p), float(q)] for x, p, q in zip(centre, own, expected)]
    axes[0, 0].set_ylabel("density")
    axes[0, -1].legend(loc="upper right", fontsize=6.5, handlelength=1.2)
    return style.save(
        directory,
        name,
        f"One-point density of {one.name}, beside {other.title}",
        "How often a pixel of a drawn map has a given convergence.",
        figure,
        ["bin", "kappa", "diffusion", "reference"],
        rows,
    )
