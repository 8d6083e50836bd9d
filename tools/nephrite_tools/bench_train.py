"""tools/bench train: how fast training is, beside what the linked BLAS and PyTorch make of the same work.

The fastest step of several runs counts, as do the fastest calls of the BLAS and the fastest steps of PyTorch: other work
on a machine only ever slows them. All of them alternate, since other work comes and goes.
"""

import csv
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import h5py
import numpy as np

from . import torch_reference
from .bench import execute
from .weights_file import shape_of

REALISATIONS, WARM_UP = 64, 2
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS")
OF_STEP = ("compute", "communication", "data")
MODES = ("eager", "compiled")


# ---- one run of nephrite-train


def program(arguments, name):
    return [arguments.build / f"nephrite-{name}", "-config", arguments.config]


def maps(arguments, folder):
    """A campaign with maps for all runs."""
    words = [*program(arguments, "simulate"), "-campaign", folder / "maps", *arguments.options]
    execute([*words, "-simulate_realisations", REALISATIONS, "-simulate_shard_size", REALISATIONS, *held_out()])
    return folder / "maps"


def held_out():
    return ["-train_held_out", 8, "-train_validations", 8]


def samples_at_once(arguments, folder):
    """Samples that a rank has in memory at once by the campaign file: what it is given for a step."""
    plan = execute([*program(arguments, "train"), "-campaign", folder / "plan", *arguments.options, "-dry_run"])
    return int(re.search(r"(\d+) at once per rank", plan)[1])


def samples_of_step(arguments, batch, ranks):
    """Of all ranks: as many of each rank (weak scaling), unless their sum is given (strong scaling)."""
    return arguments.batch or batch * ranks


def settings(arguments, batch, ranks, threads):
    steps = arguments.work + WARM_UP
    options = {"steps": steps, "validate_every": steps, "checkpoint_every": steps, "warmup": 0}
    options["batch"] = samples_of_step(arguments, batch, ranks)
    words = [word for name, value in options.items() for word in (f"-train_{name}", value)]
    return [*words, *held_out(), "-simulate_realisations", REALISATIONS, "-simulate_shard_size", REALISATIONS,
            "-threads", threads]  # fmt: skip


def shares(text, what):
    """{part: percent} of a closing line of nephrite-train."""
    line = re.search(rf"{what} of rank 0: (.*)", text)[1]
    return {name.strip(): float(percent) for name, percent in re.findall(r"([a-z ]+?) ([\d.]+)%", line)}


def step_flops(log):
    """Operations of the network in all steps, on all ranks."""
    with open(log) as file:
        rows = [row for row in csv.DictReader(file) if row["Event Name"] in ("train forward", "train backward")]
    return sum(float(row["FLOP"]) for row in rows)


def train(arguments, folder, batch, column):
    """What one run shows."""
    ranks, threads = column
    campaign, log = folder / "run", folder / "log.csv"
    campaign.mkdir()
    (campaign / "sims").symlink_to(folder / "maps" / "sims")
    words = ["mpirun", "-n", ranks, *program(arguments, "train"), "-campaign", campaign, *arguments.options]
    text = execute([*words, *settings(arguments, batch, ranks, threads), "-log_view", f":{log}:ascii_csv"])
    with h5py.File(campaign / "training.h5") as file:
        steps = len(file["seconds"])
        fastest = WARM_UP + int(np.argmin(file["seconds"][WARM_UP:]))
        seconds = file["seconds"][fastest]
        of_step = {name: 100 * file[f"{name}_seconds"][fastest] / seconds for name in OF_STEP}
    shape = shape_of(next((campaign / "checkpoints").glob("step-*.h5")))
    shutil.rmtree(campaign)
    return {
        "samples/s": samples_of_step(arguments, batch, ranks) / seconds,
        "seconds": {name: percent / 100 * seconds for name, percent in of_step.items()},
        "time": shares(text, "time"),
        "model GFLOP/s": step_flops(log) / steps / seconds / 1e9,
        "GB per rank": float(re.search(r"memory per rank: at most (\d+) MB", text)[1]) / 1e3,
        "step": of_step,
        "network": shares(text, "network"),
        "shape": shape,
    }


# ---- the same products by the BLAS


def blas_library(arguments):
    """The library that nephrite-train is linked with, of those that could be a BLAS with cblas_sgemm."""
    linked = execute(["ldd", arguments.build / "nephrite-train"])
    for name in ("openblas", "mkl_rt", "blis", "cblas", "blas"):
        found = re.findall(rf"lib\w*{name}\S* => (\S+)", linked)
        if found:
            return found[0]
    sys.exit("bench: nephrite-train is linked with no BLAS that is known here")


