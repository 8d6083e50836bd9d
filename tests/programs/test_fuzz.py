#!/usr/bin/env python3
"""The targets of fuzzing on what they begin with, and on every input that was once a finding (tests/fuzz/regression)."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

from tiny_campaign import BUILD, SOURCE

FUZZ = SOURCE / "tests/fuzz"


class Fuzz(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.seeds = pathlib.Path(tempfile.mkdtemp(prefix="nephrite-fuzz-"))
        made = subprocess.run([sys.executable, FUZZ / "seeds.py", BUILD, cls.seeds], capture_output=True, text=True)
        assert made.returncode == 0, made.stderr

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.seeds)

    def replay(self, target, *command):
        folders = [
            folder for folder in (self.seeds / "corpus" / target, FUZZ / "regression" / target) if folder.exists()
        ]
        inputs = sum(len(list(folder.iterdir())) for folder in folders)
        sanitizer = os.environ.get("ASAN_OPTIONS", "") + ":allocator_may_return_null=1"
        done = subprocess.run(
            [*map(str, command), *map(str, folders)],
            capture_output=True,
            text=True,
            timeout=600,
            env={**os.environ, "NEPHRITE_FUZZ_SEEDS": str(self.seeds), "ASAN_OPTIONS": sanitizer},
        )
        self.assertEqual(done.returncode, 0, done.stderr[-4000:])
        self.assertEqual(done.stdout.split("\n")[-2], f"{inputs} inputs")
        self.assertGreater(inputs, 2)

    def test_no_reader_of_a_target_trips_over_an_input(self):
        targets = sorted(path.stem.removeprefix("target_") for path in FUZZ.glob("target_*.c"))
        self.assertIn("observation", targets)
        for target in targets:
            with self.subTest(target=target):
                self.replay(target, BUILD / "tests/fuzz" / f"fuzz_{target}")

    def test_nor_does_ingest(self):
        self.replay("ingest", sys.executable, FUZZ / "ingest.py")


if __name__ == "__main__":
    unittest.main()
