"""Programs to whose files something happens at the N-th call by which they change them (interposer.c says what can)."""

import collections
import dataclasses
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import threading
import unittest

from tiny_campaign import BUILD, command, seed_of_test

INTERPOSER = BUILD / "tests/interposer.so"
WRITES = "write", "pwrite", "fclose"
WORKERS = 2  # runs at once
SECONDS = 120  # a run takes less than one on an idle machine: longer is a hang


# As small as checkpoints, calibration and chains allow.
CONFIG = """
seed: 3
survey: {{map_size: 8, field_of_view: 2, bins: {bins}}}
prior: {{Omega_b: 'fixed:0.05', h: 'fixed:0.67', n_s: 'fixed:0.96', w_0: 'fixed:-1'}}
simulate: {{realisations: 12, shard_size: 4}}
network: {{depth: 2, width: 16, heads: 2, patch: 4, cosmology_tokens: 2, bottleneck: 8, time_frequencies: 16,
          conditioning: channels, dropout: 0}}
train: {{steps: 3, batch: 2, micro_batch: 2, held_out: 6, validations: 2, validate_every: 3, checkpoint_every: 1, keep: 2}}
infer: {{observations: 2, draws: 4, batch: 2, evaluations: 4, keep_maps: {keep_maps}, checkpoint_minutes: 0, chains: 1,
        warmup: 4, thinning: 1}}
calibrate: {{centres: 2, bootstraps: 20, levels: 5}}
"""
STAGES = {  # each on what those before have made
    "simulate": ("nephrite-simulate", {}),
    "train": ("nephrite-train", {}),
    "posterior": ("nephrite-infer", {}),
    "coverage": ("nephrite-infer", {"task": "coverage"}),
    "hmc": ("nephrite-infer", {"infer_method": "hmc", "infer_observations": 1, "infer_draws": 2}),
}


class FaultCase(unittest.TestCase):
    """Tests on copies of a small campaign."""

    bins = keep_maps = None

    @classmethod
    def setUpClass(cls):
        cls.root = pathlib.Path(os.path.realpath(tempfile.mkdtemp(prefix="nephrite-faults-")))
        cls.addClassCleanup(shutil.rmtree, cls.root)
        (cls.root / "tiny.yaml").write_text(CONFIG.format(bins=cls.bins, keep_maps=cls.keep_maps))
        cls.seed = seed_of_test()
        cls.made, cls.lock = 0, threading.Lock()

    @classmethod
    def copy(cls, campaign):
        """By links: no program changes a file, but puts another in its place."""
        with cls.lock:
            cls.made += 1
            copy = cls.root / f"campaign-{cls.made}"
        shutil.copytree(campaign, copy, copy_function=os.link)
        return copy


@dataclasses.dataclass
class Call:
    number: int
    name: str
    bytes: int
    path: str

    def kind(self):
        """What is the same for calls that differ in what they are about only: the second shard is as the first."""
        return self.name, re.sub(r"\d+", "#", os.path.basename(self.path)), self.path.endswith("sims")


def run(program, campaign, options={}, ranks=1, folder=None, **faults):
    """In a folder.  faults: at=12, fault="kill", … as the interposer has them."""
    settings = {"LD_PRELOAD": str(INTERPOSER), "NEPHRITE_FAULT_BELOW": str(campaign)} if faults else {}
    for name, value in faults.items():
        settings["NEPHRITE_FAULT" + ("" if name == "fault" else f"_{name.upper()}")] = str(value)
    settings["OMPI_MCA_ess_singleton_isolated"] = "1"  # a rank alone needs no daemon,
    with tempfile.TemporaryDirectory(prefix="nephrite-mpi-") as own:  # but takes the files of others for its own
        return subprocess.run(
            command(program, campaign, options, ranks),
            capture_output=True,
            text=True,
            timeout=SECONDS,
            cwd=folder,
            env={**os.environ, "OMPI_MCA_orte_tmpdir_base": own, **settings},
        )


def calls_of(program, campaign, options={}, ranks=1, rank=0):
    """(the run, every call by which a rank of it changes what is below the campaign)"""
    with tempfile.TemporaryDirectory(prefix="nephrite-calls-") as folder:
        log = pathlib.Path(folder) / "log"
        log.touch()
        done = run(program, campaign, options, ranks, log=log, **({"rank": rank} if ranks > 1 else {}))
        lines = [line.split(" ", 3) for line in log.read_text().splitlines()]
    return done, [Call(int(number), name, int(size), path) for number, name, size, path in lines]


def one_of_each_kind(calls, random_numbers):
    kinds = collections.defaultdict(list)
    for call in calls:
        kinds[call.kind()].append(call)
    return [random_numbers.choice(kinds[kind]) for kind in sorted(kinds)]
