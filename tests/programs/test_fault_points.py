#!/usr/bin/env python3
# nephrite-test: long
"""A run dies, or finds the disk full, at each call by which it changes a file: at every write, also half-way through it, fsync,
rename, link and unlink.  Nothing under a final name is then half there, a full disk ends with 74, and the next run ends as if
nothing had happened.

One call of each kind is taken, or with NEPHRITE_TEST_FAULTS=all every one: of five small runs, some ten thousand."""

import collections
import concurrent.futures
import os
import random
import re
import shutil
import subprocess
import time
import unittest

from campaign_products import differences, faults
from faults import STAGES, WORKERS, WRITES, FaultCase, calls_of, one_of_each_kind, run
from kills import wait_for_orphans
from run_program import complaints
from tiny_campaign import IO, command

ALL = os.environ.get("NEPHRITE_TEST_FAULTS") == "all"


class FaultPoints(FaultCase):
    bins = keep_maps = 1

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.numbers = random.Random(cls.seed)
        cls.before, cls.after, cls.calls = {}, {}, {}
        whole = cls.root / "whole"
        whole.mkdir()
        for stage, (program, options) in STAGES.items():
            cls.before[stage] = cls.copy(whole)
            done, cls.calls[stage] = calls_of(program, whole, options)
            assert done.returncode == 0, done.stderr
            cls.after[stage, 1] = cls.copy(whole)

    def assert_goes_on(self, stage, ranks, campaign, what):
        """What bears a final name is whole, and a run on as many ranks that nothing disturbs makes the rest."""
        self.assertEqual(faults(campaign), {}, what)
        done = run(STAGES[stage][0], campaign, STAGES[stage][1], ranks)
        self.assertEqual(done.returncode, 0, f"{what}: {done.stderr}")
        self.assertEqual(differences(campaign, self.after[stage, ranks]), [], what)
        left = [str(path) for path in campaign.rglob("*") if path.suffix in (".part", ".lock")]
        self.assertEqual(left, [], what)

    def disturb(self, stage, ranks, fault, **where):
        """\\returns whether the run met the fault"""
        what = f"{stage}, {ranks} ranks, {fault} {where}"
        campaign = self.copy(self.before[stage])
        done = run(STAGES[stage][0], campaign, STAGES[stage][1], ranks, fault=fault, **where)
        if fault in ("kill", "half", "job"):
            met = done.returncode != 0
            self.assertEqual(wait_for_orphans(STAGES[stage][0], str(campaign)), [], what)
            self.assertIn(done.returncode, (-9, 137, 0) if ranks > 1 else (-9,), f"{what}: {done.stderr}")
        else:
            met = self.assert_told(done, campaign, self.after[stage, ranks], what)
        self.assert_goes_on(stage, ranks, campaign, what)
        shutil.rmtree(campaign)
        return met

    def assert_told(self, done, campaign, whole, what):
        """A disk that cannot be written ends the run with its code and the name of a file, and nothing of it is left; or it
        was no matter."""
        if done.returncode == 0:
            found = [name for name in differences(campaign, whole) if "/parts/" not in name]
            self.assertEqual(found, [], what)  # but for blocks that could not be removed, which the next run does
            return False
        self.assertEqual(done.returncode, IO, f"{what}: {done.stderr}")
        lines = complaints(done)
        self.assertEqual(len(lines), 1, f"{what}: {done.stderr}")
        self.assertIn(f" {campaign}", lines[0], what)
        self.assertEqual([str(path) for path in campaign.rglob("*.part")], [], f"{what}: {lines[0]}")
        return True

    def walk(self, tasks):
        """tasks: (stage, ranks, fault, {where})"""
        met, begin = collections.Counter(), time.monotonic()
        with concurrent.futures.ThreadPoolExecutor(WORKERS) as pool:
            running = {pool.submit(self.disturb, *task[:3], **task[3]): task for task in tasks}
            for future in concurrent.futures.as_completed(running):
                stage, _, fault, _ = running[future]
                with self.subTest(task=running[future]):
                    met[stage, fault, "met" if future.result() else "no matter"] += 1
        seconds = time.monotonic() - begin
        print(f"{len(tasks)} disturbed runs in {seconds:.0f} s: {dict(sorted(met.items()))}", flush=True)

    def points(self, stage, share=1.0):
        """Calls of a stage; where not all are taken, one of each kind, of a share of the kinds."""
        if ALL:
            return self.calls[stage]
        return [call for call in one_of_each_kind(self.calls[stage], self.numbers) if self.numbers.random() < share]

    def test_every_call_is_seen_that_strace_sees(self):
        if not shutil.which("strace"):
            self.skipTest("there is no strace")
        campaign, (program, options) = self.copy(self.before["posterior"]), STAGES["posterior"]
        log = self.root / "strace"
        traced = "write,pwrite64,fsync,fdatasync,rename,renameat,renameat2,link,linkat,mkdir,mkdirat,ftruncate,rmdir,unlink,unlinkat"
        done = subprocess.run(
            ["strace", "-f", "-y", "-e", f"trace={traced}", "-o", log, *command(program, campaign, options)],
            capture_output=True,
        )
        if done.returncode:
            self.skipTest("nothing can be traced here")
        seen = collections.Counter()
        for line in log.read_text().splitlines():
            call = re.match(r"\d+ +(\w+)\((.*)", line)
            if call and str(campaign) in call[2] and "EEXIST" not in call[2]:
                name = re.sub("at2?$|64$", "", call[1])
                seen[{"unlink": "remove", "rmdir": "remove", "write": "stdio"}.get(name, name)] += 1
        ours = collections.Counter()
        for call in self.calls["posterior"]:
            name = {"unlink": "remove", "rmdir": "remove", "fclose": "stdio"}.get(call.name, call.name)
            ours[name] += name not in ("open", "fopen")
        self.assertEqual(+ours, seen)
        for name in "pwrite", "fsync", "rename", "link", "mkdir", "ftruncate", "remove", "stdio":
            self.assertGreater(ours[name], 0, name)

    def test_a_run_killed_at_any_call_leaves_no_trace(self):
        tasks = []
        for stage in STAGES:
            for call in self.points(stage):
                half = call.name in WRITES and call.bytes > 1
                for fault in ("kill", "half") if ALL and half else ("half",) if half else ("kill",):
                    tasks.append((stage, 1, fault, {"at": call.number}))
        self.walk(tasks)

    def test_a_disk_that_is_full_from_any_call_on_ends_the_run_with_74(self):
        tasks = [(stage, 1, "full", {"at": call.number}) for stage in STAGES for call in self.points(stage, 0.5)]
        self.walk(tasks)

    def test_a_call_that_fails_once_ends_the_run_with_74_or_is_no_matter(self):
        tasks = []
        for stage in STAGES:
            for call in self.points(stage, 0.2):
                fault = self.numbers.choice(("io", "readonly", "denied"))
                tasks.append((stage, 1, fault, {"at": call.number}))
        self.walk(tasks)

    def test_of_two_ranks_one_or_the_whole_job_is_killed_at_a_call(self):
        tasks = []
        for stage, (program, options) in STAGES.items():
            rank = self.numbers.randrange(2)
            self.after[stage, 2] = self.copy(self.before[stage])
            done, calls = calls_of(program, self.after[stage, 2], options, 2, rank)
            self.assertEqual(done.returncode, 0, done.stderr)
            for call in self.numbers.sample(calls, min(len(calls), 40 if ALL else 2)):
                fault = self.numbers.choice(("kill", "job", "full"))
                tasks.append((stage, 2, fault, {"at": call.number, "rank": rank}))
        self.walk(tasks)


if __name__ == "__main__":
    unittest.main(verbosity=2)
