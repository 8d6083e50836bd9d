"""Programs on campaigns whose file, tiny.yaml, lies beside them: for end-to-end tests."""

import os
import pathlib
import subprocess
import time

SOURCE = pathlib.Path(os.environ.get("NEPHRITE_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
BUILD = pathlib.Path(os.environ.get("NEPHRITE_BUILD", SOURCE / "build"))
USAGE, INPUT, INTERNAL, IO, INTERRUPTED = 64, 65, 70, 74, 75


def seed_of_test():
    """Of what a test takes at random: another one in each run, but for one that is asked for."""
    seed = int(os.environ.get("NEPHRITE_TEST_SEED", time.time_ns() % 1_000_000))
    print(f"NEPHRITE_TEST_SEED={seed} repeats this run", flush=True)
    return seed


class Run:
    """A finished program."""

    def __init__(self, process):
        self.code, self.out, self.err = process.returncode, process.stdout, process.stderr


def command(program, campaign, options, ranks=1, file_kib=None):
    words = ["sh", "-c", f'ulimit -f {2 * file_kib}; exec "$0" "$@"'] if file_kib else []
    words += [str(BUILD / program), "-config", str(campaign.parent / "tiny.yaml"), "-campaign", str(campaign)]
    for name, value in options.items():
        words += ["-" + name, str(value)]
    return (["mpirun", "-n", str(ranks)] if ranks > 1 else []) + words


def run_program(program, campaign, options={}, ranks=1, file_kib=None, timeout=300):
    """file_kib: no file may grow beyond this, as on a full disk; MPI is then told to do without files"""
    words = command(program, campaign, options, ranks, file_kib)
    environment = dict(os.environ, **({"OMPI_MCA_btl": "self,tcp", "PMIX_MCA_gds": "hash"} if file_kib else {}))
    return Run(subprocess.run(words, capture_output=True, text=True, timeout=timeout, env=environment))
