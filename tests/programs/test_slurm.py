#!/usr/bin/env python3
# nephrite-test: long
"""jobs/ under a real SLURM: a campaign through all that clusters do comes to what an undisturbed run on one machine makes."""

import os
import pathlib
import re
import signal
import subprocess
import unittest

import h5py
import numpy as np

from slurm import BUILD, SOURCE, SlurmCase

CONFIG = """
survey: {map_size: 16, field_of_view: 2, bins: 2}
simulate: {realisations: 60, shard_size: 8}
network: {depth: 2, width: 48, heads: 1, patch: 2, bottleneck: 16, cosmology_tokens: 1}
train: {steps: 2000, batch: 32, micro_batch: 16, held_out: 16, validations: 4, validate_every: 500, checkpoint_every: 50}
infer: {observations: 16, draws: 16, evaluations: 5}
"""


def datasets(path):
    """Every dataset of a file but digests, which include the configuration."""
    found = {}
    with h5py.File(path) as file:
        file.visititems(lambda name, item: found.update({name: item[()]}) if isinstance(item, h5py.Dataset) else None)
    return {name: value for name, value in found.items() if not name.startswith("digest")}


def name_of(pid):
    try:
        return pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return None


class Campaign(SlurmCase):
    CONFIG = CONFIG
    SITE = "warning=45"  # of a minute, which is the least that SLURM knows

    def undisturbed(self):
        campaign = self.root / "local"
        words = [SOURCE / "tools/quickstart", "--no-install", "--build", BUILD, "--config", self.root / "my.yaml"]
        words += ["--campaign", campaign, "--ranks", "2", "--no-report"]
        subprocess.run([str(word) for word in words], check=True, capture_output=True, timeout=600)
        return campaign

    def assertSame(self, campaign, local):
        """Products are the same."""
        for pattern in "sims/shard-*.h5", "checkpoints/step-*.h5", "posterior/*.h5", "coverage/*.h5", "calibration.h5":
            names = sorted(str(path.relative_to(local)) for path in local.glob(pattern))
            self.assertGreater(len(names), 0)
            self.assertEqual(sorted(str(path.relative_to(campaign)) for path in campaign.glob(pattern)), names)
            for name in names:
                mine, whole = datasets(campaign / name), datasets(local / name)
                self.assertEqual(sorted(mine), sorted(whole))
                for dataset in whole:
                    if dataset.endswith("seconds") or "per_second" in dataset:
                        continue
                    np.testing.assert_array_equal(mine[dataset], whole[dataset], err_msg=f"{name}: {dataset}")
        self.assertEqual([*campaign.rglob("*.part"), *campaign.glob("*.lock")], [])

    def rank_of(self, campaign):
        """The process of a training rank."""
        words = ["pgrep", "-f", f"nephrite-train -config .* -campaign {campaign}"]
        found = subprocess.run(words, capture_output=True, text=True).stdout.split()
        return next((int(pid) for pid in found if name_of(pid) == "nephrite-train"), None)

    def steps(self, campaign):
        return max((int(path.stem[5:]) for path in campaign.glob("checkpoints/step-*.h5")), default=0)

    def restarts(self, job):
        return int(self.job(job)[0]["Restarts"])

    def train_on(self, campaign, job):
        """Until there is a checkpoint that was not there; a rank that is at the next."""
        before, rank = self.steps(campaign), None

        def goes_on():
            nonlocal rank
            rank = self.rank_of(campaign)
            return rank and self.steps(campaign) > before

        self.wait(goes_on, campaign, f"a checkpoint after step {before}")
        return rank

    def starts_again(self, campaign, job, after, what):
        self.wait(lambda: self.restarts(job) > after, campaign, f"another start, after {what}")

    def test_a_campaign_survives_what_clusters_do_and_comes_to_the_same(self):
        campaign = self.root / "campaigns/my"
        told = self.submit("--simulate-jobs", 2, "--infer-jobs", 2, "--tasks-per-node", 2, "--time", 1)
        self.assertRegex(told, r"simulate +job \d+, an array of 2\n")
        self.assertIn("is in the queue", self.submit(expect=75))
        job = self.job_of(campaign, "train")
        self.assertRegex(self.status(campaign)[0], r"train +queued .*job \d+: 0 running, 1 waiting \(Dependency\)")

        rank = self.train_on(campaign, job)
        text, code = self.status(campaign)
        self.assertEqual(code, 75)
        self.assertRegex(text, r"simulate +done +60/60 maps")
        self.assertRegex(text, r"train +running +\d+/64000 samples")
        before = self.restarts(job)
        os.kill(rank, signal.SIGKILL)
        self.starts_again(campaign, job, before, "a rank was killed")

        self.train_on(campaign, job)
        before = self.restarts(job)
        self.call("scontrol", "requeue", job)
        self.starts_again(campaign, job, before, "an operator queued the job again")

        self.train_on(campaign, job)
        self.wait(lambda: "interrupted with progress saved" in self.logs(campaign), campaign, "the time limit")
        self.train_on(campaign, job)
        self.call(SOURCE / "jobs/cancel", campaign, "train")
        self.wait(lambda: self.status(campaign)[1] == 1, campaign, "the end of all jobs")
        self.assertRegex(self.status(campaign)[0], r"train +interrupted +\d+/64000 .*\n +log: .*/train-\d+.log")
        self.assertIn("train was told to end", self.logs(campaign))
        self.submit("--from", "train", "--infer-jobs", 2, "--tasks-per-node", 2, "--time", 5)
        self.wait(lambda: self.status(campaign)[1] == 0, campaign, "the report", 600)
        log = self.logs(campaign)
        self.assertIn("lost a rank (exit code 137)", log)
        self.assertIn("DUE TO JOB REQUEUE", log)
        self.assertTrue((campaign / "report/index.html").exists())
        self.assertSame(campaign, self.undisturbed())

    def test_an_error_ends_the_job_and_those_that_wait_for_it_and_is_told(self):
        campaign = self.root / "broken"
        self.submit("--campaign", campaign, "--tasks-per-node", 2)
        self.wait(lambda: (campaign / "sims/campaign.h5").exists(), campaign, "maps")
        self.call(SOURCE / "jobs/cancel", campaign)
        self.wait(lambda: self.status(campaign)[1] == 1, campaign, "the end of all jobs")
        shard = campaign / "sims/shard-00000.h5"
        shard.write_bytes(shard.read_bytes()[:-1])
        self.submit("--campaign", campaign, "--tasks-per-node", 2)
        self.wait(lambda: self.status(campaign)[1] == 1, campaign, "the end of all jobs")
        text, _ = self.status(campaign)
        self.assertRegex(
            text, r"simulate +failed .*FAILED\n +simulate: exit code 65: .*shard-00000.h5: .*\n +log: .*log\n"
        )
        self.assertEqual(self.job(self.job_of(campaign, "simulate"))[0]["ExitCode"], "65:0")
        report = self.job_of(campaign, "report")  # SLURM takes a moment to see that it waits in vain
        self.wait(lambda: self.job(report)[0]["JobState"] == "CANCELLED", campaign, "the end of the last job", 60)

    def test_what_no_program_knows_is_refused_before_anything_is_submitted(self):
        told = self.submit("--", "-train_stepz", "5", expect=64)
        self.assertIn("train_steps", told)
        self.assertIn("--nodes is none", self.submit("--nodes", "none", expect=64))
        self.assertIn("cannot read", self.call(SOURCE / "jobs/campaign", "no.yaml", expect=65))
        self.assertEqual(self.call("squeue", "--noheader"), "")

    def test_a_dry_run_prints_what_would_be_submitted(self):
        told = self.submit("--dry-run", "--campaign", "dry", "--account", "cosmology", "--nodes", 4, "--", "-seed", "7")
        self.assertEqual(re.findall(r"jobs/(\w+)\.sbatch", told), ["simulate", "train", "infer", "report"])
        for line in told.splitlines():
            self.assertIn("--account cosmology", line)
            self.assertTrue(line.rstrip().endswith("my.yaml -seed 7"), line)
        self.assertFalse((self.root / "dry").exists())
        self.assertEqual(self.call("squeue", "--noheader"), "")


