"""Figures of the cosmological parameters: one posterior in full, and all of them against their truths."""

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator

from . import style
from .statistics import credible_levels, density_1d, density_2d, s8

PRIOR_SAMPLES = 1500  # enough for smooth contours


def hard_bounds(names, options):
    """The bounds that the prior's distributions set, (-inf, inf) where they set none."""
    bounds = []
    for name in names:
        kind, _, numbers = str(options.get(f"prior_{name}", "")).partition(":")
        values = [float(v) for v in numbers.split(",")] if numbers else []
        if kind == "uniform" and len(values) == 2:
            bounds.append((values[0], values[1]))
        elif kind == "truncated_normal" and len(values) == 4:
            bounds.append((values[2], values[3]))
        else:
            bounds.append((-np.inf, np.inf))
    return bounds


def free(names, options):
    """Columns of the parameters that the prior does not fix."""
    return [k for k, name in enumerate(names) if not str(options.get(f"prior_{name}", "")).startswith("fixed")]


def _ranges(samples, bounds):
    low = np.min([np.percentile(s, 0.3, axis=0) for s in samples], axis=0)
    high = np.max([np.percentile(s, 99.7, axis=0) for s in samples], axis=0)
    margin = 0.06 * (high - low)
    return [
        (max(l - m, b[0]) if np.isfinite(b[0]) else l - m, min(h + m, b[1]) if np.isfinite(b[1]) else h + m)
        for l, h, m, b in zip(low, high, margin, bounds)
    ]


def triangle(directory, name, example, prior, options, reference=None):
    """One- and two-dimensional marginals of theta for one observation, over the prior's, and beside those of another
    method."""
    columns = free(example.names, options)
    names, draws = [example.names[k] for k in columns], example.theta[:, columns]
    truth = example.truth_theta[columns] if example.truth_theta is not None else None
    prior = prior[:PRIOR_SAMPLES, columns] if prior is not None else None
    other = reference.theta[:, columns] if reference is not None else None
    bounds = hard_bounds(names, options)
    count = len(names)
    ranges = _ranges([s for s in (prior, other, draws) if s is not None], bounds)
    figure, axes = plt.subplots(
        count, count, figsize=(style.WIDTH, style.WIDTH), squeeze=False, gridspec_kw={"hspace": 0.06, "wspace": 0.06}
    )
    rows = []
    for i in range(count):
        for j in range(count):
            ax = axes[i, j]
            if j > i:
                ax.set_visible(False)
                continue
            ax.set_xlim(ranges[j])
            if i == j:
                grid = np.linspace(*ranges[i], 160)
                density = density_1d(draws[:, i], grid, *bounds[i])
                peak = max(density.max(), 1e-300)
                ax.fill_between(grid, density / peak, color=style.POSTERIOR, alpha=0.25, lw=0)
                ax.plot(grid, density / peak, color=style.POSTERIOR)
                column = [density]
                if prior is not None:
                    of_prior = density_1d(prior[:, i], grid, *bounds[i])
                    ax.plot(grid, of_prior / of_prior.max(), color=style.PRIOR, lw=1)
                    column.append(of_prior)
                if other is not None:
                    of_other = density_1d(other[:, i], grid, *bounds[i])
                    ax.plot(grid, of_other / of_other.max(), color=style.REFERENCE, lw=1.2)
                    column.append(of_other)
                if truth is not None:
                    ax.axvline(truth[i], color=style.TRUTH, lw=0.9, ls="--")
                ax.set_ylim(0, 1.12)
                ax.set_yticks([])
                for k in range(0, grid.size, 4):
                    rows.append([names[i], float(grid[k]), *[float(c[k]) for c in column]])
            else:
                ax.set_ylim(ranges[i])
                _contours(ax, draws, {style.PRIOR: prior, style.REFERENCE: other}, (j, i), ranges, bounds)
                if truth is not None:
                    ax.axvline(truth[j], color=style.TRUTH, lw=0.6, ls="--")
                    ax.axhline(truth[i], color=style.TRUTH, lw=0.6, ls="--")
            ax.xaxis.set_major_locator(MaxNLocator(3, prune="both", steps=[1, 2, 2.5, 5, 10]))
            if j != i:
                ax.yaxis.set_major_locator(MaxNLocator(3, prune="both", steps=[1, 2, 2.5, 5, 10]))
            ax.tick_params(labelsize=7, length=2.5)
            ax.tick_params(axis="x", labelrotation=45)
            if i == count - 1:
                ax.set_xlabel(style.label(names[j]))
            else:
                ax.set_xticklabels([])
            if j == 0 and i > 0:
                ax.set_ylabel(style.label(names[i]))
            elif i != j:
                ax.set_yticklabels([])
    figure.align_labels()
    handles = [plt.Line2D([], [], color=style.POSTERIOR, lw=4, alpha=0.6)]
    labels = [f"posterior, {draws.shape[0]} draws (68%, 95%)"]
    if prior is not None:
        handles.append(plt.Line2D([], [], color=style.PRIOR, lw=1))
        labels.append("prior (68%, 95%)")
    if other is not None:
        handles.append(plt.Line2D([], [], color=style.REFERENCE, lw=1.2))
        labels.append(f"{reference.title}, {other.shape[0]} draws")
    if truth is not None:
        handles.append(plt.Line2D([], [], color=style.TRUTH, lw=0.9, ls="--"))
        labels.append("truth")
    figure.legend(handles, labels, loc="upper right", bbox_to_anchor=(0.9, 0.88), fontsize=9)
    return style.save(
        directory,
        name,
        f"Parameters of {example.name}" + (f", beside {reference.title}" if reference is not None else ""),
        "Marginal posteriors, drawn jointly with the maps, over the prior. Contours are "
        "kernel densities with Scott's bandwidth, mirrored at the prior's bounds.",
        figure,
        [
            "parameter",
            "value",
            "posterior_density",
            *(["prior_density"] if prior is not None else []),
            *(["reference_density"] if other is not None else []),
        ],
        rows,
    )