def linear_maps(shape, batch):
    """ROWS,OUT,IN,COUNT of the linear maps of all blocks."""
    W, M, K = shape["width"], shape["mlp_hidden"], shape["cosmology_tokens"]
    short = K + shape["grid"][0] * shape["grid"][1]
    observed = shape["observation_grid"][0] * shape["observation_grid"][1] if shape["tokens_of_observation"] else 0
    start = min(shape["observation_start"], shape["depth"]) if observed else 0
    lengths = {short: start} if start else {}
    lengths[short + observed] = shape["depth"] - start
    maps = [(3 * W, W), (W, W), (2 * M, W), (W, M)]
    return [f"{batch * tokens},{o},{i},{count}" for tokens, count in lengths.items() for o, i in maps]


def answers_of(text):
    """What each rank printed: mpirun may put a line of one straight behind that of another."""
    return [json.loads(found) for found in re.findall(r"\{[^{}]*\}", text)]


def sgemm(arguments, shape, batch, column):
    """(GFLOP/s of all ranks at once, the core that the library chose its kernels for)."""
    ranks, threads = column
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE")}  # fmt: skip
    environment.update({name: str(threads) for name in THREAD_VARIABLES})
    words = [sys.executable, "-m", "nephrite_tools.sgemm", blas_library(arguments), *linear_maps(shape, batch)]
    answers = answers_of(execute(["mpirun", "-n", ranks, *words], environment))
    return sum(answer["gflops"] for answer in answers), answers[0]["core"]


# ---- all of it


def measure(arguments, folder):
    """{(ranks, threads): results}, what the columns share."""
    columns = [(ranks, threads) for ranks in arguments.ranks for threads in arguments.threads]
    best, common = {}, {}
    maps(arguments, folder)
    batch = common["batch"] = samples_at_once(arguments, folder)
    for repeat in range(arguments.repeats):
        for column in columns:
            result = train(arguments, folder, batch, column)
            own = min(batch, -(-samples_of_step(arguments, batch, column[0]) // column[0]))
            rate, common["core"] = sgemm(arguments, result["shape"], own, column)
            kept = best.setdefault(column, {"sgemm": 0, "torch": {}, **result})
            if result["samples/s"] > kept["samples/s"]:
                kept.update(result)
            kept["sgemm"] = max(kept["sgemm"], rate)
            say = f"run {repeat + 1} on {column[0]} x {column[1]}: {result['samples/s']:.4g} samples/s, sgemm {rate:.4g} GFLOP/s"
            if arguments.pytorch and column[0] == 1:
                for mode in MODES:
                    found = torch_reference.rate(arguments, result["shape"], batch, column[1], mode)
                    kept["torch"][mode] = max(kept["torch"].get(mode, 0), found)
                    say += f", PyTorch {mode} {found:.4g}"
            print(say, file=sys.stderr)
    return best, common


def row(name, values, form="{:.4g}"):
    cells = "".join(f"{'-' if value is None else form.format(value):>11}" for value in values)
    print(f"{name:<26}{cells}")


def table(arguments, best, common):
    results = list(best.values())
    whole = f"batch of all ranks {arguments.batch}, at most {common['batch']} at once of a rank"
    print(whole if arguments.batch else f"batch of a rank {common['batch']}", end="; ")
    print(f"BLAS {blas_library(arguments)}, kernels for {common['core']}\n")
    print(f"{'ranks x threads':<26}" + "".join(f"{f'{ranks} x {threads}':>11}" for ranks, threads in best))
    for name in ("samples/s", "model GFLOP/s"):
        row(name, [result[name] for result in results])
    of_core = [result["samples/s"] / (ranks * threads) for (ranks, threads), result in best.items()]
    row("efficiency", [rate / of_core[0] for rate in of_core], "{:.3f}")
    row("sgemm GFLOP/s", [result["sgemm"] for result in results])
    row("model / sgemm", [result["model GFLOP/s"] / result["sgemm"] for result in results], "{:.3f}")
    row("GB per rank", [result["GB per rank"] for result in results])
    if arguments.pytorch:
        for mode in MODES:
            row(f"PyTorch {mode}, samples/s", [result["torch"].get(mode) for result in results])
        ratios = [
            result["samples/s"] / max(result["torch"].values()) if result["torch"] else None for result in results
        ]
        row("nephrite / best PyTorch", ratios, "{:.3f}")
    for group in ("step", "network"):
        print(f"\nshare of the {group}")
        for name in results[0][group]:
            row("  " + name, [result[group][name] for result in results], "{:.1f}%")


def run(arguments):
    if arguments.batch and (arguments.pytorch or arguments.batch < max(arguments.ranks)):
        sys.exit("bench: --batch is for strong scaling: not beside PyTorch, and a sample for every rank at least")
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as scratch:
        folder = pathlib.Path(scratch)
        if arguments.pytorch:
            print(torch_reference.proof(arguments, folder, shape_of))
        table(arguments, *measure(arguments, folder))
    print(
        "\nsamples/s: of all ranks, of the fastest step. efficiency: the same of a core, over that of the first column. model: three times the matrix products of a forward pass. sgemm: of"
        " the BLAS at the shapes of the blocks' linear maps, forward, input and weight gradient, weighed by their"
        " operations. step: of rank 0; communication is what computation does not hide. network: time of the first thread."
    )
