"""The predicted efficiency of training on many ranks, as a figure."""

import dataclasses

from . import scaling, style
from .scaling import RANKS
from .style import plt

LOOKS = {"ring": (style.POSTERIOR, "-"), "halving": (style.REFERENCE, "--"),
         "doubling": (style.WIENER, "-."), "tree": (style.TRUTH, ":")}  # fmt: skip


def draw(directory, training, link, samples, batch):
    """scaling.png and scaling.csv: weak and strong."""
    style.apply()
    directory.mkdir(parents=True, exist_ok=True)
    figure, panels = plt.subplots(1, 2, figsize=(style.WIDTH, 2.8), sharey=True)
    numbers = []
    for panel, kind, whole in zip(panels, ("weak", "strong"), (None, batch)):
        for name, (colour, line) in LOOKS.items():
            other = dataclasses.replace(link, algorithm=name)
            found = [scaling.predict(training, other, ranks, samples, whole) for ranks in RANKS]
            panel.semilogx(RANKS, [p.efficiency for p in found], line, base=2, color=colour, label=name)
            numbers += [(kind, name, p.ranks, p.samples, p.seconds, p.shows, p.efficiency) for p in found]
        of = f"{samples} samples on every rank" if whole is None else f"{batch} samples on all ranks together"
        panel.set(title=f"{kind} scaling: {of}", xlabel="ranks", ylim=(0, 1.05), xlim=(1, RANKS[-1]))
    panels[0].set_ylabel("predicted efficiency")
    panels[0].legend(title="sums by", loc="lower left")
    figure.tight_layout()
    header = ["scaling", "sums", "ranks", "samples", "step_seconds", "communication", "efficiency"]
    return style.save(directory, "scaling", "Scaling of training", "", figure, header, numbers)
