"""A study of scaling as jobs/scaling leaves it: what was measured, and a fit to it.

Of a run the stage of the program counts that does its work; what comes before and after is start and ending. The fastest
run of each number of ranks counts: other work on a machine only ever slows them.
"""

import csv
import dataclasses
import itertools
import math
import pathlib

import numpy as np

from . import bench_allreduce, scaling

STAGES = {"simulate": "Simulation", "train": "Training", "infer": "Inference"}
START = "Main Stage"
LONGER = 1e-9  # seconds: an event that no rank came to has none


# ---- what was measured


@dataclasses.dataclass
class Part:
    mean: float  # seconds of a rank, over all ranks
    most: float  # of the slowest

    @property
    def imbalance(self):
        return self.most / self.mean


@dataclasses.dataclass
class Run:
    ranks: int
    repeat: int
    threads: int
    nodes: int
    work: int  # of all ranks
    seconds: float  # of the stage, on the slowest rank
    before: float
    after: float
    parts: dict  # {name: Part}; one may contain another
    about: str  # program, revision, host and time

    @property
    def rate(self):
        return self.work / self.seconds


@dataclasses.dataclass
class Measured:
    """All runs of a program in a mode."""

    program: str
    mode: str
    plan: dict
    runs: list
    link: scaling.Interconnect  # None where sums were not measured
    bucket: int

    @property
    def name(self):
        return f"{self.program}-{self.mode}"

    @property
    def best(self):
        """{ranks: the fastest run}, in order."""
        ordered = sorted(self.runs, key=lambda run: (run.ranks, -run.seconds))
        return {run.ranks: run for run in ordered}

    def work(self, ranks):
        return int(self.plan["work"]) * (ranks if self.mode == "weak" else 1)

    def speed_up(self, ranks, seconds):
        """Over one rank, taking the least number of ranks that was measured to be without loss."""
        first = next(iter(self.best.values()))
        return self.work(ranks) / seconds / first.rate * first.ranks


def key_values(path):
    return dict(line.split("=", 1) for line in path.read_text().splitlines())


def read_log(path):
    """{stage: {event, or "summary": seconds of each rank}} of what -log_view writes as ascii_csv."""
    stages = {}
    with open(path) as file:
        for row in csv.DictReader(file):
            stages.setdefault(row["Stage Name"], {}).setdefault(row["Event Name"], []).append(float(row["Time"]))
    return {stage: {event: np.array(times) for event, times in events.items()} for stage, events in stages.items()}


def parts_of(events):
    """Ours, which unlike PETSc's begin with a small letter."""
    ours = {event: times for event, times in events.items() if event[0].islower() and event != "summary"}
    return {event: Part(times.mean(), times.max()) for event, times in ours.items() if times.max() > LONGER}


def read_run(folder, plan):
    ranks, repeat = map(int, folder.name.split("-"))
    log, about = read_log(folder / "petsc.csv"), key_values(folder / "run")
    stage = STAGES[plan["program"]]
    summary = {name: events["summary"] for name, events in log.items()}
    if stage not in summary or summary[stage].max() < LONGER:
        raise OSError(f"{folder / 'petsc.csv'} has no time of the stage {stage}")
    after = sum(times for name, times in summary.items() if name not in (START, stage))
    head = (folder / "output.log").read_text().split(",")[0]
    return Run(
        ranks=ranks,
        repeat=repeat,
        threads=int(plan["threads"]),
        nodes=int(about["nodes"]),
        work=int(plan["work"]) * (ranks if plan["mode"] == "weak" else 1),
        seconds=summary[stage].max(),
        before=summary[START].max(),
        after=np.max(after),
        parts=parts_of(log[stage]),
        about=f"{head} on {about['host']}, {about['started']}",
    )


def read_link(folder):
    """(Interconnect, bytes of a bucket) of the sums over the most ranks."""
    found = sorted(folder.glob("sums-*.txt"), key=lambda path: int(path.stem[5:]))
    if not found:
        return None, 0
    text = found[-1].read_text()
    numbers = {number: name for name, number in bench_allreduce.OPEN_MPI.items()}
    algorithm = numbers.get(text.split()[-1], "tree")  # which is Open MPI's own choice, by 0
    bucket, rows = bench_allreduce.read_sums(text)
    ranks = int(found[-1].stem[5:])
    return scaling.fit(algorithm, ranks, [row[0] for row in rows], [row[1] for row in rows]), bucket


