#!/usr/bin/env python3
"""jobs/scaling.sbatch, run as SLURM runs it."""

import os
import pathlib
import shutil
import subprocess
import tempfile
import unittest

SOURCE = pathlib.Path(os.environ.get("NEPHRITE_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
BUILD = pathlib.Path(os.environ.get("NEPHRITE_BUILD", SOURCE / "build"))
CONFIG = """
survey: {map_size: 16, field_of_view: 2, bins: 2}
simulate: {realisations: 40, shard_size: 10}
network: {depth: 1, width: 16, heads: 1, patch: 4, bottleneck: 16, cosmology_tokens: 1}
train: {steps: 2000, batch: 4, held_out: 8, validations: 4, validate_every: 1000, checkpoint_every: 1000}
infer: {observations: 4, draws: 8, evaluations: 5}
"""


class Job(unittest.TestCase):
    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="nephrite-jobs-"))
        self.addCleanup(shutil.rmtree, self.root)
        (self.root / "my.yaml").write_text(CONFIG)
        # The directory that the job is submitted from: the tools, and the programs where the release build has them.
        (self.root / "build").mkdir()
        (self.root / "build/release").symlink_to(BUILD)
        (self.root / "tools").symlink_to(SOURCE / "tools")

    def submit(self, script, *options):
        job = {"SLURM_SUBMIT_DIR": self.root, "SLURM_NTASKS": 2, "SLURM_JOB_ID": 17}
        environment = {**os.environ, **{name: str(value) for name, value in job.items()}}
        shutil.copy(SOURCE / "jobs" / script, self.root / "slurm_script")  # which runs from its spool
        words = [self.root / "slurm_script", *options]
        return subprocess.Popen(
            [*map(str, words)],
            env=environment,
            cwd=self.root,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )


class Scaling(Job):
    def study(self, kind, *options):
        job = self.submit("scaling.sbatch", kind, self.root / "my.yaml", *options)
        output, _ = job.communicate(timeout=120)
        return job.returncode, output

    def test_both_kinds_are_measured_beside_what_is_predicted(self):
        for kind, batch in ("weak", "batch of a rank 4;"), (
            "strong",
            "batch of all ranks 4, at most 4 at once of a rank;",
        ):
            code, output = self.study(kind, "--work", 2)
            self.assertEqual(code, 0, output)
            predicted, measured = output.split("== measured")
            self.assertIn("predicted, strong scaling: 4 samples on all ranks together", predicted)
            self.assertIn(f"{kind} scaling", measured)
            self.assertIn(batch, measured)
            self.assertRegex(measured, r"ranks x threads +1 x 1 +2 x 1\n")
            self.assertRegex(measured, r"efficiency +1\.000 +[\d.]+\n")
            self.assertEqual([*(self.root / "campaigns").iterdir()], [])

    def test_what_is_no_kind_or_no_campaign_is_refused(self):
        self.assertEqual(self.study("sideways")[0], 64)
        (self.root / "my.yaml").unlink()
        code, output = self.study("weak")
        self.assertEqual(code, 64)
        self.assertIn("weak|strong CONFIG", output)


if __name__ == "__main__":
    unittest.main(verbosity=2)
