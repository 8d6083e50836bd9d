"""Figures of the maps: an example observation, its spectra and densities, and how well maps are recovered."""

import matplotlib.pyplot as plt
import numpy as np

from . import style
from .products import METHODS
from .statistics import band_centres, band_powers, correlation, multipole_bins


def example_maps(directory, name, example, geometry, scale):
    """Truth, observation, one draw, mean and standard deviation, one row per tomographic bin.

    scale: [bin], the standard deviation of kappa over the prior, in whose units maps are shown.
    """
    draws = example.map("kappa")
    columns = [
        ("truth", example.map("truth/kappa")),
        ("observation (E mode)", example.observed(scale.size)),
        ("one draw", draws[0]),
        ("posterior mean", example.map("mean/kappa")),
        ("posterior std", example.map("std/kappa")),
    ]
    columns = [(title, maps) for title, maps in columns if maps is not None]
    units = {title: maps.std((1, 2)) if title.startswith("observation") else scale for title, maps in columns}
    columns = [(title, maps / units[title][:, None, None]) for title, maps in columns]
    bins = scale.size
    shared = np.concatenate([m.ravel() for title, m in columns if title in ("truth", "one draw", "posterior mean")])
    limits = {"shared": (np.percentile(shared, 0.5), np.percentile(shared, 99.7))}
    for title, maps in columns:
        if title.endswith("std"):
            limits[title] = (0, np.percentile(maps, 99.7))
    panel = style.WIDTH / (len(columns) + 0.35)
    aspect = geometry.ny / geometry.nx
    figure, axes = plt.subplots(
        bins,
        len(columns),
        figsize=(style.WIDTH, panel * aspect * bins + 0.75),
        squeeze=False,
        gridspec_kw={"wspace": 0.05, "hspace": 0.05},
    )
    extent = (0, geometry.side_x_deg, 0, geometry.side_y_deg)
    for c, (title, maps) in enumerate(columns):
        key = title if title in limits else "shared"
        colours = style.SPREAD if title.endswith("std") else style.MAP
        for b in range(bins):
            ax = axes[b, c]
            image = ax.imshow(maps[b], cmap=colours, vmin=limits[key][0], vmax=limits[key][1], extent=extent)
            ax.tick_params(labelleft=False, labelbottom=False, direction="in", color="w", length=2)
            if c == 0:
                ax.set_ylabel(f"bin {b + 1}\n$\\sigma_\\kappa={scale[b]:.4f}$", fontsize=8)
        axes[0, c].set_title(title)
        unit = "obs" if title.startswith("observation") else r"\kappa"
        _colour_bar(figure, axes[-1, c], image, rf"$\kappa/\sigma_{{\rm {unit}}}$")
    axes[-1, 0].tick_params(labelleft=False, labelbottom=False)
    rows = []
    for title, maps in columns:
        for b in range(bins):
            m = maps[b] * units[title][b]
            rows.append([title, b + 1, float(m.mean()), float(m.std()), float(m.min()), float(m.max())])
    return style.save(
        directory,
        name,
        f"Maps of {example.name}",
        f"{geometry.side_x_deg:g}° × {geometry.side_y_deg:g}° in units of the standard deviation of the convergence over "
        "the prior, σ_κ; the observation, whose shape noise is as large or larger, in units of its own, σ_obs. Truth, "
        "observation, draw and mean share one colour scale in all bins. A draw has the texture of the truth; the mean keeps only what the data determine, and the "
        "standard deviation says where they do not.",
        figure,
        ["panel", "bin", "mean", "std", "min", "max"],
        rows,
    )


def _colour_bar(figure, above, image, label):
    box = above.get_position()
    height = 0.09 / figure.get_figheight()
    ax = figure.add_axes([box.x0 + 0.04 * box.width, box.y0 - 2.0 * height, 0.92 * box.width, height])
    bar = figure.colorbar(image, cax=ax, orientation="horizontal")
    bar.outline.set_linewidth(0.4)
    bar.ax.tick_params(labelsize=6.5, length=2, top=False, pad=1.5)
    bar.set_label(label, fontsize=7.5, labelpad=1)