def read(directory):
    """[Measured], of every program and mode with a run that has ended."""
    found = []
    for path in sorted(pathlib.Path(directory).glob("*-*/plan")):
        plan, folder = key_values(path), path.parent
        runs = [read_run(run.parent, plan) for run in sorted(folder.glob("[0-9]*-[0-9]*/run"))]
        if runs:
            found.append(Measured(plan["program"], plan["mode"], plan, runs, *read_link(folder)))
    return found


def write_csv(measured, path):
    """A row for each run."""
    names = sorted({name for run in measured.runs for name in run.parts})
    header = ["ranks", "run", "threads", "nodes", "work", "seconds", "seconds_before", "seconds_after"]
    header += [column for name in names for column in (name, f"{name} imbalance")]
    whole = path.with_suffix(".csv.part")
    with open(whole, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(header)
        for run in sorted(measured.runs, key=lambda run: (run.ranks, run.repeat)):
            numbers = [run.seconds, run.before, run.after]
            for part in (run.parts.get(name) for name in names):
                numbers += [part.mean, part.imbalance] if part else [0.0, math.nan]
            row = [run.ranks, run.repeat, run.threads, run.nodes, run.work, *(f"{number:.6g}" for number in numbers)]
            writer.writerow(row)
    whole.replace(path)


# ---- the fit


@dataclasses.dataclass
class Term:
    name: str
    of: object  # seconds on so many ranks, for a coefficient of 1
    unit: str  # of the coefficient
    coefficient: float = 0.0


def largest_share(measured, ranks):
    """Of the work, on the rank that has most: a batch is in samples."""
    if measured.program != "train":
        return 1 / ranks
    batch = int(measured.plan["piece"])
    return math.ceil(batch / ranks) / batch


def communication(measured, ranks):
    """Seconds of all steps together, if backward hides nothing (doc/scaling.md, "The model")."""
    training = scaling.Training(
        sample=0,
        update=0,
        backward=0,
        micro_batch=1,
        gradient=4.0 * int(measured.plan["weights"]),
        bucket=measured.bucket,
        pieces=int(measured.plan["blocks"]),
    )
    steps = int(measured.plan["work"]) // int(measured.plan["piece"])
    return steps * scaling.step(training, measured.link, ranks, 1, hidden=False)[1]


def terms(measured):
    """What time is made of; where there are too few points for all, the last ones are left out."""
    found = [Term("work of a rank", lambda ranks: 1.0, "s")]
    if measured.mode == "strong":
        divided = Term("parallel part", lambda ranks: largest_share(measured, ranks), "s on one rank")
        found = [divided, Term("serial part", lambda ranks: 1.0, "s")]
    if measured.link:
        found.append(Term("communication", lambda ranks: communication(measured, ranks), "of the model's"))
    else:
        found.append(Term("growth with log2 of the ranks", math.log2, "s for each doubling"))
    return found


@dataclasses.dataclass
class Fit:
    terms: list
    residuals: dict  # {ranks: measured over fitted, less 1}

    def seconds(self, ranks):
        return sum(term.coefficient * term.of(ranks) for term in self.terms)


def fit(candidates, seconds):
    """As many of the terms, none below 0, as there are points: least squares of the relative errors of {ranks: seconds}."""
    ranks, times = list(seconds), np.array(list(seconds.values()))
    if len(ranks) < 2:
        raise ValueError("one number of ranks has no scaling to fit")
    used = [dataclasses.replace(term) for term in candidates[: len(ranks)]]
    matrix = np.array([[term.of(count) for term in used] for count in ranks]) / times[:, None]
    scale = matrix.max(0)  # a term may be of seconds, another of their millionths
    matrix = matrix / scale
    best = np.inf
    # Of so few terms all subsets can be tried: the best without a negative coefficient is the nonnegative solution.
    for size in range(1, len(used) + 1):
        for chosen in map(list, itertools.combinations(range(len(used)), size)):
            found = np.linalg.lstsq(matrix[:, chosen], np.ones(len(ranks)), rcond=None)[0]
            error = np.sum((matrix[:, chosen] @ found - 1) ** 2)
            if found.min() >= 0 and error < best - 1e-12:
                best = error
                for k, term in enumerate(used):
                    term.coefficient = float(found[chosen.index(k)] / scale[k]) if k in chosen else 0.0
    result = Fit(used, {})
    result.residuals = {count: time / result.seconds(count) - 1 for count, time in zip(ranks, times)}
    return result


def fit_of(measured):
    """None of a single number of ranks."""
    best = measured.best
    return fit(terms(measured), {ranks: run.seconds for ranks, run in best.items()}) if len(best) > 1 else None


def kind(measured, ranks):
    """What a number is that the fit has for so many ranks."""
    within = min(measured.best) < ranks < max(measured.best)
    return "interpolated" if within else "extrapolated"
