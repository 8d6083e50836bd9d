"""Figures of calibration.h5 in cells of posteriors: is the network right wherever they lie?"""

import matplotlib.pyplot as plt
import numpy as np

from . import style
from .statistics import in_errors

WORST = 27  # cells shown one by one


def deviations(space):
    """[cell]: of the score from its value when calibrated, in its error."""
    return in_errors(space.cell_score - space.expected, space.cell_error)


def where(cells, cell):
    """The range of each axis in a cell, for people."""
    return ", ".join(
        f"{style.label(axis)} {cells.low[cell, a]:.3g} … {cells.high[cell, a]:.3g}" for a, axis in enumerate(cells.axes)
    )


def _range(cells, cell):
    return [float(edge[cell, a]) for a in range(len(cells.axes)) for edge in (cells.low, cells.high)]


def _header(cells):
    return [f"{axis}_{end}" for axis in cells.axes for end in ("low", "high")]


def _shown(spaces):
    """One metric of each space: in raw units, distances in maps and in all parameters see little."""
    metrics = {}
    for space in spaces:
        metrics.setdefault(space.name, {})[space.metric] = space
    return [found.get("standardised", next(iter(found.values()))) for found in metrics.values()]


def _score_rows(space, cells):
    sigma = deviations(space)
    return [
        [space.name, space.metric, cell, *_range(cells, cell), int(cells.truths[cell])]
        + [float(value) for value in (space.cell_score[cell], space.cell_error[cell], space.expected, sigma[cell])]
        for cell in range(cells.truths.size)
    ]


def _write(ax, x, y, words, dark):
    ax.text(
        x, y, words.replace("-", "−"), ha="center", va="center", fontsize=6.5, color="white" if dark else style.TRUTH
    )


def scores(directory, spaces, cells):
    """A map of the scores: a line for each space, a panel for each part of the first axis, the others within."""
    spaces = [s for s in spaces if s.cell_score is not None]
    rows = [row for space in spaces for row in _score_rows(space, cells)]
    spaces = _shown(spaces)
    along, axes = cells.along, len(cells.axes)
    panels = along if axes > 2 else 1
    wide = along if axes > 1 else 1
    high = cells.truths.size // (panels * wide)
    figure, frames = plt.subplots(
        len(spaces),
        panels,
        figsize=(style.WIDTH * (0.35 + 0.65 * panels / 3), (0.35 + 0.28 * high) * len(spaces) + 0.5),
        squeeze=False,
        gridspec_kw={"wspace": 0.06, "hspace": 0.25},
    )
    for line, space in zip(frames, spaces):
        sigma = deviations(space)
        grids = [values.reshape(panels, wide, high) for values in (sigma, space.cell_score)]
        for k, ax in enumerate(line):
            image = ax.imshow(grids[0][k].T, cmap="RdBu", vmin=-4, vmax=4, aspect="auto")
            for i, j in np.ndindex(wide, high):
                _write(ax, i, j, f"{grids[1][k, i, j]:.3f}", abs(grids[0][k, i, j]) > 3)
            ax.set_xticks([])
            ax.set_yticks([])
        line[0].set_ylabel(space.title.replace(", ", "\n") + f"\np = {space.cell_p_value:.2g}", fontsize=7)
    names = [style.label(axis) for axis in cells.axes]
    if axes > 2:
        for k, ax in enumerate(frames[0]):
            inside = np.arange(k * wide * high, (k + 1) * wide * high)
            low, top = cells.low[inside, 0].min(), cells.high[inside, 0].max()
            ax.set_title(f"{names[0]} {low:.2f} … {top:.2f}", fontsize=8)
    inner = names[1:] if axes > 2 else names
    words = f"{inner[0]} →" if axes > 1 else ""
    for ax in frames[-1]:
        ax.set_xlabel(words + (f"    ↑ {', '.join(inner[1:] if axes > 1 else inner)}"), fontsize=8)
    figure.colorbar(image, ax=frames, fraction=0.03, pad=0.02, label="deviation [σ]", extend="both")
    return style.save(
        directory,
        "mira_cells",
        "MIRA by cells",
        "The score of the truths in each cell, coloured by its deviation from the calibrated value in its error (red: "
        "over-confident or biased; blue: too wide). Cells hold equal numbers of truths and are cut along one parameter "
        "after the other, by the mean of draws and truth: unlike cells of truths alone, a calibrated posterior is "
        "calibrated in each. p is the chance of so large deviations of all cells together, if it is.",
        figure,
        ["space", "metric", "cell", *_header(cells), "truths", "score", "error", "expected", "sigma"],
        rows,
    )


def significance(cells):
    """[scalar, cell]: biases in their errors."""
    return in_errors(cells.bias, cells.bias_error)


def worst(cells):
    """Cells in the order of their biases, all scalars together, the worst first."""
    return np.argsort(-(significance(cells) ** 2).sum(0), kind="stable")


def residuals(directory, cells):
    """Bias and dispersion of every scalar, cell by cell, the worst first."""
    order = worst(cells)[:WORST]
    figure, frames = plt.subplots(
        1, 2, figsize=(style.WIDTH, 1.2 + 0.2 * len(order)), sharey=True, gridspec_kw={"wspace": 0.05}
    )
    panels = (
        (cells.bias, "bias / posterior std", "RdBu", (-1, 1)),
        (cells.dispersion, "dispersion", "PuOr", (0.5, 1.5)),
    )
    for ax, (values, title, colours, (low, high)) in zip(frames, panels):
        image = ax.imshow(values[:, order].T, cmap=colours, vmin=low, vmax=high, aspect="auto", origin="upper")
        for i, j in np.ndindex(len(order), len(cells.scalars)):
            value = values[j, order[i]]
            _write(ax, j, i, f"{value:.2f}", abs(value - (low + high) / 2) > 0.37 * (high - low))
        ax.set_xticks(range(len(cells.scalars)), [style.label(name) for name in cells.scalars])
        ax.tick_params(length=0)
        figure.colorbar(image, ax=ax, orientation="horizontal", fraction=0.03, pad=0.09, label=title, extend="both")
    frames[0].set_yticks(range(len(order)), [f"{cell}:  {where(cells, cell)}" for cell in order], fontsize=6.5)
    rows = [
        [int(cell), *_range(cells, cell), int(cells.truths[cell]), name]
        + [float(values[k, cell]) for values in (cells.bias, cells.bias_error, cells.dispersion)]
        for cell in worst(cells)
        for k, name in enumerate(cells.scalars)
    ]
    return style.save(
        directory,
        "cells",
        "Bias and dispersion by cells",
        "Left: the mean of (truth − posterior mean)/posterior standard deviation of the truths in a cell, 0 when calibrated, "
        f"± {np.median(cells.bias_error):.2f} by chance. Right: its standard deviation, 1 when calibrated; more where "
        "the posterior is too narrow. Cells are in the order of their biases, the worst first.",
        figure,
        ["cell", *_header(cells), "truths", "scalar", "bias", "bias_error", "dispersion"],
        rows,
    )
