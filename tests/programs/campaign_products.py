"""The products of a campaign: which there are, whether each is whole, and whether they are those of another campaign."""

import os
import pathlib
import re
import sys

import h5py
import numpy as np

from tiny_campaign import SOURCE

sys.path.insert(0, str(SOURCE / "tools"))

from nephrite_tools.inspect import faults_of  # noqa: E402

CAMPAIGN = rb"(?m)^campaign: .*"  # of a stored configuration
TIMES = "seconds", "samples_per_second"  # datasets that tell of time, and their digests


def products(campaign):
    """Paths in the campaign of all that bears the name of a product, links to other campaigns included."""
    found = (pathlib.Path(folder) / name for folder, _, names in os.walk(campaign, followlinks=True) for name in names)
    return sorted(str(path.relative_to(campaign)) for path in found if path.suffix == ".h5")


def faults(campaign):
    """What is not whole of them, by name; chains that go on are products as well."""
    found = {}
    for name in products(campaign):
        try:
            with h5py.File(campaign / name) as file:
                problems = faults_of(campaign / name, file, verify=True)
        except OSError as error:
            problems = [str(error)]
        if problems:
            found[name] = problems
    return found


def contents(path):
    """Every dataset and attribute of a product, but for the name of the campaign and what tells of time: what the
    checkpoints have cost, too, is no part of a training."""
    found = {}

    def take(item_name, item):
        if item_name.endswith(TIMES) or (path.name == "training.h5" and "checkpoint" in item_name):
            return
        for key in set(item.attrs) - (set() if item_name else {"digest"}):  # of all, also of times
            value = item.attrs[key]
            found[f"{item_name}@{key}"] = re.sub(CAMPAIGN, b"", np.asarray(value).tobytes())
        if isinstance(item, h5py.Dataset):
            found[item_name] = (item.dtype, item.shape, item[()].tobytes())

    with h5py.File(path) as file:
        take("", file)
        file.visititems(take)
    return found


def differences(campaign, whole, but=None):
    """What of a campaign is not as in another one, as `file: dataset`, but for one file; nothing, if a run of it might as
    well have been the other's."""
    ours, theirs = (set(products(each)) - {but} for each in (campaign, whole))
    found = [f"{name}: in one of them only" for name in sorted(ours ^ theirs)]
    for name in sorted(ours & theirs):
        if (campaign / name).read_bytes() == (whole / name).read_bytes():
            continue
        a, b = contents(campaign / name), contents(whole / name)
        found += [f"{name}: {key}" for key in sorted(a.keys() | b.keys()) if a.get(key) != b.get(key)]
    return found
