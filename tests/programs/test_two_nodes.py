#!/usr/bin/env python3
"""Ranks on two nodes: here two host names of one machine, between which MPI has messages but no shared memory."""
# nephrite-test: long

import glob
import os
import pathlib
import stat
import subprocess
import tempfile
import unittest

BUILD = pathlib.Path(os.environ["NEPHRITE_BUILD"])
# mpiexec calls this instead of ssh: [options] host command…
AGENT = """#!/bin/bash
while [[ $1 == -* ]]; do shift; done
host=$1; shift
exec unshare --uts sh -c "hostname $host; $*"
"""


class TwoNodes(unittest.TestCase):
    def setUp(self):
        if os.geteuid() != 0 or subprocess.run(["unshare", "--uts", "true"], capture_output=True).returncode:
            self.skipTest("needs host names of its own, which root alone can make")
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.agent = pathlib.Path(folder.name) / "agent"
        self.agent.write_text(AGENT)
        self.agent.chmod(self.agent.stat().st_mode | stat.S_IXUSR)
        self.nodes = [f"nephrite{os.getpid()}{letter}" for letter in "ab"]
        self.addCleanup(self.remove_segments)

    def remove_segments(self):
        for node in self.nodes:
            for segment in glob.glob(f"/dev/shm/vader_segment.{node}.*"):
                os.unlink(segment)

    def run_on_both(self, program):
        settings = {
            "plm_rsh_agent": self.agent,
            "plm_rsh_no_tree_spawn": 1,
            "oob_tcp_if_include": "lo",
            "btl_tcp_if_include": "lo",
        }
        words = [str(word) for name, value in settings.items() for word in ("--mca", name, value)]
        hosts = ",".join(f"{node}:2" for node in self.nodes)
        return subprocess.run(
            ["mpiexec", *words, "--host", hosts, "-n", "4", str(program)], capture_output=True, text=True, timeout=120
        )

    def test_units_are_dealt_once_where_mpi_has_no_windows_between_nodes(self):
        done = self.run_on_both(BUILD / "tests/test_support_work_queue")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertEqual(done.stdout.count("[  PASSED  ] 3") + done.stderr.count("[  PASSED  ] 3"), 4)

    def test_a_product_is_written_by_ranks_of_both(self):
        done = self.run_on_both(BUILD / "tests/test_support_product")
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main(verbosity=2)
