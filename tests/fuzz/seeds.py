#!/usr/bin/env python3
"""Files for the targets of fuzzing to damage, as the programs make them or a user would.

usage: seeds.py BUILD FOLDER     FOLDER gets campaign.yaml, campaign/, weights.h5, observation.h5, tables.h5, and in
corpus/<target>/ what each target begins with.
"""

import os
import pathlib
import shutil
import subprocess
import sys

import h5py
import numpy as np

HERE = pathlib.Path(__file__).resolve().parent
SOURCE = HERE.parents[1]
NY, NX, BINS, FIELD = 8, 12, 2, 2.5
WCDM = [0.27, 0.05, 0.8, 0.7, 0.96, -1.0]
NOISE = 0.26 / np.sqrt(27 / BINS * (60 * FIELD / NX) ** 2)


def run(*words):
    environment = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0", "OMP_NUM_THREADS": "1"}
    done = subprocess.run([*map(str, words)], capture_output=True, text=True, env=environment)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))}: exit code {done.returncode}\n{done.stderr}")


def observation(path):
    """Both kinds, a mask, a level of noise and the truth; small enough to be damaged byte by byte."""
    with h5py.File(path, "w") as file:
        file["shear"] = np.full((BINS, 2, NY, NX), 0.01, np.float32)
        file["convergence"] = np.full((BINS, NY, NX), 0.01, np.float32)
        file["noise_std"] = np.full(BINS, NOISE)
        file["mask"] = np.ones((NY, NX), bool)
        file["truth/kappa"] = np.zeros((BINS, NY, NX), np.float32)
        file["truth/theta"] = np.array(WCDM)
        file.attrs["field_of_view"] = FIELD
        file.attrs["survey"] = "text of variable length"


def tables(path):
    """Everything that a survey or campaign may name a file for."""
    z = np.linspace(0, 3, 16)
    axes = {"Omega_m": np.linspace(0.1, 0.6, 3), "sigma_8": np.linspace(0.4, 1.2, 2), "w_0": np.linspace(-2, -0.3, 2)}
    with h5py.File(path, "w") as file:
        file["z"], file["n_of_z"] = z, np.array([z**2 * np.exp(-((z / s) ** 1.5)) for s in (0.3, 0.6)])
        for name, values in axes.items():
            file[name] = values
        file["shift"] = np.full((BINS, 3, 2, 2), 0.02)
        file["mask"] = np.ones((NY, NX), np.uint8)
        file["counts"] = np.full((BINS, NY, NX), 30.0)
        file["kappa"] = np.zeros((3, BINS, NY, NX), np.float32)
        file["theta"] = np.tile(WCDM, (3, 1))
        file["theta"].attrs["parameters"] = np.bytes_("Omega_c,Omega_b,sigma_8,h,n_s,w_0")
        file.attrs["field_of_view"] = FIELD


def corpus(folder):
    """Campaign files as they are shipped; files as they are; and for lists of edits none, and one of each kind."""
    for target in "configuration", "raw", "shard", "checkpoint", "weights", "observation", "tables":
        (folder / target).mkdir(parents=True)
    for path in [*SOURCE.glob("config/*.yaml"), HERE / "campaign.yaml"]:
        shutil.copy(path, folder / "configuration")
    for name in "observation.h5", "tables.h5", "weights.h5":
        shutil.copy(folder.parent / name, folder / "raw")
    for target in "shard", "checkpoint", "weights", "observation", "tables":
        (folder / target / "none").write_bytes(b"\1")
        for what in range(12):
            (folder / target / f"edit-{what}").write_bytes(bytes([1, what, 1, 0, 1, 1, 1, 0, 1, 0, 1]))
    (folder / "ingest").mkdir()
    for maps in range(7):  # three maps of each format, with a table of each format: as ingest.py reads them
        for table, details in enumerate(([0, 0], [1, 0], [], [])):
            words = [0, maps, table, 0, 0, 0, 0, *details, 4, 1, 0, 0, 0, 0, 0]
            (folder / "ingest" / f"maps-{maps}-table-{table}").write_bytes(bytes(words + [0] * 9))


def main():
    build, folder = map(pathlib.Path, sys.argv[1:])
    shutil.copy(HERE / "campaign.yaml", folder)
    where = ["-config", folder / "campaign.yaml", "-campaign", folder / "campaign"]
    run(build / "nephrite-simulate", *where)
    run(build / "nephrite-train", *where)
    run(SOURCE / "tools/weights", "export", folder / "campaign", folder / "weights.h5")
    observation(folder / "observation.h5")
    tables(folder / "tables.h5")
    corpus(folder / "corpus")


if __name__ == "__main__":
    main()
