"""Programs to whose files something happens at the N-th call by which they change them (interposer.c says what can)."""

import collections
import dataclasses
import os
import pathlib
import re
import subprocess
import tempfile

from tiny_campaign import BUILD, command

INTERPOSER = BUILD / "tests/interposer.so"
WRITES = "write", "pwrite", "fclose"
SECONDS = 120  # a run takes less than one on an idle machine: longer is a hang


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
