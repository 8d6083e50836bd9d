"""The PyTorch twin of the network, run in a Python that has `torch`: is it the same network, and how fast is it?"""

import json
import os
import pathlib
import subprocess
import sys

import h5py
import numpy as np

SCRIPT = pathlib.Path(__file__).with_name("torch_network.py")
SAME = 1e-9  # of two float64 computations of one network; the reference file's own rounding is 1e-13


def ask(arguments, task, threads):
    """The answer of torch_network.py, which is not in this package's Python: neither h5py nor numpy need be there."""
    environment = {name: value for name, value in os.environ.items()
                   if name not in ("OPENBLAS_CORETYPE", "OPENBLAS_L2_SIZE", "PYTHONPATH")}  # fmt: skip
    environment["OMP_NUM_THREADS"] = str(threads)
    words = [str(arguments.pytorch), "-I", str(SCRIPT)]  # -I: modules beside the script have names of Python's own
    done = subprocess.run(words, input=json.dumps(task), capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"bench: {' '.join(words)} ended with {done.returncode}\n{done.stderr}")
    return json.loads(done.stdout.splitlines()[-1])


def proof(arguments, folder, shape_of):
    """One line that says how close the twin is to the reference file; ends the benchmark if it is another network."""
    reference = arguments.root / "tests/reference/network.h5"
    arrays, at, data = {}, 0, folder / "reference.bin"
    with h5py.File(reference) as file, open(data, "wb") as out:
        names = []
        file.visit(names.append)
        for name in names:
            if name.split("/")[0] in ("weights", "inputs", "forward", "loss", "gradient") and hasattr(
                file[name], "shape"
            ):
                values = np.asarray(file[name], dtype="<f8")
                arrays[name] = [at, list(values.shape)]
                at += values.size
                out.write(values.tobytes())
    worst = ask(arguments, {"do": "check", "shape": shape_of(reference), "arrays": arrays, "data": str(data)}, 1)
    version = worst.pop("version")
    said = ", ".join(f"{name} {value:.1e}" for name, value in worst.items())
    if not max(worst.values()) < SAME:
        sys.exit(f"bench: PyTorch's network is another one: it differs from {reference} by {said}")
    return f"PyTorch {version}; difference from {reference.name} in float64: {said}"


def rate(arguments, shape, batch, threads, mode):
    """Samples per second of a training step."""
    dividing = all(n % shape[patch] == 0 for n in shape["map"] for patch in ("patch", "observation_patch"))
    if shape["dropout"] > 0 or not shape["tokens_of_observation"] or not dividing:
        sys.exit("bench: --pytorch compares networks without dropout (-network_dropout 0), with the observation as "
                 "tokens and patches that divide the map")  # fmt: skip
    task = {"do": "time", "shape": shape, "batch": batch, "threads": threads, "mode": mode, "steps": arguments.work}
    answer = ask(arguments, task, threads)
    if answer["parameters"] != shape["weights"]:
        sys.exit(f"bench: PyTorch's network has {answer['parameters']} parameters, ours {shape['weights']}")
    return answer["samples_per_second"]
