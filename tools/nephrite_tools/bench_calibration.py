"""tools/bench calibration: how large an error of a posterior MIRA, TARP and SBC detect, and what their counts cost.

nephrite-calibration measures both. From the shares of experiments in which a test rejects, this interpolates the error
that it detects in half of them and in nine of ten.
"""

import re
import sys

from .bench import execute

TESTS = ("mira", "published", "tarp", "sbc")
ROW = re.compile(r"^(none|bias|width|nulls) +(-|one|all) +(\S+)((?: +[\d.]+){4}) +[\d.]+$", re.M)
TIME = re.compile(r"^comparing +([\d.e+-]+) ", re.M)
NAMES = {"bias": "bias", "narrow": "too narrow", "wide": "too wide"}


def add_options(parser):
    group = parser.add_argument_group("calibration")
    group.add_argument("--parts", default="power,speed", help="what to measure (default power,speed)")
    group.add_argument("--metrics", default="standardised,raw", help="of distances, to compare (default standardised,raw)")  # fmt: skip
    group.add_argument("--dimension", type=int, default=6, help="of power (default 6)")
    group.add_argument("--pixels", type=int, default=81926, help="the dimension of speed (default 81926)")


def program(arguments, ranks, *words):
    tool = [arguments.build / "nephrite-calibration", "-truths", arguments.work, *words, *arguments.options]
    text = execute(["mpirun", "-n", ranks, *tool])
    return re.sub(r"^power .*\n+", "", text, flags=re.M)  # lines of progress


# ---- what is detected


def curves(text):
    """{(kind, extent): [(how far from right, {test: share})]}, from right to wrong; kinds are bias, narrow and wide."""
    right, found = None, {}
    for name, extent, size, numbers in ROW.findall(text):
        shares = dict(zip(TESTS, map(float, numbers.split())))
        if name == "none":
            right = (0.0, shares)
        elif name != "nulls":
            wrong = float(size) - (name == "width")
            kind = name if name == "bias" else "narrow" if wrong < 0 else "wide"
            found.setdefault((kind, extent), []).append((abs(wrong), shares))
    return {key: [right, *sorted(points, key=lambda point: point[0])] for key, points in found.items()}


def reaches(points, test, share):
    """How far from right an error is that is detected in this share of experiments; None if none is so far."""
    for (before, low), (after, high) in zip(points, points[1:]):
        if low[test] < share <= high[test]:
            return before + (after - before) * (share - low[test]) / (high[test] - low[test])
    return None


def size_of(kind, wrong, furthest):
    """As one would write it: a bias, or a width."""
    sign, origin = (-1 if kind == "narrow" else 1), (0 if kind == "bias" else 1)
    return f"{origin + sign * wrong:.3g}" if wrong is not None else f"({origin + sign * furthest:.3g})"


def table(text):
    print(f"{'detected in 50% and 90% of experiments':<42}" + "".join(f"{test:^20}" for test in TESTS))
    for (kind, extent), points in curves(text).items():
        line = f"{f'{NAMES[kind]}, in {extent}':<42}"
        for test in TESTS:
            both = (size_of(kind, reaches(points, test, share), points[-1][0]) for share in (0.5, 0.9))
            line += "".join(f"{size:>10}" for size in both)
        print(line)
    print("in brackets: not even this largest error is detected so often\n", flush=True)


# ---- what it costs


def speed(arguments):
    """Of each number of ranks the fastest run."""
    best = {}
    for _ in range(arguments.repeats):
        for ranks in arguments.ranks:
            text = program(arguments, ranks, "-task", "speed", "-dimension", arguments.pixels)
            seconds = float(TIME.search(text)[1])
            if ranks not in best or seconds < best[ranks][0]:
                best[ranks] = seconds, text
    for ranks in sorted(best):
        print(best[ranks][1], flush=True)


def run(arguments):
    parts, metrics = arguments.parts.split(","), arguments.metrics.split(",")
    if not set(parts) <= {"power", "speed"}:
        sys.exit(f'bench: --parts is "{arguments.parts}"; it must be power, speed, or both with a comma between')
    for metric in metrics if "power" in parts else ():
        text = program(arguments, max(arguments.ranks), "-metric", metric, "-dimension", arguments.dimension)
        print(text)
        table(text)
    if "speed" in parts:
        speed(arguments)
