"""tools/bench: rates of the programs, weak scaling, and the share of each part of the work; train is in bench_train, allreduce in bench_allreduce,
sample in bench_sample, calibration in bench_calibration.

Runs of different numbers of ranks alternate, and the best of each counts: other work on a machine only ever slows a run.
"""

import argparse
import csv
import pathlib
import re
import subprocess
import sys
import tempfile

RATE = re.compile(r" in [\d:]+, ([\d.e+]+) (maps|samples|draws)/s")
TARGET = {"simulate": 50.0}  # 128 x 128 pixels x 5 bins, distinct cosmologies, per second and core


def settings(what, ranks, work):
    """Options of a run whose work grows with its ranks."""
    if what == "simulate":
        return ["-simulate_realisations", work * ranks, "-simulate_shard_size", max(1, work // 8), "-train_held_out", 1]
    return ["-infer_draws", work * ranks, "-infer_observations", 1, "-infer_batch", max(1, work // 4)]


def execute(words, environment=None):
    """What a program prints; ends the benchmark where it fails."""
    words = [*map(str, words)]
    done = subprocess.run(words, capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"bench: {' '.join(words)} ended with {done.returncode}\n{done.stderr}")
    return done.stdout


def run(arguments, ranks, campaign, extra=()):
    """One run: (per second, unit, {part: seconds of all ranks}, seconds of all ranks)."""
    log = campaign.parent / "log.csv"
    words = ["mpirun", "-n", ranks, arguments.build / f"nephrite-{arguments.what}", "-config", arguments.config]
    words += ["-campaign", campaign, *settings(arguments.what, ranks, arguments.work), *arguments.options, *extra]
    found = RATE.findall(execute([*words, "-log_view", f":{log}:ascii_csv"]))
    parts, total = {}, 0.0
    with open(log) as file:
        for row in csv.DictReader(file):
            seconds = float(row["Time"])
            if row["Event Name"] == "summary":
                total += seconds
            elif seconds > 0 and not re.match(r"Petsc|BuildTwoSided|SF|Vec|Mat", row["Event Name"]):
                parts[row["Event Name"]] = parts.get(row["Event Name"], 0.0) + seconds
    return float(found[-1][0]), found[-1][1], parts, total


def trained(arguments, folder):
    """A campaign with a network to draw with: of random weights all but untrained, which draw as fast as any."""
    campaign = folder / "trained"
    words = [arguments.build / "nephrite-train", "-config", arguments.config, "-campaign", campaign]
    words += ["-train_steps", 1, "-train_batch", 8, "-train_validate_every", 1, "-train_checkpoint_every", 1]
    words += ["-train_warmup", 0, "-train_source", "online", "-simulate_realisations", 64, "-train_held_out", 8]
    execute([*words, "-train_validations", 8, *arguments.options])
    return campaign


def measure(arguments):
    """{ranks: the best run}."""
    best = {}
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
        folder = pathlib.Path(scratch)
        extra = []
        if arguments.what == "infer":
            extra = ["-infer_checkpoint", trained(arguments, folder), "-simulate_realisations", 64]
            extra += ["-train_held_out", 8, "-train_source", "online"]
        for repeat in range(arguments.repeats):
            for ranks in arguments.ranks:
                result = run(arguments, ranks, folder / f"{ranks}-{repeat}", extra)
                print(f"run {repeat + 1} on {ranks} ranks: {result[0]:.4g} {result[1]}/s", file=sys.stderr)
                if ranks not in best or result[0] > best[ranks][0]:
                    best[ranks] = result
    return best


def table(arguments, best):
    first = min(best)
    unit = best[first][1]
    target = TARGET.get(arguments.what) if arguments.config.name == "lsst_y10.yaml" and not arguments.options else None
    print(f"{'ranks':>5} {unit + '/s':>10} {'per rank':>10} {'scaling':>8}" + ("  of target" if target else ""))
    for ranks, (rate, *_) in sorted(best.items()):
        share = rate / ranks
        line = f"{ranks:5d} {rate:10.4g} {share:10.4g} {share * first / best[first][0]:8.3f}"
        print(line + (f" {share / target:10.2f}" if target else ""))
    print(f"\n{'part':<18}" + "".join(f"{f'{ranks} ranks':>10}" for ranks in sorted(best)))
    names = sorted({name for result in best.values() for name in result[2]}, key=lambda n: -best[first][2].get(n, 0))
    for name in names:
        shares = (best[ranks][2].get(name, 0) / best[ranks][3] for ranks in sorted(best))
        print(f"{name:<18}" + "".join(f"{100 * share:9.1f}%" for share in shares))
    print(
        f"\nper rank: {unit}/s divided by the ranks, with all that a run does but its start. scaling: the same over that of "
        f"{first} rank{'s' if first > 1 else ''}, each rank given as much work. parts: share of the ranks' whole time, start"
        " and end of the program included; one part may contain another."
        + (f" of target: per rank over {target:g}." if target else "")
    )


def main():
    from . import bench_allreduce, bench_calibration, bench_sample, bench_train

    parser = argparse.ArgumentParser(prog="tools/bench", description=__doc__.split("\n\n")[0])
    parser.add_argument("what", choices=["simulate", "train", "infer", "allreduce", "sample", "calibration"])
    parser.add_argument("--config", type=pathlib.Path, help="campaign file (default config/lsst_y10.yaml)")
    parser.add_argument("--build", type=pathlib.Path, help="where the programs are (default build/release)")
    parser.add_argument("--ranks", default="1,2", help="numbers of ranks to compare (default 1,2)")
    parser.add_argument("--threads", default="1", help="train: numbers of threads per rank to compare (default 1)")
    parser.add_argument("--pytorch", metavar="PYTHON", help="train: a Python with torch, to compare with on one rank")
    parser.add_argument(
        "--batch", type=int, help="train, allreduce: samples of a step of all ranks, whatever their number"
    )
    parser.add_argument("--repeats", type=int, default=3, help="runs of each, of which the best counts (default 3)")
    parser.add_argument(
        "--work",
        type=int,
        help="maps, steps or draws of a rank (default 1024, 6 or 8); sample: draws of an observation (default 32);"
        " calibration: truths (default 500)",
    )
    parser.add_argument("--scratch", help="directory for what the runs write (default: that of temporary files)")
    parser.add_argument("--root", type=pathlib.Path, help=argparse.SUPPRESS)
    bench_allreduce.add_options(parser)
    bench_sample.add_options(parser)
    bench_calibration.add_options(parser)
    parser.epilog = "Options after -- go to the program."
    own = sys.argv[1:]
    end = own.index("--") if "--" in own else len(own)
    arguments = parser.parse_args(own[:end])
    arguments.options = own[end + 1 :]
    arguments.config = arguments.config or arguments.root / "config/lsst_y10.yaml"
    arguments.build = arguments.build or arguments.root / "build/release"
    arguments.ranks = [int(ranks) for ranks in arguments.ranks.split(",")]
    arguments.threads = [int(threads) for threads in arguments.threads.split(",")]
    work = {"simulate": 1024, "train": 6, "infer": 8, "allreduce": 6, "sample": 32, "calibration": 500}
    arguments.work = arguments.work or work[arguments.what]
    if arguments.what == "train":
        bench_train.run(arguments)
    elif arguments.what == "allreduce":
        bench_allreduce.run(arguments)
    elif arguments.what == "sample":
        bench_sample.run(arguments)
    elif arguments.what == "calibration":
        bench_calibration.run(arguments)
    else:
        table(arguments, measure(arguments))


if __name__ == "__main__":
    main()