class TwoNodes(SlurmCase):
    CONFIG = CONFIG.replace("steps: 2000", "steps: 30")
    SITE = "launcher=(srun --mpi=pmix)\nnodes=2 tasks_per_node=2"

    def test_a_campaign_runs_on_two_nodes_by_srun(self):
        campaign = self.root / "campaigns/my"
        self.submit()
        self.wait(lambda: self.status(campaign)[1] == 0, campaign, "the report")
        self.assertIn("ranks 4,", (campaign / f"logs/train-{self.job_of(campaign, 'train')}.log").read_text())

    def test_a_study_of_scaling_is_a_job_for_each_number_of_ranks_and_one_for_the_report(self):
        study = self.root / "scaling/my"
        words = [
            SOURCE / "jobs/scaling",
            "my.yaml",
            "--site",
            self.root / "site",
            "--program",
            "simulate",
            "--mode",
            "strong",
        ]
        words += ["--ranks", "1,2", "--tasks-per-node", 1, "--work", 16, "--repeats", 1, "--extrapolate", 8, "--submit"]
        told = self.call(*words)
        self.assertEqual(re.findall(r"simulate-strong-(\w+) +job \d+\n", told), ["1", "2", "report"])
        self.assertIn("is in the queue", self.call(*words, expect=75))
        self.wait(lambda: (study / "report/index.html").exists(), study, "the report")
        rows = [line.split(",")[:5] for line in (study / "simulate-strong.csv").read_text().splitlines()[1:]]
        self.assertEqual(rows, [["1", "1", "1", "1", "16"], ["2", "1", "1", "2", "16"]])  # nodes: the last but one
        self.assertIn("8 ranks, extrapolated", (study / "report/index.html").read_text())
        self.call(SOURCE / "jobs/cancel", study)  # which knows the jobs, though they have ended


if __name__ == "__main__":
    unittest.main()