def spectra(directory, name, example, geometry, draws_used=64):
    """C_ij(ell) of the truth, the draws and the posterior mean of one observation."""
    draws, truth = example.map("kappa")[:draws_used].astype(float), example.map("truth/kappa")
    shape, pixel = draws.shape[-2:], geometry.pixel
    edges = multipole_bins(shape, pixel)
    ell = band_centres(shape, pixel, edges)
    mean, wiener = example.map("mean/kappa"), example.map("wiener/kappa")
    bins = draws.shape[1]
    figure, axes = plt.subplots(
        bins,
        bins,
        figsize=(style.WIDTH, style.WIDTH * 0.85),
        sharex=True,
        sharey="row",
        squeeze=False,
        gridspec_kw={"hspace": 0.06, "wspace": 0.06},
    )
    factor = ell * (ell + 1) / (2 * np.pi)
    rows = []
    for i in range(bins):
        floor, ceiling = [], []
        for j in range(bins):
            ax = axes[i, j]
            if j > i:
                ax.set_visible(False)
                continue
            power = factor * band_powers(draws[:, i], draws[:, j], pixel, edges)
            low2, low, median, high, high2 = np.percentile(power, [2.5, 16, 50, 84, 97.5], axis=0)
            ax.fill_between(ell, low2, high2, color=style.POSTERIOR, alpha=0.18, lw=0)
            ax.fill_between(ell, low, high, color=style.POSTERIOR, alpha=0.35, lw=0, label="draws, 68% and 95%")
            of_mean = factor * band_powers(mean[i], mean[j], pixel, edges)
            ax.plot(ell, of_mean, color=style.POSTERIOR, ls=":", label="posterior mean")
            columns = [median, low, high, of_mean]
            if wiener is not None:
                of_wiener = factor * band_powers(wiener[i], wiener[j], pixel, edges)
                ax.plot(ell, of_wiener, color=style.WIENER, ls="--", lw=0.9, label="Wiener filter")
            if truth is not None:
                of_truth = factor * band_powers(truth[i], truth[j], pixel, edges)
                ax.plot(ell, of_truth, color=style.TRUTH, label="truth")
                columns.insert(0, of_truth)
            ax.set_xscale("log")
            ax.set_yscale("log")
            ax.text(0.05, 0.05, f"{i + 1}–{j + 1}", transform=ax.transAxes, fontsize=8)
            ax.tick_params(labelsize=6.5, which="both")
            floor.append(0.05 * np.median(np.abs(median)))
            ceiling.append(2 * high2.max())
            for k in range(ell.size):
                rows.append([i + 1, j + 1, float(ell[k]), *[float(column[k]) for column in columns]])
        axes[i, 0].set_ylim(min(floor), max(ceiling))
    figure.supxlabel(r"multipole $\ell$", y=0.045, fontsize=9)
    figure.supylabel(r"$\ell(\ell+1)\,C_{ij}(\ell)/2\pi$", x=0.055, fontsize=9)
    handles, labels = axes[0, 0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="upper right", bbox_to_anchor=(0.9, 0.88))
    header = ["bin_i", "bin_j", "ell", *(["truth"] if truth is not None else []), "median", "p16", "p84", "mean_map"]
    return style.save(
        directory,
        name,
        f"Angular power of {example.name}",
        "Auto- and cross-spectra of the tomographic bins. Draws must scatter around the truth at "
        "every multipole; the posterior mean and the Wiener filter lose power where noise dominates, as they should.",
        figure,
        header,
        rows,
    )


def one_point(directory, name, example, scale, draws_used=64):
    """The one-point density of kappa in each bin, truth against draws."""
    draws, truth = example.map("kappa")[:draws_used].astype(float), example.map("truth/kappa")
    mean = example.map("mean/kappa")
    bins = scale.size
    figure, axes = plt.subplots(
        1, bins, figsize=(style.WIDTH, 1.75), sharey=True, squeeze=False, gridspec_kw={"wspace": 0.08}
    )
    rows = []
    for b in range(bins):
        ax = axes[0, b]
        low, high = np.percentile(draws[:, b] / scale[b], [0.02, 99.97])
        edges = np.linspace(low, high, 26)
        centre = 0.5 * (edges[1:] + edges[:-1])

        def histogram(values):
            return np.histogram(values.ravel() / scale[b], edges, density=True)[0]

        each = np.array([histogram(draw) for draw in draws[:, b]])
        low2, low1, median, high1, high2 = np.percentile(each, [2.5, 16, 50, 84, 97.5], axis=0)
        ax.fill_between(centre, low2, high2, color=style.POSTERIOR, alpha=0.18, lw=0, step="mid")
        ax.fill_between(centre, low1, high1, color=style.POSTERIOR, alpha=0.35, lw=0, step="mid", label="draws")
        ax.step(centre, histogram(mean[b]), where="mid", color=style.POSTERIOR, ls=":", label="posterior mean")
        of_truth = histogram(truth[b]) if truth is not None else np.full(centre.size, np.nan)
        if truth is not None:
            ax.step(centre, of_truth, where="mid", color=style.TRUTH, label="truth")
        ax.set_yscale("log")
        ax.set_ylim(0.5 / draws[0, b].size, 20)
        ax.set_title(f"bin {b + 1}")
        ax.set_xlabel(r"$\kappa/\sigma_\kappa$")
        for k in range(centre.size):
            rows.append(
                [b + 1, float(centre[k] * scale[b]), float(of_truth[k]), *map(float, (median[k], low1[k], high1[k]))]
            )
    axes[0, 0].set_ylabel("density")
    axes[0, -1].legend(loc="upper right", fontsize=6.5, handlelength=1.2)
    return style.save(
        directory,
        name,
        f"One-point density of {example.name}",
        "How often a pixel has a given convergence. Draws carry the skewness of the log-normal field (68% and 95% of "
        "draws shaded); their mean does not.",
        figure,
        ["bin", "kappa", "truth", "median", "p16", "p84"],
        rows,
    )


