#!/usr/bin/env python3
"""The batch scripts of jobs/, run as SLURM runs them: what is warned is queued again, and goes on to the end."""

import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time
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
        (self.root / "bin").mkdir()
        scontrol = self.root / "bin/scontrol"
        scontrol.write_text(f'#!/bin/sh\necho "$@" >>{self.root}/asked\n')
        scontrol.chmod(0o755)

    def submit(self, script, *options):
        job = {"SLURM_SUBMIT_DIR": self.root, "SLURM_NTASKS": 2, "SLURM_JOB_ID": 17}
        path = f"{self.root}/bin:{os.environ['PATH']}"
        environment = {**os.environ, **{name: str(value) for name, value in job.items()}, "PATH": path}
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


class Campaign(Job):
    def start(self, *options):
        return self.submit("campaign.sbatch", self.root / "my.yaml", *options)

    def asked(self):
        return (self.root / "asked").read_text().splitlines() if (self.root / "asked").exists() else []

    def test_a_warned_job_is_queued_again_and_goes_on_to_the_report(self):
        job = self.start()
        while not [*self.root.glob("campaigns/my/checkpoints/step-*.h5")]:
            self.assertIsNone(job.poll(), "ended before it could be warned")
            time.sleep(0.02)
        job.send_signal(signal.SIGUSR1)
        output, _ = job.communicate(timeout=120)
        self.assertEqual(job.returncode, 75, output)
        self.assertEqual(self.asked(), ["requeue 17"])
        self.assertFalse((self.root / "campaigns/my/calibration.h5").exists())
        job = self.start()
        output, _ = job.communicate(timeout=300)
        self.assertEqual(job.returncode, 0, output)
        self.assertIn("goes on from step", output)
        self.assertTrue((self.root / "campaigns/my/report/index.html").exists())
        self.assertEqual(self.asked(), ["requeue 17"])

    def test_an_error_ends_the_job_with_its_code_and_is_not_queued_again(self):
        job = self.start("-survey_bins", "99")
        output, _ = job.communicate(timeout=60)
        self.assertEqual(job.returncode, 64, output)
        self.assertIn("survey_bins", output)
        self.assertEqual(self.asked(), [])


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