def _contours(ax, draws, lines, pair, ranges, bounds, size=56):
    """Those of the draws filled, of the others as lines.  lines: {colour: draws or None}"""
    j, i = pair
    grid_x, grid_y = np.linspace(*ranges[j], size), np.linspace(*ranges[i], size)
    limits = (bounds[j], bounds[i])
    density = density_2d(draws[:, j], draws[:, i], grid_x, grid_y, limits)
    if density.max() > 0:
        levels = [*credible_levels(density, (0.95, 0.68)), density.max() * 1.001]
        if np.all(np.diff(levels) > 0):
            ax.contourf(grid_x, grid_y, density, levels, colors=["#92b9da", style.POSTERIOR], alpha=0.85)
    for colour, others in lines.items():
        if others is None:
            continue
        density = density_2d(others[:, j], others[:, i], grid_x, grid_y, limits)
        if density.max() > 0:
            ax.contour(grid_x, grid_y, density, credible_levels(density, (0.95, 0.68)), colors=colour, linewidths=0.8)


def with_s8(names, theta):
    """Append S8 to parameters [..., p] where it can be formed."""
    if not {"Omega_c", "Omega_b", "sigma_8"} <= set(names):
        return list(names), theta
    return [*names, "S8"], np.concatenate([theta, s8(theta, names)[..., None]], -1)


def against_truth(directory, posteriors, prior, options):
    """Posterior mean and width against the truth for every observation; how much narrower than the prior each is.

    Returns the figure and {parameter: mean posterior width / prior width}.
    """
    known = [p for p in posteriors if p.truth_theta is not None]
    if not known:
        return None, {}
    names, _ = with_s8(known[0].names, known[0].theta)
    truth = np.array([with_s8(p.names, p.truth_theta)[1] for p in known])
    draws = [with_s8(p.names, p.theta)[1] for p in known]
    mean, std = np.array([d.mean(0) for d in draws]), np.array([d.std(0, ddof=1) for d in draws])
    prior_std = with_s8(known[0].names, prior)[1].std(0) if prior is not None else truth.std(0)
    shown = free(names, options)
    columns = (len(shown) + 1) // 2
    figure, axes = plt.subplots(
        2,
        columns,
        figsize=(style.WIDTH, style.WIDTH / columns * 1.95),
        squeeze=False,
        gridspec_kw={"wspace": 0.36, "hspace": 0.35},
    )
    ratio, rows = {}, []
    for ax, k in zip(axes.ravel(), shown):
        name = names[k]
        ax.errorbar(
            truth[:, k], mean[:, k], std[:, k], fmt="o", ms=2.6, lw=0.6, color=style.POSTERIOR, mec="none", alpha=0.85
        )
        low = min(truth[:, k].min(), (mean - std)[:, k].min())
        high = max(truth[:, k].max(), (mean + std)[:, k].max())
        margin = 0.05 * (high - low)
        ax.plot([low - margin, high + margin], [low - margin, high + margin], color=style.TRUTH, lw=0.7, ls="--")
        ax.set_xlim(low - margin, high + margin)
        ax.set_ylim(low - margin, high + margin)
        ax.set_aspect("equal")
        ax.locator_params(nbins=4)
        ratio[name] = float(np.mean(std[:, k]) / prior_std[k])
        ax.set_title(f"{style.label(name)}   {ratio[name]:.2f} of prior", fontsize=8.5)
        for t in range(len(known)):
            rows.append([name, t, float(truth[t, k]), float(mean[t, k]), float(std[t, k])])
    for ax in axes.ravel()[len(shown) :]:
        ax.set_visible(False)
    figure.supxlabel("truth", y=0.02, fontsize=9)
    figure.supylabel("posterior mean ± standard deviation", x=0.06, fontsize=9)
    return (
        style.save(
            directory,
            "parameters",
            "Parameters of every observation",
            f"Posterior mean and standard deviation against the truth of {len(known)} observations drawn from the prior. "
            "Each title gives the mean posterior width as a fraction of the prior's: 1 means that the data said "
            "nothing. S8 = σ8 (Ωm/0.3)^½ is the combination that lensing measures best.",
            figure,
            ["parameter", "observation", "truth", "mean", "std"],
            rows,
        ),
        ratio,
    )