def baseline_correlations(posteriors, estimates):
    """{method: [observation, bin]} correlation with the truth of maps that were made without draws."""
    found = {}
    for method, maps in estimates.items():
        pairs = [(maps[p.name], p.map("truth/kappa")) for p in posteriors if p.name in maps]
        pairs = [correlation(estimate, truth) for estimate, truth in pairs if truth is not None]
        if pairs:
            found[METHODS.get(method, method)] = pairs
    return found


def recovery(directory, posteriors, geometry, estimates):
    """Correlation of the posterior mean, and of the Wiener filter, with the truth: per pixel and per multipole; and
    per pixel that of other estimates, {method: {observation: map}}."""
    per_mean, per_wiener, ell_mean, ell_wiener = [], [], [], []
    edges = ell = None
    for posterior in posteriors:
        truth = posterior.map("truth/kappa")
        if truth is None:
            continue
        mean, wiener = posterior.map("mean/kappa"), posterior.map("wiener/kappa")
        if edges is None:
            edges = multipole_bins(truth.shape[-2:], geometry.pixel)
            ell = band_centres(truth.shape[-2:], geometry.pixel, edges)
        for maps, pixels, multipoles in ((mean, per_mean, ell_mean), (wiener, per_wiener, ell_wiener)):
            if maps is None:
                continue
            pixels.append(correlation(maps, truth))
            auto = [band_powers(m, m, geometry.pixel, edges) for m in (maps, truth)]
            cross = band_powers(maps, truth, geometry.pixel, edges)
            multipoles.append(np.divide(cross, np.sqrt(auto[0] * auto[1]), out=np.zeros_like(cross), where=auto[0] > 0))
    if not per_mean:
        return None, None
    bins = per_mean[0].size
    has_wiener = bool(per_wiener)
    figure, (left, right) = plt.subplots(1, 2, figsize=(style.WIDTH, 2.9), gridspec_kw={"width_ratios": [1.55, 1]})
    mean_ell = np.mean(ell_mean, 0)
    for b in range(bins):
        colour = style.BINS[b % len(style.BINS)]
        left.plot(ell, mean_ell[b], color=colour, label=f"bin {b + 1}")
        if has_wiener:
            left.plot(ell, np.mean(ell_wiener, 0)[b], color=colour, ls="--", lw=0.9)
    left.set_xscale("log")
    left.set_ylim(min(0, left.get_ylim()[0]), 1)
    left.set_xlabel(r"multipole $\ell$")
    left.set_ylabel(r"correlation with truth $r(\ell)$")
    left.legend(loc="lower left", fontsize=7.5)
    x = np.arange(1, bins + 1)
    summary = {}
    series = [
        (-0.08, per_mean, style.POSTERIOR, "o", "posterior mean"),
        (0.08, per_wiener, style.WIENER, "s", "Wiener filter"),
    ]
    baselines = baseline_correlations(posteriors, estimates)
    for k, (title, values) in enumerate(baselines.items()):
        series.append((0.24 + 0.16 * k, values, style.PRIOR, "^v<>"[k % 4], title))
    for offset, values, colour, marker, name in series:
        if values:
            average, scatter = np.mean(values, 0), np.std(values, 0)
            right.errorbar(
                x + offset, average, scatter, fmt=marker, ms=4, color=colour, capsize=2, lw=0.9, label=name, mfc=colour
            )
            summary[name] = average
    right.set_xticks(x)
    right.set_xlabel("tomographic bin")
    right.set_ylabel("correlation over pixels")
    right.set_ylim(min(0, right.get_ylim()[0]), 1)
    right.set_xlim(0.5, bins + 0.5)
    right.legend(loc="lower right")
    figure.subplots_adjust(wspace=0.25)
    rows = []
    for b in range(bins):
        rows.append(
            [b + 1, float(np.mean(per_mean, 0)[b]), float(np.std(per_mean, 0)[b])]
            + ([float(np.mean(per_wiener, 0)[b]), float(np.std(per_wiener, 0)[b])] if has_wiener else ["", ""])
            + [float(f(values, 0)[b]) for values in baselines.values() for f in (np.mean, np.std)]
        )
    figure_ = style.save(
        directory,
        "recovery",
        "Maps recovered",
        f"Correlation with the true convergence, averaged over {len(per_mean)} observations; bars are the scatter between "
        "them. Left: by multipole, full lines the posterior mean"
        + (", dashed the Wiener filter, the best linear reconstruction at the true cosmology." if has_wiener else "."),
        figure,
        ["bin", "posterior_mean", "scatter", "wiener", "wiener_scatter"]
        + [f"{title}{suffix}" for title in baselines for suffix in ("", "_scatter")],
        rows,
    )
    return figure_, summary
