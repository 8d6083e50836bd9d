"""Running a program under mpiexec, and reading what it complains of: for the tests of programs."""

import os
import pathlib
import re
import subprocess

BUILD = pathlib.Path(os.environ["NEPHRITE_BUILD"])
FAULTS = BUILD / "tests/program_faults"
CHECK = BUILD / "nephrite-check"
SIMULATE = BUILD / "nephrite-simulate"


def command(ranks, program, *arguments):
    launcher = ["mpiexec", "-n", str(ranks)] if ranks else []
    return [*launcher, str(program), *map(str, arguments)]


def run(ranks, program, *arguments, before=None, **environment):
    return subprocess.run(
        command(ranks, program, *arguments),
        capture_output=True,
        text=True,
        timeout=120,
        preexec_fn=before,
        env={**os.environ, **environment},
    )


def complaints(done):
    """What our programs say on standard error, without mpiexec's own words."""
    return [line for line in done.stderr.splitlines() if re.match(r"(faults|nephrite-\w+):", line)]


def expect_failure(test, done, code, text):
    """One line from one rank, and the exit code it stands for."""
    test.assertEqual(done.returncode, code, done.stderr)
    lines = complaints(done)
    test.assertEqual(len(lines), 1, done.stderr)
    test.assertIn(text, lines[0])
    test.assertNotIn("PETSC ERROR", done.stderr)
