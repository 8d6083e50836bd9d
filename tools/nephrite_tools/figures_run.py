"""Figures of how the campaign went: the course of training and the time of each stage."""

import h5py
import matplotlib.pyplot as plt
import numpy as np

from . import products, style


def _smooth(values, width):
    """Running mean that keeps the length; the ends average over what there is."""
    if width < 2:
        return values
    kernel = np.ones(width)
    return np.convolve(values, kernel, "same") / np.convolve(np.ones(values.size), kernel, "same")


def history(path):
    """training.h5 as {dataset: values}, groups joined with '/'."""
    with h5py.File(path, "r") as file:
        return {name: file[name][()] for name in products.dataset_names(file)}


def training(directory, h):
    """Loss of training and of validation, gradient norm and learning rate against the step.

    h: what history() read.  Returns the figure and {quantity: last validated value}.
    """
    if "step" not in h or h["step"].size == 0:
        return None, {}
    step = h["step"]
    figure, axes = plt.subplots(1, 3, figsize=(style.WIDTH, 2.4), gridspec_kw={"wspace": 0.36})
    width = max(1, step.size // 50)
    panels = ((axes[0], "field", "field part of the loss"), (axes[1], "theta", "parameter part of the loss"))
    last = {}
    for ax, name, title in panels:
        smooth = _smooth(h[name], width)
        ax.plot(step, h[name], color=style.PRIOR, lw=0.4, alpha=0.6)
        ax.plot(step, smooth, color=style.POSTERIOR, label="training")
        ax.set_yscale("log")
        ax.set_ylim(0.8 * smooth.min(), 1.5 * smooth.max())
        validated = f"validation/{name}"
        if validated in h and h[validated].size:
            ax.plot(
                h["validation/step"],
                h[validated],
                "o-",
                ms=2.5,
                lw=0.9,
                color=style.WIENER,
                label="held out, averaged weights",
            )
            last[name] = float(h[validated][-1])
        ax.set_xlabel("step")
        ax.set_ylabel(title)
    axes[0].legend(loc="upper right", fontsize=7)
    axes[2].plot(step, h["gradient_norm"], color=style.PRIOR, lw=0.5)
    axes[2].plot(step, _smooth(h["gradient_norm"], width), color=style.POSTERIOR)
    axes[2].set_yscale("log")
    axes[2].set_xlabel("step")
    axes[2].set_ylabel("gradient norm", color=style.POSTERIOR)
    rate = axes[2].twinx()
    rate.plot(step, h["learning_rate"], color=style.REFERENCE, ls="--", lw=1)
    rate.set_yscale("log")
    rate.set_ylabel("learning rate", color=style.REFERENCE)
    axes[2].tick_params(right=False, which="both")
    columns = ["loss", "field", "theta", "gradient_norm", "learning_rate", "samples_per_second"]
    rows = [[int(step[k]), *[float(h[name][k]) for name in columns]] for k in range(step.size)]
    return (
        style.save(
            directory,
            "training",
            "Training",
            "The two parts of the flow-matching loss, per pixel and per parameter, and the gradient norm before clipping "
            "with the learning rate. Held-out maps are judged with the averaged weights, which inference uses.",
            figure,
            ["step", *columns],
            rows,
        ),
        last,
    )


def run_times(directory, stages):
    """How long each stage took."""
    figure, ax = plt.subplots(figsize=(style.WIDTH, 0.42 + 0.3 * len(stages)))
    y = np.arange(len(stages))[::-1]
    seconds = np.array([s for _, s, _ in stages])
    ax.barh(y, seconds, height=0.55, color=style.POSTERIOR, alpha=0.8)
    for k, (_, value, ranks) in enumerate(stages):
        ax.text(value + 0.01 * seconds.max(), y[k], f"{value:.1f} s on {ranks} ranks", va="center", fontsize=8)
    ax.set_yticks(y)
    ax.set_yticklabels([stage for stage, _, _ in stages], fontsize=9)
    ax.set_xlim(0, 1.22 * seconds.max())
    ax.set_xlabel("wall time [s]")
    ax.tick_params(axis="y", length=0)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    ax.tick_params(top=False, right=False)
    return style.save(
        directory,
        "run_times",
        "Run times",
        "Wall time of each stage, all runs of it added up, with start-up and reading.",
        figure,
        ["stage", "seconds", "ranks"],
        [[stage, float(value), ranks] for stage, value, ranks in stages],
    )
