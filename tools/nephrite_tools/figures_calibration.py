"""Figures of calibration.h5: MIRA scores, TARP coverage, SBC ranks; cells are in figures_cells."""

import matplotlib.pyplot as plt
import numpy as np

from . import style


def _panels(lines, columns, height):
    """Panels of one size, four to the width of the page."""
    return plt.subplots(
        lines,
        columns,
        figsize=(style.WIDTH * columns / 4, height * lines + 0.35),
        squeeze=False,
        sharey=True,
        gridspec_kw={"wspace": 0.08, "hspace": 0.42},
    )


def _finish(figure, axes, used, ylabel, xlabel):
    """Axes from 0 to 1, labels outside, and no empty panels."""
    for ax in axes.ravel():
        ax.set_xlim(0, 1)
        ax.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
    for ax in axes.ravel()[used:]:
        ax.set_visible(False)
    for ax in axes[:, 0]:
        ax.set_ylabel(ylabel)
    inch = 1 / figure.get_figheight()
    figure.supxlabel(xlabel, y=axes[-1, 0].get_position().y0 - 0.36 * inch, fontsize=9)


def _published(ax, spaces, y):
    """Scores of the published estimator, below ours."""
    known = [k for k, s in enumerate(spaces) if s.published]
    if known:
        ax.errorbar(
            [spaces[k].published[0] for k in known],
            y[known] - 0.22,
            xerr=[spaces[k].published[1] for k in known],
            fmt="o",
            ms=3.5,
            mfc="white",
            color=style.PRIOR,
            lw=0.8,
            label="published estimator",
        )
    return [spaces[k].published for k in known]


def mira(directory, judged):
    """Scores with their errors against the value that a calibrated posterior has.

    judged: [(method, [Space])], the one that the page is about first.
    """
    spaces = judged[0][1]
    titles = [space.title for space in spaces]
    figure, ax = plt.subplots(figsize=(style.WIDTH, 0.75 + 0.28 * len(spaces)))
    y = np.arange(len(spaces))[::-1]
    expected = spaces[0].expected
    ax.axvline(expected, color=style.TRUTH, lw=0.9, ls="--")
    for k, (method, others) in enumerate(judged):
        others = [s for s in others if s.title in titles]
        ax.errorbar(
            [s.score for s in others],
            [y[titles.index(s.title)] + 0.22 * k for s in others],
            xerr=[s.error for s in others],
            fmt="s" if k else "o",
            ms=3.5 if k else 4,
            color=style.REFERENCE if k else style.POSTERIOR,
            capsize=2.5,
            lw=1,
            label=method if k else f"{method}, exact in the reference draw",
            zorder=3,
        )
    shown = [(s.score, 2 * s.error) for _, others in judged for s in others] + _published(ax, spaces, y)
    ax.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=3, borderpad=0)
    low = min(min(value - error for value, error in shown), expected - 0.02)
    high = max(max(value + error for value, error in shown), expected + 0.02)
    ax.set_xlim(low - 0.1 * (high - low), high + 0.28 * (high - low))
    for k, space in enumerate(spaces):
        ax.text(
            0.99,
            y[k],
            f"{space.significance:+.1f} σ".replace("-", "−"),
            transform=ax.get_yaxis_transform(),
            ha="right",
            va="center",
            fontsize=8,
        )
    ax.set_yticks(y)
    ax.set_yticklabels(titles, fontsize=8.5)
    ax.set_ylim(-0.6, len(spaces) - 0.4)
    ax.tick_params(axis="y", length=0)
    ax.set_xlabel(f"MIRA score (calibrated: {expected:.4f};  lower: over-confident or biased;  higher: too wide)")
    rows = [
        [
            method,
            s.name,
            s.metric,
            *map(float, (s.score, s.error, s.expected, s.significance)),
            *(s.published or ("", "")),
        ]
        for method, others in judged
        for s in others
    ]
    return style.save(
        directory,
        "mira",
        "MIRA",
        "The score of every space, exact in the reference draw, with its bootstrap error over truths. A deviation counts "
        "against the error, not against 0. The score sees width and bias together, and bias can hide excess width: read "
        "it beside the ranks below. Open circles: the published estimator, with its scatter over bootstrap samples; it "
        "has the same expectation and needs ten times the truths for the same error. Squares: another method for the "
        "same campaign, where there is one.",
        figure,
        ["method", "space", "metric", "score", "error", "expected", "sigma", "published", "published_std"],
        rows,
    )


