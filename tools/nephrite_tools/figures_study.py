"""Figures of a study of scaling: speed-up and efficiency with the fit, and where the time goes."""

import numpy as np

from . import study, style
from .style import plt

MEASURED, FITTED = style.POSTERIOR, style.WIENER
COLOURS = plt.cm.tab10.colors
MODES = {"strong": "all ranks together have the same work", "weak": "each rank has the same work"}


def panels(measured, ylabels):
    figure, axes = plt.subplots(1, 2, figsize=(style.WIDTH, 2.8))
    for ax, label in zip(axes, ylabels):
        ax.set_xscale("log", base=2)
        ax.set(xlabel="ranks", ylabel=label)
        ax.xaxis.set_major_formatter(plt.FuncFormatter(lambda x, _: f"{x:.0f}"))
    return figure, axes


def draw_fit(axes, measured, fit, asked):
    """Solid among what was measured, dashed beyond."""
    most = max(measured.best)
    ends = [min([*measured.best, *asked]), max([*measured.best, *asked])]
    grid = np.unique(np.round(np.geomspace(*ends, 200)).astype(int))
    for ranks, line, label in ((grid[grid <= most], "-", "fit"), (grid[grid >= most], "--", "fit, extrapolated")):
        if len(ranks) < 2:
            continue
        speed_up = np.array([measured.speed_up(count, fit.seconds(count)) for count in ranks])
        axes[0].plot(ranks, speed_up, line, color=FITTED, label=label)
        axes[1].plot(ranks, speed_up / ranks, line, color=FITTED)
    speed_up = np.array([measured.speed_up(count, fit.seconds(count)) for count in asked])
    if asked:
        looks = {"ls": "none", "marker": "o", "ms": 5, "mfc": "none", "color": FITTED}
        axes[0].plot(asked, speed_up, **looks)
        axes[1].plot(asked, speed_up / asked, **looks)


def scaling(directory, measured, fit, asked):
    """Speed-up and efficiency. fit: None if there is none; asked: further numbers of ranks."""
    figure, axes = panels(measured, ("speed-up", "efficiency"))
    best = measured.best
    ranks = np.array(list(best))
    speed_up = np.array([measured.speed_up(run.ranks, run.seconds) for run in best.values()])
    ideal = np.array([ranks.min(), max([*ranks, *asked])])
    axes[0].plot(ideal, ideal, color=style.PRIOR, lw=0.8, label="ideal")
    axes[1].axhline(1, color=style.PRIOR, lw=0.8)
    if fit:
        draw_fit(axes, measured, fit, asked)
    for ax, values in zip(axes, (speed_up, speed_up / ranks)):
        ax.plot(ranks, values, "o", ms=4, color=MEASURED, label="measured")
    axes[0].set_yscale("log", base=2)
    axes[0].yaxis.set_major_formatter(plt.FuncFormatter(lambda y, _: f"{y:g}"))
    axes[1].set_ylim(0, max(1.1, 1.1 * (speed_up / ranks).max()))
    axes[0].legend()
    figure.tight_layout()
    rows = []
    for count, run in best.items():
        fitted = fit.seconds(count) if fit else ""
        rows.append(row_of(measured, "measured", count, run.seconds, fitted))
    rows += [row_of(measured, study.kind(measured, n), n, fit.seconds(n), fit.seconds(n)) for n in asked if fit]
    caption = f"{measured.mode.capitalize()} scaling: {MODES[measured.mode]}. "
    caption += f"Efficiency is speed-up over ranks, relative to {ranks[0]} rank{'s' if ranks[0] > 1 else ''}. "
    caption += "What is dashed, and open circles, were not measured: the fit says so." if asked else ""
    header = ["kind", "ranks", "seconds", "speed_up", "efficiency", "fitted_seconds"]
    return style.save(directory, measured.name, measured.name.replace("-", ", "), caption, figure, header, rows)


def row_of(measured, kind, ranks, seconds, fitted):
    speed_up = measured.speed_up(ranks, seconds)
    return [kind, ranks, float(seconds), float(speed_up), float(speed_up / ranks), fitted]


def parts(directory, measured):
    """Time by part, and how evenly ranks share it."""
    figure, axes = panels(measured, ("seconds of a rank", "slowest rank / mean"))
    best = measured.best
    ranks = list(best)
    axes[0].plot(ranks, [run.seconds for run in best.values()], "o-", ms=3, color=style.TRUTH, label="all of it")
    names = sorted({name for run in best.values() for name in run.parts}, key=lambda name: -largest(measured, name))
    rows = []
    for k, name in enumerate(names):
        there = [(count, run.parts[name]) for count, run in best.items() if name in run.parts]
        looks = {"ms": 3, "lw": 1, "color": COLOURS[k % 10], "marker": "os^v"[k // 10 % 4]}
        axes[0].plot([count for count, _ in there], [part.mean for _, part in there], label=name, **looks)
        axes[1].plot([count for count, _ in there], [part.imbalance for _, part in there], **looks)
        rows += [[count, name, float(part.mean), float(part.most), float(part.imbalance)] for count, part in there]
    axes[0].set_yscale("log")
    axes[1].axhline(1, color=style.PRIOR, lw=0.8)
    figure.tight_layout()
    figure.legend(*axes[0].get_legend_handles_labels(), loc="upper center", bbox_to_anchor=(0.5, 0), ncol=4)
    caption = "Seconds of each part of the work, mean over ranks; one part may contain another. Right: those of the slowest rank over the mean."
    header = ["ranks", "part", "mean_seconds", "most_seconds", "imbalance"]
    title = f"{measured.name.replace('-', ', ')}: time by part"
    return style.save(directory, f"{measured.name}-parts", title, caption, figure, header, rows)


def largest(measured, name):
    return max(run.parts[name].mean for run in measured.best.values() if name in run.parts)
