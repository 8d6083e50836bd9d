#!/usr/bin/env python3
# nephrite-test: long
"""kill -9 of mpirun or of one rank of nephrite-simulate, twenty times at random: what is resumed ends as if nothing had happened."""

import hashlib
import os
import pathlib
import random
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

SOURCE = pathlib.Path(os.environ.get("NEPHRITE_SOURCE", pathlib.Path(__file__).resolve().parents[2]))
BUILD = pathlib.Path(os.environ.get("NEPHRITE_BUILD", SOURCE / "build"))
KILLS, RANKS = 20, 2
CONFIG = """
seed: 5
survey: {map_size: 64, field_of_view: 5, bins: 3}
simulate: {realisations: 1500, shard_size: 20}
train: {held_out: 8}
"""


def processes_with(word):
    """Numbers of the living nephrite-simulate that have this on their command line."""
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(b"nephrite-simulate") and os.fsencode(word) in words:
            found.append(int(folder.name))
    return found


def digests(campaign):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in (campaign / "sims").iterdir()}


class Kills(unittest.TestCase):
    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="nephrite-kills-"))
        self.addCleanup(shutil.rmtree, self.root)
        (self.root / "tiny.yaml").write_text(CONFIG)

    def start(self, campaign):
        words = ["mpirun", "-n", RANKS, BUILD / "nephrite-simulate", "-config", self.root / "tiny.yaml"]
        words += ["-campaign", campaign]
        return subprocess.Popen([*map(str, words)], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def finish(self, campaign):
        process = self.start(campaign)
        output, _ = process.communicate(timeout=300)
        self.assertEqual(process.returncode, 0, output)

    def disturb(self, campaign, random_numbers, seconds):
        """Kill at a random time of a run.  Returns what was killed, None if the run ended before."""
        process = self.start(campaign)
        time.sleep(random_numbers.uniform(0, seconds))
        whole_job = random_numbers.random() < 0.5
        ranks = processes_with(str(campaign))
        if process.poll() is not None:
            self.assertEqual(process.returncode, 0, process.communicate()[0])
            return None
        victim = process.pid if whole_job or not ranks else random_numbers.choice(ranks)
        try:
            os.kill(victim, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.communicate(timeout=60)
        end = time.monotonic() + 60
        while processes_with(str(campaign)) and time.monotonic() < end:
            time.sleep(0.01)  # ranks without their mpirun
        self.assertEqual(processes_with(str(campaign)), [], "ranks outlive their mpirun")
        return "mpirun" if victim == process.pid else "rank"

    def test_a_campaign_killed_at_random_times_ends_as_one_that_was_not(self):
        seed = int(os.environ.get("NEPHRITE_TEST_SEED", time.time_ns() % 1_000_000))
        print(f"NEPHRITE_TEST_SEED={seed} repeats this run", flush=True)
        numbers = random.Random(seed)
        begin = time.monotonic()
        self.finish(self.root / "whole")
        seconds = time.monotonic() - begin
        expected = digests(self.root / "whole")
        killed, number = [], 0
        while len(killed) < KILLS:
            campaign = self.root / f"disturbed-{number}"
            victim = self.disturb(campaign, numbers, seconds)
            if victim:
                killed.append(victim)
            if not victim or len(killed) == KILLS or numbers.random() < 0.1:
                self.finish(campaign)
                self.assertEqual(digests(campaign), expected)
                number += 1
        print(f"{killed.count('mpirun')} times mpirun, {killed.count('rank')} times a rank, {number} campaigns")


if __name__ == "__main__":
    unittest.main(verbosity=2)
