"""The products of one campaign, read as the report wants them.

Every product is HDF5 with provenance at its root; doc/manual.md has the layouts.  Nothing here writes.
"""

import csv
import dataclasses
import pathlib

import h5py
import numpy as np
import yaml

METHODS = {
    "gaussian": "exact posterior",
    "hmc": "Hamiltonian Monte Carlo",
    "ks": "Kaiser–Squires",
    "map": "most probable map",
    "wiener": "Wiener filter",
}
DAMAGE = (OSError, KeyError, RuntimeError, TypeError, ValueError)  # what h5py makes of a damaged file
WCDM = ["Omega_c", "Omega_b", "sigma_8", "h", "n_s", "w_0"]


def text(value):
    """An attribute as str, whatever kind of string it is stored as."""
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, np.ndarray) and value.size == 1:
        return text(value.ravel()[0])
    return str(value)


def words(value):
    """An attribute that lists names: an array of strings, or one string with blanks or commas between."""
    if isinstance(value, np.ndarray) and value.size > 1:
        return [text(item) for item in value]
    return text(value).replace(",", " ").split()


def parameter_names(file, theta="theta"):
    """The names of the columns of a dataset theta[..., p]."""
    for holder in (file.get(theta), file):
        if holder is not None and "parameters" in holder.attrs:
            return words(holder.attrs["parameters"])
    count = file[theta].shape[-1]
    return WCDM[:count] if count <= len(WCDM) else WCDM + [f"theta_{i}" for i in range(len(WCDM), count)]


def dataset_names(file, digests=False):
    """Every dataset of a product, with or without the digests of the others."""
    names = []
    file.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
    return [name for name in names if digests or not name.startswith("digest/")]


def flatten(tree, prefix=""):
    """{'survey': {'bins': 5}} -> {'survey_bins': 5}."""
    flat = {}
    for key, value in tree.items():
        if isinstance(value, dict):
            flat.update(flatten(value, f"{prefix}{key}_"))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def configuration(file):
    """The effective configuration stored in a product, as {option: value}."""
    stored = file.attrs.get("configuration")
    return flatten(yaml.safe_load(text(stored)) or {}) if stored is not None else {}


@dataclasses.dataclass
class Space:
    """MIRA and TARP of one space (theta, kappa, joint, …) in one metric."""

    name: str
    metric: str
    score: float
    error: float
    expected: float
    published: tuple  # the published estimator over bootstrap samples: mean, standard deviation; None if not there
    alpha: np.ndarray
    ecp: np.ndarray
    ecp_error: np.ndarray
    cell_score: np.ndarray  # [cell]; None where there were too few truths for cells
    cell_error: np.ndarray
    cell_p_value: float  # of the scores of all cells

    @property
    def title(self):
        return f"{self.name}, {self.metric}" if self.metric else self.name

    @property
    def significance(self):
        """Deviation of the score from its value when calibrated, in its own standard errors."""
        return (self.score - self.expected) / self.error if self.error > 0 else np.inf

    @property
    def deviation(self):
        """max |ECP - alpha|."""
        return float(np.max(np.abs(self.ecp - self.alpha)))


@dataclasses.dataclass
class Cells:
    """Cells of truths, by where their posteriors lie, in which each space has scores."""

    axes: list  # scalars, the first divides first
    low: np.ndarray  # [cell, axis]
    high: np.ndarray
    truths: np.ndarray  # [cell]
    scalars: list
    bias: np.ndarray  # [scalar, cell] mean of (truth - mean)/std
    bias_error: np.ndarray
    dispersion: np.ndarray  # [scalar, cell] standard deviation of the same
    bias_p_value: np.ndarray  # [scalar]

    @property
    def along(self):
        """Cells along each axis."""
        return round(self.truths.size ** (1 / len(self.axes)))


@dataclasses.dataclass
class Ranks:
    """SBC of one scalar."""

    name: str
    histogram: np.ndarray  # [bins]
    expected: np.ndarray  # [bins]
    p_value: float


@dataclasses.dataclass
class Posterior:
    """Draws for one observation; maps are read only when asked for."""

    path: pathlib.Path
    names: list
    theta: np.ndarray  # [draw, p]
    truth_theta: np.ndarray  # [p]; None where the truth is not known
    field_of_view: float  # deg
    shown: int  # digest of the observation; None in files without

    @property
    def name(self):
        return self.path.stem

    @property
    def method(self):
        """What drew: the part of the folder's name after "posterior-"."""
        return self.path.parent.name.partition("-")[2] or "diffusion"

    @property
    def title(self):
        return METHODS.get(self.method, self.method)

    @property
    def has_maps(self):
        with h5py.File(self.path, "r") as file:
            return "kappa" in file

    def map(self, dataset):
        """kappa[draw, bin, y, x], truth/kappa[bin, y, x], …; None where the file has none."""
        with h5py.File(self.path, "r") as file:
            return np.asarray(file[dataset][()], np.float32) if dataset in file else None

    def drawn(self, most):
        """kappa of so many draws at most, evenly chosen, in float64."""
        draws = self.map("kappa")
        return draws[np.linspace(0, len(draws) - 1, min(most, len(draws))).astype(int)].astype(float)

    def observed(self, bins):
        """The observation as a convergence map per bin: the E mode of shear."""
        convergence = self.map("observation/convergence")
        if convergence is not None:
            return convergence
        channels = self.map("observation/channels")  # E modes first; B modes and a mask or weights may follow
        return None if channels is None else channels[:bins]