def tarp(directory, spaces):
    """Expected coverage against credibility."""
    columns = min(4, len(spaces))
    lines = (len(spaces) + columns - 1) // columns
    figure, axes = _panels(lines, columns, 1.55)
    reach = max(0.05, 1.15 * max(np.max(np.abs(s.ecp - s.alpha) + s.ecp_error) for s in spaces))
    rows = []
    for ax, space in zip(axes.ravel(), spaces):
        excess = space.ecp - space.alpha
        ax.axhline(0, color=style.TRUTH, lw=0.7, ls="--")
        for width, opacity in ((2, 0.18), (1, 0.35)):
            spread = width * space.ecp_error
            ax.fill_between(space.alpha, excess - spread, excess + spread, color=style.POSTERIOR, alpha=opacity, lw=0)
        ax.plot(space.alpha, excess, color=style.POSTERIOR)
        ax.set_title(f"{space.title}   max {space.deviation:.3f}", fontsize=8.5)
        ax.set_ylim(-reach, reach)
        for k in range(space.alpha.size):
            rows.append([space.name, space.metric, *map(float, (space.alpha[k], space.ecp[k], space.ecp_error[k]))])
    _finish(figure, axes, len(spaces), "coverage − credibility", "credibility")
    return style.save(
        directory,
        "tarp",
        "TARP coverage",
        "The share of truths inside the region of each credibility, less that credibility: 0 when calibrated. Bands are 1 "
        "and 2 standard errors from the bootstrap over truths. Too wide: below, then above 0; too narrow: the reverse.",
        figure,
        ["space", "metric", "alpha", "ecp", "error"],
        rows,
    )


def sbc(directory, ranks):
    """Histograms of the truth's rank among the draws."""
    columns = min(4, len(ranks))
    lines = (len(ranks) + columns - 1) // columns
    figure, axes = _panels(lines, columns, 1.55)
    rows = []
    for ax, scalar in zip(axes.ravel(), ranks):
        bins = scalar.histogram.size
        edges = np.arange(bins + 1) / bins
        expected = np.append(scalar.expected, scalar.expected[-1])
        total = max(scalar.histogram.sum(), 1)
        scatter = np.sqrt(expected * (1 - expected / total))
        for width, alpha in ((2, 0.25), (1, 0.45)):
            ax.fill_between(
                edges,
                expected - width * scatter,
                expected + width * scatter,
                step="post",
                color="0.7",
                alpha=alpha,
                lw=0,
            )
        ax.stairs(scalar.histogram, edges, color=style.POSTERIOR, lw=1.2)
        ax.set_title(f"{style.label(scalar.name)}   p = {scalar.p_value:.2g}", fontsize=8.5)
        for k in range(bins):
            rows.append([scalar.name, k, float(scalar.histogram[k]), float(scalar.expected[k]), float(scalar.p_value)])
    top = max(max(s.histogram.max(), (s.expected + 3 * np.sqrt(s.expected)).max()) for s in ranks)
    axes[0, 0].set_ylim(0, 1.1 * top)
    _finish(figure, axes, len(ranks), "truths", "rank of the truth among its draws, as a fraction")
    return style.save(
        directory,
        "sbc",
        "Ranks (SBC)",
        "Where the truth ranks among its draws, for each parameter; flat when calibrated, within the grey bands of 1 and 2 "
        "standard deviations. ∪: too narrow; ∩: too wide; a slope: biased. p is that of the χ² test.",
        figure,
        ["scalar", "bin", "count", "expected", "p_value"],
        rows,
    )
