"""How every figure looks, and how one is saved together with its numbers."""

import csv
import dataclasses
import pathlib

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402  (the backend comes first)

WIDTH = 7.4  # inches, the text width of the page
MAP, SPREAD = "magma", "viridis"  # perceptually uniform
TRUTH, POSTERIOR, WIENER, PRIOR, REFERENCE = "#111111", "#2166ac", "#d6604d", "#9a9a9a", "#1b7837"
BINS = ["#440154", "#3b528b", "#21918c", "#5ec962", "#d8b40c"]

LABELS = {
    "Omega_c": r"$\Omega_{\rm c}$",
    "Omega_b": r"$\Omega_{\rm b}$",
    "sigma_8": r"$\sigma_8$",
    "h": r"$h$",
    "n_s": r"$n_{\rm s}$",
    "w_0": r"$w_0$",
    "w_a": r"$w_a$",
    "A_IA": r"$A_{\rm IA}$",
    "eta_IA": r"$\eta_{\rm IA}$",
    "Omega_m": r"$\Omega_{\rm m}$",
    "S8": r"$S_8$",
}


def label(name):
    """The parameter as papers write it."""
    if name in LABELS:
        return LABELS[name]
    for prefix, symbol in (("delta_z_", r"\Delta z"), ("m_", "m")):
        if name.startswith(prefix):
            return f"${symbol}_{{{name[len(prefix):]}}}$"
    return name


def apply():
    plt.rcParams.update(
        {
            "font.family": "STIXGeneral",
            "mathtext.fontset": "stix",
            "font.size": 9,
            "axes.labelsize": 9,
            "axes.titlesize": 9,
            "axes.linewidth": 0.6,
            "xtick.labelsize": 7.5,
            "ytick.labelsize": 7.5,
            "xtick.direction": "in",
            "ytick.direction": "in",
            "xtick.top": True,
            "ytick.right": True,
            "xtick.major.width": 0.6,
            "ytick.major.width": 0.6,
            "legend.fontsize": 8,
            "legend.frameon": False,
            "lines.linewidth": 1.2,
            "savefig.dpi": 170,
            "image.interpolation": "nearest",
            "image.origin": "lower",
        }
    )


@dataclasses.dataclass
class Figure:
    """One figure of the page: files are relative to it."""

    name: str
    title: str
    caption: str
    png: str
    csv: str


def ratio_panels(bins, ell, reference, limits, ylabel):
    """Panels of the pairs of bins, for ratios by multipole.  Returns the figure and draw(i, j, ratio, error) for i <= j."""
    figure, axes = plt.subplots(
        bins,
        bins,
        figsize=(WIDTH, WIDTH * 0.7),
        sharex=True,
        sharey=True,
        squeeze=False,
        gridspec_kw={"hspace": 0.06, "wspace": 0.06},
    )
    for i in range(bins):
        for ax in axes[i, i + 1 :]:
            ax.set_visible(False)

    def draw(i, j, ratio, error):
        ax = axes[j, i]
        ax.axhline(1, **reference)
        ax.errorbar(ell, ratio, error, color=POSTERIOR, fmt="o", ms=2, lw=0.9)
        ax.set_xscale("log")
        ax.set_ylim(*limits)
        ax.text(0.05, 0.06, f"{j + 1}–{i + 1}", transform=ax.transAxes, fontsize=8)
        ax.tick_params(labelsize=6.5, which="both")

    figure.supxlabel(r"multipole $\ell$", y=0.02, fontsize=9)
    figure.supylabel(ylabel, x=0.05, fontsize=9)
    return figure, draw


def save(directory, name, title, caption, figure, header, rows):
    """Write NAME.png and NAME.csv, and say what the page shows of them."""
    directory = pathlib.Path(directory)
    figure.savefig(directory / f"{name}.png", bbox_inches="tight", pad_inches=0.04, metadata={"Software": "nephrite"})
    plt.close(figure)
    with open(directory / f"{name}.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for row in rows:
            writer.writerow([f"{value:.8g}" if isinstance(value, float) else value for value in row])
    return Figure(name, title, caption, f"{name}.png", f"{name}.csv")
