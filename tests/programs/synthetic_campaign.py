"""Products of the layout in doc/manual.md with known content, small enough to be made in a second."""

import h5py
import numpy as np
import xxhash

NAMES = "Omega_c,Omega_b,sigma_8,h,n_s,w_0"
CONFIGURATION = """seed: 1
survey:
  map_size: 16
  field_of_view: 5
  bins: 2
prior:
  Omega_c: 'truncated_normal:0.2664,0.2,0,1'
  h: 'fixed:0.6727'
  w_0: 'truncated_normal:-1,0.9,-2,-0.3'
"""
MEAN = np.array([0.2664, 0.0492, 0.831, 0.6727, 0.9645, -1.0])
STD = np.array([0.2, 0.006, 0.14, 0.063, 0.08, 0.45])
CELL_SCORE = np.array([0.66, 0.72, 0.64, 0.68])  # two parts of Omega_c, of two parts of sigma_8 each
CELL_BIAS = np.array([[0.05, -0.1, 0.0, 0.1], [0.0, 0.1, -0.6, 0.2]])  # [scalar, cell]
BINS, SIZE, DRAWS, OBSERVATIONS = 2, 16, 24, 3


def prior(rng, count):
    theta = MEAN + STD * rng.normal(size=(count, 6))
    theta[:, 0] = np.abs(theta[:, 0])
    theta[:, 3] = MEAN[3]
    theta[:, 5] = np.clip(theta[:, 5], -1.99, -0.31)
    return theta


def create(path, kind):
    path.parent.mkdir(parents=True, exist_ok=True)
    file = h5py.File(path, "w", libver=("v110", "v110"))
    file.attrs.update(kind=kind, format_version=1, configuration=CONFIGURATION, seed=1, version="0", revision="none")
    return file


def put(file, name, values, units="1"):
    values = np.asarray(values)
    dataset = file.create_dataset(name, data=values, chunks=values.shape or None, fletcher32=bool(values.shape))
    rows = values if values.ndim > 1 else [values]
    digests = [xxhash.xxh3_64_intdigest(r.tobytes(), xxhash.xxh64_intdigest(name, i)) for i, r in enumerate(rows)]
    file.create_dataset(f"digest/{name}", data=np.array(digests, "u8"), chunks=(len(rows),), fletcher32=True)
    dataset.attrs.update(units=units, description=name)
    return dataset


def simulations(directory, rng):
    with create(directory / "sims/campaign.h5", "campaign") as file:
        put(file, "kappa", (0.01 * rng.normal(size=(40, BINS, SIZE, SIZE))).astype("f4"))
        put(file, "theta", prior(rng, 200)).attrs["parameters"] = NAMES


def posterior(path, rng, known=True):
    """Draws around a truth that the file tells or not."""
    truth = (0.01 * rng.normal(size=(BINS, SIZE, SIZE))).astype("f4")
    kappa = (truth + 0.005 * rng.normal(size=(DRAWS, BINS, SIZE, SIZE))).astype("f4")
    theta = prior(rng, 1)[0]
    with create(path, "posterior") as file:
        file.attrs["field_of_view"] = 5.0
        put(file, "theta", theta + 0.3 * STD * rng.normal(size=(DRAWS, 6))).attrs["parameters"] = NAMES
        put(file, "kappa", kappa)
        put(file, "mean/kappa", kappa.mean(0))
        put(file, "std/kappa", kappa.std(0, ddof=1))
        put(file, "observation/channels", truth + 0.02 * rng.normal(size=truth.shape).astype("f4"))
        if known:
            put(file, "truth/theta", theta)
            put(file, "truth/kappa", truth)
            put(file, "wiener/kappa", 0.5 * truth)