def posteriors(directory):
    """Every observation's draws in a directory, in order of name; files of maps without draws are left out."""
    found = []
    for path in sorted(directory.glob("*.h5")):
        with h5py.File(path, "r") as file:
            if "theta" not in file:
                continue
            truth = file["truth/theta"][()] if "truth/theta" in file else None
            side = float(file.attrs.get("field_of_view", 5))
            shown = file.attrs.get("observation_digest")
            found.append(Posterior(path, parameter_names(file), file["theta"][()], truth, side, shown))
    return found


def estimates(directory):
    """{name of the observation: kappa[bin, y, x]} of a directory of maps without draws."""
    found = {}
    for path in sorted(directory.glob("*.h5")):
        with h5py.File(path, "r") as file:
            if "estimate/kappa" in file:
                found[path.stem] = np.asarray(file["estimate/kappa"][()], np.float32)
    return found


class Campaign:
    """A campaign directory."""

    def __init__(self, directory):
        self.directory = pathlib.Path(directory)
        self.sims = self._path("sims/campaign.h5")
        self.history = self._path("training.h5")
        self.calibrations = self._calibrations()
        self.posteriors = posteriors(self.directory / "posterior")
        self.coverage = posteriors(self.directory / "coverage")
        folders = self._folders("posterior-*")
        self.references = [posterior for folder in folders for posterior in posteriors(folder)]
        self.coverage_references = [found for folder in self._folders("coverage-*") for found in posteriors(folder)]
        self.estimates = {folder.name.partition("-")[2]: estimates(folder) for folder in folders}
        self.estimates["map"] = estimates(self.directory / "map")
        self.stage_file = self._path("stages.csv")

    def _path(self, name):
        path = self.directory / name
        return path if path.exists() else None

    def _folders(self, pattern):
        return [folder for folder in sorted(self.directory.glob(pattern)) if folder.is_dir()]

    def _calibrations(self):
        """[(method, path)], the network's first."""
        paths = [self.directory / "calibration.h5", *sorted(self.directory.glob("calibration-*.h5"))]
        methods = [(path.stem.partition("-")[2], path) for path in paths if path.exists()]
        return [(METHODS.get(method, method) or "diffusion", path) for method, path in methods]

    def pairs(self):
        """[(draws of the network, draws of another method)] of the same observations."""
        return _pairs(self.posteriors, self.references)

    def coverage_pairs(self):
        """The same of -task coverage."""
        return _pairs(self.coverage, self.coverage_references)

    def products(self):
        """Products that carry provenance, newest stage first."""
        found = [
            *[path for _, path in self.calibrations[:1]],
            *[p.path for p in self.posteriors[:1]],
            self.history,
            self.sims,
        ]
        return [path for path in found if path]

    def configuration(self):
        """Options of all stages; of an option that several products hold, the latest stage's value."""
        options = {}
        for path in reversed(self.products()):
            with h5py.File(path, "r") as file:
                options.update(configuration(file))
        return options

    def prior_samples(self):
        """(names, theta[i, p]) of the simulations: the prior as it was really drawn from."""
        if not self.sims:
            return None, None
        with h5py.File(self.sims, "r") as file:
            return parameter_names(file), file["theta"][()]

    def stages(self):
        """[(stage, seconds, ranks)], runs of a stage added up, in the order of first appearance."""
        if not self.stage_file:
            return []
        seconds, ranks = {}, {}
        with open(self.stage_file, newline="") as file:
            for row in csv.DictReader(file):
                seconds[row["stage"]] = seconds.get(row["stage"], 0.0) + float(row["seconds"])
                ranks[row["stage"]] = int(row["ranks"])
        return [(stage, seconds[stage], ranks[stage]) for stage in seconds]


def _pairs(posteriors, references):
    own = {posterior.name: posterior for posterior in posteriors}
    pairs = [(own[other.name], other) for other in references if other.name in own]
    return [(one, other) for one, other in pairs if None in (one.shown, other.shown) or one.shown == other.shown]


def calibration(path):
    """calibration.h5 as ([Space], Cells or None, [Ranks], "truths × draws")."""
    with h5py.File(path, "r") as file:
        names = [name for name in dataset_names(file) if name.endswith("/mira/score")]
        spaces = [_space(file, name[: -len("/mira/score")]) for name in names]
        size = f"{int(file.attrs['truths'])} × {int(file.attrs['draws'])}" if "truths" in file.attrs else ""
        cells = _cells(file["cells"]) if "cells" in file else None
        return spaces, cells, _ranks(file["sbc"]) if "sbc" in file else [], size


def _space(file, prefix):
    """MIRA and TARP of the group <space>/<metric>."""
    group = file[prefix]
    name, _, metric = prefix.partition("/")
    score, error, expected = (float(group[f"mira/{key}"][()]) for key in ("score", "error", "expected"))
    published = tuple(map(float, group["mira/published"][()])) if "mira/published" in group else None
    coverage = [group[f"tarp/{key}"][()] for key in ("alpha", "ecp", "error")]
    cells = [group[f"cells/{key}"][()] if "cells" in group else None for key in ("score", "error", "p_value")]
    return Space(name, metric, score, error, expected, published, *coverage, *cells)


def _cells(group):
    return Cells(
        words(group["low"].attrs["axes"]),
        *(group[key][()] for key in ("low", "high", "truths")),
        words(group["bias"].attrs["scalars"]),
        *(group[key][()] for key in ("bias", "bias_error", "dispersion", "bias_p_value")),
    )


def _ranks(group):
    names = words(group["rank"].attrs["scalars"])
    expected = group["expected"][()]
    return [
        Ranks(name, group["histogram"][k].astype(float), expected, float(group["p_value"][k]))
        for k, name in enumerate(names)
    ]
