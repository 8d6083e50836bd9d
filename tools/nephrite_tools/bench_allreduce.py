"""tools/bench allreduce: what sums over ranks cost here, and what training on up to 4,096 ranks would therefore take.

Measured: sums over --ranks of this machine by the calls of training, and a training step of one rank. Predicted from
these by scaling.py: all the rest.
"""

import argparse
import dataclasses
import os
import pathlib
import re
import sys
import tempfile

from . import bench_train, scaling
from .bench import execute
from .scaling import RANKS

TIMES = {"s": 1, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
PER_BYTE = {"s/B": 1, "ns/B": 1e-9}
RATES = {"B/s": 1, "MB/s": 1e6, "GB/s": 1e9, "MiB/s": 2**20, "GiB/s": 2**30, "Gbit/s": 1e9 / 8}
OPEN_MPI = {"ring": "1", "tree": "2", "halving": "3", "doubling": "4"}  # coll_libnbc_iallreduce_algorithm


# ---- what is asked


def quantity(text, units, wanted):
    """(number, unit)."""
    found = re.fullmatch(r"([\d.]+(?:[eE][-+]?\d+)?) ?(\S+)", text)
    if not found or found[2] not in units or float(found[1]) <= 0:
        raise argparse.ArgumentTypeError(f'"{text}" is not {wanted}, in {", ".join(units)}')
    return float(found[1]), found[2]


def latency(text):
    number, unit = quantity(text, TIMES, 'a time like "2us"')
    return number * TIMES[unit]


def per_byte(text):
    number, unit = quantity(
        text, {**PER_BYTE, **RATES}, 'a time of a byte like "0.08ns/B" or a bandwidth like "12.5GB/s"'
    )
    return number * PER_BYTE[unit] if unit in PER_BYTE else 1 / (number * RATES[unit])


def add_options(parser):
    group = parser.add_argument_group("allreduce")
    group.add_argument("--algorithm", choices=scaling.ALGORITHMS, default="tree",
                       help="how MPI sums here; Open MPI is told to (default tree, its own choice for sums in place)")  # fmt: skip
    group.add_argument(
        "--alpha", type=latency, help="latency of another interconnect, with --beta: nothing is measured"
    )
    group.add_argument("--beta", type=per_byte, help="its time of a byte (0.08ns/B) or its bandwidth (12.5GB/s)")
    group.add_argument("--step", type=float, metavar="SECONDS", help="a step of one rank (default: measured here)")
    group.add_argument(
        "--update", type=float, metavar="SECONDS", default=0.0, help="what of it is the optimiser's (default 0)"
    )
    group.add_argument(
        "--samples", type=int, help="samples of a rank in it (default those at once by the campaign file)"
    )
    group.add_argument(
        "--bucket", type=int, metavar="BYTES", help="bytes of a bucket to predict for (default: training's)"
    )
    group.add_argument("--steps", default="", help="steps of the stages, N or N,N (default those of the campaign file)")
    group.add_argument("--cores-per-node", type=int, default=128, help="to count nodes with (default 128)")
    group.add_argument("--figure", type=pathlib.Path, metavar="DIR", help="write scaling.png and scaling.csv there")


def plan(arguments, folder):
    """What nephrite-train says of the campaign file."""
    words = [*bench_train.program(arguments, "train"), "-campaign", folder / "plan", *arguments.options]
    text = execute([*words, "-dry_run"])
    patterns = {"weights": r"(\d+) parameters", "blocks": r"(\d+) blocks", "steps": r"(\d+) of \d+ samples",
                "batch": r"\d+ of (\d+) samples", "samples": r"(\d+) at once per rank"}  # fmt: skip
    found = {name: int(re.search(pattern, text)[1]) for name, pattern in patterns.items()}
    found["at once"] = found["samples"]
    found["samples"] = arguments.samples or found["samples"]
    found["batch"] = arguments.batch or found["batch"]
    return found


# ---- what is measured


def bucket_of(text):
    return int(re.search(r"buckets of (\d+) bytes", text)[1])


def read_sums(text):
    """(bytes of a bucket, [(bytes, seconds as one message, in buckets, gathered)]), as nephrite-allreduce prints them."""
    rows = re.findall(r"^ +(\d+) +(\S+) +(\S+) +(\S+)$", text, re.M)
    return bucket_of(text), [(int(size), *map(float, times)) for size, *times in rows]


def sums(arguments, planned):
    """What read_sums() makes of them, measured here."""
    environment = {**os.environ, "OMPI_MCA_coll_libnbc_iallreduce_algorithm": OPEN_MPI[arguments.algorithm]}
    words = ["mpirun", "-n", max(arguments.ranks), arguments.build / "nephrite-allreduce"]
    words += ["-repeats", arguments.repeats, "-gradient", 4 * planned["weights"]]
    return read_sums(execute(words, environment))


def step_of_one_rank(arguments, folder, planned):
    """(seconds of all of it but communication, of the optimiser; share of backward in the rest; where it is from)."""
    if arguments.step:
        return arguments.step, arguments.update, 2 / 3, "as given"
    bench_train.maps(arguments, folder)
    alone = argparse.Namespace(**{**vars(arguments), "batch": planned["samples"]})
    found = [bench_train.train(alone, folder, planned["at once"], (1, arguments.threads[0]))
             for _ in range(arguments.repeats)]  # fmt: skip
    best = min(found, key=lambda result: result["seconds"]["compute"])
    seconds, time = best["seconds"]["compute"], best["time"]
    network = time["forward"] + time["objective"] + time["backward"]
    update = seconds * time["optimiser"] / (network + time["optimiser"])
    source = f"measured on {arguments.threads[0]} threads with {best['GB per rank']:.2f} GB"
    return seconds, update, time["backward"] / network, source


# ---- what is printed


def table_of_sums(bucket, rows, link, ranks):
    print(f"{'':>12}{'in one message':^32}{'in buckets':^32}")
    print(f"{'bytes':>12}" + f"{'measured s':>12}{'modelled s':>12}{'ratio':>8}" * 2)
    for size, message, buckets, _ in rows:
        line = f"{size:12d}"
        for measured, pieces in ((message, 1), (buckets, size / bucket)):
            modelled = link.sum(ranks, size, pieces)
            line += f"{measured:12.3e}{modelled:12.3e}{measured / modelled:8.2f}" if pieces >= 1 else ""
        print(line)


def table_of_steps(training, link, samples, batch):
    """Seconds, share of communication and efficiency, a group of columns for each algorithm."""
    print(f"{'':>13}" + "".join(f"{name:^25}" for name in scaling.ALGORITHMS))
    print(f"{'ranks':>5}{'samples':>8}" + f"{'step s':>10}{'comm.':>8}{'eff.':>7}" * len(scaling.ALGORITHMS))
    for ranks in RANKS:
        line = ""
        for name in scaling.ALGORITHMS:
            other = dataclasses.replace(link, algorithm=name)
            found = scaling.predict(training, other, ranks, samples, batch)
            line += f"{found.seconds:10.3f}{100 * found.shows:7.1f}%{found.efficiency:7.3f}"
        print(f"{ranks:5d}{found.samples:8d}{line}")


VARIANTS = {"as is": {}, "bare": {"hidden": False}, "shared": {"optimiser": "shared"},
            "scattered": {"optimiser": "scattered"}}  # fmt: skip


def table_of_variants(training, link, samples, batch):
    print(f"{'':>5}{'weak':^40}{'strong':^40}")
    print(f"{'ranks':>5}" + "".join(f"{name:>10}" for name in VARIANTS) * 2)
    for ranks in RANKS:
        found = [
            scaling.predict(training, link, ranks, samples, whole, **how).efficiency
            for whole in (None, batch)
            for how in VARIANTS.values()
        ]
        print(f"{ranks:5d}" + "".join(f"{efficiency:10.3f}" for efficiency in found))


def table_of_hours(arguments, training, link, planned):
    """Of each stage of the schedule, with the global batch that it prescribes."""
    stages = [int(steps) for steps in arguments.steps.split(",")] if arguments.steps else [planned["steps"]]
    head = "".join(f"{f'{steps} steps':>24}" for steps in stages)
    print(f"{'':>25}{head}\n{'ranks':>5}{'nodes':>10}{'step s':>10}" + f"{'days':>12}{'node-hours':>12}" * len(stages))
    for ranks in RANKS:
        if ranks > planned["batch"]:
            break
        found = scaling.predict(training, link, ranks, None, planned["batch"])
        line = f"{ranks:5d}{ranks * arguments.threads[0] / arguments.cores_per_node:10.3g}{found.seconds:10.3f}"
        for steps in stages:
            hours, used = scaling.node_hours(
                found.seconds, steps, ranks, arguments.threads[0], arguments.cores_per_node
            )
            line += f"{hours / 24:12.1f}{used:12.0f}"
        print(line)


# ---- all of it


def interconnect(arguments, planned):
    """(scaling.Interconnect, bytes of a bucket), measured unless it was given."""
    if arguments.alpha:
        bucket = bucket_of(execute([arguments.build / "nephrite-allreduce", "-least", 4, "-most", 4, "-repeats", 1]))
        link, source = scaling.Interconnect(arguments.alpha, arguments.beta, arguments.algorithm), "as given"
    else:
        ranks = max(arguments.ranks)
        bucket, rows = sums(arguments, planned)
        link = scaling.fit(arguments.algorithm, ranks, [row[0] for row in rows], [row[1] for row in rows])
        print(f"sums over {ranks} ranks, buckets of {bucket} bytes; modelled as {arguments.algorithm}")
        table_of_sums(bucket, rows, link, ranks)
        source = f"fitted to {ranks} ranks here"
        print()
    print(f"alpha {link.alpha * 1e6:.3g} us, beta {link.beta * 1e9:.3g} ns/B, {source}")
    return link, arguments.bucket or bucket


def figure_of(arguments):
    """The function that draws: it wants matplotlib, which should be missed before anything is measured."""
    if not arguments.figure:
        return None
    from .figures_scaling import draw

    return draw


def run(arguments):
    draw = figure_of(arguments)
    if max(arguments.ranks) < 2 and not arguments.alpha:
        sys.exit("bench: sums need two ranks at least (--ranks), or an interconnect that is given (--alpha, --beta)")
    if (arguments.alpha is None) != (arguments.beta is None):
        sys.exit("bench: an interconnect has both --alpha and --beta")
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
        planned = plan(arguments, pathlib.Path(scratch))
        link, bucket = interconnect(arguments, planned)
        seconds, update, backward, source = step_of_one_rank(arguments, pathlib.Path(scratch), planned)
    sample = (seconds - update) / planned["samples"]
    training = scaling.Training(sample, update, backward, planned["at once"], 4.0 * planned["weights"], bucket,
                                planned["blocks"])  # fmt: skip
    print(f"step of one rank: {seconds:.4g} s for {planned['samples']} samples, {update:.3g} s of it the optimiser's,"
          f" {100 * backward:.0f}% of the rest backward; {source}")  # fmt: skip
    print(f"gradient: {planned['weights']} weights in {planned['blocks']} blocks, buckets of {bucket} bytes\n")
    print(f"predicted, weak scaling: {planned['samples']} samples on every rank")
    table_of_steps(training, link, planned["samples"], None)
    print(f"\npredicted, strong scaling: {planned['batch']} samples on all ranks together")
    table_of_steps(training, link, planned["samples"], planned["batch"])
    print(f"\npredicted efficiency with {arguments.algorithm}")
    table_of_variants(training, link, planned["samples"], planned["batch"])
    print(f"\npredicted, the schedule with {planned['batch']} samples in a step, {arguments.algorithm},"
          f" nodes of {arguments.cores_per_node} cores, {arguments.threads[0]} to a rank")  # fmt: skip
    table_of_hours(arguments, training, link, planned)
    print(
        "\nsamples: of the busiest rank. comm.: communication that computation does not hide, share of the step. eff.: work"
        " per rank and time over that of one rank alone. bare: nothing is hidden. shared: with train_shard_optimizer."
        " scattered: if gradients were summed to their owners alone. doc/scaling.md has the formulas and what they assume."
    )
    if draw:
        draw(arguments.figure, training, link, planned["samples"], planned["batch"])
