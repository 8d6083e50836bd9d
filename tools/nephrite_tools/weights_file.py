"""Weights as a plain HDF5 file (doc/manual.md, "Weights for other programs"), read in Python: needs h5py and numpy alone.

    from nephrite_tools import weights_file
    model = weights_file.read("weights.h5")
    model.tensors["block.0.attention.qkv.weight"]     # numpy, float32
"""

import dataclasses

import h5py
import numpy as np

KIND, VERSION = "weights", 1
ARCHITECTURE = (  # what a network is made from; "dropout" may be there too
    *("ny", "nx", "bins", "observation_channels", "parameters", "depth", "width", "heads", "patch"),
    *("observation_patch", "observation_start", "cosmology_tokens", "bottleneck", "time_frequencies"),
    *("rms_epsilon", "time_floor", "rope_base", "time_max_period", "conditioning"),
)
STATISTICS = (
    "map_std",
    "theta_mean",
    "theta_std",
    "theta_low",
    "theta_high",
    "guess_covariance",
    "response",
    "one_point_unit",
    "summary_mean",
    "summary_std",
)
LATER = ("spectra", "one_point", "output", "flow")  # the same, where they are not there 0, 0, "clean" and "joint"
ONE_POINT_SCALES = 4


def text(value):
    """A text attribute, of fixed or variable length."""
    return value.decode() if isinstance(value, bytes) else str(value)


def shape_of(path):
    """The network of a file of weights, a checkpoint or a reference file, as torch_network.Network wants it."""
    with h5py.File(path) as file:
        shape = {name: value.item() for name, value in file.attrs.items() if isinstance(value, np.number)}
        tensors = file["weights"] if "weights" in file else file
        shape["mlp_hidden"] = int(tensors["block.0.mlp.w12.weight"].shape[0]) // 2
        shape["weights"] = sum(int(tensors[name].size) for name in tensors)
        shape["map"] = [int(n) for n in file.attrs.get("map_size", (shape.get("ny"), shape.get("nx")))]
        conditioning = text(file.attrs.get("conditioning", "tokens"))
        shape["output"] = text(file.attrs.get("output", "clean"))
        shape["modulated"] = text(file.attrs.get("flow", "joint")) == "parameters_first"
    of_pair = shape.get("spectra", 0) + ONE_POINT_SCALES * shape.get("one_point", 0)
    shape["told"] = shape["bins"] * (shape["bins"] + 1) // 2 * of_pair
    shape["tokens_of_observation"] = conditioning == "tokens"
    shape["grid"] = [-(-n // shape["patch"]) for n in shape["map"]]
    shape["observation_grid"] = [-(-n // shape["observation_patch"]) for n in shape["map"]]
    return shape


@dataclasses.dataclass
class Weights:
    """What is in a file of weights."""

    tensors: dict  # {name: array}, names of doc/network.md, section 5
    shape: dict  # shape_of()
    map_std: np.ndarray  # [bin]: maps are divided by it
    theta_mean: np.ndarray  # [parameter]: subtracted from the parameters
    theta_std: np.ndarray  # [parameter]: which are then divided by it
    theta_low: np.ndarray  # [parameter]: bounds, where they differ: the network then has the normal of the share of the interval
    theta_high: np.ndarray
    guess_covariance: np.ndarray  # [band, pair]: covariances by which a map is guessed, where the output is "wiener"; may be empty
    response: np.ndarray  # [bin, number]: how the power of maps follows the parameters, where they are drawn first; may be empty
    one_point_unit: np.ndarray  # [distribution]: of the values whose one-point distribution the network is told; may be empty
    summary_mean: np.ndarray  # [number]: the same of what the network is told of the observation; may be empty
    summary_std: np.ndarray
    parameters: list  # their names, in order; empty if the file does not tell


def read(path):
    """A file of weights, whole."""
    with h5py.File(path) as file:
        statistics = [np.ravel(file.attrs.get(name, ())) for name in STATISTICS]
        names = text(file.attrs.get("parameter_names", "")).split(",")
        tensors = {name: file[name][()] for name in file}
    return Weights(tensors, shape_of(path), *statistics, [name for name in names if name])
