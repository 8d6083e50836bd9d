"""tools/bench sample: what each solver of nephrite-infer leaves of the exact flow, for how many evaluations of the network.

All runs draw for the same held-out observations from the same starting noise, so each draw has its counterpart in the
reference: the flow itself, followed by the adaptive solver to a small tolerance.
"""

import pathlib
import re
import sys
import tempfile

import h5py
import numpy as np

from .bench import RATE, execute

EVALUATIONS = re.compile(r"([\d.e+]+) evaluations of the network for a draw")
SOLVERS = ("heun", "multistep2", "multistep3")


def add_options(parser):
    group = parser.add_argument_group("sample")
    group.add_argument("--campaign", type=pathlib.Path, help="a campaign with a trained network, drawn from as it is")
    group.add_argument("--solvers", default=",".join(SOLVERS), help=f"to compare (default {','.join(SOLVERS)})")
    group.add_argument("--evaluations", default="8,16,32,64", help="of a draw, to compare (default 8,16,32,64)")
    group.add_argument("--observations", type=int, default=4, help="held-out maps that are observed (default 4)")
    group.add_argument("--tolerance", type=float, default=1e-5, help="of the reference (default 1e-5)")


def borrowed(arguments, folder):
    """A campaign with maps and checkpoints of the trained one, and nothing inferred."""
    folder.mkdir()
    for part in ("sims", "checkpoints"):
        if (arguments.campaign / part).exists():
            (folder / part).symlink_to((arguments.campaign / part).resolve())
    return folder


def draw(arguments, folder, options):
    """Draws of one solver: {"theta": [observation, draw, parameter], "kappa": [observation, draw, pixel]}, with the
    evaluations of a draw and draws per second."""
    campaign = borrowed(arguments, folder)
    words = ["mpirun", "-n", arguments.ranks[0], arguments.build / "nephrite-infer", "-config", arguments.config]
    words += ["-campaign", campaign, "-task", "posterior", "-infer_observations", arguments.observations]
    words += ["-infer_draws", arguments.work, *options, *arguments.options]
    text = execute(words)
    parts = {"theta": [], "kappa": [], "truth/theta": [], "truth/kappa": []}
    for path in sorted((campaign / "posterior").glob("observation-*.h5")):
        with h5py.File(path) as file:
            for name, values in parts.items():
                values.append(file[name][()].astype(float).reshape((-1,) if "/" in name else (arguments.work, -1)))
    return {name: np.array(values) for name, values in parts.items()} | {
        "evaluations": float(EVALUATIONS.search(text)[1]),
        "rate": float(RATE.findall(text)[-1][0]),
    }


def differences(draws, exact):
    """How draws [observation, draw, number] differ from their counterparts, in standard deviations of the posterior:
    {what: (typical, worst)} over numbers.  A fixed parameter has no posterior and no part in it."""
    spread = exact.std(1, ddof=1)
    free = spread.min(0) > 1e-9 * np.abs(exact).max((0, 1))
    draws, exact, spread = draws[..., free], exact[..., free], spread[:, free]
    error = np.sqrt((((draws - exact) / spread[:, None]) ** 2).mean((0, 1)))
    shift = np.sqrt((((draws.mean(1) - exact.mean(1)) / spread) ** 2).mean(0))
    ratio = (draws.std(1, ddof=1) / spread).mean(0)
    return {
        "error": (np.sqrt((error**2).mean()), error.max()),
        "shift": (np.sqrt((shift**2).mean()), shift.max()),
        "width": (ratio.mean(), ratio[np.abs(ratio - 1).argmax()]),
    }


def score(draws, truth, exact):
    """The continuous ranked probability score (Gneiting and Raftery 2007, eq. 21) of draws [observation, draw, number] at the
    truth [observation, number], over the spread of the reference: less is closer to the truth, whatever the flow is."""
    count = draws.shape[1]
    spread = exact.std((0, 1))
    free = spread > 1e-9 * np.abs(exact).max((0, 1))
    order = 2 * np.arange(1, count + 1) - count - 1
    between = (order[:, None] * np.sort(draws, 1)).sum(1) / (count * (count - 1))
    found = np.abs(draws - truth[:, None]).mean(1) - between
    return (found[:, free] / spread[free]).mean()


def line(name, run, reference):
    cells = [f"{name:<11}{run['evaluations']:11.4g} {run['rate']:8.4g}"]
    for part in ("theta", "kappa"):
        found = differences(run[part], reference[part])
        for what, form in (("error", " {:8.3g}"), ("shift", " {:8.3g}"), ("width", " {:7.4g}")):
            cells.extend(form.format(value) for value in found[what])
        cells.append(f" {score(run[part], run[f'truth/{part}'], reference[part]):7.4f}")
    return "".join(cells)


def header():
    names = f"{'error':>9}{'worst':>9}{'shift':>9}{'worst':>9}{'width':>8}{'worst':>8}{'score':>8}"
    return f"{'':<31}{'parameters':^60}{'pixels':^60}\n{'solver':<11}{'evaluations':>11}{'draws/s':>9}{names}{names}"


def run(arguments):
    if not arguments.campaign or not (arguments.campaign / "checkpoints").is_dir():
        sys.exit("bench: sample needs --campaign, with a trained network")
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
        folder = pathlib.Path(scratch)
        exact = ["-infer_solver", "adaptive", "-infer_tolerance", arguments.tolerance]
        reference = draw(arguments, folder / "reference", exact)
        print(header(), flush=True)
        for solver in arguments.solvers.split(","):
            for evaluations in arguments.evaluations.split(","):
                options = ["-infer_solver", solver, "-infer_evaluations", evaluations]
                print(line(solver, draw(arguments, folder / f"{solver}-{evaluations}", options), reference), flush=True)
        print(line("adaptive", reference, reference))
    print(
        f"\nof {arguments.observations} held-out observations, {arguments.work} draws each, beside the adaptive solver at tolerance"
        f" {arguments.tolerance:g} from the same noise; error, shift and width in standard deviations of the posterior, per parameter and"
        " per pixel. error: root mean square of draws. shift: of the posterior mean, root mean square over observations. width:"
        " of the posterior, over that of the reference. worst: of all parameters or pixels. score: continuous ranked probability score at the truth,"
        " less is better."
    )