def reference(directory, method, observation=0, shift=0.3, width=2.0):
    """Draws of another method for an observation: those of the network moved by a share of their spread, and wider."""
    with h5py.File(directory / f"posterior/observation-{observation:05d}.h5") as own:
        theta, kappa = own["theta"][()], own["kappa"][()].astype(float)
        truth = {name: own[f"truth/{name}"][()] for name in ("theta", "kappa")}
    moved = theta.mean(0) + width * (theta - theta.mean(0)) + shift * width * theta.std(0, ddof=1)
    maps = (kappa.mean(0) + width * (kappa - kappa.mean(0)) + shift * width * kappa.std(0, ddof=1)).astype("f4")
    with create(directory / f"posterior-{method}/observation-{observation:05d}.h5", "posterior") as file:
        file.attrs["field_of_view"] = 5.0
        put(file, "theta", moved).attrs["parameters"] = NAMES
        put(file, "kappa", maps)
        put(file, "mean/kappa", maps.mean(0))
        put(file, "std/kappa", maps.std(0, ddof=1))
        for name, values in truth.items():
            put(file, f"truth/{name}", values)


def estimate(directory, folder, observation=0, share=0.5):
    """A map without draws: a share of the truth."""
    with h5py.File(directory / f"posterior/observation-{observation:05d}.h5") as own:
        truth = own["truth/kappa"][()]
    with create(directory / folder / f"observation-{observation:05d}.h5", "posterior") as file:
        put(file, "estimate/kappa", share * truth)
        put(file, "truth/kappa", truth)


def history(directory):
    step = np.arange(1, 51)
    with create(directory / "training.h5", "history") as file:
        for prefix, at in (("", step), ("validation/", step[9::10])):
            put(file, f"{prefix}step", at)
            for name in ("loss", "field", "theta"):
                put(file, f"{prefix}{name}", 1 / at)
        for name in ("gradient_norm", "learning_rate", "samples_per_second", "seconds"):
            put(file, name, 1 / step)


def calibration(directory, rng):
    """Calibrated counts of 200 truths in two spaces, and ranks of two scalars."""
    alpha = np.linspace(0, 1, 11)
    with create(directory / "calibration.h5", "calibration") as file:
        file.attrs.update(truths=200, draws=DRAWS)
        for space in ("theta/standardised", "joint/raw"):
            for name, value in (("score", 0.6712), ("error", 0.0051), ("expected", (2 * DRAWS + 1) / (3 * DRAWS))):
                put(file, f"{space}/mira/{name}", value)
            put(file, f"{space}/mira/published", [0.6650, 0.0170])
            put(file, f"{space}/cells/score", CELL_SCORE)
            put(file, f"{space}/cells/error", np.full(4, 0.01))
            put(file, f"{space}/cells/p_value", 0.21)
            ecp = np.searchsorted(np.sort(rng.uniform(size=200)), alpha) / 200
            for name, values in (("alpha", alpha), ("ecp", ecp), ("error", np.sqrt(ecp * (1 - ecp) / 200))):
                put(file, f"{space}/tarp/{name}", values)
        low = [[0.05, 0.5], [0.06, 0.8], [0.25, 0.45], [0.26, 0.75]]
        put(file, "cells/low", low).attrs["axes"] = "Omega_c,sigma_8"
        put(file, "cells/high", np.add(low, [0.18, 0.28]))
        put(file, "cells/truths", [50, 50, 49, 51])
        put(file, "cells/bias", CELL_BIAS).attrs["scalars"] = "Omega_c,sigma_8"
        put(file, "cells/bias_error", np.full((2, 4), 0.14))
        put(file, "cells/dispersion", 1 + CELL_BIAS / 2)
        put(file, "cells/bias_p_value", [0.8, 0.0004])
        rank = rng.integers(0, DRAWS + 1, size=(2, 200))
        put(file, "sbc/rank", rank).attrs["scalars"] = "Omega_c,sigma_8"
        put(file, "sbc/histogram", [np.bincount(r * 5 // (DRAWS + 1), minlength=5) for r in rank])
        put(file, "sbc/expected", np.full(5, 40.0))
        put(file, "sbc/p_value", [0.4, 0.7])


def create_campaign(directory):
    """Everything that the report reads."""
    rng = np.random.default_rng(7)
    simulations(directory, rng)
    for o in range(OBSERVATIONS):
        posterior(directory / f"posterior/observation-{o:05d}.h5", rng)
    history(directory)
    calibration(directory, rng)
    (directory / "stages.csv").write_text(
        "stage,seconds,ranks,started,exit_code\nsimulate,2.5,2,x,75\nsimulate,1.5,2,x,0\ntrain,10,2,x,0\n"
    )
