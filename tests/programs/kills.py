"""kill -9 of mpirun or of one rank at random times, for the tests of what is resumed."""

import os
import pathlib
import random
import shutil
import signal
import subprocess
import tempfile
import time
import unittest

from tiny_campaign import command

KILLS, RANKS = 20, 2


def processes_with(program, word):
    """Numbers of the living processes of a program that have this on their command line."""
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_bytes().split(b"\0")
        except OSError:
            continue
        if words[0].endswith(os.fsencode(program)) and os.fsencode(word) in words:
            found.append(int(folder.name))
    return found


class KillCase(unittest.TestCase):
    """Tests of one program, on one campaign file."""

    program = None  # "nephrite-simulate"
    config = None  # what stands in the campaign file

    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="nephrite-kills-"))
        self.addCleanup(shutil.rmtree, self.root)
        (self.root / "tiny.yaml").write_text(self.config)

    def prepare(self, campaign):
        """Make what the program needs to find in a new campaign."""

    def start(self, campaign, program=None):
        words = command(program or self.program, campaign, {}, RANKS)
        return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def finish(self, campaign, program=None):
        process = self.start(campaign, program)
        output, _ = process.communicate(timeout=300)
        self.assertEqual(process.returncode, 0, output)

    def disturb(self, campaign, random_numbers, seconds):
        """Kill at a random time of a run.  Returns what was killed, None if the run ended before."""
        process = self.start(campaign)
        time.sleep(random_numbers.uniform(0, seconds))
        whole_job = random_numbers.random() < 0.5
        ranks = processes_with(self.program, str(campaign))
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
        while processes_with(self.program, str(campaign)) and time.monotonic() < end:
            time.sleep(0.01)  # ranks without their mpirun
        self.assertEqual(processes_with(self.program, str(campaign)), [], "ranks outlive their mpirun")
        return "mpirun" if victim == process.pid else "rank"

    def kill_at_random_times(self, check, in_writing=0):
        """Kill runs until there have been KILLS of them, and so many that left a file half-written; some campaigns are
        finished in between, and check(campaign, whole) holds each to the one that nothing disturbed."""
        seed = int(os.environ.get("NEPHRITE_TEST_SEED", time.time_ns() % 1_000_000))
        print(f"NEPHRITE_TEST_SEED={seed} repeats this run", flush=True)
        numbers = random.Random(seed)
        whole = self.root / "whole"
        self.prepare(whole)
        begin = time.monotonic()
        self.finish(whole)
        seconds = time.monotonic() - begin
        killed, number, half_written = [], 0, 0
        while len(killed) < KILLS or half_written < in_writing:
            self.assertLess(len(killed), 5 * KILLS, "too few kills fell in the writing of a file to test it")
            campaign = self.root / f"disturbed-{number}"
            if not campaign.exists():
                self.prepare(campaign)
            victim = self.disturb(campaign, numbers, seconds)
            if victim:
                killed.append(victim)
                half_written += any(campaign.rglob("*.part"))
            if not victim or len(killed) >= KILLS or numbers.random() < 0.1:
                self.finish(campaign)
                check(campaign, whole)
                number += 1
        print(
            f"{killed.count('mpirun')} times mpirun, {killed.count('rank')} times a rank, "
            f"{half_written} of them in the writing of a file; {number} campaigns"
        )
